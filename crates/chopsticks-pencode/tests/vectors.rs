//! Buffers written by Pythons 2.7 and 3.11, kept in `data/`.
#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use std::{collections::HashSet, fs};

use chopsticks_pencode::{Container, DecodeErrorKind, Graph, Kind, NodeId, TextKind, Value, from_slice};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value as Json;

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    py: String,
    hex: String,
    /// The structure in a form without the format: `["list", […]]`, and `["ref", n]` for the
    /// object numbered n.
    tree: Json,
}

impl Vector {
    fn bytes(&self) -> Vec<u8> {
        unhex(&self.hex)
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn vectors() -> Vec<Vector> {
    let mut all: Vec<Vector> = Vec::new();
    for file in ["py2.json", "py3.json"] {
        let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read(path).unwrap();
        let mut reader = serde_json::Deserializer::from_slice(&text);
        reader.disable_recursion_limit();
        all.extend(Vec::<Vector>::deserialize(&mut reader).unwrap());
    }
    assert!(all.len() > 300);
    all
}

/// Compares a value with a tree. `numbered` collects the objects in the order of their numbers.
fn compare(tree: &Json, value: Value<'_>, numbered: &mut Vec<NodeId>) {
    let kind = tree[0].as_str().unwrap();
    let content = &tree[1];
    match kind {
        "none" => assert!(value.is_none()),
        "bool" => assert_eq!(value.as_bool(), content.as_bool()),
        "ref" => assert_eq!(value.id(), numbered[content.as_u64().unwrap() as usize - 3]),
        _ => numbered.push(value.id()),
    }
    let items = match (kind, value.kind()) {
        ("none" | "bool" | "ref", _) => return,
        ("int", Kind::Int(int)) => return assert_eq!(int.to_string(), content.as_str().unwrap()),
        ("float", Kind::Float(float)) => {
            let text = content.as_str().unwrap();
            let expected: f64 = text.parse().unwrap();
            assert!(float.to_bits() == expected.to_bits() || float.is_nan() && text == "nan");
            return;
        }
        ("str", Kind::Text(text)) => return assert_eq!(text, content.as_str().unwrap()),
        ("bytes", Kind::Bytes(bytes)) => return assert_eq!(bytes, unhex(content.as_str().unwrap())),
        ("list", Kind::List(items)) => items,
        ("tuple", Kind::Tuple(items)) => items,
        ("set", Kind::Set(items)) => items,
        ("frozenset", Kind::FrozenSet(items)) => items,
        ("dict", Kind::Dict(pairs)) => {
            let expected = content.as_array().unwrap();
            assert_eq!(pairs.len(), expected.len());
            for (pair, (key, value)) in expected.iter().zip(pairs) {
                compare(&pair[0], key, numbered);
                compare(&pair[1], value, numbered);
            }
            return;
        }
        (expected, found) => panic!("{found:?} where a {expected} is expected"),
    };
    let expected = content.as_array().unwrap();
    assert_eq!(items.len(), expected.len());
    for (tree, item) in expected.iter().zip(items) {
        compare(tree, item, numbered);
    }
}

#[test]
fn every_vector_is_read_with_its_structure_and_identity() {
    for vector in vectors() {
        let bytes = vector.bytes();
        let graph = Graph::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let mut numbered = Vec::new();
        compare(&vector.tree, graph.root(), &mut numbered);
        let distinct: HashSet<_> = numbered.iter().collect();
        assert_eq!(distinct.len(), numbered.len(), "{}: two objects became one", vector.name);
    }
}

#[test]
fn every_vector_is_written_as_the_same_bytes() {
    for vector in vectors() {
        let bytes = vector.bytes();
        let graph = Graph::decode(&bytes).unwrap();
        assert_eq!(graph.encode(), bytes, "{} of {}", vector.name, vector.py);
        let owned = graph.clone().into_owned();
        assert_eq!(owned, graph);
        assert_eq!(owned.encode(), bytes, "{} of {}, owned", vector.name, vector.py);
        assert!(from_slice::<IgnoredAny>(&bytes).is_ok());
    }
}

#[test]
fn python_2_strings_stay_python_2_strings() {
    let native: Vec<Vector> =
        vectors().into_iter().filter(|v| v.name.starts_with("py2 native str")).collect();
    assert!(!native.is_empty());
    for vector in native {
        let bytes = vector.bytes();
        assert_eq!(bytes[0], b'S');
        let graph = Graph::decode(&bytes).unwrap();
        assert_eq!(graph.root().text_kind(), Some(TextKind::Native));
        assert_eq!(from_slice::<&str>(&bytes).unwrap(), graph.root().as_str().unwrap());
    }
}

#[test]
fn no_vector_is_valid_when_cut_or_lengthened_anywhere() {
    for vector in vectors() {
        let bytes = vector.bytes();
        for end in 0..bytes.len() {
            let cut = &bytes[..end];
            let error = Graph::decode(cut).unwrap_err();
            assert!(error.offset().unwrap() <= end);
            assert!(
                matches!(
                    error.kind(),
                    DecodeErrorKind::UnexpectedEnd
                        | DecodeErrorKind::LengthBeyondEnd { .. }
                        | DecodeErrorKind::CountBeyondEnd { .. }
                ),
                "{error:?}"
            );
            assert_eq!(from_slice::<IgnoredAny>(cut).unwrap_err(), error);
        }
        let longer = [&bytes[..], b"n"].concat();
        let error = Graph::decode(&longer).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (Some(bytes.len()), &DecodeErrorKind::TrailingBytes(1)));
        assert_eq!(from_slice::<IgnoredAny>(&longer).unwrap_err(), error);
    }
}

#[test]
fn records_of_python_fit_a_struct() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Record<'a> {
        id: u32,
        name: &'a str,
        score: f64,
        tags: Vec<&'a str>,
    }
    for vector in vectors().iter().filter(|vector| vector.name == "records") {
        let bytes = vector.bytes();
        let records: Vec<Record<'_>> = from_slice(&bytes).unwrap();
        assert_eq!(records.len(), 20);
        assert_eq!((records[1].id, records[1].name, records[1].score), (1, "n1", 0.5));
        assert_eq!(records[1].tags.len(), 2);
        let graph = Graph::decode(&bytes).unwrap();
        assert_eq!(graph.root().container(), Some(Container::List));
        assert_eq!(graph.deserialize::<Vec<Record<'_>>>().unwrap(), records);
    }
}
