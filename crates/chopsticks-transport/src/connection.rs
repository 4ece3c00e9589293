//! The state machine of one connection, without I/O and without a clock.

mod event;
mod exchange;
mod handshake;
mod receive;
mod stream;
mod streaming;
mod transmit;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use self::event::{Answer, AnswerKind, Event, Hello, Message, Refusal, Start};
use self::exchange::{Assembly, Exchange, Phase};
use self::handshake::Handshake;
pub use self::handshake::{PROTOCOL_VERSION, StartOptions};
use self::receive::Input;
pub use self::stream::StreamRead;
use self::transmit::{LaneItem, Turn};
use crate::config::TransportConfig;
use crate::error::{TransportError, TransportErrorKind};
use crate::format::Format;
use crate::operation::Operation;
use crate::payload::{OutgoingMessage, Payload};
use crate::request::{Numbers, RequestId, RequestMap, Role};

/// One connection as a state machine: bytes and the time go in, events and bytes come out.
///
/// It does no I/O, has no clock and wakes no tasks. Its I/O task
///
/// * passes all received bytes to [`handle_input`](Self::handle_input), and reports their end,
/// * takes events from [`poll_event`](Self::poll_event) after that,
/// * lets [`transmit`](Self::transmit) fill an [`Outbox`](crate::Outbox) after each operation on
///   the connection, and writes the bytes that it finds there,
/// * calls [`handle_timeout`](Self::handle_timeout) at [`next_timeout`](Self::next_timeout).
///
/// An error from any of the `handle_` methods ends the connection, and every later call returns the
/// same error.
#[derive(Debug)]
pub struct Connection {
    side: Role,
    config: TransportConfig,
    now: Instant,
    failed: Option<TransportError>,
    handshake: Handshake,

    /// Requests of the peer whose streams are opened when they arrive.
    presumed: Option<(Operation, u32)>,
    numbers: Numbers,
    exchanges: RequestMap<Exchange>,
    peer_requests: usize,
    peer_highest: u32,

    input: Input,
    notices: Vec<Assembly>,
    /// Bytes held by incomplete messages.
    buffered: usize,
    events: VecDeque<Event>,

    /// Answers to the peer that do not belong to a request.
    control: Vec<u8>,
    /// Requests with a small frame to send.
    attention: VecDeque<RequestId>,
    /// The senders of the next frames, in order.
    turns: VecDeque<Turn>,
    /// Notices, and requests that must follow them, one after the other.
    lane: VecDeque<LaneItem>,
    /// Bytes of waiting messages.
    queued: usize,

    pings: VecDeque<u64>,
    next_ping: u64,
    last_input: Instant,
    keepalive_ping: Option<Instant>,
    /// In the order of their deadlines.
    cancels: VecDeque<(Instant, RequestId)>,
    /// How many requests of this side are abandoned.
    abandoned: usize,
    probe: Option<Probe>,
}

/// The minimum time that a peer has to answer a [`Probe`].
const MIN_PROBE_TIME: Duration = Duration::from_secs(5);

/// A ping that checks whether a peer that has not ended a cancelled request still works.
#[derive(Clone, Copy, Debug)]
struct Probe {
    token: u64,
    sent: Instant,
    request: RequestId,
}

impl Connection {
    /// Creates the controller's end of a new connection, which sends the preamble and `START` at
    /// once.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::InvalidConfig`], or [`TransportErrorKind::MessageTooLarge`] if the options do not fit
    /// in a frame.
    pub fn controller(
        now: Instant,
        start: StartOptions,
        config: TransportConfig,
    ) -> Result<Self, TransportError> {
        let handshake = Handshake::controller(now, start, &config)?;
        Self::new(now, Role::Controller, handshake, config)
    }

    /// Creates the agent's end of a new connection, which waits for `START`.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::InvalidConfig`].
    pub fn agent(now: Instant, config: TransportConfig) -> Result<Self, TransportError> {
        Self::new(now, Role::Agent, Handshake::agent(now, &config), config)
    }

    fn new(
        now: Instant,
        side: Role,
        handshake: Handshake,
        config: TransportConfig,
    ) -> Result<Self, TransportError> {
        config.check()?;
        let input = match side {
            Role::Agent => Input::start_of_frame(),
            Role::Controller => Input::Scanning,
        };
        Ok(Self {
            side,
            config,
            now,
            failed: None,
            handshake,
            presumed: None,
            numbers: Numbers::new(side),
            exchanges: RequestMap::default(),
            peer_requests: 0,
            peer_highest: 0,
            input,
            notices: Vec::new(),
            buffered: 0,
            events: VecDeque::new(),
            control: Vec::new(),
            attention: VecDeque::new(),
            turns: VecDeque::new(),
            lane: VecDeque::new(),
            queued: 0,
            pings: VecDeque::new(),
            next_ping: 0,
            last_input: now,
            keepalive_ping: None,
            cancels: VecDeque::new(),
            abandoned: 0,
            probe: None,
        })
    }

    /// Returns which end this is.
    pub fn side(&self) -> Role {
        self.side
    }

    /// Returns the configuration.
    pub fn config(&self) -> &TransportConfig {
        &self.config
    }

    /// Returns the bytes that came before the nonce: all of them until the agent has answered, and
    /// their last 4 KiB after that.
    pub fn noise(&self) -> &[u8] {
        self.handshake.noise()
    }

    /// Returns the error that ended the connection, if any.
    pub fn error(&self) -> Option<&TransportError> {
        self.failed.as_ref()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) must be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.failed.is_some() {
            return None;
        }
        let keepalive = self.config.keepalive.filter(|_| self.handshake.is_done()).and_then(|keepalive| {
            match self.keepalive_ping {
                Some(sent) => sent.checked_add(keepalive.timeout),
                None => self.last_input.checked_add(keepalive.interval),
            }
        });
        let cancel = self.cancels.front().map(|(deadline, _)| *deadline);
        let probe = self.probe.and_then(|probe| self.probe_deadline(probe));
        [self.handshake.deadline(), keepalive, cancel, probe].into_iter().flatten().min()
    }

    /// Handles the deadlines that have passed.
    ///
    /// # Errors
    ///
    /// A deadline that has passed ends the connection.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), TransportError> {
        self.check_failed()?;
        self.now = now;
        let result = self.expire(now).and_then(|()| self.check_worth());
        self.keep_failure(result)
    }

    /// Reports that no more bytes will come.
    ///
    /// # Errors
    ///
    /// Whether the end is an error depends on its position. For an agent, the end between two
    /// frames is the order to exit. A controller always gets an error; it knows itself whether it
    /// had closed its side.
    pub fn handle_eof(&mut self) -> Result<(), TransportError> {
        self.check_failed()?;
        let kind = if !self.handshake.is_done() {
            TransportErrorKind::NoHandshake
        } else if !self.input.is_at_start_of_frame() || self.buffered > 0 {
            TransportErrorKind::Truncated
        } else if self.side == Role::Agent {
            return Ok(());
        } else {
            TransportErrorKind::Disconnected
        };
        self.keep_failure(Err(kind.into()))
    }

    /// Sends the agent's `HELLO`. An agent sends nothing else before it.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`] if it does not fit in a frame.
    pub fn send_hello(&mut self, format: Format, payload: Payload) -> Result<(), TransportError> {
        self.handshake.send_hello(format, payload, &self.config)
    }

    /// Makes a request and returns its number.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`], [`TransportErrorKind::RequestsExhausted`] or
    /// [`TransportErrorKind::TooManyAbandoned`]. Nothing is sent in these cases.
    pub fn request(
        &mut self,
        operation: Operation,
        format: Format,
        payload: Payload,
        order: Order,
    ) -> Result<RequestId, TransportError> {
        self.check_failed()?;
        debug_assert!(operation.is_application(), "the transport's own operations are not requests");
        self.check_len(&payload)?;
        let limit = self.config.max_abandoned_requests;
        if self.abandoned >= limit {
            return Err(TransportErrorKind::TooManyAbandoned { limit }.into());
        }
        let exchanges = &self.exchanges;
        let id = self
            .numbers
            .take(exchanges.len(), |id| exchanges.contains_key(&id))
            .ok_or(TransportErrorKind::RequestsExhausted)?;
        self.queued += payload.len();
        let mut exchange = Exchange::new(Phase::Queued);
        exchange.message = Some(OutgoingMessage::new(operation, format, payload));
        self.exchanges.insert(id, exchange);
        match order {
            Order::AfterNotices if !self.lane.is_empty() => self.push_lane(LaneItem::Request(id)),
            Order::AfterNotices | Order::Any => self.turns.push_back(Turn::Message(id)),
        }
        Ok(id)
    }

    /// Sends a message that has no answer. Notices are sent in the order in which they are given.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`]. Nothing is sent in this case.
    pub fn notice(
        &mut self,
        operation: Operation,
        format: Format,
        payload: Payload,
    ) -> Result<(), TransportError> {
        self.check_failed()?;
        debug_assert!(operation.is_application(), "the transport's own operations are not notices");
        self.check_len(&payload)?;
        self.queued += payload.len();
        self.push_lane(LaneItem::Notice(OutgoingMessage::new(operation, format, payload)));
        Ok(())
    }

    /// Answers a request of the peer. Nothing happens if it has been answered or the number is unknown.
    ///
    /// [`AnswerKind::Fail`] ends the request's streams.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`]: the request is still to be answered.
    pub fn reply(
        &mut self,
        request: RequestId,
        kind: AnswerKind,
        format: Format,
        payload: Payload,
    ) -> Result<(), TransportError> {
        self.check_failed()?;
        self.check_len(&payload)?;
        let Some(exchange) = self.exchanges.get_mut(&request) else { return Ok(()) };
        if exchange.phase != Phase::Serving {
            return Ok(());
        }
        let operation = match kind {
            AnswerKind::Reply => Operation::REPLY,
            AnswerKind::Fail => Operation::FAIL,
        };
        if kind == AnswerKind::Fail {
            exchange.kill_streams();
        }
        self.queued += payload.len();
        exchange.phase = Phase::Answering;
        exchange.message = Some(OutgoingMessage::new(operation, format, payload));
        self.turns.push_back(Turn::Message(request));
        Ok(())
    }

    /// Answers a request of the peer with a failure that comes from the transport.
    pub fn refuse(&mut self, request: RequestId, refusal: Refusal) {
        let payload = Payload::from(Bytes::copy_from_slice(&[refusal.code()]));
        // The one byte is over the limit only if nothing can be sent at all.
        let _ = self.reply(request, AnswerKind::Fail, Format::None, payload);
    }

    /// Cancels a request of this side.
    ///
    /// If a part of the request has been sent, the peer is notified, and
    /// [`Event::CancelAcknowledged`] follows when the peer has ended the request. If the peer does
    /// not end it within the configured grace period, the request is abandoned: its number stays in
    /// use, and the peer must answer a ping. If no part of the request has been sent, it is removed
    /// without a trace. After the answer has arrived, only streams can be left to cancel, and no
    /// event follows.
    pub fn cancel(&mut self, now: Instant, request: RequestId) {
        if self.failed.is_some() || request.side() != self.side {
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        if exchange.cancelled {
            return;
        }
        if let Some(message) = exchange.message.take() {
            self.queued -= message.remaining;
        }
        if exchange.phase == Phase::Queued {
            self.exchanges.remove(&request);
            return;
        }
        let streams_are_over = exchange.is_over();
        exchange.kill_streams();
        exchange.cancelled = true;
        if exchange.phase == Phase::Answered {
            exchange.cancel_due = !streams_are_over;
        } else {
            exchange.phase = Phase::Awaiting;
            exchange.cancel_due = true;
            if let Some(assembly) = &mut exchange.assembly {
                self.buffered -= assembly.discard();
            }
            if let Some(deadline) = now.checked_add(self.config.cancel_grace) {
                exchange.cancel_deadline = Some(deadline);
                self.cancels.push_back((deadline, request));
            }
        }
        self.call_attention(request);
        self.settle(request);
    }

    /// Sends a ping and returns the token that [`Event::Pong`] will contain.
    pub fn ping(&mut self) -> u64 {
        let token = self.next_ping;
        self.next_ping = self.next_ping.wrapping_add(1);
        self.pings.push_back(token);
        self.push_control(Operation::PING, 0, &token.to_be_bytes());
        token
    }

    /// Returns how many bytes of messages wait to be sent.
    pub fn queued_len(&self) -> usize {
        self.queued
    }

    /// Returns how many requests of either side are open.
    pub fn open_requests(&self) -> usize {
        self.exchanges.len()
    }

    #[cfg(any(test, feature = "tokio"))]
    /// Returns the last time that was passed to the connection.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    fn check_failed(&self) -> Result<(), TransportError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn keep_failure(&mut self, result: Result<(), TransportError>) -> Result<(), TransportError> {
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn check_len(&self, payload: &Payload) -> Result<(), TransportError> {
        let limit = self.handshake.peer_limit().min(self.config.max_message_len);
        if payload.len() > limit {
            return Err(TransportErrorKind::MessageTooLarge { len: payload.len(), limit }.into());
        }
        Ok(())
    }

    fn expire(&mut self, now: Instant) -> Result<(), TransportError> {
        if let (Some(deadline), Some(timeout)) = (self.handshake.deadline(), self.config.handshake_timeout)
            && now >= deadline
        {
            return Err(TransportErrorKind::HandshakeTimeout { timeout }.into());
        }
        if let Some(keepalive) = self.config.keepalive
            && self.handshake.is_done()
        {
            let is_past =
                |start: Instant, wait: Duration| start.checked_add(wait).is_some_and(|due| now >= due);
            match self.keepalive_ping {
                Some(sent) if is_past(sent, keepalive.timeout) => {
                    return Err(TransportErrorKind::KeepaliveTimeout { timeout: keepalive.timeout }.into());
                }
                None if is_past(self.last_input, keepalive.interval) => {
                    self.keepalive_ping = Some(now);
                    self.ping();
                }
                Some(_) | None => {}
            }
        }
        while let Some((deadline, request)) = self.cancels.front().copied()
            && now >= deadline
        {
            self.cancels.pop_front();
            let exchange = self.exchanges.get(&request).filter(|exchange| exchange.cancelled);
            match exchange.and_then(|exchange| exchange.cancel_deadline) {
                None => {}
                // Parts of its reply have come meanwhile: the work is over and only bytes are under way.
                Some(later) if later > now => self.cancels.push_back((later, request)),
                Some(_) => self.abandon(now, request),
            }
        }
        if let Some(probe) = self.probe
            && self.probe_deadline(probe).is_some_and(|deadline| now >= deadline)
        {
            let kind = TransportErrorKind::CancelTimeout { grace: self.config.cancel_grace };
            return Err(TransportError::of_request(probe.request, kind));
        }
        Ok(())
    }

    /// Stops waiting for the end of a cancelled request, but checks that the peer still works.
    fn abandon(&mut self, now: Instant, request: RequestId) {
        if let Some(exchange) = self.exchanges.get_mut(&request) {
            exchange.cancel_deadline = None;
            exchange.abandoned = true;
            self.abandoned += 1;
        }
        if self.probe.is_none() {
            let token = self.ping();
            self.probe = Some(Probe { token, sent: now, request });
        }
    }

    /// Returns when a peer that has not answered is given up. Any bytes that it sends meanwhile
    /// show that it lives.
    ///
    /// A short grace period depends on the cancelled work, and not on the connection to the peer.
    fn probe_deadline(&self, probe: Probe) -> Option<Instant> {
        probe.sent.max(self.last_input).checked_add(self.config.cancel_grace.max(MIN_PROBE_TIME))
    }

    /// Ends a connection that is of no further use: no request can be made, and none is waited for.
    fn check_worth(&self) -> Result<(), TransportError> {
        let limit = self.config.max_abandoned_requests;
        if self.abandoned < limit {
            return Ok(());
        }
        let is_used =
            self.exchanges.iter().any(|(id, exchange)| id.side() == self.side && !exchange.abandoned);
        if is_used { Ok(()) } else { Err(TransportErrorKind::TooManyAbandoned { limit }.into()) }
    }

    /// Forgets the request if it is over.
    fn settle(&mut self, request: RequestId) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        if !exchange.is_over() {
            return;
        }
        self.exchanges.remove(&request);
        if request.side() != self.side {
            self.peer_requests -= 1;
        }
    }
}

/// When a request may be sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Order {
    /// At its turn.
    #[default]
    Any,
    /// When all notices that were given before it have been sent, because the peer needs them
    /// first.
    AfterNotices,
}
