//! Values to bytes and back: pencode and marshal beside the formats that Rust programs use.
//!
//! Every format carries the same 10,000 records. "Typed" is from and to structs, "dynamic" from
//! and to the format's own tree or graph.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::hint::black_box;

use chopsticks_pencode::{self as pencode, Graph, marshal};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use serde::{Deserialize, Serialize};

/// Records in a value.
const RECORDS: u64 = 10_000;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Record {
    id: u64,
    name: String,
    score: f64,
    tags: (String, String),
}

fn records() -> Vec<Record> {
    (0..RECORDS)
        .map(|id| Record {
            id,
            name: format!("item-{id:06}"),
            score: id as f64 * 0.37 + 0.125,
            tags: (format!("tag{}", id % 7), format!("grp{}", id % 101)),
        })
        .collect()
}

fn encode_typed(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("codec/encode-typed");
    encode(&mut group, "pencode", || pencode::to_vec(&records).unwrap());
    encode(&mut group, "marshal", || marshal::to_vec(&records).unwrap());
    encode(&mut group, "rmp-serde named", || rmp_serde::to_vec_named(&records).unwrap());
    encode(&mut group, "rmp-serde arrays", || rmp_serde::to_vec(&records).unwrap());
    encode(&mut group, "serde_json", || serde_json::to_vec(&records).unwrap());
    encode(&mut group, "ciborium", || cbor(&records));
    group.finish();
}

fn decode_typed(criterion: &mut Criterion) {
    type Records = Vec<Record>;

    let records = records();
    let mut group = criterion.benchmark_group("codec/decode-typed");
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("clone", |bencher| bencher.iter(|| black_box(&records).clone()));
    let bytes = pencode::to_vec(&records).unwrap();
    decode(&mut group, "pencode", &bytes, |bytes| pencode::from_slice::<Records>(bytes).unwrap());
    let bytes = marshal::to_vec(&records).unwrap();
    decode(&mut group, "marshal", &bytes, |bytes| marshal::from_slice::<Records>(bytes).unwrap());
    let bytes = python_dump(&records);
    assert_eq!(marshal::from_slice::<Records>(&bytes).unwrap(), records);
    decode(&mut group, "marshal from Python", &bytes, |bytes| marshal::from_slice::<Records>(bytes).unwrap());
    let bytes = rmp_serde::to_vec_named(&records).unwrap();
    decode(&mut group, "rmp-serde named", &bytes, |bytes| rmp_serde::from_slice::<Records>(bytes).unwrap());
    let bytes = rmp_serde::to_vec(&records).unwrap();
    decode(&mut group, "rmp-serde arrays", &bytes, |bytes| rmp_serde::from_slice::<Records>(bytes).unwrap());
    let bytes = serde_json::to_vec(&records).unwrap();
    decode(&mut group, "serde_json", &bytes, |bytes| serde_json::from_slice::<Records>(bytes).unwrap());
    let bytes = cbor(&records);
    decode(&mut group, "ciborium", &bytes, |bytes| ciborium::from_reader::<Records, _>(bytes).unwrap());
    group.finish();
}

fn encode_dynamic(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("codec/encode-dynamic");
    let bytes = pencode::to_vec(&records).unwrap();
    let graph = Graph::decode(&bytes).unwrap();
    encode(&mut group, "pencode Graph", || graph.encode());
    let bytes = rmp_serde::to_vec_named(&records).unwrap();
    let value: rmpv::Value = rmpv::decode::read_value(&mut bytes.as_slice()).unwrap();
    encode(&mut group, "rmpv Value", || {
        let mut out = Vec::new();
        rmpv::encode::write_value(&mut out, &value).unwrap();
        out
    });
    let value = rmpv::decode::read_value_ref(&mut bytes.as_slice()).unwrap();
    encode(&mut group, "rmpv ValueRef", || {
        let mut out = Vec::new();
        rmpv::encode::write_value_ref(&mut out, &value).unwrap();
        out
    });
    let value = serde_json::to_value(&records).unwrap();
    encode(&mut group, "serde_json Value", || serde_json::to_vec(&value).unwrap());
    let value = ciborium::Value::serialized(&records).unwrap();
    encode(&mut group, "ciborium Value", || cbor(&value));
    group.finish();
}

fn decode_dynamic(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("codec/decode-dynamic");
    let bytes = pencode::to_vec(&records).unwrap();
    decode(&mut group, "pencode Graph", &bytes, |bytes| Graph::decode(bytes).unwrap());
    let bytes = marshal::to_vec(&records).unwrap();
    decode(&mut group, "marshal Graph", &bytes, |bytes| marshal::decode_graph(bytes).unwrap());
    let bytes = python_dump(&records);
    decode(&mut group, "marshal from Python Graph", &bytes, |bytes| marshal::decode_graph(bytes).unwrap());
    let bytes = rmp_serde::to_vec_named(&records).unwrap();
    decode(&mut group, "rmpv Value", &bytes, |mut bytes| rmpv::decode::read_value(&mut bytes).unwrap());
    decode(&mut group, "rmpv ValueRef", &bytes, |mut bytes| {
        rmpv::decode::read_value_ref(&mut bytes).unwrap()
    });
    let bytes = serde_json::to_vec(&records).unwrap();
    decode(&mut group, "serde_json Value", &bytes, |bytes| {
        serde_json::from_slice::<serde_json::Value>(bytes).unwrap()
    });
    let bytes = cbor(&records);
    decode(&mut group, "ciborium Value", &bytes, |bytes| {
        ciborium::from_reader::<ciborium::Value, _>(bytes).unwrap()
    });
    group.finish();
}

fn encode(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut encode: impl FnMut() -> Vec<u8>) {
    throughput(group, encode().len());
    group.bench_function(name, |bencher| bencher.iter(&mut encode));
}

fn decode<'a, T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    bytes: &'a [u8],
    decode: impl Fn(&'a [u8]) -> T,
) {
    throughput(group, bytes.len());
    group.bench_function(name, |bencher| bencher.iter_with_large_drop(|| decode(black_box(bytes))));
}

fn throughput(group: &mut BenchmarkGroup<'_, WallTime>, bytes: usize) {
    group.throughput(Throughput::ElementsAndBytes { elements: RECORDS, bytes: bytes as u64 });
}

fn cbor<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

/// Writes what `marshal.dumps` of Python 3.4 and later makes of the records as dicts: short forms,
/// and references to keys that were written before.
fn python_dump(records: &[Record]) -> Vec<u8> {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(&[b'z', text.len() as u8]);
        out.extend_from_slice(text.as_bytes());
    }

    fn key(out: &mut Vec<u8>, first: bool, number: u32, key: &str) {
        if first {
            out.extend_from_slice(&[b'Z' | 0x80, key.len() as u8]);
            out.extend_from_slice(key.as_bytes());
        } else {
            out.push(b'r');
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    let mut out = vec![b'['];
    out.extend_from_slice(&(records.len() as u32).to_le_bytes());
    for record in records {
        let first = record.id == 0;
        out.push(b'{');
        key(&mut out, first, 0, "id");
        out.push(b'i');
        out.extend_from_slice(&(record.id as u32).to_le_bytes());
        key(&mut out, first, 1, "name");
        text(&mut out, &record.name);
        key(&mut out, first, 2, "score");
        out.push(b'g');
        out.extend_from_slice(&record.score.to_le_bytes());
        key(&mut out, first, 3, "tags");
        out.extend_from_slice(b")\x02");
        text(&mut out, &record.tags.0);
        text(&mut out, &record.tags.1);
        out.push(b'0');
    }
    out
}

criterion_group!(benches, encode_typed, decode_typed, encode_dynamic, decode_dynamic);
criterion_main!(benches);
