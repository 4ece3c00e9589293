//! Members of containers and contents of variants.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer as _, Unexpected, Visitor};

use super::{DecodeError, Deserializer};

/// The members of a list, tuple or set.
#[derive(Debug)]
pub(super) struct Sequence<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    left: u32,
    /// The number of members that memory may be reserved for.
    hint: usize,
}

/// The pairs of a dict.
#[derive(Debug)]
pub(super) struct Map<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    ended: bool,
}

/// A variant that is a dict of one pair.
#[derive(Debug)]
pub(super) struct Enum<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
}

/// A variant that is text.
#[derive(Debug)]
pub(super) struct UnitVariant<'de> {
    name: &'de str,
}

impl<'a, 'de> Sequence<'a, 'de> {
    #[inline]
    pub(super) fn new(deserializer: &'a mut Deserializer<'de>, count: u32, hint: usize) -> Self {
        Self { deserializer, left: count, hint }
    }

    /// Returns the number of members that nobody asked for.
    #[inline]
    pub(super) fn left(&self) -> u32 {
        self.left
    }
}

impl<'a, 'de> Map<'a, 'de> {
    #[inline]
    pub(super) fn new(deserializer: &'a mut Deserializer<'de>) -> Self {
        Self { deserializer, ended: false }
    }

    /// Returns whether the end was read.
    #[inline]
    pub(super) fn ended(&self) -> bool {
        self.ended
    }
}

impl<'a, 'de> Enum<'a, 'de> {
    pub(super) fn new(deserializer: &'a mut Deserializer<'de>) -> Self {
        Self { deserializer }
    }
}

impl<'de> UnitVariant<'de> {
    pub(super) fn new(name: &'de str) -> Self {
        Self { name }
    }
}

impl<'de> de::SeqAccess<'de> for &mut Sequence<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.deserializer).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.hint.min(self.left as usize))
    }
}

impl<'de> de::MapAccess<'de> for &mut Map<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        if self.ended || self.deserializer.end_of_dict() {
            self.ended = true;
            return Ok(None);
        }
        seed.deserialize(&mut *self.deserializer).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        seed.deserialize(&mut *self.deserializer)
    }
}

impl<'de> de::EnumAccess<'de> for Enum<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let variant = seed.deserialize(&mut *self.deserializer)?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Enum<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        de::Deserialize::deserialize(self.deserializer)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.deserializer)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserializer.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserializer.deserialize_map(visitor)
    }
}

impl<'de> de::EnumAccess<'de> for UnitVariant<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let variant = seed.deserialize(BorrowedStrDeserializer::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for UnitVariant<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, DecodeError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &"newtype variant"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, DecodeError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &"tuple variant"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &"struct variant"))
    }
}
