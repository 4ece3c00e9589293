//! The outcomes of many targets.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    error::Error as StdError,
    fmt,
    hash::Hash,
    ops::Index,
    slice, vec,
};

use crate::failure::{Failure, Outcome};

/// The outcomes of all targets by name, in the order of the group.
///
/// Every target has an entry, whether it has succeeded or not.
#[derive(Clone)]
pub struct GroupResult<N, V, E> {
    entries: Vec<(N, Outcome<V, E>)>,
    places: HashMap<N, usize>,
}

/// The targets that have failed, with their failures.
///
/// It is displayed as a line such as `2/10 hosts had failures`, followed by a line for each failure.
#[derive(Clone)]
pub struct Failures<N, E> {
    failures: Vec<(N, Failure<E>)>,
    total: usize,
}

impl<N: Clone + Eq + Hash, V, E> GroupResult<N, V, E> {
    /// Collects outcomes. If several have the same name, the last one counts.
    pub(crate) fn new(entries: impl IntoIterator<Item = (N, Outcome<V, E>)>) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        let places = entries.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        Self { entries, places }
    }

    /// Returns the number of targets.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there were no targets.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the outcome of the target called `name`, or `None` if there was none.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> Option<&Outcome<V, E>>
    where
        N: Borrow<Q>,
    {
        self.places.get(name).map(|at| &self.entries[*at].1)
    }

    /// Returns names and outcomes, in the order of the group.
    pub fn iter(&self) -> slice::Iter<'_, (N, Outcome<V, E>)> {
        self.entries.iter()
    }

    /// Returns the values of the targets that have succeeded.
    pub fn successful(&self) -> impl Iterator<Item = (&N, &V)> {
        self.iter().filter_map(|(name, outcome)| Some((name, outcome.as_ref().ok()?)))
    }

    /// Returns the failures of the targets that have failed.
    pub fn failures(&self) -> impl Iterator<Item = (&N, &Failure<E>)> {
        self.iter().filter_map(|(name, outcome)| Some((name, outcome.as_ref().err()?)))
    }

    /// Returns whether every target has succeeded; also `true` if there was no target.
    pub fn all_ok(&self) -> bool {
        self.entries.iter().all(|(_, outcome)| outcome.is_ok())
    }

    /// Returns a result that borrows names, values and failures from this one, so that one that is shared can be
    /// [split](Self::split), mapped or sorted without a copy of its values.
    ///
    /// ```
    /// # fn example(result: std::sync::Arc<chopsticks_group::GroupResult<String, u32, std::io::Error>>) {
    /// let (values, failures) = result.borrowed().split();
    /// # }
    /// ```
    pub fn borrowed(&self) -> GroupResult<&N, &V, &E> {
        GroupResult::new(
            self.iter().map(|(name, outcome)| (name, outcome.as_ref().map_err(Failure::borrowed))),
        )
    }

    /// Returns all values, unless a target has failed.
    ///
    /// # Errors
    ///
    /// [`Failures`] with all targets that have failed. Use [`split`](Self::split) to keep the values of the others.
    pub fn raise_failures(self) -> Result<Vec<(N, V)>, Failures<N, E>> {
        let (values, failures) = self.split();
        if failures.is_empty() { Ok(values) } else { Err(failures) }
    }

    /// Returns the values of the targets that have succeeded, and the failures of the others.
    pub fn split(self) -> (Vec<(N, V)>, Failures<N, E>) {
        let total = self.len();
        let mut values = Vec::with_capacity(total);
        let mut failures = Vec::new();
        for (name, outcome) in self {
            match outcome {
                Ok(value) => values.push((name, value)),
                Err(failure) => failures.push((name, failure)),
            }
        }
        (values, Failures { failures, total })
    }

    /// Converts each value into another one, or into a failure.
    pub fn and_then<U>(self, mut convert: impl FnMut(&N, V) -> Result<U, E>) -> GroupResult<N, U, E> {
        GroupResult::new(self.into_iter().map(|(name, outcome)| {
            let outcome = outcome.and_then(|value| convert(&name, value).map_err(Failure::Operation));
            (name, outcome)
        }))
    }

    /// Converts each value into another one.
    pub fn map<U>(self, mut convert: impl FnMut(V) -> U) -> GroupResult<N, U, E> {
        self.and_then(|_, value| Ok(convert(value)))
    }

    /// Returns each distinct value with the targets that have it, the most frequent value first.
    ///
    /// Failures are left out.
    pub fn folded(&self) -> Vec<(&V, Vec<&N>)>
    where
        V: PartialEq,
    {
        let mut folded: Vec<(&V, Vec<&N>)> = Vec::new();
        for (name, value) in self.successful() {
            match folded.iter_mut().find(|(other, _)| *other == value) {
                Some((_, names)) => names.push(name),
                None => folded.push((value, vec![name])),
            }
        }
        folded.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
        folded
    }

    /// Returns the outcomes as an unordered map by name.
    pub fn into_map(self) -> HashMap<N, Outcome<V, E>> {
        self.into_iter().collect()
    }

    /// Returns the outcomes as a map that is sorted by name.
    pub fn into_sorted_map(self) -> BTreeMap<N, Outcome<V, E>>
    where
        N: Ord,
    {
        self.into_iter().collect()
    }
}

impl<N, V, E> IntoIterator for GroupResult<N, V, E> {
    type Item = (N, Outcome<V, E>);
    type IntoIter = vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, N, V, E> IntoIterator for &'a GroupResult<N, V, E> {
    type Item = &'a (N, Outcome<V, E>);
    type IntoIter = slice::Iter<'a, (N, Outcome<V, E>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

/// # Panics
///
/// If no target has this name, as with a [`HashMap`].
impl<Q: Eq + Hash + ?Sized, N: Borrow<Q> + Clone + Eq + Hash, V, E> Index<&Q> for GroupResult<N, V, E> {
    type Output = Outcome<V, E>;

    fn index(&self, name: &Q) -> &Self::Output {
        self.get(name).expect("the group has no target of this name")
    }
}

impl<N: fmt::Debug, V: fmt::Debug, E: fmt::Debug> fmt::Debug for GroupResult<N, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|(name, outcome)| (name, outcome))).finish()
    }
}

impl<N, E> Failures<N, E> {
    /// Returns whether no target has failed.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Returns the number of targets that have failed.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Returns the number of all targets, including those that have succeeded.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns names and failures, in the order of the group.
    pub fn iter(&self) -> slice::Iter<'_, (N, Failure<E>)> {
        self.failures.iter()
    }
}

impl<N, E> IntoIterator for Failures<N, E> {
    type Item = (N, Failure<E>);
    type IntoIter = vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.failures.into_iter()
    }
}

impl<N: fmt::Display, E: fmt::Display> fmt::Display for Failures<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} hosts had failures", self.len(), self.total)?;
        for (name, failure) in &self.failures {
            let text = failure.to_string();
            // An error that begins with the name of its host is not given it twice.
            if text.starts_with(&format!("{name}: ")) {
                write!(f, "\n  {text}")?;
            } else {
                write!(f, "\n  {name}: {text}")?;
            }
        }
        Ok(())
    }
}

/// The same text as with `Display`, because a `main` that returns this error prints it with `Debug`.
impl<N: fmt::Display, E: fmt::Display> fmt::Debug for Failures<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<N: fmt::Display, E: StdError> StdError for Failures<N, E> {}
