//! Drivers: how an interpreter is started.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    process::{Output, Stdio},
    sync::Arc,
};

use async_trait::async_trait;

use crate::{
    hint::{Hint, Symptoms},
    host::HostName,
    interpreter::Interpreter,
    launcher::{Known, Launcher},
    options::AgentOptions,
    process::Link,
    quote::command_line,
};

pub use self::{
    command::Command,
    container::{
        Attached, Container, ContainerInfo, Docker, DockerEngine, DockerExec, Engine, Podman, PodmanEngine,
        PodmanExec,
    },
    local::Local,
    ssh::Ssh,
    sudo::Sudo,
};

mod command;
mod container;
mod local;
mod setup;
mod ssh;
mod sudo;

/// Starts a Python interpreter somewhere, with pipes for its stdin, stdout and stderr.
///
/// Whatever runs a command with its three streams passed through untouched will do: `ssh`, `docker run -i`, `sudo`, `srun`. Where an
/// argument vector is all that it takes, [`Command`] is the driver. An implementation of one's own mostly composes such a vector, which ends
/// in [`AgentCommand::argv`], and hands it to [`AgentCommand::spawn`].
///
/// ```
/// use chopsticks_driver::{AgentCommand, Driver, HostName, Interpreter, Link};
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
///         command.args(agent.argv(&Interpreter::auto()));
///         agent.spawn(command).await
///     }
/// }
///
/// assert_eq!(Nice.host().as_str(), "nice");
/// ```
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// Returns the name of the host: the key of its results.
    fn host(&self) -> HostName;

    /// Returns what the agent is to set up; it goes before what the configuration of its tunnel says. By default nothing.
    fn options(&self) -> AgentOptions {
        AgentOptions::new()
    }

    /// Returns the same for an agent that is started from the far side of a tunnel, where paths are those of that host. By default what
    /// [`options`](Self::options) returns.
    fn options_elsewhere(&self) -> AgentOptions {
        self.options()
    }

    /// Whether a connection has to end, and what it leaves to be removed, before the next one of the tunnel begins, as with
    /// containers of a given name. By default not.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Returns what names the server that is connected to, if it may refuse connections when many come at once, as SSH servers do.
    ///
    /// Tunnels with the same destination take turns at connecting, and try again when ssh says that it was refused for that. By
    /// default none.
    fn destination(&self) -> Option<String> {
        None
    }

    /// Returns whether the user has asked for no messages of the program that starts the interpreter, as by ssh's `LogLevel ERROR`.
    ///
    /// What it has said before the agent answered is then kept for errors, and not passed on. This is asked only if it has said
    /// something. By default not.
    async fn is_quiet(&self, agent: &AgentCommand) -> bool {
        let _ = agent;
        false
    }

    /// Tells the cause of a connection that no agent answered, if the driver knows it. By default the causes are told that are known
    /// of ssh, sudo, docker and podman.
    fn hint(&self, symptoms: &Symptoms<'_>) -> Option<Hint> {
        let _ = symptoms;
        None
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

/// What the interpreter has to be given as arguments, and where it is started.
#[derive(Clone, Debug)]
pub struct AgentCommand {
    arguments: Vec<OsString>,
    launcher: Option<Arc<dyn Launcher>>,
}

impl AgentCommand {
    /// Creates a command that gives `arguments` to the interpreter, and is started here.
    pub fn new(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { arguments: arguments.into_iter().map(Into::into).collect(), launcher: None }
    }

    /// For programs that are run here, and get none of the arguments.
    pub(crate) fn here() -> Self {
        Self { arguments: Vec::new(), launcher: None }
    }

    /// Returns the same, started by `launcher`.
    #[must_use]
    pub fn by(self, launcher: Arc<dyn Launcher>) -> Self {
        Self { launcher: Some(launcher), ..self }
    }

    /// Returns whether the agent is started here, and not from the far side of a tunnel.
    pub fn is_here(&self) -> bool {
        self.launcher.is_none()
    }

    /// Starts `command` with pipes for stdin, stdout and stderr, whatever it says of these: here, in a process group of its own, or on the far side of
    /// the tunnel that it goes through. Of the command its program, arguments, environment and working directory count, and all that they name is there.
    ///
    /// # Errors
    ///
    /// Those of [`tokio::process::Command::spawn`], or why that tunnel has no connection. That a program cannot be started on the far side is told when the
    /// connection fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no process behind.
    pub async fn spawn(&self, command: tokio::process::Command) -> io::Result<Link> {
        match &self.launcher {
            None => Link::spawn(command),
            Some(launcher) => launcher.spawn(command.as_std()).await,
        }
    }

    /// Runs a program to its end, where the agent is started from, with nothing on its stdin.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program.
    pub(crate) async fn output(&self, mut command: tokio::process::Command) -> io::Result<Output> {
        match &self.launcher {
            None => command.stdin(Stdio::null()).process_group(0).kill_on_drop(true).output().await,
            Some(launcher) => launcher.output(command.as_std()).await,
        }
    }

    /// Returns what is known of the programs where the agent is started, if that is not here.
    pub(crate) async fn known(&self) -> io::Result<Option<Arc<Known>>> {
        match &self.launcher {
            None => Ok(None),
            Some(launcher) => launcher.known().await.map(Some),
        }
    }

    /// Returns the arguments of the interpreter.
    ///
    /// They are plain ASCII without quotes, backslashes, `!` or newlines: in single quotes any shell passes them on unharmed.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Returns the argument vector that starts `interpreter` with these arguments.
    pub fn argv(&self, interpreter: &Interpreter) -> Vec<OsString> {
        interpreter.argv(&self.arguments)
    }

    /// Returns one line for a shell that runs `prefix`, such as `sudo -n --`, followed by what [`argv`](Self::argv) returns.
    ///
    /// It means the same to sh, dash, bash, zsh, fish, csh, tcsh and busybox, and replaces the shell, by `exec`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if a word has a newline, a carriage return or a NUL, which not every shell can be given.
    pub fn shell_line(&self, prefix: &[&str], interpreter: &Interpreter) -> io::Result<OsString> {
        let argv = self.argv(interpreter);
        let words = ["exec"].iter().chain(prefix).map(|word| OsStr::new(*word));
        command_line(words.chain(argv.iter().map(OsString::as_os_str)))
    }
}

/// A driver that is shared starts what it starts.
#[async_trait]
impl<D: Driver + ?Sized> Driver for Arc<D> {
    fn host(&self) -> HostName {
        (**self).host()
    }

    fn options(&self) -> AgentOptions {
        (**self).options()
    }

    fn options_elsewhere(&self) -> AgentOptions {
        (**self).options_elsewhere()
    }

    fn is_exclusive(&self) -> bool {
        (**self).is_exclusive()
    }

    fn destination(&self) -> Option<String> {
        (**self).destination()
    }

    async fn is_quiet(&self, agent: &AgentCommand) -> bool {
        (**self).is_quiet(agent).await
    }

    fn hint(&self, symptoms: &Symptoms<'_>) -> Option<Hint> {
        (**self).hint(symptoms)
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        (**self).open(agent).await
    }
}
