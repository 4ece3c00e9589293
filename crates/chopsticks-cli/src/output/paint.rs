//! Colours, and text that cannot do harm to a terminal.

use std::fmt::Write as _;

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};

/// Whether a stream gets colours: on a terminal that has them, and as NO_COLOR, CLICOLOR and CLICOLOR_FORCE say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    is_on: bool,
}

pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const HOST: Style = AnsiColor::Green.on_default().bold();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
pub(super) const PLAIN: Style = Style::new();

impl Paint {
    pub(super) fn for_stream(stream: &impl RawStream) -> Self {
        Self { is_on: AutoStream::choice(stream) != ColorChoice::Never }
    }

    #[cfg(test)]
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// Appends text in a style.
    pub(super) fn push(self, out: &mut String, style: Style, text: &str) {
        let style = if self.is_on { style } else { PLAIN };
        // Writing to a string does not fail.
        let _ = write!(out, "{style}{text}{style:#}");
    }

    /// Composes a line in a style.
    pub(super) fn line(self, style: Style, text: &str) -> Vec<u8> {
        let mut out = String::new();
        self.push(&mut out, style, &harmless(text));
        out.push('\n');
        out.into_bytes()
    }
}

/// Replaces control characters, which could make a terminal show something else, by escapes; lines and tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            _ if character.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

/// Appends bytes with control characters as `^[` and the like, as lines of agents are shown.
pub(super) fn push_harmless(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'\t' | b' '..=b'~' | 0x80.. => out.push(byte),
            control => out.extend_from_slice(&[b'^', control ^ 0x40]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_others_are_shown_and_not_obeyed() {
        assert_eq!(harmless("a\x1b[31m\r\x07\u{9b}\tb\nç"), "a\\x1b[31m\\x0d\\x07\\x9b\tb\nç");
    }

    #[test]
    fn colours_are_written_only_where_they_are_wanted() {
        assert_eq!(Paint::new(false).line(ERROR, "x"), b"x\n");
        let painted = String::from_utf8(Paint::new(true).line(ERROR, "x")).unwrap();
        assert!(
            painted.starts_with("\x1b[") && painted.contains('x') && painted.ends_with("\x1b[0m\n"),
            "{painted:?}"
        );
    }
}
