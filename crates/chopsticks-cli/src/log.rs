//! The file of `--log`.

use std::path::Path;

use chopsticks::AuditLog;
use clap::{CommandFactory as _, error::ErrorKind};

use crate::args::Args;

/// Opens the file. Ends the program with a usage error if it cannot be written.
pub(crate) fn open(path: &Path) -> AuditLog {
    AuditLog::append(path).unwrap_or_else(|error| {
        let message = format!("{} cannot be written: {error}", path.display());
        Args::command().error(ErrorKind::ValueValidation, message).exit()
    })
}
