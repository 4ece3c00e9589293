//! Limits of groups and queues.

use std::{
    fmt::Display,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use chopsticks::{Batch, Budget, Limits as Inner, Scope};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::errors::Within;

/// Limits of a group or a queue.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Limits(Inner);

#[pymethods]
impl Limits {
    /// Takes them: `batch` and `max_failures` as text, a number or a percentage.
    #[new]
    fn new(
        max_connecting: Option<usize>,
        max_running: Option<usize>,
        batch: Option<&str>,
        max_failures: Option<&str>,
        per_batch: bool,
        host_timeout: Option<f64>,
    ) -> PyResult<Self> {
        let mut limits = Inner::default();
        if let Some(hosts) = max_connecting {
            limits = limits.max_connecting(hosts);
        }
        if let Some(hosts) = max_running {
            limits = limits.max_running(hosts);
        }
        if let Some(batch) = batch {
            limits = limits.batch(parsed::<Batch>(batch)?);
        }
        if let Some(failures) = max_failures {
            let scope = if per_batch { Scope::Batch } else { Scope::All };
            limits = limits.max_failures(parsed::<Budget>(failures)?, scope);
        }
        let each = Within::new(host_timeout.map(|seconds| (seconds, seconds)))?;
        Ok(Self(limits.target_timeout(each.map(|each| each.left))))
    }
}

impl Limits {
    /// Returns the limits, or those by default.
    pub(crate) fn of(limits: Option<&Self>) -> Inner {
        limits.map(|limits| limits.0.clone()).unwrap_or_default()
    }
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> PyResult<T> {
    text.parse().map_err(|error: T::Err| PyValueError::new_err(error.to_string()))
}

/// How many operations are done.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    /// Counts an operation when it is done.
    pub(crate) async fn counted<T>(self, operation: impl Future<Output = T>) -> T {
        let done = operation.await;
        self.0.fetch_add(1, Relaxed);
        done
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}
