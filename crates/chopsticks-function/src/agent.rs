//! The agent: runs functions of this program for the controller at the other end of stdin and
//! stdout.
//!
//! The thread that reads runs a call itself if the call comes alone, which saves a change of
//! threads. If the call lasts, another thread takes over reading. Calls that come together run on
//! threads of a pool.

use std::{
    env, fmt,
    io::{self, Write as _},
    process,
    sync::Arc,
    thread,
};

use chopsticks_protocol::operation;
use chopsticks_transport::Message;

use self::channel::Channel;
use crate::start::Role;

mod channel;
mod child;
mod compare;
mod end;
mod files;
mod items;
mod lead;
mod panicked;
mod pipes;
mod problem;
mod program;
mod serve;
mod session;
mod users;

/// Plays the role that this process was started for.
pub(crate) fn run(role: Role) -> ! {
    match role {
        Role::Call { token } => child::perform(token),
        Role::Cleaner { token } => end::clean(&token),
        Role::Guard { token, agent } => end::guard(&token, agent),
        Role::Agent { token } => {
            // There is no `/proc` to start the program by, so its file was left for us to remove.
            if let Some(file) = env::var_os("CHOPSTICKS_FILE").filter(|file| !file.is_empty()) {
                let _ = std::fs::remove_file(file);
            }
            // Not on this thread, which may be in the middle of a runtime.
            let agent = thread::Builder::new().name("chopsticks".to_owned()).stack_size(STACK_LEN);
            let served = agent.spawn(move || match serve::Agent::start(token, answer) {
                Ok((agent, reader)) => agent.serve(reader),
                Err(error) => fail(&error),
            });
            match served.map(thread::JoinHandle::join) {
                Ok(_) => process::exit(1),
                Err(error) => fail(&error),
            }
        }
    }
}

/// Answers a request with streams.
fn answer(channel: &Arc<Channel>, message: &Message) {
    match message.operation.code() {
        operation::PUT => files::put(channel, &message.payload),
        operation::FETCH => files::fetch(channel, &message.payload),
        operation::SPAWN => program::run(channel, &message.payload),
        operation::YIELD => items::run(channel, message),
        _ => program::errors(channel),
    }
}

/// Ends a process that cannot be an agent, or not any more.
fn fail(error: &dyn fmt::Display) -> ! {
    say(error);
    process::exit(1)
}

/// Writes a line to stderr.
fn say(text: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "chopsticks: {text}");
}

/// As much as a main thread has. It is not used unless it is needed.
const STACK_LEN: usize = 8 << 20;
