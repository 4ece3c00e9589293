//! Makes text from untrusted hosts safe to show.
//!
//! Text from a host (the lines that a program writes, the message of an exception, a file name) may
//! contain characters that control a terminal, or that make a reader see something else than the
//! actual text. [`harmless`] replaces them by escapes. There is one set of such characters,
//! [`is_harmful`], for everything that is shown on a terminal or in a log.
//!
//! ```
//! use chopsticks_text::{harmless, harmless_line};
//!
//! assert_eq!(harmless("done\x1b[2J\n"), "done\\x1b[2J\n");
//! assert_eq!(harmless_line("one\nweb2: ok"), "one\\x0aweb2: ok");
//! assert_eq!(harmless(b"caf\xc3\xa9 \xff"), "café \\xff");
//! ```

use std::{borrow::Cow, error::Error, fmt::Write as _};

pub use screen::{Screen, shown_len};

mod screen;

/// Returns the text with escapes in place of harmful characters. Newlines and tabs stay.
///
/// A character of one byte becomes `\x1b`, a longer one `\u202e` or `\U000e0041`, and a byte that
/// is not UTF-8 `\xff`. The backslash itself is not escaped: the result is for people, and cannot
/// be converted back.
///
/// Text without harmful characters is not copied.
#[must_use]
pub fn harmless<T: AsRef<[u8]> + ?Sized>(text: &T) -> Cow<'_, str> {
    escaped(text.as_ref(), |character| matches!(character, '\n' | '\t'))
}

/// Like [`harmless`], but also replaces newlines, so that the text stays on one line.
///
/// ```
/// use chopsticks_text::harmless_line;
///
/// assert_eq!(harmless_line("50 %\r\t100 %\n"), "50 %\\x0d\t100 %\\x0a");
/// ```
#[must_use]
pub fn harmless_line<T: AsRef<[u8]> + ?Sized>(text: &T) -> Cow<'_, str> {
    escaped(text.as_ref(), |character| character == '\t')
}

/// Returns what an error says and what its sources say, joined by `: `.
///
/// Many errors quote their source in their own text: a source with which the text so far ends is not
/// repeated. The text is as the errors give it; to show it, pass it through [`harmless`].
///
/// ```
/// use std::{fmt, io};
///
/// #[derive(Debug)]
/// struct Unread(io::Error);
///
/// impl fmt::Display for Unread {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str("cannot read x")
///     }
/// }
///
/// impl std::error::Error for Unread {
///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
///         Some(&self.0)
///     }
/// }
///
/// assert_eq!(chopsticks_text::chain(&Unread(io::Error::other("gone"))), "cannot read x: gone");
/// ```
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(error.to_string());
        source = error.source();
    }
    // From the innermost on, what each of them says with its sources.
    let mut chains = vec![String::new(); texts.len()];
    for at in (0..texts.len()).rev() {
        let mut text = texts[at].clone();
        for (reason, chain) in texts.iter().zip(&chains).skip(at + 1) {
            if text.ends_with(chain.as_str()) {
                break;
            }
            if !text.ends_with(reason.as_str()) {
                text.push_str(": ");
                text.push_str(reason);
            }
        }
        chains[at] = text;
    }
    chains.swap_remove(0)
}

/// Returns whether a terminal or a log viewer may interpret a character, hide it, or show the
/// characters around it in another order.
///
/// These are the control characters (C0, DEL and C1, including newline and tab), the marks and
/// overrides of bidirectional text, the separators of lines and paragraphs, invisible characters,
/// and the characters that Unicode reserves for programs. The joiners U+200C and U+200D and the
/// variation selectors are not harmful, since Persian, the scripts of India and emoji need them.
#[must_use]
pub fn is_harmful(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\0'..='\u{9f}' => true,
        // The soft hyphen, which most terminals hide.
        '\u{ad}' => true,
        // The combining joiner, letters without a shape, and the separator of Mongolian vowels.
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' => true,
        '\u{3164}' | '\u{ffa0}' => true,
        // Marks, embeddings, overrides and isolates of bidirectional text.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // The separators of lines and paragraphs.
        '\u{2028}' | '\u{2029}' => true,
        // Spaces and operators without a width, and deprecated controls.
        '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}' => true,
        // Annotations between lines.
        '\u{fff9}'..='\u{fffb}' => true,
        // Controls of shorthand, of music and of hieroglyphs.
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{13430}'..='\u{13440}' => true,
        // Tags, which carry ASCII that is not seen.
        '\u{e0000}'..='\u{e00ff}' => true,
        // What is no character at all.
        '\u{fdd0}'..='\u{fdef}' => true,
        _ => u32::from(character) & 0xfffe == 0xfffe,
    }
}

fn escaped(bytes: &[u8], is_kept: fn(char) -> bool) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(|character| is_harmful(character) && !is_kept(character))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 8 + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_harmful(character) && !is_kept(character) {
                push_escape(&mut out, character);
            } else {
                out.push(character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    Cow::Owned(out)
}

fn push_escape(out: &mut String, character: char) {
    let code = u32::from(character);
    // Writing to a string does not fail.
    let _ = match code {
        0..=0x7f => write!(out, "\\x{code:02x}"),
        0x80..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_as_an_escape() {
        for (text, shown) in [
            ("a\x1b[31mb", "a\\x1b[31mb"),
            ("\0\x07\x08\r\x7f", "\\x00\\x07\\x08\\x0d\\x7f"),
            ("\u{9b}2J\u{85}\u{80}\u{9f}", "\\u009b2J\\u0085\\u0080\\u009f"),
            ("user\u{202e}txt.exe\u{2069}", "user\\u202etxt.exe\\u2069"),
            ("one\u{2028}two\u{2029}", "one\\u2028two\\u2029"),
            ("\u{feff}\u{200b}\u{ad}\u{e0041}", "\\ufeff\\u200b\\u00ad\\U000e0041"),
            ("\u{ffff}\u{1fffe}", "\\uffff\\U0001fffe"),
        ] {
            assert_eq!(harmless(text), shown);
            assert_eq!(harmless_line(text), shown);
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_one_by_one() {
        assert_eq!(harmless(b"\x9b31m\xff\xc3"), "\\x9b31m\\xff\\xc3");
        assert_eq!(harmless(b"\xed\xa0\x80"), "\\xed\\xa0\\x80");
        assert_eq!(harmless(b"\xc2\x9b"), "\\u009b");
    }

    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Told>>);

    impl std::fmt::Display for Told {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_ref().map(|source| &**source as &(dyn Error + 'static))
        }
    }

    #[test]
    fn chain_repeats_nothing_that_an_error_has_quoted() {
        let told = |texts: &[&'static str]| {
            let innermost_first = texts.iter().rev();
            let error = innermost_first.fold(None, |source, text| Some(Box::new(Told(text, source))));
            chain(&*error.unwrap())
        };
        assert_eq!(told(&["a"]), "a");
        assert_eq!(told(&["a", "b", "c"]), "a: b: c");
        // A source alone, or with its own sources.
        assert_eq!(told(&["a: b", "b", "c"]), "a: b: c");
        assert_eq!(told(&["a: b: c", "b", "c"]), "a: b: c");
        assert_eq!(told(&["a: b: c", "a", "b: c", "c"]), "a: b: c");
    }

    #[test]
    fn lines_and_tabs_stay_where_they_are_meant() {
        assert_eq!(harmless("a\n\tb\r\n"), "a\n\tb\\x0d\n");
        assert_eq!(harmless_line("a\n\tb"), "a\\x0a\tb");
    }

    #[test]
    fn text_that_people_write_stays_as_it_is_and_is_not_copied() {
        for text in
            ["größe € 漢字 😀", "می\u{200c}خواهم", "👩\u{200d}🚀 ☁\u{fe0f}", "क्\u{200d}ष", "a b\u{a0}c \\"]
        {
            assert!(matches!(harmless(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_was_shown_once_is_shown_the_same_again() {
        for code in 0..0x11_0000 {
            let Some(character) = char::from_u32(code) else { continue };
            let once = harmless_line(character.encode_utf8(&mut [0; 4])).into_owned();
            assert_eq!(harmless_line(&once), once, "U+{code:04X}");
            assert!(!once.chars().any(|shown| is_harmful(shown) && shown != '\t'), "U+{code:04X}");
        }
    }
}
