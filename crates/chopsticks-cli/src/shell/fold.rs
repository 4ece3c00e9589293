//! The answers of targets to a block: equal ones are shown once.

use chopsticks::inventory::fold;

use super::{Evaluated, shown};
use crate::output::INDENT;

/// The answers, with the targets that gave them.
#[derive(Debug, Default)]
pub(super) struct Folded {
    answers: Vec<(Answer, Vec<String>)>,
}

/// What is shown of an answer.
#[derive(Debug, Eq, PartialEq)]
struct Answer {
    printed: String,
    value: String,
    error: Option<String>,
}

/// Text for stdout and stderr.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Text {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Folded {
    pub(super) fn add(&mut self, host: &str, evaluated: Evaluated) {
        let Evaluated { printed, value, error, .. } = evaluated;
        let answer = Answer { printed, value, error };
        match self.answers.iter_mut().find(|(other, _)| *other == answer) {
            Some((_, hosts)) => hosts.push(host.to_owned()),
            None => self.answers.push((answer, vec![host.to_owned()])),
        }
    }

    /// Composes what is shown: the most frequent answer first. The answer of a single target has no
    /// label.
    pub(super) fn text(mut self, is_labelled: bool) -> Text {
        self.answers.sort_by_key(|(_, hosts)| std::cmp::Reverse(hosts.len()));
        let mut text = Text::default();
        for (Answer { printed, value, error }, hosts) in self.answers {
            let mut out = shown(&printed);
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&shown(&value));
            let label = is_labelled.then(|| match &hosts[..] {
                [host] => shown(host),
                hosts => {
                    format!("{} hosts ({})", hosts.len(), shown(&fold(hosts.iter().map(String::as_str))))
                }
            });
            push(&mut text.stdout, label.as_deref(), &out);
            push(&mut text.stderr, label.as_deref(), &shown(error.as_deref().unwrap_or_default()));
        }
        text
    }
}

/// Appends text behind its label if it is one line, and otherwise below.
fn push(out: &mut String, label: Option<&str>, text: &str) {
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() {
        return;
    }
    match label {
        None => out.push_str(&format!("{text}\n")),
        Some(label) if !text.contains('\n') => out.push_str(&format!("{label}: {text}\n")),
        Some(label) => {
            out.push_str(&format!("{label}:\n"));
            for line in text.lines() {
                let indent = if line.is_empty() { "" } else { INDENT };
                out.push_str(&format!("{indent}{line}\n"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(printed: &str, value: &str, error: Option<&str>) -> Evaluated {
        Evaluated {
            session: String::new(),
            printed: printed.to_owned(),
            value: value.to_owned(),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn equal_answers_are_shown_once_and_the_most_frequent_first() {
        let mut folded = Folded::default();
        folded.add("db", evaluated("one\ntwo", "3", None));
        folded.add("web1", evaluated("", "'\x1b[2J'", None));
        folded.add("web2", evaluated("", "'\x1b[2J'", None));
        folded.add("x", evaluated("", "", Some("ValueError: no")));
        folded.add("y", evaluated("", "", None));
        let text = folded.text(true);
        assert_eq!(text.stdout, "2 hosts (web[1-2]): '\\x1b[2J'\ndb:\n    one\n    two\n    3\n");
        assert_eq!(text.stderr, "x: ValueError: no\n");
    }

    #[test]
    fn single_target_has_no_label() {
        let mut folded = Folded::default();
        folded.add("web1", evaluated("", "5", None));
        assert_eq!(folded.text(false).stdout, "5\n");
    }
}
