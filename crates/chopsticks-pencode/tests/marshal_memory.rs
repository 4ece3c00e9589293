//! Memory that reading marshal takes. Alone in its file, because the allocator counts for all tests.

#![cfg(feature = "serde")]

use std::alloc::System;

use chopsticks_pencode::marshal;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Debug, Deserialize)]
struct Nested(#[expect(dead_code, reason = "only read")] Vec<Nested>);

/// Returns the bytes that are allocated by reading `bytes`, which must fail.
fn spent<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, marshal::DecodeError>) -> usize {
    let region = Region::new(ALLOCATOR);
    assert!(read(bytes).is_err());
    let change = region.change();
    change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0)
}

fn typed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, marshal::DecodeError> {
    marshal::from_slice(bytes)
}

fn graph(bytes: &[u8]) -> Result<(), marshal::DecodeError> {
    marshal::decode_graph(bytes).map(drop)
}

#[test]
fn memory_is_bounded_by_the_bytes_and_not_by_what_they_claim() {
    // Each list claims all that is left, in each of 250 levels.
    let len = 1 << 20;
    let mut claims = Vec::new();
    for _ in 0..250 {
        let left = u32::try_from(len - claims.len() - 5).unwrap();
        claims.push(b'[');
        claims.extend_from_slice(&left.to_le_bytes());
    }
    claims.resize(len, b'N');
    assert!(spent(&claims, typed::<Nested>) < 2 * len);
    assert!(spent(&claims, typed::<IgnoredAny>) < len);
    assert!(spent(&claims, graph) < 32 * len);

    // As many containers, numbered, as there is room for.
    for part in [b"\xa9\x01".as_slice(), b"\xfbN", b"\xdb\x01\0\0\0", b"\xa9\0", b"\xbe\x01\0\0\0"] {
        let containers = part.repeat(len / part.len());
        assert!(spent(&containers, graph) < 120 * len, "{part:?}");
        assert!(spent(&containers, typed::<IgnoredAny>) < 120 * len, "{part:?}");
    }

    // A length is no reason to reserve anything.
    for code in b"sutaAl" {
        assert!(spent(&[*code, 0xff, 0xff, 0xff, 0x7f], typed::<String>) < 4096);
        assert!(spent(&[*code, 0xff, 0xff, 0xff, 0x7f], graph) < 4096);
    }
}
