//! Exchange with a live Python, both ways.
//!
//! The newest interpreter that is found runs `data/codec.py`, a second implementation of the format.

#![cfg(feature = "serde")]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "helpers of tests may print and panic")]

use std::{
    collections::HashMap,
    io::Write,
    process::{Command, Stdio},
    thread,
};

use chopsticks_pencode::{
    BigInt, Container, FrozenSet, Graph, GraphBuilder, Kind, NodeId, Set, Value, from_slice, to_vec,
};
use chopsticks_support::newest;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Runs the other implementation and returns the lines that it writes.
fn python(command: &str, buffers: &[Vec<u8>]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/codec.py");
    let interpreter = newest();
    println!("with {interpreter}");
    let mut child = Command::new(interpreter.path())
        .args(["-B", script, command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = buffers.iter().map(|buffer| hex(buffer) + "\n").collect();
    let feeder = thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command}: {:?}", output.status);
    feeder.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Describes a value as `structure` in `codec.py` does.
fn structure(value: Value<'_>, seen: &mut HashMap<NodeId, usize>) -> Json {
    if matches!(value.container(), Some(Container::List | Container::Set | Container::Dict)) {
        if let Some(number) = seen.get(&value.id()) {
            return json!(["ref", number]);
        }
        seen.insert(value.id(), seen.len());
    }
    let (name, items) = match value.kind() {
        Kind::None => return json!(["NoneType", null]),
        Kind::Bool(value) => return json!(["bool", value]),
        Kind::Int(int) => return json!(["int", int.to_string()]),
        Kind::Float(_) => return json!(["float", value.to_string()]),
        Kind::Text(text) => return json!(["str", text]),
        Kind::Bytes(bytes) => return json!(["bytes", hex(bytes)]),
        Kind::List(items) => ("list", items),
        Kind::Tuple(items) => ("tuple", items),
        Kind::Set(items) => ("set", items),
        Kind::FrozenSet(items) => ("frozenset", items),
        Kind::Dict(pairs) => {
            let pairs: Vec<_> =
                pairs.map(|(key, value)| json!([structure(key, seen), structure(value, seen)])).collect();
            return json!(["dict", pairs]);
        }
        other => panic!("an unknown kind: {other:?}"),
    };
    let items: Vec<_> = items.map(|item| structure(item, seen)).collect();
    json!([name, items])
}

fn parse(line: &str) -> (Vec<u8>, Json) {
    let (buffer, tree) = line.split_once(' ').unwrap();
    (unhex(buffer), serde_json::from_str(tree).unwrap())
}

#[test]
fn what_python_writes_is_read_and_written_as_the_same_bytes() {
    let lines = python("values", &[]);
    assert!(lines.len() > 3000);
    for line in lines {
        let (buffer, tree) = parse(&line);
        let graph = Graph::decode(&buffer).unwrap();
        assert_eq!(structure(graph.root(), &mut HashMap::new()), tree);
        assert_eq!(graph.encode(), buffer, "{graph}");
    }
}

/// Values that Python reads, and writes as the same bytes.
fn exact() -> Vec<Vec<u8>> {
    let mut buffers = Vec::new();
    let mut b = GraphBuilder::new();
    let mut state = 88_172_645_463_325_252_u64;
    let mut floats = Vec::new();
    for _ in 0..20_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        floats.push(b.float(f64::from_bits(state)));
        floats.push(b.float((state >> 20) as f64 / 1e5));
    }
    for exponent in 0..2046 {
        floats.push(b.float(f64::from_bits(exponent << 52)));
        floats.push(b.float(f64::from_bits((exponent << 52) + 1)));
        floats.push(b.float(f64::from_bits(((exponent + 1) << 52) - 1)));
    }
    let list = b.list(floats);
    buffers.push(b.finish(list).unwrap().encode());

    let mut b = GraphBuilder::new();
    let ints = [i128::MIN, i128::MAX, i64::MIN.into(), i64::MAX.into(), 1 << 64, 10_i128.pow(30)];
    let mut items: Vec<_> = ints.into_iter().map(|int| b.int(int)).collect();
    items.push(b.big_int(&format!("-{}", "9".repeat(6000)).parse::<BigInt>().unwrap()));
    let shared = b.dict([]);
    let text = b.text("n\u{e9}w\0line\n");
    let bytes = b.bytes(&(0..=255).collect::<Vec<u8>>());
    let cycle = b.reserve(Container::List);
    let tuple = b.tuple([cycle, text, shared]);
    b.fill(cycle, [cycle, tuple, shared, NodeId::NONE]);
    let more = b.text("more");
    b.fill(shared, [text, cycle, more, shared]);
    items.extend([shared, text, bytes, cycle, tuple, NodeId::TRUE, NodeId::FALSE]);
    let list = b.list(items);
    buffers.push(b.finish(list).unwrap().encode());
    buffers
}

#[test]
fn what_rust_writes_is_read_and_written_as_the_same_bytes() {
    let buffers = exact();
    let lines = python("echo", &buffers);
    assert_eq!(lines.len(), buffers.len());
    for (buffer, line) in buffers.iter().zip(lines) {
        let (again, tree) = parse(&line);
        let graph = Graph::decode(buffer).unwrap();
        assert_eq!(structure(graph.root(), &mut HashMap::new()), tree);
        assert!(again == *buffer, "Python wrote {} bytes of {}", again.len(), buffer.len());
    }
}

#[test]
fn typed_data_makes_the_round_through_python() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    enum Event {
        Start,
        Exit(i32),
        Moved { from: String, to: Option<String> },
    }
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Record {
        id: u128,
        score: f64,
        tags: (String, char),
        events: Vec<Event>,
        set: Set<Vec<u8>>,
        frozen: FrozenSet<Vec<(u8, String)>>,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
        big: BigInt,
    }
    let records: Vec<Record> = (0..50_u8)
        .map(|i| Record {
            id: u128::MAX >> i,
            score: f64::from(i) * 1e-6,
            tags: (format!("tag{i}"), char::from(i)),
            events: vec![
                Event::Start,
                Event::Exit(-i32::from(i)),
                Event::Moved { from: "\u{20ac}".repeat(i.into()), to: (i % 2 == 0).then(String::new) },
            ],
            set: Set(vec![i]),
            frozen: FrozenSet(vec![(i, "x".to_owned())]),
            data: vec![i; 3],
            big: "7".repeat(i as usize + 1).parse().unwrap(),
        })
        .collect();
    let line = python("echo", &[to_vec(&records).unwrap()]).remove(0);
    let (again, _) = parse(&line);
    assert_eq!(from_slice::<Vec<Record>>(&again).unwrap(), records);
}

#[test]
fn identity_reaches_python() {
    let mut buffers = Vec::new();
    let mut expected = Vec::new();
    type Make = fn(&mut GraphBuilder<'_>) -> NodeId;
    let makers: [Make; 9] = [
        |b| b.int(10_i128.pow(20)),
        |b| b.float(1.5),
        |b| b.text("a text that Python does not intern"),
        |b| b.bytes(b"bytes"),
        |b| b.list([]),
        |b| b.set([]),
        |b| b.dict([]),
        |b| {
            let item = b.int(1);
            b.tuple([item])
        },
        |b| {
            let item = b.int(1);
            b.frozen_set([item])
        },
    ];
    for make in makers {
        let mut b = GraphBuilder::new();
        let one = make(&mut b);
        let same = b.list([one, one]);
        buffers.push(b.clone().finish(same).unwrap().encode());
        expected.push("True");
        let other = make(&mut b);
        let different = b.list([one, other]);
        buffers.push(b.finish(different).unwrap().encode());
        expected.push("False");
    }
    assert_eq!(python("same", &buffers), expected);
}
