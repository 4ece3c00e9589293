//! Errors of tunnels.

use std::{error::Error as StdError, fmt, io, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use chopsticks_driver::{Hint, HostName, hint};
use chopsticks_pencode::marshal;
use chopsticks_text::{chain, harmless, harmless_line};
use chopsticks_transport::TransportError;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::{agent::Agent, side::Side};

/// An error on a host.
///
/// [`host`](Self::host) and [`phase`](Self::phase) return where it occurred, and
/// [`kind`](Self::kind) what happened. [`fmt::Display`] shows both, the reason and what to do about
/// it in one line. [`fmt::Debug`], which `main` and `unwrap` print, shows the same line, followed by
/// the traceback or all lines of stderr that were kept.
///
/// The `?` operator turns every other error of this library into this one.
///
/// Both show text from the host as [`harmless`] does, so that a terminal does not interpret it. The
/// fields of [`ErrorKind`] contain it unchanged.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    function: Option<Arc<str>>,
    /// How many items of a stream had come.
    items: Option<u64>,
}

struct Inner {
    host: HostName,
    phase: Phase,
    kind: ErrorKind,
    hint: Option<Hint>,
}

/// A phase in the life of a tunnel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// A call was being sent, or was about to be sent.
    Call,
    /// The tunnel was being closed.
    Close,
    /// The interpreter was started, and the agent had not answered yet.
    Handshake,
    /// None of the others: the error concerns no single host.
    Other,
    /// The interpreter was being started.
    Spawn,
    /// A file was being sent or received.
    Transfer,
}

/// What happened on a host.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The task that owned the connection no longer exists. Each connection belongs to the tokio
    /// runtime in which it was opened, and ends with it. The next use of the tunnel connects again.
    #[error("the connection was abandoned: {reason}")]
    Abandoned {
        /// The reason: the runtime has ended, or the task has panicked.
        reason: String,
    },
    /// The arguments cannot be encoded.
    #[error("the arguments cannot be sent: {}", why(&**.0))]
    Argument(#[source] Arc<dyn StdError + Send + Sync>),
    /// The tunnel was closed while the call was under way.
    #[error("the tunnel was closed")]
    Closed,
    /// The [`ModuleSource`](crate::ModuleSource) failed.
    #[error("the codebase cannot be served: {}", why(.0))]
    Codebase(#[source] crate::module::ModuleError),
    /// The agent or the link to it was lost.
    #[error("{}", Gone("the connection was lost", status, stderr, ""))]
    Disconnected {
        /// The exit status of the program that the driver started, if it has ended.
        status: Option<ExitStatus>,
        /// The last lines of stderr.
        stderr: String,
    },
    /// A file cannot be read or written, on this side or on the host.
    #[error("{side} file {path:?}: {}", why(&**source))]
    File {
        /// The side.
        side: Side,
        /// The file. A source or destination that is not a file is named `<bytes>`, `<reader>` or
        /// `<writer>`.
        path: PathBuf,
        /// The reason, in the words of its host.
        #[source]
        source: Arc<io::Error>,
    },
    /// The program that the driver started ended before an agent answered.
    #[error("{}", Gone("no agent answered", status, stderr, noise))]
    NoAgent {
        /// The exit status of the program, if it has ended.
        status: Option<ExitStatus>,
        /// The last lines of stderr.
        stderr: String,
        /// What was written to stdout instead of an answer.
        noise: String,
    },
    /// The function does not exist on the host or in the codebase.
    #[error("no such function: {}", harmless(message))]
    NoFunction {
        /// What is missing, and similar names.
        message: String,
    },
    /// There is not enough memory for the host's answer. The tunnel stays usable.
    #[error("out of memory: {message}")]
    OutOfMemory {
        /// What did not fit into memory.
        message: String,
    },
    /// The tunnel that this one goes through failed: see [`Route`](crate::Route). The sources and
    /// the hint are those of the contained error.
    #[error("the parent tunnel failed: {}", .0.without_hint())]
    Parent(Box<Error>),
    /// A program could not be started on the host, or ended in an unknown way.
    #[error("cannot run {program}: {}", why(&**source))]
    Program {
        /// The program, or the file or folder that caused the error.
        program: String,
        /// The reason, in the words of its host.
        #[source]
        source: Arc<io::Error>,
    },
    /// The agent violated the protocol.
    #[error("{}: {}", Gone("the connection failed", &None, stderr, noise), why(source))]
    Protocol {
        /// The violation.
        #[source]
        source: TransportError,
        /// The last lines of stderr.
        stderr: String,
        /// What was written to stdout before the agent's answer.
        noise: String,
    },
    /// The function raised an exception.
    #[error("{0}")]
    Raised(RemoteException),
    /// The result does not have the requested type.
    #[error("the result does not have the requested type: {}", why(&**.0))]
    Result(#[source] Arc<dyn StdError + Send + Sync>),
    /// The script of [`Function::script`](crate::Function::script) could not be read.
    #[error("cannot read the script {}: {}", path.display(), why(&**source))]
    Script {
        /// The script, as it was given.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// An error that concerns no single host: a text is not a target, two hosts of a group have one name, some hosts of a group
    /// failed, or the result of a queued operation was taken before there was one. The error's [`host`](Error::host) is `localhost`.
    #[error("{}", why(&**.0))]
    Other(#[source] Arc<dyn StdError + Send + Sync>),
    /// The interpreter could not be started.
    #[error("cannot start {program}: {}", why(&**source))]
    Spawn {
        /// The program.
        program: String,
        /// The reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// The deadline passed.
    #[error("{}", Gone(&format!("timed out after {after:?}"), &None, stderr, noise))]
    Timeout {
        /// The deadline.
        after: Duration,
        /// The last lines of stderr, in phases before the call.
        stderr: String,
        /// What was written to stdout before the agent's answer.
        noise: String,
    },
    /// A message is larger than [`TunnelConfig::max_message_len`](crate::TunnelConfig::max_message_len).
    #[error("{}", harmless(message))]
    TooLarge {
        /// Which message, and by how much.
        message: String,
    },
    /// The host has the maximum number of cancelled calls and transfers that have not ended, and
    /// others are under way: [`TunnelConfig::max_abandoned`](crate::TunnelConfig::max_abandoned).
    /// Close the tunnel to end them.
    #[error("{limit} cancelled calls have not ended on this host, which is the limit")]
    TooManyAbandoned {
        /// The limit.
        limit: usize,
    },
    /// The agent of the tunnel does not do this: see [`TunnelConfig::agent`](crate::TunnelConfig::agent).
    #[error("{}", wrong(*agent))]
    WrongAgent {
        /// The kind of agent that the tunnel has.
        agent: Agent,
    },
    /// The result contains a value that cannot be encoded.
    #[error("the result cannot be encoded: {}", harmless(message))]
    UnfitResult {
        /// The place in the result, and the problem.
        message: String,
    },
}

/// An exception that a remote function raised, as data in the form in which Python prints it; or the
/// error that a function in Rust returned, or its panic.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RemoteException {
    /// The type of the exception, with its module unless it is built in. For a function in Rust, the
    /// path of the error's type, or `panic`.
    pub type_name: String,
    /// The text of the exception. That of a panic ends in its place in the source.
    pub message: String,
    /// The traceback as Python formats it, with the file names and lines of the codebase. For a
    /// function in Rust, what `{:?}` shows of its error.
    pub traceback: String,
    /// The error that a function in Rust returned, encoded.
    pub(crate) value: Option<Vec<u8>>,
}

impl Error {
    pub(crate) fn new(host: &HostName, phase: Phase, kind: ErrorKind) -> Self {
        Self {
            inner: Arc::new(Inner { host: host.clone(), phase, kind, hint: None }),
            function: None,
            items: None,
        }
    }

    /// Creates the error of a stream on this side, with a name such as `<stdout>`.
    pub(crate) fn of_file(host: &HostName, side: Side, name: &str, error: io::Error) -> Self {
        let kind = ErrorKind::File { side, path: name.into(), source: Arc::new(error) };
        Self::new(host, Phase::Transfer, kind)
    }

    /// Creates an error of [`ErrorKind::Other`], which concerns no single host, as [`io::Error::other`] does.
    pub fn other(error: impl StdError + Send + Sync + 'static) -> Self {
        let host = HostName::lossy("localhost");
        Self::new(&host, Phase::Other, ErrorKind::Other(Arc::new(error)))
    }

    /// Adds a hint. Only for errors that are not shared yet.
    pub(crate) fn with_hint(mut self, hint: Option<Hint>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.hint = hint;
        }
        self
    }

    /// Changes the phase of an error that occurred while a call might have been under way: it was a
    /// transfer.
    pub(crate) fn of_transfer(self) -> Self {
        let Inner { host, phase, kind, hint } = &*self.inner;
        if *phase != Phase::Call {
            return self;
        }
        let kind = kind.clone();
        let inner = Inner { host: host.clone(), phase: Phase::Transfer, kind, hint: hint.clone() };
        Self { inner: Arc::new(inner), function: self.function, items: self.items }
    }

    /// Adds the function that was being called.
    pub(crate) fn of_function(mut self, name: &str) -> Self {
        self.function.get_or_insert_with(|| name.into());
        self
    }

    /// Adds how many items of a stream had come.
    pub(crate) fn of_items(mut self, count: u64) -> Self {
        self.items = Some(count);
        self
    }

    /// Returns the host on which the error occurred.
    pub fn host(&self) -> &HostName {
        &self.inner.host
    }

    /// Returns the phase in which the error occurred.
    pub fn phase(&self) -> Phase {
        self.inner.phase
    }

    /// Returns what happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// Returns the function of the call, if the error belongs to a call.
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// Returns how many items had come before the error, if it is an error of a stream: see
    /// [`Tunnel::stream`](crate::Tunnel::stream).
    pub fn items(&self) -> Option<u64> {
        self.items
    }

    /// Returns the cause and what to do about it, if it is known. If the tunnel that this one goes
    /// through has failed, this is the hint of that tunnel.
    pub fn hint(&self) -> Option<&Hint> {
        match &self.inner.kind {
            ErrorKind::Parent(error) => error.hint(),
            _ => self.inner.hint.as_ref(),
        }
    }

    /// Returns the exception, if remote code raised one.
    pub fn remote(&self) -> Option<&RemoteException> {
        match &self.inner.kind {
            ErrorKind::Raised(exception) => Some(exception),
            _ => None,
        }
    }

    /// Returns the error that a function in Rust returned, as a value of its type.
    ///
    /// Returns `None` if this is no such error, if it is of another type, or if its type does not
    /// implement both `Serialize` and `Display`: only the text of such errors arrives.
    pub fn returned<E: DeserializeOwned>(&self) -> Option<E> {
        let value = self.remote()?.value.as_ref()?;
        marshal::from_slice(value).ok()
    }

    /// Returns whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        match &self.inner.kind {
            ErrorKind::Parent(error) => error.is_timeout(),
            kind => matches!(kind, ErrorKind::Timeout { .. }),
        }
    }

    /// Returns whether the agent was lost or violated the protocol, or the runtime of the
    /// connection ended. The next use of the tunnel connects again.
    pub fn is_disconnected(&self) -> bool {
        match &self.inner.kind {
            ErrorKind::Parent(error) => error.is_disconnected(),
            kind => matches!(
                kind,
                ErrorKind::Abandoned { .. } | ErrorKind::Disconnected { .. } | ErrorKind::Protocol { .. }
            ),
        }
    }

    /// Returns whether the function, program or transfer may have begun on the host. It has not if
    /// connecting failed.
    pub fn has_begun(&self) -> bool {
        !matches!(self.phase(), Phase::Handshake | Phase::Spawn)
    }

    /// Returns whether remote code raised an exception.
    pub fn is_remote(&self) -> bool {
        self.remote().is_some()
    }

    /// Returns host, phase, what happened, all sources, and what to do about it, in one line, as
    /// [`fmt::Display`] shows them.
    pub fn report(&self) -> String {
        self.to_string()
    }

    fn without_hint(&self) -> String {
        let Inner { host, phase, kind, .. } = &*self.inner;
        let what = chain(kind);
        let after = match self.items {
            Some(1) => " after 1 item".to_owned(),
            Some(count) => format!(" after {count} items"),
            None => String::new(),
        };
        let text = match (&self.function, phase) {
            (_, Phase::Other) => what,
            (Some(function), Phase::Call) => {
                format!("{host}: {phase} of {function}{after}: {what}")
            }
            _ => format!("{host}: {phase}{after}: {what}"),
        };
        harmless(&text).into_owned()
    }

    fn hint_in_brackets(&self) -> String {
        self.hint().map(|hint| format!(" ({})", harmless(&hint.to_string()))).unwrap_or_default()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.without_hint(), self.hint_in_brackets())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let more = match self.kind() {
            ErrorKind::Raised(exception) => exception.traceback.trim_end(),
            ErrorKind::Disconnected { stderr, .. }
            | ErrorKind::NoAgent { stderr, .. }
            | ErrorKind::Protocol { stderr, .. }
            | ErrorKind::Timeout { stderr, .. } => stderr.trim_end(),
            _ => "",
        };
        // A single line is in the report already.
        if !more.contains('\n') { Ok(()) } else { write!(f, "\n\n{}", harmless(more)) }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.inner.kind {
            ErrorKind::Parent(error) => error.source(),
            kind => kind.source(),
        }
    }
}

/// Lets `?` turn errors that concern no single host into [`Error`](struct@Error).
macro_rules! from_others {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::other(error)
            }
        }
    )*};
}

from_others! {
    chopsticks_driver::InvalidTarget,
    chopsticks_driver::InvalidHostName,
    chopsticks_pencode::DecodeError,
    chopsticks_pencode::EncodeError,
    chopsticks_pencode::marshal::DecodeError,
    chopsticks_pencode::marshal::EncodeError,
    crate::module::ModuleError,
    TransportError,
}

#[cfg(feature = "groups")]
from_others! {
    chopsticks_group::DuplicateNames<HostName>,
    chopsticks_group::Failures<HostName, Error>,
    chopsticks_group::NotCompleted,
}

#[cfg(feature = "groups")]
impl From<chopsticks_group::Failure<Error>> for Error {
    fn from(failure: chopsticks_group::Failure<Error>) -> Self {
        match failure {
            chopsticks_group::Failure::Operation(error) => error,
            failure => Self::other(failure),
        }
    }
}

impl ErrorKind {
    /// Returns a short fixed name by which programs can distinguish kinds, such as `timeout`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Abandoned { .. } => "abandoned",
            Self::Argument(_) => "argument",
            Self::Closed => "closed",
            Self::Codebase(_) => "codebase",
            Self::Disconnected { .. } => "disconnected",
            Self::File { .. } => "file",
            Self::NoAgent { .. } => "no-agent",
            Self::NoFunction { .. } => "no-function",
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::Parent(_) => "parent",
            Self::Program { .. } => "program",
            Self::Protocol { .. } => "protocol",
            Self::Raised(_) => "raised",
            Self::Result(_) => "result",
            Self::Script { .. } => "script",
            Self::Other(_) => "other",
            Self::Spawn { .. } => "spawn",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too-large",
            Self::TooManyAbandoned { .. } => "too-many-abandoned",
            Self::UnfitResult { .. } => "unfit-result",
            Self::WrongAgent { .. } => "wrong-agent",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Close => "close",
            Self::Handshake => "handshake",
            Self::Other => "other",
            Self::Spawn => "spawn",
            Self::Transfer => "transfer",
        })
    }
}

impl fmt::Display for RemoteException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless_line(&self.type_name))?;
        if !self.message.is_empty() {
            write!(f, ": {}", harmless(&self.message))?;
        }
        Ok(())
    }
}

/// A sentence about a program that has ended: what happened, its exit status, the last line of its
/// stderr, its stdout.
fn why(error: &dyn StdError) -> String {
    harmless(&chain(error)).into_owned()
}

fn wrong(agent: Agent) -> &'static str {
    match agent {
        Agent::Native => {
            "the agent of this tunnel is a copy of this program and has no Python: set `TunnelConfig::agent(Agent::Auto)`"
        }
        Agent::Auto | Agent::Python => {
            "the agent of this tunnel is in Python, and runs no functions in Rust: set `TunnelConfig::agent(Agent::Native)`"
        }
    }
}

struct Gone<'a>(&'a str, &'a Option<ExitStatus>, &'a str, &'a str);

impl fmt::Display for Gone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, status, stderr, noise) = self;
        f.write_str(what)?;
        if let Some(status) = status {
            // `ExitStatus` prints as "exit status: 1" or "signal: 9 (SIGKILL)".
            write!(f, ", {}", status.to_string().replacen(": ", " ", 1))?;
        }
        let line = hint::telling_line(stderr);
        if !line.is_empty() {
            write!(f, ": {}", harmless_line(line))?;
        }
        if !noise.trim().is_empty() {
            let noise = noise.trim();
            let cut = noise.floor_char_boundary(NOISE_SHOWN);
            write!(
                f,
                "; stdout began with {:?}{}",
                &noise[..cut],
                if cut < noise.len() { "..." } else { "" }
            )?;
        }
        Ok(())
    }
}

/// Enough of the noise to recognise a banner by.
const NOISE_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use chopsticks_transport::TransportErrorKind;

    use super::*;

    fn io() -> Arc<io::Error> {
        Arc::new(io::Error::other("gone"))
    }

    #[test]
    fn each_kind_says_what_it_is_and_why() {
        let none = String::new;
        let status = Some(ExitStatus::from_raw(255 << 8));
        let key = "\nHost key verification failed.\n".to_owned();
        let raised = RemoteException {
            type_name: "KeyError".to_owned(),
            message: "'x'".to_owned(),
            traceback: "Traceback".to_owned(),
            value: None,
        };
        let table = [
            (ErrorKind::Argument(io()), "argument", "the arguments cannot be sent: gone", true),
            (ErrorKind::Closed, "closed", "the tunnel was closed", false),
            (
                ErrorKind::Codebase(crate::module::ModuleError::new("no folder")),
                "codebase",
                "the codebase cannot be served: no folder",
                true,
            ),
            (
                ErrorKind::Disconnected { status: Some(ExitStatus::from_raw(9)), stderr: none() },
                "disconnected",
                "the connection was lost, signal 9 (SIGKILL)",
                false,
            ),
            (
                ErrorKind::File { side: Side::Remote, path: PathBuf::from("/srv/a\nb"), source: io() },
                "file",
                "remote file \"/srv/a\\nb\": gone",
                true,
            ),
            (
                ErrorKind::NoAgent { status, stderr: key, noise: "Welcome!\n".to_owned() },
                "no-agent",
                "no agent answered, exit status 255: Host key verification failed.; stdout began with \"Welcome!\"",
                false,
            ),
            (
                ErrorKind::NoFunction { message: "module 'a' has no attribute 'b'".to_owned() },
                "no-function",
                "no such function: module 'a' has no attribute 'b'",
                false,
            ),
            (
                ErrorKind::Protocol {
                    source: TransportErrorKind::Closed.into(),
                    stderr: none(),
                    noise: none(),
                },
                "protocol",
                "the connection failed: connection failed: connection is closed",
                true,
            ),
            (
                ErrorKind::Program { program: "make".to_owned(), source: io() },
                "program",
                "cannot run make: gone",
                true,
            ),
            (ErrorKind::Raised(raised), "raised", "KeyError: 'x'", false),
            (ErrorKind::Result(io()), "result", "the result does not have the requested type: gone", true),
            (
                ErrorKind::OutOfMemory { message: "9 bytes".to_owned() },
                "out-of-memory",
                "out of memory: 9 bytes",
                false,
            ),
            (
                ErrorKind::Script { path: "ops/x.py".into(), source: io() },
                "script",
                "cannot read the script ops/x.py: gone",
                true,
            ),
            (
                ErrorKind::Spawn { program: "ssh".to_owned(), source: io() },
                "spawn",
                "cannot start ssh: gone",
                true,
            ),
            (
                ErrorKind::Timeout {
                    after: Duration::from_secs(3),
                    stderr: "waiting".to_owned(),
                    noise: none(),
                },
                "timeout",
                "timed out after 3s: waiting",
                false,
            ),
            (ErrorKind::TooLarge { message: "9 bytes".to_owned() }, "too-large", "9 bytes", false),
            (
                ErrorKind::WrongAgent { agent: Agent::Native },
                "wrong-agent",
                "the agent of this tunnel is a copy of this program and has no Python: set `TunnelConfig::agent(Agent::Auto)`",
                false,
            ),
            (
                ErrorKind::TooManyAbandoned { limit: 128 },
                "too-many-abandoned",
                "128 cancelled calls have not ended on this host, which is the limit",
                false,
            ),
            (
                ErrorKind::UnfitResult { message: "result[0]: set".to_owned() },
                "unfit-result",
                "the result cannot be encoded: result[0]: set",
                false,
            ),
        ];
        for (kind, name, text, has_source) in table {
            assert_eq!(kind.name(), name);
            assert_eq!(kind.to_string(), text);
            assert_eq!(kind.source().is_some(), has_source, "{name}");
        }
    }

    #[test]
    fn error_shows_host_phase_and_all_sources() {
        let kind = ErrorKind::Spawn { program: "ssh".to_owned(), source: io() };
        let hint = Hint::new("program-missing", "install it");
        let error = Error::new(&HostName::lossy("web3"), Phase::Spawn, kind).with_hint(Some(hint));
        assert_eq!(error.to_string(), "web3: spawn: cannot start ssh: gone (install it)");
        assert_eq!(error.report(), error.to_string());
        assert_eq!(error.hint().map(Hint::cause), Some("program-missing"));
        assert!(!error.is_timeout() && !error.is_disconnected() && !error.is_remote());
    }

    #[test]
    fn what_a_host_says_is_never_obeyed_by_a_terminal() {
        const EVIL: &str = "\x1b]0;owned\x07\u{9b}2J\u{202e}\u{2028}\r";
        let evil = || EVIL.to_owned();
        let exception = RemoteException {
            type_name: evil(),
            message: evil(),
            traceback: format!("Traceback{EVIL}\n  {EVIL}\n"),
            value: None,
        };
        let failed = Arc::new(io::Error::other(evil()));
        let kinds = [
            ErrorKind::Raised(exception),
            ErrorKind::NoFunction { message: evil() },
            ErrorKind::TooLarge { message: evil() },
            ErrorKind::UnfitResult { message: evil() },
            ErrorKind::NoAgent { status: None, stderr: format!("a\n{EVIL}"), noise: evil() },
            ErrorKind::Disconnected { status: None, stderr: format!("a{EVIL}\nb{EVIL}") },
            ErrorKind::Timeout { after: Duration::ZERO, stderr: format!("a{EVIL}\nb{EVIL}"), noise: evil() },
            ErrorKind::File { side: Side::Remote, path: evil().into(), source: failed.clone() },
            ErrorKind::Result(failed),
        ];
        for kind in kinds {
            let name = kind.name();
            let hint = Some(Hint::new("x", evil()));
            let error = Error::new(&HostName::lossy("web1"), Phase::Call, kind).with_hint(hint);
            let error = error.of_function("m:f");
            let parent = ErrorKind::Parent(Box::new(error.clone()));
            let parent = Error::new(&HostName::lossy("db"), Phase::Spawn, parent);
            for error in [error, parent] {
                let kind = error.kind();
                for text in [error.to_string(), error.report(), format!("{error:?}"), kind.to_string()] {
                    let is_bad = |&shown: &char| chopsticks_text::is_harmful(shown) && shown != '\n';
                    assert_eq!(text.chars().find(is_bad), None, "{name}: {text:?}");
                }
            }
        }
    }

    #[test]
    fn error_of_a_call_names_the_function_and_debug_has_the_traceback() {
        let traceback =
            "Traceback (most recent call last):\n  File \"ops.py\", line 1\nKeyError: 'x'\n".to_owned();
        let exception = RemoteException {
            type_name: "KeyError".to_owned(),
            message: "'x'".to_owned(),
            traceback,
            value: None,
        };
        let error = Error::new(&HostName::lossy("web1"), Phase::Call, ErrorKind::Raised(exception));
        let error = error.of_function("ops:restart");
        assert_eq!(error.to_string(), "web1: call of ops:restart: KeyError: 'x'");
        assert_eq!(error.function(), Some("ops:restart"));
        let debug = format!("{error:?}");
        assert!(debug.starts_with("web1: call of ops:restart: KeyError: 'x'\n\nTraceback"), "{debug}");
        assert!(debug.ends_with("KeyError: 'x'"), "{debug}");
    }
}
