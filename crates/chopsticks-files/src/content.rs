//! The content of a file in transit: `docs/wire.md`, section 8.

use std::{collections::VecDeque, io};

use bytes::{Bytes, BytesMut};
use sha1::{Digest as _, Sha1};

/// The size of a checksum, in bytes.
pub const SHA1_LEN: usize = 20;

/// The maximum content of one block. With its length, it fills frames of the usual size.
pub const BLOCK_LEN: usize = (256 << 10) - LEN_LEN;

/// Encodes the content that is sent.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    sha1: Sha1,
    size: u64,
}

impl Encoder {
    /// Returns the beginning of the content: the expected size, or 0 if it is not known.
    pub(crate) fn begin(expected: u64) -> Bytes {
        Bytes::copy_from_slice(&expected.to_be_bytes())
    }

    /// Turns a buffer with `len` bytes of content into a block to send.
    pub(crate) fn fill(&mut self, block: Block, len: usize) -> Bytes {
        let Block(mut buffer) = block;
        buffer.truncate(LEN_LEN + len);
        let (room, content) = buffer.split_at_mut(LEN_LEN);
        room.copy_from_slice(&header(len));
        self.add(content);
        buffer.freeze()
    }

    /// Returns the header of a block whose content is sent separately.
    pub(crate) fn header(&mut self, content: &[u8]) -> Bytes {
        self.add(content);
        Bytes::copy_from_slice(&header(content.len()))
    }

    /// Returns the size and the checksum of all content, and the end of the stream.
    pub(crate) fn finish(self) -> (Summary, Bytes) {
        let summary = Summary { size: self.size, sha1: self.sha1.finalize().into() };
        let mut end = BytesMut::from(&header(0)[..]);
        end.extend_from_slice(&summary.sha1);
        (summary, end.freeze())
    }

    /// Adds content that is not sent.
    pub(crate) fn add(&mut self, content: &[u8]) {
        self.sha1.update(content);
        self.size += content.len() as u64;
    }
}

fn header(len: usize) -> [u8; LEN_LEN] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// The size and checksum of content that was transferred.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum.
    pub sha1: [u8; SHA1_LEN],
}

impl Summary {
    /// Returns the checksum in hexadecimal digits.
    pub fn hex(&self) -> String {
        self.sha1.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns what was received, if its checksum is the expected one.
pub(crate) fn checked(sha1: Sha1, size: u64, expected: [u8; SHA1_LEN]) -> io::Result<Summary> {
    let sha1: [u8; SHA1_LEN] = sha1.finalize().into();
    if sha1 == expected {
        return Ok(Summary { size, sha1 });
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the checksums differ"))
}

/// A piece of content in the form in which it is sent.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a content consists of blocks and an end")]
pub enum Piece {
    /// A block, or a header and a block.
    Block {
        /// Sent first. It may be empty.
        header: Bytes,
        /// Sent after the header.
        data: Bytes,
        /// The number of content bytes in both.
        len: usize,
    },
    /// A summary of what was sent, and the end of the stream.
    End(Summary, Bytes),
}

/// A buffer for one block, with room for its header in front.
#[derive(Debug)]
pub(crate) struct Block(BytesMut);

impl Block {
    fn new(len: usize) -> Self {
        Self(BytesMut::zeroed(LEN_LEN + len))
    }

    /// Returns the place of the content.
    pub(crate) fn content(&mut self) -> &mut [u8] {
        self.0.get_mut(LEN_LEN..).unwrap_or_default()
    }
}

/// Buffers that are reused once their content has been sent. New memory costs as much as a copy.
#[derive(Debug)]
pub(crate) struct Pool {
    len: usize,
    sent: VecDeque<Bytes>,
}

impl Pool {
    /// Creates a pool of buffers for blocks of `len` bytes.
    pub(crate) fn new(len: usize) -> Self {
        Self { len, sent: VecDeque::new() }
    }

    /// Returns a buffer.
    pub(crate) fn take(&mut self) -> Block {
        // Those that were sent first come back first.
        if self.sent.front().is_some_and(Bytes::is_unique)
            && let Some(Ok(mut buffer)) = self.sent.pop_front().map(Bytes::try_into_mut)
        {
            buffer.resize(LEN_LEN + self.len, 0);
            return Block(buffer);
        }
        Block::new(self.len)
    }

    /// Remembers a buffer that is being sent.
    pub(crate) fn keep(&mut self, bytes: &Bytes) {
        if self.sent.len() < POOL_LEN {
            self.sent.push_back(bytes.clone());
        }
    }
}

/// In place of the length of a block: the receiver has its content. The position and the length
/// follow.
pub(crate) const COPY: u32 = u32::MAX;

const LEN_LEN: usize = 4;

/// The number of blocks that may be under way between a file and the pipe.
const POOL_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_framed_and_hashed() {
        let mut encoder = Encoder::default();
        let mut pool = Pool::new(16);
        let mut block = pool.take();
        block.content()[..3].copy_from_slice(b"abc");
        let bytes = encoder.fill(block, 3);
        pool.keep(&bytes);
        assert_eq!(bytes, &b"\0\0\0\x03abc"[..]);
        assert_eq!(encoder.header(b"defghijkl"), &b"\0\0\0\x09"[..]);
        let (summary, end) = encoder.finish();
        assert_eq!((summary.size, end.len()), (12, 24));
        assert_eq!(summary.hex(), "eb4608cebfcfd4df81410cbd06507ea6af978d9c");
    }

    #[test]
    fn buffers_are_used_again_once_they_are_sent() {
        let mut pool = Pool::new(1000);
        let mut encoder = Encoder::default();
        let place = |block: &mut Block| block.content().as_ptr();
        let mut block = pool.take();
        let first = place(&mut block);
        let bytes = encoder.fill(block, 10);
        pool.keep(&bytes);
        let mut other = pool.take();
        assert_ne!(place(&mut other), first);
        drop((bytes, other));
        let mut again = pool.take();
        assert_eq!((place(&mut again), again.content().len()), (first, 1000));
    }
}
