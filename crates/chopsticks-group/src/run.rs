//! A running operation on many targets.

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
    admission::{Admission, Company, Room},
    failure::{Failure, NotStarted, Outcome, Stage},
    group::Group,
    limits::Limits,
    member::Member,
    result::GroupResult,
    schedule::Schedule,
};

/// An operation that is running on the targets of a [`Group`]: a stream of names and outcomes, each as its target finishes.
///
/// Every target has exactly one outcome. Created by [`Group::each`].
///
/// # Cancel safety
///
/// No outcome is lost when a future of [`StreamExt::next`](futures::StreamExt::next) is dropped. Dropping the stream drops the operations that
/// are running, and starts no others.
#[must_use = "nothing runs unless it is polled"]
pub struct Run<'a, T: Member, V> {
    group: Group<T>,
    limits: Arc<Limits>,
    operation: Operation<'a, T, V>,
    ask: Ask,
    /// `None` before the first poll, at which the time begins to count.
    state: Option<State<'a, V, T::Error>>,
}

/// Whether targets need room to start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ask {
    ForNothing,
    ForRoom,
}

type Operation<'a, T, V> = Box<dyn FnMut(T) -> BoxFuture<'a, Result<V, <T as Member>::Error>> + Send + 'a>;

/// An outcome with the position of its target in the group.
type Numbered<V, E> = (usize, Outcome<V, E>);

struct State<'a, V, E> {
    schedule: Schedule,
    admission: Admission,
    spare: Spare,
    members: SelectAll<InFlight<'a, V, E>>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// When each target has started.
    started: Vec<Option<Instant>>,
    connected: Vec<bool>,
    done: Vec<bool>,
    /// Set once nothing is running and nothing else will start: why the remaining targets have not
    /// started. Their outcomes follow.
    over: Option<NotStarted>,
    /// The first of the remaining targets.
    next: usize,
}

/// The targets that can give way to those that have not started.
struct Spare {
    /// The targets that are done, in order.
    done: Vec<usize>,
    /// From this position on, the targets that have not started were asked.
    end: usize,
    /// How many targets have given way for others that have not started yet.
    given: usize,
}

/// A report of a running target.
pub(crate) enum Step<V, E> {
    Connected(usize),
    Finished(usize, Outcome<V, E>),
}

/// A running target: a stream of at most two steps.
pub(crate) struct InFlight<'a, V, E> {
    at: usize,
    /// `None` once it is done.
    operation: Option<BoxFuture<'a, Result<V, E>>>,
    connected: Option<BoxFuture<'a, ()>>,
    /// Held until the target is connected.
    room: Option<Room>,
    deadline: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl<'a, T: Member, V> Run<'a, T, V> {
    pub(crate) fn new(group: Group<T>, limits: Arc<Limits>, operation: Operation<'a, T, V>) -> Self {
        Self { group, limits, operation, ask: Ask::ForRoom, state: None }
    }

    /// Lets targets start without room, for an operation that connects none.
    pub(crate) fn without_room(self) -> Self {
        Self { ask: Ask::ForNothing, ..self }
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

    /// Returns the number of the next target that has finished, and its outcome.
    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Option<Numbered<V, T::Error>>> {
        let Self { group, limits, operation, ask, state } = self;
        let state = state.get_or_insert_with(|| State::new(group, limits));
        loop {
            if let Some(why) = state.over {
                return Poll::Ready(state.next_left(why));
            }
            while let Some(at) = state.schedule.peek() {
                let target = group.targets()[at].clone();
                let room = match ask {
                    Ask::ForNothing => None,
                    Ask::ForRoom => match state.poll_room(context, group.targets(), at) {
                        Poll::Ready(room) => room,
                        Poll::Pending => break,
                    },
                };
                state.schedule.next();
                tracing::debug!(host = %target.name(), "started");
                state.started[at] = Some(Instant::now());
                let operation = operation(target.clone());
                let connected = async move { target.connected().await };
                state.members.push(InFlight::new(at, operation, connected, limits.target_timeout, room));
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
                Some(Step::Connected(at)) => {
                    state.schedule.connected(at);
                    state.connected[at] = true;
                }
                Some(Step::Finished(at, outcome)) => {
                    tracing::debug!(host = %group.targets()[at].name(), ok = outcome.is_ok(), "finished");
                    state.schedule.finished(at, outcome.is_ok());
                    state.done[at] = true;
                    state.spare.done.push(at);
                    return Poll::Ready(Some((at, outcome)));
                }
                // The next one waits for room.
                None if state.schedule.peek().is_some() => return Poll::Pending,
                // Not reached: a schedule that is not over has members.
                None => state.over = Some(NotStarted::Failures),
            }
        }
    }
}

impl<T: Member, V> Stream for Run<'_, T, V> {
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

impl<T: Member, V> fmt::Debug for Run<'_, T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("group", &self.group)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<V, E> State<'_, V, E> {
    fn new<T: Member>(group: &Group<T>, limits: &Limits) -> Self {
        Self {
            schedule: Schedule::new(limits, group.targets().iter().map(Member::key)),
            admission: Admission::default(),
            spare: Spare { done: Vec::new(), end: group.len(), given: 0 },
            members: SelectAll::new(),
            deadline: limits.timeout.map(|after| Box::pin(tokio::time::sleep(after))),
            started: vec![None; group.len()],
            connected: vec![false; group.len()],
            done: vec![false; group.len()],
            over: None,
            next: 0,
        }
    }

    /// Completes when the target may start.
    fn poll_room<T: Member>(
        &mut self,
        context: &mut Context<'_>,
        targets: &[T],
        at: usize,
    ) -> Poll<Option<Room>> {
        let Self { admission, spare, members, started, .. } = self;
        let company = if members.is_empty() { Company::Nobody } else { Company::Others };
        let room = ready!(admission.poll(context, &targets[at], company, || {
            spare.make_room(targets, started, at, company);
        }));
        spare.given = spare.given.saturating_sub(1);
        Poll::Ready(room)
    }

    /// Returns the outcome of the next target that has not started when the run is over.
    fn next_left(&mut self, why: NotStarted) -> Option<Numbered<V, E>> {
        let at = (self.next..self.done.len()).find(|at| !self.done[*at])?;
        self.next = at + 1;
        self.done[at] = true;
        let failure = match self.started[at] {
            Some(started) => {
                let stage = if self.connected[at] { Stage::Running } else { Stage::Connecting };
                Failure::Timeout { after: started.elapsed(), stage }
            }
            None => Failure::NotStarted(why),
        };
        Some((at, Err(failure)))
    }
}

impl Spare {
    /// Asks as many targets to give way as have not started: first those that are done, and if
    /// nothing is running, those whose turn is far off.
    fn make_room<T: Member>(
        &mut self,
        targets: &[T],
        started: &[Option<Instant>],
        at: usize,
        company: Company,
    ) {
        let wanted = started.iter().filter(|started| started.is_none()).count();
        while self.given < wanted {
            let candidate = match self.done.pop() {
                Some(done) => done,
                None if company == Company::Nobody && self.end > at + 1 => {
                    self.end -= 1;
                    self.end
                }
                None => return,
            };
            if targets[candidate].give_way() {
                tracing::debug!(host = %targets[candidate].name(), "gives way");
                self.given += 1;
            }
        }
    }
}

impl<'a, V, E> InFlight<'a, V, E> {
    pub(crate) fn new(
        at: usize,
        operation: BoxFuture<'a, Result<V, E>>,
        connected: impl Future<Output = ()> + Send + 'a,
        timeout: Option<Duration>,
        room: Option<Room>,
    ) -> Self {
        Self {
            at,
            operation: Some(operation),
            connected: Some(connected.boxed()),
            room,
            deadline: timeout.map(|after| (after, Box::pin(tokio::time::sleep(after)))),
        }
    }

    /// Drops the target, which may give way from here on.
    fn finish(&mut self, outcome: Outcome<V, E>) -> Poll<Option<Step<V, E>>> {
        self.operation = None;
        self.connected = None;
        self.room = None;
        Poll::Ready(Some(Step::Finished(self.at, outcome)))
    }
}

impl<V, E> Stream for InFlight<'_, V, E> {
    type Item = Step<V, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(operation) = &mut self.operation else { return Poll::Ready(None) };
        // First the operation: it is what begins to connect.
        if let Poll::Ready(result) = operation.as_mut().poll(context) {
            return self.finish(result.map_err(Failure::Operation));
        }
        let is_connected =
            self.connected.as_mut().map(|connected| connected.as_mut().poll(context).is_ready());
        if let Some((after, deadline)) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            let stage = if is_connected == Some(false) { Stage::Connecting } else { Stage::Running };
            let failure = Failure::Timeout { after: *after, stage };
            return self.finish(Err(failure));
        }
        if is_connected == Some(true) {
            self.connected = None;
            self.room = None;
            return Poll::Ready(Some(Step::Connected(self.at)));
        }
        Poll::Pending
    }
}
