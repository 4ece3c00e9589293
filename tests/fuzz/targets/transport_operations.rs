//! Two connections and their users, who do what the input says; with an odd first byte, some bytes come that nobody
//! sent. Everything arrives whole and in order, nothing is left behind, and nobody waits for ever.

#![no_main]

#[path = "../../../crates/chopsticks-transport/tests/transport/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, script)) = input.split_first() else { return };
    let script = script.get(..6000).unwrap_or(script);
    let mut world = world::World::new();
    world.run(script, first % 2 == 1);
    world.settle();
});
