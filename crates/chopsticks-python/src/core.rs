//! A tunnel, and many at once.

use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use chopsticks::{Group, Route, Tunnel};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyList, PyTuple},
};

use crate::{
    config::Config,
    driver::Driver,
    engine::{self, engine},
    errors::Trouble,
    operation::{Operation, Outcome},
};

/// The tunnel behind those of Python.
#[pyclass(frozen, module = "chopsticks._chopsticks", weakref)]
pub(crate) struct Core {
    host: String,
    /// `None` in a forked child, where its connection is the parent's.
    tunnel: Mutex<Option<Tunnel>>,
    /// The version of Python over there, once it has been connected.
    python: OnceLock<(u8, u8)>,
}

#[pymethods]
impl Core {
    #[new]
    fn new(
        driver: &Driver,
        config: &Config,
        stderr: Option<Py<PyAny>>,
        parent: Option<&Self>,
    ) -> PyResult<Self> {
        let config = config.with_stderr(stderr);
        let route = match parent {
            Some(parent) => Route::through(driver.0.clone(), &parent.tunnel()?),
            None => Route::from(driver.0.clone()),
        };
        let tunnel = Tunnel::with_config(route, config);
        let host = tunnel.host().to_string();
        Ok(Self { host, tunnel: Mutex::new(Some(tunnel)), python: OnceLock::new() })
    }

    /// Does an operation and returns what came of it.
    #[pyo3(signature = (operation, timeout=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        operation: &Operation,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (tunnel, within) = (self.tunnel()?, seconds(timeout)?);
        match operation.clone().wait(py, engine(py)?, tunnel, within)? {
            Ok(outcome) => outcome.object(py, &self.host),
            Err(trouble) => Err(trouble.raised(py)),
        }
    }

    /// Returns the version of Python over there: major and minor. It is asked for once, of a tunnel that is connected.
    fn python(&self, py: Python<'_>) -> PyResult<Option<(u8, u8)>> {
        if self.python.get().is_none() {
            let tunnel = self.tunnel()?;
            // The agent has said it long ago.
            let info = engine(py)?.wait(py, async move { tunnel.connect().await })?;
            if let Ok(info) = info {
                let _ = self.python.set((info.python.0, info.python.1));
            }
        }
        Ok(self.python.get().copied())
    }

    /// Lets go of the tunnel without a word to its agent: in a forked child the agent is the parent's.
    fn forget(&self) {
        std::mem::forget(self.slot().take());
    }
}

impl Core {
    pub(crate) fn tunnel(&self) -> PyResult<Tunnel> {
        let gone = || PyRuntimeError::new_err("this tunnel belongs to the parent process");
        self.slot().clone().ok_or_else(gone)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Tunnel>> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the connection in the background.
impl Drop for Core {
    fn drop(&mut self) {
        drop(self.slot().take());
        if let Some(engine) = engine::current() {
            engine.nudge();
        }
    }
}

/// Does an operation on many hosts at once, and returns pairs of a result and an exception, in their order.
#[pyfunction]
#[pyo3(signature = (cores, operation, timeout=None))]
pub(crate) fn run_all<'py>(
    py: Python<'py>,
    cores: Vec<Py<Core>>,
    operation: &Operation,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyList>> {
    let tunnels = cores.iter().map(|core| core.get().tunnel()).collect::<PyResult<Vec<_>>>()?;
    let group = Group::new(tunnels).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let limits = chopsticks::Limits::default().timeout(seconds(timeout)?);
    let group = group.limits(limits);
    let results = engine(py)?.wait(py, group.run(|tunnel| operation.clone().run(tunnel)))?;
    let pairs = PyList::empty(py);
    for (host, outcome) in results.iter() {
        pairs.append(pair(py, host.as_str(), outcome)?)?;
    }
    Ok(pairs)
}

/// Closes many tunnels at once, however that goes.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>, cores: Vec<Py<Core>>) -> PyResult<()> {
    let tunnels = cores.iter().filter_map(|core| core.get().tunnel().ok());
    let closing = tunnels.map(|tunnel| async move { tunnel.close().await.is_ok() });
    let closing: Vec<_> = closing.collect();
    if !closing.is_empty() {
        engine(py)?.wait(py, futures::future::join_all(closing))?;
    }
    Ok(())
}

/// Returns the result and `None`, or `None` and the exception.
pub(crate) fn pair<'py>(
    py: Python<'py>,
    host: &str,
    outcome: &chopsticks::Outcome<Outcome>,
) -> PyResult<Bound<'py, PyTuple>> {
    let none = || py.None().into_bound(py);
    let (value, exception) = match outcome {
        Ok(outcome) => match outcome.object(py, host) {
            Ok(value) => (value, none()),
            Err(error) => (none(), error.into_value(py).into_bound(py).into_any()),
        },
        Err(failure) => (none(), Trouble::of(host, failure).exception(py)?),
    };
    PyTuple::new(py, [value, exception])
}

/// Takes a deadline in seconds.
pub(crate) fn seconds(timeout: Option<f64>) -> PyResult<Option<Duration>> {
    let Some(seconds) = timeout else { return Ok(None) };
    match Duration::try_from_secs_f64(seconds.max(0.0)) {
        Ok(duration) => Ok(Some(duration)),
        // As good as never.
        Err(_) if seconds.is_finite() || seconds == f64::INFINITY => Ok(None),
        Err(error) => Err(PyValueError::new_err(error.to_string())),
    }
}
