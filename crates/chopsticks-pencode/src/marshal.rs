//! Python's `marshal` format, plain data only, which the C implementation of every Python writes
//! and reads directly.
//!
//! [`to_vec`] writes a form that every Python from 2.7 on reads with `marshal.loads`: no references
//! and no short forms. [`from_slice`] reads the output of `marshal.dumps` in versions 2 to 4,
//! including references, and does not trust the input.
//!
//! # Mapping
//!
//! | Rust | Python |
//! |---|---|
//! | `bool`, integers to 128 bits, floats | `bool`, `int`, `float` |
//! | `str`, `char` | `str` (`unicode` on 2.7) |
//! | bytes (`serde_bytes`) | `bytes` |
//! | `()`, `None`, unit structs | `None` |
//! | sequences | `list`; reads tuples and sets too |
//! | tuples, tuple structs | `tuple`; reads lists and sets too |
//! | maps, structs | `dict` |
//! | enums | as in JSON: a text, or a `dict` of one pair |
//!
//! # What is refused
//!
//! Everything that is not plain data: code objects, complex numbers, slices, `Ellipsis`,
//! `StopIteration`; text with lone surrogates; and data that no conforming writer produces.
//!
//! # Examples
//!
//! ```
//! use chopsticks_pencode::marshal;
//!
//! let bytes = marshal::to_vec(&[("a", 1), ("b", 2)])?;
//! let pairs: Vec<(&str, u8)> = marshal::from_slice(&bytes)?;
//! assert_eq!(pairs, [("a", 1), ("b", 2)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::{config::DecodeConfig, graph::Graph};

pub use self::{
    cursor::{Item, Token},
    error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind},
    integer::Digits,
    tokens::Tokens,
    writer::Writer,
};

mod cursor;
mod de;
mod error;
mod graph;
mod integer;
mod path;
mod ser;
mod tag;
mod tokens;
mod writer;

/// Containers within each other that are written.
///
/// `marshal.loads` reads 2000 levels, and 1000 to 1500 on some builds.
pub const MAX_WRITE_DEPTH: usize = 1000;

/// The most decimal digits of an integer that is read as [`BigInt`](crate::BigInt) or into a graph,
/// or that is written.
///
/// This is the limit up to which Python itself turns integers into text by default, and agents use
/// it too. The conversion takes time quadratic in the digits. Integers of up to 128 bits are not
/// converted.
pub const MAX_INTEGER_DIGITS: usize = 4300;

/// Reads a value of type `T`.
///
/// Text and bytes are borrowed from `data` where `T` allows.
///
/// # Errors
///
/// [`DecodeErrorKind::Message`] if the value is of another type than `T`; every other kind if
/// `data` is not one value in marshal, or over a limit of [`DecodeConfig::default`].
pub fn from_slice<'de, T: Deserialize<'de>>(data: &'de [u8]) -> Result<T, DecodeError> {
    from_slice_with(data, &DecodeConfig::default())
}

/// Reads a value of type `T` within the limits of `config`.
///
/// # Errors
///
/// As [`from_slice`].
pub fn from_slice_with<'de, T: Deserialize<'de>>(
    data: &'de [u8],
    config: &DecodeConfig,
) -> Result<T, DecodeError> {
    de::read(data, config)
}

/// Reads a value into a graph, which keeps identity and cycles.
///
/// # Errors
///
/// If `data` is not one value in marshal, or over a limit of [`DecodeConfig::default`].
pub fn decode_graph(data: &[u8]) -> Result<Graph<'_>, DecodeError> {
    decode_graph_with(data, &DecodeConfig::default())
}

/// Reads a value into a graph within the limits of `config`.
///
/// # Errors
///
/// As [`decode_graph`].
pub fn decode_graph_with<'de>(data: &'de [u8], config: &DecodeConfig) -> Result<Graph<'de>, DecodeError> {
    graph::read(data, config)
}

/// Writes a value.
///
/// # Errors
///
/// As [`to_writer`].
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    to_writer(&mut out, value)?;
    Ok(out)
}

/// Appends a value to `out`, which stays as it is if that fails.
///
/// # Errors
///
/// [`EncodeErrorKind::TooDeep`] if containers are nested deeper than [`MAX_WRITE_DEPTH`],
/// [`EncodeErrorKind::TooLong`] if text, bytes or a container has 2^31 bytes or members, and
/// [`EncodeErrorKind::Message`] if the value's own `Serialize` fails.
pub fn to_writer<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    ser::append(out, value, false)
}

/// Writes a value for a reader that reads it as the same type: a value that such a reader would
/// take for another one is refused.
///
/// This concerns `Some(None)` and `Some(())`, which are written as `None` is.
///
/// ```
/// use chopsticks_pencode::marshal;
///
/// assert!(marshal::to_vec_exact(&Some(None::<u8>)).is_err());
/// assert!(marshal::to_vec_exact(&(None::<Option<u8>>, Some(Some(1)))).is_ok());
/// ```
///
/// # Errors
///
/// As [`to_writer`], and [`EncodeErrorKind::LostSome`].
pub fn to_vec_exact<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    ser::append(&mut out, value, true)?;
    Ok(out)
}

/// Refuses a buffer that is too long to be looked at.
fn check_len(data: &[u8], config: &DecodeConfig) -> Result<(), DecodeError> {
    let (len, max_len) = (data.len(), config.len_limit());
    if len > max_len {
        return Err(DecodeError::new(max_len, DecodeErrorKind::TooLong { len, max_len }));
    }
    Ok(())
}
