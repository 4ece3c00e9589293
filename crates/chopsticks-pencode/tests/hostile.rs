//! Buffers that were made to do harm, one by one.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use chopsticks_pencode::{DecodeConfig, DecodeErrorKind, Graph, GraphBuilder, from_slice, from_slice_with};
use serde::de::IgnoredAny;
use serde_json::Value as Json;

/// Asserts that all ways of reading refuse the buffer for the same reason at the same place.
fn refused(buffer: &[u8], offset: usize, kind: DecodeErrorKind) {
    let error = Graph::decode(buffer).unwrap_err();
    assert_eq!((error.offset(), error.kind()), (Some(offset), &kind));
    assert_eq!(from_slice::<Json>(buffer).unwrap_err(), error);
    assert_eq!(from_slice::<IgnoredAny>(buffer).unwrap_err(), error);
}

/// `[…[[x, x], [x, x]]…]`, `levels` deep, each level twice the one below it.
fn bomb(levels: usize) -> Graph<'static> {
    let mut builder = GraphBuilder::new();
    let mut value = builder.text("lol");
    for _ in 0..levels {
        value = builder.list([value, value]);
    }
    builder.finish(value).unwrap()
}

#[test]
fn counts_beyond_what_is_left_are_refused() {
    for tag in *b"ltqQd" {
        let per_item = if tag == b'd' { 2 } else { 1 };
        let buffer = [tag, 0xff, 0xff, 0xff, 0xff, b'n'];
        refused(&buffer, 0, DecodeErrorKind::CountBeyondEnd { count: 0xffff_ffff * per_item, left: 1 });
    }
}

#[test]
fn nested_counts_do_not_add_up() {
    // The inner list claims all that is left, of which the outer one needs four.
    let buffer = [&b"l\0\0\0\x05l\0\0\0\x0f"[..], &[b'n'; 15]].concat();
    refused(&buffer, 5, DecodeErrorKind::CountBeyondEnd { count: 15, left: 11 });
}

#[test]
fn lengths_beyond_what_is_left_are_refused() {
    for tag in *b"sSbif" {
        let buffer = [tag, 0xff, 0xff, 0xff, 0xff, b'1'];
        refused(&buffer, 0, DecodeErrorKind::LengthBeyondEnd { len: 0xffff_ffff, left: 1 });
    }
}

#[test]
fn unknown_tags_are_refused() {
    let known = b"nTFifsSbltqQdR";
    for tag in 0..=255_u8 {
        if !known.contains(&tag) {
            refused(&[b'l', 0, 0, 0, 1, tag, 0, 0, 0, 0], 5, DecodeErrorKind::UnknownTag(tag));
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    refused(b"nn", 1, DecodeErrorKind::TrailingBytes(1));
    refused(b"l\0\0\0\0\0\0", 5, DecodeErrorKind::TrailingBytes(2));
}

#[test]
fn bad_text_is_refused() {
    refused(b"s\0\0\0\x03a\xffb", 0, DecodeErrorKind::InvalidUtf8);
    refused(b"s\0\0\0\x03\xed\xa0\x80", 0, DecodeErrorKind::InvalidUtf8);
    refused(b"s\0\0\0\x01\xc3", 0, DecodeErrorKind::InvalidUtf8);
    refused(b"S\0\0\0\x02\xc3\xa9", 0, DecodeErrorKind::NotAscii);
    refused(b"S\0\0\0\x01\x80", 0, DecodeErrorKind::InvalidUtf8);
    assert!(from_slice::<String>(b"l\0\0\0\x01s\0\0\0\x01\xff").is_err());
    assert_eq!(from_slice::<&str>(b"s\0\0\0\x01\xff").unwrap_err().kind(), &DecodeErrorKind::InvalidUtf8);
}

#[test]
fn bad_numbers_are_refused() {
    for text in ["", "-", "+1", "1_0", " 1", "1.0", "0x1", "\u{661}"] {
        let buffer = [b"i\0\0\0", &[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        refused(&buffer, 0, DecodeErrorKind::InvalidInteger(text.as_bytes().escape_ascii().to_string()));
        assert!(from_slice::<i64>(&buffer).is_err());
    }
    for text in ["", "-", "1.", ".5", "1e", "infinity", "-nan", "1,5", "0x1p3"] {
        let buffer = [b"f\0\0\0", &[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        refused(&buffer, 0, DecodeErrorKind::InvalidFloat(text.to_owned()));
        assert!(from_slice::<f64>(&buffer).is_err());
    }
    let long = [b"i\0\x0f\x42\x40".to_vec(), vec![b'x'; 1_000_000]].concat();
    refused(&long, 0, DecodeErrorKind::InvalidInteger("x".repeat(40)));
}

#[test]
fn an_integer_of_a_million_digits_takes_no_time() {
    // A reader that is quadratic takes hours for it, and the runner ends it.
    let buffer = [b"i\0\x0f\x42\x40".to_vec(), vec![b'7'; 1_000_000]].concat();
    let graph = Graph::decode(&buffer).unwrap();
    assert_eq!(graph.encode(), buffer);
    assert!(graph.root().as_int().unwrap().to_i128().is_none());
    assert!(from_slice::<f64>(&buffer).is_err());
    assert!(from_slice::<Json>(&buffer).is_err());
}

#[test]
fn references_to_what_does_not_exist_are_refused() {
    for number in [0, 1, 2, 3, 4, u32::MAX] {
        let buffer = [&b"R"[..], &number.to_be_bytes()].concat();
        refused(&buffer, 0, DecodeErrorKind::UnknownReference(number));
    }
    for number in [0, 1, 2, 5, 6] {
        let buffer = [&b"l\0\0\0\x02s\0\0\0\x01aR"[..], &u32::to_be_bytes(number)].concat();
        refused(&buffer, 11, DecodeErrorKind::UnknownReference(number));
    }
    // None, True, False and references take no number.
    refused(b"l\0\0\0\x03nTR\0\0\0\x04", 7, DecodeErrorKind::UnknownReference(4));
    refused(b"l\0\0\0\x03s\0\0\0\0R\0\0\0\x04R\0\0\0\x05", 15, DecodeErrorKind::UnknownReference(5));
}

#[test]
fn a_cycle_is_fine_in_a_graph_and_an_error_in_a_tree() {
    for (buffer, offset, number) in [
        (&b"l\0\0\0\x01R\0\0\0\x03"[..], 5, 3),
        (b"d\0\0\0\x01s\0\0\0\x02meR\0\0\0\x03", 12, 3),
        (b"t\0\0\0\x02l\0\0\0\x01R\0\0\0\x03T", 10, 3),
        // The second list is closed when it is read again, and holds itself.
        (b"d\0\0\0\x02s\0\0\0\x01al\0\0\0\x01R\0\0\0\x05s\0\0\0\x01bR\0\0\0\x05", 16, 5),
    ] {
        assert!(Graph::decode(buffer).unwrap().root().to_string().contains("..."));
        let error = from_slice::<Json>(buffer).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (Some(offset), &DecodeErrorKind::Cycle { number }));
        let error = Graph::decode(buffer).unwrap().deserialize::<Json>().unwrap_err();
        assert_eq!((error.object(), error.kind()), (Some(number), &DecodeErrorKind::Cycle { number }));
    }
    // One that is first skipped and then asked for.
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only reading it matters")]
    struct Later {
        b: Json,
    }
    let buffer = b"d\0\0\0\x02s\0\0\0\x01al\0\0\0\x01R\0\0\0\x05s\0\0\0\x01bR\0\0\0\x05";
    assert_eq!(from_slice::<Later>(buffer).unwrap_err().kind(), &DecodeErrorKind::Cycle { number: 5 });
}

#[test]
fn bombs_are_small_graphs_and_no_trees() {
    // As a tree it has a million million nodes.
    let graph = bomb(40);
    let bytes = graph.encode();
    assert!(bytes.len() < 500);
    let read = Graph::decode(&bytes).unwrap();
    assert_eq!((read.node_count(), read.encode()), (44, bytes.clone()));
    assert!(read.to_string().len() < 5000);
    let kind = DecodeErrorKind::ExpansionBudget { budget: DecodeConfig::DEFAULT_EXPANSION_BUDGET };
    assert_eq!(from_slice::<Json>(&bytes).unwrap_err().kind(), &kind);
    assert_eq!(read.deserialize::<Json>().unwrap_err().kind(), &kind);
    from_slice::<IgnoredAny>(&bytes).unwrap();
    read.deserialize::<IgnoredAny>().unwrap();
    // A small one is no bomb.
    assert!(from_slice::<Json>(&bomb(10).encode()).is_ok());
}

#[test]
fn nothing_that_is_read_again_escapes_the_budget() {
    let none = DecodeConfig::default().expansion_budget(1000);
    let kind = DecodeErrorKind::ExpansionBudget { budget: 1000 };
    // Containers of values that take no number, of small scalars, and of references to those.
    let small = b"s\0\0\0\x01a".to_vec();
    let reference = b"R\0\0\0\x05".to_vec();
    for (first, item) in
        [(b"n".to_vec(), b"n".to_vec()), (small.clone(), small), (b"s\0\0\0\x01a".to_vec(), reference)]
    {
        let mut buffer = b"l\0\0\0\x65l\0\0\0\x32".to_vec();
        buffer.extend_from_slice(&first);
        buffer.extend_from_slice(&item.repeat(49));
        buffer.extend_from_slice(&b"R\0\0\0\x04".repeat(100));
        assert_eq!(from_slice_with::<Json>(&buffer, &none).unwrap_err().kind(), &kind);
        assert!(from_slice::<Json>(&buffer).is_ok());
        let graph = Graph::decode(&buffer).unwrap();
        let strict = DecodeConfig::default().expansion_budget(0);
        assert!(graph.deserialize_with::<Json>(&strict).is_err());
    }
    // A long text.
    let mut buffer = b"l\0\0\0\x65s\0\0\x01\0".to_vec();
    buffer.extend_from_slice(&[b'x'; 256]);
    buffer.extend_from_slice(&b"R\0\0\0\x04".repeat(100));
    assert_eq!(from_slice_with::<Vec<String>>(&buffer, &none).unwrap_err().kind(), &kind);
}

#[test]
fn deep_nesting_is_refused_in_trees_and_harmless_in_graphs() {
    let mut buffer = b"l\0\0\0\x01".repeat(1_000_000);
    let max_depth = DecodeConfig::DEFAULT_MAX_DEPTH;
    // Cut off, it is an error everywhere, found without recursion.
    assert_eq!(
        Graph::decode(&buffer).unwrap_err().kind(),
        &DecodeErrorKind::CountBeyondEnd { count: 1, left: 0 }
    );
    assert_eq!(from_slice::<Json>(&buffer).unwrap_err().kind(), &DecodeErrorKind::TooDeep { max_depth });
    buffer.push(b'n');
    assert!(Graph::decode(&buffer).is_ok());
    let dicts = [b"d\0\0\0\x01n".repeat(1_000_000), b"n".to_vec()].concat();
    assert!(Graph::decode(&dicts).is_ok());
    assert_eq!(from_slice::<Json>(&dicts).unwrap_err().offset(), Some(5), "a key that JSON does not have");
}

#[test]
fn depth_through_references_counts_too() {
    // Each list holds the one before it, all of them siblings in the buffer.
    let mut builder = GraphBuilder::new();
    let mut lists = vec![builder.list([])];
    for _ in 0..300 {
        let last = *lists.last().unwrap();
        lists.push(builder.list([last]));
    }
    let all = builder.list(lists);
    let bytes = builder.finish(all).unwrap().encode();
    let max_depth = DecodeConfig::DEFAULT_MAX_DEPTH;
    assert_eq!(from_slice::<Json>(&bytes).unwrap_err().kind(), &DecodeErrorKind::TooDeep { max_depth });
}

#[test]
fn too_long_a_buffer_is_not_looked_at() {
    let config = DecodeConfig::default().max_len(4);
    for error in [
        Graph::decode_with(b"?????", &config).unwrap_err(),
        from_slice_with::<IgnoredAny>(b"?????", &config).unwrap_err(),
    ] {
        assert_eq!(error.kind(), &DecodeErrorKind::TooLong { len: 5, max_len: 4 });
    }
}
