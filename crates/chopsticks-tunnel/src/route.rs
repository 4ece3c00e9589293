//! The place where a tunnel's agent is started: here, or on the far side of another tunnel.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::tunnel::{Tunnel, WeakTunnel};
use chopsticks_driver::{AgentOptions, Driver, HostName};

/// How a tunnel's agent is reached: a driver, which determines what is started, and the place where
/// it is started.
///
/// It is started here, unless [`Via::via`] or [`through`](Self::through) names a tunnel, the
/// *parent*. Then the agent of the parent starts the program, and passes on its stdin, stdout and
/// stderr.
///
/// `ssh`, `sudo` and `docker` are then those of the parent's host, with its configuration and its
/// keys, and so are the paths that the driver names. The result is a tunnel of the controller like
/// any other: its calls, files and imports pass between the controller and its own agent, and it
/// can be the parent of further tunnels. It connects its parent when necessary, and keeps it
/// connected as long as it is connected itself. When the parent's connection ends, every connection
/// that goes through it ends too.
///
/// ```
/// use chopsticks_tunnel::{Docker, Ssh, Sudo, Tunnel, Via as _};
///
/// let bastion = Tunnel::new(Ssh::new("bastion"));
/// let database = Tunnel::new(Ssh::new("db1").via(&bastion));
/// let root = Tunnel::new(Sudo::new("root").name("db1-root").via(&database));
/// let clean = Tunnel::new(Docker::of_image("python:3.13-slim").name("db1-clean").via(&root));
/// # let _ = clean;
/// ```
///
/// A driver of your own also works if it starts its program by
/// [`AgentCommand::spawn`](crate::AgentCommand::spawn).
#[derive(Clone)]
pub struct Route {
    pub(crate) driver: Arc<dyn Driver>,
    parent: Parent,
}

/// Starts the program of a driver on the far side of a tunnel: the method `via` of every driver.
pub trait Via: Driver + Sized {
    /// Starts the agent on the far side of `parent`: see [`Route`]. The name of the tunnel is that
    /// of the driver alone.
    fn via(self, parent: &Tunnel) -> Route {
        Route::through(self, parent)
    }
}

impl<D: Driver> Via for D {}

/// The tunnel that a route goes through.
#[derive(Clone)]
enum Parent {
    None,
    Tunnel(Tunnel),
    /// Created when it is needed, and again after the last user has dropped it: it is connected
    /// only while a connection goes through it.
    Shared(Arc<SharedParent>),
}

/// A tunnel that exists as long as others go through it.
pub(crate) struct SharedParent {
    make: Box<dyn Fn() -> Tunnel + Send + Sync>,
    current: Mutex<WeakTunnel>,
}

impl Route {
    /// Creates a route that starts the program of `driver` on the far side of `parent`.
    pub fn through(driver: impl Driver, parent: &Tunnel) -> Self {
        Self { driver: Arc::new(driver), parent: Parent::Tunnel(parent.clone()) }
    }

    pub(crate) fn shared(driver: Arc<dyn Driver>, parent: Option<Arc<SharedParent>>) -> Self {
        Self { driver, parent: parent.map_or(Parent::None, Parent::Shared) }
    }

    pub(crate) fn host(&self) -> HostName {
        self.driver.host()
    }

    pub(crate) fn parent(&self) -> Option<Tunnel> {
        match &self.parent {
            Parent::None => None,
            Parent::Tunnel(tunnel) => Some(tunnel.clone()),
            Parent::Shared(shared) => Some(shared.tunnel()),
        }
    }

    /// Returns the options of the agent.
    pub(crate) fn options(&self) -> AgentOptions {
        match self.parent {
            Parent::None => self.driver.options(),
            Parent::Tunnel(_) | Parent::Shared(_) => self.driver.options_elsewhere(),
        }
    }
}

impl<D: Driver> From<D> for Route {
    fn from(driver: D) -> Self {
        Self { driver: Arc::new(driver), parent: Parent::None }
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

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent() {
            None => self.driver.fmt(f),
            Some(parent) => {
                f.debug_struct("Route").field("driver", &self.driver).field("parent", &parent).finish()
            }
        }
    }
}
