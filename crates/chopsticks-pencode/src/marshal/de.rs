//! Reads marshal into Rust types.

use serde::de::{self, Deserialize, Unexpected, Visitor};

use crate::config::DecodeConfig;

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

/// What reading a value once more counts in the expansion budget, besides its text or bytes.
const VALUE_WEIGHT: usize = 16;

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

    #[inline]
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

    /// Tells a cycle from bytes that end.
    #[cold]
    fn fault(&self, error: DecodeError) -> DecodeError {
        match (self.expanding, error.kind()) {
            (Some(reference), DecodeErrorKind::UnexpectedEnd | DecodeErrorKind::CountBeyondEnd { .. }) => {
                DecodeError::new(reference, DecodeErrorKind::Cycle)
            }
            _ => error,
        }
    }

    #[inline]
    fn spend(&mut self, len: usize) -> Result<(), DecodeError> {
        match self.budget.checked_sub(VALUE_WEIGHT + len) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => {
                let budget = self.max_budget;
                let offset = self.place(self.cursor.position);
                Err(DecodeError::new(offset, DecodeErrorKind::ExpansionBudget { budget }))
            }
        }
    }

    /// Returns where an item stands in the tree: what is expanded stands at its reference.
    fn place(&self, start: usize) -> usize {
        self.expanding.unwrap_or(start)
    }

    #[inline]
    fn object(&self, index: u32, start: usize) -> Result<usize, DecodeError> {
        match self.objects.get(index as usize) {
            Some(&offset) => Ok(offset as usize),
            None => {
                let known = self.objects.len();
                Err(DecodeError::new(start, DecodeErrorKind::UnknownReference { index, known }))
            }
        }
    }

    /// Reads object `index` in the place of the reference to it at `start`, and gives it to
    /// `visit`.
    #[inline]
    fn expand<R>(
        &mut self,
        index: u32,
        start: usize,
        visit: impl FnOnce(&mut Self, Item<'de>) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        let object = self.object(index, start)?;
        let mut cursor = Cursor { data: &self.data[..start], position: object };
        let mut item = cursor.item().map_err(|error| self.fault(error))?;
        if let Some(len) = item.token.scalar_len() {
            // Nothing more is to be read there.
            item.start = start;
            if len > FREE_LEN {
                self.spend(len)?;
            }
            return visit(self, item);
        }
        self.expand_container(cursor, item, start, visit)
    }

    fn expand_container<R>(
        &mut self,
        cursor: Cursor<'de>,
        item: Item<'de>,
        start: usize,
        visit: impl FnOnce(&mut Self, Item<'de>) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        self.spend(0)?;
        let saved = (self.cursor, self.expanding);
        self.expanding = Some(self.place(start));
        self.cursor = cursor;
        let result = visit(self, item);
        (self.cursor, self.expanding) = saved;
        result
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
    fn leave(&mut self) {
        self.depth += 1;
    }

    /// Gives `visitor` an item that has been read.
    #[inline]
    fn visit<V: Visitor<'de>>(&mut self, item: Item<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        let result = match item.token {
            Token::None => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Int(value) => visitor.visit_i64(value.into()),
            Token::Long(digits) => return self.long(digits, item.start, visitor),
            Token::Float(value) => visitor.visit_f64(value),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Text(text) => visitor.visit_borrowed_str(text),
            Token::Tuple(count) | Token::List(count) | Token::Set(count) | Token::FrozenSet(count) => {
                self.sequence(count, item.start, visitor)
            }
            Token::Dict => self.dict(item.start, visitor),
            Token::Reference(index) => {
                return self.expand(index, item.start, |this, item| this.visit(item, visitor));
            }
            Token::Null => return Err(DecodeError::new(item.start, DecodeErrorKind::UnexpectedDictEnd)),
        };
        result.map_err(|error: DecodeError| error.at(self.place(item.start)))
    }

    #[inline(never)]
    fn long<V: Visitor<'de>>(
        &mut self,
        digits: Digits<'de>,
        start: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let result = if let Some(value) = digits.to_i64() {
            visitor.visit_i64(value)
        } else if let Some(value) = digits.to_u64() {
            visitor.visit_u64(value)
        } else if let Some(value) = digits.to_i128() {
            visitor.visit_i128(value)
        } else if let Some(value) = digits.to_u128() {
            visitor.visit_u128(value)
        } else {
            Err(de::Error::invalid_type(Unexpected::Other("integer of more than 128 bits"), &visitor))
        };
        result.map_err(|error: DecodeError| error.at(self.place(start)))
    }

    #[inline]
    fn sequence<V: Visitor<'de>>(
        &mut self,
        count: u32,
        start: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.enter(start)?;
        // Nested sequences must not promise the same bytes to one visitor after the other.
        let hint = (count as usize).min(self.data.len() - self.promised);
        self.promised += hint;
        let mut members = Sequence::new(self, count, hint);
        let value = visitor.visit_seq(&mut members)?;
        let left = members.left();
        self.promised -= hint;
        self.leave();
        if left != 0 {
            let expected = format!("{} members", count - left);
            return Err(de::Error::invalid_length(count as usize, &expected.as_str()));
        }
        Ok(value)
    }

    #[inline]
    fn dict<V: Visitor<'de>>(&mut self, start: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.enter(start)?;
        let mut pairs = Map::new(self);
        let value = visitor.visit_map(&mut pairs)?;
        pairs.finish()?;
        self.leave();
        Ok(value)
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

    /// Reads an item that has to be of a certain kind, through references.
    #[inline]
    fn expect<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        fits: impl Fn(&Token<'de>) -> bool,
    ) -> Result<V::Value, DecodeError> {
        let item = self.item()?;
        if let Token::Reference(index) = item.token {
            return self.expand(index, item.start, |this, item| this.expected(item, visitor, fits));
        }
        self.expected(item, visitor, fits)
    }

    #[inline]
    fn expected<V: Visitor<'de>>(
        &mut self,
        item: Item<'de>,
        visitor: V,
        fits: impl Fn(&Token<'de>) -> bool,
    ) -> Result<V::Value, DecodeError> {
        if !fits(&item.token) {
            return Err(self.mismatch(item, &visitor));
        }
        self.visit(item, visitor)
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
                    let error: DecodeError = de::Error::custom("a dict of more than one pair is no variant");
                    return Err(error.at(self.place(start)));
                }
                self.leave();
                Ok(value)
            }
            Token::Reference(index) => self.expand(index, start, |this, item| this.enumerator(item, visitor)),
            _ => return Err(self.mismatch(item, &"text or a dict of one pair")),
        }
        .map_err(|error| error.at(self.place(start)))
    }

    #[cold]
    fn mismatch(&self, item: Item<'de>, expected: &dyn de::Expected) -> DecodeError {
        let found = match item.token {
            Token::Null => return DecodeError::new(item.start, DecodeErrorKind::UnexpectedDictEnd),
            Token::None => Unexpected::Unit,
            Token::Bool(value) => Unexpected::Bool(value),
            Token::Int(value) => Unexpected::Signed(value.into()),
            Token::Long(_) => Unexpected::Other("large integer"),
            Token::Float(value) => Unexpected::Float(value),
            Token::Bytes(bytes) => Unexpected::Bytes(bytes),
            Token::Text(text) => Unexpected::Str(text),
            Token::Tuple(_) | Token::List(_) | Token::Set(_) | Token::FrozenSet(_) => Unexpected::Seq,
            Token::Dict => Unexpected::Map,
            Token::Reference(_) => Unexpected::Other("reference"),
        };
        let error: DecodeError = de::Error::invalid_type(found, expected);
        error.at(self.place(item.start))
    }
}

/// Forwards to `deserialize_any`: the item says what it is, and the visitor whether it fits.
macro_rules! any {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.deserialize_any(visitor)
        }
    )*};
}

/// Text only: visitors of text would take bytes as well.
macro_rules! text {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.expect(visitor, |token| matches!(token, Token::Text(_)))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = DecodeError;

    any! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_unit deserialize_seq deserialize_map
    }

    text! { deserialize_char deserialize_str deserialize_string }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let item = self.item()?;
        self.visit(item, visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.expect(visitor, |token| !matches!(token, Token::Text(_)))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.cursor.peek() == Some(tag::NONE) {
            self.item()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_any(visitor)
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
