//! A program that runs.

use std::{
    collections::VecDeque,
    fmt,
    os::unix::process::ExitStatusExt as _,
    pin::Pin,
    process::ExitStatus,
    sync::atomic::{AtomicU64, Ordering},
};

use chopsticks_tunnel::{Call, Error, Tunnel};
use serde_bytes::ByteBuf;

use super::RemoteCommand;

/// A program that runs on a host.
///
/// One call runs it, and further ones fetch its output, one round trip for each: what has come by then, at most 256 KiB of each
/// stream. So nothing is buffered, and a program whose output is not taken waits. Dropping this ends the program.
pub struct Running {
    tunnel: Tunnel,
    command: RemoteCommand,
    key: u64,
    /// Runs as long as the program does. It is made when it is first needed, as a call does nothing before it is polled.
    execution: Option<Pending<i32>>,
    taking: Option<Pending<Taken>>,
    taken: VecDeque<Chunk>,
    status: Option<ExitStatus>,
    is_drained: bool,
    failure: Option<Error>,
}

/// What `output` returns.
type Taken = Option<Vec<(u8, ByteBuf)>>;

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// A piece of a program's output.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Chunk {
    /// Where the program wrote it.
    pub stream: OutputStream,
    /// What it wrote: any bytes, cut anywhere.
    pub data: Vec<u8>,
}

/// Where a program writes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "programs have no third")]
pub enum OutputStream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl Running {
    pub(super) fn new(tunnel: &Tunnel, command: RemoteCommand) -> Self {
        // Programs of one agent are told apart by it; all that run there are this process's.
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let execution = call(tunnel.clone(), command.execute_call(key));
        Self {
            tunnel: tunnel.clone(),
            command,
            key,
            execution: Some(execution),
            taking: None,
            taken: VecDeque::new(),
            status: None,
            is_drained: false,
            failure: None,
        }
    }

    /// Waits for output; `None` once there is no more.
    ///
    /// If something that the program has started keeps its output open, that is read until it is silent for half a second
    /// after the program's own end.
    ///
    /// # Errors
    ///
    /// As [`run`](super::run).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no output.
    pub async fn next(&mut self) -> Result<Option<Chunk>, Error> {
        loop {
            if let Some(chunk) = self.taken.pop_front() {
                return Ok(Some(chunk));
            }
            if self.is_drained {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// Waits for the program's end; output that was not taken is dropped.
    ///
    /// # Errors
    ///
    /// As [`run`](super::run).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program, for it is dropped too.
    pub async fn wait(mut self) -> Result<ExitStatus, Error> {
        loop {
            self.taken.clear();
            match self.status {
                Some(status) => return Ok(status),
                None => self.advance().await?,
            }
        }
    }

    /// Waits until one of the two calls has an answer. After an error there is that error alone.
    async fn advance(&mut self) -> Result<(), Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let step = self.step().await;
        if let Err(error) = &step {
            self.failure = Some(error.clone());
        }
        step
    }

    async fn step(&mut self) -> Result<(), Error> {
        if self.taking.is_none() && !self.is_drained {
            self.taking = Some(call(self.tunnel.clone(), self.command.output_call(self.key)));
        }
        tokio::select! {
            // In this order, for the program is to be asked for before its output, and tells better what is wrong.
            biased;
            status = optional(&mut self.execution) => {
                self.execution = None;
                self.status = Some(exit_status(status?));
            }
            taken = optional(&mut self.taking) => {
                self.taking = None;
                match taken? {
                    Some(taken) => self.taken.extend(taken.into_iter().map(Chunk::from)),
                    None => self.is_drained = true,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("tunnel", &self.tunnel)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl From<(u8, ByteBuf)> for Chunk {
    fn from((stream, data): (u8, ByteBuf)) -> Self {
        let stream = if stream == 1 { OutputStream::Stdout } else { OutputStream::Stderr };
        Self { stream, data: data.into_vec() }
    }
}

/// As Python has it: below 0 the signal that ended the program.
fn exit_status(status: i32) -> ExitStatus {
    // Whatever the host says, in the form that `wait` has.
    ExitStatus::from_raw(if status < 0 { status.wrapping_neg() & 0x7f } else { (status & 0xff) << 8 })
}

fn call<T: serde::de::DeserializeOwned>(tunnel: Tunnel, call: Call) -> Pending<T> {
    Box::pin(async move { tunnel.call_with(call).await?.decode() })
}

/// Waits for a call that may not be under way: then for ever.
async fn optional<T>(call: &mut Option<Pending<T>>) -> Result<T, Error> {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_whatever_a_host_says() {
        assert_eq!((exit_status(3).code(), exit_status(3).signal()), (Some(3), None));
        assert_eq!((exit_status(-9).code(), exit_status(-9).signal()), (None, Some(9)));
        for odd in [i32::MIN, i32::MAX, 256, -128] {
            let _ = exit_status(odd).to_string();
        }
    }
}
