//! Text that code on a host prints, and records that it logs, on their way to their destinations:
//! `docs/wire.md`, section 12.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chopsticks_agent::Part;
use chopsticks_driver::HostName;
use chopsticks_protocol::{Logged, Printed, operation};
use chopsticks_text::harmless_line;
use chopsticks_transport::{Format, Handle, Responder};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    config::TunnelConfig,
    logging::{LogRecord, Logging},
    stderr::{Hush, Passing, Stderr, Tail},
};

/// The output of a connection's agent: which output is requested, and how far it has been passed
/// on.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: Stderr,
    logging: Option<Logging>,
    /// How many arrivals have been taken, by [`Serving`](crate::serving::Serving).
    taken: watch::Sender<u64>,
    /// How many of them were output.
    queued: AtomicU64,
    /// How many of these have been passed on.
    passed: watch::Sender<u64>,
}

/// A message with output.
pub(crate) struct Told {
    pub(crate) code: u8,
    pub(crate) payload: Bytes,
    /// Of a request: its answer says that it was passed on.
    pub(crate) responder: Option<Responder>,
}

impl Output {
    pub(crate) fn new(config: &TunnelConfig) -> Self {
        Self {
            stdout: config.stdout.beside(&config.stderr).on(&config.context.console),
            logging: config.logging.clone(),
            taken: watch::Sender::new(0),
            queued: AtomicU64::new(0),
            passed: watch::Sender::new(0),
        }
    }

    /// Returns the source that makes an agent send the requested output, if there is any.
    ///
    /// With the host's site-packages, something may import `logging` at once; then the agent is sent
    /// all that this needs.
    pub(crate) fn extension(&self, has_site: bool) -> Option<String> {
        let mut parts = Vec::new();
        let mut settings = String::new();
        if !self.stdout.is_off() {
            parts.push(Part::Stdout);
        }
        if let Some(logging) = &self.logging {
            settings = format!("log_level={}\n", logging.level().number());
            if has_site {
                parts.extend(Part::Records.with_requirements());
                settings.push_str("compiled.update(('telling','records'))\n");
            }
            parts.push(Part::Logs);
        }
        if parts.is_empty() {
            return None;
        }
        let sources = parts.iter().map(|part| part.source()).collect::<Vec<_>>().join("\n");
        // Inner agents are sent the same.
        Some(format!("{sources}\n{settings}onward=sys._getframe(1).f_locals.get('payload')\n"))
    }

    /// Counts an arrival, and whether it is output.
    pub(crate) fn take(&self, is_output: bool) {
        if is_output {
            self.queued.fetch_add(1, Ordering::Relaxed);
        }
        self.taken.send_modify(|taken| *taken = taken.saturating_add(1));
    }

    /// Reports that nothing more will be taken.
    pub(crate) fn end(&self) {
        self.taken.send_replace(u64::MAX);
    }

    /// Waits until all output that came before the latest reply has been passed on, but not for long:
    /// a console may be stopped.
    pub(crate) async fn settle(&self, handle: &Handle) {
        let arrived = handle.arrived();
        if *self.taken.borrow() >= arrived && *self.passed.borrow() >= self.queued.load(Ordering::Relaxed) {
            return;
        }
        let settled = async {
            let _ = self.taken.subscribe().wait_for(|taken| *taken >= arrived).await;
            let queued = self.queued.load(Ordering::Relaxed);
            let _ = self.passed.subscribe().wait_for(|passed| *passed >= queued).await;
        };
        let _ = timeout(PATIENCE, settled).await;
    }

    /// Passes output on until there is no more.
    pub(crate) async fn pass_on(self: Arc<Self>, host: HostName, mut told: mpsc::Receiver<Told>) {
        let _end = End(self.clone());
        let mut stdout = Passing::new(host.clone(), self.stdout.clone(), Tail::default(), Hush::default());
        loop {
            let message = tokio::select! {
                biased;
                message = told.recv() => message,
                () = stdout.due() => {
                    stdout.take(&[]).await;
                    continue;
                }
            };
            let Some(Told { code, payload, responder }) = message else { break };
            match code {
                operation::PRINT => match Printed::decode(&payload) {
                    Ok(printed) => {
                        note_loss(&host, printed.lost);
                        let text = labelled(printed.hosts, printed.text);
                        // Nothing is not an order to show what is due.
                        if !text.is_empty() {
                            stdout.take(&text).await;
                        }
                    }
                    Err(error) => tracing::debug!(%host, %error, "output that cannot be read"),
                },
                _ => match Logged::decode(&payload) {
                    Ok(logged) => {
                        note_loss(&host, logged.lost);
                        if let (Some(record), Some(logging)) = (logged.record, &self.logging) {
                            logging.pass(LogRecord::new(&host, logged.hosts, record)).await;
                        }
                    }
                    Err(error) => tracing::debug!(%host, %error, "a record that cannot be read"),
                },
            }
            self.passed.send_modify(|passed| *passed = passed.saturating_add(1));
            if let Some(responder) = responder {
                // An agent that is gone needs no answer.
                let _ = responder.reply(Format::None, Bytes::new());
            }
        }
        stdout.end().await;
    }
}

/// Ends all waiting when the task has ended.
struct End(Arc<Output>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.passed.send_replace(u64::MAX);
    }
}

/// Adds the names of inner hosts to their lines, as for their stderr.
fn labelled(hosts: Vec<String>, text: Vec<u8>) -> Vec<u8> {
    if hosts.is_empty() {
        return text;
    }
    let label: String = hosts.iter().map(|host| format!("[{}] ", harmless_line(host))).collect();
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines.flat_map(|line| [label.as_bytes(), line].concat()).collect()
}

fn note_loss(host: &HostName, lost: u64) {
    if lost > 0 {
        tracing::warn!(
            %host,
            "{lost} messages with output of the host were left out, because it wrote faster than they were taken"
        );
    }
}

/// How many messages may wait to be passed on. An agent that keeps to the protocol has fewer under
/// way.
pub(crate) const MAX_WAITING: usize = 512;
/// How long a result is held back for output that came before it.
const PATIENCE: Duration = Duration::from_secs(5);
