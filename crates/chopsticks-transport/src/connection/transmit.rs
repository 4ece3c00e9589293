//! Sending: which frame is next.

use super::exchange::Phase;
use super::stream::{Ending, OutgoingState};
use super::{Connection, Event};
use crate::error::{PeerFault, TransportError};
use crate::frame::FrameHeader;
use crate::operation::Operation;
use crate::outbox::Outbox;
use crate::payload::OutgoingMessage;
use crate::request::RequestId;

/// A turn to send one frame. Turns of requests that have ended meanwhile are skipped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The first entry of the lane.
    Lane,
    /// The request's message or the answer to it.
    Message(RequestId),
    /// The request's stream.
    Stream(RequestId),
}

/// An entry of the lane, in which complete messages follow one another.
#[derive(Debug)]
pub(super) enum LaneItem {
    Notice(OutgoingMessage),
    Request(RequestId),
}

impl Connection {
    /// Moves frames that may be sent now to `outbox`, until it has `enough` bytes or no frame is
    /// left.
    ///
    /// Bytes in the outbox cannot be overtaken, so an I/O task requests little more than it can write.
    pub fn transmit(&mut self, outbox: &mut Outbox, enough: usize) {
        // A connection that has failed still says its version, so that both sides can name both.
        for bytes in self.handshake.take_words() {
            outbox.push(bytes);
        }
        if self.failed.is_some() || !self.handshake.may_follow() {
            return;
        }
        loop {
            // A turn can give rise to small frames, and they are not to wait for another occasion.
            while let Some(request) = self.attention.pop_front() {
                self.transmit_attention(request, outbox);
            }
            outbox.push_slice(&self.control);
            self.control.clear();
            if outbox.len() >= enough {
                return;
            }
            let Some(turn) = self.turns.pop_front() else { return };
            match turn {
                Turn::Lane => self.transmit_lane(outbox),
                Turn::Message(request) => {
                    if self.transmit_message(request, outbox) {
                        self.turns.push_back(turn);
                    }
                }
                Turn::Stream(request) => self.transmit_stream(request, outbox),
            }
        }
    }

    /// Returns whether [`transmit`](Self::transmit) would find something to send.
    pub fn has_output(&self) -> bool {
        self.handshake.has_words()
            || !self.control.is_empty()
            || !self.attention.is_empty()
            || !self.turns.is_empty()
    }

    pub(super) fn push_control(&mut self, operation: Operation, request: u32, payload: &[u8]) {
        push_frame(&mut self.control, operation, request, payload);
    }

    /// Queues an answer of a kind that the peer can provoke without limit.
    pub(super) fn push_answer(
        &mut self,
        operation: Operation,
        request: u32,
        payload: &[u8],
    ) -> Result<(), TransportError> {
        self.push_control(operation, request, payload);
        if self.control.len() > MAX_CONTROL_LEN {
            return Err(TransportError::of_peer(None, PeerFault::TooManyQuestions));
        }
        Ok(())
    }

    pub(super) fn push_lane(&mut self, item: LaneItem) {
        if self.lane.is_empty() {
            self.turns.push_back(Turn::Lane);
        }
        self.lane.push_back(item);
    }

    /// Queues the request if it has a small frame to send.
    pub(super) fn call_attention(&mut self, request: RequestId) {
        if let Some(exchange) = self.exchanges.get_mut(&request)
            && !exchange.in_attention
            && exchange.has_attention()
        {
            exchange.in_attention = true;
            self.attention.push_back(request);
        }
    }

    /// Queues the request's stream if it has something to send.
    pub(super) fn schedule_stream(&mut self, request: RequestId) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        // Nothing follows a request before all of it has left.
        if matches!(exchange.phase, Phase::Queued | Phase::Sending) {
            return;
        }
        if let Some(streams) = &mut exchange.streams
            && !streams.outgoing.in_turns
            && streams.outgoing.is_ready()
        {
            streams.outgoing.in_turns = true;
            self.turns.push_back(Turn::Stream(request));
        }
    }

    fn transmit_attention(&mut self, request: RequestId, outbox: &mut Outbox) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        exchange.in_attention = false;
        // It comes back when the request has left.
        if matches!(exchange.phase, Phase::Queued | Phase::Sending) {
            return;
        }
        let number = request.number();
        if std::mem::take(&mut exchange.cancel_due) {
            put_frame(outbox, Operation::CANCEL, number, &[]);
        }
        if let Some(streams) = &mut exchange.streams {
            if let Some(reason) = streams.incoming.reset_due.take() {
                put_frame(outbox, Operation::RESET, number, &reason.to_be_bytes());
            }
            let credit = std::mem::take(&mut streams.incoming.credit_due);
            if credit > 0 {
                put_frame(outbox, Operation::CREDIT, number, &credit.to_be_bytes());
            }
        }
        self.settle(request);
    }

    fn transmit_lane(&mut self, outbox: &mut Outbox) {
        let has_more = match self.lane.front_mut() {
            None => return,
            Some(LaneItem::Request(request)) => {
                let request = *request;
                self.transmit_message(request, outbox)
            }
            Some(LaneItem::Notice(message)) => {
                let before = message.remaining;
                put_message_frame(outbox, 0, message, self.config.frame_len);
                self.queued -= before - message.remaining;
                message.remaining > 0
            }
        };
        if !has_more {
            self.lane.pop_front();
        }
        if !self.lane.is_empty() {
            self.turns.push_back(Turn::Lane);
        }
    }

    /// Sends one frame of the request's message. Returns whether more follow.
    fn transmit_message(&mut self, request: RequestId, outbox: &mut Outbox) -> bool {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return false };
        let Some(message) = &mut exchange.message else { return false };
        let before = message.remaining;
        put_message_frame(outbox, request.number(), message, self.config.frame_len);
        self.queued -= before - message.remaining;
        if message.remaining > 0 {
            if exchange.phase == Phase::Queued {
                exchange.phase = Phase::Sending;
            }
            return true;
        }
        exchange.message = None;
        if request.side() == self.side {
            exchange.phase = Phase::Awaiting;
            if exchange.streams.is_some() {
                self.call_attention(request);
                self.schedule_stream(request);
            }
        } else {
            exchange.phase = Phase::Answered;
            let declined = exchange.decline_stream();
            let is_unasked = exchange.streams.as_ref().is_some_and(|streams| {
                streams.outgoing.state == OutgoingState::Open && !streams.outgoing.was_credited
            });
            if is_unasked {
                // It would wait for ever if nobody wants it.
                put_frame(outbox, Operation::DATA, request.number(), &[]);
            }
            if declined {
                self.push_control(Operation::END, request.number(), &DECLINED);
            }
            self.settle(request);
        }
        false
    }

    fn transmit_stream(&mut self, request: RequestId, outbox: &mut Outbox) {
        let room_from = self.config.frame_len;
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        let Some(streams) = &mut exchange.streams else { return };
        let outgoing = &mut streams.outgoing;
        outgoing.in_turns = false;
        if !outgoing.is_ready() {
            return;
        }
        let number = request.number();
        let credit = usize::try_from(outgoing.credit).unwrap_or(usize::MAX);
        let len = outgoing.queued.min(self.config.frame_len).min(credit);
        if len > 0 {
            let size = u32::try_from(len).expect("frame_len is below 4 GiB");
            outbox.push_slice(&FrameHeader::plain(size, number, Operation::DATA).encode());
            outgoing.credit -= u64::from(size);
            outgoing.queued -= len;
            let mut remaining = len;
            while remaining > 0
                && let Some(chunk) = outgoing.queue.front_mut()
            {
                let piece = if chunk.len() <= remaining {
                    outgoing.queue.pop_front().unwrap_or_default()
                } else {
                    chunk.split_to(remaining)
                };
                remaining -= piece.len();
                outbox.push(piece);
            }
        }
        if outgoing.blocked && outgoing.queued <= room_from {
            outgoing.blocked = false;
            self.events.push_back(Event::Writable { request });
        }
        if outgoing.queued == 0
            && let Some(ending) = outgoing.ending
        {
            match ending {
                Ending::Complete => put_frame(outbox, Operation::END, number, &[]),
                Ending::Aborted(reason) => put_frame(outbox, Operation::END, number, &reason.to_be_bytes()),
            }
            outgoing.state = OutgoingState::Ended;
            if std::mem::take(&mut outgoing.blocked) {
                self.events.push_back(Event::Writable { request });
            }
            self.settle(request);
            return;
        }
        self.schedule_stream(request);
    }
}

fn push_frame(buffer: &mut Vec<u8>, operation: Operation, request: u32, payload: &[u8]) {
    let size = u32::try_from(payload.len()).expect("control frames are small");
    buffer.extend_from_slice(&FrameHeader::plain(size, request, operation).encode());
    buffer.extend_from_slice(payload);
}

fn put_frame(outbox: &mut Outbox, operation: Operation, request: u32, payload: &[u8]) {
    let size = u32::try_from(payload.len()).expect("control frames are small");
    outbox.push_slice(&FrameHeader::plain(size, request, operation).encode());
    outbox.push_slice(payload);
}

fn put_message_frame(outbox: &mut Outbox, request: u32, message: &mut OutgoingMessage, frame_len: usize) {
    let len = message.remaining.min(frame_len);
    let header = FrameHeader {
        size: u32::try_from(len).expect("frame_len is below 4 GiB"),
        request,
        operation: message.operation,
        format: message.format,
        more: message.remaining > len,
    };
    outbox.push_slice(&header.encode());
    message.take(len, outbox);
}

/// The payload of an `END` that breaks off, or a `RESET` that refuses, a stream without a reason.
pub(super) const DECLINED: [u8; 4] = [0; 4];

/// The maximum size of all waiting answers to pings. A peer reads its answers sooner or later.
const MAX_CONTROL_LEN: usize = 64 << 10;
