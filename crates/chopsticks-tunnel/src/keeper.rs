//! The owner of a connection, from the start of the interpreter to the end of everything that it
//! started.

use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use bytes::Bytes;
use chopsticks_driver::{
    AgentCommand, CleanUp, Hint, HostName, Link, LinkParts, Process, SpawnError, Symptoms, hint,
    pacing::{self, Turn},
};
use chopsticks_protocol::{Hello, operation};
use chopsticks_transport::{
    Format, Handle, Operation, StartOptions, Transport, TransportError, TransportErrorKind,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinError, JoinHandle},
    time::{Instant, timeout},
};

use crate::{
    agent::Agent,
    bootstrap::{Bootstrap, Place},
    config::TunnelConfig,
    connection::{Ended, Session, Stage},
    error::{Error, ErrorKind, Phase},
    output::MAX_WAITING,
    programs::Refusal,
    relay::FarSide,
    room,
    route::Route,
    serving::Serving,
    start,
    stderr::{self, Tail},
    tunnel::Tunnel,
};

/// Owns a connection from its start to its end.
pub(crate) struct Keeper {
    host: HostName,
    route: Route,
    config: TunnelConfig,
    bootstrap: Bootstrap,
    stage: watch::Sender<Stage>,
    stopped: mpsc::Receiver<()>,
    tail: Tail,
    /// The message of the last refusal by the server.
    refusal: String,
    /// The progress of the previous connection of the tunnel.
    before: Option<watch::Receiver<Stage>>,
    /// Whether parts of that connection may still exist, such as a container that the engine is
    /// removing.
    may_linger: bool,
    /// The tunnel that it goes through.
    parent: Option<Tunnel>,
}

/// How an attempt to connect, and everything that followed from it, has ended.
enum Attempt {
    Ended(Ended),
    /// The server dropped the connection before it examined the client.
    Refused {
        ended: Ended,
        /// Whether other connections of this process to that server were under way.
        in_company: bool,
    },
    /// The container of the previous connection still has the name.
    Taken(Ended),
}

/// Why a connection ends.
enum Cause {
    Failed(TransportError),
    /// The program never ran, or the tunnel that it goes through was lost.
    NotRun(io::Error),
    /// The agent's output ended, or its program did.
    Lost,
    Stopped {
        /// The time until which it may end by itself.
        deadline: Instant,
    },
}

/// The tasks that run while a connection lives.
struct Running {
    process: Process,
    handle: Handle,
    io: JoinHandle<Result<(), TransportError>>,
    pump: JoinHandle<()>,
    answering: JoinHandle<()>,
    /// Passes on what its code prints and logs.
    passing: JoinHandle<()>,
    clean_up: Option<CleanUp>,
    /// Notifies the pump of stderr that the agent has answered.
    answered: Option<oneshot::Sender<()>>,
}

impl Keeper {
    pub(crate) fn new(
        route: Route,
        config: TunnelConfig,
        stage: watch::Sender<Stage>,
        stopped: mpsc::Receiver<()>,
        tail: Tail,
        before: Option<watch::Receiver<Stage>>,
        parent: Option<Tunnel>,
    ) -> Self {
        Self {
            host: route.host(),
            route,
            config,
            bootstrap: Bootstrap::python(),
            stage,
            stopped,
            tail,
            refusal: String::new(),
            before,
            may_linger: false,
            parent,
        }
    }

    pub(crate) async fn keep(mut self) {
        let ended = self.run_with_retries().await;
        match ended.error.kind() {
            ErrorKind::Closed => tracing::debug!(forced = ended.forced, "closed"),
            _ => tracing::debug!(error = %ended.error.report(), "ended"),
        }
        self.stage.send_replace(Stage::Ended(ended));
        room::tell();
    }

    /// Connects, again after failures if the configuration says so, and runs until the end.
    async fn run_with_retries(&mut self) -> Ended {
        let mut attempts = self.config.connect_retry.begin();
        loop {
            let ended = self.run().await;
            let Some(wait) = attempts.next(&ended.error) else { return ended };
            tracing::debug!(attempts = attempts.made(), ?wait, error = %ended.error.report(), "connects again");
            self.stage.send_replace(Stage::Opening);
            self.refusal = self.tail.text();
            self.tail.clear();
            if timeout(wait, self.stopped.recv()).await.is_ok() {
                return self.stopped_early();
            }
        }
    }

    /// Connects, again if the server refuses because of its load, and runs until the end.
    async fn run(&mut self) -> Ended {
        if let Some(mut before) = self.before.take().filter(|_| self.route.driver.is_exclusive()) {
            self.may_linger = true;
            tokio::select! {
                biased;
                _ = self.stopped.recv() => return self.stopped_early(),
                // An error says that it is gone with its runtime.
                _ = before.wait_for(|stage| matches!(stage, Stage::Ended(_))) => {}
            }
        }
        // What goes through a far tunnel goes far too.
        let through = self.parent.as_ref().and_then(Tunnel::destination);
        let place = match &self.parent {
            None if self.route.driver.is_local() => Place::Here,
            _ if self.destination().is_some() || through.is_some() => Place::Far,
            _ => Place::Near,
        };
        tokio::select! {
            biased;
            _ = self.stopped.recv() => return self.stopped_early(),
            bootstrap = Bootstrap::new(self.config.agent, &self.config.programs, place) => match bootstrap {
                Ok(bootstrap) => self.bootstrap = bootstrap,
                Err(error) => {
                    let kind = ErrorKind::Spawn { program: COPY.to_owned(), source: Arc::new(error) };
                    return Ended { error: Error::new(&self.host, Phase::Spawn, kind), forced: false };
                }
            }
        }
        // It has deadlines of its own, and however long it takes is not the driver's time.
        if let Some(parent) = self.parent.clone() {
            tokio::select! {
                biased;
                _ = self.stopped.recv() => return self.stopped_early(),
                connected = parent.prepare() => if let Err(error) = connected {
                    let error = Error::new(&self.host, Phase::Spawn, ErrorKind::Parent(Box::new(error)));
                    return Ended { error, forced: false };
                }
            }
        }
        let gate = self.destination().map(|destination| self.config.context.gates.of(&destination));
        let (mut deadline, mut freed) = (None, None);
        let (mut attempts, mut alone) = (0, 0);
        loop {
            let turn = match &gate {
                None => None,
                Some(gate) => tokio::select! {
                    biased;
                    _ = self.stopped.recv() => return self.stopped_early(),
                    turn = gate.turn() => Some(turn),
                },
            };
            let deadline = *deadline.get_or_insert_with(|| in_future(self.config.handshake_timeout));
            let (ended, wait, is_given_up) = match self.attempt(turn, deadline - Instant::now()).await {
                Attempt::Ended(ended) => return ended,
                Attempt::Refused { ended, in_company } => {
                    let wait = pacing::backoff(attempts);
                    alone += u32::from(!in_company);
                    tracing::debug!(attempts, ?wait, "refused by a busy server");
                    (ended, wait, alone > MAX_REFUSALS_ALONE)
                }
                Attempt::Taken(ended) => {
                    tracing::debug!(attempts, "the name is still taken");
                    let freed = *freed.get_or_insert_with(|| Instant::now() + CLEAN_UP_TIMEOUT);
                    (ended, TAKEN_WAIT, Instant::now() >= freed)
                }
            };
            attempts += 1;
            if is_given_up || Instant::now() + wait >= deadline {
                return ended;
            }
            self.stage.send_replace(Stage::Opening);
            self.refusal = self.tail.text();
            self.tail.clear();
            if timeout(wait, self.stopped.recv()).await.is_ok() {
                return self.stopped_early();
            }
        }
    }

    async fn attempt(&mut self, turn: Option<Turn>, patience: Duration) -> Attempt {
        let mut running = match self.start(patience).await {
            Ok(running) => running,
            Err(error) => return Attempt::Ended(Ended { error, forced: false }),
        };
        let mut turn = turn;
        let mut status = None;
        let cause = self.live(&mut running, &mut turn, &mut status).await;
        let Running { mut process, handle, io, pump, mut answering, mut passing, clean_up, .. } = running;
        // Ends the pipes, if anything still holds them.
        io.abort();
        let patience = match cause {
            Cause::Stopped { deadline } => deadline.saturating_duration_since(Instant::now()),
            // It has had its time, and whoever waits for it wants to know.
            Cause::Failed(ref error)
                if matches!(error.kind(), TransportErrorKind::HandshakeTimeout { .. }) =>
            {
                Duration::ZERO
            }
            Cause::Failed(_) | Cause::Lost | Cause::NotRun(_) => LOST_GRACE,
        };
        let forced = reap(&mut process, &mut status, patience).await;
        stderr::drain(pump, &self.tail).await;
        // What the agent printed last may not have been taken yet. Both tasks end with the connection.
        for task in [&mut answering, &mut passing] {
            if timeout(OUTPUT_DRAIN, &mut *task).await.is_err() {
                task.abort();
            }
        }
        if let Some(work) = clean_up
            && (forced || !status.is_some_and(|status| status.success()))
        {
            let _ = timeout(CLEAN_UP_TIMEOUT, work).await;
        }
        let cause = match cause {
            Cause::Lost => process.failure().await.map_or(cause, Cause::NotRun),
            cause => cause,
        };
        // An agent that answered and went at once may be noticed only now.
        let is_unanswered = matches!(cause, Cause::Lost) && !handle.is_established();
        let ended = self.ended(cause, status, &handle, forced);
        let is_taken = || ended.error.hint().is_some_and(|hint| hint.cause() == hint::NAME_IN_USE);
        match turn {
            _ if is_unanswered && self.may_linger && is_taken() => Attempt::Taken(ended),
            Some(turn) if is_unanswered && hint::has_failed_for_load(&self.tail.text()) => {
                Attempt::Refused { ended, in_company: turn.was_dropped() }
            }
            _ => Attempt::Ended(ended),
        }
    }

    /// Starts the interpreter, sends the agent, and makes the connection available.
    async fn start(&mut self, patience: Duration) -> Result<Running, Error> {
        let LinkParts { stdin, stdout, stderr, process, clean_up, .. } = self.spawn().await?.into_parts();
        let begun = Instant::now();
        let (hush, answered) = match self.destination() {
            None if !self.may_linger => (stderr::Hush::default(), None),
            _ => self.hush(),
        };
        let sink = self.config.stderr.on(&self.config.context.console);
        let (host, tail) = (self.host.clone(), self.tail.clone());
        let pump = tokio::spawn(stderr::pump(stderr, host, sink, tail, hush));
        let options = self.config.options.clone().overlaid(self.route.options());
        let failed = |kind| Error::new(&self.host, Phase::Spawn, kind);
        let mut hosts = self.parent.as_ref().map(Tunnel::hosts).unwrap_or_default();
        if !self.config.is_second {
            hosts.push(self.host.to_string());
        }
        let options_have_site = options.has_site_packages() || options.has_user_site();
        let options = start::options(&options, hosts, self.config.depth_limit_in_force())
            .encode()
            .map(Bytes::from)
            .map_err(|error| failed(ErrorKind::Argument(Arc::new(error))))?;
        let start = StartOptions::new().preamble(self.bootstrap.preamble()).options(options);
        let config = self.config.transport.clone().handshake_timeout(patience);
        let (stdin, stdout) = self.bootstrap.pipes(stdin, stdout);
        // A knob that cannot work. With its pipes closed, the process ends.
        let (handle, incoming, io) =
            Transport::controller(stdout, stdin, start, config).map_err(|source| {
                failed(ErrorKind::Protocol { source, stderr: String::new(), noise: String::new() })
            })?;
        let io = tokio::spawn(io);
        let serving = Arc::new(Serving::new(self.host.clone(), &self.config));
        let output = serving.output.clone();
        // An agent in Rust has no `sys.stdout`.
        if self.config.agent == Agent::Python
            && let Some(source) = output.extension(options_have_site)
        {
            // A lost connection is reported by the request that follows.
            let operation = Operation::application(operation::EXTEND);
            let _ = handle.notice(operation, Format::None, source.into_bytes()).await;
        }
        let (told, telling) = mpsc::channel(MAX_WAITING);
        let passing = tokio::spawn(output.pass_on(self.host.clone(), telling));
        let answering = tokio::spawn(serving.clone().answer(incoming, told));
        self.stage.send_replace(Stage::Open(Arc::new(Session::new(
            self.config.agent,
            handle.clone(),
            serving,
        ))));
        tracing::debug!(after = ?begun.elapsed(), "interpreter started");
        Ok(Running { process, handle, io, pump, answering, passing, clean_up, answered })
    }

    /// Returns which messages of a program are not shown before the agent answers, and a sender that
    /// reports the agent's answer.
    fn hush(&self) -> (stderr::Hush, Option<oneshot::Sender<()>>) {
        let (driver, command) = (self.route.driver.clone(), self.command());
        // If waiting for a name was in vain, the error says that it is in use.
        let may_linger = self.may_linger;
        let is_quiet = Box::pin(async move { may_linger || driver.is_quiet(&command).await });
        let (answer, answered) = oneshot::channel();
        let messages = Some(stderr::Messages { answered, is_quiet });
        (stderr::Hush { refusals: self.destination().is_some(), messages }, Some(answer))
    }

    /// Returns the name of the server to connect to, if it may refuse connections.
    fn destination(&self) -> Option<String> {
        let destination = self.route.driver.destination()?;
        Some(match &self.parent {
            None => destination,
            // The same name may be that of another server elsewhere.
            Some(parent) => format!("{} -> {destination}", parent.path()),
        })
    }

    /// Returns the command that starts the agent, and the place where it is started.
    fn command(&self) -> AgentCommand {
        let command = self.bootstrap.command().with_default_pythons(self.config.context.pythons.clone());
        let command = command.with_secrets(self.config.secrets.clone());
        match &self.parent {
            Some(parent) => command.by(Arc::new(FarSide::new(parent.clone()))),
            None => command,
        }
    }

    async fn spawn(&mut self) -> Result<Link, Error> {
        let command = self.command();
        let after = self.config.spawn_timeout;
        let error = |kind| Error::new(&self.host, Phase::Spawn, kind);
        let opened = tokio::select! {
            biased;
            _ = self.stopped.recv() => Err(error(ErrorKind::Closed)),
            opened = timeout(after, self.route.driver.open(&command)) => match opened {
                Ok(Ok(link)) if command.is_here() || link.is_launched() => Ok(link),
                Ok(Ok(_)) => {
                    let text =
                        "the driver cannot go through another tunnel: it does not use `AgentCommand::spawn`";
                    let refused = io::Error::new(io::ErrorKind::Unsupported, text);
                    let (kind, hint) = self.not_spawned(refused);
                    Err(error(kind).with_hint(hint))
                }
                Ok(Err(failure)) => {
                    let (kind, hint) = self.not_spawned(failure);
                    Err(error(kind).with_hint(hint))
                }
                Err(_) => Err(error(ErrorKind::Timeout { after, stderr: String::new(), noise: String::new() })),
            },
        };
        if let Some(named) = command.interpreter() {
            let _ = self.config.interpreter.set(named.clone());
        }
        opened
    }

    /// Waits for the event that ends the connection. When the agent answers, the turn at connecting
    /// ends.
    async fn live(
        &mut self,
        running: &mut Running,
        turn: &mut Option<Turn>,
        status: &mut Option<ExitStatus>,
    ) -> Cause {
        let mut is_connecting = true;
        loop {
            tokio::select! {
                ended = &mut running.io => return cause(ended),
                _ = self.stopped.recv() => {
                    running.handle.close();
                    let deadline = in_future(self.config.close_timeout);
                    let _ = tokio::time::timeout_at(deadline, &mut running.io).await;
                    return Cause::Stopped { deadline };
                }
                exited = running.process.wait() => {
                    *status = exited.ok();
                    // What it wrote last may still be in the pipe, and a process of its may hold that open.
                    return match timeout(DRAIN, &mut running.io).await {
                        Ok(ended) => cause(ended),
                        Err(_) => Cause::Lost,
                    };
                }
                hello = running.handle.hello(), if is_connecting => {
                    is_connecting = false;
                    if let Ok(hello) = hello {
                        if let Some(answered) = running.answered.take() {
                            // Its stderr may have ended.
                            let _ = answered.send(());
                        }
                        let agent = Hello::decode(&hello.payload).ok();
                        tracing::debug!(python = ?agent.as_ref().map(|agent| agent.python), "connected");
                        if let Some(turn) = turn.take() {
                            turn.came_through();
                        }
                    }
                }
            }
        }
    }

    fn ended(&self, cause: Cause, status: Option<ExitStatus>, handle: &Handle, forced: bool) -> Ended {
        let is_established = handle.is_established();
        let phase = if is_established { Phase::Call } else { Phase::Handshake };
        let cause = match cause {
            Cause::NotRun(error) => {
                let (kind, hint) = self.not_spawned(error);
                let phase = if matches!(kind, ErrorKind::Spawn { .. }) { Phase::Spawn } else { phase };
                return Ended { error: Error::new(&self.host, phase, kind).with_hint(hint), forced };
            }
            cause => cause,
        };
        if let Some(Refusal { error, hint }) =
            self.bootstrap.refusal().filter(|_| !matches!(cause, Cause::Stopped { .. }))
        {
            let kind = ErrorKind::Spawn { program: FITTING.to_owned(), source: error };
            return Ended { error: Error::new(&self.host, Phase::Spawn, kind).with_hint(hint), forced };
        }
        let mut stderr = self.tail.text();
        if stderr.is_empty() && !is_established && matches!(cause, Cause::Failed(_)) {
            // What has made it late, if it was dropped before.
            stderr.clone_from(&self.refusal);
        }
        let noise = if is_established { Default::default() } else { handle.noise() };
        let beginning = String::from_utf8_lossy(noise.get(..LOOKED_AT).unwrap_or(&noise));
        let noise = String::from_utf8_lossy(&noise).into_owned();
        let hint = match &cause {
            Cause::Stopped { .. } => None,
            _ if is_established => hint::of_loss(&stderr),
            _ => {
                let symptoms = Symptoms::new(status, &stderr, &beginning);
                let hint = self.route.driver.hint(&symptoms).or_else(|| hint::of_failed_start(&symptoms));
                hint.map(|hint| self.bootstrap.hint(hint))
            }
        };
        let kind = match cause {
            Cause::Stopped { .. } => ErrorKind::Closed,
            Cause::Lost if is_established => ErrorKind::Disconnected { status, stderr },
            Cause::Lost | Cause::NotRun(_) => ErrorKind::NoAgent { status, stderr, noise },
            Cause::Failed(error) => match *error.kind() {
                // An attempt after others has had less time, all of them together what is set.
                TransportErrorKind::HandshakeTimeout { .. } => {
                    ErrorKind::Timeout { after: self.config.handshake_timeout, stderr, noise }
                }
                _ => ErrorKind::Protocol { source: error, stderr, noise },
            },
        };
        Ended { error: Error::new(&self.host, phase, kind).with_hint(hint), forced }
    }

    /// Returns the error of a program that could not be started, with a hint if the cause is known.
    fn not_spawned(&self, error: io::Error) -> (ErrorKind, Option<Hint>) {
        let error = match error.downcast::<Error>() {
            Ok(error) => return (ErrorKind::Parent(Box::new(error)), None),
            Err(error) => error,
        };
        let (program, source) = match error.downcast::<SpawnError>() {
            Ok(error) => error.into_parts(),
            Err(error) => (self.bootstrap.program().into_owned(), error),
        };
        let parent = self.parent.as_ref().map(|parent| parent.host().as_str());
        let hint = hint::of_failed_spawn(&source, parent);
        (ErrorKind::Spawn { program, source: Arc::new(source) }, hint)
    }

    fn stopped_early(&self) -> Ended {
        Ended { error: Error::new(&self.host, Phase::Spawn, ErrorKind::Closed), forced: false }
    }
}

fn cause(ended: Result<Result<(), TransportError>, JoinError>) -> Cause {
    match ended {
        // The pipes ended, which the exit status and stderr explain better.
        Ok(Err(error)) => match error.kind() {
            TransportErrorKind::Disconnected
            | TransportErrorKind::IoDropped
            | TransportErrorKind::NoHandshake
            | TransportErrorKind::Read(_)
            | TransportErrorKind::Truncated
            | TransportErrorKind::Write(_) => Cause::Lost,
            _ => Cause::Failed(error),
        },
        Ok(Ok(())) | Err(_) => Cause::Lost,
    }
}

/// Returns the time after a deadline of any length.
fn in_future(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + FOR_EVER)
}

/// Waits for the process, and ends it if it does not end by itself. Returns whether this was
/// necessary.
async fn reap(process: &mut Process, status: &mut Option<ExitStatus>, patience: Duration) -> bool {
    if status.is_some() || !process.is_ours() {
        return false;
    }
    if let Ok(exited) = timeout(patience, process.wait()).await {
        *status = exited.ok();
        return false;
    }
    process.terminate();
    if let Ok(exited) = timeout(TERMINATE_GRACE, process.wait()).await {
        *status = exited.ok();
        return true;
    }
    process.kill();
    // Not even SIGKILL ends a process that hangs in the kernel; the runtime reaps it whenever it goes.
    if let Ok(exited) = timeout(TERMINATE_GRACE, process.wait()).await {
        *status = exited.ok();
    }
    true
}

/// The program that an agent in Rust is, in errors.
const COPY: &str = "a copy of this program";
const FITTING: &str = "a program for the host";
/// How often a server may refuse a connection when no other connection of this process is under way
/// to it. Then other clients keep it busy, or it blocks this host. With the waits in between, this
/// takes about 12 seconds.
const MAX_REFUSALS_ALONE: u32 = 7;
/// The replacement for a deadline beyond the range of the clock.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);
/// How much of the output that arrived instead of an answer is searched for its cause. With many
/// short lines, searching more would take seconds, in which other tasks wait.
const LOOKED_AT: usize = 16 << 10;
/// How long to wait for the last output of a program that has ended.
const DRAIN: Duration = Duration::from_millis(500);
/// How long to wait for a console that does not accept what was printed.
const OUTPUT_DRAIN: Duration = Duration::from_secs(5);
/// How long a driver may take to clean up after its program.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two attempts to use a name that the engine has not released yet.
const TAKEN_WAIT: Duration = Duration::from_millis(200);
/// How long a program may take to end after its output has ended.
const LOST_GRACE: Duration = Duration::from_secs(1);
/// The time between the signals that end an agent.
const TERMINATE_GRACE: Duration = Duration::from_secs(1);
