//! A line of operations for each target.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::task::AtomicWaker;

use self::{
    drive::Drive,
    job::{Job, Settle, Work},
    promise::Collect,
};
use crate::{
    failure::Outcome,
    group::Group,
    limits::Limits,
    member::Member,
    result::GroupResult,
    timeline::{Record, Timeline},
    turns::Turns,
};

pub use self::promise::{AsyncResult, NotCompleted};

mod drive;
mod job;
mod promise;

/// Operations on targets. Each target performs its own operations in the order in which they were added, and never waits for another target.
///
/// A [`Group`] runs one operation on all targets and waits for the slowest one. A queue keeps every target busy until its line is empty.
/// Adding an operation starts nothing; [`run`](Self::run) does. Operations can be added while the queue runs, for instance by callbacks of results.
///
/// A failure affects only its own operation, and the operations behind it are still performed. But if a target cannot be reached
/// ([`Member::is_unreachable`]), all operations that wait in its line fail with the same error. Other lines are not affected.
///
/// Targets are identified by their names. Clones are cheap, and are handles of the same queue.
pub struct Queue<T: Member> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: Member> {
    limits: Limits,
    /// Never held while foreign code runs, because that may add operations.
    state: Mutex<State<T>>,
    /// Notifies the task that runs the queue of operations that were added.
    runner: AtomicWaker,
    /// Held by the task that runs the queue.
    run: futures::lock::Mutex<()>,
}

struct State<T: Member> {
    turns: Turns,
    lines: Vec<Line<T>>,
    places: HashMap<T::Name, usize>,
    /// How many times a line has begun to wait for its turn.
    waits: u64,
    record: Record<T::Name>,
}

/// The operations of one target.
struct Line<T: Member> {
    name: T::Name,
    key: usize,
    waiting: VecDeque<Work<T>>,
    /// Whether the line waits for its turn, or has it.
    is_active: bool,
}

impl<T: Member> Queue<T> {
    /// Creates a queue with the default limits.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Creates a queue.
    ///
    /// [`Limits::target_timeout`] applies to each operation and [`Limits::timeout`] to each [`run`](Self::run). Batches and budgets are ignored.
    pub fn with_limits(limits: Limits) -> Self {
        let state = State {
            turns: Turns::new(&limits),
            lines: Vec::new(),
            places: HashMap::new(),
            waits: 0,
            record: Record::default(),
        };
        let state = Mutex::new(state);
        let shared = Shared { limits, state, runner: AtomicWaker::new(), run: futures::lock::Mutex::new(()) };
        Self { shared: Arc::new(shared) }
    }

    /// Adds an operation to the line of one target. `label` is what the [`timeline`](Self::timeline) calls it.
    pub fn push<V, F>(
        &self,
        target: &T,
        label: &str,
        operation: impl FnOnce(T) -> F + Send + 'static,
    ) -> AsyncResult<Outcome<V, T::Error>>
    where
        V: Send + Sync + 'static,
        F: Future<Output = Result<V, T::Error>> + Send + 'static,
    {
        let result = AsyncResult::new();
        let settle = result.clone();
        let job = Job::new(operation, Settle::new(move |outcome| settle.settle(outcome)));
        self.add(Work::new(target.clone(), label.into(), job));
        result
    }

    /// Adds an operation to the line of each target of a group.
    ///
    /// The result has its value when all targets have finished. The limits of the group are not used.
    pub fn each<V, F>(
        &self,
        group: &Group<T>,
        label: &str,
        operation: impl Fn(T) -> F + Clone + Send + 'static,
    ) -> AsyncResult<GroupResult<T::Name, V, T::Error>>
    where
        V: Send + Sync + 'static,
        F: Future<Output = Result<V, T::Error>> + Send + 'static,
    {
        let result = AsyncResult::new();
        let label: Arc<str> = label.into();
        let collect = Collect::new(group.names().collect(), result.clone());
        for (at, target) in group.targets().iter().enumerate() {
            let collect = collect.clone();
            let settle = Settle::new(move |outcome| collect.settle(at, outcome));
            let job = Job::new(operation.clone(), settle);
            self.add(Work::new(target.clone(), label.clone(), job));
        }
        result
    }

    /// Runs all operations, including those that are added in the meantime, until every line is empty.
    ///
    /// If another call is running the queue already, this one waits for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the operations that are running; their results are [`Failure::Dropped`](crate::Failure::Dropped). Operations that
    /// have not started stay in the queue.
    pub async fn run(&self) {
        let _run = self.shared.run.lock().await;
        let mut drive = Drive::new(&self.shared);
        poll_fn(|context| drive.poll(context)).await;
    }

    /// Returns the number of operations that have not started.
    pub fn len(&self) -> usize {
        self.shared.state().lines.iter().map(|line| line.waiting.len()).sum()
    }

    /// Returns whether every operation has started.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what each target has done so far, and when.
    pub fn timeline(&self) -> Timeline<T::Name> {
        self.shared.state().record.timeline()
    }

    fn add(&self, work: Work<T>) {
        self.shared.state().add(work);
        self.shared.runner.wake();
    }
}

impl<T: Member> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Member> State<T> {
    fn add(&mut self, work: Work<T>) {
        let name = work.target.name();
        let at = match self.places.get(&name) {
            Some(at) => *at,
            None => {
                let key = self.turns.key(work.target.key());
                let line = Line { name: name.clone(), key, waiting: VecDeque::new(), is_active: false };
                self.lines.push(line);
                self.places.insert(name, self.lines.len() - 1);
                self.lines.len() - 1
            }
        };
        self.lines[at].waiting.push_back(work);
        self.activate(at);
    }

    /// Lets a line wait for its turn, if it has work and is not active.
    fn activate(&mut self, at: usize) {
        let line = &mut self.lines[at];
        if !line.is_active && !line.waiting.is_empty() {
            line.is_active = true;
            self.waits += 1;
            self.turns.wait(line.key, self.waits, at);
        }
    }
}

impl<T: Member> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T: Member> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Member> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.len()).finish_non_exhaustive()
    }
}
