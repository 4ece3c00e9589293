//! Payloads of outgoing messages.

use std::{iter, mem, vec};

use bytes::Bytes;

use crate::format::Format;
use crate::operation::Operation;
use crate::outbox::Outbox;

/// The payload of a message: one or several runs of bytes, which are sent one after the other.
///
/// The bytes are shared with the caller and never copied together.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl Payload {
    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the runs of bytes, in order.
    pub(crate) fn into_chunks(self) -> impl Iterator<Item = Bytes> {
        iter::once(self.first).chain(self.rest)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self { len: bytes.len(), first: bytes, rest: Vec::new() }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Payload {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<Vec<Bytes>> for Payload {
    fn from(chunks: Vec<Bytes>) -> Self {
        let len = chunks.iter().map(Bytes::len).sum();
        Self { first: Bytes::new(), rest: chunks, len }
    }
}

/// An outgoing message.
#[derive(Debug)]
pub(crate) struct OutgoingMessage {
    pub(crate) operation: Operation,
    pub(crate) format: Format,
    /// Bytes that have not been put into frames yet.
    pub(crate) remaining: usize,
    current: Bytes,
    rest: vec::IntoIter<Bytes>,
}

impl OutgoingMessage {
    pub(crate) fn new(operation: Operation, format: Format, payload: Payload) -> Self {
        Self {
            operation,
            format,
            remaining: payload.len,
            current: payload.first,
            rest: payload.rest.into_iter(),
        }
    }

    /// Moves the next `len` bytes, at most `remaining`, to `outbox`.
    pub(crate) fn take(&mut self, mut len: usize, outbox: &mut Outbox) {
        self.remaining -= len;
        while len > 0 {
            if self.current.is_empty() {
                match self.rest.next() {
                    Some(chunk) => self.current = chunk,
                    None => return,
                }
                continue;
            }
            let piece = if self.current.len() <= len {
                mem::take(&mut self.current)
            } else {
                self.current.split_to(len)
            };
            len -= piece.len();
            outbox.push(piece);
        }
    }
}
