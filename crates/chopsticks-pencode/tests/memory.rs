//! No buffer makes the reader allocate more than a small multiple of its length.
//!
//! The allocator counts. It is that of `stats_alloc`, because implementing `GlobalAlloc` is unsafe
//! and asking the graph for its capacities would trust the code that is tested. It counts all that
//! is allocated and not what is freed, which is an upper bound of the peak.

#![cfg(feature = "serde")]

use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
};

use chopsticks_pencode::{DecodeConfig, Graph, GraphBuilder, from_slice_with, marshal};
use serde::de::IgnoredAny;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One measurement at a time.
static LOCK: Mutex<()> = Mutex::new(());

/// What an error or an empty graph needs, and what the test harness allocates meanwhile.
const SLACK: usize = 4 << 10;

/// A node, an edge and a level are 24 bytes for a value of five bytes, an edge alone four for one byte; all that in vectors
/// that grow by a quarter.
const GRAPH_FACTOR: usize = 7;

/// A node, an edge, a level and a number are 28 bytes for a value of two bytes: `\xa9\x01`, again and again.
const MARSHAL_FACTOR: usize = 18;

/// A `serde_json::Value` is 32 bytes, in vectors that start with what the count says, for a value
/// of one byte.
const TREE_FACTOR: usize = 64;

fn allocated(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    region.change().bytes_allocated
}

/// Buffers that cost the most for their length, whole, cut short and damaged.
fn inputs() -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |count: u32, item: &[u8]| [&b"l"[..], &count.to_be_bytes(), &item.repeat(count as usize)].concat();
    let mut inputs = vec![
        ("empty lists", list(20_000, b"l\0\0\0\0")),
        ("empty texts", list(20_000, b"s\0\0\0\0")),
        ("None", list(100_000, b"n")),
        ("dicts of None", list(10_000, b"d\0\0\0\x01nn")),
        ("integers", list(20_000, b"i\0\0\0\x015")),
        ("padded integers", list(1000, &[&b"i\0\0\0\x65-"[..], &[b'0'; 50], &[b'9'; 50]].concat())),
        ("long text", [&b"s\0\x01\0\0"[..], &[b'x'; 65_536]].concat()),
        ("references", [&b"l\0\0\x4e\x20"[..], &b"R\0\0\0\x03".repeat(20_000)].concat()),
        ("deep", [b"l\0\0\0\x01".repeat(20_000), b"n".to_vec()].concat()),
        ("huge counts", b"l\x7f\xff\xff\xff".repeat(20_000)),
    ];
    // Lists that each promise as much as is possible.
    let len = 50_000;
    let mut greedy = Vec::new();
    while greedy.len() + 5 < len {
        let left = u32::try_from(len - greedy.len() - 5).expect("it is small");
        greedy.extend_from_slice(&[&b"l"[..], &left.to_be_bytes()].concat());
    }
    inputs.push(("greedy counts", greedy));
    let mut fair = Vec::new();
    for _ in 0..1000 {
        fair.extend_from_slice(b"l\0\0\0\x1e");
    }
    fair.extend_from_slice(&[b'n'; 29_001]);
    inputs.push(("fair counts", fair));
    for at in 0..inputs.len() {
        let (name, whole) = inputs[at].clone();
        inputs.push((name, whole[..whole.len() * 2 / 3].to_vec()));
        let mut damaged = whole;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        inputs.push((name, damaged));
    }
    inputs
}

#[test]
fn a_graph_is_a_small_multiple_of_its_buffer() {
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, buffer) in inputs() {
        let bytes = allocated(|| drop(Graph::decode(&buffer)));
        assert!(bytes <= GRAPH_FACTOR * buffer.len() + SLACK, "{name}: {bytes} for {}", buffer.len());
        let owned = allocated(|| drop(Graph::decode(&buffer).map(Graph::into_owned)));
        assert!(owned <= (GRAPH_FACTOR + 4) * buffer.len() + SLACK, "{name}: {owned} for {}", buffer.len());
    }
}

/// The same for marshal.
fn marshal_inputs() -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |count: u32, item: &[u8]| [&b"["[..], &count.to_le_bytes(), &item.repeat(count as usize)].concat();
    let dict = |times: usize, pair: &[u8]| [&b"{"[..], &pair.repeat(times), b"0"].concat();
    let mut inputs = vec![
        ("empty tuples", list(50_000, b")\0")),
        ("numbered empty tuples", list(50_000, b"\xa9\0")),
        ("tuples of None", list(50_000, b")\x01N")),
        ("empty dicts", list(50_000, b"{0")),
        ("numbered dicts", list(50_000, b"\xfb0")),
        ("empty texts", list(50_000, b"z\0")),
        ("short texts", list(40_000, b"\xfa\x02ab")),
        ("texts too long to copy", list(10_000, &[&b"z\x11"[..], &[b'x'; 17]].concat())),
        ("empty bytes", list(20_000, b"s\0\0\0\0")),
        ("None", list(100_000, b"N")),
        ("integers", list(20_000, b"\xe9\x05\0\0\0")),
        ("text floats", list(30_000, b"f\x015")),
        ("large integers", list(2000, &[&b"l\x0a\0\0\0"[..], &[0xff, 0x7f].repeat(10)].concat())),
        ("pairs of None", dict(50_000, b"NN")),
        ("pairs of empty tuples", dict(25_000, b")\0)\0")),
        ("deep", [b")\x01".repeat(50_000), b"N".to_vec()].concat()),
        ("deep and numbered", [b"\xa9\x01".repeat(50_000), b"N".to_vec()].concat()),
        ("deep and numbered, wider", [b"\xa9\x02N".repeat(40_000), b"N".to_vec()].concat()),
        ("deep frozensets", [b"\xbe\x01\0\0\0".repeat(20_000), b"N".to_vec()].concat()),
        ("deep dicts", [b"\xfbN".repeat(30_000), b"N".to_vec(), b"0".repeat(30_000)].concat()),
        ("dicts that never end", b"\xfbN".repeat(50_000)),
        ("references", [&b"[\x21\x4e\0\0\xdb\0\0\0\0"[..], &b"r\0\0\0\0".repeat(20_000)].concat()),
        ("huge counts", b"[\xff\xff\xff\x7f".repeat(20_000)),
    ];
    let len = 50_000;
    let mut greedy = Vec::new();
    while greedy.len() + 5 < len {
        let left = u32::try_from(len - greedy.len() - 5).expect("it is small");
        greedy.extend_from_slice(&[&b"["[..], &left.to_le_bytes()].concat());
    }
    inputs.push(("greedy counts", greedy));
    for at in 0..inputs.len() {
        let (name, whole) = inputs[at].clone();
        inputs.push((name, whole[..whole.len() * 2 / 3].to_vec()));
        let mut damaged = whole;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        inputs.push((name, damaged));
    }
    inputs
}

#[test]
fn a_graph_of_marshal_is_a_small_multiple_of_its_buffer() {
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut worst = 0;
    for (name, buffer) in marshal_inputs() {
        let bytes = allocated(|| drop(marshal::decode_graph(&buffer)));
        worst = worst.max(bytes / buffer.len());
        assert!(bytes <= MARSHAL_FACTOR * buffer.len() + SLACK, "{name}: {bytes} for {}", buffer.len());
        let owned = allocated(|| drop(marshal::decode_graph(&buffer).map(Graph::into_owned)));
        assert!(owned <= (MARSHAL_FACTOR + 4) * buffer.len() + SLACK, "{name}: {owned} for {}", buffer.len());
    }
    // The bound is not far from what the worst of them takes.
    assert!(worst * 2 > MARSHAL_FACTOR, "{worst}");
}

#[test]
fn a_tree_is_a_small_multiple_of_its_buffer_and_the_budget() {
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let config = DecodeConfig::default().expansion_budget(0);
    for (name, buffer) in inputs() {
        let bytes = allocated(|| drop(from_slice_with::<serde_json::Value>(&buffer, &config)));
        assert!(bytes <= TREE_FACTOR * buffer.len() + SLACK, "{name}: {bytes} for {}", buffer.len());
        let ignored = allocated(|| drop(from_slice_with::<IgnoredAny>(&buffer, &config)));
        assert!(ignored <= 2 * buffer.len() + SLACK, "{name}: {ignored} for {}", buffer.len());
    }
}

#[test]
fn a_bomb_costs_what_the_budget_allows() {
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut builder = GraphBuilder::new();
    for leaf in [builder.none(), builder.text("x"), builder.bytes(&[7; 1000])] {
        let mut value = leaf;
        for _ in 0..40 {
            value = builder.list([value, value]);
        }
        let graph = builder.clone().finish(value).expect("nothing is wrong with it");
        let buffer = graph.encode();
        for budget in [100_000, 1_000_000] {
            let config = DecodeConfig::default().expansion_budget(budget);
            let bytes = allocated(|| drop(from_slice_with::<serde_json::Value>(&buffer, &config)));
            assert!(bytes <= 10 * budget + TREE_FACTOR * buffer.len() + SLACK, "{bytes} for {budget}");
            let bytes = allocated(|| drop(graph.deserialize_with::<serde_json::Value>(&config)));
            assert!(bytes <= 10 * budget + TREE_FACTOR * buffer.len() + SLACK, "{bytes} for {budget}");
        }
    }
}

#[test]
fn arbitrary_bytes_cost_little() {
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let tags = b"nTFifsSbltqQdR\0\0\0\0\0\x01\x02\x03\x04\x05";
    for _ in 0..20_000 {
        let len = random() as usize % 200;
        let buffer: Vec<u8> = (0..len).map(|_| tags[random() as usize % tags.len()]).collect();
        let bytes = allocated(|| drop(Graph::decode(&buffer)));
        assert!(bytes <= GRAPH_FACTOR * buffer.len() + SLACK, "{bytes} for {buffer:?}");
        let config = DecodeConfig::default().expansion_budget(1000);
        let bytes = allocated(|| drop(from_slice_with::<serde_json::Value>(&buffer, &config)));
        assert!(bytes <= TREE_FACTOR * buffer.len() + 10_000 + SLACK, "{bytes} for {buffer:?}");
    }
}
