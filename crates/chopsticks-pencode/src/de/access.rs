//! Containers while they are read.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::Decoder;
use crate::error::DecodeError;

/// The items of a container that are still to be read. A key and a value are an item each.
#[derive(Debug)]
pub(super) struct Access<'a, 'de, 'c> {
    decoder: &'a mut Decoder<'de, 'c>,
    left: u32,
}

impl<'a, 'de, 'c> Access<'a, 'de, 'c> {
    #[inline]
    pub(super) fn new(decoder: &'a mut Decoder<'de, 'c>, len: u32) -> Self {
        Self { decoder, left: len }
    }

    /// Checks that the type took all items.
    #[inline]
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        match self.left {
            0 => Ok(()),
            left => Err(DecodeError::custom(format_args!("{left} more items than the type has room for"))),
        }
    }

    #[inline]
    fn item<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, DecodeError> {
        self.left = self.left.saturating_sub(1);
        self.decoder.promised = self.decoder.promised.saturating_sub(1);
        seed.deserialize(&mut *self.decoder)
    }
}

impl<'de> SeqAccess<'de> for Access<'_, 'de, '_> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.item(seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

impl<'de> MapAccess<'de> for Access<'_, 'de, '_> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        self.item(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize / 2)
    }
}

impl<'de> EnumAccess<'de> for &mut Access<'_, 'de, '_> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let variant = self.item(seed)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Access<'_, 'de, '_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        self.newtype_variant_seed(std::marker::PhantomData::<()>)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        self.item(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.item(Content(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.item(Content(visitor))
    }
}

/// The content of a variant, for the visitor that knows it.
struct Content<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Content<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}
