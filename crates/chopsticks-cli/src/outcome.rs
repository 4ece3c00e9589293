//! What became of a call on one target.

use std::{error::Error as _, time::Duration};

use chopsticks::{Error, HostName, Phase, Reply};

use crate::walk::TooManyCopies;

/// What became of a call on one target.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) host: HostName,
    pub(crate) result: Result<Reply, Failure>,
    /// From the start of all calls.
    pub(crate) took: Duration,
}

/// Why there is no result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// A fixed name, such as `timeout`.
    pub(crate) kind: &'static str,
    pub(crate) phase: String,
    pub(crate) message: String,
    /// As Python prints it.
    pub(crate) traceback: Option<String>,
}

impl Failure {
    /// The call was cancelled by a signal.
    pub(crate) fn interrupted() -> Self {
        Self {
            kind: INTERRUPTED,
            phase: Phase::Call.to_string(),
            message: "interrupted before it had finished".to_owned(),
            traceback: None,
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.kind == INTERRUPTED
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        // As `Error::report`, without host and phase in front.
        let mut message = kind.to_string();
        let mut source = kind.source();
        while let Some(error) = source {
            message.push_str(": ");
            message.push_str(&error.to_string());
            source = error.source();
        }
        let traceback = error.remote().map(|exception| exception.traceback.clone());
        Self {
            kind: kind.name(),
            phase: error.phase().to_string(),
            message,
            traceback: traceback.filter(|traceback| !traceback.is_empty()),
        }
    }
}

impl From<TooManyCopies> for Failure {
    fn from(error: TooManyCopies) -> Self {
        Self { kind: "result", phase: Phase::Call.to_string(), message: error.to_string(), traceback: None }
    }
}

const INTERRUPTED: &str = "interrupted";
