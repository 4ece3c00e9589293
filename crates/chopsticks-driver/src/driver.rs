//! Drivers, which start an interpreter.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    process::{Output, Stdio},
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;

use crate::{
    defaults::{DefaultPythons, HasDefaultPython},
    hint::{Hint, Symptoms},
    host::HostName,
    interpreter::Interpreter,
    launcher::{Known, Launcher},
    options::AgentOptions,
    process::Link,
    quote::command_line,
    secret::Secrets,
};

#[cfg(feature = "containers")]
pub use self::container::{
    Attached, Compose, ContainerInfo, Docker, DockerEngine, DockerExec, Engine, NewContainer, Podman,
    PodmanEngine, PodmanExec,
};
pub use self::{
    command::Command,
    kubectl::Kubectl,
    local::Local,
    lxc::{Incus, Lxc},
    machine::{Machine, Nspawn},
    namespace::{Chroot, Nsenter},
    slurm::{Slurm, SlurmNode},
    ssh::Ssh,
    su::{Doas, Su},
    sudo::Sudo,
};

mod askpass;
mod command;
#[cfg(feature = "containers")]
mod container;
mod kubectl;
mod local;
mod lxc;
mod machine;
mod namespace;
mod program;
mod prompt;
mod setup;
mod slurm;
mod ssh;
mod su;
mod sudo;

/// Starts an agent somewhere, with pipes for its stdin, stdout and stderr: a Python interpreter, or
/// a program that needs none.
///
/// Any program that runs a command and passes its three streams through unchanged can be used:
/// `ssh`, `docker run -i`, `sudo`, `srun`. If an argument vector is enough, use [`Command`]. Most
/// implementations of this trait compose such a vector, which ends in [`AgentCommand::argv`], and
/// pass it to [`AgentCommand::spawn`].
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
    /// Returns the name of the host, which is the key of its results.
    fn host(&self) -> HostName;

    /// Returns the options of the agent. They override the options in the configuration of its
    /// tunnel. By default there are none.
    fn options(&self) -> AgentOptions {
        AgentOptions::new()
    }

    /// Returns the options of an agent that is started from the far side of a tunnel, where paths
    /// are those of that host. By default these are the [`options`](Self::options).
    fn options_elsewhere(&self) -> AgentOptions {
        self.options()
    }

    /// Returns whether a connection of the tunnel has to end, and to be cleaned up, before the next
    /// one begins, as with containers of a given name. By default this is not so.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Returns the name of the server to connect to, if it may refuse connections when many arrive
    /// at once, as SSH servers do.
    ///
    /// Tunnels with the same destination take turns at connecting, and try again when ssh reports
    /// such a refusal. By default there is no destination.
    fn destination(&self) -> Option<String> {
        None
    }

    /// Returns whether the user has switched off the messages of the program that starts the
    /// interpreter, as by ssh's `LogLevel ERROR`.
    ///
    /// The messages that it wrote before the agent answered are then kept for errors, and not
    /// passed on. This method is called only if there are such messages. By default they are passed
    /// on.
    async fn is_quiet(&self, agent: &AgentCommand) -> bool {
        let _ = agent;
        false
    }

    /// Returns whether the driver starts the agent as a child of this process and on the same files,
    /// with the [variables](AgentCommand::variables) of its command. By default this is not so.
    ///
    /// An agent in Rust is then this program itself, and not a copy of it.
    fn is_local(&self) -> bool {
        false
    }

    /// Returns the cause of a connection that no agent answered, if the driver knows it. By default
    /// these are the known causes of ssh, sudo, docker and podman.
    fn hint(&self, symptoms: &Symptoms<'_>) -> Option<Hint> {
        let _ = symptoms;
        None
    }

    /// Starts the interpreter with the arguments of `agent`.
    ///
    /// # Errors
    ///
    /// Any reason why the program cannot be started. Later messages of the program are read from
    /// its stderr.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must not leave a process behind.
    async fn open(&self, agent: &AgentCommand) -> io::Result<Link>;
}

/// The command of an agent, and the place where it is started: the arguments of an interpreter, or a
/// program with its arguments that needs no interpreter.
#[derive(Clone, Debug)]
pub struct AgentCommand {
    arguments: Vec<OsString>,
    /// Whether the arguments begin with the program itself.
    is_program: bool,
    variables: Vec<(OsString, OsString)>,
    launcher: Option<Arc<dyn Launcher>>,
    /// The interpreters of drivers that do not set their own.
    pythons: Arc<DefaultPythons>,
    /// The secrets of the tunnel's configuration.
    secrets: Secrets,
    /// The interpreter that the driver has named.
    interpreter: Arc<OnceLock<Interpreter>>,
}

impl AgentCommand {
    /// Creates a command that passes `arguments` to the interpreter, and is started here.
    pub fn new(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self {
            arguments,
            is_program: false,
            variables: Vec::new(),
            launcher: None,
            pythons: Arc::default(),
            secrets: Secrets::new(),
            interpreter: Arc::default(),
        }
    }

    /// Creates a command that runs a program with arguments, whatever interpreter the driver names,
    /// and is started here.
    pub fn program(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { is_program: true, ..Self::new(argv) }
    }

    /// Creates a command for programs that run here and get none of the arguments.
    #[cfg(feature = "containers")]
    pub(crate) fn here() -> Self {
        Self::new([] as [OsString; 0])
    }

    /// Sets an environment variable. Only drivers that are [local](Driver::is_local) set it, so only
    /// commands for them have any.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Returns the environment variables to set, in addition to those of this process.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the same command, started by `launcher`.
    #[must_use]
    pub fn by(self, launcher: Arc<dyn Launcher>) -> Self {
        Self { launcher: Some(launcher), ..self }
    }

    /// Returns the same command, with other default interpreters.
    #[must_use]
    pub fn with_default_pythons(self, pythons: Arc<DefaultPythons>) -> Self {
        Self { pythons, ..self }
    }

    /// Returns the interpreter of a driver of type `D`: its `own`, or else the default.
    pub(crate) fn python<D: HasDefaultPython>(&self, own: Option<&Interpreter>) -> Interpreter {
        own.cloned().unwrap_or_else(|| self.pythons.get::<D>())
    }

    /// Returns the same command, with the secrets for programs that ask for one. Secrets of a driver
    /// precede them.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// Returns the secrets for programs that ask for one.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Returns the same command, for an agent that writes `mark` to stderr before it reads stdin.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] if the arguments contain no code of the first stage.
    pub(crate) fn announcing(&self, mark: &str) -> io::Result<Self> {
        let mut announcing = self.clone();
        let option = announcing.arguments.iter().position(|argument| argument == "-c");
        let Some(code) = option.and_then(|at| announcing.arguments.get_mut(at + 1)) else {
            let text = "a password for sudo needs an agent that is started by `-c`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        };
        // That of a program is for `sh`, and that of an interpreter for Python.
        let mut text = OsString::from(match self.is_program {
            true => format!("printf %s \"{mark}\" >&2;"),
            false => format!("import os;os.write(2,b\"{mark}\");"),
        });
        text.push(&code);
        *code = text;
        Ok(announcing)
    }

    /// Returns whether the agent is started here, and not from the far side of a tunnel.
    pub fn is_here(&self) -> bool {
        self.launcher.is_none()
    }

    /// Starts `command` with pipes for stdin, stdout and stderr, regardless of its own settings for
    /// these. The program runs in a process group of its own here, or on the far side of the tunnel
    /// that this driver goes through. The program, arguments, environment and working directory of
    /// the command are used, and refer to the host where it is started.
    ///
    /// # Errors
    ///
    /// The errors of [`tokio::process::Command::spawn`], or the reason why that tunnel has no
    /// connection. If a program cannot be started on the far side, the failed connection reports
    /// it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not leave a process behind.
    pub async fn spawn(&self, command: tokio::process::Command) -> io::Result<Link> {
        match &self.launcher {
            None => Link::spawn(command),
            Some(launcher) => launcher.spawn(command.as_std()).await,
        }
    }

    /// Runs a program to its end with an empty stdin, on the host where the agent is started.
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

    /// Returns the known properties of the programs on the host where the agent is started, if that
    /// is not this host.
    pub(crate) async fn known(&self) -> io::Result<Option<Arc<Known>>> {
        match &self.launcher {
            None => Ok(None),
            Some(launcher) => launcher.known().await.map(Some),
        }
    }

    /// Returns the arguments of the interpreter, or the program with its arguments if the agent needs
    /// no interpreter.
    ///
    /// They are plain ASCII without single quotes, backslashes, `!` or newlines. In single quotes,
    /// any shell passes them on unchanged.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Returns the argument vector that starts the agent: `interpreter` with these arguments, or a
    /// program that needs no interpreter.
    pub fn argv(&self, interpreter: &Interpreter) -> Vec<OsString> {
        let _ = self.interpreter.set(interpreter.clone());
        if self.is_program {
            return self.arguments.clone();
        }
        interpreter.argv(&self.arguments)
    }

    /// Returns the interpreter for which a driver has asked first, by [`argv`](Self::argv) or
    /// [`shell_line`](Self::shell_line), also if the agent needs none.
    pub fn interpreter(&self) -> Option<&Interpreter> {
        self.interpreter.get()
    }

    /// Returns one line for a shell that runs `prefix`, such as `sudo -n --`, followed by what [`argv`](Self::argv) returns.
    ///
    /// It has the same meaning in sh, dash, bash, zsh, fish, csh, tcsh and busybox, and replaces
    /// the shell, by `exec`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if a word contains a newline, a carriage return or a NUL,
    /// which cannot be passed to every shell.
    pub fn shell_line(&self, prefix: &[&str], interpreter: &Interpreter) -> io::Result<OsString> {
        let argv = self.argv(interpreter);
        let words = ["exec"].iter().chain(prefix).map(|word| OsStr::new(*word));
        command_line(words.chain(argv.iter().map(OsString::as_os_str)))
    }
}

/// A shared driver behaves like the driver itself.
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
