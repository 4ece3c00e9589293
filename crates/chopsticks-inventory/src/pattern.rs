//! Ranges within names: `web[01-20,35]`.

use std::iter;

use thiserror::Error;

/// A name with ranges, which stands for many names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    /// What stands between brackets.
    Items(Vec<Item>),
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Item {
    Letters {
        first: u8,
        last: u8,
        step: u64,
    },
    /// Numbers with at least `width` digits.
    Numbers {
        first: u64,
        last: u64,
        step: u64,
        width: usize,
    },
    Text(String),
}

/// How ranges are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// `[01:20]`, `[a:f]`, `[1:9:2]`, as Ansible has them.
    Colons,
    /// `[01-20,35]`, `[a-f]`, `[1-9/2]`.
    Hyphens,
}

/// Error for a text that does not describe a set of names.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("invalid names '{text}': {kind}")]
pub struct InvalidNames {
    text: String,
    #[source]
    kind: InvalidNamesKind,
}

/// What is wrong with a text that should describe a set of names.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidNamesKind {
    /// A bracket has no partner.
    #[error("a bracket has no partner")]
    Bracket,
    /// A part between commas, or an operand of `!` or `&`, is missing.
    #[error("a name is missing")]
    Empty,
    /// A name and its target stand for different numbers of hosts.
    #[error("{names} names stand for {targets} targets")]
    Pairs {
        /// How many names there are.
        names: usize,
        /// How many targets there are.
        targets: usize,
    },
    /// The text between brackets is not a range.
    #[error("`{0}` is not a range, such as `1-20`, `01-20`, `a-f` or `1-9/2`")]
    Range(String),
    /// A range ends before it begins.
    #[error("the range `{0}` ends before it begins")]
    Reversed(String),
    /// The text stands for more names than [`MAX_NAMES`], or for names that take
    /// more than 64 MiB together.
    #[error("it stands for too many names; at most {} are accepted, and 64 MiB", MAX_NAMES)]
    TooMany,
}

/// The largest number of names that one text may stand for: 100000.
pub const MAX_NAMES: usize = 100_000;

/// How long all names of a text may be together.
const MAX_BYTES: usize = 64 << 20;

impl InvalidNames {
    pub(crate) fn new(text: impl Into<String>, kind: InvalidNamesKind) -> Self {
        Self { text: text.into(), kind }
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> &InvalidNamesKind {
        &self.kind
    }
}

/// Returns all names that `text` stands for: the names for each combination of what is between its
/// brackets, with the last bracket changing fastest.
///
/// `[1-20]` stands for numbers, `[01-20]` for numbers with leading zeros, and `[a-f]` for letters.
/// `[1-9/2]` has a step. Commas separate several of these, and words: `[1-3,7,spare]`. Brackets
/// that contain a colon belong to an IPv6 address and stand for themselves.
///
/// ```
/// let names = chopsticks_inventory::expand("web[1-3/2]-[a,b]")?;
/// assert_eq!(names, ["web1-a", "web1-b", "web3-a", "web3-b"]);
/// # Ok::<(), chopsticks_inventory::InvalidNames>(())
/// ```
///
/// # Errors
///
/// [`InvalidNames`] if a bracket is not closed or contains something else, or if there would be
/// more names than [`MAX_NAMES`].
pub fn expand(text: &str) -> Result<Vec<String>, InvalidNames> {
    expand_as(text, Style::Hyphens)
}

pub(crate) fn expand_as(text: &str, style: Style) -> Result<Vec<String>, InvalidNames> {
    let expanded = Pattern::parse(text, style).and_then(|pattern| pattern.names());
    expanded.map_err(|kind| InvalidNames::new(text, kind))
}

impl Pattern {
    fn parse(text: &str, style: Style) -> Result<Self, InvalidNamesKind> {
        let (mut parts, mut rest, mut plain) = (Vec::new(), text, String::new());
        while let Some(at) = rest.find(['[', ']']) {
            let (before, behind) = (&rest[..at], &rest[at + 1..]);
            plain.push_str(before);
            if rest.as_bytes()[at] == b']' {
                return Err(InvalidNamesKind::Bracket);
            }
            let end = behind.find(']').ok_or(InvalidNamesKind::Bracket)?;
            let inside = &behind[..end];
            if inside.contains('[') {
                return Err(InvalidNamesKind::Bracket);
            }
            rest = &behind[end + 1..];
            if style == Style::Hyphens && inside.contains(':') {
                plain.push('[');
                plain.push_str(inside);
                plain.push(']');
                continue;
            }
            parts.push(Part::Text(std::mem::take(&mut plain)));
            let items = match style {
                Style::Colons => vec![Item::of_colons(inside)?],
                Style::Hyphens => inside.split(',').map(Item::of_hyphens).collect::<Result<_, _>>()?,
            };
            parts.push(Part::Items(items));
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self { parts })
    }

    fn names(&self) -> Result<Vec<String>, InvalidNamesKind> {
        // Both are known before any name is made.
        let (mut count, mut longest) = (1_usize, 0_usize);
        for part in &self.parts {
            match part {
                Part::Text(text) => longest += text.len(),
                Part::Items(items) => {
                    let sum = items.iter().fold(0_usize, |sum, item| sum.saturating_add(item.len()));
                    count = count.saturating_mul(sum);
                    longest += items.iter().map(Item::longest).max().unwrap_or(0);
                }
            }
        }
        if count > MAX_NAMES || count.saturating_mul(longest) > MAX_BYTES {
            return Err(InvalidNamesKind::TooMany);
        }
        let mut names = vec![String::new()];
        for part in &self.parts {
            match part {
                Part::Text(text) => names.iter_mut().for_each(|name| name.push_str(text)),
                Part::Items(items) => {
                    let texts: Vec<_> = items.iter().flat_map(Item::texts).collect();
                    let longer = |name: &String| texts.iter().map(|text| format!("{name}{text}")).collect();
                    names = names.iter().flat_map(|name| -> Vec<String> { longer(name) }).collect();
                }
            }
        }
        Ok(names)
    }
}

impl Item {
    fn of_hyphens(text: &str) -> Result<Self, InvalidNamesKind> {
        let text = text.trim();
        let invalid = || InvalidNamesKind::Range(text.to_owned());
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(invalid());
        }
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (text, None),
        };
        match (range.split_once('-'), step) {
            (Some((first, last)), step) => Self::range(text, first, last, step),
            (None, None) => Ok(Self::Text(text.to_owned())),
            (None, Some(_)) => Err(invalid()),
        }
    }

    fn of_colons(text: &str) -> Result<Self, InvalidNamesKind> {
        let words: Vec<_> = text.split(':').collect();
        match words[..] {
            [first, last] => Self::range(text, first, last, None),
            [first, last, step] => Self::range(text, first, last, Some(step)),
            _ => Err(InvalidNamesKind::Range(text.to_owned())),
        }
    }

    fn range(text: &str, first: &str, last: &str, step: Option<&str>) -> Result<Self, InvalidNamesKind> {
        let invalid = || InvalidNamesKind::Range(text.to_owned());
        let number = |digits: &str| match digits.bytes().all(|digit| digit.is_ascii_digit()) {
            true => digits.parse::<u64>().ok(),
            false => None,
        };
        let step = match step {
            Some(step) => number(step).filter(|&step| step > 0).ok_or_else(invalid)?,
            None => 1,
        };
        let item = match (number(first), number(last)) {
            (Some(from), Some(to)) => {
                // What `[1-010]` would stand for cannot be known.
                if last.len() > 1 && last.starts_with('0') && last.len() != first.len() {
                    return Err(invalid());
                }
                let width = if first.starts_with('0') { first.len() } else { 1 };
                Self::Numbers { first: from, last: to, step, width }
            }
            _ => match (first.as_bytes(), last.as_bytes()) {
                (&[from], &[to]) if is_letter_pair(from, to) => Self::Letters { first: from, last: to, step },
                _ => return Err(invalid()),
            },
        };
        if item.len() == 0 { Err(InvalidNamesKind::Reversed(text.to_owned())) } else { Ok(item) }
    }

    fn len(&self) -> usize {
        let count = |first: u64, last: u64, step: u64| match last.checked_sub(first) {
            Some(difference) => usize::try_from(difference / step).unwrap_or(usize::MAX).saturating_add(1),
            None => 0,
        };
        match *self {
            Self::Letters { first, last, step } => count(first.into(), last.into(), step),
            Self::Numbers { first, last, step, .. } => count(first, last, step),
            Self::Text(_) => 1,
        }
    }

    fn longest(&self) -> usize {
        match self {
            Self::Letters { .. } => 1,
            Self::Numbers { width, .. } => DIGITS.max(*width),
            Self::Text(text) => text.len(),
        }
    }

    fn texts(&self) -> Vec<String> {
        let steps = |first: u64, last: u64, step: u64| {
            iter::successors(Some(first), move |number| number.checked_add(step))
                .take_while(move |number| *number <= last)
        };
        match self {
            Self::Letters { first, last, step } => {
                let letters = steps((*first).into(), (*last).into(), *step);
                letters
                    .filter_map(|letter| u8::try_from(letter).ok())
                    .map(|it| char::from(it).into())
                    .collect()
            }
            Self::Numbers { first, last, step, width } => {
                steps(*first, *last, *step).map(|number| format!("{number:0width$}")).collect()
            }
            Self::Text(text) => vec![text.clone()],
        }
    }
}

fn is_letter_pair(first: u8, last: u8) -> bool {
    first.is_ascii_lowercase() && last.is_ascii_lowercase()
        || first.is_ascii_uppercase() && last.is_ascii_uppercase()
}

/// How many digits a number has at most.
const DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> InvalidNamesKind {
        expand(text).unwrap_err().kind
    }

    #[test]
    fn ranges_have_zeros_steps_letters_and_words() {
        for (text, expected) in [
            ("web1", &["web1"][..]),
            ("web[8-10]", &["web8", "web9", "web10"]),
            ("web[08-10].x", &["web08.x", "web09.x", "web10.x"]),
            ("n[098-101/2]", &["n098", "n100"]),
            ("n[1-2,7,spare]", &["n1", "n2", "n7", "nspare"]),
            ("db[a-c].example.com", &["dba.example.com", "dbb.example.com", "dbc.example.com"]),
            ("r[1-2]n[1-2]", &["r1n1", "r1n2", "r2n1", "r2n2"]),
            ("[X-Z/2]", &["X", "Z"]),
            ("root@[::1]:[22-23]", &["root@[::1]:22", "root@[::1]:23"]),
            (
                "a[18446744073709551614-18446744073709551615]",
                &["a18446744073709551614", "a18446744073709551615"],
            ),
        ] {
            assert_eq!(expand(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn ranges_of_ansible_have_colons() {
        let names = |text| expand_as(text, Style::Colons).unwrap();
        assert_eq!(names("www[01:03].x"), ["www01.x", "www02.x", "www03.x"]);
        assert_eq!(names("db-[a:c]"), ["db-a", "db-b", "db-c"]);
        assert_eq!(names("n[1:5:2]"), ["n1", "n3", "n5"]);
        assert!(expand_as("n[1-5]", Style::Colons).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["web[1-3", "web1-3]", "web[[1-2]]"] {
            assert_eq!(kind(text), InvalidNamesKind::Bracket, "{text}");
        }
        for (text, range) in [
            ("web[]", ""),
            ("w[1,]", ""),
            ("w[1-]", "1-"),
            ("w[a-9]", "a-9"),
            ("w[a-F]", "a-F"),
            ("w[ab-cd]", "ab-cd"),
            ("w[1-9/0]", "1-9/0"),
            ("w[1/2]", "1/2"),
            ("w[1-010]", "1-010"),
            ("w[1-18446744073709551616]", "1-18446744073709551616"),
        ] {
            assert_eq!(kind(text), InvalidNamesKind::Range(range.to_owned()), "{text}");
        }
        assert_eq!(kind("w[9-1]"), InvalidNamesKind::Reversed("9-1".to_owned()));
        let message = expand("w[9-1]").unwrap_err().to_string();
        assert_eq!(message, "invalid names 'w[9-1]': the range `9-1` ends before it begins");
    }

    #[test]
    fn too_many_names_are_refused_before_they_are_made() {
        for text in [
            "web[1-999999999]",
            "a[0-18446744073709551615]b[0-18446744073709551615]",
            "[1-1000][1-1000]",
            &format!("[1-100000]{}", "x".repeat(1000)),
        ] {
            assert_eq!(kind(text), InvalidNamesKind::TooMany, "{text}");
        }
        assert_eq!(expand("w[1-100000]").unwrap().len(), MAX_NAMES);
    }
}
