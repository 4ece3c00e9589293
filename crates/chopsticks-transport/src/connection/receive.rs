//! Received bytes, which are cut into frames and passed to their requests.
//!
//! Payloads are processed piece by piece as they arrive. So no frame has to be in memory as a
//! whole, and no memory is reserved for bytes that are only announced.

use std::time::Instant;

use super::Connection;
use super::event::{Answer, AnswerKind, Event, Hello, Message, Refusal};
use super::exchange::{Assembly, Exchange, Phase};
use super::stream::{Ending, IncomingState, OutgoingState};
use super::transmit::DECLINED;
use crate::error::{PeerFault, TransportError, TransportErrorKind};
use crate::format::Format;
use crate::frame::{FrameHeader, HEADER_LEN};
use crate::operation::Operation;
use crate::request::RequestId;

/// The meaning of the next bytes.
#[derive(Debug)]
pub(super) enum Input {
    /// Noise, or the nonce.
    Scanning,
    Header {
        bytes: [u8; HEADER_LEN],
        filled: usize,
    },
    /// The payload of a small operation, which is processed as a whole.
    Small {
        header: FrameHeader,
        bytes: [u8; MAX_SMALL],
        filled: usize,
    },
    /// Any other payload.
    Body {
        header: FrameHeader,
        remaining: usize,
    },
}

impl Input {
    pub(super) fn start_of_frame() -> Self {
        Self::Header { bytes: [0; HEADER_LEN], filled: 0 }
    }

    pub(super) fn is_at_start_of_frame(&self) -> bool {
        matches!(self, Self::Header { filled: 0, .. })
    }
}

impl Connection {
    /// Processes bytes that have come from the peer.
    ///
    /// # Errors
    ///
    /// The error if the peer violates the protocol, which ends the connection.
    pub fn handle_input(&mut self, now: Instant, input: &[u8]) -> Result<(), TransportError> {
        self.check_failed()?;
        self.now = now;
        self.last_input = now;
        self.keepalive_ping = None;
        let result = self.receive(input).and_then(|()| self.check_worth());
        self.keep_failure(result)
    }

    fn receive(&mut self, mut input: &[u8]) -> Result<(), TransportError> {
        while !input.is_empty() {
            match &mut self.input {
                Input::Scanning => {
                    let Some(rest) = self.handshake.scan(input)? else { return Ok(()) };
                    input = rest;
                    self.input = Input::start_of_frame();
                }
                Input::Header { bytes, filled } => {
                    let (piece, rest) = split(input, HEADER_LEN - *filled);
                    bytes[*filled..*filled + piece.len()].copy_from_slice(piece);
                    *filled += piece.len();
                    input = rest;
                    if *filled < HEADER_LEN {
                        return Ok(());
                    }
                    let bytes = *bytes;
                    let header =
                        FrameHeader::decode(bytes).map_err(|fault| TransportError::of_peer(None, fault))?;
                    self.begin_frame(header)?;
                    let size = header.size as usize;
                    if let Some((payload, rest)) = input.split_at_checked(size) {
                        self.input = Input::start_of_frame();
                        input = rest;
                        self.handle_frame(header, payload)?;
                    } else if is_small(header.operation) {
                        self.input = Input::Small { header, bytes: [0; MAX_SMALL], filled: 0 };
                    } else {
                        self.input = Input::Body { header, remaining: size };
                    }
                }
                Input::Small { header, bytes, filled } => {
                    let size = header.size as usize;
                    let (piece, rest) = split(input, size - *filled);
                    bytes[*filled..*filled + piece.len()].copy_from_slice(piece);
                    *filled += piece.len();
                    input = rest;
                    if *filled < size {
                        return Ok(());
                    }
                    let (header, bytes) = (*header, *bytes);
                    self.input = Input::start_of_frame();
                    self.handle_frame(header, &bytes[..size])?;
                }
                Input::Body { header, remaining } => {
                    let (piece, rest) = split(input, *remaining);
                    *remaining -= piece.len();
                    input = rest;
                    let (header, is_last) = (*header, *remaining == 0);
                    self.feed(header, piece)?;
                    if is_last {
                        self.input = Input::start_of_frame();
                        self.finish_frame(header)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks a header and prepares for its payload.
    fn begin_frame(&mut self, header: FrameHeader) -> Result<(), TransportError> {
        let request = RequestId::new(header.request);
        self.check_header(header).map_err(|fault| TransportError::of_peer(request, fault))
    }

    fn check_header(&mut self, header: FrameHeader) -> Result<(), PeerFault> {
        let FrameHeader { size, operation, .. } = header;
        if size as usize > self.config.max_frame_len {
            return Err(PeerFault::FrameTooLarge { len: size, limit: self.config.max_frame_len });
        }
        if let Some(expected) = self.handshake.expected() {
            if operation != expected || header.request != 0 {
                return Err(PeerFault::HandshakeExpected { operation });
            }
            if header.more {
                return Err(PeerFault::MoreUnexpected { operation });
            }
            self.notices.push(Assembly::new(operation, header.format));
            return Ok(());
        }
        if operation.is_application() {
            return match RequestId::new(header.request) {
                None => self.begin_notice(header),
                Some(id) => self.begin_request(header, id),
            };
        }
        if matches!(operation, Operation::REPLY | Operation::FAIL) {
            return self.begin_answer(header);
        }
        if header.more {
            return Err(PeerFault::MoreUnexpected { operation });
        }
        if header.format != Format::None {
            return Err(PeerFault::FormatUnexpected { operation });
        }
        let lens: &[u32] = match operation {
            Operation::DATA => return self.begin_data(header),
            Operation::CANCEL => &[0],
            Operation::CREDIT | Operation::RESET => &[4],
            Operation::END => &[0, 4],
            Operation::PING | Operation::PONG if size as usize <= MAX_SMALL => return Ok(()),
            Operation::PING | Operation::PONG => &[],
            _ => return Err(PeerFault::OperationUnexpected { operation }),
        };
        if lens.contains(&size) { Ok(()) } else { Err(PeerFault::WrongLength { operation, len: size }) }
    }

    fn begin_notice(&mut self, header: FrameHeader) -> Result<(), PeerFault> {
        let size = header.size as usize;
        let limit = self.config.max_request_len;
        let partial = self.notices.iter().find(|notice| notice.operation == header.operation);
        let came = match partial {
            Some(notice) if notice.format != header.format => return Err(PeerFault::FormatChanged),
            Some(notice) => notice.len(),
            None => 0,
        };
        if came + size > limit || self.buffered + size > self.config.max_buffered_len {
            return Err(PeerFault::NoticeTooLarge { limit });
        }
        if partial.is_none() {
            // Operations are one byte, so there are at most 224 of them at once.
            self.notices.push(Assembly::new(header.operation, header.format));
        }
        Ok(())
    }

    fn begin_request(&mut self, header: FrameHeader, id: RequestId) -> Result<(), PeerFault> {
        let FrameHeader { operation, request, .. } = header;
        if id.side() == self.side {
            return Err(PeerFault::WrongParity { operation, request });
        }
        if !self.exchanges.contains_key(&id) {
            let limit = self.config.max_peer_requests;
            if self.peer_requests >= limit {
                return Err(PeerFault::TooManyRequests { limit });
            }
            self.peer_requests += 1;
            self.peer_highest = self.peer_highest.max(request);
            let mut exchange = Exchange::new(Phase::Arriving);
            exchange.assembly = Some(Assembly::new(operation, header.format));
            self.exchanges.insert(id, exchange);
        }
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Ok(()) };
        let Some(assembly) = exchange.assembly.as_mut().filter(|_| exchange.phase == Phase::Arriving) else {
            return Err(PeerFault::RequestReused { request });
        };
        if assembly.operation != operation {
            return Err(PeerFault::MessageInterleaved { operation });
        }
        if assembly.format != header.format {
            return Err(PeerFault::FormatChanged);
        }
        let size = header.size as usize;
        let is_too_long = assembly.len() + size > self.config.max_request_len;
        if is_too_long || self.buffered + size > self.config.max_buffered_len {
            self.buffered -= assembly.discard();
        }
        Ok(())
    }

    fn begin_answer(&mut self, header: FrameHeader) -> Result<(), PeerFault> {
        let FrameHeader { operation, request, .. } = header;
        let unexpected = PeerFault::AnswerUnexpected { operation, request };
        let Some(id) = RequestId::new(request) else { return Err(unexpected) };
        if id.side() != self.side {
            return Err(PeerFault::WrongParity { operation, request });
        }
        let Some(exchange) = self.exchanges.get_mut(&id).filter(|exchange| exchange.phase == Phase::Awaiting)
        else {
            return Err(unexpected);
        };
        // A peer may give up a reply and fail instead.
        if let Some(partial) = &mut exchange.assembly
            && partial.operation == Operation::REPLY
            && operation == Operation::FAIL
        {
            self.buffered -= partial.discard();
            exchange.assembly = None;
        }
        if let Some(deadline) = &mut exchange.cancel_deadline
            && let Some(later) = self.now.checked_add(self.config.cancel_grace)
        {
            *deadline = later;
        }
        let is_cancelled = exchange.cancelled;
        let assembly = exchange.assembly.get_or_insert_with(|| {
            let mut assembly = Assembly::new(operation, header.format);
            assembly.oversize = is_cancelled;
            assembly
        });
        if assembly.operation != operation {
            return Err(PeerFault::MessageInterleaved { operation });
        }
        if assembly.format != header.format {
            return Err(PeerFault::FormatChanged);
        }
        let size = header.size as usize;
        let is_too_long = assembly.len() + size > self.config.reply_limit();
        if !assembly.oversize && (is_too_long || self.buffered + size > self.config.max_buffered_len) {
            self.buffered -= assembly.discard();
            self.events.push_back(Event::ReplyTooLarge { request: id });
        }
        Ok(())
    }

    fn begin_data(&mut self, header: FrameHeader) -> Result<(), PeerFault> {
        let Some(exchange) = self.find_exchange(header)?.filter(|exchange| !exchange.cancelled) else {
            return Ok(());
        };
        let incoming = &mut exchange.streams().incoming;
        match incoming.state {
            IncomingState::Done => Ok(()),
            IncomingState::Ended(_) => Err(PeerFault::DataAfterEnd),
            IncomingState::Idle | IncomingState::Open => {
                let len = header.size;
                let credit = incoming.allowance;
                incoming.allowance =
                    credit.checked_sub(u64::from(len)).ok_or(PeerFault::DataBeyondCredit { len, credit })?;
                Ok(())
            }
        }
    }

    /// Finds the request of a stream's frame. Returns `None` if the request has ended on this side.
    fn find_exchange(&mut self, header: FrameHeader) -> Result<Option<&mut Exchange>, PeerFault> {
        let FrameHeader { operation, request, .. } = header;
        let unknown = PeerFault::UnknownRequest { operation, request };
        let Some(id) = RequestId::new(request) else { return Err(unknown) };
        let was_open = if id.side() == self.side {
            self.numbers.was_taken(id)
        } else {
            id.number() <= self.peer_highest
        };
        match self.exchanges.get_mut(&id) {
            // The peer cannot know of it yet, or has not made it yet.
            Some(exchange) if matches!(exchange.phase, Phase::Queued | Phase::Sending) => Err(unknown),
            Some(exchange) if exchange.phase == Phase::Arriving => {
                Err(PeerFault::MessageInterleaved { operation })
            }
            Some(exchange) => Ok(Some(exchange)),
            None if was_open => Ok(None),
            None => Err(unknown),
        }
    }

    /// Handles a frame whose payload is complete.
    fn handle_frame(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), TransportError> {
        if !is_small(header.operation) {
            self.feed(header, payload)?;
            return self.finish_frame(header);
        }
        let request = RequestId::new(header.request);
        let of_peer = |fault| TransportError::of_peer(request, fault);
        let number = payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match header.operation {
            Operation::PING | Operation::PONG if request.is_some() => {
                let FrameHeader { operation, request, .. } = header;
                Err(of_peer(PeerFault::UnknownRequest { operation, request }))
            }
            Operation::PING => self.push_answer(Operation::PONG, 0, payload),
            Operation::PONG => self.handle_pong(payload).map_err(of_peer),
            Operation::CANCEL => self.handle_cancel(header).map_err(of_peer),
            Operation::CREDIT => self.handle_credit(header, number.unwrap_or(0)),
            Operation::RESET => self.handle_reset(header, number.unwrap_or(0)).map_err(of_peer),
            _ => self.handle_end(header, number).map_err(of_peer),
        }
    }

    /// Handles a piece of a message or a stream, which [`begin_frame`](Self::begin_frame) has
    /// accepted.
    fn feed(&mut self, header: FrameHeader, piece: &[u8]) -> Result<(), TransportError> {
        let Some(id) = RequestId::new(header.request) else {
            if let Some(notice) = self.notices.iter_mut().find(|notice| notice.operation == header.operation)
            {
                let len = notice.len() + piece.len();
                self.buffered += notice.push(piece).map_err(|_| TransportErrorKind::OutOfMemory { len })?;
            }
            return Ok(());
        };
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Ok(()) };
        if header.operation != Operation::DATA {
            let Some(assembly) = &mut exchange.assembly else { return Ok(()) };
            let len = assembly.len() + piece.len();
            match assembly.push(piece) {
                Ok(kept) => self.buffered += kept,
                Err(_) => {
                    self.buffered -= assembly.discard();
                    // A request of the peer is refused when the rest of it has come.
                    if exchange.phase == Phase::Awaiting {
                        self.events.push_back(Event::OutOfMemory { request: id, len });
                    }
                }
            }
            return Ok(());
        }
        if let Some(streams) = &mut exchange.streams
            && streams.incoming.state == IncomingState::Open
            && !piece.is_empty()
        {
            if streams.incoming.buffer.is_empty() {
                self.events.push_back(Event::Readable { request: id });
            }
            streams.incoming.buffer.push(piece);
        }
        Ok(())
    }

    /// Ends a frame, and its message if it is the last frame.
    fn finish_frame(&mut self, header: FrameHeader) -> Result<(), TransportError> {
        if header.operation == Operation::DATA {
            return self.finish_data(header);
        }
        if header.more {
            return Ok(());
        }
        let Some(id) = RequestId::new(header.request) else {
            let position = self.notices.iter().position(|notice| notice.operation == header.operation);
            return match position.map(|position| self.notices.swap_remove(position)) {
                Some(assembly) => self.finish_notice(assembly),
                None => Ok(()),
            };
        };
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Ok(()) };
        let Some(assembly) = exchange.assembly.take() else { return Ok(()) };
        self.buffered -= assembly.len();
        if exchange.phase == Phase::Arriving {
            exchange.phase = Phase::Serving;
            if assembly.oversize {
                self.refuse(id, Refusal::TooLarge);
            } else {
                let presumed = self.presumed.filter(|(operation, _)| *operation == assembly.operation);
                self.events.push_back(Event::Request { request: id, message: message(assembly) });
                if let Some((_, bytes)) = presumed {
                    // A request that has just arrived is neither answered nor has it streams.
                    let _ = self.open_reader(id);
                    self.presume_allowance(id, bytes);
                }
            }
            return Ok(());
        }
        exchange.phase = Phase::Answered;
        exchange.cancel_deadline = None;
        if std::mem::take(&mut exchange.abandoned) {
            self.abandoned -= 1;
        }
        let kind = if assembly.operation == Operation::FAIL { AnswerKind::Fail } else { AnswerKind::Reply };
        let is_cancelled = exchange.cancelled;
        if kind == AnswerKind::Fail {
            exchange.fail_streams();
        } else if let Some(streams) = &mut exchange.streams {
            // Whoever answers gives its first credit before, or never.
            if !streams.outgoing.was_credited && streams.outgoing.state == OutgoingState::Open {
                streams.outgoing.reset(0);
                self.events.push_back(Event::Writable { request: id });
            }
            if !streams.incoming.is_wanted {
                streams.incoming.kill();
            }
            if exchange.decline_stream() {
                self.push_control(Operation::END, header.request, &DECLINED);
            }
            self.schedule_stream(id);
        }
        if is_cancelled {
            self.events.push_back(Event::CancelAcknowledged { request: id });
            self.forget_cancels();
        } else if !assembly.oversize {
            let reply = Answer { kind, format: assembly.format, payload: assembly.finish() };
            self.events.push_back(Event::Reply { request: id, reply });
        }
        self.settle(id);
        Ok(())
    }

    fn finish_data(&mut self, header: FrameHeader) -> Result<(), TransportError> {
        let Some(id) = RequestId::new(header.request).filter(|_| header.size == 0) else { return Ok(()) };
        // An empty frame asks whether anybody wants the stream.
        let is_wanted = self.exchanges.get(&id).is_some_and(|exchange| {
            let state = exchange.streams.as_ref().map(|streams| streams.incoming.state);
            !matches!(state, None | Some(IncomingState::Done))
        });
        if is_wanted {
            return Ok(());
        }
        self.push_answer(Operation::RESET, header.request, &DECLINED)
    }

    fn finish_notice(&mut self, assembly: Assembly) -> Result<(), TransportError> {
        self.buffered -= assembly.len();
        match assembly.operation {
            Operation::HELLO => {
                let format = assembly.format;
                let payload = self.handshake.handle_hello(&assembly.finish())?;
                self.events.push_back(Event::Hello(Hello { format, payload }));
            }
            Operation::START => {
                let start = self.handshake.handle_start(&assembly.finish(), &self.config)?;
                self.events.push_back(Event::Started(start));
            }
            _ => self.events.push_back(Event::Notice(message(assembly))),
        }
        Ok(())
    }

    fn handle_pong(&mut self, payload: &[u8]) -> Result<(), PeerFault> {
        let token = self.pings.pop_front().ok_or(PeerFault::PongUnexpected)?;
        if payload != token.to_be_bytes() {
            return Err(PeerFault::PongUnexpected);
        }
        if self.probe.is_some_and(|probe| probe.token == token) {
            self.probe = None;
            return Ok(());
        }
        self.events.push_back(Event::Pong { token });
        Ok(())
    }

    fn handle_cancel(&mut self, header: FrameHeader) -> Result<(), PeerFault> {
        let FrameHeader { operation, request, .. } = header;
        let Some(id) = RequestId::new(request) else {
            return Err(PeerFault::UnknownRequest { operation, request });
        };
        if id.side() == self.side {
            return Err(PeerFault::WrongParity { operation, request });
        }
        let Some(exchange) = self.exchanges.get_mut(&id) else {
            // It may have been answered while the two crossed.
            let was_open = request <= self.peer_highest;
            return if was_open { Ok(()) } else { Err(PeerFault::UnknownRequest { operation, request }) };
        };
        if exchange.cancelled {
            return Ok(());
        }
        exchange.cancelled = true;
        exchange.kill_streams();
        match exchange.phase {
            Phase::Arriving => {
                if let Some(assembly) = exchange.assembly.take() {
                    self.buffered -= assembly.len();
                }
                exchange.phase = Phase::Serving;
                self.refuse(id, Refusal::Cancelled);
            }
            Phase::Serving => self.events.push_back(Event::Cancelled { request: id }),
            Phase::Answering => {
                // Nobody reads the rest of the reply any more.
                if let Some(message) = &exchange.message
                    && message.operation == Operation::REPLY
                {
                    self.queued -= message.remaining;
                    exchange.message = None;
                    exchange.phase = Phase::Serving;
                    self.refuse(id, Refusal::Cancelled);
                }
                self.events.push_back(Event::Cancelled { request: id });
            }
            Phase::Answered | Phase::Queued | Phase::Sending | Phase::Awaiting => {
                self.events.push_back(Event::Cancelled { request: id });
                self.settle(id);
            }
        }
        Ok(())
    }

    fn handle_credit(&mut self, header: FrameHeader, bytes: u32) -> Result<(), TransportError> {
        let id = RequestId::new(header.request);
        let of_peer = |fault| TransportError::of_peer(id, fault);
        match self.find_exchange(header).map_err(of_peer)? {
            Some(exchange) if exchange.cancelled => {}
            Some(exchange) => {
                exchange.streams().outgoing.add_credit(bytes).map_err(of_peer)?;
                if exchange.phase == Phase::Answered && exchange.decline_stream() {
                    return self.push_answer(Operation::END, header.request, &DECLINED);
                }
            }
            // Whoever waits for that stream is to learn that nothing will come.
            None => return self.push_answer(Operation::END, header.request, &DECLINED),
        }
        if let Some(id) = id {
            self.schedule_stream(id);
        }
        Ok(())
    }

    fn handle_reset(&mut self, header: FrameHeader, reason: u32) -> Result<(), PeerFault> {
        let Some(exchange) = self.find_exchange(header)? else { return Ok(()) };
        if exchange.streams.is_none() && !exchange.may_open_streams() {
            return Ok(());
        }
        // It may come together with the request, before anyone here could open the stream.
        let outgoing = &mut exchange.streams().outgoing;
        let Some(id) = RequestId::new(header.request) else { return Ok(()) };
        match outgoing.state {
            // Nobody here needs to open it any more.
            OutgoingState::Idle => {
                outgoing.reset = Some(reason);
                outgoing.state = OutgoingState::Ended;
            }
            OutgoingState::Open => {
                outgoing.reset(reason);
                self.events.push_back(Event::Writable { request: id });
                self.schedule_stream(id);
            }
            OutgoingState::Ended => {}
        }
        Ok(())
    }

    fn handle_end(&mut self, header: FrameHeader, reason: Option<u32>) -> Result<(), PeerFault> {
        let Some(exchange) = self.find_exchange(header)? else { return Ok(()) };
        let incoming = &mut exchange.streams().incoming;
        let Some(id) = RequestId::new(header.request) else { return Ok(()) };
        if matches!(incoming.state, IncomingState::Ended(_) | IncomingState::Done) {
            return Ok(());
        }
        incoming.state = IncomingState::Ended(reason.map_or(Ending::Complete, Ending::Aborted));
        incoming.credit_due = 0;
        self.events.push_back(Event::Readable { request: id });
        self.settle(id);
        Ok(())
    }

    /// Drops deadlines at the front of the queue that no longer matter, so that no timer is set for them.
    fn forget_cancels(&mut self) {
        while let Some((_, request)) = self.cancels.front()
            && self.exchanges.get(request).is_none_or(|exchange| exchange.cancel_deadline.is_none())
        {
            self.cancels.pop_front();
        }
    }
}

fn message(assembly: Assembly) -> Message {
    let (operation, format) = (assembly.operation, assembly.format);
    Message { operation, format, payload: assembly.finish() }
}

fn split(input: &[u8], len: usize) -> (&[u8], &[u8]) {
    input.split_at(len.min(input.len()))
}

fn is_small(operation: Operation) -> bool {
    (Operation::CANCEL..=Operation::PONG).contains(&operation)
        || (Operation::END..=Operation::RESET).contains(&operation)
}

/// The longest payload of a ping, which is the longest of the small operations.
const MAX_SMALL: usize = 64;
