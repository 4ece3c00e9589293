//! Values as Python would print them.

use std::io::{self, Write};

use chopsticks::{
    Graph, Value,
    pencode::{Container, Kind},
    text::is_harmful,
};

use crate::walk::{Event, Step, Unshown, Walk};

/// Writes Python's complete `repr` of a value, with at most `budget` bytes of copies.
///
/// The `Display` of graphs is for messages, and stops after a screenful.
pub(crate) fn repr(out: &mut impl Write, graph: &Graph<'_>, budget: usize) -> Result<(), Unshown> {
    let mut walk = Walk::new(graph, budget)?;
    while let Some(Step { within, event }) = walk.step()? {
        if let Event::Close(_, container, count) = event {
            out.write_all(match (container, count) {
                (Container::List, _) => b"]",
                (Container::Tuple, 1) => b",)",
                (Container::Tuple, _) | (Container::FrozenSet | Container::Set, 0) => b")",
                (Container::Dict | Container::Set, _) => b"}",
                (Container::FrozenSet, _) => b"})",
            })?;
            continue;
        }
        out.write_all(match within {
            Some(within) if within.position == 0 => b"",
            Some(within) if within.container == Container::Dict && within.position % 2 == 1 => b": ",
            Some(_) => b", ",
            None => b"",
        })?;
        match event {
            Event::Open(value, container) => out.write_all(match container {
                Container::List => b"[",
                Container::Tuple => b"(",
                Container::Dict => b"{",
                Container::Set if is_empty(value) => b"set(",
                Container::Set => b"{",
                Container::FrozenSet if is_empty(value) => b"frozenset(",
                Container::FrozenSet => b"frozenset({",
            })?,
            Event::Cycle(_, container) => out.write_all(match container {
                Container::List => b"[...]",
                Container::Tuple => b"(...)",
                Container::Dict => b"{...}",
                Container::Set => b"set(...)",
                Container::FrozenSet => b"frozenset({...})",
            })?,
            Event::Scalar(value) => scalar(out, value)?,
            Event::Close(..) => {}
        }
    }
    Ok(())
}

fn is_empty(value: Value<'_>) -> bool {
    value.member(0).is_none()
}

fn scalar(out: &mut impl Write, value: Value<'_>) -> io::Result<()> {
    match value.kind() {
        Kind::Text(text) => {
            let quote = quote(text.contains('\''), text.contains('"'));
            out.write_all(&[quote])?;
            for character in text.chars() {
                escape(out, character, quote)?;
            }
            out.write_all(&[quote])
        }
        Kind::Bytes(bytes) => {
            let quote = quote(bytes.contains(&b'\''), bytes.contains(&b'"'));
            out.write_all(&[b'b', quote])?;
            for &byte in bytes {
                match byte {
                    b' '..=b'~' | b'\n' | b'\r' | b'\t' => escape(out, byte.into(), quote)?,
                    _ => write!(out, "\\x{byte:02x}")?,
                }
            }
            out.write_all(&[quote])
        }
        // Short, so it is not cut.
        Kind::None | Kind::Bool(_) | Kind::Float(_) => write!(out, "{value}"),
        Kind::Int(int) => write!(out, "{int}"),
        kind => write!(out, "{kind:?}"),
    }
}

/// Returns the quote. Python uses double quotes only where they save escapes.
fn quote(has_single: bool, has_double: bool) -> u8 {
    if has_single && !has_double { b'"' } else { b'\'' }
}

fn escape(out: &mut impl Write, character: char, quote: u8) -> io::Result<()> {
    let code = u32::from(character);
    match character {
        '\\' => out.write_all(b"\\\\"),
        '\n' => out.write_all(b"\\n"),
        '\r' => out.write_all(b"\\r"),
        '\t' => out.write_all(b"\\t"),
        _ if code == u32::from(quote) => out.write_all(&[b'\\', quote]),
        ' '..='~' => out.write_all(&[code as u8]),
        // Rust and Python agree on what is printable, nearly: Rust escapes a combining mark as well.
        _ if character.escape_debug().len() > 1 || is_harmful(character) => match code {
            0..=0xff => write!(out, "\\x{code:02x}"),
            0x100..=0xffff => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        },
        _ => out.write_all(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use chopsticks::pencode::GraphBuilder;

    use super::*;

    fn repr(graph: &Graph<'_>, budget: usize) -> Result<String, Unshown> {
        let mut out = Vec::new();
        super::repr(&mut out, graph, budget)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn scalars_look_as_in_python() {
        let mut b = GraphBuilder::new();
        let texts = [
            "a",
            "it's",
            "\"",
            "'\"",
            "\\",
            "\n\r\t",
            "\0\x1b\x7f",
            "é€",
            "\u{a0}\u{ad}",
            "\u{2028}",
            "😀\u{e0001}",
        ];
        let texts: Vec<_> = texts.iter().map(|text| b.text(text)).collect();
        let floats: Vec<_> =
            [1.0, 1e16, 1e-5, f64::NAN, f64::NEG_INFINITY].iter().map(|&float| b.float(float)).collect();
        let others = [b.none(), b.bool(true), b.int(-7), b.int(i128::MAX), b.bytes(b"a\x00\xff'\n")];
        let root = b.list(texts.into_iter().chain(floats).chain(others));
        let expected = r#"['a', "it's", '"', '\'"', '\\', '\n\r\t', '\x00\x1b\x7f', 'é€', '\xa0\xad', '\u2028', '😀\U000e0001', 1.0, 1e+16, 1e-05, nan, -inf, None, True, -7, 170141183460469231731687303715884105727, b"a\x00\xff'\n"]"#;
        assert_eq!(repr(&b.finish(root).unwrap(), 0).unwrap(), expected);
    }

    #[test]
    fn containers_look_as_in_python() {
        let mut b = GraphBuilder::new();
        let (one, two) = (b.int(1), b.int(2));
        let items = [
            b.list([]),
            b.tuple([]),
            b.tuple([one]),
            b.tuple([one, two]),
            b.set([]),
            b.set([one, two]),
            b.frozen_set([]),
            b.frozen_set([one]),
            b.dict([]),
            b.dict([(one, two), (two, one)]),
        ];
        let root = b.list(items);
        let expected = "[[], (), (1,), (1, 2), set(), {1, 2}, frozenset(), frozenset({1}), {}, {1: 2, 2: 1}]";
        assert_eq!(repr(&b.finish(root).unwrap(), 0).unwrap(), expected);
    }

    #[test]
    fn cycles_are_dots_and_shared_objects_are_not() {
        let mut b = GraphBuilder::new();
        let list = b.reserve(Container::List);
        let dict = b.reserve(Container::Dict);
        let key = b.text("k");
        b.fill(dict, [key, list]);
        let shared = b.list([]);
        b.fill(list, [dict, shared, shared, list]);
        assert_eq!(repr(&b.finish(list).unwrap(), 1 << 10).unwrap(), "[{'k': [...]}, [], [], [...]]");
    }

    #[test]
    fn long_value_is_not_cut() {
        let mut b = GraphBuilder::new();
        let text = b.text(&"x".repeat(100_000));
        assert_eq!(repr(&b.finish(text).unwrap(), 0).unwrap().len(), 100_002);
    }

    #[test]
    fn depth_of_a_million_does_not_recurse() {
        let mut b = GraphBuilder::new();
        let mut value = b.list([]);
        for _ in 0..1_000_000 {
            value = b.list([value]);
        }
        assert_eq!(repr(&b.finish(value).unwrap(), 0).unwrap().len(), 2 * 1_000_001);
    }
}
