//! Names as a short text: `web[1-7]`.

/// Names in a row that differ in one number, or a single name.
///
/// Its text is the name, or a range such as `web[1-7]`, which [`expand`](crate::expand) reads back.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    name: &'a str,
    before: &'a str,
    after: &'a str,
    /// The first number with its digits, and the last one. `None` in names without a number.
    start: Option<(&'a str, u64)>,
    end: Option<u64>,
}

/// Returns runs of names, in the given order: names whose last numbers are consecutive become one
/// run.
pub fn runs<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for name in names {
        let run = Run::new(name);
        match runs.last_mut() {
            Some(last) if last.precedes(&run) => last.end = run.end,
            _ => runs.push(run),
        }
    }
    runs
}

/// Returns the names as a text, separated by commas. Consecutive numbers are written as `web[1-7]`.
///
/// The text reads back as the same names in the same order, unless a name contains a character that
/// has a meaning in [sets of names](crate::NodeSet).
///
/// ```
/// assert_eq!(chopsticks_inventory::fold(["web1", "web2", "web3", "db1"]), "web[1-3], db1");
/// ```
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<_> = runs(names).iter().map(Run::to_string).collect();
    texts.join(", ")
}

impl<'a> Run<'a> {
    fn new(name: &'a str) -> Self {
        let digits_end = name.rfind(|character: char| character.is_ascii_digit()).map_or(0, |at| at + 1);
        let before = name[..digits_end].trim_end_matches(|character: char| character.is_ascii_digit());
        let digits = &name[before.len()..digits_end];
        let number = digits.parse().ok();
        Self {
            name,
            before,
            after: &name[digits_end..],
            start: number.map(|number| (digits, number)),
            end: number,
        }
    }

    /// Returns whether `next` is a single name that continues the run.
    fn precedes(&self, next: &Self) -> bool {
        let (Some((first, _)), Some(end), Some((digits, number))) = (self.start, self.end, next.start) else {
            return false;
        };
        // `09` is followed by `10`, and `9` as well; `10` is not followed by `011`.
        let has_zeros = first.starts_with('0') && first.len() > 1 || digits.starts_with('0');
        (self.before, self.after) == (next.before, next.after)
            && end.checked_add(1) == Some(number)
            && (!has_zeros || first.len() == digits.len())
    }

    /// Returns how many names the run has.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> u64 {
        match (self.start, self.end) {
            (Some((_, start)), Some(end)) => end - start + 1,
            _ => 1,
        }
    }
}

impl std::fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.start, self.end) {
            (Some((digits, start)), Some(end)) if end > start => {
                let (before, after, width) = (self.before, self.after, digits.len());
                write!(f, "{before}[{digits}-{end:0width$}]{after}")
            }
            _ => f.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_numbers_in_a_row_are_folded() {
        for (names, expected) in [
            (&["web1", "web2", "web3", "db1", "web4"][..], "web[1-3], db1, web4"),
            (&["n08.x", "n09.x", "n10.x", "n11.y"], "n[08-10].x, n11.y"),
            (&["a9", "a10", "a011", "b", "7", "8"], "a[9-10], a011, b, [7-8]"),
            (&["a0", "a1", "a10", "a11"], "a[0-1], a[10-11]"),
            (&["n99", "n100"], "n[99-100]"),
            (&["a18446744073709551615", "a0"], "a18446744073709551615, a0"),
            (&["a99999999999999999999"], "a99999999999999999999"),
        ] {
            assert_eq!(fold(names.iter().copied()), expected);
        }
    }
}
