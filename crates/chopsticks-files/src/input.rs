//! A stream from an agent, read in the sizes that its format requires.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use chopsticks_transport::StreamReader;

use crate::{
    coming::{Coming, Stopped, malformed},
    content::{COPY, SHA1_LEN},
    progress::Watcher,
};

/// The received bytes that were not read yet, and the source of the rest.
#[derive(Debug)]
pub struct Input {
    reader: StreamReader,
    ready: VecDeque<Bytes>,
    /// The missing bytes of the current block of content.
    block: usize,
}

/// A part of the content of a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// The content of the base from a position on, and its length.
    Copy(u64, u32),
    Data(Bytes),
    /// The end, with the checksum that the content must have.
    End([u8; SHA1_LEN]),
}

/// Counts the content that arrives.
#[derive(Debug)]
pub struct Meter<'a, 'b> {
    done: u64,
    pub(crate) total: Option<u64>,
    max_size: u64,
    watcher: &'b mut Watcher<'a>,
}

impl<'a, 'b> Meter<'a, 'b> {
    /// Creates a counter that refuses more than `max_size` bytes.
    pub fn new(max_size: u64, watcher: &'b mut Watcher<'a>) -> Self {
        Self { done: 0, total: None, max_size, watcher }
    }

    fn add(&mut self, len: usize) -> Result<(), Stopped> {
        self.done += len as u64;
        if self.done > self.max_size {
            let text = format!("larger than the limit of {} bytes", self.max_size);
            return Err(Stopped::Malformed(io::Error::new(io::ErrorKind::FileTooLarge, text)));
        }
        self.watcher.tell(self.done, self.total);
        Ok(())
    }
}

impl Input {
    /// Creates an input that reads from `reader`.
    pub fn new(reader: StreamReader) -> Self {
        Self { reader, ready: VecDeque::new(), block: 0 }
    }

    /// Returns between 1 and `max` bytes, without a copy.
    pub(crate) async fn piece(&mut self, max: usize) -> Result<Bytes, Stopped> {
        let mut front = match self.ready.pop_front() {
            Some(front) => front,
            None => self.receive().await?.ok_or_else(|| malformed("the stream ended too soon"))?,
        };
        let piece = front.split_to(front.len().min(max));
        if !front.is_empty() {
            self.ready.push_front(front);
        }
        Ok(piece)
    }

    /// Returns the given number of bytes.
    pub(crate) async fn bytes(&mut self, len: usize) -> Result<Vec<u8>, Stopped> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            bytes.extend_from_slice(&self.piece(len - bytes.len()).await?);
        }
        Ok(bytes)
    }

    /// Returns `N` bytes.
    pub(crate) async fn array<const N: usize>(&mut self) -> Result<[u8; N], Stopped> {
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            let piece = self.piece(N - filled).await?;
            array[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        Ok(array)
    }

    /// Begins to read the content of a file.
    pub(crate) async fn begin(&mut self) -> Result<Coming, Stopped> {
        Ok(Coming::new(u64::from_be_bytes(self.array().await?)))
    }

    /// Continues to read the content of a file. A size that differs from the announced one is an
    /// error.
    pub(crate) async fn content(
        &mut self,
        coming: &mut Coming,
        meter: &mut Meter<'_, '_>,
    ) -> Result<Content, Stopped> {
        if self.block == 0 {
            let block = u32::from_be_bytes(self.array().await?);
            if block == 0 {
                coming.end()?;
                return Ok(Content::End(self.array().await?));
            }
            if block == COPY {
                let at = u64::from_be_bytes(self.array().await?);
                let len = u32::from_be_bytes(self.array().await?);
                // Each block of the base comes once and in its place, so that few bytes do not become many.
                if at != coming.came || len == 0 {
                    return Err(malformed("a copy of something else than what comes next"));
                }
                coming.add(len as usize)?;
                meter.add(len as usize)?;
                return Ok(Content::Copy(at, len));
            }
            self.block = usize::try_from(block).unwrap_or(usize::MAX);
        }
        let piece = self.piece(self.block).await?;
        self.block -= piece.len();
        coming.add(piece.len())?;
        meter.add(piece.len())?;
        Ok(Content::Data(piece))
    }

    /// Checks that the stream is complete, with nothing left in it.
    pub(crate) async fn finish(&mut self) -> Result<(), Stopped> {
        if !self.ready.is_empty() || self.receive().await?.is_some() {
            return Err(malformed("the stream continues after its end"));
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, Stopped> {
        loop {
            match self.reader.chunk().await {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(bytes),
                Err(_) => return Err(Stopped::Broken),
            }
        }
    }
}
