//! Any bytes, read as types of many shapes: what is read is written, and read as the same value.

#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use chopsticks_pencode::{BigInt, DecodeConfig, FrozenSet, Graph, Set, from_slice_with, to_vec};
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Event {
    Nothing,
    Number(i64),
    Pair(u8, Option<char>),
    Record { name: String, next: Option<Box<Event>> },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Untagged>),
    Map(BTreeMap<String, Untagged>),
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind")]
enum Internal {
    Leaf,
    Node { items: Vec<Internal> },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Record {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    score: Option<i128>,
    #[serde(default)]
    tags: Option<(String, String)>,
    #[serde(default)]
    big: BigInt,
    #[serde(default, with = "chopsticks_pencode::set")]
    set: BTreeSet<u8>,
    #[serde(flatten)]
    rest: BTreeMap<String, Untagged>,
}

fn check<T: Debug + DeserializeOwned + PartialEq + Serialize>(buffer: &[u8], graph: Option<&Graph<'_>>) {
    let config = DecodeConfig::default().expansion_budget(64 << 10).max_depth(64);
    let Ok(value) = from_slice_with::<T>(buffer, &config) else {
        return;
    };
    let graph = graph.expect("a graph can be made of what has a tree");
    assert_eq!(graph.deserialize::<T>().as_ref(), Ok(&value));
    let bytes = to_vec(&value).expect("what was read can be written");
    assert_eq!(from_slice_with::<T>(&bytes, &DecodeConfig::default()).as_ref(), Ok(&value));
    assert_eq!(Graph::decode(&bytes).expect("it is well formed").encode(), bytes);
}

fuzz_target!(|buffer: &[u8]| {
    let graph = Graph::decode(buffer).ok();
    let graph = graph.as_ref();
    check::<Vec<Record>>(buffer, graph);
    check::<Record>(buffer, graph);
    check::<Event>(buffer, graph);
    check::<Vec<Event>>(buffer, graph);
    check::<Untagged>(buffer, graph);
    check::<Internal>(buffer, graph);
    check::<BTreeMap<Vec<BigInt>, BTreeSet<char>>>(buffer, graph);
    check::<(Set<Vec<u8>>, FrozenSet<Vec<String>>, Option<serde_bytes::ByteBuf>)>(buffer, graph);
    let _ = from_slice_with::<Vec<(f64, &str, &[u8])>>(buffer, &DecodeConfig::default());
    let _ = from_slice_with::<Vec<f32>>(buffer, &DecodeConfig::default());
});
