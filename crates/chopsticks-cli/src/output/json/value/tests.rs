//! Tests of each kind of value, and of what a hostile agent could send.

use chopsticks::pencode::GraphBuilder;
use serde_json::json;

use super::*;

/// Enough for tests, and used up at once.
const SMALL: usize = 1 << 20;

fn written(graph: &Graph<'_>) -> String {
    let mut out = Vec::new();
    write(&mut out, graph, SMALL).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn scalars_have_their_forms() {
    let mut b = GraphBuilder::new();
    let values = [
        (b.none(), "null"),
        (b.bool(true), "true"),
        (b.bool(false), "false"),
        (b.int(0), "0"),
        (b.int(i64::MIN), "-9223372036854775808"),
        (b.int(u64::MAX), "18446744073709551615"),
        (b.int(i128::from(u64::MAX) + 1), r#"{"$int":"18446744073709551616"}"#),
        (b.int(i128::from(i64::MIN) - 1), r#"{"$int":"-9223372036854775809"}"#),
        (b.big_int(&"9".repeat(60).parse().unwrap()), &format!(r#"{{"$int":"{}"}}"#, "9".repeat(60))),
        (b.float(1.0), "1.0"),
        (b.float(-0.0), "-0.0"),
        (b.float(0.1), "0.1"),
        (b.float(5e-324), "5e-324"),
        (b.float(f64::NAN), r#"{"$float":"nan"}"#),
        (b.float(f64::INFINITY), r#"{"$float":"inf"}"#),
        (b.float(f64::NEG_INFINITY), r#"{"$float":"-inf"}"#),
        (b.text(""), r#""""#),
        (b.text("é \"q\" \\ \n \u{1}"), r#""é \"q\" \\ \n \u0001""#),
        (b.native_text("native"), r#""native""#),
        (b.bytes(b""), r#"{"$bytes":""}"#),
        (b.bytes(b"f"), r#"{"$bytes":"Zg=="}"#),
        (b.bytes(b"fo"), r#"{"$bytes":"Zm8="}"#),
        (b.bytes(b"foo"), r#"{"$bytes":"Zm9v"}"#),
        (b.bytes(b"\xff\xfe\xfd\xfc"), r#"{"$bytes":"//79/A=="}"#),
    ];
    for (root, expected) in values {
        assert_eq!(written(&b.clone().finish(root).unwrap()), expected);
    }
}

#[test]
fn containers_have_their_forms() {
    let mut b = GraphBuilder::new();
    let (one, two, bytes) = (b.int(1), b.int(2), b.bytes(b"k"));
    let (a, dollar, empty) = (b.text("a"), b.text("$a"), b.text(""));
    let pair = b.tuple([one, two]);
    let values = [
        (b.list([]), "[]"),
        (b.list([one, pair]), "[1,[1,2]]"),
        (b.tuple([]), "[]"),
        (b.set([]), r#"{"$set":[]}"#),
        (b.set([one, pair]), r#"{"$set":[1,[1,2]]}"#),
        (b.frozen_set([one, two]), r#"{"$frozenset":[1,2]}"#),
        (b.dict([]), "{}"),
        (b.dict([(a, one), (empty, pair)]), r#"{"a":1,"":[1,2]}"#),
        (b.dict([(one, a), (two, pair)]), r#"{"$dict":[[1,"a"],[2,[1,2]]]}"#),
        (b.dict([(a, one), (dollar, two)]), r#"{"$dict":[["a",1],["$a",2]]}"#),
        (b.dict([(bytes, one)]), r#"{"$dict":[[{"$bytes":"aw=="},1]]}"#),
        (b.dict([(pair, one), (b.none(), pair)]), r#"{"$dict":[[[1,2],1],[null,[1,2]]]}"#),
    ];
    for (root, expected) in values {
        assert_eq!(written(&b.clone().finish(root).unwrap()), expected);
    }
}

#[test]
fn dicts_in_dicts_keep_their_own_form() {
    let mut b = GraphBuilder::new();
    let (one, a) = (b.int(1), b.text("a"));
    let plain = b.dict([(a, one)]);
    let pairs = b.dict([(one, plain)]);
    let outer = b.dict([(a, pairs)]);
    let list = b.list([outer, one]);
    assert_eq!(written(&b.finish(list).unwrap()), r#"[{"a":{"$dict":[[1,{"a":1}]]}},1]"#);
}

#[test]
fn cycles_are_pointers_that_resolve() {
    let mut b = GraphBuilder::new();
    let root = b.reserve(Container::Dict);
    let list = b.reserve(Container::List);
    let numbered = b.reserve(Container::Dict);
    let tuple = b.reserve(Container::Tuple);
    let set = b.reserve(Container::Set);
    let (key, one) = (b.text("a/b~c"), b.int(1));
    b.fill(root, [key, list]);
    b.fill(list, [one, numbered]);
    b.fill(numbered, [one, tuple, tuple, one]);
    b.fill(tuple, [set, one]);
    b.fill(set, [root, list, numbered, tuple, set]);
    let line = written(&b.finish(root).unwrap());

    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let refs = value.pointer("/a~1b~0c/1/$dict/0/1/0/$set").unwrap();
    let expected = ["", "/a~1b~0c", "/a~1b~0c/1", "/a~1b~0c/1/$dict/0/1", "/a~1b~0c/1/$dict/0/1/0"]
        .map(|p| json!({"$ref": p}));
    assert_eq!(refs, &json!(expected));
    for pointer in expected {
        let target = value.pointer(pointer["$ref"].as_str().unwrap());
        assert!(target.is_some_and(|target| target.get("$ref").is_none()), "{pointer}");
    }
    // The second time the tuple is a key, and its cycles point to where it is now.
    let again = value.pointer("/a~1b~0c/1/$dict/1/0/0/$set/3").unwrap();
    assert_eq!(again, &json!({"$ref": "/a~1b~0c/1/$dict/1/0"}));
}

#[test]
fn shared_objects_are_written_in_each_place() {
    let mut b = GraphBuilder::new();
    let one = b.int(1);
    let shared = b.list([one]);
    let root = b.list([shared, shared]);
    assert_eq!(written(&b.finish(root).unwrap()), "[[1],[1]]");
}

#[test]
fn depth_of_a_million_does_not_recurse() {
    let mut b = GraphBuilder::new();
    let mut value = b.list([]);
    for _ in 0..1_000_000 {
        value = b.list([value]);
    }
    let line = written(&b.finish(value).unwrap());
    assert_eq!(line.len(), 2 * 1_000_001);
}

#[test]
fn explosion_of_shared_objects_is_refused() {
    let mut b = GraphBuilder::new();
    let mut value = b.text("x");
    for _ in 0..40 {
        value = b.list([value, value]);
    }
    let graph = b.finish(value).unwrap();
    assert!(write(&mut Vec::new(), &graph, SMALL).is_err());
}

#[test]
fn many_pointers_out_of_the_deep_are_refused() {
    let mut b = GraphBuilder::new();
    let mut outer = b.reserve(Container::List);
    let root = outer;
    let mut deepest = root;
    for _ in 0..100_000 {
        let inner = b.reserve(Container::List);
        b.fill(outer, [inner]);
        (deepest, outer) = (outer, inner);
    }
    b.fill(outer, vec![deepest; 100_000]);
    let graph = b.finish(root).unwrap();
    assert!(write(&mut Vec::new(), &graph, SMALL).is_err());
}

#[test]
fn many_names_that_are_shared_cost_nothing() {
    let mut b = GraphBuilder::new();
    let name = b.text("name");
    let rows: Vec<_> = (0..200_000)
        .map(|row| {
            let row = b.int(row);
            b.dict([(name, row)])
        })
        .collect();
    let root = b.list(rows);
    assert!(written(&b.finish(root).unwrap()).ends_with(r#",{"name":199999}]"#));
}
