//! The schedule against the words of [`Limits`].

use std::{collections::BTreeSet, num::NonZeroUsize};

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::limits::Batch;

#[derive(Clone, Debug)]
struct Case {
    keys: Vec<Option<u8>>,
    limits: Limits,
    /// What happens next: which of those that run, whether it only gets connected, whether it succeeds.
    moves: Vec<(Index, bool, bool)>,
}

fn batch() -> impl Strategy<Value = Option<Batch>> {
    prop_oneof![
        Just(None),
        (1..9_usize).prop_map(|count| NonZeroUsize::new(count).map(Batch::Count)),
        (0.0..100.0).prop_map(|percent| Some(Batch::Percent(percent))),
    ]
}

fn budget() -> impl Strategy<Value = Option<(Budget, Scope)>> {
    let budget = prop_oneof![(0..6_usize).prop_map(Budget::Count), (0.0..=100.0).prop_map(Budget::Percent)];
    let scope = prop_oneof![Just(Scope::All), Just(Scope::Batch)];
    prop_oneof![Just(None), (budget, scope).prop_map(Some)]
}

fn limits() -> impl Strategy<Value = Limits> {
    let cap = || prop_oneof![Just(usize::MAX), 1..5_usize];
    (cap(), cap(), cap(), cap(), batch(), budget()).prop_map(|(a, b, c, d, batch, failures)| {
        let limits = Limits::default().max_connecting(a).max_running(b);
        let limits = limits.max_connecting_per_key(c).max_running_per_key(d).batch(batch);
        match failures {
            Some((budget, scope)) => limits.max_failures(budget, scope),
            None => limits,
        }
    })
}

fn case() -> impl Strategy<Value = Case> {
    let key = prop_oneof![Just(None), (0..3_u8).prop_map(Some)];
    let moves = prop::collection::vec((any::<Index>(), any::<bool>(), prop::bool::weighted(0.7)), 120);
    (prop::collection::vec(key, 0..30), limits(), moves).prop_map(|(keys, limits, moves)| Case {
        keys,
        limits,
        moves,
    })
}

/// What the documentation says, computed anew at each question from everything that has happened.
struct Spec<'a> {
    case: &'a Case,
    started: Vec<usize>,
    connecting: BTreeSet<usize>,
    running: BTreeSet<usize>,
    outcomes: Vec<(usize, bool)>,
}

impl Spec<'_> {
    fn batch_of(&self, target: usize) -> usize {
        let total = self.case.keys.len();
        target / self.case.limits.batch.map_or(total, |batch| batch.size(total)).max(1)
    }

    fn failures_in(&self, batch: usize) -> usize {
        self.outcomes.iter().filter(|(target, success)| !success && self.batch_of(*target) == batch).count()
    }

    fn is_stopped(&self) -> bool {
        let total = self.case.keys.len();
        match self.case.limits.failures {
            None => false,
            Some((budget, Scope::All)) => {
                let failures = self.outcomes.iter().filter(|(_, success)| !success).count();
                budget.is_passed(failures, total)
            }
            Some((budget, Scope::Batch)) => (0..total).any(|target| {
                let batch = self.batch_of(target);
                let size = (0..total).filter(|other| self.batch_of(*other) == batch).count();
                budget.is_passed(self.failures_in(batch), size)
            }),
        }
    }

    fn may_start(&self, target: usize) -> bool {
        let Case { keys, limits, .. } = self.case;
        let of_key = |targets: &BTreeSet<usize>| targets.iter().filter(|t| keys[**t] == keys[target]).count();
        let has_outcome = |other: usize| self.outcomes.iter().any(|(t, _)| *t == other);
        !self.is_stopped()
            && !self.started.contains(&target)
            && self.running.len() < limits.running
            && self.connecting.len() < limits.connecting
            && (keys[target].is_none()
                || of_key(&self.running) < limits.running_per_key
                    && of_key(&self.connecting) < limits.connecting_per_key)
            && (0..keys.len()).all(|t| self.batch_of(t) >= self.batch_of(target) || has_outcome(t))
    }

    fn next(&self) -> Option<usize> {
        (0..self.case.keys.len()).find(|target| self.may_start(*target))
    }
}

proptest! {
    #[test]
    fn schedule_does_what_limits_say(case in case()) {
        let keys = case.keys.iter().map(|key| key.map(|key| key.to_string()));
        let mut schedule = Schedule::new(&case.limits, keys);
        let mut spec = Spec {
            case: &case, started: Vec::new(), connecting: BTreeSet::new(), running: BTreeSet::new(), outcomes: Vec::new(),
        };
        for (which, only_connects, success) in &case.moves {
            loop {
                let expected = spec.next();
                prop_assert_eq!(schedule.next(), expected);
                let Some(target) = expected else { break };
                spec.started.push(target);
                spec.running.insert(target);
                spec.connecting.insert(target);
            }
            prop_assert_eq!(schedule.is_over(), spec.running.is_empty());
            if spec.running.is_empty() {
                break;
            }
            let target = *which.get(&spec.running.iter().copied().collect::<Vec<_>>());
            spec.connecting.remove(&target);
            if *only_connects {
                schedule.connected(target);
            } else {
                spec.running.remove(&target);
                spec.outcomes.push((target, *success));
                schedule.finished(target, *success);
            }
        }
    }
}

#[test]
fn nothing_is_over_at_once() {
    let mut schedule = Schedule::new(&Limits::default(), []);
    assert!(schedule.is_over());
    assert_eq!(schedule.next(), None);
}
