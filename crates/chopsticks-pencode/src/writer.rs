//! Putting a buffer together, value by value.

use crate::{float, graph::value::Container, tag};

/// Appends a tag and a length or count.
#[inline]
pub(crate) fn head(out: &mut Vec<u8>, tag: u8, len: u32) {
    let [a, b, c, d] = len.to_be_bytes();
    out.extend_from_slice(&[tag, a, b, c, d]);
}

/// Appends a tag, the length of `payload`, and it. The caller knows that the length fits.
#[inline]
pub(crate) fn payload(out: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    out.reserve(5 + payload.len());
    head(out, tag, payload.len() as u32);
    out.extend_from_slice(payload);
}

#[inline]
pub(crate) fn int(out: &mut Vec<u8>, value: impl itoa::Integer) {
    payload(out, tag::INT, itoa::Buffer::new().format(value).as_bytes());
}

#[inline]
pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    float::with_text(value, |text| payload(out, tag::FLOAT, text));
}

#[inline]
pub(crate) fn bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { tag::TRUE } else { tag::FALSE });
}

/// Returns the tag of a container.
#[inline]
pub(crate) fn container_tag(kind: Container) -> u8 {
    match kind {
        Container::Dict => tag::DICT,
        Container::FrozenSet => tag::FROZEN_SET,
        Container::List => tag::LIST,
        Container::Set => tag::SET,
        Container::Tuple => tag::TUPLE,
    }
}
