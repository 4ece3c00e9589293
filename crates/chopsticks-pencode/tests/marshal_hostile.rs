//! Marshal from a peer that means harm.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use chopsticks_pencode::{
    BigInt, DecodeConfig,
    marshal::{self, DecodeError, DecodeErrorKind},
};
use proptest::prelude::*;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

/// A dump by Python 3.11 of `{'id': 1, 'name': 'é', 'big': 2**70, 'raw': b'\xff', 'set': {1},
/// 'nested': [(1.5, None), (True, False)], 'same': [k, k], 'frozen': frozenset({2})}`, where `k`
/// is `'key'`.
const DUMP: &[u8] = b"\
\xfb\xda\x02id\xe9\x01\x00\x00\x00\xda\x04name\xf5\x02\x00\x00\x00\xc3\xa9\xda\x03bigl\x05\x00\x00\x00\
\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\xda\x03raw\xf3\x01\x00\x00\x00\xff\xda\x03set<\x01\x00\x00\x00r\
\x02\x00\x00\x00\xda\x06nested[\x02\x00\x00\x00\xa9\x02\xe7\x00\x00\x00\x00\x00\x00\xf8?N\xa9\x02TF\xda\
\x04same[\x02\x00\x00\x00\xda\x03keyr\x0e\x00\x00\x00\xda\x06frozen>\x01\x00\x00\x00\xe9\x02\x00\x00\x00\
0";

fn typed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    marshal::from_slice(bytes)
}

/// Reads bytes in every way there is.
fn read(bytes: &[u8]) {
    let skipped = typed::<IgnoredAny>(bytes);
    let graph = marshal::decode_graph(bytes);
    match (&skipped, &graph) {
        (Ok(_), Err(error)) => assert!(
            matches!(error.kind(), DecodeErrorKind::LargeInteger { .. } | DecodeErrorKind::OpenFrozenSet(_)),
            "{error}: {}",
            error.kind()
        ),
        (Err(error), Ok(_)) => {
            assert!(matches!(error.kind(), DecodeErrorKind::TooDeep { .. }), "{error}: {}", error.kind());
        }
        _ => {}
    }
    let _ = typed::<ciborium::Value>(bytes);
    let _ = typed::<Vec<(u8, String)>>(bytes);
    let _ = typed::<BigInt>(bytes);
    let _ = typed::<Sample>(bytes);
}

#[derive(Debug, Deserialize, PartialEq)]
struct Sample {
    id: u64,
    name: String,
    big: i128,
    nested: Vec<(f64, Option<()>)>,
}

/// Returns what both forms of reading say is wrong.
fn fault(bytes: &[u8]) -> DecodeErrorKind {
    let typed = typed::<ciborium::Value>(bytes).unwrap_err();
    let graph = marshal::decode_graph(bytes).map(drop).unwrap_err();
    assert_eq!(typed.kind(), graph.kind());
    assert_eq!(typed.offset(), graph.offset());
    typed.kind().clone()
}

fn repeated(part: &[u8], times: usize, end: &[u8]) -> Vec<u8> {
    let mut bytes = part.repeat(times);
    bytes.extend_from_slice(end);
    bytes
}

#[test]
fn a_dump_cut_short_is_refused_at_every_byte() {
    read(DUMP);
    marshal::decode_graph(DUMP).unwrap();
    for end in 0..DUMP.len() {
        let cut = &DUMP[..end];
        let error = typed::<IgnoredAny>(cut).unwrap_err();
        assert!(
            matches!(error.kind(), DecodeErrorKind::UnexpectedEnd | DecodeErrorKind::CountBeyondEnd { .. }),
            "{end}: {}",
            error.kind()
        );
        assert!(error.offset() <= end);
        marshal::decode_graph(cut).map(drop).unwrap_err();
        read(cut);
    }
}

#[test]
fn bytes_after_the_value_are_refused() {
    assert_eq!(fault(b"NN"), DecodeErrorKind::TrailingBytes(1));
    assert_eq!(fault(b")\x00\x00\x00"), DecodeErrorKind::TrailingBytes(2));
    assert_eq!(fault(b"{00"), DecodeErrorKind::TrailingBytes(1));
}

#[test]
fn nothing_is_refused() {
    assert_eq!(fault(b""), DecodeErrorKind::UnexpectedEnd);
}

#[test]
fn unknown_type_codes_are_refused_with_their_place() {
    let known = b"NTFilgfsutaAzZ()[{<>r0";
    for code in 0..=0xff_u8 {
        if known.contains(&(code & 0x7f)) {
            continue;
        }
        let error = typed::<IgnoredAny>(&[b')', 2, b'N', code, 0, 0, 0, 0, 0]).unwrap_err();
        assert_eq!((error.offset(), error.path()), (3, "[1]"));
        assert!(
            matches!(error.kind(), DecodeErrorKind::Unsupported(_) | DecodeErrorKind::UnknownType(_)),
            "{code:#x}: {}",
            error.kind()
        );
    }
    for (code, what) in [(b'c', "a code object"), (b'y', "a complex number"), (b'x', "a complex number")] {
        assert_eq!(fault(&[code, 0, 0]), DecodeErrorKind::Unsupported(what));
        assert_eq!(fault(&[code | 0x80, 0, 0]), DecodeErrorKind::Unsupported(what));
    }
    assert_eq!(fault(b"Q"), DecodeErrorKind::UnknownType(b'Q'));
}

#[test]
fn counts_beyond_the_end_are_refused() {
    for code in b"([<>" {
        let bytes = [*code, 0xff, 0xff, 0xff, 0x7f, b'N'];
        assert_eq!(fault(&bytes), DecodeErrorKind::CountBeyondEnd { count: i32::MAX as u32, left: 1 });
    }
    assert_eq!(fault(b")\x02N"), DecodeErrorKind::CountBeyondEnd { count: 2, left: 1 });
    for code in b"sutaA" {
        assert_eq!(fault(&[*code, 0xff, 0xff, 0xff, 0x7f, b'x']), DecodeErrorKind::UnexpectedEnd);
    }
    assert_eq!(fault(b"z\x05abcd"), DecodeErrorKind::UnexpectedEnd);
    assert_eq!(fault(b"l\xff\xff\xff\x7f\x01\x00"), DecodeErrorKind::UnexpectedEnd);
    assert_eq!(fault(b"l\x00\x00\x00\x80\x01\x00"), DecodeErrorKind::UnexpectedEnd);
}

#[test]
fn negative_numbers_are_refused() {
    for code in b"([<>sutaAr" {
        assert_eq!(fault(&[*code, 0xfe, 0xff, 0xff, 0xff, b'N']), DecodeErrorKind::Negative(-2));
    }
}

#[test]
fn malformed_integers_are_refused() {
    assert_eq!(fault(b"l\x01\x00\x00\x00\x00\x80"), DecodeErrorKind::InvalidInteger);
    assert_eq!(fault(b"l\x02\x00\x00\x00\x01\x00\x00\x00"), DecodeErrorKind::InvalidInteger);
    assert_eq!(typed::<i8>(b"l\x00\x00\x00\x00").unwrap(), 0);
    assert_eq!(typed::<i8>(b"l\xff\xff\xff\xff\x05\x00").unwrap(), -5);
}

#[test]
fn large_integers_are_converted_up_to_the_limit() {
    let integer = |digits: usize| {
        let mut bytes = vec![b'l'];
        bytes.extend_from_slice(&(digits as u32).to_le_bytes());
        bytes.extend_from_slice(&[0xff, 0x7f].repeat(digits));
        bytes
    };
    for sign in ["", "-"] {
        let decimal = format!("{sign}{}", "9".repeat(marshal::MAX_INTEGER_DIGITS));
        let most = marshal::to_vec(&decimal.parse::<BigInt>().unwrap()).unwrap();
        assert_eq!(marshal::decode_graph(&most).unwrap().root().as_int().unwrap().to_string(), decimal);
        assert_eq!(marshal::from_slice::<BigInt>(&most).unwrap().as_str(), decimal);
    }
    let kind = marshal::EncodeErrorKind::LargeInteger { max_digits: 4300 };
    let error = marshal::to_vec(&format!("1{}", "0".repeat(4300)).parse::<BigInt>().unwrap()).unwrap_err();
    assert_eq!(*error.kind(), kind);
    let kind = DecodeErrorKind::LargeInteger { max_digits: 4300 };
    // 10^4300 has 953 digits of 15 bits: one that is a little larger, and one that is not even looked at.
    for more in [integer(953), integer(100_000)] {
        assert_eq!(*typed::<BigInt>(&more).unwrap_err().kind(), kind);
        assert_eq!(*marshal::decode_graph(&more).map(drop).unwrap_err().kind(), kind);
    }
    let more = integer(953);
    // Whoever does not look at it does not mind.
    typed::<IgnoredAny>(&more).unwrap();
}

#[test]
fn malformed_floats_are_refused() {
    for text in ["", "x", "1_0", " 1", "1 ", "0x1", "1e"] {
        let mut bytes = vec![b'f', text.len() as u8];
        bytes.extend_from_slice(text.as_bytes());
        assert_eq!(fault(&bytes), DecodeErrorKind::InvalidFloat, "{text:?}");
    }
    assert_eq!(typed::<f64>(b"f\x05-1e+5").unwrap(), -1e5);
}

#[test]
fn malformed_text_is_refused() {
    assert_eq!(fault(b"u\x01\x00\x00\x00\xff"), DecodeErrorKind::InvalidUtf8);
    assert_eq!(fault(b"u\x02\x00\x00\x00a\xc3"), DecodeErrorKind::InvalidUtf8);
    assert_eq!(fault(b"t\x02\x00\x00\x00\xc0\x80"), DecodeErrorKind::InvalidUtf8);
    assert_eq!(fault(b"u\x04\x00\x00\x00a\xed\xa0\x80"), DecodeErrorKind::LoneSurrogate);
    assert_eq!(fault(b"z\x02\xc3\xa9"), DecodeErrorKind::NotAscii);
    assert_eq!(fault(b"A\x02\x00\x00\x00\xc3\xa9"), DecodeErrorKind::NotAscii);
    let error = typed::<IgnoredAny>(b")\x01u\x04\x00\x00\x00a\xed\xa0\x80").unwrap_err();
    assert_eq!((error.offset(), error.path()), (8, "[0]"));
}

#[test]
fn the_end_of_a_dict_is_refused_where_a_value_is_due() {
    for bytes in [b"0".as_slice(), b"\xb0", b")\x010", b"[\x01\0\0\x000", b"{z\x01a0", b"{)\x010N0", b"{{00"]
    {
        assert_eq!(fault(bytes), DecodeErrorKind::UnexpectedDictEnd, "{bytes:?}");
        let error = typed::<IgnoredAny>(bytes).unwrap_err();
        assert_eq!(*error.kind(), DecodeErrorKind::UnexpectedDictEnd);
    }
}

#[test]
fn references_to_what_is_not_there_are_refused() {
    assert_eq!(fault(b"r\0\0\0\0"), DecodeErrorKind::UnknownReference { index: 0, known: 0 });
    // Neither unnumbered objects, nor singletons, nor references count.
    assert_eq!(fault(b")\x02i\0\0\0\0r\0\0\0\0"), DecodeErrorKind::UnknownReference { index: 0, known: 0 });
    assert_eq!(fault(b")\x02\xcer\0\0\0\0"), DecodeErrorKind::UnknownReference { index: 0, known: 0 });
    assert_eq!(
        fault(b")\x03\xe9\0\0\0\0\xf2\0\0\0\0r\x01\0\0\0"),
        DecodeErrorKind::UnknownReference { index: 1, known: 1 }
    );
    let error = typed::<IgnoredAny>(b")\x01r\x09\0\0\0").unwrap_err();
    assert_eq!((error.offset(), error.path()), (2, "[0]"));
}

#[test]
fn a_frozenset_within_itself_is_refused() {
    let bytes = b"\xbe\x01\0\0\0)\x01r\0\0\0\0";
    let error = marshal::decode_graph(bytes).map(drop).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::OpenFrozenSet(0));
    assert_eq!(*typed::<ciborium::Value>(bytes).unwrap_err().kind(), DecodeErrorKind::Cycle);
    // Once it is complete, it may be named.
    let graph = marshal::decode_graph(b")\x02\xbe\x01\0\0\0Nr\0\0\0\0").unwrap();
    assert!(graph.root().item(0).unwrap().is_same(graph.root().item(1).unwrap()));
    let graph = marshal::decode_graph(b")\x02\xbe\0\0\0\0r\0\0\0\0").unwrap();
    assert!(graph.root().item(0).unwrap().is_same(graph.root().item(1).unwrap()));
}

#[test]
fn cycles_are_found_wherever_the_type_looks() {
    let cycles: [&[u8]; 6] = [
        b"\xdb\x01\0\0\0r\0\0\0\0",
        b"\xa9\x01r\0\0\0\0",
        b"\xfbNr\0\0\0\x000",
        b"\xfbr\0\0\0\0N0",
        // A list in a tuple in the list.
        b"\xdb\x02\0\0\0N\xa9\x01r\0\0\0\0",
        // The cycle is closed in the first member, and met through the second.
        b")\x02\xdb\x01\0\0\0r\0\0\0\0r\0\0\0\0",
    ];
    for bytes in cycles {
        assert_eq!(*typed::<ciborium::Value>(bytes).unwrap_err().kind(), DecodeErrorKind::Cycle, "{bytes:?}");
        marshal::decode_graph(bytes).unwrap();
        typed::<IgnoredAny>(bytes).unwrap();
    }
    // A cycle that was skipped is met through a reference.
    #[derive(Debug, Deserialize)]
    struct Seen {
        #[expect(dead_code, reason = "only read")]
        seen: ciborium::Value,
    }
    let bytes = b"{z\x06hidden\xdb\x01\0\0\0r\0\0\0\0z\x04seenr\0\0\0\x000";
    assert_eq!(*typed::<Seen>(bytes).unwrap_err().kind(), DecodeErrorKind::Cycle);
}

/// A list of two references to a list of two references, and so on.
fn bomb(levels: u32) -> Vec<u8> {
    let mut bytes = vec![b')', levels as u8 + 1, 0xdb, 0, 0, 0, 0];
    for level in 0..levels {
        bytes.extend_from_slice(&[0xdb, 2, 0, 0, 0]);
        for _ in 0..2 {
            bytes.push(b'r');
            bytes.extend_from_slice(&level.to_le_bytes());
        }
    }
    bytes
}

#[test]
fn references_that_multiply_are_stopped_by_the_budget() {
    let bytes = bomb(60);
    // As a tree it has more nodes than anybody could wait for.
    let error = typed::<ciborium::Value>(&bytes).unwrap_err();
    let budget = DecodeConfig::DEFAULT_EXPANSION_BUDGET;
    assert_eq!(*error.kind(), DecodeErrorKind::ExpansionBudget { budget });
    assert_eq!(marshal::decode_graph(&bytes).unwrap().root().items().unwrap().len(), 61);
    typed::<IgnoredAny>(&bytes).unwrap();
    typed::<ciborium::Value>(&bomb(10)).unwrap();
    let config = DecodeConfig::default().expansion_budget(1000);
    let error = marshal::from_slice_with::<ciborium::Value>(&bomb(10), &config).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::ExpansionBudget { budget: 1000 });
}

#[test]
fn long_text_named_again_counts_and_short_text_does_not() {
    let shared = |len: usize| {
        let mut bytes = b"[\x65\0\0\0\xf5".to_vec();
        bytes.extend_from_slice(&(len as u32).to_le_bytes());
        bytes.extend(std::iter::repeat_n(b'x', len));
        bytes.extend(b"r\0\0\0\0".repeat(100));
        bytes
    };
    for len in [64, 65, 300] {
        assert_eq!(marshal::from_slice::<Vec<String>>(&shared(len)).unwrap(), vec!["x".repeat(len); 101]);
    }
    let config = DecodeConfig::default().expansion_budget(1000);
    assert_eq!(marshal::from_slice_with::<Vec<&str>>(&shared(64), &config).unwrap().len(), 101);
    let error = marshal::from_slice_with::<Vec<&str>>(&shared(65), &config).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::ExpansionBudget { budget: 1000 });
}

#[test]
fn nesting_is_limited_for_types_and_not_for_graphs() {
    let deep = |levels| repeated(b"[\x01\0\0\0", levels, b"N");
    let max_depth = DecodeConfig::DEFAULT_MAX_DEPTH;
    typed::<IgnoredAny>(&deep(max_depth)).unwrap();
    let error = typed::<IgnoredAny>(&deep(max_depth + 1)).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::TooDeep { max_depth });
    assert_eq!(error.offset(), 5 * max_depth);
    let error = typed::<serde_json::Value>(&deep(100_000)).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::TooDeep { max_depth });
    assert!(error.path().starts_with("[0][0]") && error.path().ends_with("[0]…"));
    for part in [b"[\x01\0\0\0".as_slice(), b"\xa9\x01", b"{N", b"{\xa9\x01", b"<\x01\0\0\0"] {
        // Unfinished dicts make it an error, which must not recurse either.
        let _ = marshal::decode_graph(&repeated(part, 300_000, b"N"));
    }
    drop(marshal::decode_graph(&deep(300_000)).unwrap());
    let config = DecodeConfig::default().max_graph_depth(10);
    let error = marshal::decode_graph_with(&deep(11), &config).map(drop).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::TooDeep { max_depth: 10 });
}

#[test]
fn depth_counts_through_references() {
    // Each list holds the one before it, so that the last is 300 deep without nested bytes.
    let mut bytes = b"(\x2d\x01\0\0\xdb\0\0\0\0".to_vec();
    for level in 0..300_u32 {
        bytes.extend_from_slice(b"\xdb\x01\0\0\0r");
        bytes.extend_from_slice(&level.to_le_bytes());
    }
    let error = typed::<serde_json::Value>(&bytes).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::TooDeep { max_depth: DecodeConfig::DEFAULT_MAX_DEPTH });
}

#[test]
fn buffers_over_the_limit_are_not_looked_at() {
    let config = DecodeConfig::default().max_len(2);
    let kind = DecodeErrorKind::TooLong { len: 3, max_len: 2 };
    assert_eq!(*marshal::from_slice_with::<IgnoredAny>(b"QQQ", &config).unwrap_err().kind(), kind);
    assert_eq!(*marshal::decode_graph_with(b"QQQ", &config).map(drop).unwrap_err().kind(), kind);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn arbitrary_type_codes_never_panic(
        bytes in proptest::collection::vec(
            prop_oneof![
                3 => proptest::sample::select(b"NTFilgfsutaAzZ()[{<>r0".to_vec()),
                2 => proptest::sample::select(b"\xe9\xec\xe7\xf3\xf5\xf4\xe1\xfa\xda\xa8\xa9\xdb\xfb\xbc\xbe".to_vec()),
                4 => 0..4_u8,
            ],
            0..200,
        ),
    ) {
        read(&bytes);
    }

    #[test]
    fn mutated_dumps_never_panic(
        changes in proptest::collection::vec((0..DUMP.len(), any::<u8>()), 1..6),
        cut in 0..DUMP.len(),
    ) {
        let mut bytes = DUMP.to_vec();
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        read(&bytes);
        read(&bytes[cut..]);
    }
}
