//! New containers, by Docker or Podman.

use std::{
    ffi::OsString,
    hash::{BuildHasher as _, RandomState},
    io,
    marker::PhantomData,
};

use async_trait::async_trait;
use tokio::process::Command;

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand, Driver,
        setup::{Setup, setup_methods},
    },
    host::HostName,
    interpreter::Interpreter,
    options::AgentOptions,
    process::Link,
    quiet::Quiet,
};

pub use self::{
    attached::Attached,
    compose::Compose,
    engine::{DockerEngine, Engine, PodmanEngine},
    listing::ContainerInfo,
};
use self::{controller::ControllerId, listing::CONTROLLER_LABEL};

mod attached;
mod compose;
mod controller;
mod engine;
mod listing;
mod persistent;

/// Runs the agent in a new container, by Docker.
///
/// ```
/// use chopsticks_driver::Docker;
///
/// let clean = Docker::new("clean").image("python:3.13-slim").network("none");
/// let running = Docker::attach("web");
/// # let _ = (clean, running);
/// ```
pub type Docker = NewContainer<DockerEngine>;

/// Runs the agent in a new container, by Podman.
pub type Podman = NewContainer<PodmanEngine>;

/// Runs the agent in a running container, by Docker: [`Docker::attach`].
pub type DockerExec = Attached<DockerEngine>;

/// Runs the agent in a running container, by Podman: [`Podman::attach`].
pub type PodmanExec = Attached<PodmanEngine>;

/// Runs the agent in a container of its own. This is the driver behind [`Docker`] and [`Podman`].
///
/// The container is created when the tunnel connects. It is removed when the connection ends,
/// unless [`keep`](Self::keep) is set, and also when the controller is killed, since the agent then
/// ends by itself. All containers have labels, by which [`leftovers`](Self::leftovers) finds those
/// that a crash has left behind.
///
/// Its output is not logged (`--log-driver none`), which makes it eight times as fast. An init
/// process runs in it (`--init`), so that signals reach the agent.
#[derive(Clone, Debug)]
pub struct NewContainer<E: Engine> {
    setup: Setup,
    container_name: Option<String>,
    image: String,
    network: Option<String>,
    volumes: Vec<OsString>,
    user: Option<String>,
    workdir: Option<String>,
    args: Quiet<Vec<OsString>>,
    keep: bool,
    persistent: bool,
    init: bool,
    program: OsString,
    engine: PhantomData<E>,
}

impl<E: Engine> NewContainer<E> {
    /// Creates a driver for a container called `name`, which is also the tunnel's name. Only one
    /// container of a name can exist at a time.
    ///
    /// The default image is the official `python:3.13-slim`; [`image`](Self::image) sets another
    /// one.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { container_name: Some(name.clone()), ..Self::unnamed(&name) }
    }

    /// Creates a driver for a container of `image` whose name the engine chooses. The tunnel has
    /// the name of the image.
    pub fn of_image(image: impl Into<String>) -> Self {
        let image = image.into();
        Self::unnamed(&image).image(image)
    }

    fn unnamed(name: &str) -> Self {
        Self {
            setup: Setup::new(name),
            container_name: None,
            image: DEFAULT_IMAGE.to_owned(),
            network: None,
            volumes: Vec::new(),
            user: None,
            workdir: None,
            args: Quiet::default(),
            keep: false,
            persistent: false,
            init: true,
            program: E::PROGRAM.into(),
            engine: PhantomData,
        }
    }

    /// Creates a driver for a running container, given by name or id.
    pub fn attach(container: impl Into<String>) -> Attached<E> {
        Attached::new(container)
    }

    setup_methods!();

    /// Sets the name of the container. With `None`, the engine chooses it. The name of the tunnel
    /// does not change.
    #[must_use]
    pub fn container_name(mut self, name: impl Into<Option<String>>) -> Self {
        self.container_name = name.into();
        self
    }

    /// Sets the image. A missing image is pulled, which counts towards the tunnel's
    /// `handshake_timeout`.
    #[must_use]
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = image.into();
        self
    }

    /// Sets the network: `none`, `host`, or a network of the engine. Default: the engine's default
    /// network.
    #[must_use]
    pub fn network(mut self, network: impl Into<String>) -> Self {
        self.network = Some(network.into());
        self
    }

    /// Mounts a volume or a folder, as in `/srv/data:/data:ro`.
    #[must_use]
    pub fn volume(mut self, volume: impl Into<OsString>) -> Self {
        self.volumes.push(volume.into());
        self
    }

    /// Sets the user in the container: a name, a number, or `user:group`. Default: the user of the
    /// image.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the folder in which the interpreter is started, by the engine's option `-w`. The engine
    /// creates it if it does not exist.
    #[must_use]
    pub fn workdir(mut self, folder: impl Into<String>) -> Self {
        self.workdir = Some(folder.into());
        self
    }

    /// Adds arguments of the engine's `run`, such as `--memory=1g`, after those that this driver
    /// sets itself.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Keeps the container, stopped, when the connection has ended.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Runs the agent beside a process that only waits, in a container that goes on running when the
    /// connection has ended. The next tunnel to a container of this name uses the same container, as
    /// [`attach`](Self::attach) does. So can several at once.
    ///
    /// The other settings of the container count only when it is created. It needs a
    /// [name](Self::new), and [`leftovers`](Self::leftovers) does not list it: end it with
    /// `docker rm --force NAME`.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Runs the interpreter without an init process, for engines that do not provide one.
    ///
    /// The agent is then process 1: orphaned processes are not reaped, and signals to it have no
    /// effect.
    #[must_use]
    pub fn without_init(mut self) -> Self {
        self.init = false;
        self
    }

    /// Sets the program to run in place of the engine's own. It has to accept the same arguments.
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    fn arguments(&self, agent: &AgentCommand, connection: &str) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = RUN.map(OsString::from).to_vec();
        if !self.keep {
            arguments.push("--rm".into());
        }
        let mut push = |option: &str, value: OsString| arguments.extend([OsString::from(option), value]);
        push("--label", format!("{}={}", CONTROLLER_LABEL, ControllerId::this()).into());
        push("--label", format!("{}={connection}", CONNECTION_LABEL).into());
        self.add_settings(&mut arguments);
        arguments.extend(agent.argv(&self.interpreter(agent)));
        arguments
    }

    fn interpreter(&self, agent: &AgentCommand) -> Interpreter {
        agent.python::<Self>(self.setup.interpreter.as_ref())
    }

    /// Adds the settings of the container, and its image.
    fn add_settings(&self, arguments: &mut Vec<OsString>) {
        if self.init {
            arguments.push("--init".into());
        }
        let mut push = |option: &str, value: OsString| arguments.extend([OsString::from(option), value]);
        let texts = [
            ("--name", &self.container_name),
            ("--network", &self.network),
            ("--user", &self.user),
            ("--workdir", &self.workdir),
        ];
        for (option, value) in texts {
            if let Some(value) = value {
                push(option, value.into());
            }
        }
        for volume in &self.volumes {
            push("--volume", volume.clone());
        }
        arguments.extend(self.args.iter().cloned());
        arguments.push(self.image.clone().into());
    }
}

impl<E: Engine> Sealed for NewContainer<E> {
    const KIND: &str = E::PROGRAM;
    // In the official images it is in `/usr/local/bin`.
    const PRESET: &str = "python3";
}

#[async_trait]
impl<E: Engine> Driver for NewContainer<E> {
    fn host(&self) -> HostName {
        self.setup.name.clone()
    }

    fn options(&self) -> AgentOptions {
        self.setup.options.clone()
    }

    fn is_exclusive(&self) -> bool {
        self.container_name.is_some() && !self.persistent
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        if self.persistent {
            return self.open_persistent(agent).await;
        }
        // The keys of the standard library's hash maps are random.
        let [one, other] = [(); 2].map(|()| RandomState::new().hash_one(std::process::id()));
        let connection = format!("{one:016x}{other:016x}");
        let mut command = Command::new(&self.program);
        command.args(self.arguments(agent, &connection));
        let link = agent.spawn(command).await?;
        Ok(link.clean_up(end::<E>(agent.clone(), self.program.clone(), connection, self.keep)))
    }
}

/// Ends a container whose client did not end by itself. The client may have been refused the
/// container's name, so the name cannot be used to find it.
async fn end<E: Engine>(agent: AgentCommand, program: OsString, connection: String, keep: bool) {
    let filter = format!("label={CONNECTION_LABEL}={connection}");
    let verb = if keep { &["kill"] } else { E::REMOVE };
    // If the engine does not answer, the listing of leftovers finds it later.
    if let Ok(found) = listing::run(&agent, &program, &["ps", "--all", "--quiet", "--filter", &filter]).await
        && !found.trim().is_empty()
    {
        let arguments: Vec<_> = verb.iter().copied().chain(found.split_whitespace()).collect();
        if let Err(error) = listing::run(&agent, &program, &arguments).await {
            tracing::debug!(%error, "container not removed");
        }
    }
}

/// What runs a container: with a stdin, and without a log of what agents send.
const RUN: [&str; 4] = ["run", "-i", "--log-driver", "none"];

/// The label with a number that no other connection has.
const CONNECTION_LABEL: &str = "chopsticks.connection";

/// The version is fixed, so that a new one does not change the behaviour of programs.
const DEFAULT_IMAGE: &str = "docker.io/library/python:3.13-slim";
