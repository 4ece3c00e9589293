//! The items of a pool as a state machine, without time or futures: decides which target gets which
//! item.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::failure::{Failure, NotStarted, Outcome, Stage};

use self::pace::Pace;

mod pace;

/// The items that were read and whose outcomes have not been taken, and who has them.
///
/// Hosts and slots are the numbers from 0. A host has the slots that [`ready`](Self::ready) gives
/// it, each of which runs its items in the order in which they were given. `P` is an item as it is
/// sent.
#[derive(Debug)]
pub(crate) struct Spread<P, V, E> {
    rules: Rules,
    hosts: Vec<Host>,
    slots: Vec<Slot<P, E>>,
    /// The slots that may get an item: how many they have, and their number.
    free: BTreeSet<(usize, usize)>,
    /// Items that have to be given once more.
    back: BTreeMap<u64, Item<P, E>>,
    /// How many of them may have been performed in part.
    suspects: usize,
    /// How many items were read.
    read: u64,
    is_read: bool,
    /// How many items are in lines.
    under_way: usize,
    failures: usize,
    is_stopped: bool,
    settled: BTreeMap<u64, Settled<V, E>>,
    /// The sum of the sizes in `settled`.
    buffered: usize,
    /// The size of a result, on average.
    result_len: Option<f64>,
    /// The key in `settled` of the next one, if they are taken in order, or else of the last one.
    turn: u64,
}

/// What does not change.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) per_host: usize,
    pub(crate) attempts: u32,
    /// How many items a slot may have beside the one that it performs.
    pub(crate) ahead: usize,
    pub(crate) order: Order,
    /// How many items may fail before no more are read.
    pub(crate) failures: Option<usize>,
    /// How many bytes of outcomes may wait to be taken before no further item is given.
    pub(crate) buffered: usize,
}

/// The order in which outcomes are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    AsTheyFinish,
    /// As the items were read, of which so many may be without an outcome that was taken.
    AsTheyWereRead {
        window: usize,
    },
}

/// The outcome of an item.
#[derive(Debug)]
pub(crate) struct Settled<V, E> {
    /// Its number, from 0.
    pub(crate) index: u64,
    /// The host that had it last, if a host had it.
    pub(crate) host: Option<usize>,
    /// How many times it was given to a host that has run it, or may have.
    pub(crate) attempts: u32,
    pub(crate) outcome: Outcome<V, E>,
    /// Its size in bytes.
    len: usize,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Want {
    /// [`give_again`](Spread::give_again) has an item.
    Again,
    /// The next item of the input is needed.
    Input,
    Nothing,
}

/// Whether a host that was lost may be used again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// After it has been connected.
    Again,
    Out,
}

#[derive(Debug)]
struct Host {
    /// It gets items, or will get them once it is connected.
    is_in: bool,
    is_ready: bool,
    slots: Vec<usize>,
    /// How many times it was lost since it has last performed an item.
    strikes: u32,
}

#[derive(Debug)]
struct Slot<P, E> {
    host: usize,
    line: VecDeque<Item<P, E>>,
    /// The sum of the sizes in `line`.
    len: usize,
    pace: Pace,
}

#[derive(Debug)]
struct Item<P, E> {
    index: u64,
    payload: P,
    len: usize,
    attempts: u32,
    /// The host that may have performed it in part, and the error if that was lost.
    lost: Option<(usize, Option<E>)>,
}

impl<P: Clone, V, E: Clone> Spread<P, V, E> {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            hosts: Vec::new(),
            slots: Vec::new(),
            free: BTreeSet::new(),
            back: BTreeMap::new(),
            suspects: 0,
            read: 0,
            is_read: false,
            under_way: 0,
            failures: 0,
            is_stopped: false,
            settled: BTreeMap::new(),
            buffered: 0,
            result_len: None,
            turn: 0,
        }
    }

    /// Adds a host, which is being connected, and returns its number.
    pub(crate) fn add(&mut self) -> usize {
        self.hosts.push(Host { is_in: true, is_ready: false, slots: Vec::new(), strikes: 0 });
        self.hosts.len() - 1
    }

    /// Records that a host is connected.
    pub(crate) fn ready(&mut self, host: usize) {
        if !self.hosts[host].is_in {
            return;
        }
        self.hosts[host].is_ready = true;
        while self.hosts[host].slots.len() < self.rules.per_host {
            self.hosts[host].slots.push(self.slots.len());
            self.slots.push(Slot { host, line: VecDeque::new(), len: 0, pace: Pace::default() });
        }
        for slot in self.hosts[host].slots.clone() {
            self.offer(slot);
        }
    }

    /// Gives a host no more items. Those that it has go on.
    pub(crate) fn remove(&mut self, host: usize) {
        self.hosts[host].is_in = false;
        self.hosts[host].is_ready = false;
        for slot in self.hosts[host].slots.clone() {
            self.withdraw(slot);
        }
    }

    /// Returns the slots of a host.
    pub(crate) fn slots_of(&self, host: usize) -> &[usize] {
        &self.hosts[host].slots
    }

    /// Returns the host of a slot.
    pub(crate) fn host_of(&self, slot: usize) -> usize {
        self.slots[slot].host
    }

    /// Returns how many items a slot has.
    pub(crate) fn len_of(&self, slot: usize) -> usize {
        self.slots[slot].line.len()
    }

    /// Returns the number of the first item of a slot.
    pub(crate) fn first_of(&self, slot: usize) -> Option<u64> {
        self.slots[slot].line.front().map(|item| item.index)
    }

    /// Returns what is to be done next.
    pub(crate) fn want(&mut self) -> Want {
        if !self.back.is_empty() {
            if self.is_stopped {
                self.settle_back(|_| Failure::NotStarted(NotStarted::Failures));
            } else if self.is_deserted() {
                self.settle_back(|item| match &item.lost {
                    Some((_, Some(error))) => Failure::Operation(error.clone()),
                    _ => Failure::NotStarted(NotStarted::NoTargets),
                });
            } else if self.choose_again().is_some() {
                return Want::Again;
            }
        }
        let is_room = self.buffered < self.rules.buffered
            && match self.rules.order {
                Order::AsTheyFinish => self.settled.len() < BUFFERED,
                Order::AsTheyWereRead { window } => self.read < self.turn.saturating_add(window as u64),
            };
        if self.is_read || self.is_stopped || !is_room {
            return Want::Nothing;
        }
        if self.is_deserted() || self.choose().is_some() { Want::Input } else { Want::Nothing }
    }

    /// Gives an item to a slot once more, after [`Want::Again`].
    pub(crate) fn give_again(&mut self) -> Option<(usize, P)> {
        let (index, slot) = self.choose_again()?;
        let item = self.back.remove(&index)?;
        self.suspects -= usize::from(item.attempts > 0);
        let payload = item.payload.clone();
        self.push(slot, item);
        if self.suspects == 0 {
            // What was not sent ahead for their sake.
            (0..self.slots.len()).for_each(|slot| self.offer(slot));
        }
        Some((slot, payload))
    }

    /// Takes the next item of the input, after [`Want::Input`], and gives it to a slot. Without any
    /// host the item has its outcome at once.
    pub(crate) fn give(&mut self, payload: P, len: usize) -> Option<(usize, P)> {
        let item = Item { index: self.read, payload, len, attempts: 0, lost: None };
        self.read += 1;
        let Some(slot) = self.choose() else {
            self.settle(item.index, None, 0, Err(Failure::NotStarted(NotStarted::NoTargets)));
            return None;
        };
        let payload = item.payload.clone();
        self.push(slot, item);
        Some((slot, payload))
    }

    /// Takes the next item of the input, which cannot be sent.
    pub(crate) fn refuse(&mut self, error: E) {
        self.read += 1;
        self.settle(self.read - 1, None, 0, Err(Failure::Operation(error)));
    }

    /// Records that the input has no more items.
    pub(crate) fn end_of_input(&mut self) {
        self.is_read = true;
    }

    /// Records the outcome of the first item of a slot: its size in bytes, how long it took there,
    /// and between sending and outcome, if the slot had nothing else.
    pub(crate) fn done(
        &mut self,
        slot: usize,
        result: Result<V, E>,
        len: usize,
        took: Duration,
        alone: Option<Duration>,
    ) {
        self.slots[slot].pace.learn(took, alone);
        let host = self.slots[slot].host;
        self.hosts[host].strikes = 0;
        if let Some(item) = self.pop_line(slot) {
            let len_before = *self.result_len.get_or_insert(len as f64);
            self.result_len = Some(len_before + (len as f64 - len_before) * GAIN);
            let outcome = result.map_err(Failure::Operation);
            self.settle_with(item.index, Some(host), item.attempts + 1, outcome, len);
        }
        self.offer(slot);
    }

    /// Records that a slot has broken off at its first item, for a reason that concerns this item.
    /// The others have not begun.
    pub(crate) fn failed(&mut self, slot: usize, error: E) {
        let host = self.slots[slot].host;
        if let Some(item) = self.pop_line(slot) {
            self.settle(item.index, Some(host), item.attempts + 1, Err(Failure::Operation(error)));
        }
        while let Some(item) = self.pop_line(slot) {
            self.take_back(item);
        }
        self.slots[slot].pace = Pace::default();
        self.offer(slot);
    }

    /// Records that a slot has ended, and that it is unknown how far it had got with its items.
    pub(crate) fn dropped(&mut self, slot: usize) {
        let host = self.slots[slot].host;
        while let Some(item) = self.pop_line(slot) {
            self.settle(item.index, Some(host), item.attempts + 1, Err(Failure::Dropped));
        }
        self.offer(slot);
    }

    /// Records that the deadline of a slot's first item has passed, and that the slot was broken
    /// off.
    pub(crate) fn late(&mut self, slot: usize, after: Duration) {
        let host = self.slots[slot].host;
        if let Some(item) = self.pop_line(slot) {
            let failure = Failure::Timeout { after, stage: Stage::Running };
            self.settle(item.index, Some(host), item.attempts + 1, Err(failure));
        }
        self.doubt(slot, None);
        self.offer(slot);
    }

    /// Records that a host was lost with everything that it had.
    pub(crate) fn lost(&mut self, host: usize, error: E) -> Verdict {
        for slot in self.hosts[host].slots.clone() {
            self.withdraw(slot);
            self.doubt(slot, Some(&error));
        }
        let lost = &mut self.hosts[host];
        lost.is_ready = false;
        lost.strikes += 1;
        lost.is_in &= lost.strikes < STRIKES;
        if lost.is_in { Verdict::Again } else { Verdict::Out }
    }

    /// Returns the next outcome that may be taken.
    pub(crate) fn pop(&mut self) -> Option<Settled<V, E>> {
        let settled = match self.rules.order {
            Order::AsTheyFinish => self.settled.pop_first()?.1,
            Order::AsTheyWereRead { .. } => {
                let settled = self.settled.remove(&self.turn)?;
                self.turn += 1;
                settled
            }
        };
        self.buffered -= settled.len;
        Some(settled)
    }

    /// Returns whether every item has an outcome that was taken, and no other will be read.
    pub(crate) fn is_over(&self) -> bool {
        self.is_done() && self.settled.is_empty()
    }

    /// Returns whether every item has an outcome, and no other will be read.
    pub(crate) fn is_done(&self) -> bool {
        self.under_way == 0 && self.back.is_empty() && (self.is_read || self.is_stopped)
    }

    /// Returns whether no slot runs an item, or may get one.
    pub(crate) fn is_deserted(&self) -> bool {
        self.under_way == 0 && !self.hosts.iter().any(|host| host.is_in)
    }

    /// Returns how many items were read, and how many of these have no outcome yet.
    pub(crate) fn counts(&self) -> (u64, usize) {
        (self.read, self.under_way + self.back.len())
    }

    /// Returns the slot for an item that was not tried yet.
    fn choose(&self) -> Option<usize> {
        let (len, slot) = *self.free.first()?;
        // While items wait that are given to idle slots alone, the others are to become idle.
        let may_wait = || self.suspects == 0 && self.is_room_ahead();
        (len == 0 || may_wait()).then_some(slot)
    }

    /// Returns whether there will be room for the results of all items that are under way.
    fn is_room_ahead(&self) -> bool {
        let expected = self.under_way as f64 * self.result_len.unwrap_or_default();
        self.buffered as f64 + expected < self.rules.buffered as f64
    }

    /// Returns an item that can be given once more, and its slot.
    fn choose_again(&self) -> Option<(u64, usize)> {
        let idle = || self.free.iter().take_while(|(len, _)| *len == 0).map(|(_, slot)| *slot);
        self.back.values().find_map(|item| {
            let Some((avoided, _)) = &item.lost else { return Some((item.index, self.choose()?)) };
            let others = self.hosts.iter().enumerate().any(|(at, host)| at != *avoided && host.is_in);
            let slot = idle().find(|slot| !others || self.slots[*slot].host != *avoided)?;
            Some((item.index, slot))
        })
    }

    fn push(&mut self, slot: usize, item: Item<P, E>) {
        self.withdraw(slot);
        self.slots[slot].len += item.len;
        self.slots[slot].line.push_back(item);
        self.under_way += 1;
        self.offer(slot);
    }

    fn pop_line(&mut self, slot: usize) -> Option<Item<P, E>> {
        self.withdraw(slot);
        let item = self.slots[slot].line.pop_front()?;
        self.slots[slot].len -= item.len;
        self.under_way -= 1;
        Some(item)
    }

    /// Lets a slot have items, if it has room.
    fn offer(&mut self, slot: usize) {
        let Slot { host, line, len, pace } = &self.slots[slot];
        let has_room = match line.front() {
            None => true,
            // What may have ended a host is performed by itself.
            Some(first) if first.attempts > 0 => false,
            Some(_) => *len < BYTES_AHEAD && line.len() <= pace.ahead(self.rules.ahead),
        };
        if has_room && self.hosts[*host].is_ready {
            self.free.insert((line.len(), slot));
        }
    }

    fn withdraw(&mut self, slot: usize) {
        self.free.remove(&(self.slots[slot].line.len(), slot));
    }

    /// Takes back all items of a slot, each of which may have run, or not.
    fn doubt(&mut self, slot: usize, error: Option<&E>) {
        let host = self.slots[slot].host;
        while let Some(mut item) = self.pop_line(slot) {
            item.attempts += 1;
            if item.attempts >= self.rules.attempts {
                let failure = error.map_or(Failure::Dropped, |error| Failure::Operation(error.clone()));
                self.settle(item.index, Some(host), item.attempts, Err(failure));
            } else {
                item.lost = Some((host, error.cloned()));
                self.take_back(item);
            }
        }
        self.slots[slot].pace = Pace::default();
    }

    fn take_back(&mut self, item: Item<P, E>) {
        self.suspects += usize::from(item.attempts > 0);
        self.back.insert(item.index, item);
    }

    fn settle_back(&mut self, why: impl Fn(&Item<P, E>) -> Failure<E>) {
        self.suspects = 0;
        for (index, item) in std::mem::take(&mut self.back) {
            let host = item.lost.as_ref().map(|(host, _)| *host);
            self.settle(index, host, item.attempts, Err(why(&item)));
        }
    }

    fn settle(&mut self, index: u64, host: Option<usize>, attempts: u32, outcome: Outcome<V, E>) {
        self.settle_with(index, host, attempts, outcome, 0);
    }

    fn settle_with(
        &mut self,
        index: u64,
        host: Option<usize>,
        attempts: u32,
        outcome: Outcome<V, E>,
        len: usize,
    ) {
        if outcome.is_err() {
            self.failures += 1;
            self.is_stopped |= self.rules.failures.is_some_and(|limit| self.failures > limit);
        }
        let key = match self.rules.order {
            Order::AsTheyFinish => {
                self.turn += 1;
                self.turn
            }
            Order::AsTheyWereRead { .. } => index,
        };
        self.buffered += len;
        self.settled.insert(key, Settled { index, host, attempts, outcome, len });
    }
}

/// How many bytes a slot may have before it gets no further item.
const BYTES_AHEAD: usize = 1 << 20;
/// How many outcomes may wait to be taken before no further item is read.
const BUFFERED: usize = 1024;
/// The weight of a new result in the average size.
const GAIN: f64 = 0.2;
/// How many times in a row a host may be lost without finishing an item.
const STRIKES: u32 = 3;

#[cfg(test)]
mod tests;
