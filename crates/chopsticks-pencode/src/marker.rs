//! Names of newtypes that mean something to our own serializers and nothing to others.

/// A text that is the digits of an integer.
pub(crate) const BIG_INT: &str = "$chopsticks_pencode::BigInt";

/// A sequence that is a set.
pub(crate) const SET: &str = "$chopsticks_pencode::Set";

/// A sequence that is a frozenset.
pub(crate) const FROZEN_SET: &str = "$chopsticks_pencode::FrozenSet";
