//! The pencode value format: Python's primitive values as bytes, with identity and cycles, read safely.

mod config;
#[cfg(feature = "serde")]
mod de;
mod error;
mod float;
mod graph;
mod int;
#[cfg(feature = "serde")]
mod marker;
#[cfg(feature = "serde")]
pub mod marshal;
#[cfg(feature = "serde")]
mod number;
mod reader;
#[cfg(feature = "serde")]
mod ser;
#[cfg(feature = "serde")]
mod sets;
mod tag;
mod writer;

pub use crate::{
    config::{DecodeConfig, EncodeConfig},
    error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind},
    graph::{
        Graph,
        builder::GraphBuilder,
        value::{Container, Int, Items, Kind, NodeId, Pairs, TextKind, Value},
    },
    int::{BigInt, ParseBigIntError},
};
#[cfg(feature = "serde")]
pub use crate::{
    de::{from_slice, from_slice_with},
    ser::{append_to_vec, append_to_vec_with, to_vec, to_vec_with},
    sets::{FrozenSet, Set, frozenset, set},
};
