//! Through another tunnel.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::{
    driver::{AgentCommand, Driver},
    hint::{Hint, Symptoms},
    host::HostName,
    options::AgentOptions,
    process::{Link, Process},
    tunnel::{Tunnel, WeakTunnel},
};

/// Runs the agent where another driver does, but starting from the far side of a tunnel, the *parent*: that one's agent starts the program, and passes on its
/// stdin, stdout and stderr.
///
/// `ssh`, `sudo` and `docker` then are those of the parent's host, with its configuration and its keys; so are the paths that the driver names. What comes of it is a tunnel of
/// the controller as any other: its calls, files and imports are between the controller and its own agent, and it can be the parent of further ones. It connects its parent when it
/// needs to, and keeps it connected as long as it is. When the parent's connection ends, so does all that goes through it.
///
/// The drivers have a method `via` that makes one:
///
/// ```
/// use chopsticks_tunnel::{Docker, Ssh, Sudo, Tunnel};
///
/// let bastion = Tunnel::new(Ssh::new("bastion"));
/// let database = Tunnel::new(Ssh::new("db1").via(&bastion));
/// let root = Tunnel::new(Sudo::new("root").name("db1-root").via(&database));
/// let clean = Tunnel::new(Docker::of_image("python:3.13-slim").name("db1-clean").via(&root));
/// # let _ = clean;
/// ```
///
/// A driver of one's own does as well if it starts its program by [`AgentCommand::spawn`].
#[derive(Clone, Debug)]
pub struct Via {
    driver: Arc<dyn Driver>,
    parent: Parent,
}

/// The tunnel that it goes through.
#[derive(Clone)]
enum Parent {
    Tunnel(Tunnel),
    /// Made when it is needed, and again when nobody had it any more: it is connected only while one that goes through it is.
    Shared(Arc<SharedParent>),
}

/// A tunnel that is there as long as others go through it.
pub(crate) struct SharedParent {
    make: Box<dyn Fn() -> Tunnel + Send + Sync>,
    current: Mutex<WeakTunnel>,
}

impl Via {
    /// Creates a driver that starts what `driver` does from the far side of `parent`. Its name is that of `driver`.
    pub fn new(driver: impl Driver, parent: &Tunnel) -> Self {
        Self { driver: Arc::new(driver), parent: Parent::Tunnel(parent.clone()) }
    }

    pub(crate) fn shared(driver: impl Driver, parent: Arc<SharedParent>) -> Self {
        Self { driver: Arc::new(driver), parent: Parent::Shared(parent) }
    }
}

impl SharedParent {
    pub(crate) fn new(make: impl Fn() -> Tunnel + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), current: Mutex::default() }
    }

    fn tunnel(&self) -> Tunnel {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.upgrade().unwrap_or_else(|| {
            let tunnel = (self.make)();
            *current = tunnel.downgrade();
            tunnel
        })
    }
}

#[async_trait]
impl Driver for Via {
    fn host(&self) -> HostName {
        self.driver.host()
    }

    fn options(&self) -> AgentOptions {
        self.driver.options()
    }

    fn is_exclusive(&self) -> bool {
        self.driver.is_exclusive()
    }

    fn destination(&self) -> Option<String> {
        // The same name may be that of another server elsewhere.
        Some(format!("{} -> {}", self.parent()?.path(), self.driver.destination()?))
    }

    fn parent(&self) -> Option<Tunnel> {
        Some(match &self.parent {
            Parent::Tunnel(tunnel) => tunnel.clone(),
            Parent::Shared(shared) => shared.tunnel(),
        })
    }

    fn hint(&self, symptoms: &Symptoms<'_>) -> Option<Hint> {
        self.driver.hint(symptoms)
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let agent = match self.parent() {
            Some(parent) => agent.clone().through(parent),
            None => agent.clone(),
        };
        let link = self.driver.open(&agent).await?;
        if !matches!(link.process, Process::Relayed(_)) {
            let text = "the driver cannot go through another tunnel: it does not use `AgentCommand::spawn`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(link)
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tunnel(tunnel) => tunnel.fmt(f),
            Self::Shared(shared) => shared.tunnel().fmt(f),
        }
    }
}
