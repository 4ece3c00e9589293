//! Limits how many members run and connect at once, overall and for each key, and decides whose turn is next.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::limits::Limits;

/// The waiting members, and how many have their turn.
#[derive(Debug)]
pub(crate) struct Turns {
    caps: Caps,
    running: usize,
    connecting: usize,
    /// The first is for members without a key, which has no limits.
    keys: Vec<Key>,
    numbers: HashMap<String, usize>,
    /// The first waiting member of each free key: its place in the order, and the number of the
    /// key. So the next member is found without a search.
    ready: BTreeSet<(u64, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Caps {
    running: usize,
    connecting: usize,
    running_per_key: usize,
    connecting_per_key: usize,
}

#[derive(Debug, Default)]
struct Key {
    /// Places in the order, which grow, and their members.
    waiting: VecDeque<(u64, usize)>,
    running: usize,
    connecting: usize,
}

impl Turns {
    pub(crate) fn new(limits: &Limits) -> Self {
        let caps = Caps {
            running: limits.running,
            connecting: limits.connecting,
            running_per_key: limits.running_per_key,
            connecting_per_key: limits.connecting_per_key,
        };
        Self {
            caps,
            running: 0,
            connecting: 0,
            keys: vec![Key::default()],
            numbers: HashMap::new(),
            ready: BTreeSet::new(),
        }
    }

    /// Returns the number of a key.
    pub(crate) fn key(&mut self, key: Option<String>) -> usize {
        let Some(key) = key else { return 0 };
        *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(Key::default());
            self.keys.len() - 1
        })
    }

    /// Lets `who` wait, behind all waiting members of this key. Among keys, the smaller `place`
    /// goes first.
    pub(crate) fn wait(&mut self, key: usize, place: u64, who: usize) {
        self.keys[key].waiting.push_back((place, who));
        self.offer(key);
    }

    /// Returns the member whose turn it would be.
    pub(crate) fn peek(&self) -> Option<usize> {
        if !self.is_open() {
            return None;
        }
        let (_, number) = self.ready.first()?;
        self.keys[*number].waiting.front().map(|(_, who)| *who)
    }

    /// Returns the member whose turn it is, which counts as running and connecting from now on, or `None` if none is waiting or none may start.
    pub(crate) fn next(&mut self) -> Option<usize> {
        if !self.is_open() {
            return None;
        }
        let (_, number) = self.ready.pop_first()?;
        let key = &mut self.keys[number];
        let (_, who) = key.waiting.pop_front()?;
        key.running += 1;
        key.connecting += 1;
        self.running += 1;
        self.connecting += 1;
        self.offer(number);
        Some(who)
    }

    /// Records that a member of `key` is no longer connecting.
    pub(crate) fn connected(&mut self, key: usize) {
        self.connecting -= 1;
        self.keys[key].connecting -= 1;
        self.offer(key);
    }

    /// Records that a member of `key`, which is not connecting, is no longer running.
    pub(crate) fn finished(&mut self, key: usize) {
        self.running -= 1;
        self.keys[key].running -= 1;
        self.offer(key);
    }

    /// Returns whether no member is running.
    pub(crate) fn is_idle(&self) -> bool {
        self.running == 0
    }

    fn is_open(&self) -> bool {
        self.running < self.caps.running && self.connecting < self.caps.connecting
    }

    /// Allows the first waiting member of a key to start, if the key is free.
    fn offer(&mut self, number: usize) {
        let key = &self.keys[number];
        let is_free = number == 0
            || key.running < self.caps.running_per_key && key.connecting < self.caps.connecting_per_key;
        if let Some(&(place, _)) = key.waiting.front()
            && is_free
        {
            self.ready.insert((place, number));
        }
    }
}
