//! Any result as the program shows it: nothing panics, text cannot steer a terminal, and JSON is JSON in one line.

#![no_main]

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../../crates/chopsticks-cli/src/output/json"]
mod json {
    pub(crate) mod text;
    pub(crate) mod value;
}
#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../../crates/chopsticks-cli/src/output/python.rs"]
mod python;
#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../../crates/chopsticks-cli/src/walk.rs"]
mod walk;

use chopsticks::{
    Graph,
    pencode::marshal,
    text::{Screen, is_harmful, shown_len},
};
use libfuzzer_sys::fuzz_target;

/// What copies may cost.
const BUDGET: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&[cut], bytes)) = input.split_first_chunk() else { return };
    if let Ok(graph) = marshal::decode_graph(bytes) {
        rendered(&graph);
    }
    shown(usize::from(cut).max(1), bytes);
});

fn rendered(graph: &Graph<'_>) {
    let mut text = Vec::new();
    if python::repr(&mut text, graph, BUDGET).is_ok() {
        let text = std::str::from_utf8(&text).expect("it is text");
        assert!(!text.chars().any(is_harmful), "{text:?}");
    }
    let mut text = Vec::new();
    if json::value::write(&mut text, graph, BUDGET).is_ok() {
        assert!(!text.contains(&b'\n'));
        let text = std::str::from_utf8(&text).expect("it is text");
        assert!(!text.chars().any(is_harmful), "{text:?}");
        // Deeper values are JSON too, but not for this reader.
        if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
            assert!(error.to_string().contains("recursion limit"), "{error}: {text}");
        }
    }
}

/// Text of two speakers in pieces, as it is shown line by line.
fn shown(cut: usize, bytes: &[u8]) {
    let (mut screen, mut out) = (Screen::default(), Vec::new());
    let mut pending = Vec::new();
    for (number, piece) in bytes.chunks(cut).enumerate() {
        if number % 3 == 2 {
            screen.push(&"b", "[b]", b"other\n", &mut out);
        }
        pending.extend_from_slice(piece);
        let rest = pending.split_off(shown_len(&pending));
        screen.push(&"a", "[a]", &std::mem::replace(&mut pending, rest), &mut out);
    }
    screen.push(&"a", "[a]", &pending, &mut out);
    screen.end_line(&mut out);
    let out = std::str::from_utf8(&out).expect("it is text");
    assert!(!out.chars().any(|shown| is_harmful(shown) && !matches!(shown, '\n' | '\r' | '\t')), "{out:?}");
    for line in out.split_inclusive('\n') {
        for segment in line.strip_suffix('\n').expect("each line ends").split('\r') {
            assert!(segment.starts_with("[a] ") || segment == "[b] other", "{segment:?}");
        }
    }
}
