//! The record of an operation, from its beginning to its end.

use std::{
    fs,
    future::Future,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use chopsticks_files::digest_bytes;
use tracing::Span;

use crate::{
    audit::{Audit, AuditRecord, AuditSink},
    call::Call,
    error::Error,
    module::ModuleSource,
    span,
};

/// An operation that is under way. Dropping it records that it was cancelled.
pub(crate) struct Entry {
    /// `None` if there is only a span.
    sink: Option<Arc<dyn AuditSink>>,
    span: Span,
    record: AuditRecord,
    began: Instant,
    is_over: bool,
    /// The digest of the code of a call, once it is known.
    code: Arc<OnceLock<String>>,
}

impl Entry {
    /// Begins an operation, if there are records or spans. `hosts` are the names of the tunnels that lead there.
    pub(crate) fn begin(
        audit: &Audit,
        hosts: impl FnOnce() -> Vec<String>,
        operation: &'static str,
        what: impl Into<String>,
    ) -> Option<Self> {
        let sink = audit.0.clone();
        if sink.is_none() && !span::is_enabled() {
            return None;
        }
        let record = AuditRecord::begun(hosts(), operation, what.into());
        let span = span::begin(operation, &record.host, &record.what);
        Some(Self { sink, span, record, began: Instant::now(), is_over: false, code: Arc::default() })
    }

    /// Returns the span of the operation.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Notes the arguments of a call, and the digest of its code. The function's module is read on
    /// another thread.
    pub(crate) async fn of_call(mut self, call: &Call, modules: Option<&Arc<dyn ModuleSource>>) -> Self {
        self.note_call(call);
        self.digest_later(call, modules).await;
        self
    }

    /// Returns a future that notes the digest of the code of a call, if it is read from a file. It can
    /// be awaited elsewhere.
    pub(crate) fn digest_later(
        &self,
        call: &Call,
        modules: Option<&Arc<dyn ModuleSource>>,
    ) -> impl Future<Output = ()> + Send + use<> {
        // The digest is for records alone.
        let is_wanted = self.sink.is_some();
        let path = call.function.script_path().map(ToOwned::to_owned);
        let module = call.function.module().map(str::to_owned).zip(modules.cloned());
        let noted = self.code.clone();
        async move {
            if !is_wanted {
                return;
            }
            // Without a runtime there are no other threads. The operation fails then.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            let read = move || match (path, module) {
                (Some(path), _) => fs::read(path).ok(),
                (None, Some((module, modules))) => Some(modules.module(&module).ok().flatten()?.source),
                (None, None) => None,
            };
            if let Ok(Some(text)) = runtime.spawn_blocking(read).await {
                noted.get_or_init(|| digest(&text));
            }
        }
    }

    /// Notes the arguments of a call.
    pub(crate) fn note_call(&mut self, call: &Call) {
        self.record.arguments = call.positional_count();
        self.record.keywords = call.keywords().map(str::to_owned).collect();
        self.record.digest = call.function.code().map(|text| digest(text.as_bytes()));
    }

    /// Notes that so many items have come.
    pub(crate) fn note_items(&mut self, items: u64) {
        self.record.items = Some(items);
    }

    /// Notes that so many of the items that have come are failures.
    pub(crate) fn note_failed_items(&mut self, items: u64) {
        self.record.failed_items = Some(items);
    }

    pub(crate) fn note_program(&mut self, arguments: usize) {
        self.record.arguments = Some(arguments);
    }

    /// Records the end of an operation with a result of so many bytes.
    pub(crate) fn end<T>(mut self, result: &Result<T, Error>, bytes: impl FnOnce(&T) -> Option<u64>) {
        match result {
            Ok(value) => self.succeed(bytes(value)),
            Err(error) => self.fail(error),
        }
    }

    /// Notes what was transferred: its path on the host, whether `put` has changed it, and the digest of a file.
    pub(crate) fn note_transfer(&mut self, remote: &Path, changed: bool, digest: Option<String>) {
        self.record.what = remote.to_string_lossy().into_owned();
        self.record.digest = digest;
        self.record.changed = self.record.operation.starts_with("put").then_some(changed);
    }

    pub(crate) fn end_program(mut self, result: &Result<std::process::ExitStatus, Error>) {
        match result {
            Ok(status) => {
                self.record.status = status.code();
                self.record.outcome = if status.success() { "ok" } else { "failed" };
                self.record.error = (!status.success()).then_some("exit-status");
                self.write();
            }
            Err(error) => self.fail(error),
        }
    }

    pub(crate) fn succeed(&mut self, bytes: Option<u64>) {
        (self.record.outcome, self.record.bytes) = ("ok", bytes);
        self.write();
    }

    pub(crate) fn fail(&mut self, error: &Error) {
        self.record.outcome = "failed";
        self.record.error = Some(error.kind().name());
        self.record.phase = Some(error.phase().to_string());
        self.write();
    }

    fn write(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.record.duration_ms = milliseconds(self.began.elapsed());
            if let Some(digest) = self.code.get() {
                self.record.digest = Some(digest.clone());
            }
            span::end(&self.span, &self.record);
            if let Some(sink) = &self.sink {
                sink.record(&self.record);
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.write();
    }
}

fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

fn digest(text: &[u8]) -> String {
    format!("sha1:{}", digest_bytes(text).hex())
}
