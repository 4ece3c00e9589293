//! Walking a graph.

use std::{ptr, slice};

use crate::{
    graph::{Graph, Node},
    int::BigInt,
};

/// A value in a [`Graph`]: a cursor that is cheap to copy.
///
/// [`kind`](Value::kind) returns the value to match on. Each `as_` method is for one type.
#[derive(Clone, Copy)]
pub struct Value<'g> {
    graph: &'g Graph<'g>,
    pub(super) id: u32,
}

impl<'g> Value<'g> {
    pub(super) fn new(graph: &'g Graph<'_>, id: u32) -> Self {
        Self { graph, id }
    }

    /// Returns the identity of the object within its graph.
    #[must_use]
    pub fn id(self) -> NodeId {
        NodeId(self.id)
    }

    /// Returns whether both are the very same object, as Python's `is`.
    #[must_use]
    pub fn is_same(self, other: Value<'_>) -> bool {
        ptr::eq(self.graph, other.graph) && self.id == other.id
    }

    /// Returns the graph of the value.
    #[must_use]
    pub fn graph(self) -> &'g Graph<'g> {
        self.graph
    }

    /// Returns the value to match on.
    #[must_use]
    pub fn kind(self) -> Kind<'g> {
        match self.node() {
            Node::None => Kind::None,
            Node::Bool(value) => Kind::Bool(value),
            Node::Int(value) => Kind::Int(Int(Repr::Small(value.to_i64()))),
            Node::BigInt(chunk) => Kind::Int(Int(Repr::Big(self.graph.text_of(chunk)))),
            Node::Float(value) => Kind::Float(value.to_f64()),
            Node::Text(chunk) | Node::NativeText(chunk) => Kind::Text(self.graph.text_of(chunk)),
            Node::Bytes(chunk) => Kind::Bytes(self.graph.bytes_of(chunk)),
            Node::Container { kind, start, len } => {
                let edges = self.graph.edges_of(start, len);
                let items = Items { graph: self.graph, edges: edges.iter() };
                match kind {
                    Container::List => Kind::List(items),
                    Container::Tuple => Kind::Tuple(items),
                    Container::Set => Kind::Set(items),
                    Container::FrozenSet => Kind::FrozenSet(items),
                    Container::Dict => Kind::Dict(Pairs { items }),
                }
            }
        }
    }

    /// Returns whether the value is `None`.
    #[must_use]
    pub fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// Returns the result of Python's `bool` for the value: false for `None`, zero and empty
    /// values.
    #[must_use]
    pub fn is_truthy(self) -> bool {
        match self.kind() {
            Kind::None => false,
            Kind::Bool(value) => value,
            Kind::Int(value) => value.to_i64() != Some(0),
            Kind::Float(value) => value != 0.0,
            Kind::Text(text) => !text.is_empty(),
            Kind::Bytes(bytes) => !bytes.is_empty(),
            Kind::List(mut items)
            | Kind::Tuple(mut items)
            | Kind::Set(mut items)
            | Kind::FrozenSet(mut items) => items.next().is_some(),
            Kind::Dict(mut pairs) => pairs.next().is_some(),
        }
    }

    /// Returns the value if it is `True` or `False`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the integer, of any size.
    #[must_use]
    pub fn as_int(self) -> Option<Int<'g>> {
        match self.kind() {
            Kind::Int(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the integer if it fits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        self.as_int()?.to_i64()
    }

    /// Returns the integer if it fits.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        self.as_int()?.to_u64()
    }

    /// Returns the float. An integer is not a float.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(value.to_f64()),
            _ => None,
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(self) -> Option<&'g str> {
        match self.node() {
            Node::Text(chunk) | Node::NativeText(chunk) => Some(self.graph.text_of(chunk)),
            _ => None,
        }
    }

    /// Returns which of the two text types of Python 2 the value has.
    #[must_use]
    pub fn text_kind(self) -> Option<TextKind> {
        match self.node() {
            Node::Text(_) => Some(TextKind::Unicode),
            Node::NativeText(_) => Some(TextKind::Native),
            _ => None,
        }
    }

    /// Returns the bytes. Text is not bytes.
    #[must_use]
    pub fn as_bytes(self) -> Option<&'g [u8]> {
        match self.node() {
            Node::Bytes(chunk) => Some(self.graph.bytes_of(chunk)),
            _ => None,
        }
    }

    /// Returns which container the value is.
    #[must_use]
    pub fn container(self) -> Option<Container> {
        match self.node() {
            Node::Container { kind, .. } => Some(kind),
            _ => None,
        }
    }

    /// Returns the items of a list, tuple, set or frozenset.
    #[must_use]
    pub fn items(self) -> Option<Items<'g>> {
        match self.kind() {
            Kind::List(items) | Kind::Tuple(items) | Kind::Set(items) | Kind::FrozenSet(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the pairs of a dict.
    #[must_use]
    pub fn pairs(self) -> Option<Pairs<'g>> {
        match self.kind() {
            Kind::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Returns one item of a list or tuple, or of a set in the order in which it was written.
    #[must_use]
    pub fn item(self, index: usize) -> Option<Value<'g>> {
        match self.node() {
            Node::Container { kind: Container::Dict, .. } => None,
            _ => self.member(index),
        }
    }

    /// Returns one member of any container. In a dict, keys have even positions, and each value
    /// follows its key.
    #[must_use]
    pub fn member(self, index: usize) -> Option<Value<'g>> {
        match self.node() {
            Node::Container { start, len, .. } => {
                let id = *self.graph.edges_of(start, len).get(index)?;
                Some(Value::new(self.graph, id))
            }
            _ => None,
        }
    }

    /// Returns the value that a dict has for a text.
    ///
    /// If the text occurs twice, the last one counts, as in Python.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Value<'g>> {
        self.pairs()?.rev().find(|(candidate, _)| candidate.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// Appends the value as bytes to `out`, with separate numbers: an object that is shared with
    /// other parts of the graph is written in full.
    pub fn encode_into(self, out: &mut Vec<u8>) {
        super::encode::encode(self.graph, self.id, out);
    }

    pub(super) fn node(self) -> Node {
        self.graph.nodes[self.id as usize]
    }
}

/// What a [`Value`] is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Kind<'g> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of any size.
    Int(Int<'g>),
    /// A float.
    Float(f64),
    /// Text; [`Value::text_kind`] tells Python 2's `str` from `unicode`.
    Text(&'g str),
    /// Bytes.
    Bytes(&'g [u8]),
    /// A list.
    List(Items<'g>),
    /// A tuple.
    Tuple(Items<'g>),
    /// A set, in the order in which it was written.
    Set(Items<'g>),
    /// A frozenset, in the order in which it was written.
    FrozenSet(Items<'g>),
    /// A dict, in the order in which it was written.
    Dict(Pairs<'g>),
}

/// The five types that contain others.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the format is fixed")]
pub enum Container {
    /// `dict`.
    Dict,
    /// `frozenset`.
    FrozenSet,
    /// `list`.
    List,
    /// `set`.
    Set,
    /// `tuple`.
    Tuple,
}

/// Python 2's two types of text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the format is fixed")]
pub enum TextKind {
    /// `str` of Python 2, ASCII only; text on Python 3 and in Rust.
    Native,
    /// `unicode` of Python 2, `str` of Python 3.
    Unicode,
}

/// The identity of an object within its graph.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// Identity of `None`, in every graph.
    pub const NONE: NodeId = NodeId(0);
    /// Identity of `False`, in every graph.
    pub const FALSE: NodeId = NodeId(1);
    /// Identity of `True`, in every graph.
    pub const TRUE: NodeId = NodeId(2);

    /// Returns a small number that no other object of the graph has.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An integer in a graph.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Int<'g>(Repr<'g>);

/// Digits only where the value is no `i64`, so that equality is that of numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Repr<'g> {
    Big(&'g str),
    Small(i64),
}

impl<'g> Int<'g> {
    /// Returns the integer if it fits.
    #[must_use]
    pub fn to_i64(self) -> Option<i64> {
        match self.0 {
            Repr::Small(value) => Some(value),
            Repr::Big(_) => None,
        }
    }

    /// Returns the integer if it fits.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        match self.0 {
            Repr::Small(value) => value.try_into().ok(),
            Repr::Big(digits) => digits.parse().ok(),
        }
    }

    /// Returns the integer if it fits.
    #[must_use]
    pub fn to_i128(self) -> Option<i128> {
        match self.0 {
            Repr::Small(value) => Some(value.into()),
            Repr::Big(digits) => digits.parse().ok(),
        }
    }

    /// Returns the integer if it fits.
    #[must_use]
    pub fn to_u128(self) -> Option<u128> {
        match self.0 {
            Repr::Small(value) => value.try_into().ok(),
            Repr::Big(digits) => digits.parse().ok(),
        }
    }

    /// Returns the integer, whatever its size.
    #[must_use]
    pub fn to_big_int(self) -> BigInt {
        match self.0 {
            Repr::Small(value) => value.into(),
            Repr::Big(digits) => BigInt::from_canonical(digits),
        }
    }

    /// Returns the digits if the integer is no `i64`.
    #[must_use]
    pub fn as_big_digits(self) -> Option<&'g str> {
        match self.0 {
            Repr::Small(_) => None,
            Repr::Big(digits) => Some(digits),
        }
    }
}

impl std::fmt::Display for Int<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Repr::Small(value) => value.fmt(f),
            Repr::Big(digits) => {
                let positive = digits.strip_prefix('-');
                f.pad_integral(positive.is_none(), "", positive.unwrap_or(digits))
            }
        }
    }
}

/// The items of a container.
#[derive(Clone)]
pub struct Items<'g> {
    graph: &'g Graph<'g>,
    edges: slice::Iter<'g, u32>,
}

impl<'g> Iterator for Items<'g> {
    type Item = Value<'g>;

    fn next(&mut self) -> Option<Self::Item> {
        self.edges.next().map(|&id| Value::new(self.graph, id))
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.edges.nth(n).map(|&id| Value::new(self.graph, id))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.edges.size_hint()
    }
}

impl DoubleEndedIterator for Items<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.edges.next_back().map(|&id| Value::new(self.graph, id))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// The pairs of a dict.
#[derive(Clone)]
pub struct Pairs<'g> {
    items: Items<'g>,
}

impl<'g> Pairs<'g> {
    /// Returns the keys and values in turn.
    pub(super) fn into_items(self) -> Items<'g> {
        self.items
    }
}

impl<'g> Iterator for Pairs<'g> {
    type Item = (Value<'g>, Value<'g>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.items.next()?;
        let value = self.items.next()?;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.items.len() / 2;
        (len, Some(len))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let value = self.items.next_back()?;
        let key = self.items.next_back()?;
        Some((key, value))
    }
}

impl ExactSizeIterator for Pairs<'_> {}
