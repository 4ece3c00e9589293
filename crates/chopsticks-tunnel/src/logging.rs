//! The records of Python's `logging` on hosts.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chopsticks_driver::HostName;
use chopsticks_protocol::Record;
use chopsticks_text::{harmless, harmless_line};

/// A level of Python's `logging`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum LogLevel {
    /// 10.
    Debug,
    /// 20.
    Info,
    /// 30.
    Warning,
    /// 40.
    Error,
    /// 50.
    Critical,
}

impl LogLevel {
    /// All levels, in ascending order.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// Returns Python's number of the level.
    pub fn number(self) -> i64 {
        match self {
            Self::Debug => 10,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
            Self::Critical => 50,
        }
    }

    /// Returns the name in small letters, such as `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;

    /// Reads a name in letters of either case.
    fn from_str(name: &str) -> Result<Self, UnknownLogLevel> {
        let found = Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| UnknownLogLevel { name: name.to_owned() })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text is not the name of a [`LogLevel`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown level '{name}'; expected debug, info, warning, error or critical")]
pub struct UnknownLogLevel {
    name: String,
}

/// Which records of Python's `logging` arrive from hosts, and where they go.
///
/// A record arrives if its level is at least the one that is set here, and if its logger lets it
/// pass. A logger without a level of its own lets it pass unless the code has set another level for
/// the root logger than Python's default, `WARNING`.
///
/// The code's own handlers work as usual. If there are none, Python's last resort, which writes the
/// message to stderr, is left out.
///
/// The records of a call are passed on before its result. If a host logs faster than the records
/// are passed on, it waits for a moment, and then leaves records out. A `tracing` event of level
/// warn says how many.
#[derive(Clone)]
pub struct Logging {
    level: LogLevel,
    sink: Sink,
}

#[derive(Clone)]
enum Sink {
    Callback(Arc<Callback>),
    Tracing,
}

struct Callback {
    has_panicked: AtomicBool,
    sink: Box<dyn Fn(&LogRecord) + Send + Sync>,
}

impl Logging {
    /// Emits each record as a `tracing` event with the target `chopsticks::logging` and the fields
    /// `host`, `logger`, `level`, `file`, `line`, the message, and `traceback` if there is one.
    /// Records of an inner host have the field `via` too, with the names of the tunnels that lead
    /// there.
    ///
    /// Records of the levels `ERROR` and `CRITICAL` become events of level error, `WARNING` warn,
    /// `INFO` info and `DEBUG` debug; lower ones become trace, and others have the level of the next
    /// lower one. Texts are shown with escapes, as in [`Stderr::tracing`](crate::Stderr::tracing).
    pub fn tracing(level: LogLevel) -> Self {
        Self { level, sink: Sink::Tracing }
    }

    /// Calls `sink` with each record.
    ///
    /// `sink` is called on a thread that may block, and for the records of one connection in order.
    /// If it panics, that record is lost. The first panic is reported by a `tracing` event of level
    /// error.
    ///
    /// ```
    /// use chopsticks_tunnel::{LogLevel, Logging, TunnelConfig};
    ///
    /// let config = TunnelConfig::default().logging(Logging::callback(LogLevel::Info, |record| {
    ///     println!("{} {}", record.host(), record);
    /// }));
    /// # let _ = config;
    /// ```
    pub fn callback(level: LogLevel, sink: impl Fn(&LogRecord) + Send + Sync + 'static) -> Self {
        let callback = Callback { has_panicked: AtomicBool::new(false), sink: Box::new(sink) };
        Self { level, sink: Sink::Callback(Arc::new(callback)) }
    }

    pub(crate) fn level(&self) -> LogLevel {
        self.level
    }

    /// Passes a record on.
    pub(crate) async fn pass(&self, record: LogRecord) {
        match &self.sink {
            Sink::Tracing => record.emit(),
            Sink::Callback(callback) => {
                let callback = callback.clone();
                // Without a runtime, there is nobody to show it to.
                let _ = tokio::task::spawn_blocking(move || callback.call(&record)).await;
            }
        }
    }
}

impl Callback {
    fn call(&self, record: &LogRecord) {
        let call = || (self.sink)(record);
        if catch_unwind(AssertUnwindSafe(call)).is_err() && !self.has_panicked.swap(true, Ordering::Relaxed) {
            let host = record.host();
            tracing::error!(target: "chopsticks::logging", %host, "the callback for records panicked");
        }
    }
}

impl From<LogLevel> for Logging {
    fn from(level: LogLevel) -> Self {
        Self::tracing(level)
    }
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sink {
            Sink::Callback(_) => write!(f, "Logging::callback({:?}, ..)", self.level),
            Sink::Tracing => write!(f, "Logging::tracing({:?})", self.level),
        }
    }
}

/// A record of Python's `logging`, from a host.
///
/// Its texts are those that the host has sent, and may contain anything. Only `Display` escapes
/// them: it shows `LEVEL logger: message`, and the traceback in further lines.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// The names that lead to the host, its own last.
    hosts: Vec<String>,
    record: Record,
}

impl LogRecord {
    pub(crate) fn new(host: &HostName, inner: Vec<String>, record: Record) -> Self {
        let mut hosts = vec![host.to_string()];
        hosts.extend(inner);
        Self { hosts, record }
    }

    /// Returns the name of the host that logged it: that of the tunnel, or of a tunnel that code on
    /// the host has opened.
    pub fn host(&self) -> &str {
        self.hosts.last().map(String::as_str).unwrap_or_default()
    }

    /// Returns the names that lead to the host, its own last: more than one for an inner host.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Returns the name of the logger.
    pub fn logger(&self) -> &str {
        &self.record.logger
    }

    /// Returns the number of the level, such as 30.
    pub fn level(&self) -> i64 {
        self.record.level
    }

    /// Returns the name of the level, such as `WARNING`.
    pub fn level_name(&self) -> &str {
        &self.record.name
    }

    /// Returns the file that contains the logging call.
    pub fn file(&self) -> &str {
        &self.record.file
    }

    /// Returns the line of the logging call.
    pub fn line(&self) -> i64 {
        self.record.line
    }

    /// Returns the message. More than 16,384 characters are cut on the host.
    pub fn message(&self) -> &str {
        &self.record.message
    }

    /// Returns the formatted exception and stack of the record. More than 8,192 characters are cut
    /// on the host.
    pub fn traceback(&self) -> Option<&str> {
        self.record.traceback.as_deref()
    }

    fn emit(&self) {
        let Record { logger, level, name, file, line, message, traceback } = &self.record;
        let via = self.hosts.split_last().map(|(_, via)| via.join(" -> ")).filter(|via| !via.is_empty());
        let via = via.as_deref().map(|via| harmless_line(via).into_owned());
        let host = harmless_line(self.host());
        let (logger, name, file) = (harmless_line(logger), harmless_line(name), harmless_line(file));
        let (message, traceback) = (harmless(message), traceback.as_deref().map(harmless));
        macro_rules! event {
            ($level:ident) => {
                tracing::event!(
                    target: "chopsticks::logging",
                    tracing::Level::$level,
                    host = %host,
                    via = via.as_deref(),
                    logger = %logger,
                    level = %name,
                    file = %file,
                    line,
                    traceback = traceback.as_deref(),
                    "{message}"
                )
            };
        }
        match level {
            ..10 => event!(TRACE),
            10..20 => event!(DEBUG),
            20..30 => event!(INFO),
            30..40 => event!(WARN),
            40.. => event!(ERROR),
        }
    }
}

impl fmt::Display for LogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { logger, name, message, traceback, .. } = &self.record;
        write!(f, "{} {}: {}", harmless_line(name), harmless_line(logger), harmless(message))?;
        match traceback {
            Some(traceback) => write!(f, "\n{}", harmless(traceback)),
            None => Ok(()),
        }
    }
}
