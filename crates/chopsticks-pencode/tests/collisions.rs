//! Keys that collide in other readers cost what any others do.
//!
//! A host chooses the keys of the dicts and the members of the sets that it sends. Integers that are equal modulo 2^61 - 1 have one
//! hash in CPython, and a reader that builds such a table compares each with all before it. Here comparisons are counted, not time.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use std::{
    cell::Cell,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{Hash, Hasher},
};

use chopsticks_pencode::{Graph, GraphBuilder, from_slice, marshal};
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

thread_local! {
    static COMPARISONS: Cell<u64> = const { Cell::new(0) };
}

/// A key that counts with how many others it is compared.
#[derive(Clone, Copy, Debug)]
struct Counted(i64);

fn count() {
    COMPARISONS.set(COMPARISONS.get() + 1);
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        count();
        self.0 == other.0
    }
}

impl Eq for Counted {}

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Counted {
    fn cmp(&self, other: &Self) -> Ordering {
        count();
        self.0.cmp(&other.0)
    }
}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self)
    }
}

/// How many comparisons the work takes.
fn compared<T>(work: impl FnOnce() -> T) -> (u64, T) {
    COMPARISONS.set(0);
    let done = work();
    (COMPARISONS.get(), done)
}

/// A dict and a set with these keys in pencode.
fn pencode(keys: &[i64]) -> [Vec<u8>; 2] {
    let mut b = GraphBuilder::new();
    let none = b.none();
    let members: Vec<_> = keys.iter().map(|&key| b.int(key)).collect();
    let dict = b.dict(members.iter().map(|&key| (key, none)));
    let set = b.set(members);
    [dict, set].map(|root| b.clone().finish(root).unwrap().encode())
}

/// The same in `marshal`.
fn marshalled(keys: &[i64]) -> [Vec<u8>; 2] {
    let int = |key: &i64| marshal::to_vec(key).unwrap();
    let pairs: Vec<u8> = keys.iter().flat_map(|key| [int(key), b"N".to_vec()].concat()).collect();
    let count = u32::try_from(keys.len()).unwrap().to_le_bytes();
    let members: Vec<u8> = keys.iter().flat_map(int).collect();
    [[b"{", &pairs[..], b"0"].concat(), [b"<", &count[..], &members].concat()]
}

/// Keys with few hashes in CPython, or in a table that looks at some of their bits.
fn keys() -> impl Strategy<Value = Vec<i64>> {
    const PRIME: i64 = (1 << 61) - 1;
    let step = prop_oneof![Just(PRIME), Just(-PRIME), (40..62_u32).prop_map(|shift| 1 << shift), 1..100_i64];
    (step, any::<i64>(), 1000..5000_i64).prop_map(|(step, base, count)| {
        (0..count).map(|at| base.wrapping_add(at.wrapping_mul(step))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn no_keys_make_a_reader_compare_each_with_all_others(keys in keys()) {
        let distinct: BTreeSet<i64> = keys.iter().copied().collect();
        let count = keys.len() as u64;
        // One comparison for each that is there already, and for those of other keys with the same bits of a hash.
        let hashed = 4 * count;
        let sorted = 4 * count * u64::from(count.ilog2() + 1);
        let [dict, set] = pencode(&keys);
        let [marshal_dict, marshal_set] = marshalled(&keys);

        let of_hash_maps = [
            compared(|| from_slice::<HashMap<Counted, IgnoredAny>>(&dict).unwrap().len()),
            compared(|| from_slice::<HashSet<Counted>>(&set).unwrap().len()),
            compared(|| marshal::from_slice::<HashMap<Counted, IgnoredAny>>(&marshal_dict).unwrap().len()),
            compared(|| marshal::from_slice::<HashSet<Counted>>(&marshal_set).unwrap().len()),
            compared(|| Graph::decode(&dict).unwrap().deserialize::<HashMap<Counted, IgnoredAny>>().unwrap().len()),
        ];
        for (comparisons, len) in of_hash_maps {
            prop_assert_eq!(len, distinct.len());
            // Keys that repeat are compared once each.
            prop_assert!(comparisons <= hashed, "{} for {} keys", comparisons, count);
        }
        let of_trees = [
            compared(|| from_slice::<BTreeMap<Counted, IgnoredAny>>(&dict).unwrap().len()),
            compared(|| marshal::from_slice::<BTreeSet<Counted>>(&marshal_set).unwrap().len()),
        ];
        for (comparisons, len) in of_trees {
            prop_assert_eq!(len, distinct.len());
            prop_assert!(comparisons <= sorted, "{} for {} keys", comparisons, count);
        }
    }

    /// A graph keeps members in their order, and compares none: those that repeat stay.
    #[test]
    fn graphs_keep_keys_as_they_came(keys in keys()) {
        let ([dict, set], [marshal_dict, marshal_set]) = (pencode(&keys), marshalled(&keys));
        for graph in [Graph::decode(&dict).unwrap(), marshal::decode_graph(&marshal_dict).unwrap()] {
            let found: Vec<_> = graph.root().pairs().unwrap().map(|(key, _)| key.as_i64().unwrap()).collect();
            prop_assert_eq!(&found, &keys);
        }
        for graph in [Graph::decode(&set).unwrap(), marshal::decode_graph(&marshal_set).unwrap()] {
            let found: Vec<_> = graph.root().items().unwrap().map(|key| key.as_i64().unwrap()).collect();
            prop_assert_eq!(&found, &keys);
        }
    }
}
