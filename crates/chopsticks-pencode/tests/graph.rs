//! The dynamic form.

use std::thread;

use chopsticks_pencode::{
    BigInt, Container, DecodeConfig, DecodeErrorKind, EncodeErrorKind, Graph, GraphBuilder, Kind, NodeId,
    TextKind,
};

#[test]
fn a_graph_is_walked_by_kind_key_and_index() {
    let mut b = GraphBuilder::new();
    let [name, tags, size] = ["name", "tags", "size"].map(|key| b.text(key));
    let value = b.native_text("web");
    let tag = b.bytes(b"\xff");
    let list = b.list([tag, NodeId::TRUE]);
    let big = b.int(u64::MAX);
    let root = b.dict([(name, value), (tags, list), (size, big)]);
    let graph = b.finish(root).unwrap();
    let root = graph.root();
    assert_eq!(root.get("name").unwrap().as_str(), Some("web"));
    assert_eq!(root.get("name").unwrap().text_kind(), Some(TextKind::Native));
    assert_eq!(root.get("tags").unwrap().item(0).unwrap().as_bytes(), Some(&b"\xff"[..]));
    assert_eq!(root.get("tags").unwrap().item(1).unwrap().as_bool(), Some(true));
    assert!(root.get("tags").unwrap().item(2).is_none() && root.item(0).is_none() && root.get("x").is_none());
    assert_eq!(root.get("size").unwrap().as_u64(), Some(u64::MAX));
    assert_eq!(root.get("size").unwrap().as_i64(), None);
    assert_eq!(root.get("size").unwrap().as_int().unwrap().to_i128(), Some(u64::MAX.into()));
    assert_eq!(root.get("size").unwrap().as_f64(), None);
    assert_eq!(root.pairs().unwrap().len(), 3);
    assert_eq!(root.pairs().unwrap().next_back().unwrap().0.as_str(), Some("size"));
    assert_eq!(root.container(), Some(Container::Dict));
    assert!(matches!(root.kind(), Kind::Dict(_)) && root.items().is_none());
    assert_eq!(graph.value(root.id()).id(), root.id());
}

#[test]
fn the_last_of_equal_keys_counts() {
    let graph = Graph::decode(b"d\0\0\0\x02s\0\0\0\x01kTs\0\0\0\x01kF").unwrap();
    assert_eq!(graph.root().get("k").unwrap().as_bool(), Some(false));
}

#[test]
fn identity_is_kept_and_equality_is_no_identity() {
    let mut b = GraphBuilder::new();
    let one = b.text("same");
    let other = b.text("same");
    let list = b.list([one, one, other]);
    let graph = b.finish(list).unwrap();
    let bytes = graph.encode();
    let again = Graph::decode(&bytes).unwrap();
    for graph in [&graph, &again, &again.clone().into_owned()] {
        let items: Vec<_> = graph.root().items().unwrap().collect();
        assert!(items[0].is_same(items[1]));
        assert!(!items[0].is_same(items[2]));
        assert_eq!(items[0].as_str(), items[2].as_str());
    }
    assert!(!graph.root().is_same(again.root()), "no two graphs share objects");
    assert_eq!(graph, again);
    let mut b = GraphBuilder::new();
    let one = b.text("same");
    let list = b.list([one, one, one]);
    assert_ne!(b.finish(list).unwrap(), graph);
}

#[test]
fn cycles_through_every_container_come_back() {
    for kind in [Container::List, Container::Tuple, Container::Set, Container::FrozenSet, Container::Dict] {
        let mut b = GraphBuilder::new();
        let outer = b.reserve(kind);
        let inner = b.list([outer]);
        b.fill(outer, [inner, outer]);
        let graph = b.finish(outer).unwrap();
        let bytes = graph.encode();
        let again = Graph::decode(&bytes).unwrap().into_owned();
        assert_eq!(again.encode(), bytes);
        let inner = match again.root().kind() {
            Kind::Dict(mut pairs) => pairs.next().unwrap().0,
            _ => again.root().item(0).unwrap(),
        };
        assert!(inner.item(0).unwrap().is_same(again.root()));
    }
}

#[test]
fn nesting_of_a_million_is_nothing_special() {
    const DEPTH: usize = 1_000_000;
    let work = || {
        for tag in *b"ltqQ" {
            let mut bytes = [tag, 0, 0, 0, 1].repeat(DEPTH);
            bytes.push(b'n');
            let graph = Graph::decode(&bytes).unwrap();
            assert_eq!(graph.node_count(), DEPTH + 3);
            assert_eq!(graph.encode(), bytes);
            let owned = graph.into_owned();
            assert!(owned.to_string().len() < 5000 && format!("{owned:?}").len() < 5000);
            assert_eq!(owned.clone(), owned);
            drop(owned);
            let error =
                Graph::decode_with(&bytes, &DecodeConfig::default().max_graph_depth(DEPTH - 1)).unwrap_err();
            assert_eq!(error.kind(), &DecodeErrorKind::TooDeep { max_depth: DEPTH - 1 });
            assert!(Graph::decode_with(&bytes, &DecodeConfig::default().max_graph_depth(DEPTH)).is_ok());
        }
    };
    thread::Builder::new().stack_size(128 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_part_is_written_with_numbers_of_its_own() {
    let buffer = b"l\0\0\0\x02s\0\0\0\x01al\0\0\0\x02R\0\0\0\x04R\0\0\0\x04";
    let graph = Graph::decode(buffer).unwrap();
    let mut out = b"x".to_vec();
    graph.root().item(1).unwrap().encode_into(&mut out);
    assert_eq!(out, b"xl\0\0\0\x02s\0\0\0\x01aR\0\0\0\x04");
}

#[test]
fn text_and_bytes_may_be_borrowed_or_owned() {
    let text = "borrowed".to_owned();
    let mut b = GraphBuilder::new();
    let items = [
        b.borrowed_text(&text),
        b.text("owned"),
        b.borrowed_native_text("n"),
        b.borrowed_bytes(b"\0"),
        b.bytes(b"\x01\x02"),
        b.float(0.5),
        b.big_int(&"-99999999999999999999".parse::<BigInt>().unwrap()),
    ];
    let list = b.list(items);
    let graph = b.finish(list).unwrap();
    let owned: Graph<'static> = graph.clone().into_owned();
    assert_eq!(graph, owned);
    drop(graph);
    drop(text);
    assert_eq!(
        owned.to_string(),
        r"['borrowed', 'owned', 'n', b'\x00', b'\x01\x02', 0.5, -99999999999999999999]"
    );
}

#[test]
fn the_builder_reports_at_the_end_what_was_wrong() {
    let mut b = GraphBuilder::new();
    let text = b.native_text("h\u{e9}");
    let list = b.list([text]);
    b.fill(list, [text, text]);
    assert_eq!(b.finish(list).unwrap_err().kind(), &EncodeErrorKind::NotAscii);
}

#[test]
fn filling_again_replaces_the_items() {
    let mut b = GraphBuilder::new();
    let list = b.list([NodeId::NONE, NodeId::TRUE]);
    b.fill(list, [NodeId::FALSE]);
    assert_eq!(b.finish(list).unwrap().to_string(), "[False]");
}

#[test]
#[should_panic(expected = "a key without a value")]
fn a_dict_cannot_be_filled_with_a_key_alone() {
    let mut b = GraphBuilder::new();
    let dict = b.reserve(Container::Dict);
    b.fill(dict, [NodeId::NONE]);
}

#[test]
#[should_panic(expected = "another graph")]
fn an_object_of_a_larger_graph_is_noticed() {
    let mut large = GraphBuilder::new();
    let _ = large.int(1);
    let two = large.int(2);
    let mut small = GraphBuilder::new();
    small.list([two]);
}

#[test]
fn signs_and_payloads_of_nan_are_lost_on_the_wire() {
    let mut b = GraphBuilder::new();
    let nan = b.float(f64::from_bits(0xfff8_0000_0000_1234));
    let graph = b.finish(nan).unwrap();
    assert_eq!(graph.root().as_f64().unwrap().to_bits(), 0xfff8_0000_0000_1234);
    let bytes = graph.encode();
    assert_eq!(bytes, b"f\0\0\0\x03nan");
    assert_eq!(Graph::decode(&bytes).unwrap().root().as_f64().unwrap().to_bits(), f64::NAN.to_bits());
}

#[test]
fn truth_is_as_python_has_it() {
    let mut b = GraphBuilder::new();
    let values = [
        (NodeId::NONE, false),
        (NodeId::FALSE, false),
        (NodeId::TRUE, true),
        (b.int(0), false),
        (b.int(-1), true),
        (b.int(u64::MAX), true),
        (b.float(-0.0), false),
        (b.float(f64::NAN), true),
        (b.text(""), false),
        (b.text("0"), true),
        (b.bytes(b""), false),
        (b.bytes(b"\0"), true),
        (b.list([]), false),
        (b.tuple([NodeId::NONE]), true),
        (b.dict([]), false),
        (b.dict([(NodeId::NONE, NodeId::NONE)]), true),
    ];
    let root = b.list(values.map(|(value, _)| value));
    let graph = b.finish(root).unwrap();
    let truths = graph.root().items().unwrap().map(|value| value.is_truthy());
    assert!(truths.eq(values.map(|(_, truth)| truth)));
}
