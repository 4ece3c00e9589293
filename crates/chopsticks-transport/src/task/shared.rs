//! The state that the task and the handles of one connection share.

use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use tokio::sync::Notify;

use super::incoming::Arrival;
use crate::connection::{Answer, Connection, Event, Hello, Refusal, Start};
use crate::error::{PeerFault, TransportError, TransportErrorKind};
use crate::outbox::Outbox;
use crate::request::{RequestId, RequestMap, Role};

/// The state machine under a lock, with the tasks that wait for it.
///
/// The lock is held only briefly, and never across an await. Because of it, a dropped call can
/// cancel itself at once; a channel to the task might be full.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notifies of changes that any number of tasks may wait for: the handshake, the end, room in
    /// the queue, pongs.
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) connection: Connection,
    pub(super) slots: RequestMap<Slot>,
    pub(super) arrivals: VecDeque<Arrival>,
    /// How many have arrived so far.
    pub(super) arrived: u64,
    /// `None` when arrivals are no longer taken.
    pub(super) incoming: Option<Option<Waker>>,
    pub(super) hello: Option<Hello>,
    pub(super) start: Option<Start>,
    pub(super) pongs: VecDeque<(u64, Instant)>,
    pub(super) pings_waiting: usize,
    pub(super) is_closing: bool,
    pub(super) end: Option<Result<(), TransportError>>,
    /// The number of handles, requests, responders and streams. When the last one is dropped, the
    /// connection closes.
    pub(super) users: usize,
    task: Option<Waker>,
    untaken_notices: usize,
    untaken_len: usize,
    notice_waiters: usize,
    should_notify: bool,
    should_wake: bool,
}

/// The tasks that wait for one request, and for what.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) outcome: Option<Result<Answer, TransportError>>,
    /// Whether the peer has cancelled its request.
    pub(super) is_cancelled: bool,
    pub(super) has_main: bool,
    pub(super) has_reader: bool,
    pub(super) has_writer: bool,
    pub(super) main: Option<Waker>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Slot {
    fn take_wakers(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend([self.main.take(), self.reader.take(), self.writer.take()].into_iter().flatten());
    }
}

impl Shared {
    pub(super) fn new(connection: Connection) -> Self {
        let state = State {
            connection,
            slots: RequestMap::default(),
            arrivals: VecDeque::new(),
            arrived: 0,
            incoming: Some(None),
            hello: None,
            start: None,
            pongs: VecDeque::new(),
            pings_waiting: 0,
            is_closing: false,
            end: None,
            users: 0,
            task: None,
            untaken_notices: 0,
            untaken_len: 0,
            notice_waiters: 0,
            should_notify: false,
            should_wake: false,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(super) fn lock(&self) -> Guard<'_> {
        // A panic elsewhere does not leave the state half changed in a way that matters to anybody's safety.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Guard { state: Some(state), changed: &self.changed }
    }

    /// Ends the connection for all its users.
    pub(super) fn finish(&self, result: Result<(), TransportError>) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let error = result.clone().err().unwrap_or_else(|| TransportErrorKind::Closed.into());
        for slot in state.slots.values_mut() {
            if slot.outcome.is_none() {
                slot.outcome = Some(Err(error.clone()));
            }
            slot.is_cancelled = true;
            slot.take_wakers(&mut wakers);
        }
        wakers.extend(state.incoming.as_mut().and_then(Option::take));
        state.end = Some(result);
        state.should_notify = true;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The lock. Tasks are woken after it has been released, so that foreign code never runs under it.
pub(super) struct Guard<'a> {
    /// None only while the guard is dropped.
    state: Option<MutexGuard<'a, State>>,
    changed: &'a Notify,
}

impl Deref for Guard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_deref().expect("the lock is given back in drop only")
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_deref_mut().expect("the lock is given back in drop only")
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        let should_notify = mem::take(&mut state.should_notify);
        let task = if mem::take(&mut state.should_wake) { state.task.take() } else { None };
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        if should_notify {
            self.changed.notify_waiters();
        }
    }
}

impl State {
    /// Returns the reason if the connection no longer accepts requests.
    pub(super) fn check_usable(&self) -> Result<(), TransportError> {
        match &self.end {
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(())) => Err(TransportErrorKind::Closed.into()),
            None if self.is_closing => Err(TransportErrorKind::Closed.into()),
            None => Ok(()),
        }
    }

    pub(super) fn register_driver(&mut self, waker: &Waker) {
        // The future may have moved to another task since it was last polled.
        match &mut self.task {
            Some(task) => task.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Wakes the task, so that it looks for something to send. Only the first call since the
    /// task last looked has an effect.
    pub(super) fn wake_driver(&mut self) {
        self.should_wake = true;
    }

    pub(super) fn handle_input(
        &mut self,
        now: Instant,
        input: &[u8],
        wakers: &mut Vec<Waker>,
    ) -> Result<(), TransportError> {
        let result = self.connection.handle_input(now, input);
        self.dispatch(now, wakers);
        result?;
        let config = self.connection.config();
        let limit = config.max_untaken_notices;
        if self.untaken_notices > limit || self.untaken_len > config.max_buffered_len {
            return Err(TransportError::of_peer(None, PeerFault::TooManyNotices { limit }));
        }
        Ok(())
    }

    pub(super) fn handle_eof(&mut self) -> Result<(), TransportError> {
        match self.connection.handle_eof() {
            // It was asked to go; how much of an answer was under way does not matter any more.
            Err(_) if self.is_closing => Ok(()),
            result => result,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), TransportError> {
        self.connection.handle_timeout(now)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.connection.next_timeout()
    }

    pub(super) fn has_output(&self) -> bool {
        self.connection.has_output()
    }

    pub(super) fn side(&self) -> Role {
        self.connection.side()
    }

    pub(super) fn has_failed_in_handshake(&self) -> bool {
        self.start.is_none() && self.connection.error().is_some()
    }

    pub(super) fn transmit(&mut self, outbox: &mut Outbox, enough: usize, wakers: &mut Vec<Waker>) {
        self.connection.transmit(outbox, enough);
        // Streams that have room again.
        self.dispatch_sent(wakers);
        if self.notice_waiters > 0 && self.has_room() {
            self.should_notify = true;
        }
    }

    /// Returns whether the writer must be closed once all bytes have been written.
    pub(super) fn wants_shutdown(&self) -> bool {
        self.is_closing && !self.connection.has_output()
    }

    pub(super) fn has_room(&self) -> bool {
        self.connection.queued_len() < self.connection.config().max_queued_len.max(1)
    }

    pub(super) fn wait_for_room(&mut self) {
        self.notice_waiters += 1;
    }

    pub(super) fn stop_waiting_for_room(&mut self) {
        self.notice_waiters -= 1;
    }

    /// Begins to close the connection.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        self.wake_driver();
    }

    pub(super) fn take_arrival(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.pop_front()?;
        if let Arrival::Notice(message) = &arrival {
            self.untaken_notices -= 1;
            self.untaken_len -= message.payload.len();
        }
        Some(arrival)
    }

    /// Stops taking arrivals. From now on requests are refused.
    pub(super) fn drop_incoming(&mut self) {
        self.incoming = None;
        while let Some(arrival) = self.take_arrival() {
            if let Arrival::Request(request, _) = arrival {
                self.connection.refuse(request, Refusal::Unanswered);
            }
        }
        self.wake_driver();
    }

    /// Removes the slot of a request that is no longer used here.
    pub(super) fn release(&mut self, request: RequestId) {
        if let Some(slot) = self.slots.get(&request)
            && !(slot.has_main || slot.has_reader || slot.has_writer)
        {
            self.slots.remove(&request);
        }
    }

    pub(super) fn add_user(&mut self) {
        self.users += 1;
    }

    pub(super) fn remove_user(&mut self) {
        self.users -= 1;
        if self.users == 0 {
            self.close();
        }
    }

    fn dispatch_sent(&mut self, wakers: &mut Vec<Waker>) {
        let now = self.connection.now();
        self.dispatch(now, wakers);
    }

    fn dispatch(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Reply { request, reply } => self.settle(request, Ok(reply), wakers),
                Event::ReplyTooLarge { request } => {
                    let limit = self.connection.config().reply_limit();
                    let error = TransportErrorKind::ReplyTooLarge { limit };
                    self.settle(request, Err(TransportError::of_request(request, error)), wakers);
                }
                Event::OutOfMemory { request, len } => {
                    let error = TransportErrorKind::OutOfMemory { len };
                    self.settle(request, Err(TransportError::of_request(request, error)), wakers);
                }
                Event::Readable { request } => {
                    wakers.extend(self.slots.get_mut(&request).and_then(|slot| slot.reader.take()));
                }
                Event::Writable { request } => {
                    wakers.extend(self.slots.get_mut(&request).and_then(|slot| slot.writer.take()));
                }
                Event::Cancelled { request } => {
                    if let Some(slot) = self.slots.get_mut(&request) {
                        slot.is_cancelled = true;
                        slot.take_wakers(wakers);
                    }
                }
                Event::CancelAcknowledged { .. } => {}
                Event::Request { request, message } => match &mut self.incoming {
                    Some(waker) => {
                        wakers.extend(waker.take());
                        self.slots.insert(request, Slot { has_main: true, ..Slot::default() });
                        self.arrivals.push_back(Arrival::Request(request, message));
                        self.arrived += 1;
                    }
                    None => self.connection.refuse(request, Refusal::Unanswered),
                },
                Event::Notice(message) => {
                    if let Some(waker) = &mut self.incoming {
                        wakers.extend(waker.take());
                        self.untaken_notices += 1;
                        self.untaken_len += message.payload.len();
                        self.arrivals.push_back(Arrival::Notice(message));
                        self.arrived += 1;
                    }
                }
                Event::Hello(hello) => {
                    self.hello = Some(hello);
                    self.should_notify = true;
                }
                Event::Started(start) => {
                    self.start = Some(start);
                    self.should_notify = true;
                }
                Event::Pong { token } => {
                    if self.pings_waiting > 0 {
                        self.pongs.push_back((token, now));
                        self.should_notify = true;
                    }
                }
            }
        }
    }

    fn settle(
        &mut self,
        request: RequestId,
        outcome: Result<Answer, TransportError>,
        wakers: &mut Vec<Waker>,
    ) {
        if let Some(slot) = self.slots.get_mut(&request) {
            slot.outcome = Some(outcome);
            slot.take_wakers(wakers);
        }
    }
}
