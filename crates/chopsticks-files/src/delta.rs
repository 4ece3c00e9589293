//! A file that is sent as its differences from one that the receiver has.
//!
//! The receiver describes its file, the base, by two checksums of each block. The sender looks for
//! these blocks at every position of its own file, and sends the rest. The first checksum, Adler-32,
//! is cheap to move by one byte. Where it is equal, SHA-1 decides.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io::{self, Read as _, Seek as _},
    os::unix::fs::MetadataExt as _,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use sha1::{Digest as _, Sha1};

use crate::content::{BLOCK_LEN, COPY, Encoder, Piece, SHA1_LEN, Summary};

/// The description of a base.
#[derive(Debug)]
pub struct Signature {
    block: usize,
    size: u64,
    /// The blocks that have an Adler-32, each with the next one that has the same.
    first: HashMap<u32, u32>,
    next: Vec<u32>,
    /// One bit for each of the low bits of those that occur, because most do not.
    filter: Vec<u64>,
    strong: Vec<[u8; SHA1_LEN]>,
}

/// A file of the receiver, in the same folder as the one that is sent.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the name and the blocks are all that there is to know")]
pub struct Base {
    /// Its name.
    pub name: Vec<u8>,
    /// Its blocks.
    pub signature: Signature,
}

impl Signature {
    /// Reads a file, and returns the size of its blocks, and the SHA-1 of each. Blocks the thread.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn digests(mut file: &File) -> io::Result<(u32, Vec<u8>)> {
        let len = file.metadata()?.len();
        let mut block = 1_u32 << 16;
        while u64::from(block) << 13 < len && block < 1 << 26 {
            block <<= 1;
        }
        let (mut buffer, mut digests) = (vec![0; block as usize], Vec::new());
        file.rewind()?;
        loop {
            let mut filled = 0;
            while filled < buffer.len() {
                match file.read(&mut buffer[filled..]) {
                    Ok(0) => break,
                    Ok(len) => filled += len,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if filled > 0 {
                digests.extend_from_slice(&Sha1::digest(&buffer[..filled]));
            }
            if filled < buffer.len() {
                return Ok((block, digests));
            }
        }
    }

    /// Reads a file, and describes it as [`new`](Self::new) takes it: its size, the size of its
    /// blocks, and an Adler-32 and a SHA-1 for each block. Blocks the thread.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn describe(mut file: &File) -> io::Result<(u64, u64, Vec<u8>)> {
        let len = file.metadata()?.len();
        let mut block = 1_usize << 12;
        while (block as u64) << 13 < len && block < MAX_BLOCK {
            block <<= 1;
        }
        let (mut buffer, mut sums, mut size) = (Vec::with_capacity(block), Vec::new(), 0);
        file.rewind()?;
        loop {
            buffer.clear();
            file.take(block as u64).read_to_end(&mut buffer)?;
            if !buffer.is_empty() {
                sums.extend_from_slice(&Rolling::new(&buffer).sum().to_be_bytes());
                sums.extend_from_slice(&Sha1::digest(&buffer));
                size += buffer.len() as u64;
            }
            if buffer.len() < block {
                return Ok((size, block as u64, sums));
            }
        }
    }

    /// Reads a description: the size of the base and of its blocks, and an Adler-32 and a SHA-1 for
    /// each block.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the numbers do not fit together.
    pub fn new(size: u64, block: u64, sums: &[u8]) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a description of blocks");
        let block = usize::try_from(block).ok().filter(|len| (MIN_BLOCK..=MAX_BLOCK).contains(len));
        let block = block.ok_or_else(invalid)?;
        let count = sums.len() / SUM_LEN;
        if !sums.len().is_multiple_of(SUM_LEN) || size.div_ceil(block as u64) != count as u64 {
            return Err(invalid());
        }
        let mut signature = Self {
            block,
            size,
            first: HashMap::with_capacity(count),
            next: vec![END; count],
            filter: vec![0; FILTER_LEN],
            strong: Vec::with_capacity(count),
        };
        for sum in sums.chunks_exact(SUM_LEN) {
            let (weak, strong) = sum.split_at(4);
            let weak = weak.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            let mut own = [0; SHA1_LEN];
            own.copy_from_slice(strong);
            let index = u32::try_from(signature.strong.len()).map_err(|_| invalid())?;
            signature.strong.push(own);
            if let Some(before) = signature.first.insert(weak, index) {
                signature.next[index as usize] = before;
            }
            let (word, bit) = filter_bit(weak);
            signature.filter[word] |= bit;
        }
        Ok(signature)
    }

    fn len_of(&self, index: usize) -> usize {
        let begin = index as u64 * self.block as u64;
        usize::try_from(self.size.saturating_sub(begin)).unwrap_or(usize::MAX).min(self.block)
    }

    /// Returns the block with this content; `expected` is preferred. Counts how often SHA-1 was
    /// computed in vain: a host could make this happen at every position.
    fn find(&self, weak: u32, content: &[u8], expected: usize, misses: &mut u32) -> Option<usize> {
        let (word, bit) = filter_bit(weak);
        if self.filter[word] & bit == 0 || *misses > MISSES_MAX {
            return None;
        }
        let mut index = *self.first.get(&weak)?;
        let strong: [u8; SHA1_LEN] = Sha1::digest(content).into();
        if self.strong.get(expected) == Some(&strong) && self.len_of(expected) == content.len() {
            return Some(expected);
        }
        for _ in 0..CHAIN_MAX {
            let at = index as usize;
            if self.strong.get(at) == Some(&strong) && self.len_of(at) == content.len() {
                return Some(at);
            }
            match self.next.get(at) {
                Some(&next) if next != END => index = next,
                _ => break,
            }
        }
        *misses += 1;
        None
    }
}

fn filter_bit(weak: u32) -> (usize, u64) {
    let hash = (weak ^ weak >> 16) as usize;
    (hash / 64 % FILTER_LEN, 1 << (hash % 64))
}

/// Adler-32 of a window that moves.
#[derive(Clone, Copy, Debug)]
struct Rolling {
    a: u32,
    b: u32,
    len: u32,
}

impl Rolling {
    fn new(window: &[u8]) -> Self {
        let (mut a, mut b) = (1_u32, 0_u32);
        // So many bytes do not overflow.
        for piece in window.chunks(5552) {
            for &byte in piece {
                a += u32::from(byte);
                b += a;
            }
            a %= MODULUS;
            b %= MODULUS;
        }
        Self { a, b, len: (window.len() % MODULUS as usize) as u32 }
    }

    fn sum(self) -> u32 {
        self.b << 16 | self.a
    }

    fn roll(&mut self, out: u8, into: u8) {
        let (out, into) = (u32::from(out), u32::from(into));
        self.a = reduced(self.a + MODULUS - out + into);
        // The product is below 2^24.
        let gone = (self.len * out + 1) % MODULUS;
        self.b = reduced(self.b + MODULUS - gone + self.a);
    }
}

/// Returns a number below three times the modulus as one below the modulus.
fn reduced(number: u32) -> u32 {
    if number >= 2 * MODULUS {
        number - 2 * MODULUS
    } else if number >= MODULUS {
        number - MODULUS
    } else {
        number
    }
}

/// Passes what the base does not have of a file to `give`, until it returns false. Returns a summary
/// of the file and the end of its content, or `None` if that was not all.
pub(crate) fn send_delta(
    file: &File,
    before: &Metadata,
    signature: &Signature,
    give: &mut dyn FnMut(Piece) -> bool,
) -> io::Result<Option<(Summary, Bytes)>> {
    let mut delta = Delta { give, encoder: Encoder::default(), copy: None };
    let is_whole = delta.run(file, before, signature)?;
    Ok(is_whole.then(|| delta.encoder.finish()))
}

struct Delta<'a> {
    give: &'a mut dyn FnMut(Piece) -> bool,
    encoder: Encoder,
    /// Where a copy begins in the base, and its length.
    copy: Option<(u64, u32)>,
}

impl Delta<'_> {
    fn run(&mut self, mut file: &File, before: &Metadata, signature: &Signature) -> io::Result<bool> {
        let block = signature.block;
        let room = block * 2 + (1 << 20);
        let mut buffer = vec![0; room];
        // What was read and not sent yet lies between `sent` and `end`; the window begins at `at`.
        let (mut sent, mut at, mut end) = (0, 0, 0);
        let (mut size, mut is_over, mut expected) = (0_u64, false, 0);
        let (mut rolling, mut misses): (Option<Rolling>, _) = (None, 0);
        loop {
            if end - at <= block && !is_over {
                if !self.literal(&buffer[sent..at])? {
                    return Ok(false);
                }
                buffer.copy_within(at..end, 0);
                (end, at, sent) = (end - at, 0, 0);
                while end < room {
                    // Never longer than it was, so that one that grows comes as it was.
                    let left = usize::try_from(before.len().saturating_sub(size)).unwrap_or(usize::MAX);
                    let wanted = (room - end).min(left);
                    match file.read(&mut buffer[end..end + wanted]) {
                        Ok(0) => {
                            is_over = true;
                            break;
                        }
                        Ok(len) => {
                            end += len;
                            size += len as u64;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            let window = (end - at).min(block);
            if window == 0 {
                break;
            }
            // A window that is shorter than a block can only be the last block of the base.
            let weak = match rolling.filter(|_| window == block) {
                Some(rolling) => rolling,
                None => Rolling::new(&buffer[at..at + window]),
            };
            if let Some(index) = signature.find(weak.sum(), &buffer[at..at + window], expected, &mut misses) {
                if !self.literal(&buffer[sent..at])? || !self.copied(index, block, &buffer[at..at + window]) {
                    return Ok(false);
                }
                at += window;
                sent = at;
                (expected, rolling) = (index + 1, None);
                continue;
            }
            if end - at <= block {
                if is_over {
                    // The end may still be the last block.
                    let short = signature.len_of(signature.strong.len().saturating_sub(1));
                    at = end - (end - at).min(if short < window { short } else { 0 });
                    rolling = None;
                    if at == end {
                        break;
                    }
                }
                continue;
            }
            let mut moved = weak;
            moved.roll(buffer[at], buffer[at + block]);
            rolling = Some(moved);
            at += 1;
        }
        if !self.literal(&buffer[sent..end])? || !self.end_copy() {
            return Ok(false);
        }
        let after = file.metadata()?;
        let state = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        let has_all = size >= before.len() && after.len() > before.len();
        if !has_all && state(before) != state(&after) {
            return Err(io::Error::other("it changed while it was read"));
        }
        Ok(true)
    }

    /// Sends content. Returns whether there still is a receiver.
    fn literal(&mut self, content: &[u8]) -> io::Result<bool> {
        if content.is_empty() {
            return Ok(true);
        }
        if !self.end_copy() {
            return Ok(false);
        }
        for content in content.chunks(BLOCK_LEN) {
            let header = self.encoder.header(content);
            let piece = Piece::Block { header, data: Bytes::copy_from_slice(content), len: content.len() };
            if !(self.give)(piece) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds a block of the base.
    fn copied(&mut self, index: usize, block: usize, content: &[u8]) -> bool {
        let (begin, len) = (index as u64 * block as u64, u32::try_from(content.len()).unwrap_or(u32::MAX));
        let joined = self.copy.and_then(|(at, before)| {
            let len = before.checked_add(len).filter(|len| *len <= COPY_MAX)?;
            (at + u64::from(before) == begin).then_some((at, len))
        });
        let is_wanted = joined.is_some() || self.end_copy();
        self.encoder.add(content);
        self.copy = Some(joined.unwrap_or((begin, len)));
        is_wanted
    }

    fn end_copy(&mut self) -> bool {
        let Some((at, len)) = self.copy.take() else { return true };
        let mut header = BytesMut::with_capacity(16);
        header.put_u32(COPY);
        header.put_u64(at);
        header.put_u32(len);
        let piece = Piece::Block { header: header.freeze(), data: Bytes::new(), len: len as usize };
        (self.give)(piece)
    }
}

/// The largest prime number below 2^16.
const MODULUS: u32 = 65521;
/// An Adler-32 and a SHA-1.
const SUM_LEN: usize = 4 + SHA1_LEN;
const FILTER_LEN: usize = 1 << 12;
const MIN_BLOCK: usize = 1 << 9;
const MAX_BLOCK: usize = 1 << 28;
/// How many blocks with the same Adler-32 are looked at.
const CHAIN_MAX: usize = 64;
/// After so many blocks that only seemed to be equal, the rest is sent as it is.
const MISSES_MAX: u32 = 1 << 12;
const COPY_MAX: u32 = 64 << 20;
/// The end of a chain.
const END: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn file_is_described_as_it_is_read() {
        let content = noise(10_000);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let (size, block, sums) = Signature::describe(&file).unwrap();
        assert_eq!((size, block, sums.len()), (10_000, 4096, 3 * SUM_LEN));
        let described = Signature::new(size, block, &sums).unwrap();
        assert_eq!(described.strong, signature(&content, 4096).strong);
        assert_eq!(described.first, signature(&content, 4096).first);
        assert_eq!(Signature::describe(&tempfile::tempfile().unwrap()).unwrap(), (0, 4096, Vec::new()));
    }

    fn signature(base: &[u8], block: usize) -> Signature {
        let mut sums = Vec::new();
        for block in base.chunks(block) {
            sums.extend_from_slice(&Rolling::new(block).sum().to_be_bytes());
            sums.extend_from_slice(&Sha1::digest(block));
        }
        Signature::new(base.len() as u64, block as u64, &sums).unwrap()
    }

    /// Sends a file against a base, and puts it together again. Returns how many bytes were sent.
    fn sent(base: &[u8], new: &[u8], block: usize) -> usize {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(new).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let (mut built, mut literal) = (Vec::new(), 0);
        let sent = send_delta(&file, &file.metadata().unwrap(), &signature(base, block), &mut |piece| {
            let Piece::Block { header, data, len } = piece else { return false };
            if header[..4] == COPY.to_be_bytes() {
                assert!(data.is_empty());
                let at = u64::from_be_bytes(header[4..12].try_into().unwrap()) as usize;
                built.extend_from_slice(&base[at..at + len]);
            } else {
                assert_eq!(data.len(), len);
                literal += len;
                built.extend_from_slice(&data);
            }
            true
        });
        let (summary, _) = sent.unwrap().unwrap();
        assert_eq!(summary.size, new.len() as u64);
        assert_eq!(summary.sha1[..], Sha1::digest(new)[..]);
        assert!(built == new, "the content is another");
        literal
    }

    #[test]
    fn moving_checksum_is_that_of_the_window() {
        let content = noise(70_000);
        for len in [1, 7, 512, 65_521, 66_000] {
            let mut rolling = Rolling::new(&content[..len]);
            for at in 0..(content.len() - len).min(3000) {
                assert_eq!(rolling.sum(), Rolling::new(&content[at..at + len]).sum(), "{len} at {at}");
                rolling.roll(content[at], content[at + len]);
            }
        }
        assert_eq!(Rolling::new(b"Wikipedia").sum(), 0x11e6_0398);
    }

    #[test]
    fn only_what_differs_is_sent_wherever_it_is() {
        let base = noise(100_000);
        assert_eq!(sent(&base, &base, 1024), 0);
        let mut changed = base.clone();
        changed[50_000] ^= 1;
        assert_eq!(sent(&base, &changed, 1024), 1024);
        // Bytes that move all others.
        let mut inserted = base.clone();
        inserted.splice(30_000..30_000, *b"inserted");
        assert!(sent(&base, &inserted, 1024) <= 1024 + 8);
        assert!(sent(&base, &base[10..], 1024) < 1024);
        let mut longer = base.clone();
        longer.extend_from_slice(&noise(5000));
        assert!(sent(&base, &longer, 1024) <= 5000 + 1024);
        assert_eq!(sent(&base, &base[..51_200], 1024), 0);
        let halves = [&base[51_200..], &base[..51_200]].concat();
        assert!(sent(&base, &halves, 1024) <= 1024);
    }

    #[test]
    fn any_sizes_work() {
        let base = noise(5000);
        for len in [0, 1, 511, 512, 513, 1024, 4999] {
            sent(&base[..len], &base, 512);
            sent(&base, &base[..len], 512);
            sent(&base[..len], &noise(4000), 512);
        }
        let zeros = vec![0; 3 << 20];
        assert_eq!(sent(&zeros, &zeros[..2 << 20], 4096), 0);
    }

    #[test]
    fn description_that_does_not_fit_is_refused() {
        for (size, block, len) in
            [(1, 0, 24), (1 << 60, 512, 24), (512, 512, 23), (513, 512, 24), (0, 512, 24), (1, u64::MAX, 24)]
        {
            assert!(Signature::new(size, block, &vec![0; len]).is_err(), "{size} {block} {len}");
        }
        assert!(Signature::new(0, 512, &[]).is_ok());
    }
}
