//! Bytes to typed data.

mod access;

use serde::{
    de::{Deserialize, Deserializer, Error as _, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
};

use self::access::Access;
use crate::{
    config::DecodeConfig,
    error::{DecodeError, DecodeErrorKind},
    graph::{NODE_WEIGHT, value::Container},
    int::Parsed,
    marker, number,
    reader::{self, Reader, Token},
    tag::{self, FIRST_NUMBER},
};

/// The longest scalar that a reference may name again and again at no charge. It bounds what a
/// reference of five bytes can grow to, and field names are shorter.
const FREE_LEN: usize = HEAD_LEN + 64;

/// The length of a tag and what follows it at once.
const HEAD_LEN: usize = 5;

/// How many field names are remembered, by the last bits of their numbers. A power of two.
const NAMES: usize = 32;

/// Reads a value from a buffer that holds nothing else.
///
/// Text and bytes are borrowed from the buffer where the type allows it.
///
/// # Errors
///
/// If the buffer is not well formed, does not fit the type, contains a cycle, or its references
/// expand beyond the budget; see [`DecodeErrorKind`].
///
/// # Examples
///
/// ```
/// let (name, value): (&str, f64) = chopsticks_pencode::from_slice(b"t\0\0\0\x02s\0\0\0\x04loadf\0\0\0\x030.5")?;
/// assert_eq!((name, value), ("load", 0.5));
/// # Ok::<(), chopsticks_pencode::DecodeError>(())
/// ```
pub fn from_slice<'de, T: Deserialize<'de>>(buffer: &'de [u8]) -> Result<T, DecodeError> {
    from_slice_with(buffer, &DecodeConfig::default())
}

/// Reads a value from a buffer that holds nothing else, within the given limits.
///
/// # Errors
///
/// As [`from_slice`], and if the buffer is beyond a limit.
pub fn from_slice_with<'de, T: Deserialize<'de>>(
    buffer: &'de [u8],
    config: &DecodeConfig,
) -> Result<T, DecodeError> {
    let mut decoder = Decoder {
        reader: Reader::new(buffer, config)?,
        objects: Vec::new(),
        frontier: 0,
        promised: 0,
        open: Vec::new(),
        budget_left: config.expansion_limit(),
        names: [(0, ""); NAMES],
        config,
    };
    let value = T::deserialize(&mut decoder)?;
    decoder.reader.finish()?;
    Ok(value)
}

/// Reads one value, following references.
#[derive(Debug)]
struct Decoder<'de, 'c> {
    reader: Reader<'de>,
    /// The offsets of the numbered objects, from number 3 on.
    objects: Vec<u32>,
    /// What begins before this offset was read before; its objects have their numbers.
    frontier: usize,
    /// How many values the open containers still promise. Each is at least a byte.
    promised: usize,
    /// The offsets of the containers that the current value is in, references followed.
    open: Vec<u32>,
    budget_left: usize,
    /// Texts that references named, with their numbers; 0 is none's.
    names: [(u32, &'de str); NAMES],
    config: &'c DecodeConfig,
}

/// A value, references followed.
#[derive(Clone, Copy, Debug)]
struct Taken<'de> {
    token: Token<'de>,
    /// The offset of its tag.
    start: usize,
    /// Where to go on after the items of a container, if a reference led to it.
    resume: Option<usize>,
}

impl<'de> Decoder<'de, '_> {
    /// Reads a value, or the head of a container; a reference is followed.
    #[inline]
    fn take(&mut self) -> Result<Taken<'de>, DecodeError> {
        let start = self.reader.position;
        let token = self.reader.token(self.promised)?;
        self.account(token, start)?;
        match token {
            Token::Reference(number) => self.follow(number, start),
            _ => Ok(Taken { token, start, resume: None }),
        }
    }

    /// Reads a scalar with the tag that the type expects, which is nearly always the one that is
    /// there. Otherwise, and if anything is unusual, nothing is read and [`take`](Self::take) finds
    /// out.
    #[inline(always)]
    fn expected(&mut self, tag: u8) -> Option<&'de [u8]> {
        let start = self.reader.position;
        let rest = self.reader.input.get(start..)?;
        let [found, len @ ..] = *rest.first_chunk::<HEAD_LEN>()?;
        if found != tag || start < self.frontier {
            return None;
        }
        let payload = rest[HEAD_LEN..].get(..u32::from_be_bytes(len) as usize)?;
        self.reader.position = start + HEAD_LEN + payload.len();
        self.frontier = self.reader.position;
        self.objects.push(start as u32);
        Some(payload)
    }

    /// Reads the head of a container with one of the tags that the type expects; otherwise, and if
    /// anything is unusual, nothing.
    #[inline(always)]
    fn expected_container(&mut self, tags: [u8; 2], kind: Container) -> Option<(Taken<'de>, u32)> {
        let start = self.reader.position;
        let rest = self.reader.input.get(start..)?;
        let [found, count @ ..] = *rest.first_chunk::<HEAD_LEN>()?;
        if found != tags[0] && found != tags[1] || start < self.frontier {
            return None;
        }
        let count = u32::from_be_bytes(count);
        let len = if kind == Container::Dict { count.checked_mul(2)? } else { count };
        if len as usize + self.promised > rest.len() - HEAD_LEN {
            return None;
        }
        self.reader.position = start + HEAD_LEN;
        self.frontier = self.reader.position;
        self.objects.push(start as u32);
        Some((Taken { token: Token::Container { kind, len }, start, resume: None }, len))
    }

    /// Reads a reference to a text that was the target of one before.
    #[inline]
    fn known_name(&mut self) -> Option<&'de str> {
        let start = self.reader.position;
        let [found, number @ ..] = *self.reader.input.get(start..)?.first_chunk::<HEAD_LEN>()?;
        let number = u32::from_be_bytes(number);
        let (known, name) = self.names[number as usize % NAMES];
        if found != tag::REFERENCE || known != number || start < self.frontier {
            return None;
        }
        self.reader.position = start + HEAD_LEN;
        self.frontier = self.reader.position;
        Some(name)
    }

    /// Gives an object that is met for the first time its number, and charges for what is read
    /// again.
    #[inline]
    fn account(&mut self, token: Token<'de>, start: usize) -> Result<(), DecodeError> {
        if start < self.frontier {
            return self.charge(start);
        }
        self.frontier = self.reader.position;
        if !matches!(token, Token::None | Token::Bool(_) | Token::Reference(_)) {
            self.objects.push(start as u32);
        }
        Ok(())
    }

    #[inline]
    fn follow(&mut self, number: u32, start: usize) -> Result<Taken<'de>, DecodeError> {
        let target = self.target(number, start)?;
        let resume = std::mem::replace(&mut self.reader.position, target);
        let token = self.reader.token(self.promised)?;
        if let Token::Container { .. } = token {
            if self.open.contains(&(target as u32)) {
                return Err(DecodeError::new(start, DecodeErrorKind::Cycle { number }));
            }
            self.charge(target)?;
            return Ok(Taken { token, start: target, resume: Some(resume) });
        }
        if self.reader.position - target > FREE_LEN {
            self.charge(target)?;
        } else if let Token::Text(text) = token {
            self.names[number as usize % NAMES] = (number, text);
        }
        self.reader.position = resume;
        Ok(Taken { token, start, resume: None })
    }

    /// Returns the offset of a numbered object.
    #[inline]
    fn target(&self, number: u32, start: usize) -> Result<usize, DecodeError> {
        match number.checked_sub(FIRST_NUMBER).and_then(|index| self.objects.get(index as usize)) {
            Some(&offset) => Ok(offset as usize),
            None => Err(DecodeError::new(start, DecodeErrorKind::UnknownReference(number))),
        }
    }

    /// Charges for the value that was just read again.
    fn charge(&mut self, start: usize) -> Result<(), DecodeError> {
        let cost = self.reader.position - start + NODE_WEIGHT as usize;
        match self.budget_left.checked_sub(cost) {
            Some(left) => {
                self.budget_left = left;
                Ok(())
            }
            None => {
                let budget = self.config.expansion_limit();
                Err(DecodeError::new(start, DecodeErrorKind::ExpansionBudget { budget }))
            }
        }
    }

    /// Skips a value without recursion; references in it are not followed.
    fn skip(&mut self) -> Result<(), DecodeError> {
        let mut pending = 1;
        while pending > 0 {
            pending -= 1;
            let start = self.reader.position;
            let token = self.reader.token(self.promised + pending)?;
            self.account(token, start)?;
            match token {
                Token::Reference(number) => {
                    self.target(number, start)?;
                }
                Token::Container { len, .. } => pending += len as usize,
                _ => {}
            }
        }
        Ok(())
    }

    /// Hands the items of a container to `visit`, which has to take all of them.
    #[inline]
    fn container<T>(
        &mut self,
        taken: Taken<'de>,
        len: u32,
        visit: impl FnOnce(&mut Access<'_, 'de, '_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let max_depth = self.config.depth_limit();
        if self.open.len() >= max_depth {
            return Err(DecodeError::new(taken.start, DecodeErrorKind::TooDeep { max_depth }));
        }
        self.open.push(taken.start as u32);
        self.promised += len as usize;
        let mut access = Access::new(self, len);
        let result = visit(&mut access);
        if result.is_ok() {
            access.finish().map_err(|error| error.or_offset(taken.start))?;
            self.open.pop();
            if let Some(resume) = taken.resume {
                self.reader.position = resume;
            }
        }
        placed(result, taken.start)
    }

    /// Shows a value to a visitor.
    #[inline]
    fn visit<V: Visitor<'de>>(&mut self, taken: Taken<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match taken.token {
            Token::Text(text) | Token::NativeText(text) => visitor.visit_borrowed_str(text),
            Token::Int(Parsed::Small(value)) => match u64::try_from(value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(value),
            },
            Token::Float(value) => visitor.visit_f64(value),
            Token::Container { kind: Container::Dict, len } => {
                self.container(taken, len, |pairs| visitor.visit_map(pairs))
            }
            Token::Container { len, .. } => self.container(taken, len, |items| visitor.visit_seq(items)),
            Token::None | Token::Reference(_) => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Int(parsed) => number::visit_big(parsed, visitor),
        };
        placed(result, taken.start)
    }
}

/// Fills in the offset of an error that has no place yet. The value, which may be large, is not
/// moved for it.
#[inline(always)]
fn placed<T>(mut result: Result<T, DecodeError>, start: usize) -> Result<T, DecodeError> {
    if let Err(error) = &mut result {
        error.place(start);
    }
    result
}

/// Integers of up to 64 bits.
macro_rules! integers {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let start = self.reader.position;
            let Some(text) = self.expected(tag::INT) else {
                return self.deserialize_any(visitor);
            };
            let result = match reader::int(start, text)? {
                Parsed::Small(value) => match u64::try_from(value) {
                    Ok(value) => visitor.visit_u64(value),
                    Err(_) => visitor.visit_i64(value),
                },
                parsed => number::visit_big(parsed, visitor),
            };
            placed(result, start)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de, '_> {
    type Error = DecodeError;

    forward_to_deserialize_any! {
        bool i128 u128 char bytes byte_buf unit unit_struct
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let taken = self.take()?;
        self.visit(taken, visitor)
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let start = self.reader.position;
        if let Some(text) = self.expected(tag::FLOAT) {
            return visitor.visit_f64(reader::float(start, text)?);
        }
        let taken = self.take()?;
        match taken.token {
            Token::Int(parsed) => placed(number::visit_float(parsed, visitor), taken.start),
            _ => self.visit(taken, visitor),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let start = self.reader.position;
        if let Some(text) = self.expected(tag::TEXT) {
            return placed(visitor.visit_borrowed_str(reader::text(start, text)?), start);
        }
        self.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let start = self.reader.position;
        match self.known_name() {
            Some(name) => placed(visitor.visit_borrowed_str(name), start),
            None => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.expected_container([tag::LIST, tag::TUPLE], Container::List) {
            Some((taken, len)) => self.container(taken, len, |items| visitor.visit_seq(items)),
            None => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.expected_container([tag::DICT; 2], Container::Dict) {
            Some((taken, len)) => self.container(taken, len, |pairs| visitor.visit_map(pairs)),
            None => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_map(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.reader.input.get(self.reader.position) == Some(&tag::NONE) {
            self.take()?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name != marker::BIG_INT {
            return visitor.visit_newtype_struct(self);
        }
        let taken = self.take()?;
        match taken.token {
            Token::Int(parsed) => number::visit_digits(parsed, visitor),
            _ => self.visit(taken, visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let taken = self.take()?;
        let result = match taken.token {
            Token::Text(text) | Token::NativeText(text) => {
                visitor.visit_enum(BorrowedStrDeserializer::new(text))
            }
            Token::Container { kind: Container::Dict, len: 2 } => {
                self.container(taken, 2, |pair| visitor.visit_enum(pair))
            }
            _ => {
                Err(DecodeError::custom("expected a text or a dict of one pair, the variant and its content"))
            }
        };
        placed(result, taken.start)
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.skip()?;
        visitor.visit_unit()
    }
}
