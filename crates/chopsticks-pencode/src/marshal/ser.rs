//! Writes Rust data as marshal that every Python reads.

use std::mem;

use serde::ser::{self, Serialize};

use crate::marker;

use super::{
    MAX_WRITE_DEPTH,
    error::{EncodeError, EncodeErrorKind},
    integer,
    path::path_at,
    tag,
};

mod compound;

pub(super) use compound::{Dict, Sequence};

/// Appends one value to `out`; on an error `out` is as it was.
pub(super) fn append<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
    exact: bool,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut serializer = Serializer { exact, ..Serializer::new(mem::take(out)) };
    let result = value.serialize(&mut serializer);
    *out = serializer.out;
    result.map_err(|error| {
        let written = out.get(start..).unwrap_or_default();
        let error = error.with_path(path_at(written, written.len()));
        out.truncate(start);
        error
    })
}

/// Writes values one after the other.
#[derive(Debug)]
pub(super) struct Serializer {
    pub(super) out: Vec<u8>,
    /// Containers that may still be opened within each other.
    depth: usize,
    marked: Option<Marked>,
    /// Whether a value that would be read as another one is refused.
    exact: bool,
}

/// What a newtype with a name of ours says of the value in it.
#[derive(Clone, Copy, Debug)]
enum Marked {
    BigInt,
    FrozenSet,
    Set,
}

impl Serializer {
    pub(super) fn new(out: Vec<u8>) -> Self {
        Self { out, depth: MAX_WRITE_DEPTH, marked: None, exact: false }
    }

    pub(super) fn int(&mut self, value: i32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.out.extend_from_slice(&[tag::INT, a, b, c, d]);
    }

    #[inline]
    pub(super) fn signed(&mut self, value: i64) {
        match i32::try_from(value) {
            Ok(value) => self.int(value),
            Err(_) => self.long(value < 0, value.unsigned_abs().into()),
        }
    }

    #[inline]
    pub(super) fn unsigned(&mut self, value: u64) {
        match i32::try_from(value) {
            Ok(value) => self.int(value),
            Err(_) => self.long(false, value.into()),
        }
    }

    pub(super) fn long(&mut self, negative: bool, magnitude: u128) {
        self.out.push(tag::LONG);
        integer::write(&mut self.out, negative, magnitude);
    }

    /// Writes an integer that is given in decimal.
    #[cold]
    fn decimal(&mut self, value: &str) -> Result<(), EncodeError> {
        if let Ok(value) = value.parse() {
            self.signed(value);
            return Ok(());
        }
        self.out.push(tag::LONG);
        integer::write_decimal(&mut self.out, value)
    }

    pub(super) fn float(&mut self, value: f64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.out.extend_from_slice(&[tag::FLOAT, a, b, c, d, e, f, g, h]);
    }

    /// Writes a type code, a size and that many bytes.
    #[inline]
    pub(super) fn sized(&mut self, code: u8, bytes: &[u8]) -> Result<(), EncodeError> {
        let size = counted(bytes.len())?;
        let [a, b, c, d] = size.to_le_bytes();
        self.out.reserve(bytes.len() + 5);
        self.out.extend_from_slice(&[code, a, b, c, d]);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the name of a field or variant, which Python keeps only once.
    #[inline]
    pub(super) fn name(&mut self, name: &str) -> Result<(), EncodeError> {
        // Python 2 reads interned text as its 8-bit `str`, which equals `unicode` only in ASCII.
        let code = if name.is_ascii() { tag::INTERNED } else { tag::TEXT };
        self.sized(code, name.as_bytes())
    }

    #[inline]
    fn enter(&mut self) -> Result<(), EncodeError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(EncodeError::new(EncodeErrorKind::TooDeep { max_depth: MAX_WRITE_DEPTH }));
        };
        self.depth = depth;
        self.marked = None;
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.depth += 1;
    }

    /// Begins a list or tuple, or the set that it is marked as.
    fn begin_sequence(&mut self, code: u8) -> Result<Sequence<'_>, EncodeError> {
        let code = match self.marked {
            Some(Marked::FrozenSet) => tag::FROZEN_SET,
            Some(Marked::Set) => tag::SET,
            Some(Marked::BigInt) | None => code,
        };
        self.enter()?;
        Ok(Sequence::new(self, code))
    }

    fn begin_dict(&mut self) -> Result<Dict<'_>, EncodeError> {
        self.enter()?;
        self.out.push(tag::DICT);
        Ok(Dict::new(self))
    }

    /// Opens the dict of one pair that stands for a variant with content.
    fn begin_variant(&mut self, variant: &'static str) -> Result<(), EncodeError> {
        self.enter()?;
        self.out.push(tag::DICT);
        self.name(variant)
    }

    fn end_variant(&mut self) {
        self.out.push(tag::NULL);
        self.leave();
    }
}

impl<'a> ser::Serializer for &'a mut Serializer {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Sequence<'a>;
    type SerializeTuple = Sequence<'a>;
    type SerializeTupleStruct = Sequence<'a>;
    type SerializeTupleVariant = Sequence<'a>;
    type SerializeMap = Dict<'a>;
    type SerializeStruct = Dict<'a>;
    type SerializeStructVariant = Dict<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.out.push(if value { tag::TRUE } else { tag::FALSE });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), EncodeError> {
        self.int(value.into());
        Ok(())
    }

    fn serialize_i16(self, value: i16) -> Result<(), EncodeError> {
        self.int(value.into());
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<(), EncodeError> {
        self.int(value);
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), EncodeError> {
        self.signed(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), EncodeError> {
        match i64::try_from(value) {
            Ok(value) => self.signed(value),
            Err(_) => self.long(value < 0, value.unsigned_abs()),
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), EncodeError> {
        self.int(value.into());
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Result<(), EncodeError> {
        self.int(value.into());
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Result<(), EncodeError> {
        self.unsigned(value.into());
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), EncodeError> {
        self.unsigned(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), EncodeError> {
        match u64::try_from(value) {
            Ok(value) => self.unsigned(value),
            Err(_) => self.long(false, value),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        self.float(value.into());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        self.float(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.sized(tag::TEXT, value.encode_utf8(&mut [0; 4]).as_bytes())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        match self.marked.take() {
            Some(Marked::BigInt) => self.decimal(value),
            _ => self.sized(tag::TEXT, value.as_bytes()),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        self.sized(tag::BYTES, value)
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        let start = self.out.len();
        value.serialize(&mut *self)?;
        if self.exact && self.out.get(start..) == Some(&[tag::NONE]) {
            // So that the error names this place, and not the next one.
            self.out.truncate(start);
            return Err(EncodeError::new(EncodeErrorKind::LostSome));
        }
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.out.push(tag::NONE);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let marked = match name {
            marker::BIG_INT => Marked::BigInt,
            marker::FROZEN_SET => Marked::FrozenSet,
            marker::SET => Marked::Set,
            // A newtype between a mark and its value does not come between them.
            _ => return value.serialize(self),
        };
        self.marked = Some(marked);
        value.serialize(&mut *self)?;
        self.marked = None;
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.begin_variant(variant)?;
        value.serialize(&mut *self)?;
        self.end_variant();
        Ok(())
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Sequence<'a>, EncodeError> {
        self.begin_sequence(tag::LIST)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Sequence<'a>, EncodeError> {
        self.begin_sequence(tag::TUPLE)
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Sequence<'a>, EncodeError> {
        self.begin_sequence(tag::TUPLE)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Sequence<'a>, EncodeError> {
        self.begin_variant(variant)?;
        Ok(self.begin_sequence(tag::TUPLE)?.within_variant())
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Dict<'a>, EncodeError> {
        self.begin_dict()
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Dict<'a>, EncodeError> {
        self.begin_dict()
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Dict<'a>, EncodeError> {
        self.begin_variant(variant)?;
        Ok(self.begin_dict()?.within_variant())
    }
}

/// Returns a size as marshal has it.
#[inline]
pub(super) fn counted(size: usize) -> Result<i32, EncodeError> {
    i32::try_from(size)
        .map_err(|_| EncodeError::new(EncodeErrorKind::TooLong { len: size, max_len: i32::MAX as usize }))
}
