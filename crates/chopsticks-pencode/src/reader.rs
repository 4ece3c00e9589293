//! Taking a buffer apart, value by value.

use crate::{
    config::DecodeConfig,
    error::{DecodeError, DecodeErrorKind},
    float,
    graph::value::Container,
    int::{self, Parsed},
    tag,
};

/// How much of a wrong number is quoted.
const QUOTE_LEN: usize = 40;

/// One value without its children.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token<'a> {
    None,
    Bool(bool),
    Int(Parsed<'a>),
    Float(f64),
    Text(&'a str),
    NativeText(&'a str),
    Bytes(&'a [u8]),
    /// `len` counts values, so it is twice the number of pairs of a dict.
    Container {
        kind: Container,
        len: u32,
    },
    Reference(u32),
}

/// A position in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8], config: &DecodeConfig) -> Result<Self, DecodeError> {
        let (len, max_len) = (input.len(), config.len_limit());
        if len > max_len {
            return Err(DecodeError::new(max_len, DecodeErrorKind::TooLong { len, max_len }));
        }
        Ok(Self { input, position: 0 })
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError::new(self.position, DecodeErrorKind::TrailingBytes(left))),
        }
    }

    pub(crate) fn left(&self) -> usize {
        self.input.len() - self.position
    }

    /// Reads one value, or the head of a container. `promised` is how many of the values that are
    /// still to come belong to others, each at least a byte; only a container looks at it.
    #[inline]
    pub(crate) fn token(&mut self, promised: usize) -> Result<Token<'a>, DecodeError> {
        let start = self.position;
        let Some(&tag) = self.input.get(start) else {
            return Err(self.ended());
        };
        self.position += 1;
        Ok(match tag {
            tag::NONE => Token::None,
            tag::TRUE => Token::Bool(true),
            tag::FALSE => Token::Bool(false),
            tag::REFERENCE => Token::Reference(self.number()?),
            tag::TEXT => {
                let payload = self.payload(start)?;
                Token::Text(text(start, payload)?)
            }
            tag::INT => {
                let text = self.payload(start)?;
                Token::Int(int(start, text)?)
            }
            tag::FLOAT => {
                let text = self.payload(start)?;
                Token::Float(float(start, text)?)
            }
            tag::NATIVE_TEXT => {
                let payload = self.payload(start)?;
                let text = text(start, payload)?;
                if !text.is_ascii() {
                    return Err(DecodeError::new(start, DecodeErrorKind::NotAscii));
                }
                Token::NativeText(text)
            }
            tag::BYTES => Token::Bytes(self.payload(start)?),
            tag::LIST => self.container(start, Container::List, promised)?,
            tag::TUPLE => self.container(start, Container::Tuple, promised)?,
            tag::SET => self.container(start, Container::Set, promised)?,
            tag::FROZEN_SET => self.container(start, Container::FrozenSet, promised)?,
            tag::DICT => self.container(start, Container::Dict, promised)?,
            unknown => return Err(DecodeError::new(start, DecodeErrorKind::UnknownTag(unknown))),
        })
    }

    #[inline]
    fn number(&mut self) -> Result<u32, DecodeError> {
        match self.input[self.position..].first_chunk() {
            Some(bytes) => {
                self.position += 4;
                Ok(u32::from_be_bytes(*bytes))
            }
            None => Err(self.ended()),
        }
    }

    #[inline]
    fn payload(&mut self, start: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.number()?;
        let left = self.left();
        let Some(payload) = self.input[self.position..].get(..len as usize) else {
            return Err(DecodeError::new(start, DecodeErrorKind::LengthBeyondEnd { len, left }));
        };
        self.position += len as usize;
        Ok(payload)
    }

    #[inline]
    fn container(
        &mut self,
        start: usize,
        kind: Container,
        promised: usize,
    ) -> Result<Token<'a>, DecodeError> {
        let count = u64::from(self.number()?);
        let count = if kind == Container::Dict { count * 2 } else { count };
        let left = self.left().saturating_sub(promised);
        if count > left as u64 {
            return Err(DecodeError::new(start, DecodeErrorKind::CountBeyondEnd { count, left }));
        }
        // It fits, since no buffer is longer than `u32::MAX`.
        Ok(Token::Container { kind, len: count as u32 })
    }

    #[cold]
    fn ended(&self) -> DecodeError {
        DecodeError::new(self.input.len(), DecodeErrorKind::UnexpectedEnd)
    }
}

/// Reads the text of an integer.
#[inline]
pub(crate) fn int(start: usize, text: &[u8]) -> Result<Parsed<'_>, DecodeError> {
    int::parse(text).ok_or_else(|| invalid(start, text, DecodeErrorKind::InvalidInteger))
}

/// Reads the text of a float.
#[inline]
pub(crate) fn float(start: usize, text: &[u8]) -> Result<f64, DecodeError> {
    float::parse(text).ok_or_else(|| invalid(start, text, DecodeErrorKind::InvalidFloat))
}

/// Reads text.
#[inline]
pub(crate) fn text(start: usize, payload: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(payload).map_err(|_| DecodeError::new(start, DecodeErrorKind::InvalidUtf8))
}

/// Makes the error for a wrong number, with the beginning of its text.
#[cold]
fn invalid(start: usize, text: &[u8], kind: fn(String) -> DecodeErrorKind) -> DecodeError {
    let quoted = &text[..text.len().min(QUOTE_LEN)];
    DecodeError::new(start, kind(quoted.escape_ascii().to_string()))
}
