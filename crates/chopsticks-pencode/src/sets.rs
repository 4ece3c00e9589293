//! Sets and frozensets in typed data.
//!
//! Rust's set types serialize as sequences, which become lists. [`Set`] and [`FrozenSet`] mark any
//! collection as the set that Python is to see; the modules [`set`] and [`frozenset`] do the same
//! for a field, with `#[serde(with = "…")]`. All four read lists and tuples too.

use serde::{
    de::{Deserialize, Deserializer},
    ser::{Serialize, Serializer},
};

use crate::marker;

/// A collection that is a `frozenset` in Python.
///
/// ```
/// use chopsticks_pencode::{FrozenSet, to_vec};
///
/// assert_eq!(to_vec(&FrozenSet([1]))?, b"Q\0\0\0\x01i\0\0\0\x011");
/// # Ok::<(), chopsticks_pencode::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "it is no more than a mark, and every value is valid")]
pub struct FrozenSet<T>(pub T);

/// A collection that is a `set` in Python.
///
/// ```
/// use std::collections::HashSet;
///
/// use chopsticks_pencode::{Set, from_slice, to_vec};
///
/// let bytes = to_vec(&Set([1]))?;
/// assert_eq!(bytes, b"q\0\0\0\x01i\0\0\0\x011");
/// assert!(from_slice::<HashSet<u8>>(&bytes)?.contains(&1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "it is no more than a mark, and every value is valid")]
pub struct Set<T>(pub T);

impl<T: Serialize> Serialize for FrozenSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        frozenset::serialize(&self.0, serializer)
    }
}

impl<T: Serialize> Serialize for Set<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        set::serialize(&self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FrozenSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// Makes a field a `frozenset`: `#[serde(with = "chopsticks_pencode::frozenset")]`.
pub mod frozenset {
    use super::{Deserialize, Deserializer, Serialize, Serializer, marker};

    /// Writes a collection as a frozenset, whether or not it is optional. What is no sequence is
    /// written as it is.
    ///
    /// # Errors
    ///
    /// If a member cannot be written.
    pub fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(marker::FROZEN_SET, value)
    }

    /// Reads a collection.
    ///
    /// # Errors
    ///
    /// If the value does not fit the type.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// Makes a field a `set`: `#[serde(with = "chopsticks_pencode::set")]`.
///
/// ```
/// use std::collections::BTreeSet;
///
/// #[derive(serde::Deserialize, serde::Serialize)]
/// struct Host {
///     #[serde(with = "chopsticks_pencode::set")]
///     roles: BTreeSet<String>,
/// }
/// ```
pub mod set {
    use super::{Deserialize, Deserializer, Serialize, Serializer, marker};

    /// Writes a collection as a set, whether or not it is optional. What is no sequence is written
    /// as it is.
    ///
    /// # Errors
    ///
    /// If a member cannot be written.
    pub fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(marker::SET, value)
    }

    /// Reads a collection.
    ///
    /// # Errors
    ///
    /// If the value does not fit the type.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}
