//! Rust data through serde.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Debug,
    net::IpAddr,
};

use chopsticks_pencode::{
    BigInt, DecodeConfig, DecodeErrorKind, EncodeConfig, EncodeErrorKind, FrozenSet, Graph, Set,
    append_to_vec, from_slice, from_slice_with, to_vec, to_vec_with,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned, ser::Error as _};

/// Checks that a value comes back from bytes and from a graph, and that the graph prints as
/// Python would print the value.
fn round_trip<T: Debug + DeserializeOwned + PartialEq + Serialize>(value: T, python: &str) {
    let bytes = to_vec(&value).unwrap();
    assert_eq!(from_slice::<T>(&bytes).unwrap(), value);
    let graph = Graph::decode(&bytes).unwrap();
    assert_eq!(graph.to_string(), python);
    assert_eq!(graph.encode(), bytes);
    assert_eq!(graph.deserialize::<T>().unwrap(), value);
    assert_eq!(Graph::from_serialize(&value).unwrap(), graph);
}

#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Host {
    name: String,
    port: Option<u16>,
}

fn host(name: &str, port: impl Into<Option<u16>>) -> Host {
    Host { name: name.to_owned(), port: port.into() }
}

#[test]
fn primitives_come_back() {
    round_trip(true, "True");
    round_trip((), "None");
    round_trip(None::<u8>, "None");
    round_trip(Some(7_u8), "7");
    round_trip(i8::MIN, "-128");
    round_trip(i64::MIN, "-9223372036854775808");
    round_trip(u64::MAX, "18446744073709551615");
    round_trip(i128::MIN, "-170141183460469231731687303715884105728");
    round_trip(u128::MAX, "340282366920938463463374607431768211455");
    round_trip(0.1_f64, "0.1");
    round_trip(0.1_f32, "0.10000000149011612");
    round_trip(f64::NEG_INFINITY, "-inf");
    round_trip('\u{1f600}', "'\u{1f600}'");
    round_trip("h\u{e9}llo".to_owned(), "'h\u{e9}llo'");
    round_trip(serde_bytes::ByteBuf::from(*b"\0\xff"), r"b'\x00\xff'");
    round_trip("10.0.0.1".parse::<IpAddr>().unwrap(), "'10.0.0.1'");
}

#[test]
fn containers_come_back() {
    round_trip(vec![1, 2], "[1, 2]");
    round_trip((1, "a".to_owned(), None::<u8>), "(1, 'a', None)");
    round_trip([1, 2], "(1, 2)");
    round_trip(BTreeMap::from([(1, 'a'), (-2, 'b')]), "{-2: 'b', 1: 'a'}");
    round_trip(BTreeMap::from([((1, 2), ())]), "{(1, 2): None}");
    round_trip(HashMap::from([("k".to_owned(), vec![0.5])]), "{'k': [0.5]}");
    round_trip(
        vec![host("a", 22), host("b", None)],
        "[{'name': 'a', 'port': 22}, {'name': 'b', 'port': None}]",
    );
    round_trip(Set(BTreeSet::from([1, 2])), "{1, 2}");
    round_trip(FrozenSet(vec![1, 1]), "frozenset({1, 1})");
    round_trip(Set(Vec::<u8>::new()), "set()");
    round_trip(HashSet::from([1]), "[1]");
}

#[test]
fn structs_of_every_shape_come_back() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Unit;
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Meters(f64);
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Pair(u8, String);
    #[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
    struct Sets {
        #[serde(with = "chopsticks_pencode::set")]
        roles: BTreeSet<String>,
        #[serde(with = "chopsticks_pencode::frozenset", default)]
        ports: HashSet<u16>,
    }
    round_trip(Unit, "None");
    round_trip(Meters(1.5), "1.5");
    round_trip(Pair(1, "a".to_owned()), "(1, 'a')");
    round_trip(
        Sets { roles: BTreeSet::from(["db".to_owned()]), ports: HashSet::from([22]) },
        "{'roles': {'db'}, 'ports': frozenset({22})}",
    );
    assert_eq!(from_slice::<Host>(b"t\0\0\0\x02s\0\0\0\x01an").unwrap(), host("a", None));
}

#[test]
fn enums_are_written_as_in_json() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    enum Event {
        Start,
        Exit(i32),
        Moved(u8, u8),
        Failed { host: String },
    }
    round_trip(Event::Start, "'Start'");
    round_trip(Event::Exit(-1), "{'Exit': -1}");
    round_trip(Event::Moved(1, 2), "{'Moved': (1, 2)}");
    round_trip(Event::Failed { host: "a".to_owned() }, "{'Failed': {'host': 'a'}}");
    round_trip(vec![Event::Start, Event::Start], "['Start', 'Start']");
    round_trip(BTreeMap::from([(1, Event::Exit(0))]), "{1: {'Exit': 0}}");
    assert_eq!(
        from_slice::<Event>(&to_vec(&BTreeMap::from([("Start", ())])).unwrap()).unwrap(),
        Event::Start
    );
    for wrong in [&b"n"[..], b"d\0\0\0\0", b"s\0\0\0\x04Exit", b"l\0\0\0\0"] {
        assert!(from_slice::<Event>(wrong).is_err());
        assert!(Graph::decode(wrong).unwrap().deserialize::<Event>().is_err());
    }
}

#[test]
fn the_other_ways_of_tagging_enums_work() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(tag = "kind")]
    enum Internal {
        Ping,
        Put { path: String, mode: Option<u32> },
        Host(Host),
    }
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        Unit,
        Tuple(u8, f64),
    }
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(i64),
        Float(f64),
        Text(String),
        Hosts(Vec<Host>),
        Map(BTreeMap<String, Untagged>),
    }
    round_trip(Internal::Ping, "{'kind': 'Ping'}");
    round_trip(
        Internal::Put { path: "/x".to_owned(), mode: Some(0o644) },
        "{'kind': 'Put', 'path': '/x', 'mode': 420}",
    );
    round_trip(Internal::Host(host("a", 1)), "{'kind': 'Host', 'name': 'a', 'port': 1}");
    round_trip(Adjacent::Unit, "{'t': 'Unit'}");
    round_trip(Adjacent::Tuple(1, 2.0), "{'t': 'Tuple', 'c': (1, 2.0)}");
    round_trip(Untagged::Float(1.0), "1.0");
    round_trip(
        Untagged::Map(BTreeMap::from([
            ("h".to_owned(), Untagged::Hosts(vec![host("a", 1), host("b", None)])),
            ("n".to_owned(), Untagged::Number(5)),
            ("t".to_owned(), Untagged::Text("x".to_owned())),
        ])),
        "{'h': [{'name': 'a', 'port': 1}, {'name': 'b', 'port': None}], 'n': 5, 't': 'x'}",
    );
}

#[test]
fn attributes_of_fields_work() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Outer {
        #[serde(rename = "type", alias = "kind")]
        kind: String,
        #[serde(flatten)]
        host: Host,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    }
    let outer = Outer {
        kind: "vm".to_owned(),
        host: host("a", 22),
        tags: Vec::new(),
        rest: BTreeMap::from([("x".to_owned(), serde_json::json!([1, {"y": null}]))]),
    };
    round_trip(outer, "{'type': 'vm', 'name': 'a', 'port': 22, 'x': [1, {'y': None}]}");
    let aliased = to_vec(&BTreeMap::from([("kind", "vm"), ("name", "a"), ("unknown", "u")])).unwrap();
    let read: Outer = from_slice(&aliased).unwrap();
    assert_eq!((read.kind.as_str(), read.host.port, read.rest.len()), ("vm", None, 1));
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {}
    let error = from_slice::<Strict>(&aliased).unwrap_err();
    assert_eq!(error.offset(), Some(5));
    assert!(matches!(error.kind(), DecodeErrorKind::Message(text) if text.contains("unknown field `kind`")));
}

#[test]
fn big_integers_are_integers() {
    let digits = format!("-{}", "123456789".repeat(50));
    let big: BigInt = digits.parse().unwrap();
    round_trip(
        vec![big.clone(), BigInt::from(0), BigInt::from(u64::MAX)],
        &format!("[{digits}, 0, {}]", u64::MAX),
    );
    let bytes = to_vec(&big).unwrap();
    assert_eq!(bytes[0], b'i');
    let error = from_slice::<i64>(&bytes).unwrap_err();
    assert_eq!(error.kind(), &DecodeErrorKind::IntegerOutOfRange { digits: 450 });
    assert_eq!(from_slice::<BigInt>(&to_vec(&-5).unwrap()).unwrap(), BigInt::from(-5));
    assert_eq!(from_slice::<BigInt>(&to_vec("12").unwrap()).unwrap(), BigInt::from(12));
    assert!(from_slice::<BigInt>(&to_vec("x").unwrap()).is_err());
    assert!(from_slice::<BigInt>(b"n").is_err());
    // Zeros in front do not count.
    assert_eq!(
        from_slice::<BigInt>(b"i\0\0\0\x16-000009223372036854775").unwrap(),
        (-9_223_372_036_854_775_i64).into()
    );
    let padded = b"i\0\0\0\x17-0009223372036854775809".as_slice();
    assert_eq!(from_slice::<BigInt>(padded).unwrap().as_str(), "-9223372036854775809");
    assert_eq!(from_slice::<i128>(padded).unwrap(), i128::from(i64::MIN) - 1);
    assert_eq!(Graph::decode(padded).unwrap().to_string(), "-9223372036854775809");
}

#[test]
fn other_formats_see_text_for_big_integers_and_sequences_for_sets() {
    assert_eq!(serde_json::to_string(&BigInt::from(5)).unwrap(), "\"5\"");
    assert_eq!(serde_json::from_str::<BigInt>("5").unwrap(), BigInt::from(5));
    assert_eq!(serde_json::to_string(&Set([1])).unwrap(), "[1]");
    assert_eq!(serde_json::from_str::<FrozenSet<Vec<u8>>>("[1]").unwrap(), FrozenSet(vec![1]));
}

#[test]
fn integers_become_floats_if_nothing_is_lost() {
    let as_float = |text: &str| {
        let bytes = [b"i", &u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let typed = from_slice::<f64>(&bytes).ok();
        assert_eq!(Graph::decode(&bytes).unwrap().deserialize::<f64>().ok(), typed);
        typed
    };
    assert_eq!(as_float("3"), Some(3.0));
    assert_eq!(as_float("-9007199254740992"), Some(-9_007_199_254_740_992.0));
    assert_eq!(as_float("9007199254740993"), None);
    assert_eq!(as_float("18446744073709551616"), Some(18_446_744_073_709_551_616.0));
    assert_eq!(as_float("-00018446744073709551616"), Some(-18_446_744_073_709_551_616.0));
    assert_eq!(as_float("18446744073709551617"), None);
    assert_eq!(as_float(&"9".repeat(400)), None);
    assert_eq!(from_slice::<f32>(&to_vec(&2).unwrap()).unwrap(), 2.0);
    assert!(from_slice::<u8>(&to_vec(&2.0).unwrap()).is_err());
}

#[test]
fn sequences_are_read_from_lists_tuples_and_sets_alike() {
    for tag in *b"ltqQ" {
        let bytes = [&[tag][..], b"\0\0\0\x02TF"].concat();
        assert_eq!(from_slice::<Vec<bool>>(&bytes).unwrap(), [true, false]);
        assert_eq!(from_slice::<(bool, bool)>(&bytes).unwrap(), (true, false));
        assert_eq!(from_slice::<HashSet<bool>>(&bytes).unwrap().len(), 2);
        assert!(from_slice::<(bool,)>(&bytes).is_err());
        assert!(from_slice::<(bool, bool, bool)>(&bytes).is_err());
        let graph = Graph::decode(&bytes).unwrap();
        assert_eq!(graph.deserialize::<(bool, bool)>().unwrap(), (true, false));
        assert!(graph.deserialize::<(bool,)>().is_err());
    }
}

#[test]
fn text_and_bytes_are_borrowed_from_the_buffer() {
    #[derive(Deserialize)]
    struct Parts<'a> {
        text: &'a str,
        bytes: &'a [u8],
        native: &'a str,
        again: &'a str,
    }
    let buffer = b"d\0\0\0\x04s\0\0\0\x04texts\0\0\0\x02hi\
        s\0\0\0\x05bytesb\0\0\0\x02\xff\xfes\0\0\0\x06nativeS\0\0\0\x02hos\0\0\0\x05againR\0\0\0\x05";
    let range = buffer.as_ptr_range();
    let parts: Parts<'_> = from_slice(buffer).unwrap();
    assert_eq!((parts.text, parts.bytes, parts.native, parts.again), ("hi", &b"\xff\xfe"[..], "ho", "hi"));
    for part in [parts.text.as_bytes(), parts.bytes, parts.native.as_bytes(), parts.again.as_bytes()] {
        assert!(range.contains(&part.as_ptr()));
    }
    let graph = Graph::decode(buffer).unwrap();
    assert_eq!(graph.deserialize::<Parts<'_>>().unwrap().again, "hi");
}

#[test]
fn names_that_repeat_are_written_once() {
    let hosts = [host("a", 1), host("b", 2), host("c", 3)];
    let bytes = to_vec(&hosts).unwrap();
    assert_eq!(bytes.windows(4).filter(|window| window == b"name").count(), 1);
    let graph = Graph::decode(&bytes).unwrap();
    let keys: Vec<_> =
        graph.root().items().unwrap().map(|host| host.pairs().unwrap().next().unwrap().0).collect();
    assert!(keys[0].is_same(keys[1]) && keys[0].is_same(keys[2]));
    assert_eq!(from_slice::<[Host; 3]>(&bytes).unwrap(), hosts);
}

#[test]
fn references_are_expanded_within_the_budget() {
    // [x, x, x] with a list x of 100 texts.
    let mut builder = chopsticks_pencode::GraphBuilder::new();
    let text = builder.text(&"x".repeat(100));
    let inner = builder.list([text; 100]);
    let outer = builder.list([inner; 3]);
    let graph = builder.finish(outer).unwrap();
    let bytes = graph.encode();
    let expanded: Vec<Vec<String>> = from_slice(&bytes).unwrap();
    assert_eq!((expanded.len(), expanded[2].len(), expanded[2][99].len()), (3, 100, 100));
    assert_eq!(graph.deserialize::<Vec<Vec<String>>>().unwrap(), expanded);
    let enough = DecodeConfig::default().expansion_budget(50_000);
    assert!(from_slice_with::<Vec<Vec<String>>>(&bytes, &enough).is_ok());
    assert!(graph.deserialize_with::<Vec<Vec<String>>>(&enough).is_ok());
    let little = DecodeConfig::default().expansion_budget(20_000);
    for error in [
        from_slice_with::<Vec<Vec<String>>>(&bytes, &little).unwrap_err(),
        graph.deserialize_with::<Vec<Vec<String>>>(&little).unwrap_err(),
    ] {
        assert_eq!(error.kind(), &DecodeErrorKind::ExpansionBudget { budget: 20_000 });
    }
}

#[test]
fn short_texts_are_shared_at_no_charge() {
    let mut builder = chopsticks_pencode::GraphBuilder::new();
    let key = builder.text("key");
    let items: Vec<_> = (0..1000).map(|_| builder.dict([(key, key)])).collect();
    let list = builder.list(items);
    let graph = builder.finish(list).unwrap();
    let none = DecodeConfig::default().expansion_budget(0);
    assert_eq!(graph.deserialize_with::<Vec<HashMap<String, String>>>(&none).unwrap().len(), 1000);
    let bytes = graph.encode();
    assert_eq!(from_slice_with::<Vec<HashMap<&str, &str>>>(&bytes, &none).unwrap()[999]["key"], "key");
}

#[test]
fn json_values_come_back() {
    round_trip(
        serde_json::json!({"a": [1, -2, 0.5, null, true, "x"], "b": {"c": u64::MAX}}),
        "{'a': [1, -2, 0.5, None, True, 'x'], 'b': {'c': 18446744073709551615}}",
    );
}

#[test]
fn what_does_not_fit_the_type_is_named_with_its_place() {
    let bytes = to_vec(&[host("a", 1), host("b", 2)]).unwrap();
    let error = from_slice::<Vec<HashMap<String, u16>>>(&bytes).unwrap_err();
    assert_eq!(error.offset(), Some(19));
    assert_eq!(
        error.kind(),
        &DecodeErrorKind::Message("invalid type: string \"a\", expected u16".to_owned())
    );
    let graph = Graph::decode(&bytes).unwrap();
    let error = graph.deserialize::<Vec<HashMap<String, u16>>>().unwrap_err();
    assert_eq!((error.offset(), error.object()), (None, Some(6)));
}

#[test]
fn what_cannot_be_written_is_named_with_its_path() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("datetime is not a primitive type"))
        }
    }
    #[derive(Serialize)]
    struct Outer<'a> {
        when: BTreeMap<&'a str, Vec<Refuses>>,
    }
    #[derive(Serialize)]
    enum Event {
        Put { at: Refuses },
    }
    let outer = vec![Outer { when: BTreeMap::from([("it's", vec![Refuses])]) }];
    let mut out = b"kept".to_vec();
    let error = append_to_vec(&mut out, &outer).unwrap_err();
    assert_eq!(error.path(), r"[0].when['it\'s'][0]");
    assert_eq!(error.kind(), &EncodeErrorKind::Message("datetime is not a primitive type".to_owned()));
    assert_eq!(out, b"kept");
    assert_eq!(to_vec(&BTreeMap::from([((1, 2), Refuses)])).unwrap_err().path(), "[(1, 2)]");
    assert_eq!(to_vec(&Event::Put { at: Refuses }).unwrap_err().path(), ".at");
    assert_eq!(to_vec(&Refuses).unwrap_err().path(), "");
    append_to_vec(&mut out, &1).unwrap();
    assert_eq!(out, b"kepti\0\0\0\x011");
}

#[test]
fn limits_on_writing_hold() {
    let config = EncodeConfig::default().max_len(100).max_depth(2);
    assert!(to_vec_with(&[[1]], &config).is_ok());
    let deep = to_vec_with(&vec![vec![vec![1]]], &config).unwrap_err();
    assert_eq!((deep.path(), deep.kind()), ("[0][0]", &EncodeErrorKind::TooDeep { max_depth: 2 }));
    let long = to_vec_with(&vec!["x".repeat(50); 2], &config).unwrap_err();
    assert_eq!((long.path(), long.kind()), ("[1]", &EncodeErrorKind::TooLong { max_len: 100 }));
    assert!(to_vec_with(&vec![(); 100], &config).is_err());
}

#[test]
fn the_mark_of_a_set_reaches_the_sequence_and_no_further() {
    round_trip(Set(Some(vec![vec![1]])), "{[1]}");
    round_trip(Set(None::<Vec<u8>>), "None");
    round_trip((Set(5), vec![1]), "(5, [1])");
    round_trip(Set(host("a", None)), "{'name': 'a', 'port': None}");
    round_trip(vec![Set(BTreeMap::from([(1, vec![2])]))], "[{1: [2]}]");
    round_trip(FrozenSet([1, 2]), "frozenset({1, 2})");
}
