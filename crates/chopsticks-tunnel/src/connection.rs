//! One connection of a tunnel: from the start of the interpreter to the end of everything that it started.

use std::{
    process::ExitStatus,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use chopsticks_pencode::marshal;
use chopsticks_transport::{Handle, StartOptions, Transport, TransportError, TransportErrorKind};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    config::TunnelConfig,
    driver::{AgentCommand, Driver},
    error::{Error, ErrorKind, Phase},
    host::HostName,
    process::{Link, Process, SpawnError},
    serving::{Need, Serving},
    stderr::{self, Tail},
    tunnel::AgentInfo,
};

/// A connection, as those who use it see it. When the last one lets go of it, it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    host: HostName,
    stage: watch::Receiver<Stage>,
    /// Carries nothing: a message, or the end of the channel, is the order to close.
    stop: mpsc::Sender<()>,
    serving: Arc<Serving>,
    agent: OnceLock<AgentInfo>,
}

/// How far a connection is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Opening,
    Open(Handle),
    Ended(Ended),
}

/// How a connection has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// What calls fail with that were under way.
    pub(crate) error: Error,
    /// Whether the agent had to be killed.
    pub(crate) forced: bool,
}

impl Connection {
    /// Begins to connect; a task of its own owns the connection from here on.
    pub(crate) fn open(driver: Arc<dyn Driver>, config: TunnelConfig) -> Arc<Self> {
        let (stage, watch) = watch::channel(Stage::Opening);
        let (stop, stopped) = mpsc::channel(1);
        let host = driver.host();
        let serving = Arc::new(Serving::new(host.clone(), &config));
        let connection =
            Self { host: host.clone(), stage: watch, stop, serving: serving.clone(), agent: OnceLock::new() };
        let keeper =
            Keeper { host: host.clone(), driver, config, serving, stage, stopped, tail: Tail::default() };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(keeper.keep())),
            Err(error) => {
                let kind = ErrorKind::Spawn {
                    program: "a connection".to_owned(),
                    source: Arc::new(std::io::Error::other(error)),
                    hint: Some("a tokio runtime with time and I/O is needed".to_owned()),
                };
                let error = Error::new(&host, Phase::Spawn, kind);
                keeper.stage.send_replace(Stage::Ended(Ended { error, forced: false }));
            }
        }
        Arc::new(connection)
    }

    /// Whether nothing can be asked of the agent any more, though its process may still be on its way out.
    pub(crate) fn has_ended(&self) -> bool {
        match &*self.stage.borrow() {
            Stage::Opening => false,
            Stage::Open(handle) => handle.is_closed(),
            Stage::Ended(_) => true,
        }
    }

    /// Waits until requests can be made.
    pub(crate) async fn handle(&self) -> Result<Handle, Error> {
        if let Stage::Open(handle) = &*self.stage.borrow() {
            return Ok(handle.clone());
        }
        let mut stage = self.stage.clone();
        match stage.wait_for(|stage| !matches!(stage, Stage::Opening)).await.as_deref() {
            Ok(Stage::Open(handle)) => Ok(handle.clone()),
            Ok(Stage::Ended(ended)) => Err(ended.error.clone()),
            // The runtime is shutting down.
            Ok(Stage::Opening) | Err(_) => Err(Error::new(&self.host, Phase::Spawn, ErrorKind::Closed)),
        }
    }

    /// Waits for the end and returns how it came.
    pub(crate) async fn ended(&self) -> Ended {
        let mut stage = self.stage.clone();
        match stage.wait_for(|stage| matches!(stage, Stage::Ended(_))).await.as_deref() {
            Ok(Stage::Ended(ended)) => ended.clone(),
            _ => Ended { error: Error::new(&self.host, Phase::Close, ErrorKind::Closed), forced: false },
        }
    }

    /// Gives the order to close.
    pub(crate) fn stop(&self) {
        // A full channel has the order already.
        let _ = self.stop.try_send(());
    }

    /// Waits for the agent's answer to the handshake.
    pub(crate) async fn agent(&self) -> Result<&AgentInfo, Error> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let handle = self.handle().await?;
        let hello = match handle.hello().await {
            Ok(hello) => hello,
            Err(_) => return Err(self.ended().await.error),
        };
        let agent = marshal::from_slice(&hello.payload)
            .map_err(|error| Error::new(&self.host, Phase::Handshake, ErrorKind::Result(Arc::new(error))))?;
        Ok(self.agent.get_or_init(|| agent))
    }

    /// The phase in which a deadline that passes now has passed.
    pub(crate) fn phase(&self) -> Phase {
        match &*self.stage.borrow() {
            Stage::Opening => Phase::Spawn,
            Stage::Open(handle) if !handle.is_established() => Phase::Handshake,
            Stage::Open(_) | Stage::Ended(_) => Phase::Call,
        }
    }

    /// Sends what a call will import, unless this connection has it.
    pub(crate) async fn send_ahead(&self, handle: &Handle, need: Need<'_>) -> Result<(), Error> {
        let sent = self.serving.send_ahead(handle, need).await;
        sent.map_err(|error| Error::new(&self.host, Phase::Call, ErrorKind::Codebase(error)))
    }

    /// What may help whoever named a module that is not there.
    pub(crate) async fn hint(&self, module: &str) -> Option<String> {
        self.serving.hint(module).await
    }
}

/// Owns a connection from its start to its end.
struct Keeper {
    host: HostName,
    driver: Arc<dyn Driver>,
    config: TunnelConfig,
    serving: Arc<Serving>,
    stage: watch::Sender<Stage>,
    stopped: mpsc::Receiver<()>,
    tail: Tail,
}

/// Why a connection ends.
enum Cause {
    Failed(TransportError),
    /// The agent's output ended, or its program did.
    Lost,
    Stopped {
        in_time: bool,
    },
}

impl Keeper {
    async fn keep(mut self) {
        let ended = self.run().await;
        tracing::debug!(host = %self.host, error = %ended.error, "connection ended");
        self.stage.send_replace(Stage::Ended(ended));
    }

    async fn run(&mut self) -> Ended {
        let link = match self.spawn().await {
            Ok(link) => link,
            Err(error) => return Ended { error, forced: false },
        };
        let Link { stdin, stdout, stderr, mut process, clean_up } = link;
        let mut pump = tokio::spawn(stderr::pump(
            stderr,
            self.host.clone(),
            self.config.stderr.clone(),
            self.tail.clone(),
        ));
        let options = self.config.options.clone().overlaid(self.driver.options());
        let start = StartOptions::new()
            .preamble(Bytes::from_static(chopsticks_agent::PACKED))
            .options(options.encode(&self.host).unwrap_or_default());
        let transport = Transport::controller(stdout, stdin, start, self.config.transport.clone());
        let (handle, incoming, io) = match transport {
            Ok(transport) => transport,
            // A knob that cannot work. With its pipes closed, the process ends.
            Err(source) => {
                let kind = ErrorKind::Protocol { source, stderr: String::new(), noise: String::new() };
                return Ended { error: Error::new(&self.host, Phase::Spawn, kind), forced: false };
            }
        };
        let mut io = tokio::spawn(io);
        let answering = tokio::spawn(self.serving.clone().answer(incoming));
        self.stage.send_replace(Stage::Open(handle.clone()));

        let mut status = None;
        let cause = tokio::select! {
            ended = &mut io => cause(ended),
            _ = self.stopped.recv() => {
                handle.close();
                Cause::Stopped { in_time: timeout(self.config.close_timeout, &mut io).await.is_ok() }
            }
            exited = process.wait() => {
                status = exited.ok();
                // What it wrote last may still be in the pipe, and a process of its may hold that open.
                match timeout(DRAIN, &mut io).await {
                    Ok(ended) => cause(ended),
                    Err(_) => Cause::Lost,
                }
            }
        };
        // Ends the pipes, if anything still holds them.
        io.abort();
        let patience = match cause {
            Cause::Stopped { in_time: true } => self.config.close_timeout,
            Cause::Stopped { in_time: false } => Duration::ZERO,
            Cause::Failed(_) | Cause::Lost => LOST_GRACE,
        };
        let forced = reap(&mut process, &mut status, patience).await;
        if timeout(DRAIN, &mut pump).await.is_err() {
            // A process that left our reach keeps stderr open; its lines are nobody's.
            pump.abort();
        }
        answering.abort();
        if let Some(work) = clean_up
            && (forced || !status.is_some_and(|status| status.success()))
        {
            let _ = timeout(CLEAN_UP_TIMEOUT, work).await;
        }
        self.ended(cause, status, &handle, forced)
    }

    async fn spawn(&mut self) -> Result<Link, Error> {
        let command = AgentCommand::new();
        let after = self.config.spawn_timeout;
        let error = |kind| Error::new(&self.host, Phase::Spawn, kind);
        tokio::select! {
            biased;
            _ = self.stopped.recv() => Err(error(ErrorKind::Closed)),
            opened = timeout(after, self.driver.open(&command)) => match opened {
                Ok(Ok(link)) => Ok(link),
                Ok(Err(error)) => Err(Error::new(&self.host, Phase::Spawn, not_spawned(error))),
                Err(_) => Err(error(ErrorKind::Timeout { after, stderr: String::new(), noise: String::new() })),
            },
        }
    }

    fn ended(&self, cause: Cause, status: Option<ExitStatus>, handle: &Handle, forced: bool) -> Ended {
        let established = handle.is_established();
        let phase = if established { Phase::Call } else { Phase::Handshake };
        let stderr = self.tail.text();
        let noise = || {
            if established { String::new() } else { String::from_utf8_lossy(&handle.noise()).into_owned() }
        };
        let kind = match cause {
            Cause::Stopped { .. } => ErrorKind::Closed,
            Cause::Lost if established => ErrorKind::Disconnected { status, stderr },
            Cause::Lost => ErrorKind::NoAgent { status, stderr, noise: noise() },
            Cause::Failed(error) => match *error.kind() {
                TransportErrorKind::HandshakeTimeout { timeout: after } => {
                    ErrorKind::Timeout { after, stderr, noise: noise() }
                }
                _ => ErrorKind::Protocol { source: error, stderr, noise: noise() },
            },
        };
        Ended { error: Error::new(&self.host, phase, kind), forced }
    }
}

fn cause(ended: Result<Result<(), TransportError>, tokio::task::JoinError>) -> Cause {
    match ended {
        // The pipes ended, which the exit status and stderr explain better.
        Ok(Err(error)) => match error.kind() {
            TransportErrorKind::Disconnected
            | TransportErrorKind::DriverDropped
            | TransportErrorKind::NoHandshake
            | TransportErrorKind::Read(_)
            | TransportErrorKind::Truncated
            | TransportErrorKind::Write(_) => Cause::Lost,
            _ => Cause::Failed(error),
        },
        Ok(Ok(())) | Err(_) => Cause::Lost,
    }
}

/// Waits for the process, and makes it end where it does not by itself; returns whether that was needed.
async fn reap(process: &mut Process, status: &mut Option<ExitStatus>, patience: Duration) -> bool {
    if status.is_some() {
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

fn not_spawned(error: std::io::Error) -> ErrorKind {
    let (program, source) = match error.downcast::<SpawnError>() {
        Ok(SpawnError { program, source }) => (program, source),
        Err(error) => ("the interpreter".to_owned(), error),
    };
    ErrorKind::Spawn { program, hint: spawn_hint(&source), source: Arc::new(source) }
}

/// What to do about a failed start, where that is known.
fn spawn_hint(error: &std::io::Error) -> Option<String> {
    use rustix::{io::Errno, process};
    match Errno::from_io_error(error)? {
        Errno::MFILE => {
            let limit = process::getrlimit(process::Resource::Nofile).current;
            let limit = limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
            Some(format!(
                "this process may open {limit} files: raise `ulimit -n`, or connect to fewer hosts at once"
            ))
        }
        Errno::NFILE => Some("the system is out of open files".to_owned()),
        Errno::AGAIN => Some("this user may start no more processes: see `ulimit -u`".to_owned()),
        _ => None,
    }
}

/// How long the last output of a program that has ended is waited for.
const DRAIN: Duration = Duration::from_millis(500);
/// How long a driver may take to remove what its program has left.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a program may take to end whose output has ended.
const LOST_GRACE: Duration = Duration::from_secs(1);
/// Time between the signals that end a stubborn agent.
const TERMINATE_GRACE: Duration = Duration::from_secs(1);
