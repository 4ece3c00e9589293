//! Many items, each of which goes to the next free host.

use std::sync::Arc;

use chopsticks::{Pool, PoolOutcome, PoolRun as Run, Reply};
use pyo3::{
    prelude::*,
    types::{PyList, PyTuple},
};

use crate::{
    core::{Core, Task, group_of, tell},
    engine::engine,
    errors::{Trouble, Within},
    limits::Limits,
    operation::Operation,
    reader,
    stream::Feed,
    taking::Taken,
};

/// The outcomes of the items of a pool.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct PoolRun {
    pool: Pool,
    taken: Arc<Taken<Run<Reply>>>,
}

#[pymethods]
impl PoolRun {
    /// Begins to call one function for the items of `feed`. It goes on whether or not somebody waits for outcomes.
    #[new]
    #[pyo3(signature = (cores, limits, operation, feed, per_host, attempts, ahead, item_timeout, max_failures, max_buffered, window, is_recorded))]
    #[expect(clippy::too_many_arguments, reason = "Python's side has them as keywords")]
    fn new(
        py: Python<'_>,
        cores: Vec<Py<Core>>,
        limits: Option<&Limits>,
        operation: &Operation,
        feed: &Feed,
        per_host: usize,
        attempts: u32,
        ahead: usize,
        item_timeout: Option<f64>,
        max_failures: Option<usize>,
        max_buffered: usize,
        window: Option<usize>,
        is_recorded: bool,
    ) -> PyResult<Self> {
        let group = group_of(&cores, None, limits)?;
        let pool = Pool::new(group);
        let mut configured =
            pool.clone().per_host(per_host).attempts(attempts).ahead(ahead).max_buffered(max_buffered);
        if let Some(each) = Within::new(item_timeout.map(|seconds| (seconds, seconds)))? {
            configured = configured.item_timeout(each.left);
        }
        if let Some(failures) = max_failures {
            configured = configured.max_failures(failures);
        }
        let mut run = configured.try_map_encoded(operation.to_call()?, feed.items()?);
        if let Some(window) = window {
            run = run.ordered_within(window);
        }
        if is_recorded {
            run = run.recorded();
        }
        let taken = Arc::new(Taken::new(run));
        let kept = taken.clone();
        engine(py)?.spawn(async move { kept.keep_going().await });
        Ok(Self { pool, taken })
    }

    /// Waits for the next outcomes, and returns those that are there: tuples of the number of an item, a host, how many hosts have tried it, a value, and an exception. Returns nothing at the end.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<(f64, f64)>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let batch = self.taken.wait(py, Within::new(timeout)?, || NAME.to_owned())?;
        batch.map(|batch| objects(py, batch)).transpose()
    }

    /// Has `done(what `next` returns, exception)` called, by another thread.
    fn start_next(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<Task> {
        let taken = self.taken.clone();
        let run = engine(py)?.spawn(async move {
            let batch = taken.next().await;
            Python::try_attach(move |py| {
                let made = match batch {
                    None => Ok(py.None().into_bound(py)),
                    Some(batch) => objects(py, batch).map(Bound::into_any),
                };
                tell(py, done, made);
            });
        });
        Ok(Task(run))
    }

    /// Adds hosts.
    fn add(&self, cores: Vec<Py<Core>>) -> PyResult<()> {
        self.pool.add(group_of(&cores, None, None)?);
        Ok(())
    }

    /// Removes a host, and returns whether it was there.
    fn remove(&self, host: &str) -> bool {
        let name = self.pool.hosts().into_iter().find(|name| name.as_str() == host);
        name.is_some_and(|name| self.pool.remove(&name))
    }

    /// Returns pairs of a host that was lost and the exception for that.
    fn lost<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
        let lost = self.taken.look(|run| run.lost().to_vec()).unwrap_or_default();
        let exception = |host: &str, failure| Trouble::of(host, failure, None).exception(py);
        lost.iter()
            .map(|(host, failure)| Ok((host.to_string(), exception(host.as_str(), failure)?)))
            .collect()
    }

    /// Returns how many items were read, and how many of these have no outcome yet.
    fn counts(&self) -> (u64, usize) {
        self.taken.look(|run| (run.items_read(), run.items_under_way())).unwrap_or_default()
    }

    /// Draws what each host has done, and when, as SVG; nothing if nothing has begun, or it is not recorded.
    fn svg(&self) -> Option<String> {
        let timeline = self.taken.look(Run::timeline)?;
        (!timeline.is_empty()).then(|| timeline.to_svg())
    }

    /// Ends it: what is under way is cancelled. A thread that waits for an outcome gets none.
    fn close(&self) {
        self.taken.close();
    }
}

impl Drop for PoolRun {
    fn drop(&mut self) {
        self.taken.close();
    }
}

fn objects(py: Python<'_>, batch: Vec<PoolOutcome<Reply>>) -> PyResult<Bound<'_, PyList>> {
    let objects = PyList::empty(py);
    for done in batch {
        let name = done.host.as_ref().map_or(NAME, |host| host.as_str());
        let none = py.None().into_bound(py);
        let (value, error) = match &done.outcome {
            Ok(reply) => match reader::reply(py, name, reply) {
                Ok(value) => (value, none),
                Err(error) => (none, error.into_value(py).into_bound(py).into_any()),
            },
            Err(failure) => (none, Trouble::of(name, failure, None).exception(py)?),
        };
        let index = done.index.into_pyobject(py)?.into_any();
        let host = done.host.as_ref().map(|host| host.as_str()).into_pyobject(py)?;
        let attempts = done.attempts.into_pyobject(py)?.into_any();
        objects.append(PyTuple::new(py, [index, host, attempts, value, error])?)?;
    }
    Ok(objects)
}

/// What errors name that concern no host.
const NAME: &str = "pool";
