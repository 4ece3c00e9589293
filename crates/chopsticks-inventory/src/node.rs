//! Files of TOML and YAML as trees whose nodes know their lines.

use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};
use toml::de::{DeTable, DeValue};

use crate::{
    origin::{InvalidInventory, Origin},
    variable::Variable,
};

/// A value in a file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) data: Data,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A value that is neither of these.
    Scalar(Variable),
    /// A value that cannot be read, and why.
    Unknown(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) value: Node,
}

impl Node {
    /// Parses TOML.
    pub(crate) fn from_toml(text: &str, file: &Arc<str>) -> Result<Self, InvalidInventory> {
        let lines = Lines { text, file };
        match DeTable::parse(text) {
            Ok(table) => lines.table(table.get_ref(), 0, 0),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                Err(lines.origin(at).invalid(error.message().replace('\n', ", ")))
            }
        }
    }

    /// Parses YAML, of which JSON is a part. Returns `None` for an empty file.
    ///
    /// Aliases are copied, so their number is limited by that of all nodes.
    pub(crate) fn from_yaml(text: &str, file: &Arc<str>) -> Result<Option<Self>, InvalidInventory> {
        let mut reader = Yaml { parser: Parser::new_from_str(text), file, count: 0, anchors: Vec::new() };
        let mut root = None;
        loop {
            let (event, line) = reader.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    return Err(Origin::new(file, line).invalid("a second document in the same file"));
                }
                event => root = Some(reader.node(event, line, 0)?),
            }
        }
    }

    /// Returns the value with everything in it. What cannot be read is named.
    pub(crate) fn variable(&self) -> Result<Variable, InvalidInventory> {
        Ok(match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::Unknown(why) => return Err(self.origin.invalid(why)),
            Data::List(items) => Variable::List(items.iter().map(Self::variable).collect::<Result<_, _>>()?),
            Data::Map(entries) => {
                let pairs = entries.iter().map(|entry| Ok((entry.key.clone(), entry.value.variable()?)));
                Variable::Dict(pairs.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Returns how deeply the values in it are nested.
    fn height(&self) -> usize {
        match &self.data {
            Data::List(items) => items.iter().map(Self::height).max().map_or(1, |height| height + 1),
            Data::Map(entries) => {
                entries.iter().map(|entry| entry.value.height()).max().map_or(1, |height| height + 1)
            }
            Data::Scalar(_) | Data::Unknown(_) => 0,
        }
    }

    /// Returns the entries of a mapping; none if there is no value.
    pub(crate) fn entries(&self, what: &str) -> Result<&[Entry], InvalidInventory> {
        match &self.data {
            Data::Map(entries) => Ok(entries),
            Data::Scalar(Variable::None) => Ok(&[]),
            _ => Err(self.origin.invalid(format!("`{what}` is not a mapping"))),
        }
    }

    /// Returns the texts of a list.
    pub(crate) fn texts(&self, what: &str) -> Result<Vec<(&str, &Origin)>, InvalidInventory> {
        let invalid = |node: &Self| node.origin.invalid(format!("`{what}` is not a list of texts"));
        let Data::List(items) = &self.data else { return Err(invalid(self)) };
        let text = |item: &'_ Self| match &item.data {
            Data::Scalar(Variable::Text(_)) => Ok(()),
            _ => Err(invalid(item)),
        };
        items.iter().try_for_each(text)?;
        Ok(items
            .iter()
            .filter_map(|item| match &item.data {
                Data::Scalar(Variable::Text(text)) => Some((text.as_str(), &item.origin)),
                _ => None,
            })
            .collect())
    }
}

/// Finds the lines of a text.
struct Lines<'a> {
    text: &'a str,
    file: &'a Arc<str>,
}

impl Lines<'_> {
    fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        Origin::new(self.file, before.iter().filter(|byte| **byte == b'\n').count() + 1)
    }

    fn table(&self, table: &DeTable<'_>, at: usize, depth: usize) -> Result<Node, InvalidInventory> {
        let entries = table.iter().map(|(key, value)| {
            let at = key.span().start;
            let value = self.value(value.get_ref(), value.span().start.max(at), depth + 1)?;
            Ok(Entry { key: key.get_ref().to_string(), origin: self.origin(at), value })
        });
        let data = Data::Map(entries.collect::<Result<_, _>>()?);
        Ok(Node { origin: self.origin(at), data })
    }

    fn value(&self, value: &DeValue<'_>, at: usize, depth: usize) -> Result<Node, InvalidInventory> {
        let origin = self.origin(at);
        if depth > MAX_DEPTH {
            return Err(origin.invalid("values are nested too deeply"));
        }
        let scalar = match value {
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.value(item.get_ref(), item.span().start, depth + 1));
                return Ok(Node { origin, data: Data::List(items.collect::<Result<_, _>>()?) });
            }
            DeValue::Table(table) => return self.table(table, at, depth),
            DeValue::Boolean(value) => Variable::Bool(*value),
            DeValue::Datetime(value) => Variable::Text(value.to_string()),
            DeValue::Float(value) => match value.as_str().parse() {
                Ok(value) => Variable::Float(value),
                Err(_) => return Err(origin.invalid("invalid number")),
            },
            DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
                Ok(value) => Variable::Int(value),
                Err(_) => return Err(origin.invalid("the integer has more than 64 bits")),
            },
            DeValue::String(text) => Variable::Text(text.to_string()),
        };
        Ok(Node { origin, data: Data::Scalar(scalar) })
    }
}

/// Builds a tree from the events of the parser.
struct Yaml<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    file: &'a Arc<str>,
    count: usize,
    /// The nodes that aliases may name, with the number of nodes in each.
    anchors: Vec<(usize, usize, Node)>,
}

impl<'a> Yaml<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), InvalidInventory> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(Origin::new(self.file, error.marker().line()).invalid(error.info())),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn node(&mut self, event: Event<'_>, line: usize, depth: usize) -> Result<Node, InvalidInventory> {
        let origin = Origin::new(self.file, line);
        self.count += 1;
        if depth > MAX_DEPTH || self.count > MAX_NODES {
            return Err(origin.invalid("there are too many values, or they are nested too deeply"));
        }
        let begun = self.count;
        let (anchor, data) = match event {
            Event::Alias(anchor) => {
                let found = self.anchors.iter().rev().find(|(known, ..)| *known == anchor);
                let Some((_, count, node)) = found else {
                    return Err(origin.invalid("an alias names what does not precede it"));
                };
                self.count += count;
                if self.count > MAX_NODES || depth + node.height() > MAX_DEPTH {
                    return Err(origin.invalid("aliases make too many values, or nest them too deeply"));
                }
                return Ok(node.clone());
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix.clone()));
                let data = match tag {
                    Some((false, tag)) => {
                        Data::Unknown(format!("values with the tag `!{tag}` cannot be read"))
                    }
                    Some((true, tag)) if tag == "str" => Data::Scalar(Variable::Text(text.into_owned())),
                    _ if style == ScalarStyle::Plain => Data::Scalar(plain(&text)),
                    _ => Data::Scalar(Variable::Text(text.into_owned())),
                };
                (anchor, data)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, line) = self.next()?;
                    match event {
                        Event::SequenceEnd => break,
                        event => items.push(self.node(event, line, depth + 1)?),
                    }
                }
                (anchor, Data::List(items))
            }
            Event::MappingStart(anchor, _) => {
                let mut entries: Vec<Entry> = Vec::new();
                loop {
                    let (event, line) = self.next()?;
                    if event == Event::MappingEnd {
                        break;
                    }
                    let key = self.node(event, line, depth + 1)?;
                    let (event, line) = self.next()?;
                    let value = self.node(event, line, depth + 1)?;
                    let Data::Scalar(name) = &key.data else {
                        return Err(key.origin.invalid("the key of a mapping is not a text"));
                    };
                    entries.push(Entry { key: name.to_string(), origin: key.origin, value });
                }
                (anchor, Data::Map(entries))
            }
            _ => return Err(origin.invalid("a value is missing")),
        };
        let node = Node { origin, data };
        if anchor > 0 {
            self.anchors.push((anchor, self.count - begun + 1, node.clone()));
            self.count += self.count - begun;
        }
        Ok(node)
    }
}

/// Returns the value of a text without quotes, as YAML 1.1 and Ansible have it.
fn plain(text: &str) -> Variable {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Variable::None,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Variable::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Variable::Bool(false);
        }
        _ => {}
    }
    number(text).unwrap_or_else(|| text.into())
}

/// Returns the number that a text is.
pub(crate) fn number(text: &str) -> Option<Variable> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    // A leading zero means an octal number to some and a text to others, such as a zip code.
    if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") {
        return None;
    }
    if digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return text.parse().ok().map(Variable::Int);
    }
    let is_float = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    text.parse().ok().filter(|_| is_float).map(Variable::Float)
}

/// How deeply values may be nested.
const MAX_DEPTH: usize = 64;
/// How many values a file may have. Enough for ten variables of each of as many hosts as there may
/// be.
const MAX_NODES: usize = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<str> {
        "f".into()
    }

    #[test]
    fn values_of_yaml_have_their_types_and_lines() {
        let text = "a: 1\nb: [x, '2', 1.5, yes, ~]\nc:\n  d: &e {f: 007}\n  g: *e\n";
        let node = Node::from_yaml(text, &file()).unwrap().unwrap();
        let shown = serde_json::to_string(&node.variable().unwrap()).unwrap();
        assert_eq!(shown, r#"{"a":1,"b":["x","2",1.5,true,null],"c":{"d":{"f":"007"},"g":{"f":"007"}}}"#);
        let Data::Map(entries) = &node.data else { panic!() };
        assert_eq!(entries.iter().map(|entry| entry.origin.line()).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(Node::from_yaml("# nothing\n", &file()).unwrap().is_none());
    }

    #[test]
    fn aliases_cannot_multiply_without_limit() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", "));
        }
        let error = Node::from_yaml(&text, &file()).unwrap_err().to_string();
        assert!(error.contains("too many values"), "{error}");
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for level in 1..1000 {
            chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert!(Node::from_yaml(&chain, &file()).unwrap_err().to_string().contains("too deeply"));
        let deep = "[".repeat(10_000);
        assert!(Node::from_yaml(&deep, &file()).is_err());
    }

    #[test]
    fn errors_of_files_name_the_line() {
        let error = Node::from_toml("a = 1\nb = \n", &file()).unwrap_err().to_string();
        assert!(error.starts_with("f:2: "), "{error}");
        let error = Node::from_yaml("a: 1\nb: [\n", &file()).unwrap_err().to_string();
        assert!(error.starts_with("f:3: ") || error.starts_with("f:2: "), "{error}");
    }
}
