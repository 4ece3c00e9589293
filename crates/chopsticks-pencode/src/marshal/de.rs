//! Reads marshal into Rust types.

use serde::{
    de::{self, Deserialize, Unexpected, Visitor},
    forward_to_deserialize_any,
};

use crate::{config::DecodeConfig, marker};

use self::access::{Enum, Map, Sequence, UnitVariant};
use super::{
    check_len,
    cursor::{Cursor, Item, Token},
    error::{DecodeError, DecodeErrorKind},
    integer::Digits,
    path::path_at,
    tag,
};

mod access;
mod quick;
mod reference;

/// Bytes of a scalar that a reference may name without counting, so that field names do not.
const FREE_LEN: usize = 64;

/// Reads the one value that `data` is.
pub(super) fn read<'de, T: Deserialize<'de>>(
    data: &'de [u8],
    config: &DecodeConfig,
) -> Result<T, DecodeError> {
    check_len(data, config)?;
    let mut deserializer = Deserializer::new(data, config);
    let result = T::deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    result.map_err(|error| {
        let error = error.at(deserializer.cursor.position);
        let path = path_at(data, error.offset());
        error.with_path(path)
    })
}

/// Reads values one after the other.
///
/// An object that a reference names is read again where the reference stands. It lies before the
/// reference, unless it is still open: then reading it arrives at the reference again. So while a
/// reference is expanded, the buffer ends where the reference begins, and whoever gets there has
/// found a cycle.
#[derive(Debug)]
struct Deserializer<'de> {
    cursor: Cursor<'de>,
    /// The whole buffer; the cursor's is shorter while a reference is expanded.
    data: &'de [u8],
    /// The offsets of the numbered objects.
    objects: Vec<u32>,
    /// Containers that may still be opened within each other.
    depth: usize,
    /// The outermost reference that is being expanded.
    expanding: Option<usize>,
    max_depth: usize,
    /// What expansions may still weigh.
    budget: usize,
    max_budget: usize,
    /// What the lengths of open sequences have promised to their visitors.
    promised: usize,
}

impl<'de> Deserializer<'de> {
    fn new(data: &'de [u8], config: &DecodeConfig) -> Self {
        Self {
            cursor: Cursor::new(data),
            data,
            objects: Vec::new(),
            depth: config.depth_limit(),
            max_depth: config.depth_limit(),
            expanding: None,
            budget: config.expansion_limit(),
            max_budget: config.expansion_limit(),
            promised: 0,
        }
    }

    fn end(&self) -> Result<(), DecodeError> {
        match self.data.len() - self.cursor.position {
            0 => Ok(()),
            rest => Err(DecodeError::new(self.cursor.position, DecodeErrorKind::TrailingBytes(rest))),
        }
    }

    #[inline(always)]
    fn item(&mut self) -> Result<Item<'de>, DecodeError> {
        let item = match self.cursor.item() {
            Ok(item) => item,
            Err(error) => return Err(self.fault(error)),
        };
        if self.expanding.is_some() {
            self.spend(item.token.len())?;
        } else if item.numbered {
            // The buffer's length fits, so that every offset does.
            self.objects.push(item.start as u32);
        }
        Ok(item)
    }

    #[inline]
    fn enter(&mut self, start: usize) -> Result<(), DecodeError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            let max_depth = self.max_depth;
            return Err(DecodeError::new(self.place(start), DecodeErrorKind::TooDeep { max_depth }));
        };
        self.depth = depth;
        Ok(())
    }

    #[inline]
    fn leave(&mut self, hint: usize) {
        self.depth += 1;
        self.promised -= hint;
    }

    /// Gives `visitor` an item that has been read.
    // Here and below results are built in place and returned from one place, because to move a
    // large struct out of one `Result` into another is most of what reading it costs.
    #[inline(always)]
    fn visit<V: Visitor<'de>>(&mut self, item: Item<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        match item.token {
            Token::Tuple(count) | Token::List(count) | Token::Set(count) | Token::FrozenSet(count) => {
                self.sequence(count, item.start, visitor)
            }
            Token::Dict => self.dict(item.start, visitor),
            Token::Reference(index) => self.visit_reference(index, item.start, visitor),
            _ => self.visit_scalar(item, visitor),
        }
    }

    #[inline(always)]
    fn visit_scalar<V: Visitor<'de>>(
        &mut self,
        item: Item<'de>,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let mut result = match item.token {
            Token::Text(text) => visitor.visit_borrowed_str(text),
            Token::Int(value) => visit_int(value, visitor),
            Token::Float(value) => visitor.visit_f64(value),
            Token::None => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Long(digits) => visit_long(digits, visitor),
            _ => Err(DecodeError::new(item.start, DecodeErrorKind::UnexpectedDictEnd)),
        };
        self.locate(&mut result, item.start);
        result
    }

    #[inline(never)]
    fn visit_reference<V: Visitor<'de>>(
        &mut self,
        index: u32,
        start: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.expand(index, start, |this, item| this.visit(item, visitor))
    }

    /// Says where an error is that a visitor made.
    #[inline(always)]
    fn locate<T>(&self, result: &mut Result<T, DecodeError>, start: usize) {
        if let Err(error) = result {
            error.locate(self.place(start));
        }
    }

    #[inline]
    fn sequence<V: Visitor<'de>>(
        &mut self,
        count: u32,
        start: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        // Nested sequences must not promise the same bytes to one visitor after the other.
        let hint = (count as usize).min(self.data.len() - self.promised);
        let mut result = match self.enter(start) {
            Ok(()) => {
                self.promised += hint;
                let mut members = Sequence::new(self, count, hint);
                let result = visitor.visit_seq(&mut members);
                let left = members.left();
                self.leave(hint);
                if left == 0 || result.is_err() { result } else { Err(too_many()) }
            }
            Err(error) => Err(error),
        };
        self.locate(&mut result, start);
        result
    }

    #[inline]
    fn dict<V: Visitor<'de>>(&mut self, start: usize, visitor: V) -> Result<V::Value, DecodeError> {
        let mut result = match self.enter(start) {
            Ok(()) => {
                let mut pairs = Map::new(self);
                let result = visitor.visit_map(&mut pairs);
                let ended = pairs.ended();
                self.leave(0);
                if ended || result.is_err() || self.end_of_dict() { result } else { Err(too_many()) }
            }
            Err(error) => Err(error),
        };
        self.locate(&mut result, start);
        result
    }

    /// Consumes the mark at the end of a dict, if it is next.
    #[inline]
    fn end_of_dict(&mut self) -> bool {
        let ends = self.cursor.peek() == Some(tag::NULL);
        self.cursor.position += usize::from(ends);
        ends
    }

    /// Reads past one value without nesting; what it refers to is not looked at.
    fn skip(&mut self) -> Result<(), DecodeError> {
        // Members to come of each open container; for a dict, what is next. Counts are below 2^31.
        const KEY: u32 = u32::MAX;
        const VALUE: u32 = u32::MAX - 1;
        let mut open: Vec<u32> = Vec::new();
        loop {
            let item = self.item()?;
            let members = match item.token {
                Token::Tuple(count) | Token::List(count) | Token::Set(count) | Token::FrozenSet(count) => {
                    Some(count)
                }
                Token::Dict => Some(KEY),
                Token::Reference(index) => {
                    self.object(index, item.start)?;
                    None
                }
                Token::Null => return Err(DecodeError::new(item.start, DecodeErrorKind::UnexpectedDictEnd)),
                _ => None,
            };
            if let Some(members) = members {
                if open.len() >= self.depth {
                    let max_depth = self.max_depth;
                    return Err(DecodeError::new(
                        self.place(item.start),
                        DecodeErrorKind::TooDeep { max_depth },
                    ));
                }
                open.push(members);
            }
            // Ends what is complete and begins the next member of what is not.
            loop {
                match open.last_mut() {
                    None => return Ok(()),
                    Some(0) => {
                        open.pop();
                    }
                    Some(&mut KEY) if self.end_of_dict() => {
                        open.pop();
                    }
                    Some(left) => {
                        *left = match *left {
                            KEY => VALUE,
                            VALUE => KEY,
                            count => count - 1,
                        };
                        break;
                    }
                }
            }
        }
    }

    /// Gives `visitor` an enum: text, or a dict of one pair.
    fn enumerator<V: Visitor<'de>>(&mut self, item: Item<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        let start = item.start;
        match item.token {
            Token::Text(text) => visitor.visit_enum(UnitVariant::new(text)),
            Token::Dict => {
                self.enter(start)?;
                let value = visitor.visit_enum(Enum::new(self))?;
                if !self.end_of_dict() {
                    let error: DecodeError =
                        de::Error::custom("a dict of more than one pair is not a variant");
                    return Err(error.at(self.place(start)));
                }
                self.leave(0);
                Ok(value)
            }
            Token::Reference(index) => self.expand(index, start, |this, item| this.enumerator(item, visitor)),
            Token::Null => Err(DecodeError::new(start, DecodeErrorKind::UnexpectedDictEnd)),
            _ => Err(de::Error::custom("expected text or a dict of one pair, the variant and its content")),
        }
        .map_err(|error| error.at(self.place(start)))
    }

    /// Gives `visitor` a float, or an integer that a float is equal to.
    #[inline]
    fn float<V: Visitor<'de>>(&mut self, item: Item<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        let value = match item.token {
            Token::Int(value) => Some(value.into()),
            Token::Long(digits) => digits.to_f64(),
            Token::Reference(index) => {
                return self.expand(index, item.start, |this, item| this.float(item, visitor));
            }
            _ => return self.visit(item, visitor),
        };
        let result = match value {
            Some(value) => visitor.visit_f64(value),
            None => {
                let found = Unexpected::Other("integer that no float is equal to");
                Err(de::Error::invalid_value(found, &visitor))
            }
        };
        result.map_err(|error: DecodeError| error.at(self.place(item.start)))
    }

    /// Gives the visitor of a [`BigInt`](crate::BigInt) an integer.
    fn big_int<V: Visitor<'de>>(&mut self, item: Item<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        match item.token {
            Token::Long(digits) if digits.to_i64().is_none() => {
                visitor.visit_string(digits.checked_decimal(self.place(item.start))?)
            }
            Token::Reference(index) => {
                self.expand(index, item.start, |this, item| this.big_int(item, visitor))
            }
            _ => self.visit(item, visitor),
        }
    }
}

#[cold]
fn too_many() -> DecodeError {
    de::Error::custom("more items than the type has room for")
}

#[inline(never)]
fn visit_long<'de, V: Visitor<'de>>(digits: Digits<'de>, visitor: V) -> Result<V::Value, DecodeError> {
    if let Some(value) = digits.to_u64() {
        visitor.visit_u64(value)
    } else if let Some(value) = digits.to_i64() {
        visitor.visit_i64(value)
    } else if let Some(value) = digits.to_i128() {
        visitor.visit_i128(value)
    } else if let Some(value) = digits.to_u128() {
        visitor.visit_u128(value)
    } else {
        Err(de::Error::invalid_type(Unexpected::Other("integer of more than 128 bits"), &visitor))
    }
}

#[inline(always)]
fn visit_int<'de, V: Visitor<'de>>(value: i32, visitor: V) -> Result<V::Value, DecodeError> {
    match u32::try_from(value) {
        Ok(value) => visitor.visit_u64(value.into()),
        Err(_) => visitor.visit_i64(value.into()),
    }
}

macro_rules! text {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let start = self.cursor.position;
            let Some(text) = self.quick_text() else { return self.deserialize_any(visitor) };
            let mut result = visitor.visit_borrowed_str(text);
            self.locate(&mut result, start);
            result
        }
    )*};
}

macro_rules! int {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let start = self.cursor.position;
            let Some(value) = self.quick_int() else { return self.deserialize_any(visitor) };
            let mut result = visit_int(value, visitor);
            self.locate(&mut result, start);
            result
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = DecodeError;

    forward_to_deserialize_any! {
        bool i128 u128 char bytes byte_buf unit unit_struct seq
    }

    text! { deserialize_str deserialize_string deserialize_identifier }

    int! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.item() {
            Ok(item) => self.visit(item, visitor),
            Err(error) => Err(error),
        }
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let start = self.cursor.position;
        if self.cursor.data.get(start) == Some(&tag::DICT) && self.expanding.is_none() {
            self.cursor.position += 1;
            self.dict(start, visitor)
        } else {
            self.deserialize_any(visitor)
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
    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        match self.quick_tuple() {
            Some((count, start)) => self.sequence(count, start, visitor),
            None => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let start = self.cursor.position;
        let Some(value) = self.quick_float() else {
            let item = self.item()?;
            return self.float(item, visitor);
        };
        let mut result = visitor.visit_f64(value);
        self.locate(&mut result, start);
        result
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.cursor.peek() == Some(tag::NONE) {
            self.item()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
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
        let item = self.item()?;
        self.big_int(item, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let item = self.item()?;
        self.enumerator(item, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.skip()?;
        visitor.visit_unit()
    }
}
