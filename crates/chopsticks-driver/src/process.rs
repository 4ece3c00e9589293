//! The program that a driver starts: its pipes, its end.

use std::{fmt, io, pin::Pin, process::ExitStatus};

use rustix::process::{Pid, Signal};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    process::{Child, Command},
};

use crate::launcher::Program;

/// A started interpreter: its process, if that is the controller's child, and its stdin, stdout and stderr.
pub struct Link(LinkParts);

/// What a [`Link`] is made of.
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
    /// What is done once the program has ended otherwise than by itself and with status 0.
    pub clean_up: Option<CleanUp>,
}

/// What is done behind a program.
pub type CleanUp = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The program that a driver started.
#[derive(Debug)]
pub struct Process(Kind);

#[derive(Debug)]
enum Kind {
    Child(Child),
    /// Somebody else's: the end of its streams is all there is to know and to do.
    Foreign,
    /// One that somebody else starts and ends for us.
    Launched(Box<dyn Program>),
}

/// Why a program could not be started, with its name; the content of the [`io::Error`] of [`AgentCommand::spawn`](crate::AgentCommand::spawn).
#[derive(Debug, Error)]
#[error("cannot start {program}")]
pub struct SpawnError {
    program: String,
    source: io::Error,
}

/// Returns the error for a program that is to start in what is not a folder: the system's would be taken for that of the program.
pub fn missing_folder(folder: &str) -> io::Error {
    let text = format!("the working directory {folder} is not a folder");
    io::Error::new(io::ErrorKind::NotADirectory, text)
}

impl Link {
    /// Starts `command` here, with pipes for stdin, stdout and stderr, whatever it says of these, and in a process group of its own.
    ///
    /// A driver that uses [`AgentCommand::spawn`](crate::AgentCommand::spawn) in its place can go through other tunnels.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`].
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        use std::process::Stdio;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on the controller's terminal is the controller's affair.
        command.process_group(0);
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
        Ok(Self::of(stdin, stdout, stderr, Kind::Child(child)))
    }

    /// Takes the streams of an interpreter that somebody else has started, such as a socket to it.
    ///
    /// The end of `stdin` has to end the interpreter, for nothing else is done to that end. Without a stream of its own for stderr,
    /// [`tokio::io::empty`] will do.
    pub fn from_streams(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        stderr: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        Self::of(stdin, stdout, stderr, Kind::Foreign)
    }

    /// Takes the streams of a program that a [`Launcher`](crate::Launcher) started.
    pub fn launched(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
        stderr: impl AsyncRead + Send + Unpin + 'static,
        program: impl Program + 'static,
    ) -> Self {
        Self::of(stdin, stdout, stderr, Kind::Launched(Box::new(program)))
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

    /// Takes it apart.
    pub fn into_parts(self) -> LinkParts {
        self.0
    }

    /// Sets what is done once the program has ended otherwise than by itself and with status 0: the removal of what it may have left behind.
    ///
    /// It has 10 seconds. It does not run if the runtime is shut down or the controller killed, so it must not be all that a driver relies
    /// on: see to it that what is left ends with the agent too.
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

    /// Returns the program, and why it could not be started.
    pub fn into_parts(self) -> (String, io::Error) {
        (self.program, self.source)
    }

    /// Returns the same once more.
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
    /// Nothing is lost when the future is dropped.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Kind::Child(child) => child.wait().await,
            Kind::Foreign => std::future::pending().await,
            Kind::Launched(program) => program.wait().await,
        }
    }

    /// Returns whether it can be waited for.
    pub fn is_ours(&self) -> bool {
        !matches!(self.0, Kind::Foreign)
    }

    /// Returns why there never was such a process, or why nothing is known of it any more, if so; for one that was waited for.
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

    /// Ends the process, and the group that it leads.
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
    /// An agent ends with its pipes; a program that never became one need not, and nobody is left to see to it when
    /// the runtime goes.
    fn drop(&mut self) {
        self.terminate();
    }
}

/// Four times a frame and more.
#[cfg(target_os = "linux")]
const PIPE_LEN: usize = 1 << 20;
