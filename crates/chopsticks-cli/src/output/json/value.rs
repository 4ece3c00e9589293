//! Values as JSON. `docs/cli.md` and the help of the program describe the form.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use chopsticks::{
    Graph, Value,
    pencode::{Container, Kind, NodeId},
};

use super::text::{self, write_text};
use crate::walk::{COST, Event, Step, Unshown, Walk, Within};

/// Writes a value as JSON, with at most `budget` bytes of copies.
pub(crate) fn write(out: &mut impl Write, graph: &Graph<'_>, budget: usize) -> Result<(), Unshown> {
    let mut walk = Walk::new(graph, budget)?;
    while let Some(Step { within, event }) = walk.step()? {
        // Only what is around the member counts, and that was marked when it was opened.
        let is_object = |value: Value<'_>| walk.is_marked(value);
        let place =
            within.map(|within| Place { within, shape: shape(within.value, within.container, is_object) });
        match event {
            Event::Close(value, container, _) => {
                out.write_all(match shape(value, container, is_object) {
                    Shape::Array => b"]",
                    Shape::Object => b"}",
                    Shape::Pairs | Shape::Tagged(_) => b"]}",
                })?;
                after(out, place)?;
            }
            Event::Cycle(value, _) => {
                before(out, place)?;
                // A pointer is as long as the value is deep.
                walk.charge(walk.depth() * COST)?;
                let pointer = pointer(&walk, value.id());
                walk.charge(pointer.len())?;
                tagged(out, "$ref", |out| write_text(out, &pointer))?;
                after(out, place)?;
            }
            Event::Open(value, container) => {
                before(out, place)?;
                if container == Container::Dict && has_plain_keys(value) {
                    walk.mark(value);
                }
                match shape(value, container, |value| walk.is_marked(value)) {
                    Shape::Array => out.write_all(b"[")?,
                    Shape::Object => out.write_all(b"{")?,
                    Shape::Pairs => out.write_all(b"{\"$dict\":[")?,
                    // Tags are plain letters.
                    Shape::Tagged(tag) => write!(out, "{{\"{tag}\":[")?,
                }
            }
            Event::Scalar(value) => {
                before(out, place)?;
                match place {
                    Some(place) if place.is_key_of_object() => {
                        write_text(out, value.as_str().unwrap_or_default())?;
                        out.write_all(b":")?;
                    }
                    _ => {
                        scalar(out, value)?;
                        after(out, place)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Returns the output of a program: text if it is UTF-8, otherwise bytes.
pub(super) fn output(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text::json(text),
        Err(_) => format!("{{\"$bytes\":\"{}\"}}", base64(bytes)),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shape {
    Array,
    /// A dict whose keys are text that cannot be mistaken for a tag.
    Object,
    /// Any other dict.
    Pairs,
    /// An array in an object with this one key.
    Tagged(&'static str),
}

/// The place of a member.
#[derive(Clone, Copy, Debug)]
struct Place<'g> {
    within: Within<'g>,
    shape: Shape,
}

impl Place<'_> {
    fn is_key_of_object(&self) -> bool {
        self.shape == Shape::Object && self.within.position.is_multiple_of(2)
    }
}

fn shape(value: Value<'_>, container: Container, is_object: impl Fn(Value<'_>) -> bool) -> Shape {
    match container {
        Container::List | Container::Tuple => Shape::Array,
        Container::Set => Shape::Tagged("$set"),
        Container::FrozenSet => Shape::Tagged("$frozenset"),
        Container::Dict if is_object(value) => Shape::Object,
        Container::Dict => Shape::Pairs,
    }
}

/// Writes what precedes a member.
fn before(out: &mut impl Write, place: Option<Place<'_>>) -> io::Result<()> {
    let Some(Place { within, shape }) = place else { return Ok(()) };
    let is_value = within.position % 2 == 1;
    if within.position > 0 && !(shape == Shape::Object && is_value) {
        out.write_all(b",")?;
    }
    if shape == Shape::Pairs && !is_value {
        out.write_all(b"[")?;
    }
    Ok(())
}

/// Writes what follows a member.
fn after(out: &mut impl Write, place: Option<Place<'_>>) -> io::Result<()> {
    match place {
        Some(Place { within, shape: Shape::Pairs }) if within.position % 2 == 1 => out.write_all(b"]"),
        _ => Ok(()),
    }
}

fn scalar(out: &mut impl Write, value: Value<'_>) -> io::Result<()> {
    match value.kind() {
        Kind::Bool(true) => out.write_all(b"true"),
        Kind::Bool(false) => out.write_all(b"false"),
        Kind::Int(int) if int.to_i64().is_some() || int.to_u64().is_some() => write!(out, "{int}"),
        Kind::Int(int) => write!(out, "{{\"$int\":\"{int}\"}}"),
        Kind::Float(float) if float.is_finite() => write!(out, "{}", serde_json::json!(float)),
        Kind::Float(float) if float.is_nan() => out.write_all(b"{\"$float\":\"nan\"}"),
        Kind::Float(float) => write!(out, "{{\"$float\":\"{}inf\"}}", if float > 0.0 { "" } else { "-" }),
        Kind::Text(text) => write_text(out, text),
        Kind::Bytes(bytes) => {
            out.write_all(b"{\"$bytes\":\"")?;
            for chunk in bytes.chunks(BASE64_CHUNK) {
                out.write_all(base64(chunk).as_bytes())?;
            }
            out.write_all(b"\"}")
        }
        _ => out.write_all(b"null"),
    }
}

fn tagged<W: Write>(out: &mut W, tag: &str, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
    write!(out, "{{\"{tag}\":")?;
    write(out)?;
    out.write_all(b"}")
}

/// Composes the JSON pointer (RFC 6901) to an open container.
fn pointer(walk: &Walk<'_>, node: NodeId) -> String {
    let mut pointer = String::new();
    for (value, position) in walk.open().take_while(|(value, _)| value.id() != node) {
        let Some(container) = value.container() else { continue };
        // Writing to a string does not fail.
        let _ = match shape(value, container, |value| walk.is_marked(value)) {
            Shape::Array => write!(pointer, "/{position}"),
            Shape::Object => {
                let key =
                    value.member(position.saturating_sub(1)).and_then(Value::as_str).unwrap_or_default();
                write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Shape::Pairs => write!(pointer, "/$dict/{}/{}", position / 2, position % 2),
            Shape::Tagged(tag) => write!(pointer, "/{tag}/{position}"),
        };
    }
    pointer
}

/// Returns whether a dict can be an object. Keys that begin with `$` are reserved.
fn has_plain_keys(dict: Value<'_>) -> bool {
    let is_plain = |key: Value<'_>| key.as_str().is_some_and(|text| !text.starts_with('$'));
    dict.pairs().is_some_and(|mut pairs| pairs.all(|(key, _)| is_plain(key)))
}

/// The number of bytes that are written in base64 at once: a multiple of three, so that only the
/// last piece has padding.
const BASE64_CHUNK: usize = 3 << 10;

/// Writes base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * index)) as usize & 63];
            out.push(if index <= chunk.len() { digit.into() } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests;
