//! The two directions of a request's byte streams: `docs/wire.md` §7.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::config::MAX_CREDIT;
use crate::error::PeerFault;

/// The result of [`Connection::stream_read`](crate::Connection::stream_read).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a reader has to handle each")]
pub enum StreamRead {
    /// The next bytes, at least one.
    Data(Bytes),
    /// The stream is complete.
    End,
    /// Nothing yet; [`Event::Readable`](crate::Event::Readable) follows.
    Pending,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Complete,
    Aborted(u32),
}

/// Both directions.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

/// The direction in which this side sends.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) state: OutgoingState,
    /// Bytes that the peer still allows.
    pub(super) credit: u64,
    /// Whether the peer has ever given credit.
    pub(super) was_credited: bool,
    pub(super) queue: VecDeque<Bytes>,
    /// Bytes in `queue`.
    pub(super) queued: usize,
    /// How to end when `queue` has been sent.
    pub(super) ending: Option<Ending>,
    /// The reason with which the peer has reset the stream.
    pub(super) reset: Option<u32>,
    /// Whether this stream has a turn in the queue.
    pub(super) in_turns: bool,
    /// Whether a writer has to wait.
    pub(super) blocked: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum OutgoingState {
    /// It was not opened here.
    #[default]
    Idle,
    Open,
    /// `END` has been sent, or the request has ended.
    Ended,
}

impl Outgoing {
    /// Returns whether there is something to send now.
    pub(super) fn is_ready(&self) -> bool {
        self.state == OutgoingState::Open
            && if self.queued > 0 { self.credit > 0 } else { self.ending.is_some() }
    }

    pub(super) fn add_credit(&mut self, bytes: u32) -> Result<(), PeerFault> {
        self.was_credited = true;
        self.credit += u64::from(bytes);
        if self.credit > MAX_CREDIT { Err(PeerFault::CreditOverflow) } else { Ok(()) }
    }

    /// Handles the peer's reset: discards the queue, and ends the stream.
    pub(super) fn reset(&mut self, reason: u32) {
        self.reset = Some(reason);
        self.discard();
        self.ending.get_or_insert(Ending::Complete);
    }

    /// Discards the queue and ends the direction without a message.
    pub(super) fn kill(&mut self) {
        self.state = OutgoingState::Ended;
        self.discard();
    }

    /// Discards the queue.
    pub(super) fn discard(&mut self) {
        self.queue = VecDeque::new();
        self.queued = 0;
    }
}

/// The direction in which this side receives.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) state: IncomingState,
    /// Whether it was opened here.
    pub(super) is_wanted: bool,
    /// Bytes that the peer may still send.
    pub(super) allowance: u64,
    /// Bytes that were read and for which no credit was given again.
    pub(super) owed: u32,
    /// Credit for the next `CREDIT`.
    pub(super) credit_due: u32,
    /// A `RESET` to be sent.
    pub(super) reset_due: Option<u32>,
    pub(super) buffer: StreamBuffer,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum IncomingState {
    /// It was not opened here, and nothing has arrived.
    #[default]
    Idle,
    Open,
    /// `END` has arrived; the buffer may still have bytes.
    Ended(Ending),
    /// It is no longer used here, and received bytes are dropped.
    Done,
}

impl Incoming {
    pub(super) fn kill(&mut self) {
        self.state = IncomingState::Done;
        self.buffer = StreamBuffer::default();
        self.credit_due = 0;
        self.reset_due = None;
    }
}

/// Bytes that were received and not read.
///
/// Small pieces are joined, so that a peer that sends single bytes costs no more memory than any
/// other.
#[derive(Debug, Default)]
pub(super) struct StreamBuffer {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
}

impl StreamBuffer {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty()
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        loop {
            let room = self.tail.capacity() - self.tail.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.tail.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            // Places are filled to the end, and alike: otherwise half of the memory would be gaps.
            let capacity = self.tail.len().saturating_mul(2).max(later.len()).min(CHUNK_LEN);
            if !self.tail.is_empty() {
                self.chunks.push_back(self.tail.split().freeze());
            }
            self.tail = BytesMut::with_capacity(capacity);
            bytes = later;
        }
    }

    /// Takes at most `max` bytes from the front.
    pub(super) fn pop(&mut self, max: usize) -> Option<Bytes> {
        let Some(front) = self.chunks.front_mut() else {
            if self.tail.is_empty() {
                return None;
            }
            let len = max.min(self.tail.len());
            return Some(self.tail.split_to(len).freeze());
        };
        if front.len() > max {
            return Some(front.split_to(max));
        }
        self.chunks.pop_front()
    }
}

/// The maximum length of joined pieces: a frame of the usual length.
const CHUNK_LEN: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::{CHUNK_LEN, StreamBuffer};

    #[test]
    fn single_bytes_are_joined() {
        let mut buffer = StreamBuffer::default();
        let expected: Vec<u8> = (0..3 * CHUNK_LEN).map(|number| (number % 251) as u8).collect();
        for byte in &expected {
            buffer.push(std::slice::from_ref(byte));
        }
        assert!(buffer.chunks.len() < 32, "{} chunks", buffer.chunks.len());
        let mut read = Vec::new();
        while let Some(bytes) = buffer.pop(1000) {
            read.extend_from_slice(&bytes);
        }
        assert_eq!(read, expected);
        assert!(buffer.is_empty());
    }

    #[test]
    fn places_are_filled_to_the_end() {
        let mut buffer = StreamBuffer::default();
        let frame: Vec<u8> = (0..300_001_u32).map(|number| (number % 251) as u8).collect();
        let mut expected = Vec::new();
        for _ in 0..10 {
            buffer.push(&frame);
            expected.extend_from_slice(&frame);
        }
        let rooms: usize = buffer.chunks.iter().map(bytes::Bytes::len).sum();
        assert_eq!(rooms, buffer.chunks.len() * CHUNK_LEN);
        let mut read = Vec::new();
        while let Some(bytes) = buffer.pop(usize::MAX) {
            read.extend_from_slice(&bytes);
        }
        assert!(read == expected);
    }
}
