//! Records of operations on hosts.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, LazyLock},
    time::SystemTime,
};

use serde::Serialize;

/// Where the records of a tunnel go: see [`TunnelConfig::audit`](crate::TunnelConfig::audit).
///
/// Functions are sinks: `|record: &AuditRecord| …`. [`AuditLog`] writes records to a file.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes the record of an operation that has ended. It is called on the task of the operation,
    /// or where its future is dropped, so it must not block for long.
    fn record(&self, record: &AuditRecord);
}

impl<F: Fn(&AuditRecord) + Send + Sync + 'static> AuditSink for F {
    fn record(&self, record: &AuditRecord) {
        self(record);
    }
}

/// One operation on one host.
///
/// It serializes as an object with these fields. New fields do not change the version; a change of
/// the meaning of a field would. A record contains the number of arguments, but not their values,
/// results or output.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// The version of this schema: 1.
    pub version: u32,
    /// When the operation began, in UTC: `2026-11-30T08:15:00.123Z`.
    pub time: String,
    /// The process that started it.
    pub controller: AuditController,
    /// The name of the tunnel.
    pub host: String,
    /// The names of the tunnels that lead there, outermost first, with the host last.
    pub route: Vec<String>,
    /// What was done: `call`, `invoke`, `stream`, `run`, `put`, `put-dir`, `fetch` or `fetch-dir`.
    pub operation: &'static str,
    /// The function, the program, or the path on the host.
    pub what: String,
    /// The digest of the code that ran, as `sha1:` and hexadecimal digits: of the source text or
    /// script of the function, or of its module as the codebase has it. For a file, the digest of
    /// its content. `None` if the code was the host's own, or if it is not known.
    pub digest: Option<String>,
    /// How many positional arguments there were, if that is known. The arguments of a program are
    /// counted without its name.
    pub arguments: Option<usize>,
    /// The names of keyword arguments.
    pub keywords: Vec<String>,
    /// `ok`, `failed` or `cancelled`.
    pub outcome: &'static str,
    /// The fixed name of the error, such as `raised`.
    pub error: Option<&'static str>,
    /// The phase in which the operation failed.
    pub phase: Option<String>,
    /// The status with which a program ended.
    pub status: Option<i32>,
    /// How long the operation took, including the time to connect, in milliseconds.
    pub duration_ms: f64,
    /// The size of the result of a call, or of the content that was transferred.
    pub bytes: Option<u64>,
    /// Whether a transfer to the host wrote something.
    pub changed: Option<bool>,
    /// How many items of a stream have come, with those that have failed.
    pub items: Option<u64>,
    /// How many of these have failed, if the function was called once for each item, as in a pool.
    pub failed_items: Option<u64>,
}

impl AuditRecord {
    /// Returns the record of an operation that begins now. Until it is over, it counts as cancelled.
    pub(crate) fn begun(route: Vec<String>, operation: &'static str, what: String) -> Self {
        Self {
            version: VERSION,
            time: timestamp(SystemTime::now()),
            controller: CONTROLLER.clone(),
            host: route.last().cloned().unwrap_or_default(),
            route,
            operation,
            what,
            digest: None,
            arguments: None,
            keywords: Vec::new(),
            outcome: "cancelled",
            error: None,
            phase: None,
            status: None,
            duration_ms: 0.0,
            bytes: None,
            changed: None,
            items: None,
            failed_items: None,
        }
    }
}

/// The process that started an operation.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AuditController {
    /// The name of the controller's host.
    pub host: String,
    /// The name of the user, as the environment has it.
    pub user: Option<String>,
    /// The number of the user.
    pub uid: u32,
    /// The number of the process.
    pub pid: u32,
    /// The program.
    pub program: String,
}

/// A file to which records are appended, as one JSON object in each line.
///
/// Each record is appended by one write, so the lines of several programs do not mix. Nothing is
/// ever removed. Only its owner can read a new file. If a record cannot be written, a [`tracing`]
/// event at level error reports why.
///
/// ```no_run
/// use chopsticks_tunnel::{AuditLog, TunnelConfig};
///
/// let config = TunnelConfig::default().audit(AuditLog::append("/var/log/chopsticks.jsonl")?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AuditLog {
    file: File,
}

impl AuditLog {
    /// Opens a file, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// The file cannot be opened for writing.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file })
    }

    fn write(&self, record: &AuditRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let written = (&self.file).write(&line)?;
        if written < line.len() {
            // The disk is full. What follows begins a new line.
            (&self.file).write_all(b"\n")?;
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}

impl AuditSink for AuditLog {
    fn record(&self, record: &AuditRecord) {
        if let Err(error) = self.write(record) {
            tracing::error!(%error, host = %record.host, what = %record.what, "a record cannot be written");
        }
    }
}

/// The sink of a configuration, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Audit(pub(crate) Option<Arc<dyn AuditSink>>);

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

/// Returns a time as RFC 3339 has it, in UTC and with milliseconds.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years begin in March here, so that the odd day is the last one; eras have 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let milliseconds = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// This process, which stays the same: a cache.
static CONTROLLER: LazyLock<AuditController> = LazyLock::new(|| {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let user = std::env::var("LOGNAME").or_else(|_| std::env::var("USER")).ok();
    let program = std::env::args_os().next().unwrap_or_default();
    AuditController {
        host: host.trim().to_owned(),
        user,
        uid: rustix::process::getuid().as_raw(),
        pid: std::process::id(),
        program: Path::new(&program).file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned(),
    }
});

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_210_096, "2024-02-29T12:34:56.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
