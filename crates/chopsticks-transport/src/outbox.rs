//! Bytes that wait for the writer.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Bytes that a [`Connection`](crate::Connection) has produced and the writer has not taken yet.
///
/// Headers and short payloads are copied together. Long payloads stay where they are. All bytes are
/// offered as slices for one vectored write.
#[derive(Debug, Default)]
pub struct Outbox {
    segments: VecDeque<Segment>,
    copied: Vec<u8>,
    copied_start: usize,
    len: usize,
}

#[derive(Debug)]
enum Segment {
    /// The given number of bytes of `copied`.
    Copied(usize),
    Shared(Bytes),
}

impl Outbox {
    /// Creates an empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of waiting bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no bytes wait.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts the first waiting bytes into `slices`. Returns how many slices were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut copied = self.copied.get(self.copied_start..).unwrap_or_default();
        let mut filled = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            let bytes = match segment {
                Segment::Copied(len) => {
                    let (bytes, rest) = copied.split_at(*len);
                    copied = rest;
                    bytes
                }
                Segment::Shared(bytes) => bytes,
            };
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Removes the first `count` bytes, which have been written.
    pub fn advance(&mut self, mut count: usize) {
        debug_assert!(count <= self.len, "a writer took more than it was offered");
        count = count.min(self.len);
        self.len -= count;
        while count > 0 {
            let Some(segment) = self.segments.front_mut() else { break };
            let taken = match segment {
                Segment::Copied(len) => {
                    let taken = count.min(*len);
                    *len -= taken;
                    self.copied_start += taken;
                    if *len == 0 {
                        self.segments.pop_front();
                    }
                    taken
                }
                Segment::Shared(bytes) if bytes.len() > count => {
                    bytes.advance(count);
                    count
                }
                Segment::Shared(bytes) => {
                    let taken = bytes.len();
                    self.segments.pop_front();
                    taken
                }
            };
            count -= taken;
        }
        if self.len == 0 {
            self.segments.clear();
            self.copied.clear();
            self.copied_start = 0;
        }
    }

    /// Appends a copy of `bytes`.
    pub(crate) fn push_slice(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.copied.extend_from_slice(bytes);
        self.len += bytes.len();
        match self.segments.back_mut() {
            Some(Segment::Copied(len)) => *len += bytes.len(),
            _ => self.segments.push_back(Segment::Copied(bytes.len())),
        }
    }

    /// Appends `bytes`, which are copied only if they are few.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_LEN {
            self.push_slice(&bytes);
            return;
        }
        self.len += bytes.len();
        self.segments.push_back(Segment::Shared(bytes));
    }
}

/// Up to this length, a copy is cheaper than a separate slice in a vectored write (measured on
/// pipes).
const COPY_LEN: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;

    use super::{COPY_LEN, Outbox};

    #[test]
    fn bytes_leave_in_order_whatever_the_writer_takes() {
        for step in [1, 7, COPY_LEN, 3 * COPY_LEN, usize::MAX] {
            let mut outbox = Outbox::new();
            let mut expected = Vec::new();
            for (number, len) in [10, COPY_LEN + 1, 10, COPY_LEN, 0, 2 * COPY_LEN, 1].into_iter().enumerate()
            {
                let bytes = vec![u8::try_from(number).unwrap(); len];
                expected.extend_from_slice(&bytes);
                outbox.push(Bytes::from(bytes));
            }
            assert_eq!(outbox.len(), expected.len());
            let mut written = Vec::new();
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = outbox.slices(&mut slices);
                let offered: Vec<u8> =
                    slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
                let taken = offered.len().min(step);
                written.extend_from_slice(&offered[..taken]);
                outbox.advance(taken);
            }
            assert_eq!(written, expected);
        }
    }
}
