//! What each error says.

#![cfg(feature = "serde")]

use std::{collections::HashMap, error::Error};

use chopsticks_pencode::{
    DecodeConfig, DecodeError, EncodeConfig, EncodeError, Graph, GraphBuilder, ParseBigIntError, from_slice,
    from_slice_with, to_vec_with,
};
use serde::ser::{Error as _, Serialize, Serializer};

/// The message of an error, which has those of its sources.
fn chain(error: &dyn Error) -> String {
    let text = error.to_string();
    assert_eq!(text, chopsticks_text::chain(error));
    text
}

fn of<T>(result: Result<T, DecodeError>) -> String {
    chain(&result.err().expect("the input is wrong"))
}

#[test]
fn every_kind_of_decode_error_says_what_is_wrong_and_where() {
    let graph = |bytes: &[u8]| of(Graph::decode(bytes));
    let cycle = Graph::decode(b"l\0\0\0\x01R\0\0\0\x03").expect("a cycle is fine in a graph");
    let config = DecodeConfig::default().max_depth(1).max_graph_depth(1).max_len(11).expansion_budget(3);
    let table = [
        (graph(b"l\0\0\0\x02n"), "invalid value at byte 0: count of 2 with 1 bytes left"),
        (
            of(from_slice::<Vec<()>>(b"l\0\0\0\x01R\0\0\0\x03")),
            "invalid value at byte 5: object 3 contains itself",
        ),
        (
            of(cycle.deserialize::<serde_json::Value>()),
            "object 3 does not fit the type: object 3 contains itself",
        ),
        (
            of(from_slice_with::<serde_json::Value>(
                b"l\0\0\0\x02l\0\0\0\0R\0\0\0\x04",
                &config.clone().max_depth(9).max_len(99),
            )),
            "invalid value at byte 5: references expand to more than 3 bytes",
        ),
        (
            of(from_slice::<u8>(&[b"i\0\0\0\x28".as_slice(), &[b'9'; 40]].concat())),
            "invalid value at byte 0: integer of 40 digits is out of range; use BigInt",
        ),
        (graph(b"f\0\0\0\x041e5x"), "invalid value at byte 0: invalid float \"1e5x\""),
        (graph(b"i\0\0\0\x02\xff'"), "invalid value at byte 0: invalid integer \"\\\\xff\\\\'\""),
        (graph(b"s\0\0\0\x01\xff"), "invalid value at byte 0: text is not valid UTF-8"),
        (graph(b"b\0\0\0\x02a"), "invalid value at byte 0: length of 2 with 1 bytes left"),
        (
            of(from_slice::<bool>(b"n")),
            "invalid value at byte 0: invalid type: unit value, expected a boolean",
        ),
        (graph(b"S\0\0\0\x02\xc3\xa9"), "invalid value at byte 0: native string is not ASCII"),
        (
            of(Graph::decode_with(b"l\0\0\0\x01t\0\0\0\0", &config)),
            "invalid value at byte 5: nested more than 1 levels deep",
        ),
        (
            of(Graph::decode_with(&[b'n'; 12], &config)),
            "invalid value at byte 11: 12 bytes where at most 11 are allowed",
        ),
        (graph(b"nn"), "invalid value at byte 1: 1 bytes after the value"),
        (graph(b"l\0"), "invalid value at byte 2: unexpected end of input"),
        (graph(b"R\0\0\0\x03"), "invalid value at byte 0: reference to object 3, which does not exist"),
        (graph(b"\x7f"), "invalid value at byte 0: unknown tag 0x7f"),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn every_kind_of_encode_error_says_what_is_wrong_and_where() {
    let config = EncodeConfig::default().max_depth(1).max_len(20);
    let of = |result: Result<Vec<u8>, EncodeError>| chain(&result.expect_err("the value is wrong"));
    let mut builder = GraphBuilder::new();
    let text = builder.native_text("\u{e9}");
    let table = [
        (of(to_vec_with(&[[1]], &config)), "cannot write the value at [0]: nested more than 1 levels deep"),
        (of(to_vec_with("twenty-one characters", &config)), "cannot write the value: more than 20 bytes"),
        (
            of(to_vec_with(&HashMap::from([("k", Refuses)]), &config)),
            "cannot write the value at ['k']: it is a secret",
        ),
        (
            chain(&builder.finish(text).expect_err("the text is wrong")),
            "cannot write the value: native string is not ASCII",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
    let error: ParseBigIntError = "x".parse::<chopsticks_pencode::BigInt>().expect_err("no integer");
    assert_eq!(chain(&error), "not an integer: expected an optional minus sign and decimal digits");
}

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("it is a secret"))
    }
}

#[test]
fn errors_can_be_shared_and_compared() {
    fn check<T: Clone + Eq + Error + Send + Sync + 'static>(_: &T) {}
    let error = Graph::decode(b"").expect_err("it is empty");
    check(&error);
    check(error.kind());
    assert_eq!(error.clone(), error);
    assert!(error.source().is_some_and(|source| source.downcast_ref() == Some(error.kind())));
    let error = to_vec_with(&[0], &EncodeConfig::default().max_depth(0)).expect_err("it is too deep");
    check(&error);
    check(error.kind());
    assert!(error.source().is_some_and(|source| source.downcast_ref() == Some(error.kind())));
}
