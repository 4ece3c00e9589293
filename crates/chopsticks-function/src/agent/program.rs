//! Programs that run for the controller, with their pipes as streams.
//!
//! Each pipe has a thread, one waits for the end of the program, and one for the order to end it.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io::{self, ErrorKind, PipeReader, Read, Write as _},
    os::{
        fd::AsFd,
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            process::ExitStatusExt as _,
        },
    },
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bytes::Bytes;
use chopsticks_protocol::{EMPTY, Exit, Spawn};
use chopsticks_transport::RequestId;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};

use super::{
    channel::{Channel, Stopped, spawn},
    end::{KILL_ROUNDS, ROUND, TERM_ROUNDS, processes},
};

/// A program that runs.
#[derive(Debug)]
struct Program {
    pid: Pid,
    /// Whether the program was waited for. From then on its number may be another's.
    is_over: Mutex<bool>,
    status: OnceLock<io::Result<ExitStatus>>,
    /// Whether all of its stdout was sent, or is no longer wanted.
    is_drained: AtomicBool,
}

/// Runs a program to its end, and answers with how it ended.
pub(crate) fn run(channel: &Arc<Channel>, payload: &[u8]) {
    let wanted = match Spawn::decode(payload) {
        Ok(wanted) => wanted,
        Err(error) => return channel.fail(&io::Error::other(error), b""),
    };
    // It has to be there before the program is, in case that the agent is killed meanwhile.
    channel.agent.start_guard();
    let mut child = match start(&wanted) {
        Ok(child) => child,
        Err((error, path)) => return channel.fail(&error, &path),
    };
    // Without a request for it, the pipe is closed here.
    if let (Some(stderr), Some(number)) = (child.stderr.take(), RequestId::new(wanted.stderr)) {
        let state = channel.agent.lock();
        if let Some(signal) = state.streams.get(&number).filter(|signal| !signal.is_stopped()) {
            *signal.errors.lock().unwrap_or_else(PoisonError::into_inner) = Some(stderr);
            signal.changed.notify_all();
        }
    }
    let program = Arc::new(Program {
        pid: Pid::from_child(&child),
        is_over: Mutex::new(false),
        status: OnceLock::new(),
        is_drained: AtomicBool::new(false),
    });
    if let Err(error) = threads(channel, &program, child) {
        // No more threads can be had, and without them a program is of no use.
        channel.stop();
        program.end();
        return channel.fail(&error, wanted.argv.first().map_or(&b""[..], Vec::as_slice));
    }
    if wait_until(channel, || program.status.get().is_some()).is_err() && !program.end() {
        // It is another user's, for example. The controller is not to wait for it.
        return channel.give_up();
    }
    match program.status.wait() {
        Ok(status) => {
            // Python's form, which is negative for the signal that killed a program.
            let number = status.code().or(status.signal().map(|signal| -signal)).unwrap_or(-1);
            channel.reply(Exit { status: number }.encode().unwrap_or_default());
        }
        Err(error) => channel.fail(error, b""),
    }
    // Another process may still hold its pipes, and use them.
    let _ = wait_until(channel, || program.is_drained.load(Ordering::SeqCst));
    channel.reset();
}

/// Waits until something has happened that the threads of the request notify of.
fn wait_until(channel: &Channel, has_happened: impl Fn() -> bool) -> Result<(), Stopped> {
    let mut state = channel.agent.lock();
    while !has_happened() {
        if channel.is_stopped() {
            return Err(Stopped);
        }
        state = channel.signal.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    Ok(())
}

/// Sends what a program writes to its stderr. The request comes before that of the program.
pub(crate) fn errors(channel: &Channel) {
    let pipe = {
        let mut state = channel.agent.lock();
        loop {
            if let Some(pipe) = channel.signal.errors.lock().unwrap_or_else(PoisonError::into_inner).take() {
                break Some(pipe);
            }
            if channel.is_stopped() {
                break None;
            }
            state = channel.signal.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    };
    match pipe.ok_or(Stopped).and_then(|pipe| drain(channel, pipe)) {
        Ok(()) => channel.reply(EMPTY.to_vec()),
        Err(Stopped) => channel.give_up(),
    }
}

/// Starts a program. An error has the path that it is about.
fn start(wanted: &Spawn) -> Result<Child, (io::Error, Vec<u8>)> {
    let Some((name, arguments)) = wanted.argv.split_first() else {
        return Err((io::Error::new(ErrorKind::InvalidInput, "there is no program"), Vec::new()));
    };
    let mut command = Command::new(OsStr::from_bytes(name));
    command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
    command.env_remove("CHOPSTICKS_FILE");
    for (name, value) in &wanted.env {
        let name = OsString::from_vec(name.clone());
        match value {
            Some(value) => command.env(name, OsStr::from_bytes(value)),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = &wanted.cwd {
        let path = std::path::Path::new(OsStr::from_bytes(folder));
        if !path.is_dir() {
            return Err((Errno::NOTDIR.into(), folder.clone()));
        }
        command.current_dir(path);
    }
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    started.map_err(|error| (error, name.clone()))
}

/// Starts the threads of a program.
fn threads(channel: &Arc<Channel>, program: &Arc<Program>, mut child: Child) -> io::Result<()> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (waiting, waiter) = (program.clone(), channel.clone());
    spawn("chopsticks-wait", move || {
        waiting.wait(&mut child);
        waiter.tell();
    })?;
    if let Some(stdin) = stdin {
        let (feeder, fed) = (channel.clone(), program.clone());
        spawn("chopsticks-stdin", move || {
            if feed(&feeder, stdin).is_err() && fed.status.get().is_none() {
                feeder.stop();
            }
        })?;
    }
    if let Some(stdout) = stdout {
        let (drainer, drained) = (channel.clone(), program.clone());
        spawn("chopsticks-stdout", move || {
            if drain(&drainer, stdout).is_err() {
                // Without a reader the program is of no use.
                drainer.stop();
            }
            drained.is_drained.store(true, Ordering::SeqCst);
            drainer.tell();
        })?;
    }
    Ok(())
}

/// Writes what the controller sends to the program's stdin, and closes that at the end.
fn feed(channel: &Channel, mut pipe: ChildStdin) -> Result<(), Stopped> {
    enlarge(&pipe);
    // A program that does not read is not waited for when it is no longer wanted.
    let flags = fcntl_getfl(&pipe).map_err(|_| Stopped)?;
    fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).map_err(|_| Stopped)?;
    let wake = channel.signal.wake().map_err(|_| Stopped)?;
    while let Some(bytes) = channel.read(PIECE)? {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match pipe.write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait_for(&pipe, PollFlags::OUT, &wake)?;
                }
                Err(_) => {
                    // The program takes no more.
                    channel.reset();
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Sends what a program writes into a pipe, to its end.
fn drain(channel: &Channel, mut pipe: impl Read + AsFd) -> Result<(), Stopped> {
    enlarge(&pipe);
    let wake = channel.signal.wake().map_err(|_| Stopped)?;
    let mut buffer = vec![0; PIECE];
    loop {
        wait_for(&pipe, PollFlags::IN, &wake)?;
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => channel.write(Bytes::copy_from_slice(&buffer[..len]))?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    channel.finish();
    Ok(())
}

/// Waits for a pipe, as long as it is wanted.
fn wait_for(pipe: &impl AsFd, flags: PollFlags, wake: &PipeReader) -> Result<(), Stopped> {
    loop {
        let mut polled = [PollFd::new(pipe, flags), PollFd::new(wake, PollFlags::IN)];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => {}
            Err(_) => return Err(Stopped),
            Ok(_) if !polled[1].revents().is_empty() => return Err(Stopped),
            Ok(_) if !polled[0].revents().is_empty() => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// Makes a pipe larger than usual, which saves changes of threads.
fn enlarge(pipe: &impl AsFd) {
    #[cfg(target_os = "linux")]
    {
        // The user may have too many pages in pipes already.
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_LEN);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

impl Program {
    /// Waits for the end of the program.
    fn wait(&self, child: &mut Child) {
        // It keeps its number until it is waited for once more.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(self.pid), options), Err(Errno::INTR)) {}
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait();
        *is_over = true;
        drop(is_over);
        // It is set nowhere else.
        let _ = self.status.set(status);
    }

    /// Ends the program and the processes that it has started. Returns whether all have ended.
    fn end(&self) -> bool {
        let mut family = HashMap::new();
        for (signal, rounds) in [(Signal::TERM, TERM_ROUNDS), (Signal::KILL, KILL_ROUNDS)] {
            for round in 0..rounds {
                let left = self.left(&mut family);
                if left.is_empty() {
                    return true;
                }
                // What gets a request needs only one, what starts more has to be met again.
                if round == 0 || signal == Signal::KILL {
                    for pid in left {
                        self.kill(pid, signal);
                    }
                }
                thread::sleep(ROUND);
            }
        }
        self.left(&mut family).is_empty()
    }

    fn kill(&self, pid: u32, signal: Signal) {
        let Some(pid) = Pid::from_raw(pid.cast_signed()) else { return };
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        if pid != self.pid || !*is_over {
            let _ = kill_process(pid, signal);
        }
    }

    /// Returns the processes that live. Those whose parent has ended are children of others, so
    /// `family` remembers them, by the time of their start.
    fn left(&self, family: &mut HashMap<u32, u64>) -> Vec<u32> {
        let table = processes();
        let root = self.pid.as_raw_nonzero().get().cast_unsigned();
        if !*self.is_over.lock().unwrap_or_else(PoisonError::into_inner) {
            match table.get(&root) {
                Some(process) => drop(family.entry(root).or_insert(process.started)),
                // Without `/proc`, only its own end is seen.
                None if table.is_empty() => return vec![root],
                None => {}
            }
        }
        let lives = |family: &HashMap<u32, u64>, pid: u32| {
            table.get(&pid).is_some_and(|process| family.get(&pid) == Some(&process.started))
        };
        loop {
            let more: Vec<_> = table
                .iter()
                .filter(|(pid, process)| lives(family, process.parent) && !lives(family, **pid))
                .map(|(pid, process)| (*pid, process.started))
                .collect();
            if more.is_empty() {
                break;
            }
            family.extend(more);
        }
        family.keys().copied().filter(|pid| lives(family, *pid)).collect()
    }
}

/// The most that is passed on at once.
const PIECE: usize = 128 << 10;
#[cfg(target_os = "linux")]
const PIPE_LEN: usize = 1 << 20;
