//! Rust data to marshal and back.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    fmt::Debug,
};

use chopsticks_pencode::{
    BigInt, FrozenSet, Set,
    marshal::{self, DecodeErrorKind, EncodeErrorKind, Writer},
};
use proptest::prelude::*;
use serde::{
    Deserialize, Serialize, Serializer,
    de::{DeserializeOwned, IgnoredAny},
    ser::{Error as _, SerializeSeq},
};
use serde_bytes::{ByteBuf, Bytes};

fn round_trip<T: Debug + DeserializeOwned + PartialEq + Serialize>(value: T, python: &str) {
    let bytes = marshal::to_vec(&value).unwrap();
    assert_eq!(marshal::from_slice::<T>(&bytes).unwrap(), value);
    assert_eq!(marshal::decode_graph(&bytes).unwrap().to_string(), python);
    marshal::from_slice::<IgnoredAny>(&bytes).unwrap();
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    Empty,
    Wrapped(u8),
    Pair(u8, String),
    Named { left: f64 },
    Nested(Box<Shape>),
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Unit;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Meters(f64);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Point(i8, i8);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Host {
    name: String,
    port: Option<u16>,
}

#[test]
fn every_type_comes_back() {
    round_trip((), "None");
    round_trip(Unit, "None");
    round_trip((true, false), "(True, False)");
    round_trip((i8::MIN, i16::MIN, i32::MIN), "(-128, -32768, -2147483648)");
    round_trip((u8::MAX, u16::MAX, u32::MAX), "(255, 65535, 4294967295)");
    round_trip(
        (i64::MIN, i64::MAX, u64::MAX),
        "(-9223372036854775808, 9223372036854775807, 18446744073709551615)",
    );
    round_trip(i128::MIN, &i128::MIN.to_string());
    round_trip(u128::MAX, &u128::MAX.to_string());
    round_trip((0.5_f32, -0.0_f64, f64::MAX), "(0.5, -0.0, 1.7976931348623157e+308)");
    round_trip(('x', "é".to_owned()), "('x', 'é')");
    round_trip(ByteBuf::from(b"\xff\0"), r"b'\xff\x00'");
    round_trip(vec![Some(1), None], "[1, None]");
    round_trip((Meters(1.5), Point(1, -1)), "(1.5, (1, -1))");
    round_trip(BTreeMap::from([(1, "one".to_owned()), (2, "two".to_owned())]), "{1: 'one', 2: 'two'}");
    round_trip(BTreeMap::from([((1, 2), ())]), "{(1, 2): None}");
    round_trip(Host { name: "a".to_owned(), port: Some(22) }, "{'name': 'a', 'port': 22}");
    round_trip((Set(BTreeSet::from([1, 2])), FrozenSet(vec!['a'])), "({1, 2}, frozenset({'a'}))");
    round_trip(
        vec![
            Shape::Empty,
            Shape::Wrapped(1),
            Shape::Pair(2, "x".to_owned()),
            Shape::Named { left: 0.5 },
            Shape::Nested(Box::new(Shape::Wrapped(3))),
        ],
        "['Empty', {'Wrapped': 1}, {'Pair': (2, 'x')}, {'Named': {'left': 0.5}}, {'Nested': {'Wrapped': 3}}]",
    );
    for digits in
        ["0", "-1", "340282366920938463463374607431768211456", "-99999999999999999999999999999999999999999"]
    {
        round_trip(digits.parse::<BigInt>().unwrap(), digits);
    }
}

#[test]
fn not_a_number_comes_back_by_its_bits() {
    let nan = f64::from_bits(0x7ff8_0000_0000_0123);
    let bytes = marshal::to_vec(&nan).unwrap();
    assert_eq!(marshal::from_slice::<f64>(&bytes).unwrap().to_bits(), nan.to_bits());
}

#[test]
fn text_and_bytes_are_borrowed() {
    let bytes = marshal::to_vec(&("text", Bytes::new(b"bytes"))).unwrap();
    let (text, raw): (&str, &[u8]) = marshal::from_slice(&bytes).unwrap();
    assert_eq!((text, raw), ("text", b"bytes".as_slice()));
    // Behind a reference too.
    let (first, second): (&str, &str) = marshal::from_slice(b")\x02\xfa\x02abr\0\0\0\0").unwrap();
    assert_eq!((first, second), ("ab", "ab"));
    assert!(std::ptr::eq(first, second));
}

#[test]
fn field_names_are_interned_if_python_2_can() {
    #[derive(Serialize)]
    struct Names {
        plain: u8,
        #[serde(rename = "naïve")]
        accented: u8,
    }
    let bytes = marshal::to_vec(&Names { plain: 0, accented: 0 }).unwrap();
    assert_eq!(bytes, b"{t\x05\0\0\0plaini\0\0\0\0u\x06\0\0\0na\xc3\xafvei\0\0\0\x000");
}

#[test]
fn a_sequence_of_unknown_length_is_counted() {
    struct Odd;
    impl Serialize for Odd {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // A length that is announced is only a hint.
            let mut sequence = serializer.serialize_seq(Some(7))?;
            for value in [1, 3, 5] {
                sequence.serialize_element(&value)?;
            }
            sequence.end()
        }
    }
    assert_eq!(marshal::from_slice::<Vec<u8>>(&marshal::to_vec(&Odd).unwrap()).unwrap(), [1, 3, 5]);
}

#[test]
fn tuples_structs_and_enums_are_read_from_what_python_has() {
    // A list for a tuple, a tuple for a list, a set for either.
    assert_eq!(marshal::from_slice::<(u8, u8)>(b"[\x02\0\0\0i\x01\0\0\0i\x02\0\0\0").unwrap(), (1, 2));
    assert_eq!(marshal::from_slice::<Vec<u8>>(b")\x01i\x01\0\0\0").unwrap(), [1]);
    assert_eq!(marshal::from_slice::<[u8; 1]>(b">\x01\0\0\0i\x01\0\0\0").unwrap(), [1]);
    assert_eq!(marshal::from_slice::<Shape>(b"{z\x05EmptyN0").unwrap(), Shape::Empty);
    // A variant behind a reference.
    let shapes: Vec<Shape> = marshal::from_slice(b")\x02\xfbz\x07Wrappedi\x07\0\0\x000r\0\0\0\0").unwrap();
    assert_eq!(shapes, [Shape::Wrapped(7), Shape::Wrapped(7)]);
    // A float from an integer, but not from one that it cannot hold.
    assert_eq!(marshal::from_slice::<f64>(b"i\x03\0\0\0").unwrap(), 3.0);
    let large = marshal::to_vec(&((1_u64 << 60) + 1)).unwrap();
    marshal::from_slice::<f64>(&large).unwrap_err();
    marshal::from_slice::<f64>(&marshal::to_vec(&i128::MAX).unwrap()).unwrap_err();
    assert_eq!(
        marshal::from_slice::<f64>(&marshal::to_vec(&i128::MIN).unwrap()).unwrap(),
        -(2_f64.powi(127))
    );
}

#[test]
fn a_value_of_another_type_is_refused_with_its_place() {
    let bytes = marshal::to_vec(&BTreeMap::from([("hosts", vec![("a", 1), ("b", 70_000)])])).unwrap();
    let error = marshal::from_slice::<BTreeMap<String, Vec<(String, u16)>>>(&bytes).unwrap_err();
    assert_eq!(error.path(), "['hosts'][1][1]");
    assert_eq!(
        error.to_string(),
        format!(
            "invalid marshal value at byte {}, ['hosts'][1][1]: invalid value: integer `70000`, expected u16",
            error.offset()
        )
    );
    assert_eq!(error.source().unwrap().to_string(), "invalid value: integer `70000`, expected u16");
    let error = marshal::from_slice::<BTreeMap<String, Vec<(String,)>>>(&bytes).unwrap_err();
    assert_eq!(error.path(), "['hosts'][0]");
    assert_eq!(*error.kind(), DecodeErrorKind::Message("more items than the type has room for".to_owned()));
    let error = marshal::from_slice::<Vec<Host>>(b")\x01{z\x04porti\0\0\0\x000").unwrap_err();
    assert_eq!((error.path(), error.kind().to_string().as_str()), ("[0]", "missing field `name`"));
}

#[test]
fn what_cannot_be_written_is_refused_with_its_place() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("not today"))
        }
    }
    #[derive(Serialize)]
    enum Outer {
        Inner { when: Vec<(u8, Option<Refuses>)> },
    }
    let value = BTreeMap::from([("k", Outer::Inner { when: vec![(1, None), (2, Some(Refuses))] })]);
    let mut out = b"before".to_vec();
    let error = marshal::to_writer(&mut out, &value).unwrap_err();
    assert_eq!(error.path(), "['k']['Inner']['when'][1][1]");
    assert_eq!(
        error.to_string(),
        "value cannot be written as marshal, at ['k']['Inner']['when'][1][1]: not today"
    );
    assert_eq!(*error.kind(), EncodeErrorKind::Message("not today".to_owned()));
    assert_eq!(out, b"before");
    assert_eq!(marshal::to_vec(&Refuses).unwrap_err().path(), "");
}

#[test]
fn nesting_beyond_what_every_python_reads_is_refused() {
    fn deep(levels: usize) -> impl Serialize {
        let mut value = serde_json::json!([]);
        for _ in 1..levels {
            value = serde_json::json!([value]);
        }
        value
    }
    let check = || {
        marshal::to_vec(&deep(marshal::MAX_WRITE_DEPTH)).unwrap();
        let error = marshal::to_vec(&deep(marshal::MAX_WRITE_DEPTH + 1)).unwrap_err();
        assert_eq!(*error.kind(), EncodeErrorKind::TooDeep { max_depth: marshal::MAX_WRITE_DEPTH });
        assert!(error.path().starts_with("[0][0][0]"));
    };
    // Unoptimised builds need more than a test thread has for a thousand levels.
    std::thread::Builder::new().stack_size(64 << 20).spawn(check).unwrap().join().unwrap();
}

#[test]
fn a_call_is_composed_of_parts_that_are_encoded_already() {
    let arguments = marshal::to_vec(&("/etc/hosts", 0o644)).unwrap();
    let mut writer = Writer::with_buffer(b"head".to_vec());
    writer.begin_tuple(3).text("os:chmod").splice(&arguments).begin_dict(2);
    writer.name("follow").bool(false).name("names").begin_list(3).int(-1).bytes(b"x").value(&Some(1.5));
    let bytes = writer.finish().unwrap();
    let graph = marshal::decode_graph(&bytes[4..]).unwrap();
    assert_eq!(
        graph.to_string(),
        "('os:chmod', ('/etc/hosts', 420), {'follow': False, 'names': [-1, b'x', 1.5]})"
    );
    let mut writer = Writer::new();
    writer.begin_list(4).begin_dict(0).begin_tuple(0).begin_list(0).none();
    assert_eq!(marshal::decode_graph(&writer.finish().unwrap()).unwrap().to_string(), "[{}, (), [], None]");
    let mut writer = Writer::new();
    writer.float(0.5);
    assert_eq!(writer.finish().unwrap(), marshal::to_vec(&0.5).unwrap());
}

#[test]
fn a_composed_value_must_be_complete() {
    let incomplete = |compose: fn(&mut Writer)| {
        let mut writer = Writer::new();
        compose(&mut writer);
        matches!(writer.finish().unwrap_err().kind(), EncodeErrorKind::Incomplete(_))
    };
    assert!(incomplete(|_| {}));
    assert!(incomplete(|writer| _ = writer.begin_tuple(1)));
    assert!(incomplete(|writer| _ = writer.begin_dict(1).text("key")));
    assert!(incomplete(|writer| _ = writer.none().none()));
    assert!(incomplete(|writer| _ = writer.begin_list(0).begin_tuple(1).none()));
    let mut writer = Writer::new();
    for _ in 0..=marshal::MAX_WRITE_DEPTH {
        writer.begin_list(1);
    }
    writer.none();
    let kind = EncodeErrorKind::TooDeep { max_depth: marshal::MAX_WRITE_DEPTH };
    assert_eq!(*writer.finish().unwrap_err().kind(), kind);
}

/// Any value that is plain data.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Tree {
    Nothing,
    Truth(bool),
    Small(i32),
    Wide(i64),
    Huge(i128),
    Large(u128),
    Ratio(f64),
    Letter(char),
    Text(String),
    Raw(ByteBuf),
    Maybe(Option<Box<Tree>>),
    Items(Vec<Tree>),
    Pair(Box<(Tree, Tree)>),
    Named { first: Box<Tree>, second: u8 },
    Table(BTreeMap<String, Tree>),
    Numbers(BTreeMap<i64, Tree>),
    Members(Set<BTreeSet<u64>>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Nothing),
        any::<bool>().prop_map(Tree::Truth),
        any::<i32>().prop_map(Tree::Small),
        any::<i64>().prop_map(Tree::Wide),
        any::<i128>().prop_map(Tree::Huge),
        any::<u128>().prop_map(Tree::Large),
        any::<f64>().prop_filter("equality", |value| !value.is_nan()).prop_map(Tree::Ratio),
        any::<char>().prop_map(Tree::Letter),
        any::<String>().prop_map(Tree::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Tree::Raw(ByteBuf::from(bytes))),
        proptest::collection::btree_set(any::<u64>(), 0..4).prop_map(|set| Tree::Members(Set(set))),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::Items),
            (inner.clone(), inner.clone()).prop_map(|pair| Tree::Pair(Box::new(pair))),
            (inner.clone(), any::<u8>())
                .prop_map(|(first, second)| Tree::Named { first: Box::new(first), second }),
            proptest::collection::btree_map(any::<String>(), inner.clone(), 0..4).prop_map(Tree::Table),
            proptest::collection::btree_map(any::<i64>(), inner.clone(), 0..4).prop_map(Tree::Numbers),
            proptest::option::of(inner.prop_map(Box::new)).prop_map(Tree::Maybe),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in tree()) {
        let bytes = marshal::to_vec(&tree).unwrap();
        prop_assert_eq!(&marshal::from_slice::<Tree>(&bytes).unwrap(), &tree);
        marshal::from_slice::<IgnoredAny>(&bytes).unwrap();
        // The graph holds the same, whichever way it is carried on.
        let graph = marshal::decode_graph(&bytes).unwrap();
        prop_assert_eq!(graph.deserialize::<Tree>().unwrap(), tree);
        let mut writer = Writer::new();
        writer.begin_tuple(2).splice(&bytes).splice(&bytes);
        let twice = writer.finish().unwrap();
        prop_assert_eq!(marshal::from_slice::<(Tree, Tree)>(&twice).unwrap().1, marshal::from_slice::<Tree>(&bytes).unwrap());
    }

    #[test]
    fn integers_of_any_size_are_converted(digits in "-?[1-9][0-9]{0,600}") {
        let big: BigInt = digits.parse().unwrap();
        let bytes = marshal::to_vec(&big).unwrap();
        prop_assert_eq!(marshal::from_slice::<BigInt>(&bytes).unwrap(), big);
        prop_assert_eq!(marshal::decode_graph(&bytes).unwrap().to_string(), digits);
    }
}
