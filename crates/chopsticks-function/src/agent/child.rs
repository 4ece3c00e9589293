//! Calls that run in a process of their own, which can be killed.
//!
//! The process is a copy of the agent. It gets the message on its stdin, and writes the answer to its
//! stdout. Its stdin stays open as long as the agent lives.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{self, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bytes::Bytes;
use chopsticks_protocol::{CallFailure, Run};
use memchr::memmem;
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};

use super::{end::PROGRAM, fail, panicked, pipes};
use crate::{
    answer::{Answer, Success, cancelled, failure},
    call::Call,
    registry,
    start::Role,
};

/// Runs a call in a process, and returns its answer. If the call is cancelled, the process is
/// killed.
pub(crate) fn run(token: &str, message: &[u8], call: &Call) -> Answer {
    let unable = |error: io::Error| {
        failure("raised", TYPE, format!("cannot start the process of the function: {error}"))
    };
    let mut command = Command::new(PROGRAM);
    command.args(Role::Call { token: token.to_owned() }.arguments()).process_group(0);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(unable)?;
    let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
    let mut answer = Vec::new();
    let exchange = || -> io::Result<()> {
        // Kept until the answer is there, by which the process knows that the agent lives.
        let Some((mut stdin, mut stdout)) = stdin.zip(stdout) else { return Ok(()) };
        // What cannot be written is explained by the status.
        let _ =
            stdin.write_all(&(message.len() as u64).to_le_bytes()).and_then(|()| stdin.write_all(message));
        stdout.read_to_end(&mut answer).map(drop)
    };
    let exchanged = match i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
        Some(pid) => call.in_process(pid, exchange),
        None => exchange(),
    };
    let status = exchanged.and_then(|()| process.wait());
    if let Some(answer) = decode(&answer, token) {
        return answer;
    }
    if call.is_cancelled() {
        return cancelled();
    }
    let end = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    Err(failure("raised", TYPE, format!("the process of the function has ended: {end}")))
}

/// Runs the call that this process was started for.
pub(crate) fn perform(token: String) -> ! {
    let call = thread::Builder::new().name("chopsticks".to_owned()).stack_size(super::STACK_LEN);
    match call.spawn(move || perform_here(&token)).map(thread::JoinHandle::join) {
        Ok(_) => process::exit(1),
        Err(error) => fail(&error),
    }
}

fn perform_here(token: &str) {
    let (mut input, output) = pipes::take_bare().unwrap_or_else(|error| fail(&error));
    let message: Bytes = receive(&mut input).unwrap_or_else(|error| fail(&error)).into();
    let is_done = Arc::new(AtomicBool::new(false));
    let is_over = is_done.clone();
    thread::spawn(move || {
        // Ends with the agent, or with the call.
        let _ = io::copy(&mut input, &mut io::sink());
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        let _ = kill_process_group(getpgrp(), Signal::KILL);
        process::exit(1)
    });
    // One answer alone, which a panic may give in a program that aborts on it.
    let output = Arc::new(Mutex::new(Some(output)));
    let (other, mark) = (output.clone(), mark(token));
    panicked::hook(move |failure| send(&other, &mark, &Err(failure)));
    let answer = Arc::new(Call::default()).run(|| {
        panicked::catch(|| {
            let message = Run::decode(&message);
            registry::run(&message.map_err(|error| failure("argument", "", error.to_string()))?)
        })
    });
    is_done.store(true, Ordering::SeqCst);
    send(&output, &self::mark(token), &answer);
    process::exit(0)
}

fn receive(input: &mut File) -> io::Result<Vec<u8>> {
    let mut len = [0; 8];
    input.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    let mut message = Vec::new();
    match input.take(len).read_to_end(&mut message)? as u64 == len {
        true => Ok(message),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn send(output: &Mutex<Option<File>>, mark: &str, answer: &Answer) {
    let Some(mut output) = output.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let failure;
    let (kind, payload) = match answer {
        Ok(Success::Bytes(bytes)) => (BYTES, bytes),
        Ok(Success::Value(value)) => (VALUE, value),
        Err(failed) => {
            // Only a text of 2 GiB cannot be encoded.
            failure = failed.encode().unwrap_or_default();
            (FAILURE, &failure)
        }
    };
    // The length in front of it makes an answer that was broken off recognisable.
    let head = [mark.as_bytes(), &[kind], &(payload.len() as u64).to_le_bytes()].concat();
    // The agent may be gone.
    let _ = output.write_all(&head).and_then(|()| output.write_all(payload));
}

/// Returns what the answer begins with. A program of tests prints something in front of it.
fn mark(token: &str) -> String {
    format!("chopsticks-answer:{token}\n")
}

fn decode(output: &[u8], token: &str) -> Option<Answer> {
    let mark = mark(token);
    let start = memmem::find(output, mark.as_bytes())?;
    let (kind, rest) = output[start + mark.len()..].split_first()?;
    let (len, payload) = rest.split_first_chunk()?;
    if u64::from_le_bytes(*len) != payload.len() as u64 {
        return None;
    }
    Some(match *kind {
        BYTES => Ok(Success::Bytes(payload.to_vec())),
        VALUE => Ok(Success::Value(payload.to_vec())),
        FAILURE => Err(CallFailure::decode(payload).ok()?),
        _ => return None,
    })
}

const BYTES: u8 = 0;
const VALUE: u8 = 1;
const FAILURE: u8 = 2;
/// In place of the type of an error.
const TYPE: &str = "process";
