//! Any bytes, read as marshal in every way: the ways agree, and what is read is written and read
//! as the same value.

#![no_main]

use std::{collections::BTreeMap, fmt::Debug};

use chopsticks_pencode::{
    BigInt, DecodeConfig, Graph,
    marshal::{self, DecodeErrorKind},
};
use libfuzzer_sys::fuzz_target;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

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
}

fn check<T: Debug + DeserializeOwned + PartialEq + Serialize>(buffer: &[u8], graph: Option<&Graph<'_>>) {
    let config = DecodeConfig::default().expansion_budget(64 << 10).max_depth(64);
    let Ok(value) = marshal::from_slice_with::<T>(buffer, &config) else {
        return;
    };
    if let Some(graph) = graph {
        assert_eq!(graph.deserialize::<T>().as_ref(), Ok(&value));
    }
    let bytes = marshal::to_vec(&value).expect("what was read can be written");
    assert_eq!(marshal::from_slice::<T>(&bytes).as_ref(), Ok(&value));
    let graph = marshal::decode_graph(&bytes).expect("it is well formed");
    assert_eq!(graph.deserialize::<T>().as_ref(), Ok(&value));
}

fuzz_target!(|buffer: &[u8]| {
    let graph = marshal::decode_graph(buffer);
    let skipped = marshal::from_slice::<IgnoredAny>(buffer);
    match (&graph, &skipped) {
        // Nobody converts an integer or makes a frozenset that is passed over.
        (Err(error), Ok(_)) => assert!(
            matches!(error.kind(), DecodeErrorKind::LargeInteger { .. } | DecodeErrorKind::OpenFrozenSet(_)),
            "{error}: {}",
            error.kind()
        ),
        (Ok(_), Err(error)) => {
            assert!(matches!(error.kind(), DecodeErrorKind::TooDeep { .. }), "{error}: {}", error.kind());
        }
        _ => {}
    }
    let graph = graph.as_ref().ok();
    check::<Record>(buffer, graph);
    check::<Vec<Record>>(buffer, graph);
    check::<Event>(buffer, graph);
    check::<Vec<Event>>(buffer, graph);
    check::<Untagged>(buffer, graph);
    check::<BTreeMap<Vec<BigInt>, (char, i8)>>(buffer, graph);
    check::<Option<serde_bytes::ByteBuf>>(buffer, graph);
    let _ = marshal::from_slice::<Vec<(f64, &str, &[u8])>>(buffer);
});
