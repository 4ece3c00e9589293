//! Finds out where in a value a byte stands, by reading what is before it.
//!
//! Neither the reader nor the writer keeps track of the way while all is well.

use std::fmt::Write;

use super::cursor::{Cursor, Token};
use super::tag;

/// Steps that are printed; what is deeper is an ellipsis.
const MAX_STEPS: usize = 16;

/// Characters of a key that are printed.
const MAX_KEY: usize = 40;

/// A container that is not complete at a place.
struct Open<'de> {
    kind: Kind<'de>,
    /// Members that have begun.
    begun: u64,
    /// Members that have not; very many while the writer has not filled in the count.
    left: u64,
}

enum Kind<'de> {
    Dict { key: Option<Token<'de>> },
    Sequence,
}

/// Returns the way from the value that begins `data` to the item at `offset`, as Python would
/// index it.
pub(super) fn path_at(data: &[u8], offset: usize) -> String {
    let mut cursor = Cursor::new(data);
    let mut numbered = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    loop {
        while open.last().is_some_and(|container| container.left == 0) {
            open.pop();
        }
        if open.is_empty() && cursor.position != 0 {
            break;
        }
        let start = cursor.position;
        let token = read(&mut cursor, &mut numbered);
        if matches!(token, Some(Token::Null)) {
            open.pop();
            continue;
        }
        if let Some(container) = open.last_mut() {
            container.begin(token);
        }
        let Some(token) = token else { break };
        if start >= offset || cursor.position > offset {
            break;
        }
        open.extend(Open::new(token));
    }
    let mut path = String::new();
    for (depth, container) in open.iter().enumerate() {
        if depth == MAX_STEPS {
            path.push('…');
            break;
        }
        container.print(&mut path, data, &numbered);
    }
    path
}

fn read<'de>(cursor: &mut Cursor<'de>, numbered: &mut Vec<usize>) -> Option<Token<'de>> {
    let start = cursor.position;
    if let Ok(item) = cursor.item() {
        if item.numbered {
            numbered.push(item.start);
        }
        return Some(item.token);
    }
    match cursor.data.get(start..start + 5)? {
        // A count that the writer has not filled in yet.
        [tag::TUPLE | tag::LIST | tag::SET | tag::FROZEN_SET, 0xff, 0xff, 0xff, 0xff] => {
            cursor.position = start + 5;
            Some(Token::List(u32::MAX))
        }
        _ => None,
    }
}

impl<'de> Open<'de> {
    fn new(token: Token<'de>) -> Option<Self> {
        match token {
            Token::Tuple(count) | Token::List(count) | Token::Set(count) | Token::FrozenSet(count) => {
                Some(Self { kind: Kind::Sequence, begun: 0, left: count.into() })
            }
            Token::Dict => Some(Self { kind: Kind::Dict { key: None }, begun: 0, left: u64::MAX }),
            _ => None,
        }
    }

    /// Notes that a member begins; without a token, one that cannot be read.
    fn begin(&mut self, token: Option<Token<'de>>) {
        self.begun += 1;
        self.left -= 1;
        if let Kind::Dict { key } = &mut self.kind
            && self.begun % 2 == 1
        {
            *key = token;
        }
    }

    fn print(&self, path: &mut String, data: &[u8], numbered: &[usize]) {
        let printed = match &self.kind {
            Kind::Sequence if self.begun > 0 => write!(path, "[{}]", self.begun - 1),
            Kind::Dict { key: Some(key) } if self.begun % 2 == 0 => {
                write!(path, "[{}]", printed_key(*key, data, numbered))
            }
            // Within a key that is a container, or at a key.
            _ => Ok(()),
        };
        printed.expect("a String can be written to");
    }
}

fn printed_key(key: Token<'_>, data: &[u8], numbered: &[usize]) -> String {
    match key {
        Token::Text(text) => {
            let mut shown: String = text.chars().take(MAX_KEY).flat_map(char::escape_debug).collect();
            if text.chars().nth(MAX_KEY).is_some() {
                shown.push('…');
            }
            format!("'{shown}'")
        }
        Token::Int(number) => number.to_string(),
        Token::Long(digits) => digits.to_i128().map_or("…".to_owned(), |number| number.to_string()),
        Token::Float(number) => format!("{number:?}"),
        Token::Bool(true) => "True".to_owned(),
        Token::Bool(false) => "False".to_owned(),
        Token::None => "None".to_owned(),
        Token::Reference(index) => {
            let mut cursor = Cursor { data, position: numbered.get(index as usize).copied().unwrap_or(data.len()) };
            match cursor.item() {
                Ok(item) if !matches!(item.token, Token::Reference(_)) => {
                    printed_key(item.token, data, numbered)
                }
                _ => "…".to_owned(),
            }
        }
        _ => "…".to_owned(),
    }
}
