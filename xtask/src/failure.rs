//! How a task fails.

use std::fmt::Display;

/// Why a task failed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// To be printed.
    Message(String),
    /// The task has printed all there is to say.
    Reported,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Message(message.into())
    }

    /// Says what was tried when `error` came.
    pub(crate) fn during(what: impl Display, error: impl Display) -> Self {
        Self::Message(format!("{what}: {error}"))
    }
}
