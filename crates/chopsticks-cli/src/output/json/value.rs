//! Values as JSON. The form is documented in `docs/cli.md` and in the help of the program.

use std::fmt::Write as _;

use chopsticks::{
    Graph, Value,
    pencode::{Container, Kind, NodeId},
};

use crate::walk::{COST, Event, Step, TooManyCopies, Walk};

/// Appends a value as JSON, with at most `budget` bytes of copies.
pub(super) fn write(out: &mut Vec<u8>, graph: &Graph<'_>, budget: usize) -> Result<(), TooManyCopies> {
    let mut writer = Writer { out, levels: Vec::new() };
    let mut walk = Walk::new(graph, budget);
    while let Some(Step { within, event }) = walk.step()? {
        let position = within.map(|(_, position)| position);
        match event {
            Event::Close(..) => writer.close(),
            Event::Cycle(value, _) => {
                writer.before(position, None);
                // A pointer is as long as the value is deep.
                walk.charge(writer.levels.len() * COST)?;
                let pointer = writer.pointer(value.id());
                walk.charge(pointer.len())?;
                writer.tagged_text("$ref", &pointer);
                writer.after();
            }
            Event::Open(value, container) => {
                writer.before(position, None);
                writer.open(value, container);
            }
            Event::Scalar(value) => {
                if !writer.before(position, value.as_str()) {
                    writer.scalar(value);
                    writer.after();
                }
            }
        }
    }
    Ok(())
}

/// Writes what a program has written: text if it is UTF-8, else bytes.
pub(super) fn output(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::Value::from(text).to_string(),
        Err(_) => format!("{{\"$bytes\":\"{}\"}}", base64(bytes)),
    }
}

struct Writer<'o, 'g> {
    out: &'o mut Vec<u8>,
    levels: Vec<Level<'g>>,
}

/// A container that is open.
struct Level<'g> {
    node: NodeId,
    shape: Shape,
    /// Where the member that is being written is; in a dict keys count too.
    position: usize,
    /// The key of that member, in an object.
    key: &'g str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shape {
    Array,
    /// A dict whose keys are text that cannot be taken for a tag.
    Object,
    /// Any other dict.
    Pairs,
    /// An array in an object with this one key.
    Tagged(&'static str),
}

impl<'g> Writer<'_, 'g> {
    /// Writes what stands in front of a member; returns whether that was all, because the member is the key of an object.
    fn before(&mut self, position: Option<usize>, text: Option<&'g str>) -> bool {
        let (Some(level), Some(position)) = (self.levels.last_mut(), position) else { return false };
        level.position = position;
        let shape = level.shape;
        let is_value = position % 2 == 1;
        match (shape, position) {
            (Shape::Object, _) if is_value => {}
            (_, 0) => {}
            _ => self.out.push(b','),
        }
        match shape {
            Shape::Object if !is_value => {
                let key = text.unwrap_or_default();
                level.key = key;
                self.text(key);
                self.out.push(b':');
                return true;
            }
            Shape::Pairs if !is_value => self.out.push(b'['),
            _ => {}
        }
        false
    }

    /// Writes what stands behind a member.
    fn after(&mut self) {
        if self.levels.last().is_some_and(|level| level.shape == Shape::Pairs && level.position % 2 == 1) {
            self.out.push(b']');
        }
    }

    fn open(&mut self, value: Value<'g>, container: Container) {
        let shape = match container {
            Container::List | Container::Tuple => Shape::Array,
            Container::Set => Shape::Tagged("$set"),
            Container::FrozenSet => Shape::Tagged("$frozenset"),
            Container::Dict if has_plain_keys(value) => Shape::Object,
            Container::Dict => Shape::Pairs,
        };
        match shape {
            Shape::Array => self.out.push(b'['),
            Shape::Object => self.out.push(b'{'),
            Shape::Pairs => self.out.extend_from_slice(b"{\"$dict\":["),
            // Tags are plain letters.
            Shape::Tagged(tag) => self.raw(&format!("{{\"{tag}\":[")),
        }
        self.levels.push(Level { node: value.id(), shape, position: 0, key: "" });
    }

    fn close(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        self.raw(match level.shape {
            Shape::Array => "]",
            Shape::Object => "}",
            Shape::Pairs | Shape::Tagged(_) => "]}",
        });
        self.after();
    }

    fn scalar(&mut self, value: Value<'g>) {
        match value.kind() {
            Kind::Bool(true) => self.raw("true"),
            Kind::Bool(false) => self.raw("false"),
            Kind::Int(int) if int.to_i64().is_some() || int.to_u64().is_some() => self.raw(&int.to_string()),
            Kind::Int(int) => self.tagged_text("$int", &int.to_string()),
            Kind::Float(float) if float.is_finite() => self.raw(&serde_json::json!(float).to_string()),
            Kind::Float(float) if float.is_nan() => self.tagged_text("$float", "nan"),
            Kind::Float(float) => self.tagged_text("$float", if float > 0.0 { "inf" } else { "-inf" }),
            Kind::Text(text) => self.text(text),
            Kind::Bytes(bytes) => self.tagged_text("$bytes", &base64(bytes)),
            _ => self.raw("null"),
        }
    }

    /// Composes the JSON pointer (RFC 6901) to an open container.
    fn pointer(&self, node: NodeId) -> String {
        let mut pointer = String::new();
        for Level { shape, position, key, .. } in self.levels.iter().take_while(|level| level.node != node) {
            // Writing to a string does not fail.
            let _ = match shape {
                Shape::Array => write!(pointer, "/{position}"),
                Shape::Object => write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1")),
                Shape::Pairs => write!(pointer, "/$dict/{}/{}", position / 2, position % 2),
                Shape::Tagged(tag) => write!(pointer, "/{tag}/{position}"),
            };
        }
        pointer
    }

    fn tagged_text(&mut self, tag: &str, text: &str) {
        self.raw(&format!("{{\"{tag}\":"));
        self.text(text);
        self.out.push(b'}');
    }

    fn text(&mut self, text: &str) {
        // Text can always be written, and memory always be written to.
        let _ = serde_json::to_writer(&mut *self.out, text);
    }

    fn raw(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }
}

/// Whether a dict can be an object: what begins with `$` is ours.
fn has_plain_keys(dict: Value<'_>) -> bool {
    let is_plain = |key: Value<'_>| key.as_str().is_some_and(|text| !text.starts_with('$'));
    dict.pairs().is_some_and(|mut pairs| pairs.all(|(key, _)| is_plain(key)))
}

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
