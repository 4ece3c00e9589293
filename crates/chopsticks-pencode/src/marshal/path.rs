//! Finds out where in a value a byte stands, by reading what is before it.
//!
//! Neither the reader nor the writer keeps track of the way while all is well.

use std::fmt::Write;

use crate::graph::push;

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
    let mut open: Vec<Open> = Vec::new();
    // Of what is too deep to be printed, only how many members are to come, or `UNKNOWN`.
    let mut deep: Vec<u32> = Vec::new();
    loop {
        loop {
            match (deep.last(), open.last()) {
                (Some(0), _) => drop(deep.pop()),
                (None, Some(container)) if container.begun == container.count => drop(open.pop()),
                _ => break,
            }
        }
        if open.is_empty() && cursor.position != 0 {
            break;
        }
        let start = cursor.position;
        let token = read(&mut cursor);
        if matches!(token, Some(Token::Null)) {
            if deep.pop().is_none() {
                open.pop();
            }
            continue;
        }
        match (deep.last_mut(), open.last_mut()) {
            (Some(left), _) => *left -= u32::from(*left != UNKNOWN),
            (None, Some(container)) => container.begin(start as u32),
            (None, None) => {}
        }
        let Some(token) = token else { break };
        if start >= offset || cursor.position > offset {
            break;
        }
        let Some(container) = Open::new(token) else { continue };
        if open.len() <= MAX_STEPS {
            open.push(container);
        } else if push(&mut deep, container.count).is_err() {
            return String::new();
        }
    }
    let mut path = String::new();
    for (depth, container) in open.iter().enumerate() {
        if depth == MAX_STEPS {
            path.push('…');
            break;
        }
        container.print(&mut path, data);
    }
    path
}

fn read<'de>(cursor: &mut Cursor<'de>) -> Option<Token<'de>> {
    let start = cursor.position;
    if let Ok(item) = cursor.item() {
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

/// Returns the numbered object with this number.
fn object(data: &[u8], number: u32) -> Option<Token<'_>> {
    let mut cursor = Cursor::new(data);
    let mut next = 0;
    loop {
        let item = cursor.item().ok()?;
        if item.numbered {
            if next == number {
                return Some(item.token);
            }
            next += 1;
        }
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

    fn print(&self, path: &mut String, data: &[u8]) {
        let printed = match self.kind {
            Kind::Sequence if self.begun > 0 => write!(path, "[{}]", self.begun - 1),
            Kind::Dict { key } if self.begun > 0 && self.begun.is_multiple_of(2) => {
                write!(path, "[{}]", printed_key(data, key))
            }
            // At a key, or within one.
            _ => Ok(()),
        };
        printed.expect("a String can be written to");
    }
}

fn printed_key(data: &[u8], offset: u32) -> String {
    let scalar = |offset: u32| Cursor { data, position: offset as usize }.item().ok().map(|item| item.token);
    let token = match scalar(offset) {
        Some(Token::Reference(index)) => object(data, index),
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
