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
    pub(crate) nodes: Vec<Node>,
    /// The children of all containers; each container owns a range.
    pub(crate) edges: Vec<u32>,
    /// What a [`Chunk`] of text that is owned points into: all short text, and what was copied.
    text: String,
    /// What a [`Chunk`] of bytes that is owned points into.
    bytes: Vec<u8>,
    /// Longer text, by index.
    borrowed_text: Vec<&'a str>,
    /// Longer bytes, by index.
    borrowed_bytes: Vec<&'a [u8]>,
    pub(crate) root: u32,
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
        let Self { mut nodes, edges, mut text, mut bytes, borrowed_text, borrowed_bytes, root, weight } =
            self;
        for node in &mut nodes {
            match node {
                Node::BigInt(chunk) | Node::Text(chunk) | Node::NativeText(chunk) if chunk.is_borrowed() => {
                    let borrowed = borrowed_text[chunk.start as usize];
                    *chunk = Chunk { start: text.len() as u32, len: borrowed.len() as u32 };
                    text.push_str(borrowed);
                }
                Node::Bytes(chunk) if chunk.is_borrowed() => {
                    let borrowed = borrowed_bytes[chunk.start as usize];
                    *chunk = Chunk { start: bytes.len() as u32, len: borrowed.len() as u32 };
                    bytes.extend_from_slice(borrowed);
                }
                _ => {}
            }
        }
        let (borrowed_text, borrowed_bytes) = (Vec::new(), Vec::new());
        Graph { nodes, edges, text, bytes, borrowed_text, borrowed_bytes, root, weight }
    }

    pub(crate) fn empty() -> Self {
        Self {
            nodes: vec![Node::None, Node::Bool(false), Node::Bool(true)],
            edges: Vec::new(),
            text: String::new(),
            bytes: Vec::new(),
            borrowed_text: Vec::new(),
            borrowed_bytes: Vec::new(),
            root: 0,
            weight: 0,
        }
    }

    /// Adds an object, with `len` the length of its text or bytes.
    #[inline]
    pub(crate) fn push(&mut self, node: Node, len: usize) -> Result<u32, NoMemory> {
        let id = self.nodes.len() as u32;
        self.weight += NODE_WEIGHT + len as u64;
        push(&mut self.nodes, node)?;
        Ok(id)
    }

    /// Keeps text: a short one as a copy, which takes less than to say where it is.
    #[inline]
    pub(crate) fn keep_text(&mut self, text: &'a str) -> Result<Chunk, NoMemory> {
        if text.len() > COPIED_LEN {
            let start = self.borrowed_text.len() as u32;
            push(&mut self.borrowed_text, text)?;
            return Ok(Chunk { start, len: BORROWED });
        }
        self.copy_text(text)
    }

    /// Keeps bytes: short ones as a copy.
    #[inline]
    pub(crate) fn keep_bytes(&mut self, bytes: &'a [u8]) -> Result<Chunk, NoMemory> {
        if bytes.len() > COPIED_LEN {
            let start = self.borrowed_bytes.len() as u32;
            push(&mut self.borrowed_bytes, bytes)?;
            return Ok(Chunk { start, len: BORROWED });
        }
        self.copy_bytes(bytes)
    }

    #[inline]
    pub(crate) fn copy_text(&mut self, text: &str) -> Result<Chunk, NoMemory> {
        let start = self.text.len() as u32;
        fits(self.text.len(), text.len())?;
        if self.text.capacity() - self.text.len() < text.len() {
            let more = growth(self.text.len(), text.len());
            self.text.try_reserve_exact(more).map_err(|_| NoMemory)?;
        }
        self.text.push_str(text);
        Ok(Chunk { start, len: text.len() as u32 })
    }

    #[inline]
    pub(crate) fn copy_bytes(&mut self, bytes: &[u8]) -> Result<Chunk, NoMemory> {
        let start = self.bytes.len() as u32;
        fits(self.bytes.len(), bytes.len())?;
        reserve(&mut self.bytes, bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(Chunk { start, len: bytes.len() as u32 })
    }

    fn text_of(&self, chunk: Chunk) -> &str {
        if chunk.is_borrowed() {
            return self.borrowed_text[chunk.start as usize];
        }
        &self.text[chunk.start as usize..][..chunk.len as usize]
    }

    fn bytes_of(&self, chunk: Chunk) -> &[u8] {
        if chunk.is_borrowed() {
            return self.borrowed_bytes[chunk.start as usize];
        }
        &self.bytes[chunk.start as usize..][..chunk.len as usize]
    }

    fn edges_of(&self, start: u32, len: u32) -> &[u32] {
        &self.edges[start as usize..][..len as usize]
    }
}

/// There is no memory for a value that is being read: an error, where growing a vector would end the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoMemory;

/// Appends an item.
#[inline]
pub(crate) fn push<T>(vec: &mut Vec<T>, item: T) -> Result<(), NoMemory> {
    if vec.len() == vec.capacity() {
        grow(vec, 1)?;
    }
    vec.push(item);
    Ok(())
}

/// Makes room for more items.
#[inline]
pub(crate) fn reserve<T>(vec: &mut Vec<T>, additional: usize) -> Result<(), NoMemory> {
    if vec.capacity() - vec.len() < additional { grow(vec, additional) } else { Ok(()) }
}

#[cold]
fn grow<T>(vec: &mut Vec<T>, additional: usize) -> Result<(), NoMemory> {
    vec.try_reserve_exact(growth(vec.len(), additional)).map_err(|_| NoMemory)
}

/// Checks that 32 bits can say where a copy is.
#[inline]
fn fits(start: usize, len: usize) -> Result<(), NoMemory> {
    if start.saturating_add(len) >= BORROWED as usize { Err(NoMemory) } else { Ok(()) }
}

/// Returns how much room to make. Doubling leaves up to half of a large vector unused, which is what a small value
/// can afford; moving a large one costs little, since the system moves its pages.
fn growth(len: usize, additional: usize) -> usize {
    let more = if len < DOUBLED_LEN { len } else { len / 4 };
    more.max(additional).max(4)
}

/// Text or bytes up to this length are copied: as long as the pointer and length that a longer one takes.
const COPIED_LEN: usize = 16;
/// Below this many items a vector doubles.
const DOUBLED_LEN: usize = 4 << 10;

impl PartialEq for Graph<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

impl Eq for Graph<'_> {}

/// One object. 12 bytes, because a value of two bytes can be one: see `tests/memory.rs`.
#[derive(Clone, Copy)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(Wide),
    /// An integer that is no `i64`, in canonical digits.
    BigInt(Chunk),
    Float(Wide),
    Text(Chunk),
    NativeText(Chunk),
    Bytes(Chunk),
    /// `len` counts edges, so it is twice the number of pairs of a dict.
    Container {
        kind: Container,
        start: u32,
        len: u32,
    },
}

impl Node {
    #[inline]
    pub(crate) fn int(value: i64) -> Self {
        Self::Int(Wide::new(value as u64))
    }

    #[inline]
    pub(crate) fn float(value: f64) -> Self {
        Self::Float(Wide::new(value.to_bits()))
    }
}

/// 64 bits that need no alignment of 64 bits.
#[derive(Clone, Copy)]
pub(crate) struct Wide([u32; 2]);

impl Wide {
    #[inline]
    fn new(bits: u64) -> Self {
        Self([bits as u32, (bits >> 32) as u32])
    }

    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.0[0]) | u64::from(self.0[1]) << 32
    }

    #[inline]
    fn to_i64(self) -> i64 {
        self.bits() as i64
    }

    #[inline]
    fn to_f64(self) -> f64 {
        f64::from_bits(self.bits())
    }
}

/// Text or bytes.
///
/// 32 bits are enough: a buffer is at most `u32::MAX` bytes long, and the builder refuses more.
#[derive(Clone, Copy, Default)]
pub(crate) struct Chunk {
    /// The first byte of what is owned, or the index of what is borrowed.
    start: u32,
    /// The length of what is owned, or [`BORROWED`].
    len: u32,
}

impl Chunk {
    fn is_borrowed(self) -> bool {
        self.len == BORROWED
    }
}

/// In place of a length. What is owned is shorter.
const BORROWED: u32 = u32::MAX;

const _: () = assert!(size_of::<Node>() == 12);
