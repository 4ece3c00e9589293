//! Tunnels that start the kind of agent that an operation needs, and the other one through it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chopsticks_driver::{Interpreter, Local};
use futures::future::BoxFuture;

use crate::{
    agent::Agent,
    config::TunnelConfig,
    connection::Lease,
    error::{Error, ErrorKind, Phase},
    route::Route,
    tunnel::Tunnel,
};

/// What an operation needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Every agent does it.
    Any,
    /// Functions in Python.
    Python,
    /// Functions in Rust.
    Rust,
}

/// The tunnels to the agents of both kinds on one host.
#[derive(Debug, Default)]
pub(crate) struct Auto {
    agents: Mutex<Agents>,
    /// Held while it is being decided which agent is first.
    choosing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Agents {
    /// The one that the driver starts.
    first: Option<Tunnel>,
    /// The other kind, which the first one starts.
    second: Option<Tunnel>,
}

impl Auto {
    fn lock(&self) -> MutexGuard<'_, Agents> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn first(&self) -> Option<Tunnel> {
        self.lock().first.clone()
    }

    /// Returns the tunnel to the first agent. If there is none, it is of this kind from now on.
    pub(crate) fn first_or(&self, tunnel: &Tunnel, kind: Agent) -> Tunnel {
        self.lock().first.get_or_insert_with(|| one(tunnel, kind)).clone()
    }

    /// Closes the connections to both agents.
    pub(crate) fn close(&self) -> BoxFuture<'static, Result<(), Error>> {
        let Agents { first, second } = self.lock().clone();
        Box::pin(async move {
            let inner = match second {
                Some(second) => second.close().await,
                None => Ok(()),
            };
            let outer = match first {
                Some(first) => first.close().await,
                None => Ok(()),
            };
            inner.and(outer)
        })
    }

    pub(crate) fn give_way(&self) -> bool {
        let Agents { first, second } = self.lock().clone();
        // The first one is in use as long as the second one is connected.
        second.is_some_and(|second| second.give_way()) || first.is_some_and(|first| first.give_way())
    }
}

impl Tunnel {
    /// Returns the connection to an agent for a task.
    ///
    /// # Errors
    ///
    /// The tunnel's agent is of the other kind, or there is none because the first one cannot be
    /// started.
    pub(crate) async fn connection_for(&self, task: Task) -> Result<Lease, Error> {
        let Some(auto) = self.auto() else {
            return match (task, self.agent()) {
                (Task::Any, _) | (Task::Python, Agent::Python) | (Task::Rust, Agent::Native) => {
                    Ok(self.connection())
                }
                (_, agent) => Err(self.error(Phase::Call, ErrorKind::WrongAgent { agent })),
            };
        };
        let _turn = auto.choosing.lock().await;
        let chosen = Box::pin(self.chosen(auto, task)).await?;
        let connection = chosen.connection();
        self.tell_opened();
        Ok(connection)
    }

    async fn chosen(&self, auto: &Auto, task: Task) -> Result<Tunnel, Error> {
        let kind = match task {
            Task::Any => None,
            Task::Python => Some(Agent::Python),
            Task::Rust => Some(Agent::Native),
        };
        let Agents { first, second } = auto.lock().clone();
        let first = match (first, kind) {
            (Some(first), _) => first,
            (None, Some(kind)) => auto.first_or(self, kind),
            (None, None) => {
                let first = auto.first_or(self, Agent::Python);
                self.tell_opened();
                match first.connect().await {
                    Err(error) if lacks_python(&first, &error) => {
                        let native = one(self, Agent::Native);
                        auto.lock().first = Some(native.clone());
                        native
                    }
                    Err(error) => {
                        // Another attempt decides anew.
                        auto.lock().first = None;
                        return Err(error);
                    }
                    Ok(_) => first,
                }
            }
        };
        let Some(kind) = kind.filter(|kind| *kind != first.agent()) else { return Ok(first) };
        if let Some(second) = second {
            return Ok(second);
        }
        // The driver has named the interpreter when this one is there.
        first.connect().await?;
        let named = first.config().interpreter.get().cloned().unwrap_or_else(Interpreter::python3);
        let inner = Local::new().name(self.host()).python(named);
        let options = self.config().options.clone().overlaid(self.route().options());
        let mut config = config(self, kind);
        (config.options, config.is_second) = (options, true);
        let second = Tunnel::with_config(Route::through(inner, &first), config);
        auto.lock().second = Some(second.clone());
        Ok(second)
    }
}

/// Returns a tunnel on the same route to an agent of one kind.
fn one(tunnel: &Tunnel, kind: Agent) -> Tunnel {
    Tunnel::with_config(tunnel.route().clone(), config(tunnel, kind))
}

fn config(tunnel: &Tunnel, kind: Agent) -> TunnelConfig {
    let mut config = tunnel.config().clone().agent(kind);
    config.interpreter = Arc::default();
    config
}

/// Returns whether a tunnel could not connect because its host does not have the interpreter.
fn lacks_python(tunnel: &Tunnel, error: &Error) -> bool {
    if error.hint().is_some_and(|hint| hint.cause() == "python-missing") {
        return true;
    }
    // Where the driver starts the interpreter itself, it is the program that is missing.
    let named = tunnel.config().interpreter.get().map(ToString::to_string);
    matches!(error.kind(), ErrorKind::Spawn { program, source }
        if source.kind() == io::ErrorKind::NotFound && Some(program) == named.as_ref())
}
