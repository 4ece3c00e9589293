//! Typed data at the default depth needs less than half of a 2 MiB stack.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use std::{collections::BTreeMap, thread};

use chopsticks_pencode::{
    DecodeConfig, DecodeErrorKind, EncodeConfig, EncodeErrorKind, Graph, GraphBuilder, NodeId, from_slice,
    to_vec,
};
use serde::{Deserialize, Serialize};

const MAX: usize = DecodeConfig::DEFAULT_MAX_DEPTH;

#[derive(Debug, Deserialize, Serialize)]
struct Chain {
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Box<Chain>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Untagged {
    Leaf(i64),
    List(Vec<Untagged>),
    Map(BTreeMap<String, Untagged>),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "kind")]
enum Internal {
    Leaf,
    Node { next: Box<Internal> },
}

#[derive(Debug, Deserialize, Serialize)]
struct Flat {
    next: Option<Box<Flat>>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize, Serialize)]
enum Outside {
    Leaf,
    Node(Box<Outside>),
    Pair { left: Box<Outside> },
}

/// Makes a value out of `levels` layers.
fn nested(levels: usize, wrap: impl Fn(&mut GraphBuilder<'_>, NodeId) -> NodeId, leaf: &str) -> Vec<u8> {
    let mut builder = GraphBuilder::new();
    let mut value = if leaf.is_empty() { builder.none() } else { builder.text(leaf) };
    for _ in 0..levels {
        value = wrap(&mut builder, value);
    }
    builder.finish(value).unwrap().encode()
}

fn list(builder: &mut GraphBuilder<'_>, value: NodeId) -> NodeId {
    builder.list([value])
}

fn dict(key: &'static str) -> impl Fn(&mut GraphBuilder<'_>, NodeId) -> NodeId {
    move |builder, value| {
        let key = builder.text(key);
        builder.dict([(key, value)])
    }
}

fn tagged(builder: &mut GraphBuilder<'_>, value: NodeId) -> NodeId {
    let [kind, node, next] = ["kind", "Node", "next"].map(|text| builder.text(text));
    builder.dict([(kind, node), (next, value)])
}

/// Reads and writes on a stack of half the usual size.
fn on_half_a_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
}

fn fits<T: for<'a> Deserialize<'a> + Serialize>(buffer: &[u8]) {
    let value: T = from_slice(buffer).unwrap();
    to_vec(&value).unwrap();
    Graph::decode(buffer).unwrap().deserialize::<T>().unwrap();
}

#[test]
fn recursive_types_of_every_kind_fit_the_stack() {
    on_half_a_stack(|| {
        fits::<serde_json::Value>(&nested(MAX, list, ""));
        fits::<serde_json::Value>(&nested(MAX, dict("k"), ""));
    });
    on_half_a_stack(|| fits::<Chain>(&nested(MAX, dict("next"), "")));
    on_half_a_stack(|| fits::<Untagged>(&nested(MAX - 1, dict("k"), "").replace_leaf()));
    on_half_a_stack(|| fits::<Flat>(&nested(MAX, dict("next"), "")));
    on_half_a_stack(|| fits::<Outside>(&nested(MAX, dict("Node"), "Leaf")));
    on_half_a_stack(|| {
        let leaf = nested(MAX - 1, tagged, "");
        // The leaf of a tagged enum is a dict too.
        fits::<Internal>(&replace_end(leaf, &to_vec(&BTreeMap::from([("kind", "Leaf")])).unwrap()));
    });
}

/// Replaces the `None` at the end of a buffer.
fn replace_end(mut buffer: Vec<u8>, leaf: &[u8]) -> Vec<u8> {
    assert_eq!(buffer.pop(), Some(b'n'));
    buffer.extend_from_slice(leaf);
    buffer
}

trait ReplaceLeaf {
    fn replace_leaf(self) -> Vec<u8>;
}

impl ReplaceLeaf for Vec<u8> {
    fn replace_leaf(self) -> Vec<u8> {
        replace_end(self, b"l\0\0\0\x01i\0\0\0\x015")
    }
}

#[test]
fn one_level_more_is_refused() {
    on_half_a_stack(|| {
        let error = from_slice::<serde_json::Value>(&nested(MAX + 1, list, "")).unwrap_err();
        assert_eq!(error.kind(), &DecodeErrorKind::TooDeep { max_depth: MAX });
        assert_eq!(error.offset(), Some(MAX * 5));
        let graph_error = Graph::decode(&nested(100_000, list, ""))
            .unwrap()
            .deserialize::<serde_json::Value>()
            .unwrap_err();
        assert_eq!(graph_error.kind(), error.kind());
        let mut value = serde_json::Value::Null;
        for _ in 0..=MAX {
            value = serde_json::Value::Array(vec![value]);
        }
        let error = to_vec(&value).unwrap_err();
        assert_eq!(error.kind(), &EncodeErrorKind::TooDeep { max_depth: EncodeConfig::DEFAULT_MAX_DEPTH });
        assert_eq!(error.path(), "[0]".repeat(MAX));
    });
}

#[test]
fn what_is_ignored_may_be_as_deep_as_it_likes() {
    on_half_a_stack(|| {
        let deep = nested(1_000_000, list, "");
        from_slice::<serde::de::IgnoredAny>(&deep).unwrap();
        Graph::decode(&deep).unwrap().deserialize::<serde::de::IgnoredAny>().unwrap();
    });
}
