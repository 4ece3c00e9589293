//! Reads marshal into a graph.

use crate::{
    config::DecodeConfig,
    graph::{Graph, NoMemory, Node, push, reserve, value::Container},
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
struct Reader<'de> {
    cursor: Cursor<'de>,
    graph: Graph<'de>,
    /// The numbered objects. A frozenset is [`NONE`] until it ends, as in Python; `None` itself is
    /// never numbered.
    objects: Vec<u32>,
    /// The innermost container that is open. At first it is the edge to the root.
    frame: Frame,
    /// The containers around it.
    frames: Vec<Frame>,
    /// The keys and values of all dicts that are open, which end at a mark. What has a count goes to its edges at once.
    members: Vec<u32>,
    /// Frozensets that are open and have a number.
    frozen: Vec<Frozen>,
    /// How many items are still to come for the containers that are open, each at least a byte.
    promised: usize,
    max_depth: usize,
}

/// A container that is open.
#[derive(Clone, Copy)]
struct Frame {
    /// The edge that the next member goes to; of a dict the node.
    next: u32,
    /// The edge behind the last one, or [`MARKED`].
    end: u32,
}

#[derive(Clone, Copy)]
struct Frozen {
    node: u32,
    number: u32,
    /// How many containers are around it.
    depth: u32,
}

/// The end of a dict, whose members are not counted. There are fewer edges.
const MARKED: u32 = u32::MAX;

/// The node of `None`.
const NONE: u32 = 0;

impl<'de> Reader<'de> {
    fn new(data: &'de [u8], config: &DecodeConfig) -> Self {
        let mut graph = Graph::empty();
        graph.edges.push(NONE);
        Self {
            cursor: Cursor::new(data),
            graph,
            objects: Vec::new(),
            frame: Frame { next: 0, end: 1 },
            frames: Vec::new(),
            members: Vec::new(),
            frozen: Vec::new(),
            promised: 1,
            max_depth: config.graph_depth_limit(),
        }
    }

    fn read(mut self) -> Result<Graph<'de>, DecodeError> {
        loop {
            let item = self.cursor.item()?;
            self.promised -= usize::from(self.frame.end != MARKED);
            let start = item.start;
            let no_memory = |NoMemory| DecodeError::new(start, DecodeErrorKind::NoMemory);
            let id = match item.token {
                Token::Text(text) => {
                    let chunk = self.graph.keep_text(text).map_err(no_memory)?;
                    self.graph.push(Node::Text(chunk), text.len()).map_err(no_memory)?
                }
                Token::Reference(index) => self.referred(index, start)?,
                Token::Int(value) => self.graph.push(Node::int(value.into()), 0).map_err(no_memory)?,
                Token::Float(value) => self.graph.push(Node::float(value), 0).map_err(no_memory)?,
                Token::None => NONE,
                Token::Bool(value) => 1 + u32::from(value),
                Token::Bytes(bytes) => {
                    let chunk = self.graph.keep_bytes(bytes).map_err(no_memory)?;
                    self.graph.push(Node::Bytes(chunk), bytes.len()).map_err(no_memory)?
                }
                Token::Long(digits) => self.long(digits, start)?,
                Token::Tuple(0) => self.empty(Container::Tuple).map_err(no_memory)?,
                Token::List(0) => self.empty(Container::List).map_err(no_memory)?,
                Token::Set(0) => self.empty(Container::Set).map_err(no_memory)?,
                Token::FrozenSet(0) => self.empty(Container::FrozenSet).map_err(no_memory)?,
                Token::Tuple(count) => {
                    self.begin(Container::Tuple, count, item.numbered, start)?;
                    continue;
                }
                Token::List(count) => {
                    self.begin(Container::List, count, item.numbered, start)?;
                    continue;
                }
                Token::Set(count) => {
                    self.begin(Container::Set, count, item.numbered, start)?;
                    continue;
                }
                Token::FrozenSet(count) => {
                    self.begin(Container::FrozenSet, count, item.numbered, start)?;
                    continue;
                }
                Token::Dict => {
                    self.begin(Container::Dict, MARKED, item.numbered, start)?;
                    continue;
                }
                Token::Null => {
                    self.end_dict(start)?;
                    if self.leave() {
                        return self.finish();
                    }
                    continue;
                }
            };
            if item.numbered {
                push(&mut self.objects, id).map_err(no_memory)?;
            }
            self.place(id).map_err(no_memory)?;
            if self.leave() {
                return self.finish();
            }
        }
    }

    fn finish(mut self) -> Result<Graph<'de>, DecodeError> {
        let rest = self.cursor.data.len() - self.cursor.position;
        if rest != 0 {
            return Err(DecodeError::new(self.cursor.position, DecodeErrorKind::TrailingBytes(rest)));
        }
        self.graph.root = self.graph.edges[0];
        Ok(self.graph)
    }

    /// Puts an object into the container that is open.
    #[inline]
    fn place(&mut self, id: u32) -> Result<(), NoMemory> {
        if self.frame.end == MARKED {
            return push(&mut self.members, id);
        }
        self.graph.edges[self.frame.next as usize] = id;
        self.frame.next += 1;
        Ok(())
    }

    /// Leaves the containers that are full; returns whether the root is complete.
    #[inline]
    fn leave(&mut self) -> bool {
        while self.frame.next == self.frame.end {
            if let Some(frozen) = self.frozen.last()
                && frozen.depth as usize == self.frames.len()
            {
                self.objects[frozen.number as usize] = frozen.node;
                self.frozen.pop();
            }
            match self.frames.pop() {
                Some(outer) => self.frame = outer,
                None => return true,
            }
        }
        false
    }

    #[inline]
    fn empty(&mut self, kind: Container) -> Result<u32, NoMemory> {
        let start = self.graph.edges.len() as u32;
        self.graph.push(Node::Container { kind, start, len: 0 }, 0)
    }

    /// Opens a container with `count` members, or a dict.
    #[inline]
    fn begin(
        &mut self,
        kind: Container,
        count: u32,
        numbered: bool,
        start: usize,
    ) -> Result<(), DecodeError> {
        let max_depth = self.max_depth;
        if self.frames.len() >= max_depth {
            return Err(DecodeError::new(start, DecodeErrorKind::TooDeep { max_depth }));
        }
        // A dict takes its mark at least.
        let promised = self.promised + if count == MARKED { 1 } else { count as usize };
        if promised > self.cursor.data.len() - self.cursor.position {
            return Err(self.cut_short());
        }
        self.promised = promised;
        self.open(kind, count, numbered)
            .map_err(|NoMemory| DecodeError::new(start, DecodeErrorKind::NoMemory))
    }

    #[inline]
    fn open(&mut self, kind: Container, count: u32, numbered: bool) -> Result<(), NoMemory> {
        let first = self.graph.edges.len() as u32;
        let (start, len) = match count {
            // Behind itself, if it is a member of another dict.
            MARKED => (self.members.len() as u32 + u32::from(self.frame.end == MARKED), 0),
            count => (first, count),
        };
        let node = self.graph.push(Node::Container { kind, start, len }, 0)?;
        if numbered {
            let mut object = node;
            if kind == Container::FrozenSet {
                let depth = self.frames.len() as u32 + 1;
                push(&mut self.frozen, Frozen { node, number: self.objects.len() as u32, depth })?;
                object = NONE;
            }
            push(&mut self.objects, object)?;
        }
        self.place(node)?;
        push(&mut self.frames, self.frame)?;
        if count == MARKED {
            self.frame = Frame { next: node, end: MARKED };
            return Ok(());
        }
        reserve(&mut self.graph.edges, count as usize)?;
        self.graph.edges.resize((first + count) as usize, NONE);
        self.frame = Frame { next: first, end: first + count };
        Ok(())
    }

    /// Ends a dict. What is around it is left by [`leave`](Self::leave).
    #[inline]
    fn end_dict(&mut self, start: usize) -> Result<(), DecodeError> {
        let unexpected = || DecodeError::new(start, DecodeErrorKind::UnexpectedDictEnd);
        if self.frame.end != MARKED {
            return Err(unexpected());
        }
        let first = self.graph.edges.len() as u32;
        let Node::Container { start: place, len, .. } = &mut self.graph.nodes[self.frame.next as usize]
        else {
            return Err(unexpected());
        };
        let members = &self.members[*place as usize..];
        if !members.len().is_multiple_of(2) {
            return Err(unexpected());
        }
        let taken = std::mem::replace(place, first) as usize;
        *len = members.len() as u32;
        reserve(&mut self.graph.edges, members.len())
            .map_err(|NoMemory| DecodeError::new(start, DecodeErrorKind::NoMemory))?;
        self.graph.edges.extend_from_slice(members);
        self.members.truncate(taken);
        self.promised -= 1;
        // There is one around it, since the first frame is no dict.
        self.frame = self.frames.pop().ok_or_else(unexpected)?;
        Ok(())
    }

    #[inline]
    fn referred(&self, index: u32, start: usize) -> Result<u32, DecodeError> {
        match self.objects.get(index as usize) {
            Some(&NONE) => Err(DecodeError::new(start, DecodeErrorKind::OpenFrozenSet(index))),
            Some(&node) => Ok(node),
            None => {
                let known = self.objects.len();
                Err(DecodeError::new(start, DecodeErrorKind::UnknownReference { index, known }))
            }
        }
    }

    fn long(&mut self, digits: Digits<'de>, start: usize) -> Result<u32, DecodeError> {
        let no_memory = |NoMemory| DecodeError::new(start, DecodeErrorKind::NoMemory);
        let decimal = match digits.to_i128() {
            Some(value) => match i64::try_from(value) {
                Ok(small) => return self.graph.push(Node::int(small), 0).map_err(no_memory),
                Err(_) => BigInt::from(value),
            },
            None => BigInt::from_canonical(&digits.checked_decimal(start)?),
        };
        let chunk = self.graph.copy_text(decimal.as_str()).map_err(no_memory)?;
        self.graph.push(Node::BigInt(chunk), decimal.as_str().len()).map_err(no_memory)
    }

    /// Finds the error of a buffer whose containers have more members than it has bytes left, without setting aside
    /// anything for them.
    #[cold]
    fn cut_short(&mut self) -> DecodeError {
        loop {
            // It ends at the end of the buffer, if not before.
            if let Err(error) = self.cursor.item() {
                return error;
            }
        }
    }
}
