//! Text in memory that may be long.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Text in pieces, so that it grows without being moved, and running out of memory is an error.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: Vec<Vec<u8>>,
    len: usize,
    /// Set when the text is no longer needed.
    abandoned: Arc<AtomicBool>,
}

impl Pieces {
    /// Creates a text that cannot be written to after `abandoned` is set.
    pub(crate) fn new(abandoned: Arc<AtomicBool>) -> Self {
        Self { abandoned, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        self.pieces.iter().try_for_each(|piece| out.write_all(piece))
    }
}

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let is_full = self.pieces.last().is_none_or(|piece| piece.len() == piece.capacity());
        if is_full && !data.is_empty() {
            if self.abandoned.load(Ordering::Relaxed) {
                // Not `Interrupted`, after which it would be tried again.
                return Err(io::Error::other("nobody waits for it any more"));
            }
            let no_memory = |_| io::Error::from(io::ErrorKind::OutOfMemory);
            let mut piece = Vec::new();
            piece.try_reserve_exact(self.len.clamp(MIN_PIECE, MAX_PIECE)).map_err(no_memory)?;
            self.pieces.try_reserve(1).map_err(no_memory)?;
            self.pieces.push(piece);
        }
        let Some(piece) = self.pieces.last_mut() else { return Ok(0) };
        let data = &data[..data.len().min(piece.capacity() - piece.len())];
        piece.extend_from_slice(data);
        self.len += data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<&str> for Pieces {
    fn from(text: &str) -> Self {
        let pieces = if text.is_empty() { Vec::new() } else { vec![text.as_bytes().to_vec()] };
        Self { len: text.len(), pieces, abandoned: Arc::default() }
    }
}

impl PartialEq for Pieces {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |text: &Self| text.pieces.iter().flatten().copied().collect::<Vec<_>>();
        // Text of one length that was written is cut at the same places.
        self.len == other.len && (self.pieces == other.pieces || bytes(self) == bytes(other))
    }
}

impl Eq for Pieces {}

const MIN_PIECE: usize = 256;
const MAX_PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_whole_however_it_was_written() {
        let text: String = (0..100_000).map(|number| format!("{number} ")).collect();
        let mut pieces = Pieces::default();
        for chunk in text.as_bytes().chunks(7) {
            pieces.write_all(chunk).unwrap();
        }
        let mut out = Vec::new();
        pieces.write_to(&mut out).unwrap();
        assert_eq!((out.as_slice(), pieces.len()), (text.as_bytes(), text.len()));
        assert_eq!(pieces, Pieces::from(text.as_str()));
        assert_ne!(pieces, Pieces::from("x"));
        let spare = pieces.pieces.iter().map(Vec::capacity).sum::<usize>() - pieces.len();
        assert!(spare <= MAX_PIECE, "{spare}");
    }

    #[test]
    fn text_that_nobody_waits_for_ends_soon() {
        let abandoned = Arc::new(AtomicBool::new(false));
        let mut pieces = Pieces::new(abandoned.clone());
        pieces.write_all(b"x").unwrap();
        abandoned.store(true, Ordering::Relaxed);
        let mut written = 0;
        while pieces.write_all(&[b'x'; 1000]).is_ok() {
            written += 1000;
            assert!(written < 2 * MAX_PIECE);
        }
    }
}
