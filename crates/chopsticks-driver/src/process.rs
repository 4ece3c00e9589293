//! The program that a driver starts, its pipes and its end.

use std::{fmt, io, pin::Pin, process::ExitStatus};

use rustix::process::{Pid, Signal};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    process::{Child, Command},
};

use crate::{forked::Listed, launcher::Program};

/// A started interpreter: its process, if it is a child of the controller, and its stdin, stdout
/// and stderr.
pub struct Link(LinkParts);

/// The parts of a [`Link`].
#[non_exhaustive]
pub struct LinkParts {
    /// The interpreter's stdin.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// The interpreter's stdout.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// The interpreter's stderr.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// The program.
    pub process: Process,
    /// What to do when the program has ended in any way other than by itself with status 0.
    pub clean_up: Option<CleanUp>,
}

/// A future that cleans up after a program.
pub type CleanUp = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The program that a driver started.
#[derive(Debug)]
pub struct Process(Kind);

#[derive(Debug)]
enum Kind {
    Child(Child),
    /// A process that is not a child of the controller. Only the end of its streams is known.
    Foreign,
    /// A program that a launcher starts and ends.
    Launched(Box<dyn Program>),
}

/// Error for a program that could not be started, with its name. It is the content of the
/// [`io::Error`] of [`AgentCommand::spawn`](crate::AgentCommand::spawn).
#[derive(Debug, Error)]
#[error("cannot start {program}")]
pub struct SpawnError {
    program: String,
    source: io::Error,
}

/// Returns the error for a program that should start in a path that is not a folder. The system's
/// error could be mistaken for that of the program.
pub fn missing_folder(folder: &str) -> io::Error {
    let text = format!("the working directory {folder} is not a folder");
    io::Error::new(io::ErrorKind::NotADirectory, text)
}

impl Link {
    /// Starts `command` here, with pipes for stdin, stdout and stderr, regardless of its own
    /// settings for these, and in a process group of its own.
    ///
    /// Use [`AgentCommand::spawn`](crate::AgentCommand::spawn) instead if the driver should also
    /// work through other tunnels.
    ///
    /// # Errors
    ///
    /// The errors of [`Command::spawn`].
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        // Ctrl-C on the controller's terminal is the controller's affair.
        command.process_group(0);
        Self::spawn_as_it_is(command)
    }

    /// Starts a command like [`spawn`](Self::spawn), without making it the leader of a process group:
    /// it makes itself the leader of a session.
    pub(crate) fn spawn_as_it_is(mut command: Command) -> io::Result<Self> {
        use std::process::Stdio;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| {
            let program = command.as_std().get_program().to_string_lossy().into_owned();
            io::Error::new(source.kind(), SpawnError { program, source })
        })?;
        let missing = || io::Error::other("the process was started without one of its pipes");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        // Larger pipes let the two sides work at once. A user over the limit for pipe pages keeps the usual size.
        #[cfg(target_os = "linux")]
        {
            let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE_LEN);
            let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_LEN);
        }
        Ok(Self::of(Listed::new(stdin), Listed::new(stdout), Listed::new(stderr), Kind::Child(child)))
    }

    /// Creates a link from the streams of an interpreter that was started elsewhere, such as a
    /// socket to it.
    ///
    /// The end of `stdin` has to end the interpreter, because nothing else is done to end it. If
    /// there is no separate stream for stderr, use [`tokio::io::empty`].
    pub fn from_streams(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        stderr: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        Self::of(stdin, stdout, stderr, Kind::Foreign)
    }

    /// Creates a link from the streams of a program that a [`Launcher`](crate::Launcher) started.
    pub fn launched(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        stderr: impl AsyncRead + Send + Unpin + 'static,
        program: impl Program + 'static,
    ) -> Self {
        Self::of(stdin, stdout, stderr, Kind::Launched(Box::new(program)))
    }

    /// Creates a link from the parts of another one.
    pub(crate) fn of_parts(
        stdin: Box<dyn AsyncWrite + Send + Unpin>,
        stdout: Box<dyn AsyncRead + Send + Unpin>,
        stderr: Box<dyn AsyncRead + Send + Unpin>,
        process: Process,
        clean_up: Option<CleanUp>,
    ) -> Self {
        Self(LinkParts { stdin, stdout, stderr, process, clean_up })
    }

    /// Returns the number of the process, if it is a child of the controller.
    pub(crate) fn id(&self) -> Option<u32> {
        match &self.0.process.0 {
            Kind::Child(child) => child.id(),
            Kind::Foreign | Kind::Launched(_) => None,
        }
    }

    fn of(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        stderr: impl AsyncRead + Send + Unpin + 'static,
        process: Kind,
    ) -> Self {
        Self(LinkParts {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            process: Process(process),
            clean_up: None,
        })
    }

    /// Returns whether a [`Launcher`](crate::Launcher) started the program.
    pub fn is_launched(&self) -> bool {
        matches!(self.0.process.0, Kind::Launched(_))
    }

    /// Creates a link from the parts of one.
    pub(crate) fn from_parts(parts: LinkParts) -> Self {
        Self(parts)
    }

    /// Returns the parts.
    pub fn into_parts(self) -> LinkParts {
        self.0
    }

    /// Sets what to do when the program has ended in any way other than by itself with status 0:
    /// removing what it may have left behind.
    ///
    /// The future has 10 seconds. It does not run if the runtime is shut down or the controller is
    /// killed, so a driver must not rely on it alone: what is left behind should also end with the
    /// agent.
    #[must_use]
    pub fn clean_up(mut self, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.0.clean_up = Some(Box::pin(work));
        self
    }
}

impl SpawnError {
    /// Creates the error of a program.
    pub fn new(program: String, source: io::Error) -> Self {
        Self { program, source }
    }

    /// Returns the program, and the reason why it could not be started.
    pub fn into_parts(self) -> (String, io::Error) {
        (self.program, self.source)
    }

    /// Returns a copy of the error.
    pub fn again(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self { program: self.program.clone(), source }
    }
}

impl fmt::Debug for LinkParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkParts").field("process", &self.process).finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("process", &self.0.process).finish_non_exhaustive()
    }
}

impl Process {
    /// Waits for the end of the process.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: nothing is lost if the future is dropped.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Kind::Child(child) => child.wait().await,
            Kind::Foreign => std::future::pending().await,
            Kind::Launched(program) => program.wait().await,
        }
    }

    /// Returns whether the process can be waited for.
    pub fn is_ours(&self) -> bool {
        !matches!(self.0, Kind::Foreign)
    }

    /// For a process that was waited for, returns why it never ran, or why nothing is known of it
    /// any more. Returns `None` if its end is known.
    pub async fn failure(&mut self) -> Option<io::Error> {
        match &mut self.0 {
            Kind::Launched(program) => program.failure().await,
            Kind::Child(_) | Kind::Foreign => None,
        }
    }

    /// Asks the process, and the group that it leads, to end.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Kills the process, and the group that it leads.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    fn signal(&mut self, signal: Signal) {
        // `id` is `None` once the child was waited for, so the number is still its own. A process that is
        // gone, or of another user, is no error here: what matters is whether `wait` returns.
        let pid = match &mut self.0 {
            Kind::Child(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Kind::Foreign => None,
            // Whoever runs it goes from the first signal to the second by itself.
            Kind::Launched(program) => {
                program.stop();
                None
            }
        };
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, signal);
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    /// An agent ends with its pipes. A program that never became an agent need not end, and nothing
    /// else would end it when the runtime is shut down.
    fn drop(&mut self) {
        self.terminate();
    }
}

/// More than four frames.
#[cfg(target_os = "linux")]
const PIPE_LEN: usize = 1 << 20;
