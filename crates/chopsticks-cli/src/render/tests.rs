//! What the worst results cost in memory, from the bytes that came to the text that is printed.

use std::{alloc::System, process::Command};

use chopsticks::{
    Graph,
    pencode::{GraphBuilder, marshal},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use super::*;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// All that is allocated for a byte of a result while it is decoded and made into text, the text included. Less is in use at one time:
/// the counter never goes down.
const FACTOR: usize = 25;
/// Pieces that are partly used, and what the test harness allocates.
const SLACK: usize = 256 << 10;
/// Set in the process that measures.
const MEASURES: &str = "CHOPSTICKS_MEASURES_MEMORY";

/// Results of many values of few bytes, in marshal.
fn marshal_results() -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |count: u32, item: &[u8]| [&b"["[..], &count.to_le_bytes(), &item.repeat(count as usize)].concat();
    let dict = |times: usize, pair: &[u8]| [&b"{"[..], &pair.repeat(times), b"0"].concat();
    vec![
        ("deep", [b")\x01".repeat(200_000), b"N".to_vec()].concat()),
        ("deep and numbered", [b"\xa9\x01".repeat(200_000), b"N".to_vec()].concat()),
        ("deep dicts", [b"{N".repeat(100_000), b"N".to_vec(), b"0".repeat(100_000)].concat()),
        ("deep dicts with names", [b"{z\x01a".repeat(100_000), b"N".to_vec(), b"0".repeat(100_000)].concat()),
        ("deep sets", [b"<\x01\0\0\0".repeat(100_000), b"N".to_vec()].concat()),
        ("false", list(300_000, b"F")),
        ("pairs of false", dict(150_000, b"FF")),
        ("empty tuples", list(200_000, b")\0")),
        ("empty dicts", list(200_000, b"{0")),
        ("empty sets", list(80_000, b">\0\0\0\0")),
        ("texts of one letter", list(100_000, b"z\x01a")),
        ("controls", list(20, &[&b"z\xff"[..], &[0x7f; 255]].concat())),
        ("long text of controls", [&b"u\x40\x0d\x03\0"[..], &[0x1b; 200_000]].concat()),
        ("bytes", [&b"s\x40\x0d\x03\0"[..], &[0xff; 200_000]].concat()),
        ("integers", list(80_000, b"i\0\0\0\x80")),
        ("floats", list(50_000, &[&b"g"[..], &(-1.0 / 3.0 * 1e-300_f64).to_le_bytes()].concat())),
    ]
}

/// The same in pencode.
fn pencode_results() -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |count: u32, item: &[u8]| [&b"l"[..], &count.to_be_bytes(), &item.repeat(count as usize)].concat();
    vec![
        ("deep", [b"l\0\0\0\x01".repeat(100_000), b"n".to_vec()].concat()),
        ("None", list(300_000, b"n")),
        ("False", list(300_000, b"F")),
        ("empty lists", list(80_000, b"l\0\0\0\0")),
        ("dicts of None", list(40_000, b"d\0\0\0\x01nn")),
        ("integers", list(60_000, b"i\0\0\0\x015")),
        ("texts", list(60_000, b"s\0\0\0\x01\x1b")),
    ]
}

fn check(name: &str, bytes: &[u8], decode: impl Fn(&[u8]) -> Graph<'_>) {
    for is_json in [true, false] {
        let region = Region::new(ALLOCATOR);
        let graph = decode(bytes);
        let mut out = Pieces::default();
        let written = match is_json {
            true => output::write_json(&mut out, &graph, BUDGET),
            false => output::repr(&mut out, &graph, BUDGET),
        };
        written.unwrap();
        drop((graph, out));
        let allocated = region.change().bytes_allocated;
        println!("{name}, JSON {is_json}: {:.1}", allocated as f64 / bytes.len() as f64);
        assert!(
            allocated <= FACTOR * bytes.len() + SLACK,
            "{name}, JSON {is_json}: {allocated} for {}",
            bytes.len()
        );
    }
}

#[test]
fn text_of_a_result_takes_a_small_multiple_of_its_bytes() {
    // Other tests allocate in this process.
    if std::env::var_os(MEASURES).is_none() {
        let name = "render::tests::text_of_a_result_takes_a_small_multiple_of_its_bytes";
        let mut test = Command::new(std::env::current_exe().unwrap());
        let status = test.args(["--exact", name, "--nocapture"]).env(MEASURES, "1").output().unwrap();
        let said = String::from_utf8_lossy(&status.stdout);
        assert!(
            status.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&status.stderr)
        );
        return;
    }
    for (name, bytes) in marshal_results() {
        check(name, &bytes, |bytes| marshal::decode_graph(bytes).unwrap());
    }
    for (name, bytes) in pencode_results() {
        check(name, &bytes, |bytes| Graph::decode(bytes).unwrap());
    }
}

#[test]
fn text_that_nobody_waits_for_is_given_up() {
    let mut b = GraphBuilder::new();
    let none = b.none();
    let root = b.list(vec![none; 1_000_000]);
    let graph = b.finish(root).unwrap();
    let abandoned = Abandon::default();
    let mut out = Pieces::new(abandoned.0.clone());
    drop(abandoned);
    let unwritten = output::write_json(&mut out, &graph, BUDGET);
    assert!(matches!(unwritten, Err(Unshown::Unwritten(_))), "{unwritten:?}");
    assert_eq!(out.len(), 0);
}
