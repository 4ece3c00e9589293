//! Streams of the Rust side whose items Python takes.

use std::{
    future::{Future as _, poll_fn},
    mem,
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
};

use chopsticks::{PoolRun, Reply};
use futures::{Stream, StreamExt as _, task::AtomicWaker};
use pyo3::prelude::*;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::{
    engine::{current, engine},
    errors::{Trouble, Within},
};

/// A stream, which any thread may take items from, or close.
pub(crate) struct Taken<S> {
    /// `None` once it is closed. It is locked for no longer than a poll, during which nothing waits for Python.
    items: Mutex<Option<S>>,
    /// Threads take turns, since a stream wakes one only.
    turn: AsyncMutex<()>,
    closed: Notify,
    /// Whether the end has come, and so nothing is left to cancel.
    is_over: AtomicBool,
    /// Whether somebody waits for items, who polls them then.
    is_awaited: AtomicBool,
    /// Wakes [`keep_going`](Self::keep_going) when nobody waits any more, and at the end.
    left: AtomicWaker,
}

/// Somebody who waits for items.
struct Awaiting<'a, S>(&'a Taken<S>);

impl<S: Stream + Unpin + Send> Taken<S> {
    pub(crate) fn new(items: S) -> Self {
        Self {
            items: Mutex::new(Some(items)),
            turn: AsyncMutex::new(()),
            closed: Notify::new(),
            is_over: AtomicBool::new(false),
            is_awaited: AtomicBool::new(false),
            left: AtomicWaker::new(),
        }
    }

    /// Waits for the next items, and returns those that are there; nothing at the end.
    pub(crate) async fn next(&self) -> Option<Vec<S::Item>> {
        let _turn = self.turn.lock().await;
        self.is_awaited.store(true, SeqCst);
        let _awaiting = Awaiting(self);
        let mut closed = pin!(self.closed.notified());
        poll_fn(|context| {
            let is_closed = closed.as_mut().poll(context).is_ready();
            let mut items = self.items();
            let Some(items) = items.as_mut().filter(|_| !is_closed) else { return Poll::Ready(None) };
            let mut batch = Vec::new();
            while batch.len() < BATCH {
                match items.poll_next_unpin(context) {
                    Poll::Ready(Some(item)) => batch.push(item),
                    Poll::Ready(None) if batch.is_empty() => {
                        self.is_over.store(true, SeqCst);
                        return Poll::Ready(None);
                    }
                    Poll::Pending if batch.is_empty() => return Poll::Pending,
                    Poll::Ready(None) | Poll::Pending => break,
                }
            }
            Poll::Ready(Some(mem::take(&mut batch)))
        })
        .await
    }

    /// As [`next`](Self::next), for a thread of Python. `host` is what an error names if the deadline passes.
    pub(crate) fn wait(
        &self,
        py: Python<'_>,
        within: Option<Within>,
        host: impl FnOnce() -> String,
    ) -> PyResult<Option<Vec<S::Item>>>
    where
        S::Item: Send,
    {
        let engine = engine(py)?;
        let Some(within) = within else { return engine.wait(py, self.next()) };
        match engine.wait(py, async { tokio::time::timeout(within.left, self.next()).await })? {
            Ok(batch) => Ok(batch),
            Err(_) => Err(Trouble::Late { host: host(), what: "call", within }.raised(py)),
        }
    }

    /// Looks at the stream, unless it is closed.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&S) -> T) -> Option<T> {
        self.items().as_ref().map(look)
    }
}

impl Taken<PoolRun<Reply>> {
    /// Keeps the hosts busy while nobody waits for outcomes, until every item has one.
    pub(crate) async fn keep_going(&self) {
        poll_fn(|context| {
            self.left.register(context.waker());
            let mut items = self.items();
            let Some(run) = items.as_mut() else { return Poll::Ready(()) };
            // Whoever waits would not be woken if this task polled after them.
            if self.is_awaited.load(SeqCst) { Poll::Pending } else { run.poll_progress(context) }
        })
        .await;
    }
}

impl<S> Taken<S> {
    /// Ends it: what it holds is cancelled. A thread that waits for an item gets none.
    pub(crate) fn close(&self) {
        // In a forked child it is the parent's.
        let Some(engine) = current() else { return };
        let items = self.items().take();
        if items.is_some() {
            self.closed.notify_waiters();
            self.left.wake();
            let entered = engine.enter();
            drop(items);
            drop(entered);
            if !self.is_over.load(SeqCst) {
                engine.nudge();
            }
        }
    }

    fn items(&self) -> MutexGuard<'_, Option<S>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Awaiting<'_, S> {
    fn drop(&mut self) {
        self.0.is_awaited.store(false, SeqCst);
        self.0.left.wake();
    }
}

/// How many items are turned into objects at once.
const BATCH: usize = 256;
