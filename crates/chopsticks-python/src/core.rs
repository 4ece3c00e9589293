//! A tunnel, and many at once.

use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use chopsticks::{Group, HostName, Retry, Route, Tunnel};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyList, PyTuple},
};
use tokio::task::JoinHandle;

use crate::{
    config::Config,
    driver::Driver,
    engine::{self, engine},
    errors::{Trouble, Within},
    limits::{Count, Limits},
    operation::{Operation, Outcome},
    secrets::Secrets,
    stderr::Lines,
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
    /// `retries` has how often it tries again to connect, and for how many seconds.
    #[new]
    fn new(
        driver: &Driver,
        config: &Config,
        stderr: &Lines,
        parent: Option<&Self>,
        secrets: Option<&Secrets>,
        retries: (u32, Option<f64>),
    ) -> PyResult<Self> {
        let mut config = config.with_stderr(stderr.sink());
        if let Some(secrets) = secrets {
            config = config.secrets(secrets.inner());
        }
        if let Some(retry) = retry(retries)? {
            config = config.connect_retry(retry);
        }
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
        timeout: Option<(f64, f64)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (tunnel, within) = (self.tunnel()?, Within::new(timeout)?);
        match engine(py)?.wait(py, operation.clone().run_within(tunnel, within))? {
            Ok(outcome) => outcome.object(py, &self.host),
            Err(trouble) => Err(trouble.raised(py)),
        }
    }

    /// Begins an operation, and has `done(result, exception)` called when it is done, by another thread.
    #[pyo3(signature = (operation, done, timeout=None))]
    fn start(
        &self,
        py: Python<'_>,
        operation: &Operation,
        done: Py<PyAny>,
        timeout: Option<(f64, f64)>,
    ) -> PyResult<Task> {
        let (tunnel, within) = (self.tunnel()?, Within::new(timeout)?);
        let (host, operation) = (self.host.clone(), operation.clone());
        let run = engine(py)?.spawn(async move {
            let result = operation.run_within(tunnel, within).await;
            // While the interpreter ends, nobody waits.
            Python::try_attach(move |py| {
                let made = match result {
                    Ok(outcome) => outcome.object(py, &host),
                    Err(trouble) => Err(trouble.raised(py)),
                };
                tell(py, done, made);
            });
        });
        Ok(Task(run))
    }

    /// Returns the version of Python over there: major and minor. It is asked for once, of a tunnel that is connected.
    fn python(&self, py: Python<'_>) -> PyResult<Option<(u8, u8)>> {
        if self.python.get().is_none() {
            let tunnel = self.tunnel()?;
            // The agent has said it long ago.
            let info = engine(py)?.wait(py, async move { tunnel.connect().await })?;
            if let Some((major, minor, _)) = info.ok().and_then(|info| info.python) {
                let _ = self.python.set((major, minor));
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
        let tunnel = self.slot().take();
        if let (Some(engine), Some(tunnel)) = (engine::current(), tunnel) {
            // What has begun to end has ended before the process does.
            engine.close(tunnel);
        }
    }
}

/// An operation that is under way.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Task(pub(crate) JoinHandle<()>);

#[pymethods]
impl Task {
    /// Cancels the operation, if it is not done: nobody is told of it then.
    fn cancel(&self) {
        self.0.abort();
        if let Some(engine) = engine::current() {
            engine.nudge();
        }
    }
}

/// Calls `done` with a result, or with an exception.
///
/// It is dropped here, where its object is freed at once. Elsewhere that would wait until somebody comes from Python.
pub(crate) fn tell<'py>(py: Python<'py>, done: Py<PyAny>, made: PyResult<Bound<'py, PyAny>>) {
    let done = done.into_bound(py);
    let called = match made {
        Ok(value) => done.call1((value, py.None())),
        Err(error) => done.call1((py.None(), error.into_value(py))),
    };
    if let Err(error) = called {
        error.write_unraisable(py, Some(&done));
    }
}

/// Does an operation on many hosts at once, and returns pairs of a result and an exception, in their order.
///
/// Now and then this calls `tick(count)` with the number of those that are done.
#[pyfunction]
#[pyo3(signature = (cores, operation, timeout=None, limits=None, tick=None))]
pub(crate) fn run_all<'py>(
    py: Python<'py>,
    cores: Vec<Py<Core>>,
    operation: &Operation,
    timeout: Option<(f64, f64)>,
    limits: Option<&Limits>,
    tick: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let within = Within::new(timeout)?;
    let group = group_of(&cores, within, limits)?;
    let count = Count::default();
    let mut run = Box::pin(group.run(|tunnel| count.clone().counted(operation.clone().run(tunnel))));
    let engine = engine(py)?;
    let results = loop {
        let Some(tick) = &tick else { break engine.wait(py, run)? };
        match engine.wait(py, async { tokio::time::timeout(TICK, run.as_mut()).await })? {
            Ok(results) => break results,
            Err(_) => drop(tick.call1((count.get(),))?),
        }
    };
    if let Some(tick) = tick {
        tick.call1((cores.len(),))?;
    }
    pairs(py, results.iter(), within)
}

/// Begins an operation on many hosts at once, and has `done(pairs, exception)` called when it is done, by another thread.
#[pyfunction]
#[pyo3(signature = (cores, operation, done, timeout=None, limits=None))]
pub(crate) fn start_all(
    py: Python<'_>,
    cores: Vec<Py<Core>>,
    operation: &Operation,
    done: Py<PyAny>,
    timeout: Option<(f64, f64)>,
    limits: Option<&Limits>,
) -> PyResult<Task> {
    let within = Within::new(timeout)?;
    let (group, operation) = (group_of(&cores, within, limits)?, operation.clone());
    let run = engine(py)?.spawn(async move {
        let results = group.run(|tunnel| operation.clone().run(tunnel)).await;
        Python::try_attach(move |py| tell(py, done, pairs(py, results.iter(), within).map(Bound::into_any)));
    });
    Ok(Task(run))
}

/// Returns the group of some tunnels, with a deadline for everything that they do together.
pub(crate) fn group_of(
    cores: &[Py<Core>],
    within: Option<Within>,
    limits: Option<&Limits>,
) -> PyResult<Group> {
    let tunnels = cores.iter().map(|core| core.get().tunnel()).collect::<PyResult<Vec<_>>>()?;
    let group = Group::new(tunnels).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(group.limits(Limits::of(limits).timeout(within.map(|within| within.left))))
}

/// Returns pairs of a result and an exception.
pub(crate) fn pairs<'a, 'py>(
    py: Python<'py>,
    results: impl Iterator<Item = &'a (HostName, chopsticks::Outcome<Outcome>)>,
    within: Option<Within>,
) -> PyResult<Bound<'py, PyList>> {
    let pairs = PyList::empty(py);
    for (host, outcome) in results {
        pairs.append(pair(py, host.as_str(), outcome, within)?)?;
    }
    Ok(pairs)
}

/// Closes many tunnels at once, however that goes, and waits for all that are being closed.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>, cores: Vec<Py<Core>>) -> PyResult<()> {
    let Some(engine) = engine::current() else { return Ok(()) };
    for core in cores {
        if let Ok(tunnel) = core.get().tunnel() {
            engine.close(tunnel);
        }
    }
    engine.wait(py, engine.all_closed())
}

/// Returns the result and `None`, or `None` and the exception.
fn pair<'py>(
    py: Python<'py>,
    host: &str,
    outcome: &chopsticks::Outcome<Outcome>,
    within: Option<Within>,
) -> PyResult<Bound<'py, PyTuple>> {
    let none = || py.None().into_bound(py);
    let (value, exception) = match outcome {
        Ok(outcome) => match outcome.object(py, host) {
            Ok(value) => (value, none()),
            Err(error) => (none(), error.into_value(py).into_bound(py).into_any()),
        },
        Err(failure) => (none(), Trouble::of(host, failure, within).exception(py)?),
    };
    PyTuple::new(py, [value, exception])
}

/// Returns when to connect again.
fn retry((times, seconds): (u32, Option<f64>)) -> PyResult<Option<Retry>> {
    Ok(match Within::new(seconds.map(|seconds| (seconds, seconds)))? {
        Some(within) => Some(Retry::within(within.left)),
        None => (times > 0).then(|| Retry::times(times)),
    })
}

/// How often the progress of a group is reported.
const TICK: Duration = Duration::from_millis(100);
