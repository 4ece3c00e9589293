//! Making graphs from Rust.

use crate::{
    error::{EncodeError, EncodeErrorKind},
    graph::{
        Chunk, Graph, NoMemory, Node,
        value::{Container, NodeId},
    },
    int::BigInt,
};

/// Builds a [`Graph`], which may contain cycles and shared objects.
///
/// Each method creates an object and returns its identity. If you use an identity in several
/// places, they share the object. To make a container that contains itself,
/// [`reserve`](Self::reserve) it first and [`fill`](Self::fill) it later. Errors are returned by
/// [`finish`](Self::finish).
///
/// ```
/// use chopsticks_pencode::{Container, GraphBuilder};
///
/// let mut builder = GraphBuilder::new();
/// let me = builder.reserve(Container::Dict);
/// let key = builder.text("me");
/// builder.fill(me, [key, me]);
/// let graph = builder.finish(me)?;
/// assert!(graph.root().get("me").unwrap().is_same(graph.root()));
/// assert_eq!(graph.to_string(), "{'me': {...}}");
/// # Ok::<(), chopsticks_pencode::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder<'a> {
    graph: Graph<'a>,
    /// The length of all text and bytes, borrowed or owned.
    payload: usize,
    error: Option<EncodeErrorKind>,
}

impl<'a> GraphBuilder<'a> {
    /// Creates a builder of an empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self { graph: Graph::empty(), payload: 0, error: None }
    }

    /// Returns `None`, of which there is one.
    #[must_use]
    pub fn none(&self) -> NodeId {
        NodeId::NONE
    }

    /// Returns `True` or `False`, of which there is one each.
    #[must_use]
    pub fn bool(&self, value: bool) -> NodeId {
        if value { NodeId::TRUE } else { NodeId::FALSE }
    }

    /// Creates an integer.
    pub fn int(&mut self, value: impl Into<i128>) -> NodeId {
        let value = value.into();
        match i64::try_from(value) {
            Ok(small) => self.push(Node::int(small), 0),
            Err(_) => self.big_int(&value.into()),
        }
    }

    /// Creates an integer of any size.
    pub fn big_int(&mut self, value: &BigInt) -> NodeId {
        match i64::try_from(value) {
            Ok(small) => self.push(Node::int(small), 0),
            Err(_) => {
                let chunk = self.own_text(value.as_str());
                self.push(Node::BigInt(chunk), value.as_str().len())
            }
        }
    }

    /// Creates a float.
    pub fn float(&mut self, value: f64) -> NodeId {
        self.push(Node::float(value), 0)
    }

    /// Creates text, as a copy.
    pub fn text(&mut self, value: &str) -> NodeId {
        let chunk = self.own_text(value);
        self.push(Node::Text(chunk), value.len())
    }

    /// Creates text that the graph borrows.
    pub fn borrowed_text(&mut self, value: &'a str) -> NodeId {
        let chunk = self.graph.keep_text(value);
        let chunk = self.checked(chunk);
        self.push(Node::Text(chunk), value.len())
    }

    /// Creates text that is `str` on Python 2, as a copy. It must be ASCII.
    pub fn native_text(&mut self, value: &str) -> NodeId {
        self.check_ascii(value);
        let chunk = self.own_text(value);
        self.push(Node::NativeText(chunk), value.len())
    }

    /// Creates text that is `str` on Python 2 and that the graph borrows. It must be ASCII.
    pub fn borrowed_native_text(&mut self, value: &'a str) -> NodeId {
        self.check_ascii(value);
        let chunk = self.graph.keep_text(value);
        let chunk = self.checked(chunk);
        self.push(Node::NativeText(chunk), value.len())
    }

    /// Creates bytes, as a copy.
    pub fn bytes(&mut self, value: &[u8]) -> NodeId {
        self.check_len(self.graph.bytes.len().saturating_add(value.len()));
        if self.error.is_some() {
            return NodeId::NONE;
        }
        let chunk = self.graph.copy_bytes(value);
        let chunk = self.checked(chunk);
        self.push(Node::Bytes(chunk), value.len())
    }

    /// Creates bytes that the graph borrows.
    pub fn borrowed_bytes(&mut self, value: &'a [u8]) -> NodeId {
        let chunk = self.graph.keep_bytes(value);
        let chunk = self.checked(chunk);
        self.push(Node::Bytes(chunk), value.len())
    }

    /// Creates a list.
    pub fn list(&mut self, items: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.make(Container::List, items)
    }

    /// Creates a tuple.
    pub fn tuple(&mut self, items: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.make(Container::Tuple, items)
    }

    /// Creates a set. It does not check whether the members are hashable and distinct.
    pub fn set(&mut self, items: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.make(Container::Set, items)
    }

    /// Creates a frozenset.
    pub fn frozen_set(&mut self, items: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.make(Container::FrozenSet, items)
    }

    /// Creates a dict.
    pub fn dict(&mut self, pairs: impl IntoIterator<Item = (NodeId, NodeId)>) -> NodeId {
        self.make(Container::Dict, pairs.into_iter().flat_map(|(key, value)| [key, value]))
    }

    /// Creates an empty container, to be [filled](Self::fill) when its items exist.
    pub fn reserve(&mut self, kind: Container) -> NodeId {
        let start = self.edge_count();
        self.push(Node::Container { kind, start, len: 0 }, 0)
    }

    /// Sets the items of a container, in place of its earlier ones. The items of a dict are a key,
    /// its value, the next key and so on.
    ///
    /// # Panics
    ///
    /// If `container` is not a container, an identity is of another, larger graph, or a dict gets
    /// an odd number of items.
    pub fn fill(&mut self, container: NodeId, items: impl IntoIterator<Item = NodeId>) {
        if self.error.is_some() {
            return;
        }
        let first = self.edge_count();
        let nodes = self.graph.nodes.len();
        self.graph.edges.extend(items.into_iter().map(|item| {
            assert!(item.index() < nodes, "the item is of another graph");
            item.0
        }));
        let end = self.edge_count();
        match &mut self.graph.nodes[container.index()] {
            Node::Container { kind, start, len } => {
                (*start, *len) = (first, end - first);
                assert!(*kind != Container::Dict || *len % 2 == 0, "a key without a value");
            }
            _ => panic!("only a container can be filled"),
        }
    }

    /// Returns the graph with `root` as its value.
    ///
    /// # Errors
    ///
    /// [`EncodeErrorKind::NotAscii`] if a native text was not ASCII, [`EncodeErrorKind::TooLong`]
    /// if the length of all text and bytes or the number of objects is beyond 32 bits.
    ///
    /// # Panics
    ///
    /// If `root` is of another, larger graph.
    pub fn finish(mut self, root: NodeId) -> Result<Graph<'a>, EncodeError> {
        if let Some(kind) = self.error {
            return Err(EncodeError::new(kind));
        }
        assert!(root.index() < self.graph.nodes.len(), "the root is of another graph");
        self.graph.root = root.0;
        Ok(self.graph)
    }

    fn make(&mut self, kind: Container, items: impl IntoIterator<Item = NodeId>) -> NodeId {
        let id = self.reserve(kind);
        self.fill(id, items);
        id
    }

    fn push(&mut self, node: Node, len: usize) -> NodeId {
        let index = self.graph.nodes.len();
        self.check_len(index);
        self.payload = self.payload.saturating_add(len);
        self.check_len(self.payload);
        if self.error.is_some() {
            return NodeId::NONE;
        }
        let id = self.graph.push(node, len);
        NodeId(self.checked(id))
    }

    fn own_text(&mut self, value: &str) -> Chunk {
        self.check_len(self.graph.text.len().saturating_add(value.len()));
        let chunk = if self.error.is_some() { Ok(Chunk::default()) } else { self.graph.copy_text(value) };
        self.checked(chunk)
    }

    /// Notes that there was no memory.
    fn checked<T: Default>(&mut self, result: Result<T, NoMemory>) -> T {
        result.unwrap_or_else(|NoMemory| {
            self.error.get_or_insert(EncodeErrorKind::NoMemory);
            T::default()
        })
    }

    fn edge_count(&mut self) -> u32 {
        self.check_len(self.graph.edges.len());
        self.graph.edges.len() as u32
    }

    fn check_len(&mut self, len: usize) {
        if len > u32::MAX as usize {
            self.error.get_or_insert(EncodeErrorKind::TooLong { max_len: u32::MAX as usize });
        }
    }

    fn check_ascii(&mut self, value: &str) {
        if !value.is_ascii() {
            self.error.get_or_insert(EncodeErrorKind::NotAscii);
        }
    }
}

impl Default for GraphBuilder<'_> {
    fn default() -> Self {
        Self::new()
    }
}
