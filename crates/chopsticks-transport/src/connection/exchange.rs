//! The state of one request.

use std::collections::TryReserveError;
use std::time::Instant;

use bytes::Bytes;

use super::stream::{IncomingState, OutgoingState, Streams};
use crate::format::Format;
use crate::operation::Operation;
use crate::payload::OutgoingMessage;

/// One request, of either side, with its reply and its streams.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) phase: Phase,
    /// This side's message: the request itself, or the answer to it.
    pub(super) message: Option<OutgoingMessage>,
    /// The received part of the peer's message.
    pub(super) assembly: Option<Assembly>,
    /// Whether the side that made the request has cancelled it.
    pub(super) cancelled: bool,
    /// When this side's cancelled request is abandoned if the peer has not ended it.
    pub(super) cancel_deadline: Option<Instant>,
    /// Whether the peer has not ended this side's cancelled request within the grace period.
    pub(super) abandoned: bool,
    pub(super) cancel_due: bool,
    /// Whether the request waits in the queue of those with a small frame to send.
    pub(super) in_attention: bool,
    /// Most requests have no streams.
    pub(super) streams: Option<Box<Streams>>,
}

/// The progress of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// This side's; no frame has been sent.
    Queued,
    /// This side's; a part has been sent.
    Sending,
    /// This side's; it has been sent and is not answered yet.
    Awaiting,
    /// The peer's; a part has arrived.
    Arriving,
    /// The peer's; it has arrived and is not answered yet.
    Serving,
    /// The peer's; the answer has not been sent completely.
    Answering,
    /// The answer has been received or sent; streams may go on.
    Answered,
}

impl Exchange {
    pub(super) fn new(phase: Phase) -> Self {
        Self {
            phase,
            message: None,
            assembly: None,
            cancelled: false,
            cancel_deadline: None,
            abandoned: false,
            cancel_due: false,
            in_attention: false,
            streams: None,
        }
    }

    /// Returns whether streams can still be opened on this side.
    pub(super) fn may_open_streams(&self) -> bool {
        !self.cancelled && !matches!(self.phase, Phase::Answering | Phase::Answered)
    }

    pub(super) fn streams(&mut self) -> &mut Streams {
        self.streams.get_or_insert_default()
    }

    /// Closes the stream to the peer if the peer waits for it and it was never opened here. Returns
    /// whether the peer must be notified. This happens with the answer, after which the stream
    /// cannot be opened.
    pub(super) fn decline_stream(&mut self) -> bool {
        let Some(streams) = &mut self.streams else { return false };
        let outgoing = &mut streams.outgoing;
        let is_awaited = outgoing.state == OutgoingState::Idle && outgoing.credit > 0;
        if is_awaited {
            outgoing.state = OutgoingState::Ended;
        }
        is_awaited
    }

    /// Ends both streams without a message.
    pub(super) fn kill_streams(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.outgoing.kill();
            streams.incoming.kill();
        }
    }

    /// Ends both streams of a request that has failed. The bytes of a stream that the peer has ended
    /// stay readable.
    pub(super) fn fail_streams(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.outgoing.kill();
            if !matches!(streams.incoming.state, IncomingState::Ended(_)) {
                streams.incoming.kill();
            }
        }
    }

    /// Returns whether a `CANCEL`, `CREDIT` or `RESET` waits to be sent.
    pub(super) fn has_attention(&self) -> bool {
        self.cancel_due
            || self.streams.as_ref().is_some_and(|streams| {
                streams.incoming.credit_due > 0 || streams.incoming.reset_due.is_some()
            })
    }

    /// Returns whether the request is completely finished.
    pub(super) fn is_over(&self) -> bool {
        let streams_are_over = self.streams.as_ref().is_none_or(|streams| {
            let incoming_is_over = match streams.incoming.state {
                IncomingState::Idle | IncomingState::Done => true,
                IncomingState::Ended(_) => !streams.incoming.is_wanted,
                IncomingState::Open => false,
            };
            incoming_is_over && streams.outgoing.state != OutgoingState::Open
        });
        self.phase == Phase::Answered && streams_are_over && !self.has_attention()
    }
}

/// A message of the peer that is being assembled.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) operation: Operation,
    pub(super) format: Format,
    buffer: Vec<u8>,
    pub(super) oversize: bool,
}

impl Assembly {
    pub(super) fn new(operation: Operation, format: Format) -> Self {
        Self { operation, format, buffer: Vec::new(), oversize: false }
    }

    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Drops the bytes that have arrived and all that follow. Returns how many were dropped.
    pub(super) fn discard(&mut self) -> usize {
        self.oversize = true;
        std::mem::take(&mut self.buffer).len()
    }

    /// Appends received bytes. No memory is reserved for bytes that are only announced. Returns how
    /// many bytes were kept.
    ///
    /// A long message is dropped while some memory is still free, because a program without any
    /// memory ends, with all its requests.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<usize, TryReserveError> {
        if self.oversize {
            return Ok(0);
        }
        if bytes.len() > self.buffer.capacity() - self.buffer.len() {
            self.buffer.try_reserve(bytes.len())?;
            if self.buffer.capacity() > HEADROOM_FROM {
                Vec::<u8>::new().try_reserve_exact(HEADROOM)?;
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    pub(super) fn finish(mut self) -> Bytes {
        // Doubling can leave as much unused as used, and the layer above may keep the message for long.
        if self.buffer.capacity() - self.buffer.len() > self.buffer.len() / 4 {
            self.buffer.shrink_to_fit();
        }
        Bytes::from(self.buffer)
    }
}

/// Messages that take more than this leave memory for others.
const HEADROOM_FROM: usize = 1 << 20;
/// The amount of memory to leave free. Allocators that adapt to the requested sizes, such as
/// glibc's, ignore sizes above 32 MiB.
const HEADROOM: usize = 48 << 20;
