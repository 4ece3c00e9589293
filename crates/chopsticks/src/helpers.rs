//! Runs programs on hosts.
//!
//! The counterparts of the Python module `chopsticks.helpers`, which code on any host can import as well. A program has an
//! empty stdin, no terminal, and the environment of the agent. It ends with its call: when the future is dropped or the deadline
//! passes, it and all that it has started are ended. What it leaves running in the background ends with the connection.
//!
//! ```no_run
//! # async fn example(tunnel: chopsticks::Tunnel) -> Result<(), chopsticks::Error> {
//! use chopsticks::helpers::{self, RemoteCommand};
//!
//! // Arguments, or a line for the shell of the host.
//! let release = helpers::output_lines(&tunnel, ["uname", "-r"]).await?;
//! let busy = helpers::output_lines(&tunnel, "ps -eo comm | sort | uniq -c | sort -n | tail -3").await?;
//!
//! let command = RemoteCommand::new("make").arg("test").current_dir("/srv/app").env("JOBS", "2");
//! let output = helpers::run(&tunnel, command).await?;
//! if !output.status.success() {
//!     println!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
//! }
//! # let _ = (release, busy);
//! # Ok(())
//! # }
//! ```

mod command;
mod running;

use std::process::Output;

use chopsticks_tunnel::{Error, Tunnel};
use serde_bytes::ByteBuf;

pub use self::{
    command::RemoteCommand,
    running::{Chunk, OutputStream, Running},
};

/// Runs a program and returns its stdout.
///
/// What it writes to stderr goes where the agent's goes: by default to the console, as `[host] line`.
///
/// # Errors
///
/// [`ErrorKind::Raised`](crate::ErrorKind::Raised) with Python's `subprocess.CalledProcessError` if the program fails, and with an
/// `OSError` if there is none; else as [`Tunnel::call`].
///
/// # Cancel safety
///
/// Dropping the future ends the program.
pub async fn check_output(tunnel: &Tunnel, command: impl Into<RemoteCommand>) -> Result<Vec<u8>, Error> {
    let reply = tunnel.call_with(command.into().call("carried_output")).await?;
    reply.decode::<ByteBuf>().map(ByteBuf::into_vec)
}

/// Runs a program as [`check_output`] does, and returns the lines of its stdout, without their ends.
///
/// Bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
///
/// As [`check_output`].
///
/// # Cancel safety
///
/// Dropping the future ends the program.
pub async fn output_lines(tunnel: &Tunnel, command: impl Into<RemoteCommand>) -> Result<Vec<String>, Error> {
    tunnel.call_with(command.into().call("output_lines")).await?.decode()
}

/// Runs a program, and returns how it has ended and what it wrote to stdout and stderr.
///
/// Its output is held in memory; [`start`] gives it piece by piece.
///
/// # Errors
///
/// [`ErrorKind::Raised`](crate::ErrorKind::Raised) with Python's `OSError` if there is no such program; else as [`Tunnel::call`]. A program
/// that fails is no error.
///
/// # Cancel safety
///
/// Dropping the future ends the program.
pub async fn run(tunnel: &Tunnel, command: impl Into<RemoteCommand>) -> Result<Output, Error> {
    let mut running = start(tunnel, command);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(chunk) = running.next().await? {
        match chunk.stream {
            OutputStream::Stdout => stdout.extend_from_slice(&chunk.data),
            OutputStream::Stderr => stderr.extend_from_slice(&chunk.data),
        }
    }
    Ok(Output { status: running.wait().await?, stdout, stderr })
}

/// Starts a program whose output comes while it runs.
///
/// It starts when [`Running::next`] or [`Running::wait`] is first polled, and waits whenever its output is not taken.
pub fn start(tunnel: &Tunnel, command: impl Into<RemoteCommand>) -> Running {
    Running::new(tunnel, command.into())
}
