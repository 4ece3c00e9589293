//! Text in JSON, with escapes for characters that a terminal or a log viewer misreads.

use std::io::{self, Write};

use chopsticks::text::is_harmful;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Writes text as a JSON string.
pub(super) fn write_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    write(out, text)
}

/// Writes any value as JSON.
pub(super) fn write(out: &mut impl Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Harmless)).map_err(io::Error::from)
}

/// Returns any value as JSON.
pub(super) fn json(value: &(impl Serialize + ?Sized)) -> String {
    let mut out = Vec::new();
    // Memory can be written to, and what is written is UTF-8.
    let _ = write(&mut out, value);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes like serde_json without spaces, but with harmful characters as `\\u` and four digits.
#[derive(Debug)]
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| is_harmful(*character)) {
            CompactFormatter.write_string_fragment(out, &rest[..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + character.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmful_characters_are_escaped_and_mean_the_same() {
        let evil = "a\u{9b}2J\x7f\u{202e}\u{2028}\u{e0041}\x1b\n\t\"\\é😀";
        let json = json(evil);
        let expected = r#""a\u009b2J\u007f\u202e\u2028\udb40\udc41\u001b\n\t\"\\é😀""#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), evil);
    }

    #[test]
    fn keys_are_escaped_as_well() {
        let json = json(&serde_json::json!({"\u{9b}": ["\u{85}", 1.5, null]}));
        assert_eq!(json, r#"{"\u009b":["\u0085",1.5,null]}"#);
    }
}
