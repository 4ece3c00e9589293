//! Typed data to bytes.

mod compound;
mod names;

use serde::ser::{Serialize, Serializer};

use self::{compound::Compound, names::Names};
use crate::{
    config::EncodeConfig,
    error::{EncodeError, EncodeErrorKind},
    graph::value::Container,
    marker,
    tag::{self, FIRST_NUMBER},
    writer,
};

/// Returns a value as bytes.
///
/// # Errors
///
/// If the value refuses to be serialized, is nested more than
/// [`EncodeConfig::DEFAULT_MAX_DEPTH`] levels deep or needs more than 4 GiB.
///
/// # Examples
///
/// ```
/// let bytes = chopsticks_pencode::to_vec(&("load", 0.5))?;
/// assert_eq!(bytes, b"t\0\0\0\x02s\0\0\0\x04loadf\0\0\0\x030.5");
/// # Ok::<(), chopsticks_pencode::EncodeError>(())
/// ```
pub fn to_vec<T: ?Sized + Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    to_vec_with(value, &EncodeConfig::default())
}

/// Returns a value as bytes, within the given limits.
///
/// # Errors
///
/// If the value refuses to be serialized or is beyond a limit.
pub fn to_vec_with<T: ?Sized + Serialize>(value: &T, config: &EncodeConfig) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(128);
    append_to_vec_with(&mut out, value, config)?;
    Ok(out)
}

/// Appends a value as bytes to `out`.
///
/// # Errors
///
/// As [`to_vec`]; `out` is then as it was before.
pub fn append_to_vec<T: ?Sized + Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    append_to_vec_with(out, value, &EncodeConfig::default())
}

/// Appends a value as bytes to `out`, within the given limits.
///
/// # Errors
///
/// As [`to_vec_with`]; `out` is then as it was before.
pub fn append_to_vec_with<T: ?Sized + Serialize>(
    out: &mut Vec<u8>,
    value: &T,
    config: &EncodeConfig,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut encoder = Encoder {
        out,
        start,
        next_number: FIRST_NUMBER,
        depth_left: config.depth_limit(),
        config,
        names: Names::default(),
        marked: None,
    };
    let result = value.serialize(&mut encoder).and_then(|()| encoder.check_len(0));
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// What a newtype with a name of ours says of the value in it.
#[derive(Clone, Copy, Debug)]
enum Marked {
    BigInt,
    Container(Container),
}

/// Writes one value.
#[derive(Debug)]
struct Encoder<'e> {
    out: &'e mut Vec<u8>,
    start: usize,
    /// What the next object is numbered. It may wrap; a buffer with so many objects is too long.
    next_number: u32,
    depth_left: usize,
    config: &'e EncodeConfig,
    /// The field and variant names that were written.
    names: Names,
    marked: Option<Marked>,
}

impl<'e> Encoder<'e> {
    #[inline]
    fn count_object(&mut self) {
        self.next_number = self.next_number.wrapping_add(1);
    }

    /// Checks that `more` bytes can be added.
    #[inline]
    fn check_len(&self, more: usize) -> Result<(), EncodeError> {
        let max_len = self.config.len_limit();
        if (self.out.len() - self.start).saturating_add(more) > max_len {
            return Err(EncodeError::new(EncodeErrorKind::TooLong { max_len }));
        }
        Ok(())
    }

    #[inline]
    fn payload(&mut self, tag: u8, payload: &[u8]) -> Result<(), EncodeError> {
        self.check_len(payload.len())?;
        writer::payload(self.out, tag, payload);
        self.count_object();
        Ok(())
    }

    #[inline]
    fn int(&mut self, value: impl itoa::Integer) -> Result<(), EncodeError> {
        writer::int(self.out, value);
        self.count_object();
        Ok(())
    }

    /// Writes the name of a field or variant, by reference if it was written before.
    #[inline]
    fn name(&mut self, name: &'static str) {
        let number = self.names.number(name, self.next_number);
        if number == self.next_number {
            writer::payload(self.out, tag::TEXT, name.as_bytes());
            self.count_object();
        } else {
            writer::head(self.out, tag::REFERENCE, number);
        }
    }

    #[inline]
    fn enter(&mut self) -> Result<(), EncodeError> {
        match self.depth_left.checked_sub(1) {
            Some(left) => self.depth_left = left,
            None => {
                let max_depth = self.config.depth_limit();
                return Err(EncodeError::new(EncodeErrorKind::TooDeep { max_depth }));
            }
        }
        Ok(())
    }

    /// Writes the head of a list or tuple, or of the set that it is marked as.
    #[inline]
    fn sequence<'c>(&'c mut self, kind: Container) -> Result<Compound<'c, 'e>, EncodeError> {
        match self.marked {
            Some(Marked::Container(set)) => self.container(set),
            _ => self.container(kind),
        }
    }

    /// Writes the head of a container whose count will be known at its end.
    #[inline]
    fn container<'c>(&'c mut self, kind: Container) -> Result<Compound<'c, 'e>, EncodeError> {
        self.enter()?;
        self.marked = None;
        writer::head(self.out, writer::container_tag(kind), 0);
        self.count_object();
        Ok(Compound::new(self, 1))
    }

    /// Writes a dict of one pair up to the value, which is a container.
    fn variant<'c>(
        &'c mut self,
        kind: Container,
        variant: &'static str,
    ) -> Result<Compound<'c, 'e>, EncodeError> {
        self.open_variant(variant)?;
        self.enter()?;
        writer::head(self.out, writer::container_tag(kind), 0);
        self.count_object();
        Ok(Compound::new(self, 2))
    }

    fn open_variant(&mut self, variant: &'static str) -> Result<(), EncodeError> {
        self.enter()?;
        self.marked = None;
        writer::head(self.out, tag::DICT, 1);
        self.count_object();
        self.name(variant);
        Ok(())
    }
}

impl<'c, 'e> Serializer for &'c mut Encoder<'e> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeMap = Compound<'c, 'e>;
    type SerializeSeq = Compound<'c, 'e>;
    type SerializeStruct = Compound<'c, 'e>;
    type SerializeStructVariant = Compound<'c, 'e>;
    type SerializeTuple = Compound<'c, 'e>;
    type SerializeTupleStruct = Compound<'c, 'e>;
    type SerializeTupleVariant = Compound<'c, 'e>;

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        writer::bool(self.out, value);
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), EncodeError> {
        self.int(value)
    }

    fn serialize_i128(self, value: i128) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), EncodeError> {
        self.int(value)
    }

    fn serialize_u128(self, value: u128) -> Result<(), EncodeError> {
        self.int(value)
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        self.serialize_f64(value.into())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        writer::float(self.out, value);
        self.count_object();
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        let tag = match self.marked.take() {
            Some(Marked::BigInt) => tag::INT,
            _ => tag::TEXT,
        };
        self.payload(tag, value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        self.payload(tag::BYTES, value)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), EncodeError> {
        self.out.push(tag::NONE);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.serialize_none()
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_none()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.name(variant);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let marked = match name {
            marker::BIG_INT => Marked::BigInt,
            marker::SET => Marked::Container(Container::Set),
            marker::FROZEN_SET => Marked::Container(Container::FrozenSet),
            // A newtype between a mark and its value does not come between them.
            _ => return value.serialize(self),
        };
        self.marked = Some(marked);
        value.serialize(&mut *self)?;
        self.marked = None;
        Ok(())
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.open_variant(variant)?;
        value.serialize(&mut *self).map_err(|error| error.inside(format_args!(".{variant}")))?;
        self.depth_left += 1;
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'c, 'e>, EncodeError> {
        self.sequence(Container::List)
    }

    #[inline]
    fn serialize_tuple(self, _len: usize) -> Result<Compound<'c, 'e>, EncodeError> {
        self.sequence(Container::Tuple)
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Compound<'c, 'e>, EncodeError> {
        self.container(Container::Tuple)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'c, 'e>, EncodeError> {
        self.variant(Container::Tuple, variant)
    }

    #[inline]
    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'c, 'e>, EncodeError> {
        self.container(Container::Dict)
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Compound<'c, 'e>, EncodeError> {
        self.container(Container::Dict)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'c, 'e>, EncodeError> {
        self.variant(Container::Dict, variant)
    }
}
