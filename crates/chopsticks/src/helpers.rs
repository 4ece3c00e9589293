//! The output of programs, as the Python module `chopsticks.helpers` provides it to code on hosts.
//!
//! [`Tunnel::command`] runs programs of any kind. The functions here are for the common case of a
//! program that must not fail and whose output you need. A failure is an error, and the program's
//! stderr appears as `[host] line`, or goes to the tunnel's [`Stderr`](crate::Stderr).
//!
//! ```no_run
//! # async fn example(tunnel: chopsticks::Tunnel) -> Result<(), chopsticks::Error> {
//! use chopsticks::{RemoteCommand, helpers};
//!
//! let release = helpers::output_lines(&tunnel, RemoteCommand::new("uname").arg("-r")).await?;
//! let busy = RemoteCommand::shell("ps -eo comm | sort | uniq -c | sort -n | tail -3");
//! let busy = helpers::output_lines(&tunnel, busy).await?;
//! # let _ = (release, busy);
//! # Ok(())
//! # }
//! ```

use std::{collections::BTreeMap, ffi::OsStr, os::unix::ffi::OsStrExt as _};

use chopsticks_tunnel::{Call, Error, RemoteCommand, Tunnel};
use serde::{Serialize, Serializer};
use serde_bytes::ByteBuf;

/// Runs a program and returns its stdout. Its stdin is empty, regardless of the command's setting.
///
/// # Errors
///
/// [`ErrorKind::Raised`](crate::ErrorKind::Raised) with Python's `subprocess.CalledProcessError` if
/// the program fails, and with an `OSError` if it cannot be started; otherwise the errors of
/// [`Tunnel::call`].
///
/// # Cancel safety
///
/// Dropping the future ends the program.
pub async fn check_output(tunnel: &Tunnel, command: RemoteCommand) -> Result<Vec<u8>, Error> {
    let reply = tunnel.call_with(call("carried_output", &command)).await?;
    reply.decode::<ByteBuf>().map(ByteBuf::into_vec)
}

/// Runs a program like [`check_output`], and returns the lines of its stdout, without their ends.
///
/// Bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
///
/// The errors of [`check_output`].
///
/// # Cancel safety
///
/// Dropping the future ends the program.
pub async fn output_lines(tunnel: &Tunnel, command: RemoteCommand) -> Result<Vec<String>, Error> {
    tunnel.call_with(call("output_lines", &command)).await?.decode()
}

/// Returns the call of a function of the Python module with this command.
fn call(function: &str, command: &RemoteCommand) -> Call {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(Word).collect();
    let mut call = Call::new(format!("chopsticks.helpers:{function}")).args((words,));
    if let Some(folder) = command.get_current_dir() {
        call = call.kwarg("cwd", Word(folder.as_os_str()));
    }
    let variables: BTreeMap<_, _> =
        command.get_envs().map(|(name, value)| (Word(name), value.map(Word))).collect();
    if !variables.is_empty() {
        call = call.kwarg("env", variables);
    }
    match command.get_timeout() {
        Some(timeout) => call.timeout(timeout),
        None => call,
    }
}

/// A word of a command: text if it is UTF-8, so that errors can show it, and otherwise bytes.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Word<'a>(&'a OsStr);

impl Serialize for Word<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_bytes(self.0.as_bytes()),
        }
    }
}
