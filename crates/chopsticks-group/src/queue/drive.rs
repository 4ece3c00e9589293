//! A running queue.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{StreamExt as _, future::BoxFuture, stream::SelectAll};
use tokio::time::{Instant, Sleep};

use super::{
    Shared, State,
    job::{Ended, Work},
};
use crate::{
    admission::{Admission, Company},
    failure::{Failure, NotStarted},
    member::Member,
    run::{InFlight, Step},
    timeline::Entry,
};

/// Drives the lines of a queue. Dropping it drops the running operations and leaves the lines
/// unchanged.
pub(super) struct Drive<'a, T: Member> {
    shared: &'a Arc<Shared<T>>,
    members: SelectAll<InFlight<'static, Ended<T::Error>, T::Error>>,
    running: HashMap<usize, Running<T>>,
    admission: Admission,
    /// Lines that wait for room, without a turn.
    starved: VecDeque<usize>,
    /// Lines that are empty, and their targets, which can give way, in the order in which they
    /// became empty.
    done: Vec<(usize, T)>,
    /// How many targets have given way for lines that still wait for room.
    given: usize,
    end: Option<Instant>,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// A line that has its turn.
struct Running<T> {
    target: T,
    is_connecting: bool,
    entry: Entry,
}

impl<'a, T: Member> Drive<'a, T> {
    pub(super) fn new(shared: &'a Arc<Shared<T>>) -> Self {
        let end = shared.limits.timeout.and_then(|after| Instant::now().checked_add(after));
        let deadline = end.map(|end| Box::pin(tokio::time::sleep_until(end)));
        Self {
            shared,
            members: SelectAll::new(),
            running: HashMap::new(),
            admission: Admission::default(),
            starved: VecDeque::new(),
            done: Vec::new(),
            given: 0,
            end,
            deadline,
        }
    }

    /// Completes once every line is empty.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.shared.runner.register(context.waker());
        loop {
            if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready()) {
                self.fail_waiting();
            }
            self.start();
            if self.relieve(context) {
                continue;
            }
            match self.members.poll_next_unpin(context) {
                Poll::Ready(Some(Step::Connected(at))) => self.connected(at),
                Poll::Ready(Some(Step::Finished(at, outcome))) => self.finished(at, outcome.ok()),
                Poll::Ready(None) if self.shared.state().turns.is_idle() && self.is_empty() => {
                    return Poll::Ready(());
                }
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Starts the next operation of each line whose turn it is.
    fn start(&mut self) {
        loop {
            let Some((at, target)) = self.shared.state().first() else { return };
            // Asked while nothing is locked.
            let room = target.as_ref().and_then(|target| self.admission.ask(target));
            let mut state = self.shared.state();
            state.turns.next();
            let work = match room {
                Some(_) => state.lines[at].waiting.pop_front(),
                None => None,
            };
            let (Some(work), Some(room)) = (work, room) else {
                let key = state.lines[at].key;
                state.turns.connected(key);
                state.turns.finished(key);
                // Without a target its work was taken from it while it waited.
                state.lines[at].is_active = target.is_some();
                self.starved.extend(target.is_some().then_some(at));
                continue;
            };
            let name = state.lines[at].name.clone();
            let entry = state.record.begin(&name, &work.label);
            drop(state);
            let target = work.target.clone();
            self.running.insert(at, Running { target: target.clone(), is_connecting: true, entry });
            tracing::debug!(host = %target.name(), operation = %work.label, "started");
            let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
            let timeout = match (self.shared.limits.target_timeout, left) {
                (Some(timeout), Some(left)) => Some(timeout.min(left)),
                (timeout, left) => timeout.or(left),
            };
            let ended = work.start(timeout);
            let operation: BoxFuture<'static, _> = Box::pin(async move { Ok(ended.await) });
            let connected = async move { target.connected().await };
            self.members.push(InFlight::new(at, operation, connected, None, room));
        }
    }

    /// Lets a line that waits for room take its turn again when there is room. Returns whether it
    /// did.
    fn relieve(&mut self, context: &mut Context<'_>) -> bool {
        let Some(&at) = self.starved.front() else { return false };
        let target = self.shared.state().lines[at].waiting.front().map(|work| work.target.clone());
        if let Some(target) = target {
            let Self { shared, running, admission, starved, done, given, .. } = self;
            let company = if running.is_empty() { Company::Nobody } else { Company::Others };
            let admitted = admission.poll(context, &target, company, || {
                while *given < starved.len() {
                    let Some((line, target)) = done.pop() else { return };
                    let is_done = !shared.state().lines[line].is_active;
                    *given += usize::from(is_done && target.give_way());
                }
            });
            if admitted.is_pending() {
                return false;
            }
        }
        self.starved.pop_front();
        self.given = self.given.saturating_sub(1);
        self.shared.state().resume(at);
        true
    }

    fn connected(&mut self, at: usize) {
        let Some(running) = self.running.get_mut(&at) else { return };
        if mem::take(&mut running.is_connecting) {
            let mut state = self.shared.state();
            let key = state.lines[at].key;
            state.turns.connected(key);
        }
    }

    fn finished(&mut self, at: usize, ended: Option<Ended<T::Error>>) {
        self.connected(at);
        let Some(ended) = ended else { return };
        let mut failed = Vec::new();
        let mut state = self.shared.state();
        state.leave(at);
        let target = self.running.remove(&at).map(|Running { entry, target, .. }| {
            state.record.end(entry, ended.is_success);
            target
        });
        if ended.unreachable.is_some() {
            failed.extend(state.lines[at].waiting.drain(..));
        }
        state.activate(at);
        drop(state);
        // Callbacks run here, and may add operations: also to a line that has just failed.
        (ended.settle)();
        if let Some(target) = target
            && !self.shared.state().lines[at].is_active
        {
            self.done.push((at, target));
        }
        if let Some(error) = ended.unreachable {
            fail_all(failed, &Failure::Operation(error));
        }
    }

    /// Fails all operations that have not started.
    fn fail_waiting(&mut self) {
        loop {
            let mut state = self.shared.state();
            let failed: Vec<_> = state.lines.iter_mut().flat_map(|line| line.waiting.drain(..)).collect();
            drop(state);
            if failed.is_empty() {
                return;
            }
            // What their callbacks add fails as well.
            fail_all(failed, &Failure::NotStarted(NotStarted::Timeout));
        }
    }

    fn is_empty(&self) -> bool {
        self.shared.state().lines.iter().all(|line| line.waiting.is_empty())
    }
}

impl<T: Member> State<T> {
    /// Returns the line whose turn it is, and the target of its next operation.
    fn first(&self) -> Option<(usize, Option<T>)> {
        let at = self.turns.peek()?;
        Some((at, self.lines[at].waiting.front().map(|work| work.target.clone())))
    }

    /// Lets a line that was passed over wait for its turn again.
    fn resume(&mut self, at: usize) {
        self.lines[at].is_active = false;
        self.activate(at);
    }

    /// Ends the turn of a line that is not connecting.
    fn leave(&mut self, at: usize) {
        let line = &mut self.lines[at];
        line.is_active = false;
        self.turns.finished(line.key);
    }
}

impl<T: Member> Drop for Drive<'_, T> {
    fn drop(&mut self) {
        self.members.clear();
        let running: Vec<_> = self.running.keys().copied().collect();
        for at in running {
            self.connected(at);
            let mut state = self.shared.state();
            state.leave(at);
            if let Some(running) = self.running.remove(&at) {
                state.record.end(running.entry, false);
            }
            state.activate(at);
        }
        for at in self.starved.drain(..) {
            self.shared.state().resume(at);
        }
    }
}

fn fail_all<T: Member>(works: Vec<Work<T>>, failure: &Failure<T::Error>) {
    for work in works {
        work.fail(failure.clone());
    }
}
