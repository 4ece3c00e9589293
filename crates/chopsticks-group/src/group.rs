//! Sets of targets.

use std::{collections::HashSet, fmt, sync::Arc};

use futures::{Stream, future::BoxFuture, stream::BoxStream};
use thiserror::Error;

use crate::{limits::Limits, member::Member, result::GroupResult, run::Run, streams::Streams};

mod set;

/// An ordered set of targets with distinct names, on which operations run in parallel.
///
/// Creating a group connects nothing. Clones are cheap.
///
/// Groups are sets whose members are compared by name: see [`union`](Self::union) and the other set operations, which exist as operators too. If a
/// target is in both groups, it comes from the left one. The limits come from the left group too.
pub struct Group<T> {
    targets: Arc<[T]>,
    limits: Arc<Limits>,
}

/// Error for targets with the same name, which would have the same key in the results.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("targets have the same name: {}", list(names))]
pub struct DuplicateNames<N: fmt::Display + fmt::Debug> {
    names: Vec<(N, usize)>,
}

impl<T: Member> Group<T> {
    /// Creates a group.
    ///
    /// # Errors
    ///
    /// [`DuplicateNames`] if targets have the same name.
    pub fn new(targets: impl IntoIterator<Item = T>) -> Result<Self, DuplicateNames<T::Name>> {
        let targets: Vec<T> = targets.into_iter().collect();
        let mut seen = HashSet::with_capacity(targets.len());
        if targets.iter().all(|target| seen.insert(target.name())) {
            return Ok(Self::of(targets, Arc::default()));
        }
        Err(DuplicateNames::among(&targets))
    }

    /// Sets the limits, which apply to each operation on the group separately.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Arc::new(limits);
        self
    }

    pub(crate) fn current_limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the number of targets.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Returns whether the group has no targets.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Returns the targets in order.
    pub fn targets(&self) -> &[T] {
        &self.targets
    }

    /// Returns the names in order.
    pub fn names(&self) -> impl Iterator<Item = T::Name> {
        self.targets.iter().map(Member::name)
    }

    /// Runs an operation on all targets in parallel, within the limits, and returns a stream of their outcomes, each as its target finishes.
    ///
    /// `operation` is called when a target starts. Nothing happens before the first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropping the [`Run`] drops the operations that are running, and starts no others.
    pub fn each<'a, V, F>(&self, mut operation: impl FnMut(T) -> F + Send + 'a) -> Run<'a, T, V>
    where
        F: Future<Output = Result<V, T::Error>> + Send + 'a,
    {
        let operation = move |target| -> BoxFuture<'a, _> { Box::pin(operation(target)) };
        Run::new(self.clone(), self.limits.clone(), Box::new(operation))
    }

    /// Runs an operation on all targets in parallel, within the limits, and returns the outcomes in the group's order.
    ///
    /// It never fails as a whole: each target has an outcome of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the operations that are running, and all results. Use [`each`](Self::each) to keep the results of targets that have finished.
    pub async fn run<V, F>(&self, operation: impl FnMut(T) -> F + Send) -> GroupResult<T::Name, V, T::Error>
    where
        F: Future<Output = Result<V, T::Error>> + Send,
        V: Send,
    {
        self.each(operation).join().await
    }

    /// Opens a stream for each target, and returns the items of all streams as they arrive, with
    /// the names of their targets.
    ///
    /// The targets connect first, within the limits; a target that cannot be connected has its failure as the only item. `open` is then called, and neither
    /// deadlines nor budgets apply to the streams, which may be endless. A stream is polled only
    /// when the returned one is polled, so it pauses while its items are not taken.
    ///
    /// # Cancel safety
    ///
    /// Dropping the [`Streams`] drops the streams of all targets.
    pub fn streams<'a, V, S>(&self, mut open: impl FnMut(T) -> S + Send + 'a) -> Streams<'a, T, V>
    where
        S: Stream<Item = Result<V, T::Error>> + Send + 'a,
        V: Send + 'a,
    {
        let limits = self.limits.for_connecting();
        let connecting = self.clone().limits(limits).each(|target| async move {
            target.connect().await?;
            Ok(target)
        });
        let open = move |target| -> BoxStream<'a, _> { Box::pin(open(target)) };
        Streams::new(connecting, Box::new(open))
    }

    /// Connects all targets.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub async fn connect(&self) -> GroupResult<T::Name, (), T::Error> {
        self.run(|target| async move { target.connect().await }).await
    }

    /// Disconnects all targets at once. Of the limits only the deadlines apply.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub async fn close(&self) -> GroupResult<T::Name, (), T::Error> {
        let limits = Limits {
            target_timeout: self.limits.target_timeout,
            timeout: self.limits.timeout,
            ..Limits::unlimited()
        };
        let group = self.clone().limits(limits);
        group.each(|target| async move { target.close().await }).without_room().join().await
    }

    /// Returns the targets for which `keep` is true, as a group with the same limits.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Self {
        let targets = self.targets.iter().filter(|target| keep(target)).cloned();
        Self::of(targets.collect(), self.limits.clone())
    }

    /// Returns the targets that have failed in `result`, as a group with the same limits, so that they can be tried again.
    #[must_use]
    pub fn failed<V, E>(&self, result: &GroupResult<T::Name, V, E>) -> Self {
        self.retain(|target| result.get(&target.name()).is_some_and(Result::is_err))
    }

    /// Returns the targets that have succeeded in `result`, as a group with the same limits.
    #[must_use]
    pub fn succeeded<V, E>(&self, result: &GroupResult<T::Name, V, E>) -> Self {
        self.retain(|target| result.get(&target.name()).is_some_and(Result::is_ok))
    }

    /// Creates a group of targets whose names are known to be distinct.
    fn of(targets: Vec<T>, limits: Arc<Limits>) -> Self {
        Self { targets: targets.into(), limits }
    }
}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Self {
        Self { targets: self.targets.clone(), limits: self.limits.clone() }
    }
}

impl<T: Member> Default for Group<T> {
    fn default() -> Self {
        Self::of(Vec::new(), Arc::default())
    }
}

/// Creates a group of one.
impl<T: Member> From<T> for Group<T> {
    fn from(target: T) -> Self {
        Self::of(vec![target], Arc::default())
    }
}

impl<T: Member> From<&T> for Group<T> {
    fn from(target: &T) -> Self {
        Self::from(target.clone())
    }
}

impl<T> From<&Group<T>> for Group<T> {
    fn from(group: &Group<T>) -> Self {
        group.clone()
    }
}

impl<T: Member> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group")?;
        f.debug_list().entries(self.names()).finish()
    }
}

/// Writes the names, separated by commas. Of more than ten, it writes the first ones and the number
/// of the others.
impl<T: Member> fmt::Display for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.len() <= NAMES_SHOWN { self.len() } else { NAMES_SHOWN - 1 };
        for (at, name) in self.names().take(shown).enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        match self.len() - shown {
            0 if shown == 0 => f.write_str("no host"),
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl<N: fmt::Display + fmt::Debug + Clone + Ord> DuplicateNames<N> {
    /// Returns the names that several targets have, with their number.
    pub fn names(&self) -> &[(N, usize)] {
        &self.names
    }

    fn among<T: Member<Name = N>>(targets: &[T]) -> Self {
        let mut counts = std::collections::BTreeMap::new();
        for target in targets {
            *counts.entry(target.name()).or_insert(0_usize) += 1;
        }
        Self { names: counts.into_iter().filter(|(_, count)| *count > 1).collect() }
    }
}

fn list(names: &[(impl fmt::Display, usize)]) -> String {
    let names: Vec<_> = names.iter().map(|(name, count)| format!("'{name}' ({count} times)")).collect();
    names.join(", ")
}

/// As many names as fit into a line.
const NAMES_SHOWN: usize = 10;
