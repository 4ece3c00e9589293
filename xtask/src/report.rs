//! How the parts of a task went: the closing table, and what counts as a failure.

/// What to make of a part that cannot be run because something is not installed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Strictness {
    /// It is mentioned.
    Lenient,
    /// It is a failure.
    Strict,
    /// Nothing else was asked for: it is a failure, unless it is but a half.
    Alone,
}

impl Strictness {
    /// Returns what the presence of `--strict` means.
    pub(crate) fn from_flag(strict: bool) -> Self {
        if strict { Self::Strict } else { Self::Lenient }
    }

    /// Returns a line about the parts that were not run.
    pub(crate) fn verdict_on_what_was_not_run(self) -> &'static str {
        match self {
            Self::Lenient => "What was not run counts as no failure without --strict.",
            Self::Strict => "What was not run counts as a failure: --strict.",
            Self::Alone => "What was not run counts as a failure, unless it is but a half.",
        }
    }
}

/// How a part went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Failed,
    NotRun,
    Ran,
    RanInPart,
}

impl Outcome {
    pub(crate) fn is_fine(self, strictness: Strictness) -> bool {
        match self {
            Self::Ran => true,
            Self::NotRun => strictness == Strictness::Lenient,
            Self::RanInPart => strictness != Strictness::Strict,
            Self::Failed => false,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::NotRun => "NOT RUN",
            Self::Ran => "ran",
            Self::RanInPart => "HALF",
        }
    }
}

/// Returns the lines of a table with a row for each part.
pub(crate) fn table<'a>(
    what: &str,
    rows: impl IntoIterator<Item = (&'a str, Outcome, String)>,
) -> Vec<String> {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, ..)| name.len()).chain([what.len()]).max().unwrap_or_default();
    let heading = format!("{what:width$}  {:7}  remarks", "outcome");
    let rows = rows.into_iter().map(|(name, outcome, remark)| {
        format!("{name:width$}  {:7}  {remark}", outcome.as_str()).trim_end().to_owned()
    });
    std::iter::once(heading).chain(rows).collect()
}

/// Returns the part of a task's help that lists the parts.
pub(crate) fn help<'a>(title: &str, parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let parts: Vec<_> = parts.into_iter().collect();
    let width = parts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = parts.iter().map(|(name, about)| format!("\n  {name:width$}  {about}"));
    format!("{title}:{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictness_decides_on_what_was_not_run_alone() {
        for strictness in [Strictness::Lenient, Strictness::Strict] {
            assert!(Outcome::Ran.is_fine(strictness));
            assert!(!Outcome::Failed.is_fine(strictness));
        }
        assert!(Outcome::NotRun.is_fine(Strictness::from_flag(false)));
        assert!(!Outcome::NotRun.is_fine(Strictness::from_flag(true)));
        assert!(!Outcome::NotRun.is_fine(Strictness::Alone));
        assert!(Outcome::RanInPart.is_fine(Strictness::Alone));
        assert!(!Outcome::RanInPart.is_fine(Strictness::Strict));
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [("a", Outcome::Ran, String::new()), ("longer", Outcome::NotRun, "why".to_owned())];
        assert_eq!(table("step", rows), ["step    outcome  remarks", "a       ran", "longer  NOT RUN  why"]);
        assert_eq!(help("Steps", [("a", "one"), ("bc", "two")]), "Steps:\n  a   one\n  bc  two");
    }
}
