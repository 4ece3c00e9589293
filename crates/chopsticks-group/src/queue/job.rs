//! An operation that waits in a line, and the receiver of its outcome.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};

use crate::{
    failure::{Failure, Outcome, Stage},
    member::Member,
};

/// An operation with its target and its name.
pub(super) struct Work<T: Member> {
    pub(super) target: T,
    pub(super) label: Arc<str>,
    job: Box<dyn AnyJob<T>>,
}

/// How an operation has ended.
pub(super) struct Ended<E> {
    pub(super) is_success: bool,
    /// The error, if it means that the target cannot be reached.
    pub(super) unreachable: Option<E>,
    /// Passes the outcome to its receiver.
    pub(super) settle: Box<dyn FnOnce() + Send>,
}

/// An operation, and the receiver of its outcome.
pub(super) struct Job<F, V, E> {
    operation: F,
    settle: Settle<V, E>,
}

/// Receives one outcome. If it is dropped before, the outcome is [`Failure::Dropped`].
pub(super) struct Settle<V, E>(Option<Take<V, E>>);

type Take<V, E> = Box<dyn FnOnce(Outcome<V, E>) + Send>;

/// A [`Job`] of any types.
trait AnyJob<T: Member>: Send {
    fn start(self: Box<Self>, target: T, timeout: Option<Duration>) -> BoxFuture<'static, Ended<T::Error>>;

    fn fail(self: Box<Self>, failure: Failure<T::Error>);
}

impl<T: Member> Work<T> {
    pub(super) fn new<O, F, V>(target: T, label: Arc<str>, job: Job<O, V, T::Error>) -> Self
    where
        O: FnOnce(T) -> F + Send + 'static,
        F: Future<Output = Result<V, T::Error>> + Send + 'static,
        V: Send + 'static,
    {
        Self { target, label, job: Box::new(job) }
    }

    pub(super) fn start(self, timeout: Option<Duration>) -> BoxFuture<'static, Ended<T::Error>> {
        self.job.start(self.target, timeout)
    }

    /// Ends the operation without having started it.
    pub(super) fn fail(self, failure: Failure<T::Error>) {
        self.job.fail(failure);
    }
}

impl<F, V, E> Job<F, V, E> {
    pub(super) fn new(operation: F, settle: Settle<V, E>) -> Self {
        Self { operation, settle }
    }
}

impl<T, O, F, V> AnyJob<T> for Job<O, V, T::Error>
where
    T: Member,
    O: FnOnce(T) -> F + Send + 'static,
    F: Future<Output = Result<V, T::Error>> + Send + 'static,
    V: Send + 'static,
{
    fn start(self: Box<Self>, target: T, timeout: Option<Duration>) -> BoxFuture<'static, Ended<T::Error>> {
        let Self { operation, settle } = *self;
        Box::pin(async move {
            let operation = operation(target.clone());
            let outcome = match timeout {
                None => operation.await.map_err(Failure::Operation),
                Some(after) => match tokio::time::timeout(after, operation).await {
                    Ok(result) => result.map_err(Failure::Operation),
                    Err(_) => {
                        let is_connected = target.connected().now_or_never().is_some();
                        let stage = if is_connected { Stage::Running } else { Stage::Connecting };
                        Err(Failure::Timeout { after, stage })
                    }
                },
            };
            let error = outcome.as_ref().err().and_then(Failure::operation);
            Ended {
                is_success: outcome.is_ok(),
                unreachable: error.filter(|error| T::is_unreachable(error)).cloned(),
                settle: Box::new(move || settle.settle(outcome)),
            }
        })
    }

    fn fail(self: Box<Self>, failure: Failure<T::Error>) {
        self.settle.settle(Err(failure));
    }
}

impl<V, E> Settle<V, E> {
    pub(super) fn new(take: impl FnOnce(Outcome<V, E>) + Send + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    fn settle(mut self, outcome: Outcome<V, E>) {
        if let Some(take) = self.0.take() {
            take(outcome);
        }
    }
}

impl<V, E> Drop for Settle<V, E> {
    fn drop(&mut self) {
        if let Some(take) = self.0.take() {
            take(Err(Failure::Dropped));
        }
    }
}
