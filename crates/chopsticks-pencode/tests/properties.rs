//! What holds for every value and for every buffer.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use std::collections::BTreeMap;

use chopsticks_pencode::{BigInt, Container, Graph, GraphBuilder, NodeId, from_slice, to_vec};
use proptest::{collection::vec, option, prelude::*};
use serde::{Deserialize, Serialize, de::IgnoredAny};

/// A step in making a graph. Numbers choose among what is there, so that objects are shared and
/// contain themselves.
#[derive(Clone, Debug)]
enum Step {
    Big(bool, Vec<u8>),
    Bool(bool),
    Bytes(Vec<u8>),
    Container(Container, Vec<usize>),
    Fill(usize, Vec<usize>),
    Float(u64),
    Int(i128),
    Native(String),
    Text(String),
}

fn step() -> impl Strategy<Value = Step> {
    let container = prop_oneof![
        Just(Container::List),
        Just(Container::Tuple),
        Just(Container::Set),
        Just(Container::FrozenSet),
        Just(Container::Dict)
    ];
    let items = || vec(any::<usize>(), 0..6);
    prop_oneof![
        (any::<bool>(), vec(0..10_u8, 1..60)).prop_map(|(negative, digits)| Step::Big(negative, digits)),
        any::<bool>().prop_map(Step::Bool),
        vec(any::<u8>(), 0..20).prop_map(Step::Bytes),
        (container, items()).prop_map(|(kind, items)| Step::Container(kind, items)),
        (any::<usize>(), items()).prop_map(|(at, items)| Step::Fill(at, items)),
        any::<u64>().prop_map(Step::Float),
        prop_oneof![any::<i128>(), (-10..10_i128), any::<i64>().prop_map(Into::into)].prop_map(Step::Int),
        "[ -~]{0,8}".prop_map(Step::Native),
        ".{0,8}".prop_map(Step::Text),
    ]
}

fn build(steps: &[Step]) -> Graph<'static> {
    let mut b = GraphBuilder::new();
    let mut ids = vec![b.none()];
    let mut containers: Vec<(NodeId, Container)> = Vec::new();
    for step in steps {
        let pick = |items: &[usize], kind: Container| {
            let len = if kind == Container::Dict { items.len() / 2 * 2 } else { items.len() };
            items[..len].iter().map(|item| ids[item % ids.len()]).collect::<Vec<_>>()
        };
        let id = match step {
            Step::Big(negative, digits) => {
                let sign = if *negative { "-" } else { "" };
                let digits: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
                b.big_int(&format!("{sign}{digits}").parse::<BigInt>().unwrap())
            }
            Step::Bool(value) => b.bool(*value),
            Step::Bytes(value) => b.bytes(value),
            Step::Container(kind, items) => {
                let items = pick(items, *kind);
                let id = b.reserve(*kind);
                b.fill(id, items);
                containers.push((id, *kind));
                id
            }
            Step::Fill(at, items) => {
                if let Some(&(id, kind)) = containers.get(at % containers.len().max(1)) {
                    let items = pick(items, kind);
                    b.fill(id, items);
                }
                continue;
            }
            Step::Float(bits) => b.float(f64::from_bits(*bits)),
            Step::Int(value) => b.int(*value),
            Step::Native(text) => b.native_text(text),
            Step::Text(text) => b.text(text),
        };
        ids.push(id);
    }
    let items: Vec<_> = ids.into_iter().rev().take(20).collect();
    let root = b.tuple(items);
    b.finish(root).unwrap()
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Event {
    Nothing,
    Number(i64),
    Pair(u8, Option<char>),
    Record { name: String, score: f32 },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Everything {
    small: (i8, u16, i32),
    large: (i64, u64, i128, u128),
    text: Option<String>,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    events: Vec<Event>,
    map: BTreeMap<String, Vec<Option<bool>>>,
    numbers: BTreeMap<i32, ()>,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Nothing),
        any::<i64>().prop_map(Event::Number),
        (any::<u8>(), any::<Option<char>>()).prop_map(|(number, letter)| Event::Pair(number, letter)),
        (any::<String>(), any::<f32>()).prop_map(|(name, score)| Event::Record { name, score }),
    ]
}

prop_compose! {
    fn everything()(
        small in any::<(i8, u16, i32)>(),
        large in any::<(i64, u64, i128, u128)>(),
        text in option::of(any::<String>()),
        bytes in vec(any::<u8>(), 0..50),
        events in vec(event(), 0..6),
        map in proptest::collection::btree_map(any::<String>(), vec(any::<Option<bool>>(), 0..4), 0..4),
        numbers in proptest::collection::btree_map(any::<i32>(), Just(()), 0..4),
    ) -> Everything {
        Everything { small, large, text, bytes, events, map, numbers }
    }
}

/// Bytes that are likely to be taken for values.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let tag = proptest::sample::select(b"nTFifsSbltqQdR".to_vec());
    let piece = prop_oneof![
        4 => (tag, 0..7_u32).prop_map(|(tag, len)| [&[tag][..], &len.to_be_bytes()].concat()),
        1 => proptest::sample::select(vec![b"n".to_vec(), b"T".to_vec(), b"12".to_vec(), b"1.5".to_vec(), b"nan".to_vec()]),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// What any buffer has to stand.
fn read(buffer: &[u8]) -> Result<(), TestCaseError> {
    let ignored = from_slice::<IgnoredAny>(buffer);
    match Graph::decode(buffer) {
        Ok(graph) => {
            prop_assert!(ignored.is_ok());
            let bytes = graph.encode();
            let again = Graph::decode(&bytes).unwrap();
            prop_assert_eq!(again.encode(), &bytes[..]);
            prop_assert_eq!(again.to_string(), graph.to_string());
            let typed = from_slice::<serde_json::Value>(buffer);
            let through_graph = graph.deserialize::<serde_json::Value>();
            prop_assert_eq!(typed.as_ref().ok(), through_graph.as_ref().ok());
            prop_assert_eq!(from_slice::<serde_json::Value>(&bytes).ok(), typed.ok());
        }
        Err(error) => {
            prop_assert_eq!(ignored.unwrap_err(), error.clone());
            prop_assert!(error.offset().unwrap() <= buffer.len());
            prop_assert!(from_slice::<serde_json::Value>(buffer).is_err());
        }
    }
    let _ = from_slice::<Everything>(buffer);
    Ok(())
}

proptest! {
    #[test]
    fn every_graph_comes_back_with_sharing_and_cycles(steps in vec(step(), 0..60)) {
        let graph = build(&steps);
        let bytes = graph.encode();
        let again = Graph::decode(&bytes).unwrap();
        prop_assert_eq!(again.encode(), &bytes[..]);
        prop_assert_eq!(again.to_string(), graph.to_string());
        prop_assert_eq!(again.clone().into_owned().encode(), &bytes[..]);
        prop_assert_eq!(again.deserialize::<serde_json::Value>().ok(), from_slice(&bytes).ok());
        for end in 0..bytes.len() {
            prop_assert!(Graph::decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn every_typed_value_comes_back(value in everything()) {
        let bytes = to_vec(&value).unwrap();
        prop_assert_eq!(&from_slice::<Everything>(&bytes).unwrap(), &value);
        let graph = Graph::decode(&bytes).unwrap();
        prop_assert_eq!(graph.encode(), &bytes[..]);
        prop_assert_eq!(&graph.deserialize::<Everything>().unwrap(), &value);
    }

    #[test]
    fn every_float_comes_back_by_its_bits(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let bytes = to_vec(&value).unwrap();
        let again: f64 = from_slice(&bytes).unwrap();
        let expected = if value.is_nan() { f64::NAN } else { value };
        prop_assert_eq!(again.to_bits(), expected.to_bits());
        prop_assert_eq!(Graph::decode(&bytes).unwrap().encode(), bytes);
    }

    #[test]
    fn every_integer_comes_back(value in any::<i128>(), digits in "-?[1-9][0-9]{0,80}") {
        prop_assert_eq!(from_slice::<i128>(&to_vec(&value).unwrap()).unwrap(), value);
        let big: BigInt = digits.parse().unwrap();
        let bytes = to_vec(&big).unwrap();
        prop_assert_eq!(&from_slice::<BigInt>(&bytes).unwrap(), &big);
        let graph = Graph::decode(&bytes).unwrap();
        prop_assert_eq!(graph.root().as_int().unwrap().to_big_int(), big);
        prop_assert_eq!(graph.encode(), bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(buffer in vec(any::<u8>(), 0..300)) {
        read(&buffer)?;
    }

    #[test]
    fn likely_bytes_never_panic(buffer in likely()) {
        read(&buffer)?;
    }

    #[test]
    fn damaged_values_never_panic(steps in vec(step(), 0..30), at in any::<usize>(), byte in any::<u8>()) {
        let mut buffer = build(&steps).encode();
        let at = at % buffer.len();
        buffer[at] = byte;
        read(&buffer)?;
    }
}
