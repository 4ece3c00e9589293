//! The answers of targets, by verb.

use std::process::ExitStatus;

use chopsticks::{AgentInfo, Reply, Transferred, TransferredFolder, facts::Facts};

use crate::pieces::Pieces;

/// The answer of a target. `V` is the form of a value: as it was sent, or as it is shown.
#[derive(Debug)]
pub(crate) enum Answer<V = Reply> {
    /// All facts: typed for people, and as they were sent for JSON.
    Facts(Box<Facts>, V),
    File(Transferred, Compared),
    /// A file whose content went to stdout.
    Shown(Transferred),
    Folder(TransferredFolder, Compared),
    Pong(Pong),
    Ran(Ran),
    /// The result of a function.
    Value(V),
}

/// A result as it is shown.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    /// Lines to be shown below the host.
    Block(Pieces),
    Json(Pieces),
    /// Text to be shown after the host.
    Line(Pieces),
}

/// Whether files were compared before they were sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Compared {
    No,
    /// Nothing was sent.
    Only,
    Yes,
}

/// How many entries of folders were changed, were the same, and were deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Entries {
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    pub(crate) deleted: u64,
}

/// The answer to a ping.
#[derive(Debug)]
pub(crate) struct Pong {
    pub(crate) agent: AgentInfo,
    /// The time from the start to the first answer, in milliseconds.
    pub(crate) connect_ms: f64,
    /// The shortest of a few round trips, in milliseconds.
    pub(crate) latency_ms: f64,
}

/// The end of a program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    /// The output to stdout and stderr; empty if it was printed as it arrived.
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl<V> Answer<V> {
    /// Returns whether files were changed, if they were compared.
    pub(crate) fn change(&self) -> Option<bool> {
        match self {
            Self::File(file, compared) if *compared != Compared::No => Some(file.changed),
            Self::Folder(folder, compared) if *compared != Compared::No => Some(folder.changed),
            _ => None,
        }
    }

    /// Returns how many entries of a folder were changed, if they were compared.
    pub(crate) fn entries(&self) -> Option<Entries> {
        match self {
            Self::Folder(folder, compared) if *compared != Compared::No || !folder.deleted.is_empty() => {
                Some(Entries {
                    changed: folder.changes.len() as u64,
                    unchanged: folder.unchanged,
                    deleted: folder.deleted.len() as u64,
                })
            }
            _ => None,
        }
    }

    /// Returns whether the answer reports a failure.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Ran(ran) if !ran.status.success())
    }
}
