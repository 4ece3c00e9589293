//! The file of `--log`.

use std::sync::Arc;

use chopsticks::{AuditLog, AuditRecord, AuditSink};

/// A file that gets the records of all targets.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<AuditLog>);

/// Opens the file of an option.
pub(crate) fn open(path: &str) -> Result<Log, String> {
    AuditLog::append(path)
        .map(|log| Log(Arc::new(log)))
        .map_err(|error| format!("cannot be written: {error}"))
}

impl AuditSink for Log {
    fn record(&self, record: &AuditRecord) {
        self.0.record(record);
    }
}
