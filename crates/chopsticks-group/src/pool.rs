//! Pools: many items, each of which goes to the next free target.

use std::{
    collections::HashSet,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, channel::mpsc::UnboundedReceiver, stream::BoxStream, task::AtomicWaker};

use crate::{failure::Outcome, group::Group, limits::Limits, member::Member, spread::Rules};

pub use self::run::PoolRun;

mod run;

/// Targets that share the work on many items: each item goes to the next free target.
///
/// A target has [`per_host`](Self::per_host) *slots*, each of which runs one item after the other.
/// Short items are sent ahead, as many as a slot can run while one travels, so that the slot is
/// never idle. Long items go to the next free slot.
///
/// # Losses
///
/// Items of a lost target go to other targets. They go to the same target only if it is the only
/// one. An item counts as tried by a target from the moment at which it was sent there, because it
/// cannot be known how far the target had got with it. After [`attempts`](Self::attempts) the item
/// fails with the error of the loss. An item that was tried before goes to an idle slot, and
/// nothing is sent after it. So an item that ends its target affects others only once. A lost
/// target is connected again. It leaves the pool if that fails, or if it is lost three times in a
/// row without finishing an item.
///
/// If no target is left, the remaining items have the outcome
/// [`NotStarted::NoTargets`](crate::NotStarted::NoTargets).
///
/// Clones are cheap and share the targets: [`add`](Self::add) and [`remove`](Self::remove) affect
/// all of them, and what is running. Each clone has its own settings.
pub struct Pool<T: Member> {
    roster: Arc<Roster<T>>,
    limits: Limits,
    per_host: usize,
    attempts: u32,
    ahead: usize,
    item_timeout: Option<Duration>,
    max_failures: Option<usize>,
    max_buffered: usize,
}

/// The outcome of an item of a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PoolOutcome<N, V, E> {
    /// The number of the item in the input, from 0.
    pub index: u64,
    /// The target that had it last. `None` if no target had it.
    pub host: Option<N>,
    /// How many targets have tried it.
    pub attempts: u32,
    /// The value, or why there is none.
    pub outcome: Outcome<V, E>,
}

/// What happens in a slot of a pool: the items of the stream that opens it.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the pool has to handle each")]
pub enum Step<V, E> {
    /// The first item is done.
    Done {
        /// What came of it.
        result: Result<V, E>,
        /// How long it took, without the way there and back.
        took: Duration,
        /// The size of the result, in bytes of memory, as far as it is known.
        len: usize,
    },
    /// The slot has ended at its first item, for a reason that concerns that item. The items after
    /// it have not started.
    Failed(E),
    /// The slot has ended because the target was lost.
    Lost(E),
}

/// The items of a slot, in the order in which they are to be performed. It does not end as long as
/// the slot is in use.
pub struct Feed<I>(UnboundedReceiver<I>);

/// The targets of a pool.
struct Roster<T> {
    state: Mutex<Members<T>>,
    /// The tasks to notify of changes.
    runs: Mutex<Vec<Weak<AtomicWaker>>>,
}

struct Members<T> {
    /// Grows with each change.
    version: u64,
    /// Each with a number that no other has had.
    targets: Vec<(u64, T)>,
}

impl<T: Member> Pool<T> {
    /// Creates a pool of the targets of a group. Of the group's limits, those for connecting apply:
    /// how many connect at once, and how long connecting may take.
    pub fn new(group: impl Into<Group<T>>) -> Self {
        let group = group.into();
        let limits = group.current_limits().for_connecting();
        let targets: Vec<_> = (0..).zip(group.targets().iter().cloned()).collect();
        let state = Mutex::new(Members { version: targets.len() as u64, targets });
        let roster = Arc::new(Roster { state, runs: Mutex::default() });
        Self {
            roster,
            limits,
            per_host: 1,
            attempts: 3,
            ahead: AHEAD,
            item_timeout: None,
            max_failures: None,
            max_buffered: BUFFERED,
        }
    }

    /// Sets how many items each target runs at a time. Default and least: 1.
    #[must_use]
    pub fn per_host(mut self, items: usize) -> Self {
        self.per_host = items.max(1);
        self
    }

    /// Sets how many targets may try an item, one after the other, if targets are lost. Default: 3;
    /// least: 1.
    ///
    /// With 1 no item runs twice, not even in part. Then no items are sent ahead.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets how many items are sent ahead to each slot at most. Default: 500. With 0, each item
    /// waits on this side until a slot is free.
    ///
    /// Fewer are sent if they take longer, and never more than 1 MiB.
    #[must_use]
    pub fn ahead(mut self, items: usize) -> Self {
        self.ahead = items;
        self
    }

    /// Sets how long an item may take, from when its slot starts it. After that it is cancelled,
    /// its outcome is [`Failure::Timeout`](crate::Failure::Timeout), and it is not tried again.
    /// Default: no limit.
    ///
    /// Deadlines pass only while the outcomes are polled.
    #[must_use]
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.item_timeout = Some(timeout);
        self
    }

    /// Sets how many items may fail before no further item starts. Items that have started, or were
    /// sent ahead, still get outcomes. Items of the input that were not read do not. Default: no
    /// limit.
    #[must_use]
    pub fn max_failures(mut self, failures: usize) -> Self {
        self.max_failures = Some(failures);
        self
    }

    /// Sets how many bytes of outcomes may wait to be taken before no further item starts. Default:
    /// 64 MiB.
    ///
    /// The results of the items that have started then come in addition: one for each slot, and
    /// those of short items that were sent ahead, if these are expected to fit.
    #[must_use]
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes.max(1);
        self
    }

    /// Adds targets. Targets whose names are already in the pool are left out.
    pub fn add(&self, group: impl Into<Group<T>>) {
        let group = group.into();
        {
            let mut members = self.roster.members();
            let mut names: HashSet<_> = members.targets.iter().map(|(_, target)| target.name()).collect();
            for target in group.targets() {
                if names.insert(target.name()) {
                    members.version += 1;
                    let number = members.version;
                    members.targets.push((number, target.clone()));
                }
            }
        }
        self.roster.wake();
    }

    /// Removes a target, and returns whether it was there. It gets no further items, and finishes
    /// those that were sent to it.
    pub fn remove(&self, name: &T::Name) -> bool {
        let is_removed = {
            let mut members = self.roster.members();
            let before = members.targets.len();
            members.targets.retain(|(_, target)| target.name() != *name);
            let is_removed = members.targets.len() < before;
            members.version += u64::from(is_removed);
            is_removed
        };
        self.roster.wake();
        is_removed
    }

    /// Returns the names of the targets, in the order in which they were added. Those that were
    /// lost are among them.
    pub fn names(&self) -> Vec<T::Name> {
        self.roster.members().targets.iter().map(|(_, target)| target.name()).collect()
    }

    /// Runs the items of a stream, and returns their outcomes as they arrive.
    ///
    /// An item of the stream is the value to send and its size in bytes, or an error, which becomes
    /// the outcome of the item. `open` opens a slot: it gets a target that is connected and the
    /// slot's items, and returns a stream of what happens there, which ends after [`Step::Failed`]
    /// or [`Step::Lost`]. It is dropped when the slot is no longer needed, or has to be broken off.
    ///
    /// Nothing happens before the first poll.
    pub fn map<I, V, S>(
        &self,
        items: impl Stream<Item = Result<(I, usize), T::Error>> + Send + 'static,
        mut open: impl FnMut(T, Feed<I>) -> S + Send + 'static,
    ) -> PoolRun<T, I, V>
    where
        I: Clone + Send + 'static,
        V: Send + 'static,
        S: Stream<Item = Step<V, T::Error>> + Send + 'static,
    {
        let open = move |target, feed| -> BoxStream<'static, _> { Box::pin(open(target, feed)) };
        PoolRun::new(self.clone(), Box::pin(items), Box::new(open))
    }

    fn rules(&self) -> Rules {
        Rules {
            per_host: self.per_host,
            attempts: self.attempts,
            ahead: if self.attempts == 1 { 0 } else { self.ahead },
            order: crate::spread::Order::AsTheyFinish,
            failures: self.max_failures,
            buffered: self.max_buffered,
        }
    }
}

impl<T> Roster<T> {
    fn members(&self) -> MutexGuard<'_, Members<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a task to notify of changes, for as long as the returned value lives.
    fn follow(&self) -> Arc<AtomicWaker> {
        let waker = Arc::new(AtomicWaker::new());
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|run| run.strong_count() > 0);
        runs.push(Arc::downgrade(&waker));
        waker
    }

    fn wake(&self) {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().filter_map(Weak::upgrade).for_each(|run| run.wake());
    }
}

impl<T: Member> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { roster: self.roster.clone(), limits: self.limits.clone(), ..*self }
    }
}

impl<T: Member> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("hosts", &self.names())
            .field("per_host", &self.per_host)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl<I> Stream for Feed<I> {
    type Item = I;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<I>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

impl<I> fmt::Debug for Feed<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed")
    }
}

/// So many items of a microsecond take less time than the machine needs to let others run.
const AHEAD: usize = 500;
/// As much as a few results of the largest size that is common.
const BUFFERED: usize = 64 << 20;
