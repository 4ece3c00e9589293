//! A line of operations for each host.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chopsticks::{Group, HostName, Queue as Lines};
use pyo3::{
    IntoPyObjectExt as _,
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::PyList,
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinHandle,
};

use crate::{
    core::{Core, Task, pairs, tell},
    engine::engine,
    errors::{Trouble, Within},
    limits::Limits,
    operation::{Operation, Outcome},
};

/// The lines of a queue, and what has come of its operations.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Queue {
    lines: Lines,
    sender: mpsc::UnboundedSender<Event>,
    // No more of them than operations that were added.
    events: Arc<AsyncMutex<mpsc::UnboundedReceiver<Event>>>,
    run: Mutex<Option<JoinHandle<()>>>,
}

enum Event {
    /// An operation is done on all its hosts.
    Done { number: u64, outcomes: Vec<(HostName, chopsticks::Outcome<Outcome>)> },
    /// All lines are empty.
    Finished,
}

/// The number of an operation, and pairs of a result and an exception.
type Done<'py> = (u64, Bound<'py, PyList>);

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(signature = (limits=None))]
    fn new(limits: Option<&Limits>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let lines = Lines::with_limits(Limits::of(limits));
        Self { lines, sender, events: Arc::new(AsyncMutex::new(events)), run: Mutex::new(None) }
    }

    /// Adds an operation on some hosts, to be told of by its number.
    fn push(&self, cores: Vec<Py<Core>>, operation: &Operation, number: u64) -> PyResult<()> {
        let tunnels = cores.iter().map(|core| core.get().tunnel()).collect::<PyResult<Vec<_>>>()?;
        let group = Group::new(tunnels).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let operation = operation.clone();
        let result = self.lines.push(&group, operation.name(), move |tunnel| operation.clone().run(tunnel));
        let sender = self.sender.clone();
        result.with_callback(move |result| {
            let outcomes = result.iter().cloned().collect();
            // Nobody wants to know when the queue is gone.
            let _ = sender.send(Event::Done { number, outcomes });
        });
        Ok(())
    }

    /// Begins to work off the lines, unless that is under way.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        let mut run = self.run();
        if run.is_none() {
            let (lines, sender) = (self.lines.clone(), self.sender.clone());
            *run = Some(engine(py)?.spawn(async move {
                lines.run().await;
                let _ = sender.send(Event::Finished);
            }));
        }
        Ok(())
    }

    /// Waits for the next operation that is done; returns nothing when all lines are empty.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(&self, py: Python<'py>, timeout: Option<(f64, f64)>) -> PyResult<Option<Done<'py>>> {
        let within = Within::new(timeout)?;
        let next = async { self.events.lock().await.recv().await };
        let event = match within {
            None => engine(py)?.wait(py, next)?,
            Some(within) => {
                match engine(py)?.wait(py, async { tokio::time::timeout(within.left, next).await })? {
                    Ok(event) => event,
                    Err(_) => {
                        let host = "queue".to_owned();
                        return Err(Trouble::Late { host, what: "run", within }.raised(py));
                    }
                }
            }
        };
        let event = event.ok_or_else(|| PyRuntimeError::new_err("the queue is gone"))?;
        if matches!(event, Event::Finished) {
            *self.run() = None;
        }
        event.object(py)
    }

    /// Has `done(what `next` returns, exception)` called, by another thread.
    fn start_next(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<Task> {
        let events = self.events.clone();
        let run = engine(py)?.spawn(async move {
            let event = events.lock().await.recv().await;
            Python::try_attach(move |py| {
                let event = event.map_or(Ok(None), |event| event.object(py));
                tell(py, done, event.and_then(|event| event.into_bound_py_any(py)));
            });
        });
        Ok(Task(run))
    }

    /// Forgets the run that has finished.
    fn finish(&self) {
        *self.run() = None;
    }

    /// Ends what is under way, and returns what has come of it. What has not begun stays.
    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Vec<Done<'py>>> {
        let run = self.run().take();
        if let Some(run) = run {
            run.abort();
            // An interrupt has to wait for that.
            engine(py)?.wait(py, async move { tokio::time::timeout(PATIENCE, run).await.is_ok() })?;
        }
        let mut left = Vec::new();
        if let Ok(mut events) = self.events.try_lock() {
            while let Ok(event) = events.try_recv() {
                if let Event::Done { number, outcomes } = event {
                    left.push((number, pairs(py, outcomes.iter(), None)?));
                }
            }
        }
        Ok(left)
    }

    /// Draws what each host has done, and when, as SVG; nothing if nothing has begun.
    fn svg(&self) -> Option<String> {
        let timeline = self.lines.timeline();
        (!timeline.is_empty()).then(|| timeline.to_svg())
    }

    fn __len__(&self) -> usize {
        self.lines.len()
    }
}

impl Event {
    fn object<'py>(&self, py: Python<'py>) -> PyResult<Option<Done<'py>>> {
        match self {
            Self::Done { number, outcomes } => Ok(Some((*number, pairs(py, outcomes.iter(), None)?))),
            Self::Finished => Ok(None),
        }
    }
}

impl Queue {
    fn run(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(run) = self.run().take() {
            run.abort();
        }
    }
}

/// How long what is under way may take to be dropped, which is done at once.
const PATIENCE: Duration = Duration::from_secs(5);
