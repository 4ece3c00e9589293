//! Programs that the agent of a tunnel runs for the controller: `docs/wire.md`, section 9.

use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    pin::Pin,
    process::{ExitStatus, Output},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use async_trait::async_trait;

use chopsticks_agent::Part;
use chopsticks_driver::{Known, Launcher, Link, LinkParts, Program, SpawnError, missing_folder};
use chopsticks_protocol::{EMPTY, Exit, Failure, Spawn, operation};
use chopsticks_text::harmless;
use chopsticks_transport::{
    Answer, AnswerKind, Format, Operation, Order, Request, RequestOptions, StreamReader, StreamWriter,
};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::{
    auto::Task,
    connection::{Connection, Lease, Session},
    tunnel::Tunnel,
};

/// The far side of a tunnel, where programs are started.
#[derive(Debug)]
pub(crate) struct FarSide {
    parent: Tunnel,
    /// Everything that belongs to one agent is started over one connection. If it has ended, all of
    /// this has ended too.
    connection: OnceLock<Lease>,
}

impl FarSide {
    pub(crate) fn new(parent: Tunnel) -> Self {
        Self { parent, connection: OnceLock::new() }
    }

    async fn connection(&self) -> io::Result<&Lease> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let connection = self.parent.connection_for(Task::Any).await.map_err(io::Error::other)?;
        Ok(self.connection.get_or_init(|| connection))
    }
}

#[async_trait]
impl Launcher for FarSide {
    async fn spawn(&self, command: &std::process::Command) -> io::Result<Link> {
        spawn(self.connection().await?, command).await
    }

    async fn output(&self, command: &std::process::Command) -> io::Result<Output> {
        output(self.connection().await?, command).await
    }

    async fn known(&self) -> io::Result<Arc<Known>> {
        Ok(connected(self.connection().await?).await?.programs_known.clone())
    }
}

/// A program that an agent runs.
#[derive(Debug)]
struct Relayed {
    program: String,
    /// Keeps the connection to the agent alive.
    connection: Lease,
    session: Arc<Session>,
    state: State,
}

#[derive(Debug)]
enum State {
    Runs(Request),
    /// The order to end the program has been given, and its status will not be reported.
    Stopped,
    /// The connection to the agent has ended.
    Lost,
    Ended(Result<ExitStatus, Arc<io::Error>>),
}

/// Starts a program. Its streams can be used at once. If it cannot be started, waiting for it
/// returns the reason.
pub(crate) async fn spawn(connection: &Lease, command: &std::process::Command) -> io::Result<Link> {
    let session = connected(connection).await?;
    session.extend(Part::Relay).await;
    let options = || RequestOptions::new().order(Order::AfterNotices);
    let failed = |error: chopsticks_transport::TransportError| io::Error::other(error);
    let mut errors = session.handle.request_with(
        Operation::application(operation::STDERR),
        Format::Marshal,
        EMPTY,
        options().with_reader(),
    );
    // One that could not be made has no number, and what follows fails alike.
    let number = errors.id().map_or(0, |id| id.number());
    let payload = message(command, number).encode().map_err(io::Error::other)?;
    let options = options().with_reader().with_writer().initial_credit(INITIAL_CREDIT);
    let mut request = session.handle.request_with(
        Operation::application(operation::SPAWN),
        Format::Marshal,
        payload,
        options,
    );
    let stdin = Stdin(Some(request.writer().map_err(failed)?));
    let stdout = request.reader().map_err(failed)?;
    let stderr = Stderr { reader: errors.reader().map_err(failed)?, _request: errors };
    let program = command.get_program().to_string_lossy().into_owned();
    let relayed = Relayed { program, connection: connection.clone(), session, state: State::Runs(request) };
    Ok(Link::launched(stdin, stdout, stderr, relayed))
}

/// Runs a program to its end, with an empty stdin.
async fn output(connection: &Lease, command: &std::process::Command) -> io::Result<Output> {
    let LinkParts { stdin, stdout, stderr, mut process, .. } = spawn(connection, command).await?.into_parts();
    drop(stdin);
    let read = async |stream: Box<dyn AsyncRead + Send + Unpin>| {
        let mut text = Vec::new();
        // How far it came is all there is if it was broken off.
        let _ = stream.take(MAX_OUTPUT).read_to_end(&mut text).await;
        text
    };
    let (stdout, stderr) = tokio::join!(read(stdout), read(stderr));
    Ok(Output { status: process.wait().await?, stdout, stderr })
}

/// Waits for an agent that can run programs.
async fn connected(connection: &Connection) -> io::Result<Arc<Session>> {
    loop {
        let session = connection.session().await.map_err(io::Error::other)?;
        match session.handle.hello().await {
            Ok(_) => return Ok(session),
            Err(_) => connection.after(&session).await.map_err(io::Error::other)?,
        }
    }
}

fn message(command: &std::process::Command, stderr: u32) -> Spawn {
    let bytes = |text: &OsStr| text.as_bytes().to_vec();
    let argv = [command.get_program()].into_iter().chain(command.get_args()).map(bytes).collect();
    let env = command.get_envs().map(|(name, value)| (bytes(name), value.map(bytes))).collect();
    let cwd = command.get_current_dir().map(|folder| bytes(folder.as_os_str()));
    Spawn { argv, env, cwd, stderr }
}

#[async_trait]
impl Program for Relayed {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let State::Runs(request) = &mut self.state {
            self.state = match request.await {
                Ok(reply) => State::Ended(self.status(&reply)),
                // The connection goes on: its end is not to be waited for.
                Err(error) if !error.is_disconnected() => {
                    State::Ended(Err(Arc::new(io::Error::other(error))))
                }
                Err(_) => State::Lost,
            };
        }
        match &self.state {
            State::Ended(result) => result.as_ref().copied().map_err(shared),
            State::Lost => {
                // Why there is no agent any more; what it answers is not another session, for this one was established.
                let error = self.connection.after(&self.session).await.err();
                let error = error.map_or_else(|| io::ErrorKind::NotConnected.into(), io::Error::other);
                Err(error)
            }
            State::Runs(_) | State::Stopped => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    async fn failure(&mut self) -> Option<io::Error> {
        match &self.state {
            State::Ended(Err(error)) => Some(shared(error)),
            State::Lost => self.wait().await.err(),
            _ => None,
        }
    }

    fn stop(&mut self) {
        if matches!(self.state, State::Runs(_)) {
            self.state = State::Stopped;
        }
    }
}

impl Relayed {
    fn status(&self, reply: &Answer) -> Result<ExitStatus, Arc<io::Error>> {
        let invalid = |error| Arc::new(io::Error::new(io::ErrorKind::InvalidData, error));
        if reply.kind == AnswerKind::Reply {
            let Exit { status } = Exit::decode(&reply.payload).map_err(invalid)?;
            return Ok(exit_status(status));
        }
        if reply.format == Format::None {
            return Err(Arc::new(io::Error::other("the agent has given up")));
        }
        let Failure { errno, message, path } = Failure::decode(&reply.payload).map_err(invalid)?;
        let path = String::from_utf8_lossy(&path).into_owned();
        let (program, source) = match errno {
            0 => (path, io::Error::other(harmless(&message).into_owned())),
            // The agent looks at the folder before it starts the program.
            number if number == Errno::NOTDIR.raw_os_error() && path != self.program => {
                (String::new(), missing_folder(&path))
            }
            number => (path, io::Error::from_raw_os_error(number)),
        };
        let program = if program.is_empty() { self.program.clone() } else { program };
        Err(Arc::new(io::Error::new(source.kind(), SpawnError::new(program, source))))
    }
}

/// Converts a status in Python's form, which is negative for the signal that killed a program.
fn exit_status(status: i32) -> ExitStatus {
    // As the kernel writes it: the number of a signal, or the status in the second byte.
    ExitStatus::from_raw(if status < 0 { status.wrapping_neg() & 0x7f } else { (status & 0xff) << 8 })
}

/// Returns a copy of a shared error.
fn shared(error: &Arc<io::Error>) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<SpawnError>()) {
        Some(inner) => io::Error::new(error.kind(), inner.again()),
        None => io::Error::new(error.kind(), error.clone()),
    }
}

/// The program's stdin. Dropping it closes it, like a pipe.
#[derive(Debug)]
struct Stdin(Option<StreamWriter>);

impl AsyncWrite for Stdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(writer) => Pin::new(writer).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.take() {
            Some(writer) => Poll::Ready(writer.finish().map_err(io::Error::from)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            // A program that takes no more has ended or is about to.
            let _ = writer.finish();
        }
    }
}

/// The program's stderr.
#[derive(Debug)]
struct Stderr {
    reader: StreamReader,
    /// Dropping it before its answer would end the stream.
    _request: Request,
}

impl AsyncRead for Stderr {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

/// The bytes of stdin that the agent accepts before it has given credit: a packed agent, its first
/// modules and its first call.
const INITIAL_CREDIT: u32 = 64 << 10;
/// Far more than the output of any program that is run for its output.
const MAX_OUTPUT: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_that_of_the_program_whatever_the_agent_says() {
        assert_eq!(exit_status(7).code(), Some(7));
        assert_eq!(exit_status(-9).signal(), Some(9));
        assert!(exit_status(0).success());
        for odd in [i32::MIN, i32::MAX, -128, 256] {
            let _ = exit_status(odd).to_string();
        }
    }

    #[test]
    fn command_is_sent_as_it_was_composed() {
        let mut command = std::process::Command::new("ssh");
        command.args(["-T", "web1"]).env("A", "1").env_remove("B").current_dir("/srv");
        let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        let expected = Spawn {
            argv: texts(&["ssh", "-T", "web1"]),
            env: vec![(b"A".to_vec(), Some(b"1".to_vec())), (b"B".to_vec(), None)],
            cwd: Some(b"/srv".to_vec()),
            stderr: 8,
        };
        assert_eq!(message(&command, 8), expected);
    }
}
