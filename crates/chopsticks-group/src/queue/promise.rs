//! Results of operations in a queue.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use thiserror::Error;

use crate::{
    failure::{Failure, Outcome},
    result::GroupResult,
};

/// The result of an operation in a [`Queue`](crate::Queue), which is available once the queue has performed it.
///
/// Look at it with [`value`](Self::value), await it, or give it a callback. Clones are cheap, and are handles of the same result.
///
/// # Cancel safety
///
/// The future can be dropped at any time, because the operation belongs to the queue.
pub struct AsyncResult<R> {
    cell: Arc<Mutex<Cell<R>>>,
}

struct Cell<R> {
    value: Option<Arc<R>>,
    callbacks: Vec<Callback<R>>,
    wakers: Vec<Waker>,
}

type Callback<R> = Box<dyn FnOnce(&R) + Send>;

/// Error for a result whose operation has not finished yet.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[error("the operation is not completed")]
#[non_exhaustive]
pub struct NotCompleted;

impl<R> AsyncResult<R> {
    pub(super) fn new() -> Self {
        let cell = Cell { value: None, callbacks: Vec::new(), wakers: Vec::new() };
        Self { cell: Arc::new(Mutex::new(cell)) }
    }

    /// Returns the result.
    ///
    /// # Errors
    ///
    /// [`NotCompleted`] if the operation has not finished.
    pub fn value(&self) -> Result<Arc<R>, NotCompleted> {
        self.cell().value.clone().ok_or(NotCompleted)
    }

    /// Calls `callback` with the result: at once if it is available, and otherwise in the task that runs the queue when the operation finishes.
    ///
    /// Callbacks are called in the order in which they were given, before the queue continues. They may add operations to the queue.
    pub fn with_callback(&self, callback: impl FnOnce(&R) + Send + 'static) -> &Self {
        let mut cell = self.cell();
        match cell.value.clone() {
            Some(value) => {
                drop(cell);
                callback(&value);
            }
            None => cell.callbacks.push(Box::new(callback)),
        }
        self
    }

    pub(super) fn settle(&self, value: R) {
        let value = Arc::new(value);
        let mut cell = self.cell();
        cell.value = Some(value.clone());
        let callbacks = std::mem::take(&mut cell.callbacks);
        let wakers = std::mem::take(&mut cell.wakers);
        drop(cell);
        wakers.into_iter().for_each(Waker::wake);
        for callback in callbacks {
            callback(&value);
        }
    }

    fn cell(&self) -> MutexGuard<'_, Cell<R>> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Clone for AsyncResult<R> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone() }
    }
}

impl<R> Future for AsyncResult<R> {
    type Output = Arc<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Arc<R>> {
        let mut cell = self.cell();
        if let Some(value) = &cell.value {
            return Poll::Ready(value.clone());
        }
        if !cell.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            cell.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl<R: fmt::Debug> fmt::Debug for AsyncResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncResult").field(&self.value()).finish()
    }
}

/// Collects the outcomes of a group's targets.
pub(super) struct Collect<N, V, E> {
    inner: Arc<Mutex<Collected<N, V, E>>>,
}

struct Collected<N, V, E> {
    names: Vec<N>,
    outcomes: Vec<Option<Outcome<V, E>>>,
    missing: usize,
    result: AsyncResult<GroupResult<N, V, E>>,
}

impl<N: Clone + Eq + std::hash::Hash, V, E> Collect<N, V, E> {
    /// Begins to wait for one outcome for each name. Without names, the result is available at
    /// once.
    pub(super) fn new(names: Vec<N>, result: AsyncResult<GroupResult<N, V, E>>) -> Self {
        if names.is_empty() {
            result.settle(GroupResult::new([]));
        }
        let outcomes = names.iter().map(|_| None).collect();
        let collected = Collected { missing: names.len(), names, outcomes, result };
        Self { inner: Arc::new(Mutex::new(collected)) }
    }

    pub(super) fn settle(&self, at: usize, outcome: Outcome<V, E>) {
        let mut collected = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        collected.outcomes[at] = Some(outcome);
        collected.missing -= 1;
        if collected.missing > 0 {
            return;
        }
        let names = std::mem::take(&mut collected.names);
        let outcomes = std::mem::take(&mut collected.outcomes);
        let result = collected.result.clone();
        drop(collected);
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Failure::Dropped)));
        result.settle(GroupResult::new(names.into_iter().zip(outcomes)));
    }
}

impl<N, V, E> Clone for Collect<N, V, E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}
