//! A tunnel: one host, and the connection to it.

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use chopsticks_agent::Part;
use chopsticks_driver::{Driver, HostName};
use chopsticks_protocol::{CallFailure, Hello, operation};
use chopsticks_transport::{AnswerKind, Format, Operation, Order, Request, RequestOptions, TransportError};
use futures::future::{self, Either};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tracing::{Instrument as _, Span};

use crate::{
    agent::Agent,
    args::Args,
    auto::{Auto, Task},
    call::{Call, Function, Reply, Script},
    calling::TunnelCall,
    config::TunnelConfig,
    connection::{Connection, Lease, Leased, Session, Stage},
    error::{Error, ErrorKind, Phase, RemoteException},
    input::Unfit,
    library::NO_CODEBASE,
    module::ModuleSource,
    recording::Entry,
    room::{self, Room},
    route::Route,
    type_name,
};

/// A host on which functions can be called.
///
/// A tunnel connects when it is first used, and again when it is used after its connection was
/// closed or lost. The state that remote code keeps in its modules ends with each connection.
/// Clones share the connection. Dropping the last clone closes it, in the background.
///
/// A tunnel needs a tokio runtime with time and I/O enabled. A connection lives on the runtime on
/// which it was first used, and makes progress only while that runtime runs.
///
/// Calls on one tunnel may overlap. Calls that do not overlap run one after another on the agent's
/// main thread. Calls that overlap get threads of their own.
#[derive(Clone)]
pub struct Tunnel {
    shared: Arc<Shared>,
}

/// A tunnel that may have been dropped.
#[derive(Debug, Default)]
pub(crate) struct WeakTunnel(Weak<Shared>);

struct Shared {
    host: HostName,
    route: Route,
    config: TunnelConfig,
    current: Mutex<Option<Leased>>,
    /// Notified of each new connection.
    opened: Notify,
    /// The progress of the last connection.
    last: Mutex<Option<watch::Receiver<Stage>>>,
    /// The tunnels to the agents of both kinds, if it starts either. Then it has no connection
    /// itself.
    auto: Option<Auto>,
}

/// The description that an agent gives of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AgentInfo {
    /// The Python version: major, minor, micro. `None` if the agent is a program in Rust:
    /// [`Native`](crate::Agent::Native).
    pub python: Option<(u8, u8, u8)>,
    /// The path of the interpreter, as the interpreter reports it, or of the agent's program.
    pub executable: String,
    /// The process id on its host.
    pub pid: u32,
    /// The name that its host gives itself.
    pub hostname: String,
    /// Python's `sys.platform`, or the name of the system that the agent was built for.
    pub platform: String,
}

impl Tunnel {
    /// Creates a tunnel with the default configuration. It does not connect yet.
    pub fn new(route: impl Into<Route>) -> Self {
        Self::with_config(route, TunnelConfig::default())
    }

    /// Creates a tunnel that uses a driver, here or from the far side of another tunnel: see
    /// [`Route`]. It does not connect yet. [`Target::tunnel`](crate::Target::tunnel) creates one from
    /// a text, such as `web1` or `docker://debian`.
    pub fn with_config(route: impl Into<Route>, config: TunnelConfig) -> Self {
        let route = route.into();
        let auto = (config.agent == Agent::Auto).then(Auto::default);
        Self {
            shared: Arc::new(Shared {
                host: route.host(),
                route,
                config,
                auto,
                current: Mutex::new(None),
                opened: Notify::new(),
                last: Mutex::new(None),
            }),
        }
    }

    /// Returns the host's name.
    pub fn host(&self) -> &HostName {
        &self.shared.host
    }

    /// Returns the name of the server to connect to, if the driver knows it. With SSH this is the
    /// first hop, and with a tunnel through others the first of these. Tunnels through one bastion
    /// have the same destination.
    pub fn destination(&self) -> Option<String> {
        match self.parent() {
            Some(parent) => Some(parent.destination().unwrap_or_else(|| parent.host().to_string())),
            None => self.shared.route.driver.destination(),
        }
    }

    /// Returns the tunnel that this one goes through, if any: see [`Route`].
    pub fn parent(&self) -> Option<Tunnel> {
        self.shared.route.parent()
    }

    /// Returns the names of the tunnels that lead there, outermost first, and the tunnel's own.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let mut hosts = self.parent().map(|parent| parent.hosts()).unwrap_or_default();
        if !self.shared.config.is_second {
            hosts.push(self.host().to_string());
        }
        hosts
    }

    /// Returns the same names in a form for people.
    pub(crate) fn path(&self) -> String {
        self.hosts().join(" -> ")
    }

    /// Returns a handle that keeps nothing alive.
    pub(crate) fn downgrade(&self) -> WeakTunnel {
        WeakTunnel(Arc::downgrade(&self.shared))
    }

    /// Connects unless connected, waits for the agent, and returns its description.
    ///
    /// # Errors
    ///
    /// [`Phase::Spawn`] and [`Phase::Handshake`] show how far the connection got.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the tunnel continues to connect, and a later use continues with
    /// that connection.
    pub async fn connect(&self) -> Result<AgentInfo, Error> {
        self.connection_for(Task::Any).await?.agent().await
    }

    /// Connects unless connected, and lets the agent prepare for programs meanwhile.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        let connection = self.connection_for(Task::Any).await?;
        // Why there is none is told below.
        if let Ok(session) = connection.session().await {
            session.extend(Part::Relay).await;
        }
        connection.agent().await.map(drop)
    }

    /// Waits until a connection exists, or has failed. This does not connect: if there is no
    /// connection yet, it waits until the tunnel is used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn connected(&self) {
        loop {
            let mut opened = pin!(self.shared.opened.notified());
            opened.as_mut().enable();
            let lease = match self.first() {
                Some(first) => first.lease(),
                None => self.lease(),
            };
            if let Some(connection) = lease.filter(|connection| !connection.has_ended()) {
                // Whoever uses the connection is told of its failure.
                let _ = connection.agent().await;
                return;
            }
            opened.await;
        }
    }

    /// Calls `function` with positional arguments and returns its result.
    ///
    /// `args` is a tuple: `(argument,)` for one argument and `()` for none. Use
    /// [`Ignored`](crate::Ignored) for a result that is not needed. Keyword arguments, a deadline and
    /// further options are set on the returned [`TunnelCall`], before it is awaited:
    ///
    /// ```no_run
    /// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
    /// # use std::time::Duration;
    /// let load: f64 = tunnel.call("report:load", (5,)).timeout(Duration::from_secs(10)).await?;
    /// # let _ = load;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`call_with`](Self::call_with) makes a call that exists as a value, and returns its result
    /// still encoded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Raised`] if the function raised an exception, [`ErrorKind::NoFunction`] if it
    /// does not exist, and the other kinds as they describe. After any of them the tunnel can be
    /// used again, and connects again if necessary.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call: the agent interrupts the function and ends the
    /// processes that it started. If it has not ended after [`TunnelConfig::cancel_grace`], it is
    /// abandoned, and no other call is affected.
    pub fn call<'a, R: DeserializeOwned + 'a>(
        &'a self,
        function: impl Into<Function>,
        args: impl Args,
    ) -> TunnelCall<'a, R> {
        TunnelCall::new(Call::new(function).args(args), move |call| {
            Box::pin(async move { self.call_with(call).await?.decode() })
        })
    }

    /// Makes a call and returns its result, still encoded.
    ///
    /// # Errors
    ///
    /// The errors of [`call`](Self::call). The result is decoded only by the methods of [`Reply`],
    /// which return the error if it has another type.
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    pub async fn call_with(&self, call: Call) -> Result<Reply, Error> {
        let entry = match self.begin_entry("call", call.function.label()) {
            Some(entry) => Some(entry.of_call(&call, self.modules()).await),
            None => None,
        };
        let span = entry.as_ref().map_or_else(Span::none, Entry::span);
        let reply = self.call_unrecorded(&call).instrument(span).await;
        if let Some(entry) = entry {
            entry.end(&reply, |reply| Some(reply.encoded_len() as u64));
        }
        reply
    }

    /// Makes a call that belongs to another operation.
    pub(crate) async fn call_unrecorded(&self, call: &Call) -> Result<Reply, Error> {
        self.call_by(Task::Python, call).await
    }

    /// Makes a call that belongs to another operation, in the agent that a task needs.
    pub(crate) async fn call_by(&self, task: Task, call: &Call) -> Result<Reply, Error> {
        let reply = self.answer(task, call).await;
        reply.map_err(|error| error.of_function(call.function.label()))
    }

    /// Returns where modules come from.
    pub(crate) fn modules(&self) -> Option<&Arc<dyn ModuleSource>> {
        self.shared.config.modules.as_ref()
    }

    /// Begins the record of an operation, if there are records.
    pub(crate) fn begin_entry(&self, operation: &'static str, what: impl Into<String>) -> Option<Entry> {
        Entry::begin(&self.shared.config.audit, || self.hosts(), operation, what)
    }

    /// Closes the connection, if there is one. Calls that are under way fail, and the agent ends
    /// every process that it started, and itself.
    ///
    /// The tunnel can be used again, and then connects again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] in [`Phase::Close`] if the agent did not end within [`TunnelConfig::close_timeout`]
    /// and was killed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the closing.
    pub async fn close(&self) -> Result<(), Error> {
        if let Some(auto) = &self.shared.auto {
            return auto.close().await;
        }
        let (connection, last) = {
            let mut current = self.current();
            (current.take(), self.last().clone())
        };
        let Some(connection) = connection else {
            // One that gave way may still be on its way out. An error says that it is gone with its runtime.
            if let Some(mut last) = last {
                let _ = last.wait_for(|stage| matches!(stage, Stage::Ended(_))).await;
            }
            return Ok(());
        };
        // One that has ended by itself is not closed here, however it went; what is left of it is waited for.
        let lived = !connection.has_ended();
        connection.stop();
        if connection.ended().await.forced && lived {
            return Err(connection.late_end(self.shared.config.close_timeout));
        }
        Ok(())
    }

    /// Reserves the descriptors that a new connection needs in this process, until the value is
    /// dropped. If the tunnel is connected, nothing is reserved. A tunnel through another one needs
    /// no descriptors itself, so those for the other one are reserved.
    ///
    /// Returns `None` if there are not enough. [`more_room`](Self::more_room) waits for them, and
    /// other tunnels can be asked to [give way](Self::give_way), as groups and queues do.
    /// Connecting does not check this: it fails when no descriptor is left.
    pub fn room(&self) -> Option<Room> {
        if let Some(first) = self.first() {
            return first.room();
        }
        let is_connected = self.current().as_ref().is_some_and(|connection| !connection.has_ended());
        match self.parent() {
            _ if is_connected => Some(Room::of_a_connection()),
            Some(parent) => parent.room(),
            None => Room::reserve(),
        }
    }

    /// Waits until a connection of this process has ended, or for a moment. After that, call
    /// [`room`](Self::room) again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn more_room(&self) {
        room::changed().await;
    }

    /// Closes the connection in the background if it is not in use, so that others have room.
    /// Returns whether it did.
    ///
    /// The tunnel connects again when it is next used.
    pub fn give_way(&self) -> bool {
        if let Some(auto) = &self.shared.auto {
            return auto.give_way();
        }
        let mut current = self.current();
        // While this is locked, no use can begin. Without its owner it closes.
        let is_idle =
            current.as_ref().is_some_and(|connection| connection.is_idle() && !connection.has_ended());
        if is_idle {
            *current = None;
        }
        is_idle
    }

    async fn answer(&self, task: Task, call: &Call) -> Result<Reply, Error> {
        let connection = self.connection_for(task).await?;
        let (script, payload) = self.composed(&connection, call).await?;
        let answer = self.request(&connection, call, script, payload);
        match call.timeout.or(self.shared.config.call_timeout) {
            None => answer.await,
            Some(after) => match tokio::time::timeout(after, answer).await {
                Ok(reply) => reply,
                Err(_) => Err(connection.late(after)),
            },
        }
    }

    /// Returns the script that a call's function is in, if it is, and the payload of the request.
    pub(crate) async fn composed(
        &self,
        connection: &Connection,
        call: &Call,
    ) -> Result<(Option<Script>, Vec<Bytes>), Error> {
        let failed = |kind| self.error(Phase::Call, kind);
        // A runtime without timers would panic below.
        connection.check_runtime()?;
        if let Some(input) = &call.input {
            input.check().map_err(|error| failed(ErrorKind::Argument(error)))?;
        }
        let script = call.function.read_script(self.shared.config.import_timeout).await.map_err(failed)?;
        let payload = call.payload(script.as_ref()).map_err(failed)?;
        Ok((script, payload))
    }

    /// Waits for the answer to a request while its input is sent.
    pub(crate) async fn answer_with_input(
        &self,
        request: &mut Request,
        input: impl Future<Output = Result<(), Unfit>>,
    ) -> Result<Result<chopsticks_transport::Answer, TransportError>, Error> {
        let input = pin!(input);
        match future::select(request, input).await {
            Either::Left((answer, _)) => Ok(answer),
            Either::Right((Ok(()), request)) => Ok(request.await),
            // Dropping the request cancels it.
            Either::Right((Err(error), _)) => Err(self.error(Phase::Call, ErrorKind::Argument(error))),
        }
    }

    async fn request(
        &self,
        connection: &Connection,
        call: &Call,
        script: Option<Script>,
        payload: Vec<Bytes>,
    ) -> Result<Reply, Error> {
        loop {
            let session = connection.session().await?;
            connection.send_ahead(&session, call.need(script.as_ref())).await?;
            let options = RequestOptions::new().order(Order::AfterNotices);
            let (code, options) = match call.input {
                Some(_) => {
                    session.extend(Part::Items).await;
                    (operation::FEED, options.with_writer())
                }
                None => (operation::CALL, options),
            };
            let mut request = session.handle.request_with(
                Operation::application(code),
                Format::Marshal,
                payload.clone(),
                options,
            );
            let answer = match &call.input {
                None => request.await,
                Some(input) => match request.writer() {
                    Ok(writer) => {
                        let pump = input.clone().pump(session.handle.clone(), writer);
                        self.answer_with_input(&mut request, pump).await?
                    }
                    Err(error) => Err(error),
                },
            };
            session.settle().await;
            match answer {
                Ok(reply) if reply.kind == AnswerKind::Reply => {
                    let (host, function) = (self.host().clone(), call.function.label().into());
                    return Ok(Reply::new(host, function, reply.format, reply.payload));
                }
                Ok(reply) => return Err(self.failure(&session, call, &reply).await),
                Err(error) => match connection.refusal(Phase::Call, &error) {
                    Some(refusal) => return Err(refusal),
                    None => connection.after(&session).await?,
                },
            }
        }
    }

    /// Returns the error of a call that the agent reports as failed.
    pub(crate) async fn failure(
        &self,
        session: &Session,
        call: &Call,
        reply: &chopsticks_transport::Answer,
    ) -> Error {
        if reply.format == Format::None {
            // From the agent's transport, which gives its reason in a byte: `docs/wire.md`, section 4.
            return self.error(Phase::Call, refused(&reply.payload));
        }
        let mut failure = match CallFailure::decode(&reply.payload) {
            Ok(failure) => failure,
            Err(error) => return self.error(Phase::Call, ErrorKind::Result(Arc::new(error))),
        };
        if lacks_module(&failure)
            && let Some(module) = call.function.module()
            && let Some(hint) = session.serving.hint(module).await
        {
            add_hint(&mut failure, &hint);
        }
        self.error(Phase::Call, kind(failure))
    }

    /// Returns the error of one item of a call, whose failure the agent has encoded in `payload`.
    pub(crate) fn item_failure(&self, payload: &[u8]) -> Error {
        let kind = match CallFailure::decode(payload) {
            Ok(failure) => kind(failure),
            Err(error) => ErrorKind::Result(Arc::new(error)),
        };
        self.error(Phase::Call, kind)
    }

    /// Returns the kind of agent that the tunnel was configured to start.
    pub fn agent(&self) -> Agent {
        self.shared.config.agent
    }

    /// Returns the programs that agents in Rust are started from.
    #[cfg(feature = "symbols")]
    pub(crate) fn programs(&self) -> &crate::programs::Programs {
        &self.shared.config.programs
    }

    /// Returns the tunnels to the agents of both kinds, if the tunnel starts either.
    pub(crate) fn auto(&self) -> Option<&Auto> {
        self.shared.auto.as_ref()
    }

    /// Returns the tunnel to the agent that was started first, if the tunnel starts either kind.
    fn first(&self) -> Option<Tunnel> {
        self.auto()?.first()
    }

    pub(crate) fn route(&self) -> &Route {
        &self.shared.route
    }

    pub(crate) fn config(&self) -> &TunnelConfig {
        &self.shared.config
    }

    /// Notifies those who wait for a connection.
    pub(crate) fn tell_opened(&self) {
        self.shared.opened.notify_waiters();
    }

    /// Returns a lease of the connection, or of a new one if it has ended. A tunnel that starts either kind of
    /// agent returns that of the first, which is in Python if there is none yet.
    pub(crate) fn connection(&self) -> Lease {
        if let Some(auto) = self.auto() {
            return auto.first_or(self, Agent::Python).connection();
        }
        let mut current = self.current();
        match &*current {
            Some(connection) if !connection.has_ended() => connection.lease(),
            _ => {
                let mut last = self.last();
                let Shared { route, config, .. } = &*self.shared;
                let connection = Connection::open(route.clone(), config.clone(), last.take());
                *last = Some(connection.stage());
                self.shared.opened.notify_waiters();
                current.insert(connection).lease()
            }
        }
    }

    /// Returns a lease of the connection, if there is one. It may have ended.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.current().as_ref().map(Leased::lease)
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Leased>> {
        self.shared.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<watch::Receiver<Stage>>> {
        self.shared.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many bytes an item of a stream may have.
    pub(crate) fn max_item_len(&self) -> usize {
        self.shared.config.transport.reply_limit()
    }

    /// Returns the deadline of a call that does not set one itself.
    pub(crate) fn call_timeout(&self) -> Option<Duration> {
        self.shared.config.call_timeout
    }

    pub(crate) fn error(&self, phase: Phase, kind: ErrorKind) -> Error {
        Error::new(self.host(), phase, kind)
    }
}

/// Returns the meaning of a `FAIL` of the agent's transport.
pub(crate) fn refused(payload: &[u8]) -> ErrorKind {
    let reason = match payload {
        [3] => {
            return ErrorKind::TooLarge {
                message: "the call or its result is over the agent's limit".to_owned(),
            };
        }
        [1] => "the agent has not answered the call",
        [2] => "the agent has given up the call",
        _ => "the agent has refused the call, for a reason that is not known",
    };
    ErrorKind::Result(Arc::new(std::io::Error::other(reason)))
}

impl WeakTunnel {
    pub(crate) fn upgrade(&self) -> Option<Tunnel> {
        self.0.upgrade().map(|shared| Tunnel { shared })
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("host", &self.shared.host)
            .field("driver", &self.shared.route)
            .finish_non_exhaustive()
    }
}

impl From<&Self> for Tunnel {
    fn from(tunnel: &Self) -> Self {
        tunnel.clone()
    }
}

impl From<Route> for Tunnel {
    fn from(route: Route) -> Self {
        Self::new(route)
    }
}

impl<D: Driver> From<D> for Tunnel {
    fn from(driver: D) -> Self {
        Self::new(driver)
    }
}

/// Returns whether a call failed because the module of a named function is missing.
fn lacks_module(failure: &CallFailure) -> bool {
    failure.kind == "function" && matches!(failure.r#type.as_str(), "ImportError" | "ModuleNotFoundError")
}

/// Adds the advice of the codebase, which knows more similar names than the agent, or says that
/// there is no codebase.
fn add_hint(failure: &mut CallFailure, hint: &str) {
    if hint != NO_CODEBASE {
        let end = failure.message.find(" (near: ").unwrap_or(failure.message.len());
        failure.message.truncate(end);
    }
    failure.message.push_str("; ");
    failure.message.push_str(hint);
}

pub(crate) fn kind(failure: CallFailure) -> ErrorKind {
    let CallFailure { kind, r#type, message, traceback, value } = failure;
    match kind.as_str() {
        "function" => ErrorKind::NoFunction { message },
        "result" => ErrorKind::UnfitResult { message },
        "size" => ErrorKind::TooLarge { message },
        _ => {
            // Of the error of a function in Rust.
            let type_name = type_name::in_facade(&r#type);
            ErrorKind::Raised(RemoteException { type_name, message, traceback, value })
        }
    }
}

impl From<Hello> for AgentInfo {
    fn from(hello: Hello) -> Self {
        let Hello { python, executable, pid, hostname, platform } = hello;
        Self { python, executable, pid, hostname, platform }
    }
}
