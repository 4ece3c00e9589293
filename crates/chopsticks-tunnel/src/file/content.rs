//! The content of a file on its way: `docs/wire.md`, section 8.

use std::{collections::VecDeque, io};

use bytes::{Bytes, BytesMut};
use sha1::{Digest as _, Sha1};

/// Bytes of a checksum.
pub(super) const SHA1_LEN: usize = 20;

/// The most content in one block that we send. With its length it fills frames of the usual size.
pub(super) const BLOCK_LEN: usize = (256 << 10) - LEN_LEN;

/// Composes the content that is sent.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    sha1: Sha1,
    size: u64,
}

impl Encoder {
    /// Returns what the content begins with: how much is expected, 0 if that is not known.
    pub(super) fn begin(expected: u64) -> Bytes {
        Bytes::copy_from_slice(&expected.to_be_bytes())
    }

    /// Turns a buffer with `len` bytes of content into a block to send.
    pub(super) fn fill(&mut self, block: Block, len: usize) -> Bytes {
        let Block(mut buffer) = block;
        buffer.truncate(LEN_LEN + len);
        let (room, content) = buffer.split_at_mut(LEN_LEN);
        room.copy_from_slice(&header(len));
        self.add(content);
        buffer.freeze()
    }

    /// Returns the header of a block whose content is sent by itself.
    pub(super) fn header(&mut self, content: &[u8]) -> Bytes {
        self.add(content);
        Bytes::copy_from_slice(&header(content.len()))
    }

    /// Returns the size and the checksum of all, and what the content ends with.
    pub(super) fn finish(self) -> (Summary, Bytes) {
        let summary = Summary { size: self.size, sha1: self.sha1.finalize().into() };
        let mut end = BytesMut::from(&header(0)[..]);
        end.extend_from_slice(&summary.sha1);
        (summary, end.freeze())
    }

    fn add(&mut self, content: &[u8]) {
        self.sha1.update(content);
        self.size += content.len() as u64;
    }
}

fn header(len: usize) -> [u8; LEN_LEN] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// What is known of a content when all of it has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Summary {
    pub(super) size: u64,
    pub(super) sha1: [u8; SHA1_LEN],
}

impl Summary {
    /// The checksum in hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        self.sha1.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A buffer for one block, with room for its header in front.
#[derive(Debug)]
pub(super) struct Block(BytesMut);

impl Block {
    fn new(len: usize) -> Self {
        Self(BytesMut::zeroed(LEN_LEN + len))
    }

    /// The place of the content.
    pub(super) fn content(&mut self) -> &mut [u8] {
        self.0.get_mut(LEN_LEN..).unwrap_or_default()
    }
}

/// Buffers that are used again once what was made of them has been sent: fresh memory costs as much as a copy.
#[derive(Debug)]
pub(super) struct Pool {
    len: usize,
    sent: VecDeque<Bytes>,
}

impl Pool {
    /// Makes buffers for blocks of `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        Self { len, sent: VecDeque::new() }
    }

    /// Returns a buffer.
    pub(super) fn take(&mut self) -> Block {
        // Those that were sent first come back first.
        if self.sent.front().is_some_and(Bytes::is_unique)
            && let Some(Ok(mut buffer)) = self.sent.pop_front().map(Bytes::try_into_mut)
        {
            buffer.resize(LEN_LEN + self.len, 0);
            return Block(buffer);
        }
        Block::new(self.len)
    }

    /// Keeps an eye on a buffer that is sent.
    pub(super) fn keep(&mut self, bytes: &Bytes) {
        if self.sent.len() < POOL_LEN {
            self.sent.push_back(bytes.clone());
        }
    }
}

/// Takes content that is received apart.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    input: VecDeque<Bytes>,
    /// Bytes in `input`.
    have: usize,
    state: State,
    /// Content that is still to come in the block at hand.
    left: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Begin,
    Blocks,
    Checksum,
    End,
}

/// A part of the content.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// How much the sender expects it to be; 0 if it does not know.
    Begin(u64),
    Data(Bytes),
    End([u8; SHA1_LEN]),
}

impl Decoder {
    /// Takes what has come.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.have += bytes.len();
        self.input.push_back(bytes);
    }

    /// Returns the next part, or `None` if more has to come.
    pub(super) fn next(&mut self) -> Option<Part> {
        loop {
            match self.state {
                State::Begin => {
                    let expected = self.take_array::<8>()?;
                    self.state = State::Blocks;
                    return Some(Part::Begin(u64::from_be_bytes(expected)));
                }
                State::Blocks if self.left > 0 => return self.take_data(),
                State::Blocks => {
                    let len = u32::from_be_bytes(self.take_array()?);
                    self.left = usize::try_from(len).unwrap_or(usize::MAX);
                    if len == 0 {
                        self.state = State::Checksum;
                    }
                }
                State::Checksum => {
                    let checksum = self.take_array()?;
                    self.state = State::End;
                    return Some(Part::End(checksum));
                }
                State::End => return None,
            }
        }
    }

    /// Checks that the content has ended, and nothing follows.
    pub(super) fn finish(&self) -> io::Result<()> {
        let problem = match self.state {
            State::End if self.have == 0 => return Ok(()),
            State::End => "the stream goes on behind its end",
            _ => "the stream ended too soon",
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }

    fn take_data(&mut self) -> Option<Part> {
        let mut front = self.input.pop_front()?;
        let data = front.split_to(front.len().min(self.left));
        if !front.is_empty() {
            self.input.push_front(front);
        }
        self.left -= data.len();
        self.have -= data.len();
        Some(Part::Data(data))
    }

    fn take_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        if self.have < N {
            return None;
        }
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            let mut front = self.input.pop_front()?;
            let len = front.len().min(N - filled);
            array[filled..filled + len].copy_from_slice(&front.split_to(len));
            filled += len;
            if !front.is_empty() {
                self.input.push_front(front);
            }
        }
        self.have -= N;
        Some(array)
    }
}

const LEN_LEN: usize = 4;

/// As many as may be under way between a file and the pipe.
const POOL_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(pieces: &[&[u8]]) -> (Summary, Vec<u8>) {
        let mut encoder = Encoder::default();
        let mut stream = Encoder::begin(7).to_vec();
        let mut pool = Pool::new(16);
        for (number, piece) in pieces.iter().enumerate() {
            if number % 2 == 0 {
                let mut block = pool.take();
                block.content()[..piece.len()].copy_from_slice(piece);
                let bytes = encoder.fill(block, piece.len());
                pool.keep(&bytes);
                stream.extend_from_slice(&bytes);
            } else {
                stream.extend_from_slice(&encoder.header(piece));
                stream.extend_from_slice(piece);
            }
        }
        let (summary, end) = encoder.finish();
        stream.extend_from_slice(&end);
        (summary, stream)
    }

    #[test]
    fn content_comes_back_however_it_is_cut() {
        let (summary, stream) = encoded(&[b"abc", b"defg", b"hijkl"]);
        assert_eq!(summary.size, 12);
        assert_eq!(summary.hex(), "eb4608cebfcfd4df81410cbd06507ea6af978d9c");
        for step in 1..=stream.len() {
            let mut decoder = Decoder::default();
            let (mut content, mut checksum) = (Vec::new(), None);
            for piece in stream.chunks(step) {
                decoder.push(Bytes::copy_from_slice(piece));
                while let Some(part) = decoder.next() {
                    match part {
                        Part::Begin(expected) => assert_eq!(expected, 7),
                        Part::Data(data) => content.extend_from_slice(&data),
                        Part::End(sha1) => checksum = Some(sha1),
                    }
                }
            }
            decoder.finish().unwrap();
            assert_eq!(content, b"abcdefghijkl");
            assert_eq!(checksum, Some(summary.sha1));
        }
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_refused() {
        let (_, stream) = encoded(&[b"abc"]);
        for (bytes, problem) in [
            (stream[..stream.len() - 1].to_vec(), "the stream ended too soon"),
            ([&stream[..], b"x"].concat(), "the stream goes on behind its end"),
        ] {
            let mut decoder = Decoder::default();
            decoder.push(bytes.into());
            while decoder.next().is_some() {}
            assert_eq!(decoder.finish().unwrap_err().to_string(), problem);
        }
    }
}
