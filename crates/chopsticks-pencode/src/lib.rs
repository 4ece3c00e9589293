//! The pencode value format: Python's primitive values as bytes, with identity and cycles, read safely.
//!
//! The format carries `None`, booleans, integers of any size, floats, text, bytes, lists, tuples,
//! sets, frozensets and dicts between Rust and Python, and nothing else: a buffer cannot name a
//! class or a function. The crate does no I/O and can be used alone.
//!
//! # Two ways
//!
//! Typed, through serde: from Rust data and to Rust data, with text and bytes borrowed from the
//! buffer.
//!
//! ```
//! # #[cfg(feature = "serde")] {
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Deserialize, PartialEq, Serialize)]
//! struct Host<'a> {
//!     name: &'a str,
//!     load: (f64, f64, f64),
//! }
//!
//! let hosts = [Host { name: "web1", load: (0.5, 0.25, 0.125) }, Host { name: "web2", load: (1.0, 1.0, 1e16) }];
//! let bytes = chopsticks_pencode::to_vec(&hosts)?;
//! assert_eq!(chopsticks_pencode::from_slice::<Vec<Host<'_>>>(&bytes)?, hosts);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Dynamic, as a [`Graph`]: any buffer, with the identity of its objects. Walk it through [`Value`]
//! and build it with a [`GraphBuilder`].
//!
//! ```
//! use chopsticks_pencode::{Graph, GraphBuilder, Kind};
//!
//! let mut builder = GraphBuilder::new();
//! let shared = builder.text("shared");
//! let list = builder.list([shared, shared]);
//! let bytes = builder.finish(list)?.encode();
//!
//! let graph = Graph::decode(&bytes)?;
//! let Kind::List(items) = graph.root().kind() else { panic!("it is a list") };
//! let items: Vec<_> = items.collect();
//! assert_eq!(items[0].as_str(), Some("shared"));
//! assert!(items[0].is_same(items[1]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Graph::deserialize`] converts a graph to typed data, and [`Graph::from_serialize`] converts
//! typed data to a graph. The module [`marshal`] reads and writes Python's own format for the same
//! values.
//!
//! # Untrusted bytes
//!
//! Reading never panics, and the input controls no recursion: a graph may be nested a million deep,
//! and typed data up to [`DecodeConfig::max_depth`]. Reading allocates at most a small multiple of
//! the buffer, and for typed data in addition what [`DecodeConfig::expansion_budget`] allows for
//! references. `tests/memory.rs` has the figures. Every [`DecodeError`] contains the offset and the
//! reason.
//!
//! # What it does not do
//!
//! - Typed data is a tree. Objects that are shared are copied, a cycle is an error, and writing makes
//!   no object shared except the names of fields and variants. Use [`Graph`] to keep identity.
//! - `Some(None)` is read as `None`, as in JSON.
//! - Integers beyond 128 bits need [`BigInt`]; reading them as anything else is an error. serde
//!   buffers the content of flattened, untagged and internally tagged types, and does so for no
//!   integer beyond 64 bits.
//! - Types that have a text form use it: an `IpAddr` is `'10.0.0.1'` in Python.
//! - A NaN loses its sign and payload.
//! - Whether keys and members are hashable and distinct is not checked. [`Value::get`] uses the
//!   last of equal keys.
//! - The type may need more memory than the buffer: a `Vec` of large structs takes the size of the
//!   struct for each item. serde reserves at most 1 MiB of this ahead.
//! - A buffer is at most `u32::MAX` bytes long.
//!
//! # Features
//!
//! `serde` (default): everything typed, and [`marshal`].
#![cfg_attr(
    not(feature = "serde"),
    expect(rustdoc::broken_intra_doc_links, reason = "the documentation is made with all features")
)]

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

#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
