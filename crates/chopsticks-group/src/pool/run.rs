//! A pool at work.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    Stream, StreamExt as _,
    channel::mpsc::{self, UnboundedSender},
    stream::{self, AbortHandle, Abortable, BoxStream, FusedStream, SelectAll},
    task::AtomicWaker,
};
use tokio::time::{Instant, Sleep};

use super::{Feed, Pool, PoolOutcome, Step};
use crate::{
    failure::{Failure, Outcome},
    group::Group,
    member::Member,
    spread::{Order, Settled, Spread, Verdict, Want},
    timeline::{Record, Timeline},
};

/// The outcomes of the items of a [`Pool`], as they arrive, or in order. Created by [`Pool::map`].
///
/// Every item that was read has exactly one outcome. The input is read only as fast as the slots
/// take its items.
///
/// # Cancel safety
///
/// No outcome is lost when a future of [`StreamExt::next`](futures::StreamExt::next) is dropped.
/// Dropping the stream drops all slots, which cancels the items that they have.
#[must_use = "nothing runs unless it is polled"]
pub struct PoolRun<T: Member, I, V> {
    pool: Pool<T>,
    order: Order,
    record: Option<Record<T::Name>>,
    input: BoxStream<'static, Result<(I, usize), T::Error>>,
    open: Open<T, I, V>,
    /// `None` before the first poll.
    state: Option<State<T, I, V>>,
    lost: Vec<(T::Name, Failure<T::Error>)>,
    /// Outcomes that were taken since the slots were looked at.
    taken: usize,
    is_over: bool,
}

type Open<T, I, V> = Box<dyn FnMut(T, Feed<I>) -> BoxStream<'static, Step<V, <T as Member>::Error>> + Send>;

/// How connecting a host has ended, with its number.
type Connected<E> = (usize, Outcome<(), E>);

/// What happens in a slot, with its number and how many times it had been opened. At last there is
/// `None`.
type Happened<V, E> = (usize, u64, Option<Step<V, E>>);

struct State<T: Member, I, V> {
    spread: Spread<I, V, T::Error>,
    waker: Arc<AtomicWaker>,
    /// Of the members that were looked at last.
    version: Option<u64>,
    hosts: Vec<Host<T>>,
    connecting: SelectAll<BoxStream<'static, Connected<T::Error>>>,
    slots: Vec<Slot<I>>,
    running: SelectAll<BoxStream<'static, Happened<V, T::Error>>>,
    /// When the next item is late, or may be.
    deadline: Option<Pin<Box<Sleep>>>,
}

struct Host<T: Member> {
    /// The number of the member, while it is one.
    number: Option<u64>,
    target: T,
    name: T::Name,
}

struct Slot<I> {
    /// How many times it was opened.
    opened: u64,
    /// `None` while it is not open.
    open: Option<OpenSlot<I>>,
    /// When its first item was sent, or became the first.
    since: Instant,
    /// Whether it had nothing else when that was sent.
    is_alone: bool,
}

struct OpenSlot<I> {
    /// Without a limit of its own: the slot has no more items than the state machine gives it.
    feed: UnboundedSender<I>,
    abort: AbortHandle,
}

impl<T: Member, I: Clone + Send + 'static, V: Send + 'static> PoolRun<T, I, V> {
    pub(super) fn new(
        pool: Pool<T>,
        input: BoxStream<'static, Result<(I, usize), T::Error>>,
        open: Open<T, I, V>,
    ) -> Self {
        Self {
            pool,
            order: Order::AsTheyFinish,
            record: None,
            input,
            open,
            state: None,
            lost: Vec::new(),
            taken: 0,
            is_over: false,
        }
    }

    /// Gives the outcomes in the order of the items.
    ///
    /// At most 1,000 items are read beyond the one whose outcome is next: see
    /// [`ordered_within`](Self::ordered_within). Call this before the first poll.
    pub fn ordered(self) -> Self {
        self.ordered_within(WINDOW)
    }

    /// Returns the outcomes in the order of the items, and reads at most `window` items beyond the
    /// one whose outcome is next; at least 1.
    ///
    /// The outcomes of these items are kept in memory until the next one arrives, up to
    /// [`Pool::max_buffered`]. When all of them are done, the slots are idle. Call this before the first poll.
    pub fn ordered_within(mut self, window: usize) -> Self {
        self.order = Order::AsTheyWereRead { window: window.max(1) };
        self
    }

    /// Records a [`timeline`](Self::timeline), which takes about 100 bytes for each item. Call this
    /// before the first poll.
    pub fn recorded(mut self) -> Self {
        self.record = Some(Record::default());
        self
    }

    /// Returns what each target has done so far, and when. Operations are labelled with the numbers
    /// of their items. The timeline is empty unless it is [`recorded`](Self::recorded).
    pub fn timeline(&self) -> Timeline<T::Name> {
        self.record.as_ref().map_or_else(|| Record::default().timeline(), Record::timeline)
    }

    /// Returns the targets that get no more items because they could not be connected, or were lost
    /// too often, with the reason.
    pub fn lost(&self) -> &[(T::Name, Failure<T::Error>)] {
        &self.lost
    }

    /// Returns how many items were read so far.
    pub fn items_read(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.spread.counts().0)
    }

    /// Returns how many of the items that were read have no outcome yet.
    pub fn items_under_way(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.spread.counts().1)
    }

    /// Goes on with the items without taking an outcome, and is ready once every item has one.
    ///
    /// Outcomes that nobody has taken wait, up to [`Pool::max_buffered`] and some 1,000 of them; then the
    /// slots become idle. For a task that keeps the hosts busy while something else works on outcomes.
    /// Only the task that polled last is woken: the other one has to poll again afterwards.
    pub fn poll_progress(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over {
            return Poll::Ready(());
        }
        self.drive(context);
        self.taken = 0;
        let is_done = self.state.as_ref().is_some_and(|state| state.spread.is_done());
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Looks at everything, and does what can be done.
    fn drive(&mut self, context: &mut Context<'_>) {
        let Self { pool, order, input, open, state, record, lost, .. } = self;
        let state = state.get_or_insert_with(|| State::new(pool, *order));
        state.waker.register(context.waker());
        state.sync(pool);
        while let Poll::Ready(Some((host, outcome))) = state.connecting.poll_next_unpin(context) {
            match outcome {
                Ok(()) => state.ready(host),
                Err(failure) => state.give_up(host, failure, lost),
            }
        }
        loop {
            // All that has come, before the slots are given more: so what they are given leaves together.
            while let Poll::Ready(Some(happened)) = state.running.poll_next_unpin(context) {
                state.happened(pool, happened, record, lost);
            }
            let has_given = state.give(context, input, open);
            let is_late = state.check_deadlines(context, pool.item_timeout, record);
            if !has_given && !is_late {
                break;
            }
        }
    }
}

impl<T: Member, I: Clone + Send + 'static, V: Send + 'static> State<T, I, V> {
    fn new(pool: &Pool<T>, order: Order) -> Self {
        let mut rules = pool.rules();
        rules.order = order;
        Self {
            spread: Spread::new(rules),
            waker: pool.roster.follow(),
            version: None,
            hosts: Vec::new(),
            connecting: SelectAll::new(),
            slots: Vec::new(),
            running: SelectAll::new(),
            deadline: None,
        }
    }

    /// Takes in the targets that were added, and lets those go that were removed.
    fn sync(&mut self, pool: &Pool<T>) {
        let (added, gone) = {
            let members = pool.roster.members();
            if self.version == Some(members.version) {
                return;
            }
            self.version = Some(members.version);
            let known: Vec<_> = self.hosts.iter().filter_map(|host| host.number).collect();
            let is_new = |(number, _): &&(u64, T)| !known.contains(number);
            let added: Vec<_> = members.targets.iter().filter(is_new).cloned().collect();
            let is_there = |number| members.targets.iter().any(|(other, _)| *other == number);
            let is_gone = |host: &Host<T>| host.number.is_some_and(|number| !is_there(number));
            let gone: Vec<_> = (0..self.hosts.len()).filter(|at| is_gone(&self.hosts[*at])).collect();
            (added, gone)
        };
        for host in gone {
            self.hosts[host].number = None;
            self.spread.remove(host);
        }
        let mut hosts = Vec::new();
        for (number, target) in added {
            let (name, host) = (target.name(), self.spread.add());
            self.hosts.push(Host { number: Some(number), target, name });
            hosts.push(host);
        }
        self.connect(pool, &hosts);
    }

    /// Begins to connect hosts.
    fn connect(&mut self, pool: &Pool<T>, hosts: &[usize]) {
        let names: HashMap<_, _> = hosts.iter().map(|host| (self.hosts[*host].name.clone(), *host)).collect();
        let targets = hosts.iter().map(|host| self.hosts[*host].target.clone());
        // The names of members differ.
        let Ok(group) = Group::new(targets) else { return };
        let run = group.limits(pool.limits.clone()).each(|target| async move { target.connect().await });
        let connecting = run.filter_map(move |(name, outcome)| {
            std::future::ready(names.get(&name).map(|host| (*host, outcome)))
        });
        self.connecting.push(connecting.boxed());
    }

    fn ready(&mut self, host: usize) {
        tracing::debug!(host = %self.hosts[host].name, "joined the pool");
        self.spread.ready(host);
        let now = Instant::now();
        let slots = self.spread.slots_of(host).iter().max().map_or(0, |slot| slot + 1);
        while self.slots.len() < slots {
            self.slots.push(Slot { opened: 0, open: None, since: now, is_alone: false });
        }
    }

    fn give_up(
        &mut self,
        host: usize,
        failure: Failure<T::Error>,
        lost: &mut Vec<(T::Name, Failure<T::Error>)>,
    ) {
        self.spread.remove(host);
        let Host { name, number, .. } = &self.hosts[host];
        // One that was removed is missed by nobody.
        if number.is_some() {
            tracing::info!(host = %name, "left the pool: {failure}");
            lost.push((name.clone(), failure));
        }
    }

    /// Takes what has happened in a slot.
    fn happened(
        &mut self,
        pool: &Pool<T>,
        (slot, opened, step): Happened<V, T::Error>,
        record: &mut Option<Record<T::Name>>,
        lost: &mut Vec<(T::Name, Failure<T::Error>)>,
    ) {
        if self.slots[slot].opened != opened || self.slots[slot].open.is_none() {
            return;
        }
        let now = Instant::now();
        match step {
            Some(Step::Done { result, took, len }) => {
                self.note(record, slot, took, result.is_ok());
                let state = &mut self.slots[slot];
                let alone = std::mem::take(&mut state.is_alone).then(|| now - state.since);
                state.since = now;
                self.spread.done(slot, result, len, took, alone);
            }
            Some(Step::Failed(error)) => {
                self.note(record, slot, now - self.slots[slot].since, false);
                self.break_off(slot);
                self.spread.failed(slot, error);
            }
            Some(Step::Lost(error)) => {
                let host = self.spread.host_of(slot);
                tracing::debug!(host = %self.hosts[host].name, "lost: {error}");
                for slot in self.spread.slots_of(host).to_vec() {
                    if self.spread.len_of(slot) > 0 {
                        self.note(record, slot, now - self.slots[slot].since, false);
                    }
                    self.break_off(slot);
                }
                match self.spread.lost(host, error.clone()) {
                    Verdict::Again => self.connect(pool, &[host]),
                    Verdict::Out => self.give_up(host, Failure::Operation(error), lost),
                }
            }
            None => {
                self.break_off(slot);
                self.spread.dropped(slot);
            }
        }
    }

    /// Records that the first item of a slot has ended.
    fn note(&self, record: &mut Option<Record<T::Name>>, slot: usize, took: Duration, is_success: bool) {
        if let (Some(record), Some(index)) = (record, self.spread.first_of(slot)) {
            let name = &self.hosts[self.spread.host_of(slot)].name;
            record.add(name, &index.to_string().into(), took, is_success);
        }
    }

    fn break_off(&mut self, slot: usize) {
        if let Some(open) = self.slots[slot].open.take() {
            open.abort.abort();
        }
    }

    /// Gives items to all slots that can have some. Returns whether there were any.
    fn give(
        &mut self,
        context: &mut Context<'_>,
        input: &mut BoxStream<'static, Result<(I, usize), T::Error>>,
        open: &mut Open<T, I, V>,
    ) -> bool {
        let mut has_given = false;
        loop {
            let given = match self.spread.want() {
                Want::Again => self.spread.give_again(),
                Want::Input => match input.poll_next_unpin(context) {
                    Poll::Ready(Some(Ok((item, len)))) => self.spread.give(item, len),
                    Poll::Ready(Some(Err(error))) => {
                        self.spread.refuse(error);
                        None
                    }
                    Poll::Ready(None) => {
                        self.spread.end_of_input();
                        None
                    }
                    Poll::Pending => return has_given,
                },
                Want::Nothing => return has_given,
            };
            if let Some((slot, item)) = given {
                has_given = true;
                self.send(slot, item, open);
            }
        }
    }

    /// Sends an item to a slot, which is opened for that.
    fn send(&mut self, slot: usize, item: I, open: &mut Open<T, I, V>) {
        if self.spread.len_of(slot) == 1 {
            self.slots[slot].since = Instant::now();
            self.slots[slot].is_alone = true;
        }
        let state = &mut self.slots[slot];
        let opened = state.open.get_or_insert_with(|| {
            state.opened += 1;
            let (feed, items) = mpsc::unbounded();
            let (abort, registration) = AbortHandle::new_pair();
            let target = self.hosts[self.spread.host_of(slot)].target.clone();
            let number = state.opened;
            let steps = Abortable::new(open(target, Feed(items)), registration).map(Some);
            let happened = steps.chain(stream::once(std::future::ready(None)));
            self.running.push(happened.map(move |step| (slot, number, step)).boxed());
            OpenSlot { feed, abort }
        });
        // If nobody reads it, the slot has ended, and will say so.
        let _ = opened.feed.unbounded_send(item);
    }

    /// Breaks off slots whose first item is late. Returns whether there were any.
    fn check_deadlines(
        &mut self,
        context: &mut Context<'_>,
        timeout: Option<Duration>,
        record: &mut Option<Record<T::Name>>,
    ) -> bool {
        let Some(timeout) = timeout else { return false };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if deadline.as_mut().poll(context).is_pending() {
            return false;
        }
        let now = Instant::now();
        let (mut is_late, mut next) = (false, now + timeout);
        for slot in 0..self.slots.len() {
            if self.spread.len_of(slot) == 0 {
                continue;
            }
            let due = self.slots[slot].since + timeout;
            if due <= now {
                is_late = true;
                self.note(record, slot, timeout, false);
                self.break_off(slot);
                self.spread.late(slot, timeout);
            } else {
                next = next.min(due);
            }
        }
        if let Some(deadline) = &mut self.deadline {
            deadline.as_mut().reset(next);
            if deadline.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        is_late
    }
}

impl<T: Member, I: Clone + Send + 'static, V: Send + 'static> Stream for PoolRun<T, I, V> {
    type Item = PoolOutcome<T::Name, V, T::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let mut settled = None;
        if this.taken < TAKEN {
            settled = this.state.as_mut().and_then(|state| state.spread.pop());
        }
        if settled.is_none() {
            this.drive(context);
            this.taken = 0;
            settled = this.state.as_mut().and_then(|state| state.spread.pop());
        }
        let Some(state) = &mut this.state else { return Poll::Pending };
        match settled {
            Some(Settled { index, host, attempts, outcome, .. }) => {
                this.taken += 1;
                let host = host.map(|host| state.hosts[host].name.clone());
                Poll::Ready(Some(PoolOutcome { index, host, attempts, outcome }))
            }
            None if state.spread.is_over() => {
                this.is_over = true;
                state.running.clear();
                state.connecting.clear();
                Poll::Ready(None)
            }
            None => Poll::Pending,
        }
    }
}

/// Nothing in it is pinned.
impl<T: Member, I, V> Unpin for PoolRun<T, I, V> {}

impl<T: Member, I: Clone + Send + 'static, V: Send + 'static> FusedStream for PoolRun<T, I, V> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl<T: Member, I, V> fmt::Debug for PoolRun<T, I, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolRun")
            .field("pool", &self.pool)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

/// How many items are read beyond the one whose outcome is next.
const WINDOW: usize = 1000;
/// After so many outcomes the slots are looked at, even if there are others to be taken.
const TAKEN: usize = 32;
