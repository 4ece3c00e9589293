//! Finds out where in a value a byte stands, by reading what is before it.
//!
//! Neither the reader nor the writer keeps track of the way while all is well.

use std::fmt::Write;

use super::{
    cursor::{Cursor, Token},
    tag,
};

/// Steps that are printed; what is deeper is an ellipsis.
const MAX_STEPS: usize = 16;

/// Characters of a key that are printed.
const MAX_KEY: usize = 40;

/// The count of what has no count, or none that the writer has filled in yet. Real ones are below
/// 2^31.
const UNKNOWN: u32 = u32::MAX;

/// A container that is not complete at a place.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Kind,
    /// Members that have begun.
    begun: u32,
    /// Members that it has, or [`UNKNOWN`].
    count: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dict {
        /// The offset of the latest key.
        key: u32,
    },
    Sequence,
}

/// Returns the way from the value that begins `data` to the item at `offset`, as Python would
/// index it.
pub(super) fn path_at(data: &[u8], offset: usize) -> String {
    if data.len() > u32::MAX as usize {
        return String::new();
    }
    let mut cursor = Cursor::new(data);
    let mut numbered = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    loop {
        while open.last().is_some_and(|container| container.begun == container.count) {
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
            container.begin(start as u32);
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

fn read<'de>(cursor: &mut Cursor<'de>, numbered: &mut Vec<u32>) -> Option<Token<'de>> {
    let start = cursor.position;
    if let Ok(item) = cursor.item() {
        if item.numbered {
            numbered.push(item.start as u32);
        }
        return Some(item.token);
    }
    match cursor.data.get(start..start + 5)? {
        // A count that the writer has not filled in yet.
        [tag::TUPLE | tag::LIST | tag::SET | tag::FROZEN_SET, 0xff, 0xff, 0xff, 0xff] => {
            cursor.position = start + 5;
            Some(Token::List(UNKNOWN))
        }
        _ => None,
    }
}

impl Open {
    fn new(token: Token<'_>) -> Option<Self> {
        match token {
            Token::Tuple(count) | Token::List(count) | Token::Set(count) | Token::FrozenSet(count) => {
                Some(Self { kind: Kind::Sequence, begun: 0, count })
            }
            Token::Dict => Some(Self { kind: Kind::Dict { key: 0 }, begun: 0, count: UNKNOWN }),
            _ => None,
        }
    }

    /// Notes that the member at `start` begins.
    fn begin(&mut self, start: u32) {
        self.begun += 1;
        if let Kind::Dict { key } = &mut self.kind
            && !self.begun.is_multiple_of(2)
        {
            *key = start;
        }
    }

    fn print(&self, path: &mut String, data: &[u8], numbered: &[u32]) {
        let printed = match self.kind {
            Kind::Sequence if self.begun > 0 => write!(path, "[{}]", self.begun - 1),
            Kind::Dict { key } if self.begun > 0 && self.begun.is_multiple_of(2) => {
                write!(path, "[{}]", printed_key(data, key, numbered))
            }
            // At a key, or within one.
            _ => Ok(()),
        };
        printed.expect("a String can be written to");
    }
}

fn printed_key(data: &[u8], offset: u32, numbered: &[u32]) -> String {
    let scalar = |offset: u32| Cursor { data, position: offset as usize }.item().ok().map(|item| item.token);
    let token = match scalar(offset) {
        Some(Token::Reference(index)) => numbered.get(index as usize).and_then(|&offset| scalar(offset)),
        token => token,
    };
    match token {
        Some(Token::Text(text)) => {
            let mut shown: String = text.chars().take(MAX_KEY).flat_map(char::escape_debug).collect();
            if text.chars().nth(MAX_KEY).is_some() {
                shown.push('…');
            }
            format!("'{shown}'")
        }
        Some(Token::Int(number)) => number.to_string(),
        Some(Token::Float(number)) => format!("{number:?}"),
        Some(Token::Bool(true)) => "True".to_owned(),
        Some(Token::Bool(false)) => "False".to_owned(),
        Some(Token::None) => "None".to_owned(),
        _ => "…".to_owned(),
    }
}
