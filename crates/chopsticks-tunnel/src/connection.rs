//! One connection of a tunnel: from the start of the interpreter to the end of everything that it started.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use chopsticks_agent::Part;
use chopsticks_driver::{Hint, HostName, Known};
use chopsticks_protocol::{Hello, operation};
use chopsticks_transport::{Format, Handle, Operation, TransportError, TransportErrorKind};
use futures::FutureExt as _;
use tokio::sync::{Mutex, mpsc, watch};
use tracing::Instrument as _;

use crate::{
    agent::Agent,
    config::TunnelConfig,
    error::{Error, ErrorKind, Phase},
    keeper::Keeper,
    lease,
    route::Route,
    serving::{Need, Serving},
    stderr::Tail,
    tunnel::{AgentInfo, Tunnel, WeakTunnel},
};

/// The connection of a tunnel, which counts its uses.
pub(crate) type Leased = lease::Leased<Connection>;

/// The use of a connection. One without leases is idle, and may be closed.
pub(crate) type Lease = lease::Lease<Connection>;

/// A connection, from the point of view of its users, who hold a [`Lease`] of it. When the last one
/// drops it, it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    host: HostName,
    stage: watch::Receiver<Stage>,
    /// Carries no values. A message, or the end of the channel, is the order to close.
    stop: mpsc::Sender<()>,
    tail: Tail,
    /// The tunnel that it goes through. The keeper holds it, so that an ended connection that is
    /// still referenced does not keep the other one open.
    parent: WeakTunnel,
}

/// The progress of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Opening,
    Open(Arc<Session>),
    Ended(Ended),
}

/// The requests to a started interpreter. A connection gets a new session if a server dropped it
/// before the login, and it tries again.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) handle: Handle,
    pub(crate) serving: Arc<Serving>,
    /// The kind of agent that was started.
    kind: Agent,
    agent: OnceLock<AgentInfo>,
    /// The parts of the agent that have been sent on this connection before requests that need them.
    parts: Mutex<Vec<Part>>,
    /// The known properties of programs on the agent's host.
    pub(crate) programs_known: Arc<Known>,
}

/// How a connection has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// The error of the calls that were under way.
    pub(crate) error: Error,
    /// Whether the agent had to be killed.
    pub(crate) forced: bool,
}

impl Connection {
    /// Begins to connect. From here on, a separate task owns the connection. `before` is the
    /// previous connection of the tunnel.
    pub(crate) fn open(route: Route, config: TunnelConfig, before: Option<watch::Receiver<Stage>>) -> Leased {
        let (stage, watch) = watch::channel(Stage::Opening);
        let (stop, stopped) = mpsc::channel(1);
        let host = route.host();
        let tail = Tail::default();
        let parent = route.parent();
        let connection = Self {
            host: host.clone(),
            stage: watch,
            stop,
            tail: tail.clone(),
            parent: parent.as_ref().map(Tunnel::downgrade).unwrap_or_default(),
        };
        let failed = |text: String| {
            let source = Arc::new(std::io::Error::other(text));
            let kind = ErrorKind::Spawn { program: "a connection".to_owned(), source };
            let hint = Hint::new("no-runtime", "a tokio runtime with time and I/O is needed");
            let error = Error::new(&host, Phase::Spawn, kind).with_hint(Some(hint));
            Stage::Ended(Ended { error, forced: false })
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => match without_timers() {
                None => {
                    let span = tracing::debug_span!("tunnel", %host);
                    let keeper = Keeper::new(route, config, stage.clone(), stopped, tail, before, parent);
                    let keep = AssertUnwindSafe(keeper.keep().instrument(span)).catch_unwind();
                    drop(runtime.spawn(async move {
                        if let Err(payload) = keep.await {
                            let reason = format!("its task has panicked: {}", text_of(&*payload));
                            let error = Error::new(&host, Phase::Close, ErrorKind::Abandoned { reason });
                            stage.send_replace(Stage::Ended(Ended { error, forced: false }));
                        }
                    }));
                }
                Some(text) => drop(stage.send_replace(failed(text))),
            },
            Err(error) => drop(stage.send_replace(failed(error.to_string()))),
        }
        Leased::new(Arc::new(connection))
    }

    /// Returns whether the agent no longer accepts requests. Its process may still be ending.
    pub(crate) fn has_ended(&self) -> bool {
        // Without its keeper, which went with the runtime, it will never get further.
        if self.stage.has_changed().is_err() {
            return true;
        }
        match &*self.stage.borrow() {
            Stage::Opening => false,
            // One that never was established may be about to try again.
            Stage::Open(session) => session.handle.is_established() && session.handle.is_closed(),
            Stage::Ended(_) => true,
        }
    }

    /// Returns the error of a connection that could not even begin, for example because there is no
    /// runtime.
    pub(crate) fn check_runtime(&self) -> Result<(), Error> {
        match &*self.stage.borrow() {
            Stage::Ended(ended) => Err(ended.error.clone()),
            Stage::Opening | Stage::Open(_) => Ok(()),
        }
    }

    fn is_established(&self) -> bool {
        matches!(&*self.stage.borrow(), Stage::Open(session) if session.handle.is_established())
    }

    /// Returns the progress, for those who must not keep the connection alive.
    pub(crate) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// Waits until requests can be made.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Error> {
        if let Stage::Open(session) = &*self.stage.borrow() {
            return Ok(session.clone());
        }
        let mut stage = self.stage.clone();
        match stage.wait_for(|stage| !matches!(stage, Stage::Opening)).await.as_deref() {
            Ok(Stage::Open(session)) => Ok(session.clone()),
            Ok(Stage::Ended(ended)) => Err(ended.error.clone()),
            Ok(Stage::Opening) | Err(_) => Err(self.abandoned(Phase::Spawn)),
        }
    }

    /// Waits until it is known what follows a session that has ended: another session, or an error.
    ///
    /// Another session follows only if nothing that was sent can have reached an agent.
    pub(crate) async fn after(&self, session: &Arc<Session>) -> Result<(), Error> {
        let mut stage = self.stage.clone();
        let is_decided = |stage: &Stage| !matches!(stage, Stage::Open(open) if Arc::ptr_eq(open, session));
        match stage.wait_for(is_decided).await.as_deref() {
            Ok(Stage::Ended(ended)) => Err(ended.error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(self.abandoned(Phase::Call)),
        }
    }

    /// Waits for the end, and returns how it came about.
    pub(crate) async fn ended(&self) -> Ended {
        let mut stage = self.stage.clone();
        match stage.wait_for(|stage| matches!(stage, Stage::Ended(_))).await.as_deref() {
            Ok(Stage::Ended(ended)) => ended.clone(),
            _ => Ended { error: self.abandoned(Phase::Close), forced: false },
        }
    }

    /// Returns the error of a request that has failed or could not be made. Waits for the end of
    /// the connection if this is the reason.
    pub(crate) async fn failure(&self, phase: Phase, error: &TransportError) -> Error {
        match self.refusal(phase, error) {
            Some(refusal) => refusal,
            None => self.ended().await.error,
        }
    }

    /// Returns the error of a request that has failed or could not be made although the connection lives.
    pub(crate) fn refusal(&self, phase: Phase, error: &TransportError) -> Option<Error> {
        let kind = match *error.kind() {
            TransportErrorKind::TooManyAbandoned { limit } => ErrorKind::TooManyAbandoned { limit },
            TransportErrorKind::OutOfMemory { len } if error.request().is_some() => {
                ErrorKind::OutOfMemory { message: format!("{len} bytes of the answer had come") }
            }
            _ if error.is_too_large() => ErrorKind::TooLarge { message: error.kind().to_string() },
            _ => return None,
        };
        Some(Error::new(&self.host, phase, kind))
    }

    /// Returns the error of a connection whose keeper ended without a result.
    fn abandoned(&self, phase: Phase) -> Error {
        let reason = "the tokio runtime in which it was opened has ended".to_owned();
        Error::new(&self.host, phase, ErrorKind::Abandoned { reason })
    }

    /// Gives the order to close.
    pub(crate) fn stop(&self) {
        // A full channel has the order already.
        let _ = self.stop.try_send(());
    }

    /// Waits for the agent's answer to the handshake.
    pub(crate) async fn agent(&self) -> Result<AgentInfo, Error> {
        loop {
            let session = self.session().await?;
            if let Some(agent) = session.agent.get() {
                return Ok(agent.clone());
            }
            let Ok(hello) = session.handle.hello().await else {
                self.after(&session).await?;
                continue;
            };
            let failed = |error| Error::new(&self.host, Phase::Handshake, ErrorKind::Result(Arc::new(error)));
            let agent = Hello::decode(&hello.payload).map_err(failed)?;
            return Ok(session.agent.get_or_init(|| agent.into()).clone());
        }
    }

    /// Returns the error of a deadline that passes now: the phase, and what is known about the
    /// delay.
    pub(crate) fn late(&self, after: Duration) -> Error {
        if matches!(&*self.stage.borrow(), Stage::Opening)
            && let Some(parent) = self.parent.upgrade()
            && let Some(connection) = parent.lease()
            && !connection.is_established()
        {
            let kind = ErrorKind::Parent(Box::new(connection.late(after)));
            return Error::new(&self.host, Phase::Spawn, kind);
        }
        let (phase, noise) = match &*self.stage.borrow() {
            Stage::Opening => (Phase::Spawn, String::new()),
            Stage::Open(session) if !session.handle.is_established() => {
                (Phase::Handshake, String::from_utf8_lossy(&session.handle.noise()).into_owned())
            }
            Stage::Open(_) | Stage::Ended(_) => (Phase::Call, String::new()),
        };
        // What functions write there has nothing to do with it.
        let stderr = if phase == Phase::Call { String::new() } else { self.tail.text() };
        Error::new(&self.host, phase, ErrorKind::Timeout { after, stderr, noise })
    }

    /// Returns the error of an end that took too long.
    pub(crate) fn late_end(&self, after: Duration) -> Error {
        let kind = ErrorKind::Timeout { after, stderr: self.tail.text(), noise: String::new() };
        Error::new(&self.host, Phase::Close, kind)
    }

    /// Sends the modules that a call will import, unless the agent has them.
    pub(crate) async fn send_ahead(&self, session: &Session, need: Need<'_>) -> Result<(), Error> {
        let sent = session.serving.send_ahead(&session.handle, need).await;
        sent.map_err(|error| Error::new(&self.host, Phase::Call, ErrorKind::Codebase(error)))
    }
}

/// Returns tokio's message about the current runtime if it has no timers, without which nothing
/// here can wait.
///
/// This is the only way to find out, so a panic hook sees it too.
fn without_timers() -> Option<String> {
    catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).err().map(|payload| text_of(&*payload))
}

/// The text of a panic.
fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text").to_owned()
}

impl Session {
    pub(crate) fn new(kind: Agent, handle: Handle, serving: Arc<Serving>) -> Self {
        Self {
            kind,
            handle,
            serving,
            agent: OnceLock::new(),
            parts: Mutex::default(),
            programs_known: Arc::default(),
        }
    }

    /// Waits until the output of the host that came before the latest reply has been passed on.
    pub(crate) async fn settle(&self) {
        self.serving.output.settle(&self.handle).await;
    }

    /// Sends a part of the agent and those that it requires, unless the agent has them. An agent in
    /// Rust has all of its parts.
    pub(crate) async fn extend(&self, part: Part) {
        if self.kind != Agent::Python {
            return;
        }
        let mut sent = self.parts.lock().await;
        let missing: Vec<_> =
            part.with_requirements().into_iter().filter(|part| !sent.contains(part)).collect();
        if missing.is_empty() {
            return;
        }
        let sources: Vec<_> = missing.iter().map(|part| part.source()).collect();
        // A lost connection is reported by the request that follows.
        let operation = Operation::application(operation::EXTEND);
        let _ = self.handle.notice(operation, Format::None, sources.join("\n").into_bytes()).await;
        sent.extend(missing);
    }
}
