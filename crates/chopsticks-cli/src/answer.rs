//! What targets answer, by verb.

use std::process::ExitStatus;

use chopsticks::{AgentInfo, Reply, Transferred, TransferredFolder, facts::Facts};

/// What a target has answered. A value comes as `V`: as it was sent, or as it is shown.
#[derive(Debug)]
pub(crate) enum Answer<V = Reply> {
    /// All facts: typed for people, and as they came for JSON.
    Facts(Box<Facts>, V),
    File(Transferred),
    /// A file whose content went to stdout.
    Shown(Transferred),
    Folder(TransferredFolder),
    Pong(Pong),
    Ran(Ran),
    /// What a function returned.
    Value(V),
}

/// The answer to a ping.
#[derive(Debug)]
pub(crate) struct Pong {
    pub(crate) agent: AgentInfo,
    /// From the start to the first answer, in milliseconds.
    pub(crate) connect_ms: f64,
    /// The shortest of a few round trips, in milliseconds.
    pub(crate) latency_ms: f64,
}

/// How a program has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    /// What it wrote to stdout and stderr; empty where that was printed as it came.
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl<V> Answer<V> {
    /// Whether it says that what was asked for has failed.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Ran(ran) if !ran.status.success())
    }
}
