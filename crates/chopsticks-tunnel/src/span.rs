//! The span of an operation, in the names that OpenTelemetry uses.

use tracing::{Level, Span, field};

use crate::audit::AuditRecord;

/// Returns whether anybody wants spans.
pub(crate) fn is_enabled() -> bool {
    tracing::enabled!(target: TARGET, Level::INFO)
}

/// Begins the span of an operation.
///
/// The fields that begin with `otel.` are those that exporters take out of `tracing` spans. The
/// others are attributes of the conventions for remote procedure calls, processes and files.
pub(crate) fn begin(operation: &'static str, host: &str, what: &str) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "operation",
        otel.name = field::Empty,
        otel.kind = "client",
        otel.status_code = field::Empty,
        host,
        operation,
        server.address = host,
        rpc.system.name = "chopsticks",
        rpc.method = field::Empty,
        process.executable.name = field::Empty,
        process.exit.code = field::Empty,
        file.path = field::Empty,
        file.size = field::Empty,
        chopsticks.outcome = field::Empty,
        "error.type" = field::Empty,
    );
    span.record("otel.name", format!("{operation} {what}"));
    match operation {
        "call" | "invoke" | "stream" => span.record("rpc.method", what),
        "run" => span.record("process.executable.name", what),
        _ => span.record("file.path", what),
    };
    span
}

/// Notes how the operation has ended.
pub(crate) fn end(span: &Span, record: &AuditRecord) {
    span.record("chopsticks.outcome", record.outcome);
    if let Some(error) = record.error {
        span.record("error.type", error);
    }
    if record.outcome == "failed" {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(status) = record.status {
        span.record("process.exit.code", i64::from(status));
    }
    match record.operation {
        "call" | "invoke" | "stream" | "run" => {}
        _ => {
            span.record("file.path", &*record.what);
            if let Some(size) = record.bytes {
                span.record("file.size", size);
            }
        }
    }
}

const TARGET: &str = "chopsticks::operation";
