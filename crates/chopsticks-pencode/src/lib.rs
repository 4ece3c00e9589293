//! The pencode value format: Python's primitive values as bytes, with identity and cycles, read safely.

mod config;
mod error;
mod float;
mod graph;
mod int;
mod reader;
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
