//! The items that functions yield, and those that functions read.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use chopsticks::{Error, Reply, transport::Format};
use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll},
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyList, PyTuple},
};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    core::{Core, Task, tell},
    engine::engine,
    errors::{Trouble, Within},
    operation::Operation,
    reader,
    taking::Taken,
};

/// What functions yield, on one host or many.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Stream {
    hosts: Vec<String>,
    within: Option<Within>,
    taken: Arc<Taken<Items>>,
}

/// Pairs of the number of a host and one of its items.
type Items = SelectAll<BoxStream<'static, (usize, Result<Reply, Error>)>>;

/// Some items that have arrived: the number of the host, and the item or the error that ended the
/// stream.
type Batch = Vec<(usize, Result<Reply, Error>)>;

#[pymethods]
impl Stream {
    /// Prepares a call on some hosts. Nothing is sent before the first item is requested.
    #[new]
    #[pyo3(signature = (cores, operation, timeout=None, item_timeout=None))]
    fn new(
        cores: Vec<Py<Core>>,
        operation: &Operation,
        timeout: Option<(f64, f64)>,
        item_timeout: Option<f64>,
    ) -> PyResult<Self> {
        let within = Within::new(timeout)?;
        let each = Within::new(item_timeout.map(|seconds| (seconds, seconds)))?;
        let mut items = SelectAll::new();
        let mut hosts = Vec::new();
        for (number, core) in cores.iter().enumerate() {
            let tunnel = core.get().tunnel()?;
            let mut call = operation.to_call()?;
            if let Some(within) = within {
                call = call.timeout(within.left);
            }
            if let Some(each) = each {
                call = call.item_timeout(each.left);
            }
            hosts.push(tunnel.host().to_string());
            let replies = tunnel.stream_with::<()>(call).encoded();
            items.push(replies.map(move |item| (number, item)).boxed());
        }
        Ok(Self { hosts, within, taken: Arc::new(Taken::new(items)) })
    }

    /// Waits for the next items, and returns those that are there: tuples of the number of a host, a value, and an exception. Returns nothing at the end.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<(f64, f64)>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let batch = self.taken.wait(py, Within::new(timeout)?, || self.hosts.join(", "))?;
        batch.map(|batch| self.objects(py, batch)).transpose()
    }

    /// Has `done(what `next` returns, exception)` called, by another thread.
    fn start_next(slf: Py<Self>, py: Python<'_>, done: Py<PyAny>) -> PyResult<Task> {
        let taken = slf.get().taken.clone();
        let run = engine(py)?.spawn(async move {
            let batch = taken.next().await;
            Python::try_attach(|py| {
                let made = match batch {
                    None => Ok(py.None().into_bound(py)),
                    Some(batch) => slf.get().objects(py, batch).map(Bound::into_any),
                };
                tell(py, &done, made);
            });
        });
        Ok(Task(run))
    }

    /// Ends it: generators on the hosts are closed. A thread that waits for an item gets none.
    fn close(&self) {
        self.taken.close();
    }
}

impl Stream {
    fn objects<'py>(&self, py: Python<'py>, batch: Batch) -> PyResult<Bound<'py, PyList>> {
        let objects = PyList::empty(py);
        for (number, item) in batch {
            let host = &self.hosts[number];
            let none = py.None().into_bound(py);
            let (value, error) = match item {
                Ok(reply) => match reader::reply(py, host, &reply) {
                    Ok(value) => (value, none),
                    Err(error) => (none, error.into_value(py).into_bound(py).into_any()),
                },
                Err(error) => (none, Trouble::Error(error, self.within).exception(py)?),
            };
            let number = number.into_pyobject(py)?.into_any();
            objects.append(PyTuple::new(py, [number, value, error])?)?;
        }
        Ok(objects)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.taken.close();
    }
}

/// An item for a function, or why there are no more.
type Fed = Result<(Format, Bytes), Failed>;

/// What a function reads: a thread of Python puts items in, and the call takes them out.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Feed {
    sender: Mutex<Option<mpsc::Sender<Fed>>>,
    receiver: Mutex<Option<mpsc::Receiver<Fed>>>,
}

#[pymethods]
impl Feed {
    #[new]
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { sender: Mutex::new(Some(sender)), receiver: Mutex::new(Some(receiver)) }
    }

    /// Puts an item in, when there is room: in `marshal`, in pencode, or bytes. Returns whether the
    /// function still reads.
    fn put(&self, py: Python<'_>, format: u8, item: PyBackedBytes) -> PyResult<bool> {
        let format = match format {
            1 => Format::Pencode,
            2 => Format::Marshal,
            3 => Format::Bytes,
            format => return Err(PyValueError::new_err(format!("no format {format}"))),
        };
        Ok(self.send(py, Ok((format, Bytes::from_owner(item)))))
    }

    /// Puts in an item that cannot be sent, and why, in a pool. Returns whether others are still wanted.
    fn refuse(&self, py: Python<'_>, text: String) -> bool {
        self.send(py, Err(Failed(text)))
    }

    /// Ends it with an error, which is raised where the function reads.
    fn fail(&self, py: Python<'_>, text: String) {
        self.send(py, Err(Failed(text)));
        self.end();
    }

    /// Ends it.
    fn end(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Feed {
    fn send(&self, py: Python<'_>, item: Fed) -> bool {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.is_some_and(|sender| match sender.try_send(item) {
            Ok(()) => true,
            Err(TrySendError::Full(item)) => py.detach(|| sender.blocking_send(item).is_ok()),
            Err(TrySendError::Closed(_)) => false,
        })
    }

    /// Returns the items, for the one call that reads them.
    pub(crate) fn items(&self) -> PyResult<impl futures::Stream<Item = Fed> + Send + 'static> {
        let receiver = mem::take(&mut *self.receiver.lock().unwrap_or_else(PoisonError::into_inner));
        let mut receiver = receiver.ok_or_else(|| PyValueError::new_err("the input has been read"))?;
        Ok(futures::stream::poll_fn(move |context| receiver.poll_recv(context)))
    }
}

/// Why there are no more items.
#[derive(Debug)]
pub(crate) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// How many items of an input wait here.
const WAITING: usize = 16;
