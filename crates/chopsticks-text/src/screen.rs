//! Text of several hosts on one screen.

use crate::harmless_line;

/// Arranges the text of several speakers on one screen, with a label in front of each line,
/// including lines that have not ended.
///
/// It composes the text to write, and remembers whose line is open, which means that it got no
/// newline so far. Text of another speaker then begins on a new line. Each line is made harmless as
/// by [`harmless_line`]. A carriage return goes back to the beginning of the line, as programs do
/// to show progress, and the label is written again after it. So no speaker can remove the label of
/// its own text.
///
/// ```
/// use chopsticks_text::Screen;
///
/// let mut screen = Screen::default();
/// let mut text = Vec::new();
/// screen.push(&"web1", "[web1]", b"one\r\n\r10 %", &mut text);
/// screen.push(&"web1", "[web1]", b"\r20 %", &mut text);
/// screen.push(&"web2", "[web2]", b"Password: ", &mut text);
/// screen.end_line(&mut text);
/// let shown = "[web1] one\n[web1] 10 %\r[web1] 20 %\n[web2] Password: \n";
/// assert_eq!(text, shown.as_bytes());
/// ```
#[derive(Clone, Debug)]
pub struct Screen<S> {
    open: Option<S>,
}

impl<S> Default for Screen<S> {
    fn default() -> Self {
        Self { open: None }
    }
}

impl<S: Clone + Eq> Screen<S> {
    /// Appends to `out` the text to write for `text` of `speaker`, whose lines begin with `label`.
    ///
    /// The text may end anywhere, except within a character and between the carriage return and the
    /// newline that end a line: see [`shown_len`].
    pub fn push(&mut self, speaker: &S, label: &str, text: &[u8], out: &mut Vec<u8>) {
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let (line, has_ended) = match line.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (line, false),
            };
            let mut line = line;
            while let Some(rest) = line.strip_suffix(b"\r") {
                line = rest;
            }
            if self.open.as_ref() != Some(speaker) {
                self.end_line(out);
                push_label(label, out);
                self.open = Some(speaker.clone());
                while let Some(rest) = line.strip_prefix(b"\r") {
                    line = rest;
                }
            }
            let mut segments = line.split(|&byte| byte == b'\r');
            out.extend_from_slice(harmless_line(segments.next().unwrap_or_default()).as_bytes());
            for segment in segments.filter(|segment| !segment.is_empty()) {
                out.push(b'\r');
                push_label(label, out);
                out.extend_from_slice(harmless_line(segment).as_bytes());
            }
            if has_ended {
                self.end_line(out);
            }
        }
    }

    /// Appends a newline to `out` if a line is open, so that other text can follow.
    pub fn end_line(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            out.push(b'\n');
        }
    }
}

/// Returns how much of an unfinished text can be shown now: all of it, except an incomplete
/// character and carriage returns at the end, which may belong to the end of a line.
///
/// ```
/// use chopsticks_text::shown_len;
///
/// assert_eq!(shown_len(b"50 %\r"), 4);
/// assert_eq!(shown_len(b"caf\xc3"), 3);
/// assert_eq!(shown_len(b"caf\xff"), 4);
/// ```
#[must_use]
pub fn shown_len(text: &[u8]) -> usize {
    // A character has at most four bytes.
    let begun = (1..=text.len().min(3)).find(|&len| {
        let end = &text[text.len() - len..];
        end[0] >= 0xc0 && std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none())
    });
    let text = &text[..text.len() - begun.unwrap_or(0)];
    text.iter().rposition(|&byte| byte != b'\r').map_or(0, |at| at + 1)
}

fn push_label(label: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(label.as_bytes());
    out.push(b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[(char, &str)]) -> String {
        let (mut screen, mut out) = (Screen::default(), Vec::new());
        for (speaker, text) in parts {
            screen.push(speaker, &format!("[{speaker}]"), text.as_bytes(), &mut out);
        }
        screen.end_line(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_have_labels_wherever_the_text_is_cut() {
        assert_eq!(shown(&[('a', "one\n\ntwo\n")]), "[a] one\n[a] \n[a] two\n");
        assert_eq!(shown(&[('a', "on"), ('a', "e\nt"), ('a', "wo"), ('a', "\n")]), "[a] one\n[a] two\n");
    }

    #[test]
    fn open_line_is_ended_before_somebody_else_speaks() {
        let text = shown(&[('a', "Pass"), ('b', "x\ny"), ('a', "word\n"), ('b', "\n")]);
        assert_eq!(text, "[a] Pass\n[b] x\n[b] y\n[a] word\n[b] \n");
    }

    #[test]
    fn nobody_takes_the_label_away_by_a_carriage_return() {
        assert_eq!(shown(&[('a', "me\r[b] you\r\r\rx\r\n")]), "[a] me\r[a] [b] you\r[a] x\n");
        assert_eq!(shown(&[('a', "\r1"), ('a', "\r2"), ('b', "\r3")]), "[a] 1\r[a] 2\n[b] 3\n");
        assert_eq!(shown(&[('a', "\x1b[2K\x08\r\x0bx\n")]), "[a] \\x1b[2K\\x08\r[a] \\x0bx\n");
    }

    #[test]
    fn what_may_go_on_is_not_shown_yet() {
        for (text, len) in [
            (&b"abc"[..], 3),
            (b"", 0),
            (b"\r\r", 0),
            (b"a\r\r", 1),
            ("€".as_bytes(), 3),
            (b"x\xe2\x82", 1),
            (b"x\xf0\x9f\x98", 1),
            (b"x\xe2\x82x", 4),
            (b"\x80\x80\x80\x80", 4),
            (b"x\r\xc3", 1),
        ] {
            assert_eq!(shown_len(text), len, "{text:?}");
        }
    }
}
