//! Prints the differences between the results of hosts and the most frequent result.

use chopsticks::text::harmless;
use similar::TextDiff;

use crate::{
    answer::Shown,
    output::{
        Text,
        human::{Content, Fold, INDENT, output},
        paint::{self, Paint},
    },
};

/// Composes the most frequent result, and the differences of the others from it. `folds` begin with
/// the most frequent one.
pub(super) fn text(folds: &[Fold], stdout: Paint, stderr: Paint) -> Text {
    let mut text = Text::default();
    let Some((first, others)) = folds.split_first() else { return text };
    let base = content(first);
    block(&mut text.stdout, stdout, &first.label(), &base.0);
    output(&mut text.stderr, stderr, &first.label(), base.1.as_bytes());
    for other in others {
        let (out, err) = content(other);
        let (left, right) = (first.label(), other.label());
        if out != base.0 {
            compared(&mut text.stdout, stdout, (&left, &right), (&base.0, &out));
        }
        if err != base.1 {
            compared(&mut text.stderr, stderr, (&left, &right), (&base.1, &err));
        }
    }
    text
}

/// Returns what is compared: the result or stdout, and stderr.
fn content(fold: &Fold) -> (String, String) {
    match &fold.content {
        Content::Output { stdout, stderr } => (harmless(stdout).into_owned(), harmless(stderr).into_owned()),
        Content::Value(Shown::Block(value) | Shown::Json(value) | Shown::Line(value)) => {
            let mut text = Vec::new();
            // Writing to memory does not fail.
            let _ = value.write_to(&mut text);
            let text = String::from_utf8_lossy(&text);
            let lines = text.lines().map(|line| line.strip_prefix(INDENT).unwrap_or(line));
            (lines.map(|line| format!("{line}\n")).collect(), String::new())
        }
    }
}

fn block(out: &mut Vec<u8>, paint: Paint, label: &str, text: &str) {
    if text.is_empty() {
        let mut head = String::new();
        paint.push(&mut head, paint::HOST, label);
        out.extend_from_slice(format!("{head}: nothing\n").as_bytes());
    } else {
        output(out, paint, label, text.as_bytes());
    }
}

fn compared(out: &mut Vec<u8>, paint: Paint, labels: (&str, &str), texts: (&str, &str)) {
    let mut shown = String::new();
    paint.push(&mut shown, paint::HOST, labels.1);
    shown.push_str(" differs:\n");
    let diff = TextDiff::from_lines(texts.0, texts.1);
    let mut unified = diff.unified_diff();
    let unified = unified.context_radius(CONTEXT).header(labels.0, labels.1).to_string();
    for line in unified.lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => paint::ADDED,
            Some(b'-') => paint::REMOVED,
            _ => paint::PLAIN,
        };
        shown.push_str(INDENT);
        paint.push(&mut shown, style, line);
        shown.push('\n');
    }
    out.extend_from_slice(shown.as_bytes());
}

/// The number of equal lines around a difference, as is usual.
const CONTEXT: usize = 3;
