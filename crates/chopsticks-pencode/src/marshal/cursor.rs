//! Reads marshal item by item, without nesting.

use super::{
    error::{DecodeError, DecodeErrorKind},
    integer::Digits,
    tag,
};

/// A place in a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'de> {
    pub(super) data: &'de [u8],
    pub(super) position: usize,
}

/// One item of a buffer: a scalar, a reference, the head of a container, or the end of a dict.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Item<'de> {
    /// The offset of the type code.
    pub start: usize,
    /// Whether the object takes the next number, by which [`Token::Reference`] names it. Numbers
    /// begin at 0, and a container takes its number before its members do.
    pub numbered: bool,
    /// What the item is.
    pub token: Token<'de>,
}

/// What an [`Item`] is.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the format is given, and a reader has to know all of it")]
pub enum Token<'de> {
    /// The end of a dict.
    Null,
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` of 32 bits.
    Int(i32),
    /// An `int` of any size.
    Long(Digits<'de>),
    /// A `float`.
    Float(f64),
    /// `bytes`.
    Bytes(&'de [u8]),
    /// A `str`.
    Text(&'de str),
    /// A `tuple` of as many items, which follow. There are at least as many bytes left.
    Tuple(u32),
    /// A `list` of as many items, which follow. There are at least as many bytes left.
    List(u32),
    /// A `set` of as many items, which follow. There are at least as many bytes left.
    Set(u32),
    /// A `frozenset` of as many items, which follow. There are at least as many bytes left.
    FrozenSet(u32),
    /// A `dict`: keys and values in turns follow, up to [`Token::Null`].
    Dict,
    /// The object of a number.
    Reference(u32),
}

impl Token<'_> {
    /// Returns the bytes of text, bytes or digits.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.scalar_len().unwrap_or(0)
    }

    /// Returns the bytes of text, bytes or digits, 0 for other scalars, and nothing for
    /// containers.
    #[inline]
    pub(super) fn scalar_len(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Long(digits) => Some(digits.len() * 2),
            Self::Int(_) | Self::Float(_) | Self::None | Self::Bool(_) | Self::Null | Self::Reference(_) => {
                Some(0)
            }
            Self::Tuple(_) | Self::List(_) | Self::Set(_) | Self::FrozenSet(_) | Self::Dict => None,
        }
    }
}

impl<'de> Cursor<'de> {
    pub(super) fn new(data: &'de [u8]) -> Self {
        Self { data, position: 0 }
    }

    /// Returns the type code of the next item without its flag.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.data.get(self.position).map(|code| code & !tag::FLAG)
    }

    /// Reads the next item.
    // Returned in memory it costs more than to read it, hence always.
    #[inline(always)]
    pub(super) fn item(&mut self) -> Result<Item<'de>, DecodeError> {
        let start = self.position;
        let Some(&code) = self.data.get(start) else { return Err(self.truncated()) };
        self.position = start + 1;
        let mut numbered = code & tag::FLAG != 0;
        let token = match code & !tag::FLAG {
            tag::TEXT | tag::INTERNED => {
                let size = self.size()?;
                Token::Text(self.text(size)?)
            }
            tag::SHORT_ASCII | tag::SHORT_ASCII_INTERNED => {
                let size = self.byte()?;
                Token::Text(self.ascii(size.into())?)
            }
            tag::ASCII | tag::ASCII_INTERNED => {
                let size = self.size()?;
                Token::Text(self.ascii(size)?)
            }
            tag::INT => Token::Int(i32::from_le_bytes(self.array()?)),
            tag::FLOAT => Token::Float(f64::from_le_bytes(self.array()?)),
            tag::BYTES => {
                let size = self.size()?;
                Token::Bytes(self.take(size)?)
            }
            tag::TUPLE => Token::Tuple(self.count()?),
            tag::SMALL_TUPLE => {
                let count = self.byte()?;
                Token::Tuple(self.checked_count(count.into())?)
            }
            tag::LIST => Token::List(self.count()?),
            tag::DICT => Token::Dict,
            tag::SET => Token::Set(self.count()?),
            tag::FROZEN_SET => Token::FrozenSet(self.count()?),
            tag::LONG => Token::Long(self.digits()?),
            // These are never numbered, whatever the flag says.
            code @ (tag::NONE | tag::TRUE | tag::FALSE | tag::NULL | tag::REFERENCE) => {
                numbered = false;
                match code {
                    tag::NONE => Token::None,
                    tag::NULL => Token::Null,
                    tag::REFERENCE => {
                        let index = i32::from_le_bytes(self.array()?);
                        let index = u32::try_from(index)
                            .map_err(|_| DecodeError::new(start, DecodeErrorKind::Negative(index)))?;
                        Token::Reference(index)
                    }
                    code => Token::Bool(code == tag::TRUE),
                }
            }
            tag::TEXT_FLOAT => Token::Float(self.text_float()?),
            code => return Err(refused(start, code)),
        };
        Ok(Item { start, numbered, token })
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let Some(&byte) = self.data.get(self.position) else { return Err(self.truncated()) };
        self.position += 1;
        Ok(byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some(array) = self.data.get(self.position..).and_then(|rest| rest.first_chunk::<N>()) else {
            return Err(self.truncated());
        };
        self.position += N;
        Ok(*array)
    }

    #[inline]
    fn take(&mut self, size: usize) -> Result<&'de [u8], DecodeError> {
        let Some(bytes) = self.data.get(self.position..).and_then(|rest| rest.get(..size)) else {
            return Err(self.truncated());
        };
        self.position += size;
        Ok(bytes)
    }

    /// Reads a size of 32 bits, which must not be negative.
    #[inline]
    fn size(&mut self) -> Result<usize, DecodeError> {
        let start = self.position;
        let size = i32::from_le_bytes(self.array()?);
        usize::try_from(size).map_err(|_| DecodeError::new(start, DecodeErrorKind::Negative(size)))
    }

    /// Reads a number of members, of which each takes a byte at least.
    #[inline]
    fn count(&mut self) -> Result<u32, DecodeError> {
        let start = self.position;
        let count = i32::from_le_bytes(self.array()?);
        match u32::try_from(count) {
            Ok(count) => self.checked_count(count),
            Err(_) => Err(DecodeError::new(start, DecodeErrorKind::Negative(count))),
        }
    }

    #[inline]
    fn checked_count(&self, count: u32) -> Result<u32, DecodeError> {
        let left = self.data.len() - self.position;
        if count as usize > left {
            return Err(DecodeError::new(self.position, DecodeErrorKind::CountBeyondEnd { count, left }));
        }
        Ok(count)
    }

    #[inline]
    fn text(&mut self, size: usize) -> Result<&'de str, DecodeError> {
        let bytes = self.take(size)?;
        std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, self.position - size, error))
    }

    #[inline]
    fn ascii(&mut self, size: usize) -> Result<&'de str, DecodeError> {
        let text = self.text(size)?;
        if !text.is_ascii() {
            return Err(DecodeError::new(self.position - size, DecodeErrorKind::NotAscii));
        }
        Ok(text)
    }

    #[inline(never)]
    fn text_float(&mut self) -> Result<f64, DecodeError> {
        let start = self.position;
        let size = self.byte()?;
        let text = self.ascii(size.into())?;
        text.parse().map_err(|_| DecodeError::new(start, DecodeErrorKind::InvalidFloat))
    }

    #[inline(never)]
    fn digits(&mut self) -> Result<Digits<'de>, DecodeError> {
        let start = self.position;
        let size = i32::from_le_bytes(self.array()?);
        let count = size.unsigned_abs();
        let bytes = self.take((count as usize).saturating_mul(2))?;
        Digits::new(size < 0, bytes).ok_or_else(|| DecodeError::new(start, DecodeErrorKind::InvalidInteger))
    }

    #[cold]
    fn truncated(&self) -> DecodeError {
        DecodeError::new(self.data.len(), DecodeErrorKind::UnexpectedEnd)
    }
}

#[cold]
fn refused(start: usize, code: u8) -> DecodeError {
    let kind = match tag::unsupported(code) {
        Some(what) => DecodeErrorKind::Unsupported(what),
        None => DecodeErrorKind::UnknownType(code),
    };
    DecodeError::new(start, kind)
}

#[cold]
fn not_utf8(bytes: &[u8], start: usize, error: std::str::Utf8Error) -> DecodeError {
    let offset = error.valid_up_to();
    // UTF-8 would write U+D800 to U+DFFF like this, and Python's "surrogatepass" does.
    let kind = match bytes.get(offset..) {
        Some([0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]) => DecodeErrorKind::LoneSurrogate,
        _ => DecodeErrorKind::InvalidUtf8,
    };
    DecodeError::new(start + offset, kind)
}
