//! Drivers: how an interpreter is started.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    process::{Output, Stdio},
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;

use crate::{
    connection::Connection,
    hint::{Hint, Symptoms},
    host::HostName,
    interpreter::Interpreter,
    options::AgentOptions,
    process::Link,
    quote::command_line,
    relay,
    tunnel::Tunnel,
};

pub(crate) use self::via::SharedParent;
pub use self::{
    command::Command,
    container::{
        Attached, Container, ContainerInfo, Docker, DockerEngine, DockerExec, Engine, Podman, PodmanEngine,
        PodmanExec,
    },
    local::Local,
    ssh::Ssh,
    sudo::Sudo,
    via::Via,
};

mod command;
mod container;
mod local;
mod setup;
mod ssh;
mod sudo;
mod via;

/// Starts a Python interpreter somewhere, with pipes for its stdin, stdout and stderr.
///
/// Whatever runs a command with its three streams passed through untouched will do: `ssh`, `docker run -i`, `sudo`, `srun`. Where an
/// argument vector is all that it takes, [`Command`] is the driver. An implementation of one's own mostly composes such a vector, which ends
/// in [`AgentCommand::argv`], and hands it to [`AgentCommand::spawn`].
///
/// ```
/// use chopsticks_tunnel::{AgentCommand, Driver, HostName, Interpreter, Link, Local, Tunnel, Via};
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
/// let tunnel = Tunnel::new(Nice);
/// assert_eq!(tunnel.host().as_str(), "nice");
/// let there = Tunnel::new(Via::new(Nice, &Tunnel::new(Local::new())));
/// ```
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// Returns the name of the host: the key of its results.
    fn host(&self) -> HostName;

    /// Returns what the agent is to set up; it goes before what [`TunnelConfig`](crate::TunnelConfig) says. By default nothing.
    fn options(&self) -> AgentOptions {
        AgentOptions::new()
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

    /// Returns the tunnel that this one goes through: see [`Via`]. By default none.
    fn parent(&self) -> Option<Tunnel> {
        None
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

/// What the interpreter has to be given as arguments.
#[derive(Clone, Debug)]
pub struct AgentCommand {
    arguments: Vec<OsString>,
    place: Option<Arc<Place>>,
}

/// The far side of a tunnel, where programs are to be started.
#[derive(Debug)]
struct Place {
    parent: Tunnel,
    /// All that belongs to one agent is started over one connection: if that has ended, it has ended too.
    connection: OnceLock<Arc<Connection>>,
}

impl Place {
    fn connection(&self) -> &Arc<Connection> {
        self.connection.get_or_init(|| self.parent.connection())
    }
}

impl AgentCommand {
    pub(crate) fn new() -> Self {
        // No user site, no site: user code finds the standard library and the codebase, and the start costs half.
        // No variables of Python: a `PYTHONPATH` would come before both.
        let arguments = ["-s", "-S", "-E", "-c", chopsticks_agent::FIRST_STAGE];
        Self { arguments: arguments.map(OsString::from).to_vec(), place: None }
    }

    /// The same, started from the far side of a tunnel; of one that goes through another already, that of the other.
    pub(crate) fn through(mut self, parent: Tunnel) -> Self {
        self.place.get_or_insert_with(|| Arc::new(Place { parent, connection: OnceLock::new() }));
        self
    }

    /// Returns the tunnel from whose far side the agent is started, or `None` if that is done here.
    pub fn parent(&self) -> Option<&Tunnel> {
        self.place.as_ref().map(|place| &place.parent)
    }

    /// Starts `command` with pipes for stdin, stdout and stderr, whatever it says of these: here, in a process group of its own, or on the far side of
    /// [`parent`](Self::parent). Of the command its program, arguments, environment and working directory count, and all that they name is there.
    ///
    /// # Errors
    ///
    /// Those of [`tokio::process::Command::spawn`], or why the parent has no connection. That a program cannot be started on the far side is told when the
    /// connection fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no process behind.
    pub async fn spawn(&self, command: tokio::process::Command) -> io::Result<Link> {
        match &self.place {
            None => Link::spawn(command),
            Some(place) => relay::spawn(place.connection(), command.as_std()).await,
        }
    }

    /// Runs a program to its end, where the agent is started from, with nothing on its stdin.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program.
    pub(crate) async fn output(&self, mut command: tokio::process::Command) -> io::Result<Output> {
        match &self.place {
            None => command.stdin(Stdio::null()).process_group(0).kill_on_drop(true).output().await,
            Some(place) => relay::output(place.connection(), command.as_std()).await,
        }
    }

    /// What is known of programs there, once for each connection of the parent; `None` if that is here.
    pub(crate) async fn session(&self) -> io::Result<Option<Arc<crate::connection::Session>>> {
        match &self.place {
            None => Ok(None),
            Some(place) => relay::connected(place.connection()).await.map(Some),
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
