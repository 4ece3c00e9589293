//! The items that functions yield, and those that functions read.

use std::{
    convert::Infallible,
    fmt, mem,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
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
    types::{PyBool, PyList, PyTuple},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

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
    ///
    /// With `feeds`, the function of each host reads the items of its own feed.
    #[new]
    #[pyo3(signature = (cores, operation, timeout=None, item_timeout=None, feeds=None))]
    fn new(
        cores: Vec<Py<Core>>,
        operation: &Operation,
        timeout: Option<(f64, f64)>,
        item_timeout: Option<f64>,
        feeds: Option<Vec<Py<Feed>>>,
    ) -> PyResult<Self> {
        let within = Within::new(timeout)?;
        let each = Within::new(item_timeout.map(|seconds| (seconds, seconds)))?;
        let mut items = SelectAll::new();
        let mut hosts = Vec::new();
        for (number, core) in cores.iter().enumerate() {
            let tunnel = core.get().tunnel()?;
            let mut call = operation.to_call()?;
            if let Some(feed) = feeds.as_ref().and_then(|feeds| feeds.get(number)) {
                call = call.try_encoded_input(feed.get().items()?);
            }
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
            Python::try_attach(move |py| {
                let made = match batch {
                    None => Ok(py.None().into_bound(py)),
                    Some(batch) => slf.get().objects(py, batch).map(Bound::into_any),
                };
                drop(slf);
                tell(py, done, made);
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

/// What a function reads: Python puts items in, and the call takes them out.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Feed {
    sender: Mutex<Option<mpsc::Sender<Fed>>>,
    waiting: Shared,
    is_taken: AtomicBool,
    /// Until somebody waits for it.
    gone: Mutex<Option<oneshot::Receiver<Infallible>>>,
}

/// What waits for the call. `None` once it is closed.
type Shared = Arc<Mutex<Option<Waiting>>>;

struct Waiting {
    items: mpsc::Receiver<Fed>,
    /// Tells by its end that nobody reads them any more.
    _is_read: oneshot::Sender<Infallible>,
}

#[pymethods]
impl Feed {
    #[new]
    fn new() -> Self {
        let (sender, items) = mpsc::channel(WAITING);
        let (is_read, gone) = oneshot::channel();
        Self {
            sender: Mutex::new(Some(sender)),
            waiting: Arc::new(Mutex::new(Some(Waiting { items, _is_read: is_read }))),
            is_taken: AtomicBool::new(false),
            gone: Mutex::new(Some(gone)),
        }
    }

    /// Puts an item in, when there is room: in `marshal`, in pencode, or bytes. Returns whether the
    /// function still reads.
    ///
    /// The format 0 is an item that cannot be sent; the bytes say why. The function gets an error in its place.
    fn put(&self, py: Python<'_>, format: u8, item: PyBackedBytes) -> PyResult<bool> {
        let Some(sender) = self.sender() else { return Ok(false) };
        Ok(match sender.try_send(fed(format, item)?) {
            Ok(()) => true,
            Err(TrySendError::Full(item)) => py.detach(|| sender.blocking_send(item).is_ok()),
            Err(TrySendError::Closed(_)) => false,
        })
    }

    /// As `put`, but returns nothing if there is no room.
    fn offer(&self, format: u8, item: PyBackedBytes) -> PyResult<Option<bool>> {
        let Some(sender) = self.sender() else { return Ok(Some(false)) };
        Ok(match sender.try_send(fed(format, item)?) {
            Ok(()) => Some(true),
            Err(TrySendError::Full(_)) => None,
            Err(TrySendError::Closed(_)) => Some(false),
        })
    }

    /// Has `done(what `put` returns, exception)` called, by another thread.
    fn start_put(&self, py: Python<'_>, format: u8, item: PyBackedBytes, done: Py<PyAny>) -> PyResult<Task> {
        let (sender, item) = (self.sender(), fed(format, item)?);
        Ok(Task(engine(py)?.spawn(async move {
            let is_read = match sender {
                Some(sender) => sender.send(item).await.is_ok(),
                None => false,
            };
            Python::try_attach(move |py| tell(py, done, Ok(PyBool::new(py, is_read).to_owned().into_any())));
        })))
    }

    /// Has `done(None, None)` called once, by another thread, when nobody reads any more.
    fn start_gone(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<Task> {
        let gone = mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Task(engine(py)?.spawn(async move {
            if let Some(gone) = gone {
                let _ = gone.await;
            }
            Python::try_attach(move |py| tell(py, done, Ok(py.None().into_bound(py))));
        })))
    }

    /// Drops what waits: nobody reads any more, although somebody may hold on to the call.
    fn close(&self) {
        close(&self.waiting);
    }

    /// Ends it.
    fn end(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Feed {
    fn sender(&self) -> Option<mpsc::Sender<Fed>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the items, for the one call that reads them.
    pub(crate) fn items(&self) -> PyResult<impl futures::Stream<Item = Fed> + Send + 'static> {
        if self.is_taken.swap(true, SeqCst) {
            return Err(PyValueError::new_err("the input has been read"));
        }
        Ok(Reading(self.waiting.clone()))
    }
}

/// The items for the one call that reads them, which are dropped with it.
struct Reading(Shared);

impl futures::Stream for Reading {
    type Item = Fed;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Fed>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut().map_or(Poll::Ready(None), |waiting| waiting.items.poll_recv(context))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        close(&self.0);
    }
}

fn close(waiting: &Shared) {
    drop(waiting.lock().unwrap_or_else(PoisonError::into_inner).take());
}

fn fed(format: u8, item: PyBackedBytes) -> PyResult<Fed> {
    let format = match format {
        0 => return Ok(Err(Failed(String::from_utf8_lossy(&item).into_owned()))),
        1 => Format::Pencode,
        2 => Format::Marshal,
        3 => Format::Bytes,
        format => return Err(PyValueError::new_err(format!("no format {format}"))),
    };
    Ok(Ok((format, Bytes::from_owner(item))))
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
