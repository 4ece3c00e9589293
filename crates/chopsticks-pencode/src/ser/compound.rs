//! Containers while they are written.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::Encoder;
use crate::{error::EncodeError, graph::Graph};

/// A container whose items are being written.
#[derive(Debug)]
pub(super) struct Compound<'c, 'e> {
    encoder: &'c mut Encoder<'e>,
    /// Where the count goes.
    count_at: usize,
    /// How many items or pairs were written. It may wrap; such a buffer is too long.
    count: u32,
    /// How many levels it takes: two if it is the content of an enum variant.
    levels: usize,
    /// Where the last key begins and ends.
    key: (usize, usize),
}

impl<'c, 'e> Compound<'c, 'e> {
    /// Takes over after the head of a container was written.
    #[inline]
    pub(super) fn new(encoder: &'c mut Encoder<'e>, levels: usize) -> Self {
        let count_at = encoder.out.len() - 4;
        Self { encoder, count_at, count: 0, levels, key: (0, 0) }
    }

    #[inline]
    fn item<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        let index = self.count;
        self.count = index.wrapping_add(1);
        value.serialize(&mut *self.encoder).map_err(|error| error.inside(format_args!("[{index}]")))
    }

    #[inline]
    fn field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        self.count = self.count.wrapping_add(1);
        self.encoder.name(name);
        value.serialize(&mut *self.encoder).map_err(|error| error.inside(format_args!(".{name}")))
    }

    #[inline]
    fn finish(self) -> Result<(), EncodeError> {
        self.encoder.check_len(0)?;
        self.encoder.out[self.count_at..self.count_at + 4].copy_from_slice(&self.count.to_be_bytes());
        self.encoder.depth_left += self.levels;
        Ok(())
    }

    /// Puts the key that was last written in front of the path of an error.
    #[cold]
    fn at_key(&self, error: EncodeError) -> EncodeError {
        let (start, end) = self.key;
        // A key that refers to an object outside of it cannot be read alone.
        match self.encoder.out.get(start..end).and_then(|key| Graph::decode(key).ok()) {
            Some(key) => error.inside(format_args!("[{key}]")),
            None => error.inside(format_args!("[...]")),
        }
    }
}

impl SerializeSeq for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.item(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeTuple for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.item(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeTupleStruct for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.item(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeTupleVariant for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.item(value)
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), EncodeError> {
        let (start, index) = (self.encoder.out.len(), self.count);
        self.count = index.wrapping_add(1);
        key.serialize(&mut *self.encoder).map_err(|error| error.inside(format_args!("[key {index}]")))?;
        self.key = (start, self.encoder.out.len());
        Ok(())
    }

    #[inline]
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut *self.encoder).map_err(|error| self.at_key(error))
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl SerializeStruct for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(
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

impl SerializeStructVariant for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(
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
