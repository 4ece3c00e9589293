//! Keys of dicts and members of sets that a host has chosen.

use std::collections::HashMap;

use pyo3::{
    prelude::*,
    types::{PyBytes, PyString, PyTuple},
};

use super::Refusal;

/// Refuses keys that would take long to hash or to tell apart.
///
/// Python hashes and compares them in C, and no other thread of Python gets on meanwhile. The hashes of text and bytes are random, so that nobody can choose them;
/// those of numbers, and of tuples and frozensets of these, are the same in every process. Tuples are hashed anew each time, with all tuples in them.
pub(crate) struct Keys {
    /// How many parts of tuples may be hashed. More than bytes that came is only what is referred to again and again.
    parts: usize,
    /// How many comparisons may be made of keys with one hash.
    comparisons: usize,
}

impl Keys {
    /// Creates the budget of a buffer.
    pub(crate) fn new(len: usize) -> Self {
        Self { parts: (1 << 16) + len, comparisons: (1 << 20) + len.saturating_mul(4) }
    }

    /// Checks the keys of one dict, or the members of one set, before it is made.
    pub(crate) fn check<'a, 'py: 'a>(
        &mut self,
        keys: impl Iterator<Item = &'a Bound<'py, PyAny>>,
    ) -> Result<(), Refusal> {
        // Parts of each hash that can be chosen, and how many keys have it.
        let mut seen: HashMap<isize, (usize, usize)> = HashMap::new();
        for key in keys {
            if key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyBytes>() {
                continue;
            }
            let parts = self.parts_of(key)?;
            let (count, size) = seen.entry(key.hash()?).or_default();
            // Each of those that are there is compared with this one.
            let more = count.saturating_mul(parts.min(*size));
            self.comparisons = self.comparisons.checked_sub(more).ok_or_else(too_alike)?;
            (*count, *size) = (*count + 1, (*size).max(parts));
        }
        Ok(())
    }

    /// Returns how many objects are hashed for a key.
    fn parts_of(&mut self, key: &Bound<'_, PyAny>) -> Result<usize, Refusal> {
        if !key.is_exact_instance_of::<PyTuple>() {
            // A frozenset knows its hash, and its members were checked when it was made. To compare it takes its length.
            return Ok(key.len().unwrap_or(0) + 1);
        }
        let mut parts = 1;
        let mut left = vec![key.clone()];
        while let Some(tuple) = left.pop() {
            let tuple = tuple.cast_into::<PyTuple>().map_err(PyErr::from)?;
            self.parts = self.parts.checked_sub(tuple.len()).ok_or_else(too_large)?;
            parts += tuple.len();
            left.extend(tuple.iter().filter(|item| item.is_exact_instance_of::<PyTuple>()));
        }
        Ok(parts)
    }
}

fn too_large() -> Refusal {
    Refusal::Unfit("keys that share too many parts".to_owned())
}

fn too_alike() -> Refusal {
    Refusal::Unfit("too many keys with the same hash".to_owned())
}
