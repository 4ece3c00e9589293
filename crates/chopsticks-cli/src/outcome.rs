//! Outcomes of targets.

use std::time::Duration;

use chopsticks::{Error, ErrorKind, Hint, HostName, Phase, text::chain};

use crate::{answer::Answer, answer::Shown, walk::Unshown};

/// The outcome of a target.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) host: HostName,
    /// Its position among the targets, in the given order.
    pub(crate) index: usize,
    pub(crate) result: Result<Answer<Shown>, Failure>,
    /// The time from the start of the run.
    pub(crate) took: Duration,
}

/// The reason why there is no result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// A fixed name, such as `timeout`.
    pub(crate) kind: &'static str,
    pub(crate) phase: String,
    pub(crate) message: String,
    /// What to do about it, if the cause is known.
    pub(crate) hint: Option<Box<Hint>>,
    /// The traceback, as Python prints it.
    pub(crate) traceback: Option<String>,
    /// Whether the operation has begun, and may succeed when it runs again.
    pub(crate) may_pass: bool,
}

impl Failure {
    /// Creates the failure of an operation whose attempts together took too long.
    pub(crate) fn late(timeout: Duration, failed: u32) -> Self {
        let attempts =
            if failed == 1 { "1 attempt had".to_owned() } else { format!("{failed} attempts had") };
        Self::of_call("timeout", format!("timed out after {timeout:?}: {attempts} failed"))
    }

    /// Creates a failure of the call itself.
    pub(crate) fn of_call(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            phase: Phase::Call.to_string(),
            message: message.into(),
            hint: None,
            traceback: None,
            may_pass: false,
        }
    }

    /// Creates the failure of an operation that a signal cancelled.
    pub(crate) fn interrupted(phase: Phase) -> Self {
        Self { phase: phase.to_string(), ..Self::of_call(INTERRUPTED, "interrupted before it finished") }
    }

    /// Creates the failure of a target that did not start, because others had failed too often, or
    /// because it was too late.
    pub(crate) fn not_started(message: String) -> Self {
        Self::of_call(NOT_STARTED, message)
    }

    pub(crate) fn is_not_started(&self) -> bool {
        self.kind == NOT_STARTED
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.kind == INTERRUPTED
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let may_pass = may_pass(&error);
        // As `Error::report`, without host and phase in front and the hint behind.
        let mut message = chain(kind);
        cut(&mut message);
        let traceback = error.remote().map(|exception| {
            let mut traceback = exception.traceback.clone();
            cut(&mut traceback);
            traceback
        });
        Self {
            kind: kind.name(),
            phase: error.phase().to_string(),
            message,
            hint: error.hint().cloned().map(Box::new),
            traceback: traceback.filter(|traceback| !traceback.is_empty()),
            may_pass,
        }
    }
}

impl From<Unshown> for Failure {
    fn from(error: Unshown) -> Self {
        let kind = match &error {
            Unshown::Unwritten(error) if error.kind() == std::io::ErrorKind::OutOfMemory => "out-of-memory",
            _ => "result",
        };
        Self::of_call(kind, error.to_string())
    }
}

/// Returns whether an operation that has begun may succeed when it runs again.
fn may_pass(error: &Error) -> bool {
    // If it has not begun, its attempts are over. A deadline is the one of all attempts.
    error.has_begun()
        && matches!(
            error.kind(),
            ErrorKind::Disconnected { .. }
                | ErrorKind::Protocol { .. }
                | ErrorKind::Raised(_)
                | ErrorKind::File { .. }
                | ErrorKind::OutOfMemory { .. }
        )
}

/// Shortens a text to what a person might read. A host can send as much as the limit of a result.
fn cut(text: &mut String) {
    let len = text.len();
    if len > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push_str(&format!("\n… {} bytes more", len - text.len()));
        text.shrink_to_fit();
    }
}

/// Ten times the traceback of the deepest recursion that Python allows.
const MAX_TEXT: usize = 1 << 20;

const INTERRUPTED: &str = "interrupted";
const NOT_STARTED: &str = "not-started";
