//! Values as a graph: one arena that keeps identity and cycles.

pub(crate) mod builder;
mod decode;
mod encode;
mod format;
#[cfg(feature = "serde")]
mod typed;
pub(crate) mod value;

use crate::{
    config::DecodeConfig,
    error::DecodeError,
    graph::value::{Container, NodeId, Value},
};

/// The weight of a value in the unit of the expansion budget, without its text or bytes.
pub(crate) const NODE_WEIGHT: u64 = 16;

/// Any value of the format, with the identity of its parts.
///
/// All parts lie in one arena and name each other by index, so a list may contain itself, dropping
/// does not recurse, and two places that hold *the same* object are told from two that hold equal
/// ones. Text and bytes are borrowed from the buffer that was read, until [`into_owned`].
///
/// Two graphs are equal if they have the same structure, identity and order included, which is to
/// say if they are written as the same bytes.
///
/// [`into_owned`]: Graph::into_owned
///
/// ```
/// use chopsticks_pencode::Graph;
///
/// // A list that holds one list twice.
/// let buffer = b"l\0\0\0\x02l\0\0\0\0R\0\0\0\x04";
/// let graph = Graph::decode(buffer)?;
/// let items = graph.root();
/// assert!(items.item(0).unwrap().is_same(items.item(1).unwrap()));
/// assert_eq!(graph.encode(), buffer);
/// # Ok::<(), chopsticks_pencode::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Graph<'a> {
    /// The first three are `None`, `False` and `True`, so that the index of a node that was read
    /// is the number that the format gives it.
    nodes: Vec<Node<'a>>,
    /// The children of all containers; each container owns a range.
    edges: Vec<u32>,
    /// What [`Chunk::Owned`] of text points into.
    text: String,
    /// What [`Chunk::Owned`] of bytes points into.
    bytes: Vec<u8>,
    root: u32,
    /// What a tree of this graph weighs if nothing is shared, in the unit of the expansion budget.
    weight: u64,
}

impl<'a> Graph<'a> {
    /// Reads a buffer that holds exactly one value.
    ///
    /// # Errors
    ///
    /// If the buffer is not well formed; see [`DecodeErrorKind`](crate::DecodeErrorKind).
    pub fn decode(buffer: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_with(buffer, &DecodeConfig::default())
    }

    /// Reads a buffer that holds exactly one value, within the given limits.
    ///
    /// # Errors
    ///
    /// If the buffer is not well formed or beyond a limit.
    pub fn decode_with(buffer: &'a [u8], config: &DecodeConfig) -> Result<Self, DecodeError> {
        decode::decode(buffer, config)
    }

    /// Returns the value as bytes.
    ///
    /// What was read from a conforming writer comes out as it came in.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.root().encode_into(&mut out);
        out
    }

    /// Returns the value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::new(self, self.root)
    }

    /// Returns the object with this identity.
    ///
    /// # Panics
    ///
    /// If `id` is of another, larger graph.
    #[must_use]
    pub fn value(&self, id: NodeId) -> Value<'_> {
        assert!(id.index() < self.nodes.len(), "the object is of another graph");
        Value::new(self, id.0)
    }

    /// Returns how many objects there are, `None`, `False` and `True` included.
    ///
    /// The [index](NodeId::index) of every object is below this number.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Copies what was borrowed, so that the graph outlives the buffer it was read from.
    #[must_use]
    pub fn into_owned(self) -> Graph<'static> {
        let Self { nodes, edges, mut text, mut bytes, root, weight } = self;
        let nodes = nodes
            .into_iter()
            .map(|node| match node {
                Node::None => Node::None,
                Node::Bool(value) => Node::Bool(value),
                Node::Int(value) => Node::Int(value),
                Node::Float(value) => Node::Float(value),
                Node::BigInt(chunk) => Node::BigInt(chunk.into_owned(&mut text)),
                Node::Text(chunk) => Node::Text(chunk.into_owned(&mut text)),
                Node::NativeText(chunk) => Node::NativeText(chunk.into_owned(&mut text)),
                Node::Bytes(chunk) => Node::Bytes(chunk.into_owned(&mut bytes)),
                Node::Container { kind, start, len } => Node::Container { kind, start, len },
            })
            .collect();
        Graph { nodes, edges, text, bytes, root, weight }
    }

    fn empty() -> Self {
        Self {
            nodes: vec![Node::None, Node::Bool(false), Node::Bool(true)],
            edges: Vec::new(),
            text: String::new(),
            bytes: Vec::new(),
            root: 0,
            weight: 0,
        }
    }

    /// Adds an object, with `len` the length of its text or bytes.
    #[inline]
    fn push(&mut self, node: Node<'a>, len: usize) -> u32 {
        let id = self.nodes.len() as u32;
        self.weight += NODE_WEIGHT + len as u64;
        self.nodes.push(node);
        id
    }

    fn text_of(&self, chunk: Chunk<&'a str>) -> &str {
        match chunk {
            Chunk::Borrowed(text) => text,
            Chunk::Owned { start, len } => &self.text[start as usize..][..len as usize],
        }
    }

    fn bytes_of(&self, chunk: Chunk<&'a [u8]>) -> &[u8] {
        match chunk {
            Chunk::Borrowed(bytes) => bytes,
            Chunk::Owned { start, len } => &self.bytes[start as usize..][..len as usize],
        }
    }

    fn edges_of(&self, start: u32, len: u32) -> &[u32] {
        &self.edges[start as usize..][..len as usize]
    }
}

impl PartialEq for Graph<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

impl Eq for Graph<'_> {}

/// One object. 24 bytes.
#[derive(Clone, Copy)]
enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer that is no `i64`, in canonical digits.
    BigInt(Chunk<&'a str>),
    Float(f64),
    Text(Chunk<&'a str>),
    NativeText(Chunk<&'a str>),
    Bytes(Chunk<&'a [u8]>),
    /// `len` counts edges, so it is twice the number of pairs of a dict.
    Container {
        kind: Container,
        start: u32,
        len: u32,
    },
}

/// Text or bytes, either borrowed or a range of what the graph owns.
///
/// 32 bits are enough: a buffer is at most `u32::MAX` bytes long, and the builder refuses more.
#[derive(Clone, Copy)]
enum Chunk<T> {
    Borrowed(T),
    Owned { start: u32, len: u32 },
}

impl Chunk<&str> {
    fn into_owned(self, text: &mut String) -> Chunk<&'static str> {
        match self {
            Chunk::Borrowed(borrowed) => {
                let start = text.len() as u32;
                text.push_str(borrowed);
                Chunk::Owned { start, len: borrowed.len() as u32 }
            }
            Chunk::Owned { start, len } => Chunk::Owned { start, len },
        }
    }
}

impl Chunk<&[u8]> {
    fn into_owned(self, bytes: &mut Vec<u8>) -> Chunk<&'static [u8]> {
        match self {
            Chunk::Borrowed(borrowed) => {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(borrowed);
                Chunk::Owned { start, len: borrowed.len() as u32 }
            }
            Chunk::Owned { start, len } => Chunk::Owned { start, len },
        }
    }
}
