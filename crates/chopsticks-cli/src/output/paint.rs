//! Colours.

use std::fmt::Write as _;

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};
use chopsticks::text::harmless;

/// Whether a stream gets colours: on a terminal that supports them, and depending on NO_COLOR,
/// CLICOLOR and CLICOLOR_FORCE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    is_on: bool,
}

pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const HOST: Style = AnsiColor::Green.on_default().bold();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
pub(super) const ADDED: Style = AnsiColor::Green.on_default();
pub(super) const REMOVED: Style = AnsiColor::Red.on_default();
/// For hosts: none of them means success or failure elsewhere.
pub(super) const OF_HOSTS: &[Style] = &[
    AnsiColor::Cyan.on_default().bold(),
    AnsiColor::Magenta.on_default().bold(),
    AnsiColor::Blue.on_default().bold(),
    AnsiColor::BrightCyan.on_default(),
    AnsiColor::BrightMagenta.on_default(),
    AnsiColor::BrightBlue.on_default(),
];
pub(super) const PLAIN: Style = Style::new();

impl Paint {
    pub(super) fn for_stream(stream: &impl RawStream) -> Self {
        Self { is_on: AutoStream::choice(stream) != ColorChoice::Never }
    }

    pub(super) fn is_on(self) -> bool {
        self.is_on
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

#[cfg(test)]
mod tests {
    use super::*;

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
