//! The outcomes of many targets, as a table for people.

use std::{fmt::Write as _, time::Duration};

use chopsticks::{
    HostName,
    inventory::{Run, runs},
    text::harmless_line,
};

use crate::{
    outcome::Failure,
    output::paint::{self, Paint},
};

/// The targets by the kind of their outcome.
#[derive(Debug, Default)]
pub(super) struct Summary {
    kinds: Vec<Kind>,
}

/// Targets whose outcomes are of the same kind.
#[derive(Debug)]
struct Kind {
    /// `None` for success.
    failure: Option<String>,
    is_mild: bool,
    /// With their positions among all targets.
    hosts: Vec<(usize, HostName)>,
    /// Which target was done last, and when.
    last: (Duration, HostName),
}

/// When the table is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Show {
    Always,
    /// If there are so many targets that failures are hard to see among the others, and some have
    /// failed.
    #[default]
    ManyAndFailed,
}

impl Summary {
    /// Adds the outcome of a target. `took` is the time from the start of the run.
    pub(super) fn add(&mut self, index: usize, host: HostName, took: Duration, failure: Option<&Failure>) {
        let label = failure.map(label);
        let last = (took, host.clone());
        let Some(kind) = self.kinds.iter_mut().find(|kind| kind.failure == label) else {
            let is_mild = failure.is_some_and(|failure| failure.is_interrupted() || failure.is_not_started());
            self.kinds.push(Kind { failure: label, is_mild, hosts: vec![(index, host)], last });
            return;
        };
        kind.hosts.push((index, host));
        if took >= kind.last.0 {
            kind.last = last;
        }
    }

    /// Composes the table, unless it is not needed: success first, and then the most frequent
    /// failures.
    pub(super) fn text(&mut self, show: Show, paint: Paint) -> String {
        let total: usize = self.kinds.iter().map(|kind| kind.hosts.len()).sum();
        let has_failures = self.kinds.iter().any(|kind| kind.failure.is_some());
        if total == 0 || show == Show::ManyAndFailed && (total <= FEW || !has_failures) {
            return String::new();
        }
        self.kinds.sort_by_key(|kind| (kind.failure.is_some(), std::cmp::Reverse(kind.hosts.len())));
        let mut rows = vec![HEADS.map(str::to_owned)];
        for kind in &mut self.kinds {
            kind.hosts.sort_by_key(|(index, _)| *index);
            let (took, host) = &kind.last;
            rows.push([
                kind.failure.clone().unwrap_or_else(|| "ok".to_owned()),
                kind.hosts.len().to_string(),
                format!("{:.2} s, {}", took.as_secs_f64(), harmless_line(host.as_str())),
                harmless_line(&folded(kind.hosts.iter().map(|(_, host)| host.as_str()))).into_owned(),
            ]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        let styles = self.kinds.iter().map(|kind| match kind {
            Kind { failure: None, .. } => paint::HOST,
            Kind { is_mild: true, .. } => paint::WARNING,
            Kind { .. } => paint::ERROR,
        });
        let mut out = String::new();
        for (style, [outcome, count, last, which]) in [paint::PLAIN].into_iter().chain(styles).zip(&rows) {
            paint.push(&mut out, style, outcome);
            let padding = widths[0] - outcome.chars().count();
            let (count_width, last_width) = (widths[1] + GAP + padding, widths[2]);
            // Writing to a string does not fail.
            let _ = writeln!(out, "{count:>count_width$}  {last:last_width$}  {which}");
        }
        out
    }
}

/// Returns the fixed name of a failure and its cause if known, or else the phase if it is not the
/// usual one.
fn label(failure: &Failure) -> String {
    let Failure { kind, phase, hint, .. } = failure;
    match hint {
        Some(hint) => format!("{kind}, {}", hint.cause()),
        None if phase == "call" => (*kind).to_owned(),
        None => format!("{kind} in {phase}"),
    }
}

/// Returns the names. Consecutive numbers are written as `web[1-7]`. If there are very many names,
/// only the first ones are returned.
pub(super) fn folded<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let runs = runs(names);
    let texts: Vec<_> = runs.iter().take(NAMES_SHOWN).map(Run::to_string).collect();
    let mut text = texts.join(", ");
    let left: u64 = runs.iter().skip(NAMES_SHOWN).map(Run::len).sum();
    if left > 0 {
        let _ = write!(text, " and {left} more");
    }
    text
}

const HEADS: [&str; 4] = ["OUTCOME", "HOSTS", "LAST", "WHICH"];
const GAP: usize = 2;
/// The number of targets that can be seen at a glance.
const FEW: usize = 10;
/// The number of names, or runs of names, that fit into a few lines. All failed targets are in the
/// file of `--failed`.
const NAMES_SHOWN: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[test]
    fn names_with_numbers_in_a_row_are_folded() {
        let text = |names: &[&str]| folded(names.iter().copied());
        assert_eq!(text(&["web1", "web2", "web3", "db1", "web4"]), "web[1-3], db1, web4");
        let many: Vec<_> = (0..100).map(|number| format!("h{}", number * 2)).collect();
        assert!(folded(many.iter().map(String::as_str)).ends_with(", h58 and 70 more"));
    }

    #[test]
    fn failures_of_many_are_told_by_their_kind() {
        let mut summary = Summary::default();
        let failed = Failure::of_call("raised", "no");
        let lost = Failure { phase: "handshake".to_owned(), ..Failure::of_call("timeout", "late") };
        let seconds = Duration::from_secs;
        for number in (0..10).rev() {
            summary.add(number, host(&format!("web{number}")), seconds(number as u64), None);
        }
        assert_eq!(summary.text(Show::ManyAndFailed, Paint::new(false)), "");
        summary.add(11, host("c"), seconds(60), Some(&lost));
        summary.add(10, host("b"), seconds(2), Some(&failed));
        summary.add(12, host("d"), seconds(61), Some(&lost));
        let expected = "\
OUTCOME               HOSTS  LAST          WHICH
ok                       10  9.00 s, web9  web[0-9]
timeout in handshake      2  61.00 s, d    c, d
raised                    1  2.00 s, b     b
";
        assert_eq!(summary.text(Show::ManyAndFailed, Paint::new(false)), expected);
    }

    #[test]
    fn table_of_few_is_shown_when_it_is_asked_for() {
        let mut summary = Summary::default();
        assert_eq!(summary.text(Show::Always, Paint::new(false)), "");
        let failure = Failure::not_started("too many had failed".to_owned());
        summary.add(0, host("a"), Duration::ZERO, Some(&failure));
        assert_eq!(summary.text(Show::ManyAndFailed, Paint::new(false)), "");
        let text = summary.text(Show::Always, Paint::new(true));
        assert!(text.contains("not-started") && text.contains("0.00 s, a  a\n"), "{text:?}");
    }
}
