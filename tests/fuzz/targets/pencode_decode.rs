//! Any bytes, read as a graph: what decodes encodes again, and nothing panics.

#![no_main]

use chopsticks_pencode::{DecodeConfig, Graph, from_slice, from_slice_with};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value as Json;

fuzz_target!(|buffer: &[u8]| {
    let config = DecodeConfig::default().expansion_budget(64 << 10).max_depth(64);
    let typed = from_slice_with::<Json>(buffer, &config);
    let ignored = from_slice::<IgnoredAny>(buffer);
    let graph = match Graph::decode(buffer) {
        Ok(graph) => graph,
        Err(error) => {
            assert!(error.offset().is_some_and(|offset| offset <= buffer.len()));
            assert!(typed.is_err());
            assert_eq!(ignored.err(), Some(error));
            return;
        }
    };
    assert!(ignored.is_ok());
    let bytes = graph.encode();
    let again = Graph::decode(&bytes).expect("what was written can be read");
    assert_eq!(again.encode(), bytes);
    let printed = graph.to_string();
    assert_eq!(again.to_string(), printed);
    if let Ok(typed) = typed {
        assert_eq!(graph.deserialize::<Json>().as_ref(), Ok(&typed));
    }
    let owned = graph.into_owned();
    assert_eq!(owned.encode(), bytes);
    assert_eq!(owned.to_string(), printed);
});
