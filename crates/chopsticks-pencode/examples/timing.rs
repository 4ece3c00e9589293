//! Times this codec against its neighbours on ten thousand records, all in one run:
//! `cargo run --release -p chopsticks-pencode --example timing`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example for the terminal")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use chopsticks_pencode::Graph;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Record {
    id: u64,
    name: String,
    score: f64,
    tags: (String, String),
}

#[derive(Debug, Deserialize)]
struct Borrowed<'a> {
    id: u64,
    name: &'a str,
    score: f64,
    tags: (&'a str, &'a str),
}

fn main() {
    let records: Vec<Record> = (0..10_000)
        .map(|i| Record {
            id: i,
            name: format!("item-{i:06}"),
            score: i as f64 * 0.37 + 0.125,
            tags: (format!("tag{}", i % 7), format!("grp{}", i % 101)),
        })
        .collect();

    let pencode = chopsticks_pencode::to_vec(&records).unwrap();
    let msgpack = rmp_serde::to_vec_named(&records).unwrap();
    let json = serde_json::to_vec(&records).unwrap();
    let mut cbor = Vec::new();
    ciborium::into_writer(&records, &mut cbor).unwrap();
    println!(
        "bytes: pencode {} rmp {} json {} cbor {}",
        pencode.len(),
        msgpack.len(),
        json.len(),
        cbor.len()
    );
    assert_eq!(chopsticks_pencode::from_slice::<Vec<Record>>(&pencode).unwrap(), records);
    let borrowed: Vec<Borrowed<'_>> = chopsticks_pencode::from_slice(&pencode).unwrap();
    let last = borrowed.last().unwrap();
    assert_eq!((last.id, last.name, last.score, last.tags.1), (9_999, "item-009999", 3_699.755, "grp0"));

    let graph = Graph::decode(&pencode).unwrap();
    let msgpack_value = rmpv::decode::read_value_ref(&mut &msgpack[..]).unwrap();
    let json_value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let cbor_value: ciborium::Value = ciborium::from_reader(&cbor[..]).unwrap();
    assert_eq!(graph.encode(), pencode);

    let mut timings = Timings::default();
    for _ in 0..41 {
        timings.round(&mut [
            ("typed encode pencode", &mut || black_box(chopsticks_pencode::to_vec(&records).unwrap()).len()),
            ("typed encode rmp-serde named", &mut || {
                black_box(rmp_serde::to_vec_named(&records).unwrap()).len()
            }),
            ("typed encode serde_json", &mut || black_box(serde_json::to_vec(&records).unwrap()).len()),
            ("typed decode pencode", &mut || {
                black_box(chopsticks_pencode::from_slice::<Vec<Record>>(&pencode).unwrap()).len()
            }),
            ("typed decode pencode, borrowed", &mut || {
                black_box(chopsticks_pencode::from_slice::<Vec<Borrowed<'_>>>(&pencode).unwrap()).len()
            }),
            ("typed decode rmp-serde", &mut || {
                black_box(rmp_serde::from_slice::<Vec<Record>>(&msgpack).unwrap()).len()
            }),
            ("typed decode serde_json", &mut || {
                black_box(serde_json::from_slice::<Vec<Record>>(&json).unwrap()).len()
            }),
            ("dynamic encode Graph", &mut || black_box(graph.encode()).len()),
            ("dynamic encode rmpv::ValueRef", &mut || {
                let mut out = Vec::new();
                rmpv::encode::write_value_ref(&mut out, &msgpack_value).unwrap();
                black_box(out).len()
            }),
            ("dynamic encode serde_json::Value", &mut || {
                black_box(serde_json::to_vec(&json_value).unwrap()).len()
            }),
            ("dynamic encode ciborium::Value", &mut || {
                let mut out = Vec::new();
                ciborium::into_writer(&cbor_value, &mut out).unwrap();
                black_box(out).len()
            }),
            ("dynamic decode Graph", &mut || black_box(Graph::decode(&pencode).unwrap()).node_count()),
            ("dynamic decode Graph, owned", &mut || {
                black_box(Graph::decode(&pencode).unwrap().into_owned()).node_count()
            }),
            ("dynamic decode rmpv::ValueRef", &mut || {
                black_box(rmpv::decode::read_value_ref(&mut &msgpack[..]).unwrap())
                    .as_array()
                    .map_or(0, Vec::len)
            }),
            ("dynamic decode serde_json::Value", &mut || {
                black_box(serde_json::from_slice::<serde_json::Value>(&json).unwrap())
                    .as_array()
                    .map_or(0, Vec::len)
            }),
            ("dynamic decode ciborium::Value", &mut || {
                black_box(ciborium::from_reader::<ciborium::Value, _>(&cbor[..]).unwrap())
                    .as_array()
                    .map_or(0, Vec::len)
            }),
            ("Graph to typed", &mut || black_box(graph.deserialize::<Vec<Record>>().unwrap()).len()),
            ("typed to Graph", &mut || black_box(Graph::from_serialize(&records).unwrap()).node_count()),
            ("clone of the records", &mut || black_box(records.clone()).len()),
        ]);
    }
    timings.print();
}

/// Times by name, in the order of the first round.
#[derive(Default)]
struct Timings(Vec<(&'static str, Vec<Duration>)>);

impl Timings {
    fn round(&mut self, work: &mut [(&'static str, &mut dyn FnMut() -> usize)]) {
        for (index, (name, run)) in work.iter_mut().enumerate() {
            let start = Instant::now();
            black_box(run());
            let elapsed = start.elapsed();
            if self.0.len() <= index {
                self.0.push((name, Vec::new()));
            }
            self.0[index].1.push(elapsed);
        }
    }

    fn print(mut self) {
        println!("{:<36} {:>9} {:>9}", "milliseconds", "median", "best");
        for (name, times) in &mut self.0 {
            times.sort();
            let median = times[times.len() / 2].as_secs_f64() * 1e3;
            println!("{name:<36} {median:>9.3} {:>9.3}", times[0].as_secs_f64() * 1e3);
        }
    }
}
