//! One operation on many targets, under way.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream::SelectAll};
use tokio::time::{Instant, Sleep};

use crate::{
    failure::{Failure, NotStarted, Outcome},
    group::Group,
    limits::Limits,
    result::GroupResult,
    schedule::Schedule,
    target::Target,
};

/// An operation that runs on the targets of a [`Group`]: a stream of names and outcomes, each as its target finishes.
///
/// Every target has exactly one outcome. Made by [`Group::each`].
///
/// # Cancel safety
///
/// Outcomes that [`StreamExt::next`](futures::StreamExt::next) has not returned stay for the next time. Dropping the stream drops the operations that
/// run, and starts no other.
#[must_use = "nothing runs unless it is polled"]
pub struct Run<'a, T: Target, V> {
    group: Group<T>,
    limits: Arc<Limits>,
    operation: Operation<'a, T, V>,
    /// `None` before the first poll, where the time begins to count.
    state: Option<State<'a, V, T::Error>>,
}

type Operation<'a, T, V> = Box<dyn FnMut(T) -> BoxFuture<'a, Result<V, <T as Target>::Error>> + Send + 'a>;

/// An outcome with the place of its target in the group.
type Numbered<V, E> = (usize, Outcome<V, E>);

struct State<'a, V, E> {
    schedule: Schedule,
    members: SelectAll<Member<'a, V, E>>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// When each target has started.
    started: Vec<Option<Instant>>,
    done: Vec<bool>,
    /// Set once nothing runs and nothing will: why those without an outcome have not started. What follows are their outcomes.
    over: Option<NotStarted>,
    /// The first of the targets whose outcome that is.
    next: usize,
}

/// What a target that runs tells.
pub(crate) enum Step<V, E> {
    Connected(usize),
    Finished(usize, Outcome<V, E>),
}

/// A target that runs: a stream of at most two steps.
pub(crate) struct Member<'a, V, E> {
    at: usize,
    operation: BoxFuture<'a, Result<V, E>>,
    connected: Option<BoxFuture<'a, ()>>,
    deadline: Option<(Duration, Pin<Box<Sleep>>)>,
    is_done: bool,
}

impl<'a, T: Target, V> Run<'a, T, V> {
    pub(crate) fn new(group: Group<T>, limits: Arc<Limits>, operation: Operation<'a, T, V>) -> Self {
        Self { group, limits, operation, state: None }
    }

    /// Runs to the end and returns all outcomes in the group's order.
    pub async fn join(mut self) -> GroupResult<T::Name, V, T::Error> {
        let mut outcomes: Vec<Option<Outcome<V, T::Error>>> = Vec::new();
        outcomes.resize_with(self.group.len(), || None);
        while let Some((at, outcome)) = std::future::poll_fn(|context| self.poll_outcome(context)).await {
            outcomes[at] = Some(outcome);
        }
        // A target without an outcome there is not; if there were, this would not pass it over in silence.
        let missing = || Err(Failure::Dropped);
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing));
        GroupResult::new(self.group.names().zip(outcomes))
    }

    /// The number of the next target that has finished, and its outcome.
    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Option<Numbered<V, T::Error>>> {
        let Self { group, limits, operation, state } = self;
        let state = state.get_or_insert_with(|| State::new(group, limits));
        loop {
            if let Some(why) = state.over {
                return Poll::Ready(state.next_left(why));
            }
            while let Some(at) = state.schedule.next() {
                let target = group.targets()[at].clone();
                tracing::debug!(host = %target.name(), "started");
                state.started[at] = Some(Instant::now());
                let operation = operation(target.clone());
                let connected = async move { target.connected().await };
                state.members.push(Member::new(at, operation, connected, limits.target_timeout));
            }
            if state.schedule.is_over() {
                state.over = Some(NotStarted::Failures);
                continue;
            }
            if state.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready()) {
                state.members.clear();
                state.over = Some(NotStarted::Timeout);
                continue;
            }
            match ready!(state.members.poll_next_unpin(context)) {
                Some(Step::Connected(at)) => state.schedule.connected(at),
                Some(Step::Finished(at, outcome)) => {
                    tracing::debug!(host = %group.targets()[at].name(), ok = outcome.is_ok(), "finished");
                    state.schedule.finished(at, outcome.is_ok());
                    state.done[at] = true;
                    return Poll::Ready(Some((at, outcome)));
                }
                // Not reached: a schedule that is not over has members.
                None => state.over = Some(NotStarted::Failures),
            }
        }
    }
}

impl<T: Target, V> Stream for Run<'_, T, V> {
    type Item = (T::Name, Outcome<V, T::Error>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(this.poll_outcome(context));
        Poll::Ready(next.map(|(at, outcome)| (this.group.targets()[at].name(), outcome)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let done = self.state.as_ref().map_or(0, |state| state.done.iter().filter(|done| **done).count());
        let left = self.group.len() - done;
        (left, Some(left))
    }
}

impl<T: Target, V> fmt::Debug for Run<'_, T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("group", &self.group)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<V, E> State<'_, V, E> {
    fn new<T: Target>(group: &Group<T>, limits: &Limits) -> Self {
        Self {
            schedule: Schedule::new(limits, group.targets().iter().map(Target::key)),
            members: SelectAll::new(),
            deadline: limits.timeout.map(|after| Box::pin(tokio::time::sleep(after))),
            started: vec![None; group.len()],
            done: vec![false; group.len()],
            over: None,
            next: 0,
        }
    }

    /// The outcome of the next target that has none when all is over.
    fn next_left(&mut self, why: NotStarted) -> Option<Numbered<V, E>> {
        let at = (self.next..self.done.len()).find(|at| !self.done[*at])?;
        self.next = at + 1;
        self.done[at] = true;
        let failure = match self.started[at] {
            Some(started) => Failure::Timeout { after: started.elapsed() },
            None => Failure::NotStarted(why),
        };
        Some((at, Err(failure)))
    }
}

impl<'a, V, E> Member<'a, V, E> {
    pub(crate) fn new(
        at: usize,
        operation: BoxFuture<'a, Result<V, E>>,
        connected: impl Future<Output = ()> + Send + 'a,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            at,
            operation,
            connected: Some(connected.boxed()),
            deadline: timeout.map(|after| (after, Box::pin(tokio::time::sleep(after)))),
            is_done: false,
        }
    }
}

impl<V, E> Stream for Member<'_, V, E> {
    type Item = Step<V, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        let at = self.at;
        // First the operation: it is what begins to connect.
        if let Poll::Ready(result) = self.operation.as_mut().poll(context) {
            self.is_done = true;
            return Poll::Ready(Some(Step::Finished(at, result.map_err(Failure::Operation))));
        }
        if let Some((after, deadline)) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            let failure = Failure::Timeout { after: *after };
            self.is_done = true;
            return Poll::Ready(Some(Step::Finished(at, Err(failure))));
        }
        if let Some(connected) = &mut self.connected
            && connected.as_mut().poll(context).is_ready()
        {
            self.connected = None;
            return Poll::Ready(Some(Step::Connected(at)));
        }
        Poll::Pending
    }
}
