//! Items of a stream: `docs/wire.md`, section 10.

use std::{error::Error, fmt, mem};

use bytes::{Buf as _, BufMut, Bytes};

/// One value of a stream, or the end of one that has failed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is two fields on the wire")]
pub struct Item {
    /// What the payload is.
    pub format: ItemFormat,
    /// The encoded value.
    pub payload: Bytes,
}

/// What the payload of an [`Item`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a reader has to handle each")]
pub enum ItemFormat {
    /// Text: the stream has failed, and nothing follows.
    Failure,
    /// A value in pencode.
    Pencode,
    /// A value in Python's `marshal`.
    Marshal,
    /// The content of a bytes value.
    Bytes,
    /// Of the outcomes of `MAP` alone: a [`Failure`](crate::Failure) in Python's `marshal`.
    Raised,
}

impl Item {
    /// Appends an item to `buffer`.
    ///
    /// # Errors
    ///
    /// [`ItemError::TooLarge`] if the payload has more than 4 GiB.
    pub fn write(format: ItemFormat, payload: &[u8], buffer: &mut Vec<u8>) -> Result<(), ItemError> {
        Self::write_head(format, payload.len(), buffer)?;
        buffer.extend_from_slice(payload);
        Ok(())
    }

    /// Appends what precedes a payload of `len` bytes.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_head(format: ItemFormat, len: usize, buffer: &mut impl BufMut) -> Result<(), ItemError> {
        let size = u32::try_from(len).map_err(|_| ItemError::TooLarge { len, limit: u32::MAX as usize })?;
        buffer.put_u8(format.code());
        buffer.put_u32(size);
        Ok(())
    }
}

impl Item {
    /// Splits an outcome of `MAP` into the time that it took, in microseconds, and the item without that. Returns `None` if it
    /// has none.
    pub fn split_time(mut self) -> Option<(u32, Self)> {
        (self.payload.len() >= TIME_LEN).then(|| (self.payload.get_u32(), self))
    }
}

impl ItemFormat {
    fn code(self) -> u8 {
        match self {
            Self::Failure => 0,
            Self::Pencode => 1,
            Self::Marshal => 2,
            Self::Bytes => 3,
            Self::Raised => 4,
        }
    }

    fn new(code: u8) -> Result<Self, ItemError> {
        Ok(match code {
            0 => Self::Failure,
            1 => Self::Pencode,
            2 => Self::Marshal,
            3 => Self::Bytes,
            4 => Self::Raised,
            code => return Err(ItemError::UnknownFormat { code }),
        })
    }
}

/// Reads items from the bytes of a stream, in whatever pieces they come.
///
/// An item that came in one piece is a part of that, without a copy. Nothing is set aside for bytes that are only announced.
///
/// ```
/// use bytes::Bytes;
/// use chopsticks_protocol::{Item, ItemFormat, ItemReader};
///
/// let mut bytes = Vec::new();
/// Item::write(ItemFormat::Marshal, b"T", &mut bytes)?;
/// let mut reader = ItemReader::new(1 << 20);
/// reader.push(Bytes::from(bytes));
/// assert_eq!(reader.next()?.map(|item| item.payload), Some(Bytes::from("T")));
/// assert!(reader.next()?.is_none() && reader.is_at_end_of_item());
/// # Ok::<(), chopsticks_protocol::ItemError>(())
/// ```
#[derive(Debug)]
pub struct ItemReader {
    limit: usize,
    /// What came last, as far as it is not read.
    chunk: Bytes,
    /// An item that began before that.
    partial: Vec<u8>,
}

impl ItemReader {
    /// Creates a reader of items whose payloads have at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, chunk: Bytes::new(), partial: Vec::new() }
    }

    /// Takes the next bytes of the stream. To be called when [`next`](Self::next) has returned `None`, which is when the
    /// last ones have been used up.
    pub fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.chunk.is_empty(), "there are items to be read");
        self.chunk = bytes;
    }

    /// Returns the next item, or `None` if the rest of it has still to come.
    ///
    /// # Errors
    ///
    /// The bytes are no item, or there is no memory for it. Nothing can be read after that.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that goes on after its end would be misused"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, ItemError> {
        if self.partial.is_empty() {
            if let Some((format, len)) = self.head(&self.chunk)?
                && self.chunk.len() - HEAD_LEN >= len
            {
                self.chunk.advance(HEAD_LEN);
                return Ok(Some(Item { format, payload: self.chunk.split_to(len) }));
            }
            self.take(self.chunk.len())?;
            return Ok(None);
        }
        self.take(HEAD_LEN.saturating_sub(self.partial.len()))?;
        let Some((format, len)) = self.head(&self.partial)? else { return Ok(None) };
        let missing = HEAD_LEN + len - self.partial.len();
        self.take(missing)?;
        if self.partial.len() < HEAD_LEN + len {
            return Ok(None);
        }
        let mut payload = Bytes::from(mem::take(&mut self.partial));
        payload.advance(HEAD_LEN);
        Ok(Some(Item { format, payload }))
    }

    /// Whether the stream may end here.
    pub fn is_at_end_of_item(&self) -> bool {
        self.partial.is_empty() && self.chunk.is_empty()
    }

    fn head(&self, bytes: &[u8]) -> Result<Option<(ItemFormat, usize)>, ItemError> {
        let Some((&[code], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let format = ItemFormat::new(code)?;
        let Some(len) = rest.first_chunk() else { return Ok(None) };
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        if len > self.limit {
            return Err(ItemError::TooLarge { len, limit: self.limit });
        }
        Ok(Some((format, len)))
    }

    /// Moves bytes that have come to the item that is not whole.
    fn take(&mut self, len: usize) -> Result<(), ItemError> {
        let piece = self.chunk.split_to(len.min(self.chunk.len()));
        let total = self.partial.len() + piece.len();
        self.partial.try_reserve(piece.len()).map_err(|_| ItemError::NoMemory { len: total })?;
        self.partial.extend_from_slice(&piece);
        Ok(())
    }
}

/// Why the bytes of a stream are no items.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ItemError {
    /// There is no memory for an item of which so many bytes have come.
    NoMemory {
        /// How many.
        len: usize,
    },
    /// An item is larger than allowed.
    TooLarge {
        /// Its bytes.
        len: usize,
        /// How many it may have.
        limit: usize,
    },
    /// An item is in a format that there is not.
    UnknownFormat {
        /// Its number.
        code: u8,
    },
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory { len } => write!(f, "no memory for an item of which {len} bytes had come"),
            Self::TooLarge { len, limit } => {
                write!(f, "an item of {len} bytes is over the limit of {limit}")
            }
            Self::UnknownFormat { code } => write!(f, "an item has the unknown format {code}"),
        }
    }
}

impl Error for ItemError {}

/// How many bytes of the items of a result may come before the agent is given any credit.
pub const FIRST_CREDIT: u32 = 64 << 10;

/// Format and size.
const HEAD_LEN: usize = 5;
/// The time at the beginning of an outcome.
const TIME_LEN: usize = 4;
