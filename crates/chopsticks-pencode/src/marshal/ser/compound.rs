//! Containers whose members are on their way.

use serde::ser::{self, Serialize};

use super::super::tag;
use super::{EncodeError, Serializer, counted};

/// A list, tuple or set that is being written.
///
/// Its count is filled in at the end: lengths that `Serialize` announces are only hints.
#[derive(Debug)]
pub(in super::super) struct Sequence<'a> {
    serializer: &'a mut Serializer,
    /// The offset of the count.
    head: usize,
    count: usize,
    place: Place,
}

/// A dict that is being written.
#[derive(Debug)]
pub(in super::super) struct Dict<'a> {
    serializer: &'a mut Serializer,
    place: Place,
}

/// What a container stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Value,
    /// The dict of one pair that stands for a variant, which ends with the container.
    Variant,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(serializer: &'a mut Serializer, code: u8) -> Self {
        serializer.out.extend_from_slice(&[code, 0xff, 0xff, 0xff, 0xff]);
        let head = serializer.out.len() - 4;
        Self { serializer, head, count: 0, place: Place::Value }
    }

    pub(super) fn within_variant(self) -> Self {
        Self { place: Place::Variant, ..self }
    }

    #[inline]
    fn member<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.count += 1;
        value.serialize(&mut *self.serializer)
    }

    #[inline]
    fn finish(self) -> Result<(), EncodeError> {
        let count = counted(self.count)?.to_le_bytes();
        self.serializer.out[self.head..self.head + 4].copy_from_slice(&count);
        self.serializer.leave();
        if self.place == Place::Variant {
            self.serializer.end_variant();
        }
        Ok(())
    }
}

impl<'a> Dict<'a> {
    pub(super) fn new(serializer: &'a mut Serializer) -> Self {
        Self { serializer, place: Place::Value }
    }

    pub(super) fn within_variant(self) -> Self {
        Self { place: Place::Variant, ..self }
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        self.serializer.name(name)?;
        value.serialize(&mut *self.serializer)
    }

    #[inline]
    fn finish(self) -> Result<(), EncodeError> {
        self.serializer.out.push(tag::NULL);
        self.serializer.leave();
        if self.place == Place::Variant {
            self.serializer.end_variant();
        }
        Ok(())
    }
}

impl ser::SerializeSeq for Sequence<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.member(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeTuple for Sequence<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.member(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Sequence<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.member(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Sequence<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.member(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeMap for Dict<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        key.serialize(&mut *self.serializer)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut *self.serializer)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeStruct for Dict<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.field(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Dict<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.field(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}
