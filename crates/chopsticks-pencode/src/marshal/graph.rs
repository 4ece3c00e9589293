//! Reads marshal into a graph.

use crate::{
    config::DecodeConfig,
    graph::{
        Graph,
        builder::GraphBuilder,
        value::{Container, NodeId},
    },
    int::BigInt,
};

use super::{
    check_len,
    cursor::{Cursor, Token},
    error::{DecodeError, DecodeErrorKind},
    integer::Digits,
    path::path_at,
};

/// Reads the one value that `data` is.
pub(super) fn read<'de>(data: &'de [u8], config: &DecodeConfig) -> Result<Graph<'de>, DecodeError> {
    check_len(data, config)?;
    Reader::new(data, config).read().map_err(|error| {
        let path = path_at(data, error.offset());
        error.with_path(path)
    })
}

/// Builds the graph without recursion.
#[derive(Debug)]
struct Reader<'de> {
    cursor: Cursor<'de>,
    builder: GraphBuilder<'de>,
    /// The numbered objects. A frozenset is `None` until it ends, as in Python; `None` itself is
    /// never numbered.
    objects: Vec<NodeId>,
    open: Vec<Open>,
    /// The members of all open containers, as far as they have been read.
    members: Vec<NodeId>,
    /// The digits of all integers that were converted to decimal.
    decimal_len: usize,
    max_depth: usize,
}

/// A container that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: NodeId,
    /// The index of its first member in [`Reader::members`].
    first: u32,
    /// How many members it has, or [`MARKED`].
    count: u32,
    /// The number that a frozenset takes when it ends, or [`UNNUMBERED`].
    number: u32,
}

/// The count of a dict, which ends at a mark. Real ones are below 2^31.
const MARKED: u32 = u32::MAX;

/// The number of what has none, or has it already. Real ones are below 2^31.
const UNNUMBERED: u32 = u32::MAX;

impl<'de> Reader<'de> {
    fn new(data: &'de [u8], config: &DecodeConfig) -> Self {
        Self {
            cursor: Cursor::new(data),
            builder: GraphBuilder::new(),
            objects: Vec::new(),
            open: Vec::new(),
            members: Vec::new(),
            decimal_len: 0,
            max_depth: config.graph_depth_limit(),
        }
    }

    fn read(mut self) -> Result<Graph<'de>, DecodeError> {
        let root = loop {
            let item = self.cursor.item()?;
            let (kind, count) = match item.token {
                Token::Text(text) => {
                    let node = self.builder.borrowed_text(text);
                    if let Some(root) = self.object(node, item.numbered) {
                        break root;
                    }
                    continue;
                }
                Token::Tuple(count) => (Container::Tuple, count),
                Token::List(count) => (Container::List, count),
                Token::Set(count) => (Container::Set, count),
                Token::FrozenSet(count) => (Container::FrozenSet, count),
                Token::Dict => (Container::Dict, MARKED),
                scalar => {
                    let node = self.scalar(scalar, item.start)?;
                    if let Some(root) = self.object(node, item.numbered) {
                        break root;
                    }
                    continue;
                }
            };
            if let Some(root) = self.begin(kind, count, item.numbered, item.start)? {
                break root;
            }
        };
        let rest = self.cursor.data.len() - self.cursor.position;
        if rest != 0 {
            return Err(DecodeError::new(self.cursor.position, DecodeErrorKind::TrailingBytes(rest)));
        }
        self.builder
            .finish(root)
            .map_err(|error| DecodeError::new(0, DecodeErrorKind::Message(error.kind().to_string())))
    }

    #[inline]
    fn scalar(&mut self, token: Token<'de>, start: usize) -> Result<NodeId, DecodeError> {
        Ok(match token {
            Token::Int(value) => self.builder.int(value),
            Token::Float(value) => self.builder.float(value),
            Token::Reference(index) => self.referred(index, start)?,
            Token::Bool(value) => self.builder.bool(value),
            Token::Bytes(bytes) => self.builder.borrowed_bytes(bytes),
            Token::Long(digits) => self.long(digits, start)?,
            Token::Null => self.end_dict(start)?,
            _ => NodeId::NONE,
        })
    }

    /// Notes a complete object; returns the root when that is complete.
    #[inline]
    fn object(&mut self, node: NodeId, numbered: bool) -> Option<NodeId> {
        if numbered {
            self.objects.push(node);
        }
        self.place(node)
    }

    /// Puts a complete object into the container that is open, and ends those that are full.
    #[inline]
    fn place(&mut self, mut node: NodeId) -> Option<NodeId> {
        loop {
            let Some(&container) = self.open.last() else { return Some(node) };
            self.members.push(node);
            if self.members.len() - container.first as usize != container.count as usize {
                return None;
            }
            node = self.end(container);
        }
    }

    /// Opens a container, or makes an empty one.
    #[inline]
    fn begin(
        &mut self,
        kind: Container,
        count: u32,
        numbered: bool,
        start: usize,
    ) -> Result<Option<NodeId>, DecodeError> {
        let node = self.builder.reserve(kind);
        if count == 0 {
            return Ok(self.object(node, numbered));
        }
        let max_depth = self.max_depth;
        if self.open.len() >= max_depth {
            return Err(DecodeError::new(start, DecodeErrorKind::TooDeep { max_depth }));
        }
        let mut number = UNNUMBERED;
        if numbered {
            let mut object = node;
            if kind == Container::FrozenSet {
                number = self.objects.len() as u32;
                object = NodeId::NONE;
            }
            self.objects.push(object);
        }
        self.open.push(Open { node, first: self.members.len() as u32, count, number });
        Ok(None)
    }

    /// Ends the innermost container, which is `container`.
    #[inline]
    fn end(&mut self, container: Open) -> NodeId {
        self.open.pop();
        self.builder.fill(container.node, self.members.drain(container.first as usize..));
        if container.number != UNNUMBERED {
            self.objects[container.number as usize] = container.node;
        }
        container.node
    }

    #[inline]
    fn end_dict(&mut self, start: usize) -> Result<NodeId, DecodeError> {
        match self.open.last() {
            Some(&container)
                if container.count == MARKED
                    && (self.members.len() - container.first as usize).is_multiple_of(2) =>
            {
                Ok(self.end(container))
            }
            _ => Err(DecodeError::new(start, DecodeErrorKind::UnexpectedDictEnd)),
        }
    }

    #[inline]
    fn referred(&self, index: u32, start: usize) -> Result<NodeId, DecodeError> {
        match self.objects.get(index as usize) {
            Some(&NodeId::NONE) => Err(DecodeError::new(start, DecodeErrorKind::OpenFrozenSet(index))),
            Some(&node) => Ok(node),
            None => {
                let known = self.objects.len();
                Err(DecodeError::new(start, DecodeErrorKind::UnknownReference { index, known }))
            }
        }
    }

    fn long(&mut self, digits: Digits<'de>, start: usize) -> Result<NodeId, DecodeError> {
        if let Some(value) = digits.to_i128() {
            return Ok(self.builder.int(value));
        }
        let decimal = digits.checked_decimal(start)?;
        self.decimal_len += decimal.len();
        // The graph holds at most that much text of its own.
        let (len, max_len) = (self.decimal_len, u32::MAX as usize);
        if len > max_len {
            return Err(DecodeError::new(start, DecodeErrorKind::TooLong { len, max_len }));
        }
        Ok(self.builder.big_int(&BigInt::from_canonical(&decimal)))
    }
}
