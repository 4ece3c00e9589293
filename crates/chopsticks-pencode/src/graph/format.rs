//! Graphs for human eyes, as Python would print them.

use std::fmt::{self, Debug, Display, Formatter, Write as _};

use crate::{
    float,
    graph::{
        Graph,
        value::{Container, Items, Kind, Pairs, Value},
    },
};

/// How many bytes of a value are printed. About a screenful.
const MAX_LEN: usize = 4 << 10;

impl Display for Graph<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.root(), f)
    }
}

impl Debug for Graph<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({self})")
    }
}

impl Debug for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Prints at most 4 KiB, then `…`. A container within itself is printed as `[...]`, `{...}` or
/// `(...)`. The text looks like Python's `repr`, but is meant for people and not for parsers.
impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut printer = Printer { f, left: MAX_LEN };
        match printer.print(*self) {
            Err(fmt::Error) if printer.left == 0 => f.write_char('…'),
            result => result,
        }
    }
}

impl Debug for Items<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Items({} left)", self.len())
    }
}

impl Debug for Pairs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Pairs({} left)", self.len())
    }
}

/// A formatter that fails when it has written enough.
struct Printer<'f, 'b> {
    f: &'f mut Formatter<'b>,
    left: usize,
}

/// A container that is being printed. There are never more than characters printed.
struct Open<'g> {
    value: Value<'g>,
    kind: Container,
    items: Items<'g>,
    printed: usize,
}

impl Printer<'_, '_> {
    fn print(&mut self, root: Value<'_>) -> fmt::Result {
        let mut open: Vec<Open<'_>> = Vec::new();
        let mut next = Some(root);
        loop {
            if let Some(value) = next.take() {
                let (kind, items) = match value.kind() {
                    Kind::List(items) => (Container::List, items),
                    Kind::Tuple(items) => (Container::Tuple, items),
                    Kind::Set(items) => (Container::Set, items),
                    Kind::FrozenSet(items) => (Container::FrozenSet, items),
                    Kind::Dict(pairs) => (Container::Dict, pairs.into_items()),
                    _ => {
                        self.scalar(value)?;
                        if open.is_empty() {
                            return Ok(());
                        }
                        continue;
                    }
                };
                if open.iter().any(|outer| outer.value.is_same(value)) {
                    self.write_str(match kind {
                        Container::List => "[...]",
                        Container::Tuple => "(...)",
                        Container::Dict => "{...}",
                        Container::Set => "set(...)",
                        Container::FrozenSet => "frozenset(...)",
                    })?;
                    continue;
                }
                self.write_str(match kind {
                    Container::List => "[",
                    Container::Tuple => "(",
                    Container::Set if items.len() == 0 => "set(",
                    Container::Dict | Container::Set => "{",
                    Container::FrozenSet if items.len() == 0 => "frozenset(",
                    Container::FrozenSet => "frozenset({",
                })?;
                open.push(Open { value, kind, items, printed: 0 });
            }
            let Some(top) = open.last_mut() else {
                return Ok(());
            };
            next = top.items.next();
            if next.is_some() {
                let separator = match top.printed {
                    0 => "",
                    printed if top.kind == Container::Dict && printed % 2 == 1 => ": ",
                    _ => ", ",
                };
                top.printed += 1;
                self.write_str(separator)?;
                continue;
            }
            self.write_str(match (top.kind, top.printed) {
                (Container::List, _) => "]",
                (Container::Tuple, 1) => ",)",
                (Container::Tuple, _) | (Container::Set | Container::FrozenSet, 0) => ")",
                (Container::Dict | Container::Set, _) => "}",
                (Container::FrozenSet, _) => "})",
            })?;
            open.pop();
        }
    }

    fn scalar(&mut self, value: Value<'_>) -> fmt::Result {
        match value.kind() {
            Kind::Bool(true) => self.write_str("True"),
            Kind::Bool(false) => self.write_str("False"),
            Kind::Int(int) => write!(self, "{int}"),
            Kind::Float(float) => {
                float::with_text(float, |text| text.iter().try_for_each(|&byte| self.write_char(byte.into())))
            }
            Kind::Text(text) => {
                self.write_char('\'')?;
                for character in text.chars() {
                    match character {
                        '\'' => self.write_str("\\'")?,
                        '"' => self.write_char('"')?,
                        _ => write!(self, "{}", character.escape_debug())?,
                    }
                }
                self.write_char('\'')
            }
            Kind::Bytes(bytes) => {
                self.write_str("b'")?;
                for &byte in bytes {
                    match byte {
                        b'"' => self.write_char('"')?,
                        _ => write!(self, "{}", byte.escape_ascii())?,
                    }
                }
                self.write_char('\'')
            }
            _ => self.write_str("None"),
        }
    }
}

impl fmt::Write for Printer<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.left {
            self.left -= text.len();
            return self.f.write_str(text);
        }
        let end = (0..=self.left).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        self.left = 0;
        self.f.write_str(&text[..end])?;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Container, Graph, GraphBuilder};

    #[test]
    fn values_are_printed_as_by_python() {
        let mut b = GraphBuilder::new();
        let one = b.int(1);
        let float = b.float(1e16);
        let text = b.text("it's \"\u{e9}\"\n");
        let bytes = b.bytes(b"\0'a\"");
        let none = b.none();
        let yes = b.bool(true);
        let tuple = b.tuple([one]);
        let pair = b.tuple([one, none]);
        let set = b.set([one, yes]);
        let no_set = b.set([]);
        let frozen = b.frozen_set([one]);
        let no_frozen = b.frozen_set([]);
        let dict = b.dict([(one, float), (text, bytes)]);
        let list = b.list([tuple, pair, set, no_set, frozen, no_frozen, dict]);
        let graph = b.finish(list).unwrap();
        let expected = r#"[(1,), (1, None), {1, True}, set(), frozenset({1}), frozenset(), {1: 1e+16, 'it\'s "é"\n': b'\x00\'a"'}]"#;
        assert_eq!(graph.to_string(), expected);
        assert_eq!(format!("{:?}", graph.root().item(0).unwrap()), "(1,)");
        assert_eq!(format!("{:?}", Graph::decode(b"n").unwrap()), "Graph(None)");
    }

    #[test]
    fn cycles_are_printed_as_dots() {
        for (kind, expected) in [
            (Container::List, "[[...]]"),
            (Container::Tuple, "((...),)"),
            (Container::Set, "{set(...)}"),
            (Container::FrozenSet, "frozenset({frozenset(...)})"),
        ] {
            let mut b = GraphBuilder::new();
            let me = b.reserve(kind);
            b.fill(me, [me]);
            assert_eq!(b.finish(me).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn printing_stops_after_a_screenful() {
        let mut b = GraphBuilder::new();
        let text = b.text(&"\u{20ac}".repeat(1_000_000));
        assert!(b.clone().finish(text).unwrap().to_string().len() < 5000);
        let mut deep = text;
        for _ in 0..100_000 {
            deep = b.list([deep]);
        }
        let printed = b.finish(deep).unwrap().to_string();
        assert!(printed.starts_with("[[[") && printed.ends_with("[[…"));
    }
}
