//! The end of everything that functions have started.
//!
//! Threads that still run could start more while we look for it. So at the end of the connection
//! the agent becomes another program, by `exec`: its cleaner. That ends all threads of functions in
//! one instant, and the children stay its own. If the agent is killed, it cannot do that. For this
//! case it starts a guard: before it starts a program, as soon as a function has a child process, and
//! when a call lasts, because the function may start one at any time.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, PipeWriter, Read as _},
    os::unix::process::CommandExt as _,
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, setsid, wait, waitid},
};

use super::say;
use crate::start::Role;

/// Ends the agent, and every process that its functions have started.
///
/// `output` is the pipe to the controller. It stays open until all have ended, by which the
/// controller knows.
pub(crate) fn end(token: &str, output: &File) -> ! {
    if !has_children() {
        process::exit(0);
    }
    let mut cleaner = Command::new(PROGRAM);
    cleaner.args(Role::Cleaner { token: token.to_owned() }.arguments());
    // It only holds it. A program of tests would write to its stdout.
    if let Ok(output) = output.try_clone() {
        cleaner.stdin(output);
    }
    cleaner.stdout(Stdio::null());
    let error = cleaner.exec();
    say(&format_args!("cannot start the cleaner, so functions go on meanwhile: {error}"));
    clean(token)
}

/// The process that ends what is left of the agent if that is killed.
#[derive(Debug)]
pub(crate) struct Guard {
    pid: u32,
    /// The sign that the agent lives.
    _alive: PipeWriter,
}

impl Guard {
    pub(crate) fn start(token: &str) -> io::Result<Self> {
        let (sign, alive) = io::pipe()?;
        let role = Role::Guard { token: token.to_owned(), agent: process::id() };
        let mut guard = Command::new(PROGRAM);
        guard.args(role.arguments()).stdin(sign).stdout(Stdio::null()).stderr(Stdio::null());
        // Not waited for: it ends after the agent, or is ended by the agent or by the cleaner.
        Ok(Self { pid: guard.spawn()?.id(), _alive: alive })
    }

    /// Ends it at once, when there is nothing to guard.
    pub(crate) fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid.cast_signed()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Returns whether this process has a child besides the guard. Functions must not be running, because a
/// list of children that is read while they change may lack some.
pub(crate) fn has_children_besides(guard: &Guard) -> bool {
    let lists: Vec<_> = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    let guard = guard.pid.to_string();
    // Not every kernel has these lists.
    lists.is_empty() || lists.iter().flat_map(|list| list.split_whitespace()).any(|child| child != guard)
}

/// Returns whether this process has a child, alive or to be waited for. Orphans among its
/// descendants become its children, so this is enough.
pub(crate) fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// Ends what is left of the agent that this process was.
pub(crate) fn clean(token: &str) -> ! {
    end_all(&Family { leader: process::id(), token, others: &[] });
    process::exit(0)
}

/// Waits for the end of the agent, and ends what is left of it.
pub(crate) fn guard(token: &str, agent: u32) -> ! {
    let _ = setsid();
    // Ends with the agent, which holds the other end.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    end_all(&Family { leader: agent, token, others: &[agent] });
    process::exit(0)
}

/// The processes that belong to an agent.
struct Family<'a> {
    /// The agent.
    leader: u32,
    token: &'a str,
    /// Processes that are left alone: an agent that cleans up itself.
    others: &'a [u32],
}

/// Ends them: first as a request, then by force.
fn end_all(family: &Family<'_>) {
    for (signal, rounds) in [(Signal::TERM, TERM_ROUNDS), (Signal::KILL, KILL_ROUNDS)] {
        for round in 0..rounds {
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            let left = family.members();
            if left.is_empty() {
                return;
            }
            // What gets a request needs only one, what starts more has to be met again.
            if round == 0 || signal == Signal::KILL {
                for pid in left {
                    let _ = kill_process(pid, signal);
                }
            }
            thread::sleep(ROUND);
        }
    }
}

impl Family<'_> {
    /// Returns the processes that descend from the agent, are of its session, or carry its mark.
    fn members(&self) -> Vec<Pid> {
        let table = processes();
        let mut found = HashSet::from([self.leader]);
        loop {
            let more: Vec<_> = table
                .iter()
                .filter(|(pid, process)| found.contains(&process.parent) && !found.contains(pid))
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        let mark = format!(":{}", self.token);
        let is_marked = |pid: u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|part| part == mark.as_bytes())
        };
        let others = table.iter().filter(|(pid, process)| process.session == self.leader || is_marked(**pid));
        found.extend(others.map(|(pid, _)| *pid));
        let me = process::id();
        found
            .into_iter()
            .filter(|pid| *pid != me && *pid != self.leader && !self.others.contains(pid))
            .filter_map(|pid| Pid::from_raw(pid.cast_signed()).filter(|pid| *pid != getpid()))
            .collect()
    }
}

/// What is known of a process.
pub(crate) struct Process {
    pub(crate) parent: u32,
    session: u32,
    /// When it was started. A later process with its number has another time.
    pub(crate) started: u64,
}

/// Returns all processes of this host that live, as far as `/proc` shows them.
pub(crate) fn processes() -> HashMap<u32, Process> {
    let mut table = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(process) = Process::read(&stat) {
            table.insert(pid, process);
        }
    }
    table
}

impl Process {
    /// Reads a line of `/proc/PID/stat`. Returns nothing for a process that has ended.
    fn read(stat: &str) -> Option<Self> {
        // The name of the program, in brackets, may contain anything.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(15)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Self { parent, session, started })
    }
}

/// This program, whose file no longer has a name.
pub(crate) const PROGRAM: &str = "/proc/self/exe";
/// How long processes have after the request to end.
pub(crate) const TERM_ROUNDS: u32 = 25;
pub(crate) const KILL_ROUNDS: u32 = 100;
pub(crate) const ROUND: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_proc_is_read_whatever_the_name() {
        let rest = "0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 10";
        let process = Process::read(&format!("7 (a) b) S 3 5 6 {rest}")).unwrap();
        assert_eq!((process.parent, process.session, process.started), (3, 6, 9876));
        assert!(Process::read(&format!("7 (sh) Z 3 5 6 {rest}")).is_none());
        assert!(Process::read("7 (sh) S x").is_none());
        let (me, table) = (process::id(), processes());
        assert_eq!(table[&me].parent, std::os::unix::process::parent_id());
    }
}
