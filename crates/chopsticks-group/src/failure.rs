//! The outcome of an operation on one target.

use std::{error::Error as StdError, fmt, time::Duration};

/// The outcome for one target: the value of the operation, or the reason why it has none.
pub type Outcome<V, E> = Result<V, Failure<E>>;

/// The reason why a target has no value.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The [`Queue`](crate::Queue) of the operation, or the future that ran it, was dropped.
    Dropped,
    /// The operation was not started.
    NotStarted(NotStarted),
    /// The operation failed.
    Operation(E),
    /// The deadline of the target, or of all targets, passed while the operation ran. The operation was dropped.
    Timeout {
        /// How long the operation ran.
        after: Duration,
        /// How far the operation had got.
        stage: Stage,
    },
}

/// How far an operation had got when its deadline passed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// The target was not connected yet. It may be out of reach, or slow to accept connections.
    Connecting,
    /// The target was connected, and the operation had not finished.
    Running,
}

/// The reason why an operation was not started.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NotStarted {
    /// More targets had failed than [`Limits::max_failures`](crate::Limits::max_failures) allows.
    Failures,
    /// No target was left that could have been asked: see [`Pool`](crate::Pool).
    NoTargets,
    /// [`Limits::timeout`](crate::Limits::timeout) passed before its turn came.
    Timeout,
}

impl<E> Failure<E> {
    /// Returns the operation's error, if it is one.
    pub fn operation(&self) -> Option<&E> {
        match self {
            Self::Operation(error) => Some(error),
            _ => None,
        }
    }

    /// Returns a failure that borrows the operation's error from this one.
    pub fn borrowed(&self) -> Failure<&E> {
        match self {
            Self::Dropped => Failure::Dropped,
            Self::NotStarted(why) => Failure::NotStarted(*why),
            Self::Operation(error) => Failure::Operation(error),
            Self::Timeout { after, stage } => Failure::Timeout { after: *after, stage: *stage },
        }
    }

    /// Returns whether a deadline of [`Limits`](crate::Limits) passed, as opposed to one of the operation itself.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::NotStarted(NotStarted::Timeout))
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped => f.write_str("dropped before it finished"),
            Self::NotStarted(why) => why.fmt(f),
            // The operation's error is all there is to say: it stands for itself, not behind a word of ours.
            Self::Operation(error) => error.fmt(f),
            Self::Timeout { after, stage } => {
                let what = match stage {
                    Stage::Connecting => "not connected",
                    Stage::Running => "cancelled",
                };
                write!(f, "{what} after {after:.1?}, when the deadline passed")
            }
        }
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failures => "not started, because too many others had failed",
            Self::NoTargets => "not started, because no host was left",
            Self::Timeout => "not started before the deadline",
        })
    }
}

impl<E: StdError + 'static> StdError for Failure<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Operation(error) => error.source(),
            _ => None,
        }
    }
}
