//! Drivers: how an interpreter is started, and the pipes to it.

use std::{ffi::OsString, fmt, io, process::ExitStatus};

use async_trait::async_trait;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::host::HostName;

pub use self::local::Local;

mod local;

/// Starts a Python interpreter somewhere, with pipes for its stdin, stdout and stderr.
///
/// Whatever runs a command with its three streams passed through untouched will do: `ssh`, `docker run -i`, `sudo`, `srun`.
/// An implementation mostly composes an argument vector that ends in the interpreter and
/// [`AgentCommand::arguments`], and hands it to [`Link::spawn`].
///
/// ```
/// use chopsticks_tunnel::{AgentCommand, Driver, HostName, Link, Tunnel};
///
/// #[derive(Debug)]
/// struct Nice;
///
/// #[async_trait::async_trait]
/// impl Driver for Nice {
///     fn host(&self) -> HostName {
///         HostName::lossy("nice")
///     }
///
///     async fn open(&self, agent: &AgentCommand) -> std::io::Result<Link> {
///         let mut command = tokio::process::Command::new("nice");
///         command.arg("/usr/bin/python3").args(agent.arguments());
///         Link::spawn(command)
///     }
/// }
///
/// let tunnel = Tunnel::new(Nice);
/// assert_eq!(tunnel.host().as_str(), "nice");
/// ```
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// Returns the name of the host: the key of its results.
    fn host(&self) -> HostName;

    /// Returns what [`open`](Self::open) runs, for messages.
    fn program(&self) -> String {
        self.host().to_string()
    }

    /// Starts the interpreter with the arguments of `agent`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the program from being started; what it says later is read from its stderr.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must leave no process behind.
    async fn open(&self, agent: &AgentCommand) -> io::Result<Link>;
}

/// What the interpreter has to be given as arguments.
#[derive(Clone, Debug)]
pub struct AgentCommand {
    arguments: Vec<OsString>,
}

/// A started interpreter: its process, and pipes for its stdin, stdout and stderr.
#[derive(Debug)]
pub struct Link {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
    pub(crate) process: Process,
}

/// The program that a driver started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl AgentCommand {
    pub(crate) fn new() -> Self {
        // No user site, no site: user code finds the standard library and the codebase, and the start costs half.
        let arguments = ["-s", "-S", "-c", chopsticks_agent::FIRST_STAGE];
        Self { arguments: arguments.map(OsString::from).to_vec() }
    }

    /// Returns the arguments of the interpreter.
    ///
    /// They are plain ASCII without quotes, backslashes, `!` or newlines: in single quotes any shell passes them on unharmed.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }
}

impl Link {
    /// Starts `command` with pipes for stdin, stdout and stderr, whatever it says of these.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`].
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        use std::process::Stdio;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on the controller's terminal is the controller's affair.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let missing = || io::Error::other("the process was started without a pipe that was asked for");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        // Larger pipes let the two sides work at once. A user over the limit for pipe pages keeps the usual size.
        #[cfg(target_os = "linux")]
        {
            let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE_LEN);
            let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_LEN);
        }
        Ok(Self { stdin, stdout, stderr, process: Process { child } })
    }
}

impl Process {
    /// Waits for the end of the process.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the process, and the group that it leads, to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the process, and the group that it leads.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // `id` is `None` once the child was waited for, so the number is still its own. A process that is
        // gone, or of another user, is no error here: what matters is whether `wait` returns.
        let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return };
        let _ = rustix::process::kill_process_group(pid, signal);
        let _ = rustix::process::kill_process(pid, signal);
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
