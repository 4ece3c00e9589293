//! The limits as a state machine, without time or futures: decides which target of a group starts next.

use std::{mem, ops::Range};

use crate::{
    limits::{Budget, Limits, Scope},
    turns::Turns,
};

/// The waiting and the running targets. Targets are the numbers from 0. Each passes through `next`,
/// `connected` and `finished`, in this order.
#[derive(Debug)]
pub(crate) struct Schedule {
    turns: Turns,
    budget: Option<(Budget, Scope)>,
    batch_len: usize,
    batch: Range<usize>,
    /// Targets of the current batch without an outcome.
    unfinished: usize,
    failures: usize,
    batch_failures: usize,
    is_stopped: bool,
    targets: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: usize,
    is_connecting: bool,
}

impl Schedule {
    /// Begins with one target for each of `keys`, none of which has started.
    pub(crate) fn new(limits: &Limits, keys: impl IntoIterator<Item = Option<String>>) -> Self {
        let mut turns = Turns::new(limits);
        let targets: Vec<_> =
            keys.into_iter().map(|key| Entry { key: turns.key(key), is_connecting: false }).collect();
        let total = targets.len();
        let mut schedule = Self {
            turns,
            budget: limits.failures,
            batch_len: limits.batch.map_or(total, |batch| batch.size(total)),
            batch: 0..0,
            unfinished: 0,
            failures: 0,
            batch_failures: 0,
            is_stopped: false,
            targets,
        };
        schedule.begin_batch();
        schedule
    }

    /// Returns the target that [`next`](Self::next) would.
    pub(crate) fn peek(&self) -> Option<usize> {
        if self.is_stopped { None } else { self.turns.peek() }
    }

    /// Returns the target that starts now, or `None` if none may.
    pub(crate) fn next(&mut self) -> Option<usize> {
        if self.is_stopped {
            return None;
        }
        let target = self.turns.next()?;
        self.targets[target].is_connecting = true;
        Some(target)
    }

    /// Records that a target is no longer connecting.
    pub(crate) fn connected(&mut self, target: usize) {
        let member = &mut self.targets[target];
        if mem::take(&mut member.is_connecting) {
            self.turns.connected(member.key);
        }
    }

    /// Records that a target has an outcome.
    pub(crate) fn finished(&mut self, target: usize, is_success: bool) {
        self.connected(target);
        self.turns.finished(self.targets[target].key);
        self.unfinished -= 1;
        if !is_success {
            self.failures += 1;
            self.batch_failures += 1;
        }
        self.is_stopped |= self.budget.is_some_and(|(budget, scope)| match scope {
            Scope::All => budget.is_passed(self.failures, self.targets.len()),
            Scope::Batch => budget.is_passed(self.batch_failures, self.batch.len()),
        });
        if self.unfinished == 0 {
            self.begin_batch();
        }
    }

    /// Returns whether nothing is running and nothing else will start.
    pub(crate) fn is_over(&self) -> bool {
        self.turns.is_idle() && (self.is_stopped || self.unfinished == 0)
    }

    fn begin_batch(&mut self) {
        let start = self.batch.end;
        self.batch = start..start.saturating_add(self.batch_len).min(self.targets.len());
        self.unfinished = self.batch.len();
        self.batch_failures = 0;
        for target in self.batch.clone() {
            self.turns.wait(self.targets[target].key, target as u64, target);
        }
    }
}

#[cfg(test)]
mod tests;
