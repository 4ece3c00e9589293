//! Differences between texts.

use std::{str, time::Duration};

use similar::TextDiff;

/// The maximum size of a file whose difference is shown, in bytes.
pub const DIFFERENCE_MAX: u64 = 1 << 20;

/// Returns the unified difference between two contents, or one line if one of them is binary: not
/// UTF-8, or with zero bytes. `None` is a file that does not exist. It is empty if both are the
/// same. Blocks the thread, at most some seconds: of very different texts the difference is larger
/// than necessary.
pub fn difference(name: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> String {
    if old == new {
        return String::new();
    }
    let text = |content: Option<&'_ [u8]>| match content {
        None => Some(String::new()),
        Some(content) if content.contains(&0) => None,
        Some(content) => str::from_utf8(content).ok().map(str::to_owned),
    };
    let (Some(before), Some(after)) = (text(old), text(new)) else {
        return format!("Binary files a/{name} and b/{name} differ\n");
    };
    let header = |side: char, content: Option<&[u8]>| match content {
        None => "/dev/null".to_owned(),
        Some(_) => format!("{side}/{name}"),
    };
    let mut config = TextDiff::configure();
    config.timeout(PATIENCE);
    let diff = config.diff_lines(&before, &after);
    let mut unified = diff.unified_diff();
    unified.header(&header('a', old), &header('b', new));
    let text = unified.to_string();
    if text.is_empty() {
        // One of them is empty, and the other does not exist.
        return format!("--- {}\n+++ {}\n", header('a', old), header('b', new));
    }
    text
}

/// After this time a difference need no longer be the smallest.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_as_a_unified_difference() {
        let text = difference("a.conf", Some(b"one\ntwo\n"), Some(b"one\n2\n"));
        assert_eq!(text, "--- a/a.conf\n+++ b/a.conf\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
        let new = difference("x", None, Some(b"one\n"));
        assert!(new.starts_with("--- /dev/null\n+++ b/x\n") && new.ends_with("+one\n"), "{new}");
        assert_eq!(difference("x", None, Some(b"")), "--- /dev/null\n+++ b/x\n");
        assert_eq!(difference("x", Some(b"1"), Some(b"1")), "");
        assert!(difference("x", Some(b"1"), Some(b"2")).contains("\\ No newline at end of file"));
    }

    #[test]
    fn binary_content_is_not_shown() {
        for content in [&b"a\0b"[..], b"\xff"] {
            let text = difference("x", Some(content), Some(b"text\n"));
            assert_eq!(text, "Binary files a/x and b/x differ\n");
        }
    }
}
