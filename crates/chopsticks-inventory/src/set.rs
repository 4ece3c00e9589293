//! Sets of names, and the expressions that describe them.

use std::{collections::HashSet, fmt, str::FromStr};

use crate::{
    fold::fold,
    pattern::{InvalidNames, InvalidNamesKind, expand},
};

/// A set of names, in the order in which they were added.
///
/// ```
/// use chopsticks_inventory::NodeSet;
///
/// let set: NodeSet = "web[1-9]!web3, db[a-b]".parse()?;
/// assert_eq!(set.len(), 10);
/// assert_eq!(set.to_string(), "web[1-2], web[4-9], dba, dbb");
/// # Ok::<(), chopsticks_inventory::InvalidNames>(())
/// ```
///
/// A set is written as names with [ranges](expand), with an operator between them. Operators apply
/// from left to right:
///
/// | | |
/// |---|---|
/// | `a,b` | the names of `a` and of `b` |
/// | `a!b` | the names of `a` that are not in `b` |
/// | `a&b` | the names that are in both |
#[derive(Clone, Debug, Default, Eq)]
pub struct NodeSet {
    names: Vec<String>,
    known: HashSet<String>,
}

/// What is done with an operand of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operator {
    Add,
    Keep,
    Remove,
}

/// An operand of an expression, and what is done with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Term<'a> {
    pub(crate) operator: Operator,
    pub(crate) text: &'a str,
}

impl NodeSet {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns whether `name` is one of the names.
    pub fn contains(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Returns the names, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Adds a name. Returns whether it is new.
    pub fn insert(&mut self, name: impl Into<String>) -> bool {
        let name = name.into();
        let is_new = self.known.insert(name.clone());
        if is_new {
            self.names.push(name);
        }
        is_new
    }

    /// Returns the names of this set, followed by those that only `other` has.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.extend(other.names.iter().cloned());
        self
    }

    /// Returns the names that both sets have.
    #[must_use]
    pub fn intersection(self, other: &Self) -> Self {
        self.names.into_iter().filter(|name| other.contains(name)).collect()
    }

    /// Returns the names that `other` does not have.
    #[must_use]
    pub fn difference(self, other: &Self) -> Self {
        self.names.into_iter().filter(|name| !other.contains(name)).collect()
    }
}

/// Sets are equal if they have the same names, in any order.
impl PartialEq for NodeSet {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known
    }
}

impl Extend<String> for NodeSet {
    fn extend<I: IntoIterator<Item = String>>(&mut self, names: I) {
        for name in names {
            self.insert(name);
        }
    }
}

impl FromIterator<String> for NodeSet {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let mut set = Self::new();
        set.extend(names);
        set
    }
}

/// Writes the names as [`fold`] does.
impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fold(self.iter()))
    }
}

impl FromStr for NodeSet {
    type Err = InvalidNames;

    fn from_str(text: &str) -> Result<Self, InvalidNames> {
        let mut set = Self::new();
        for term in terms(text)? {
            let names: Self = expand(term.text)?.into_iter().collect();
            set = match term.operator {
                Operator::Add => set.union(&names),
                Operator::Keep => set.intersection(&names),
                Operator::Remove => set.difference(&names),
            };
            if set.len() > crate::MAX_NAMES {
                return Err(InvalidNames::new(shortened(text), InvalidNamesKind::TooMany));
            }
        }
        Ok(set)
    }
}

/// Splits an expression into its operands.
///
/// Operators have no meaning between brackets, nor in the settings of a target, which extend from a
/// `?` to the next comma. `exec:` takes the rest, because commands contain all of these characters.
pub(crate) fn terms(text: &str) -> Result<Vec<Term<'_>>, InvalidNames> {
    let mut terms = Vec::new();
    let mut operator = Operator::Add;
    let (mut begin, mut depth, mut is_setting, mut is_command) = (0, 0_usize, false, false);
    for (at, character) in text.char_indices() {
        if is_command || starts_command(&text[begin..at], &text[at..]) {
            is_command = true;
            continue;
        }
        let next = match character {
            '[' => {
                depth += 1;
                continue;
            }
            ']' => {
                depth = depth.saturating_sub(1);
                continue;
            }
            '?' if depth == 0 => {
                is_setting = true;
                continue;
            }
            ',' if depth == 0 || is_setting => Operator::Add,
            '!' if depth == 0 && !is_setting => Operator::Remove,
            '&' if depth == 0 && !is_setting => Operator::Keep,
            _ => continue,
        };
        let operand = text[begin..at].trim();
        if !operand.is_empty() {
            terms.push(Term { operator, text: operand });
        // `a,!b` is how some write `a!b`.
        } else if operator != Operator::Add || next == Operator::Add || terms.is_empty() {
            return Err(InvalidNames::new(shortened(text), InvalidNamesKind::Empty));
        }
        (operator, begin, depth, is_setting) = (next, at + 1, 0, false);
    }
    let operand = text[begin..].trim();
    if operand.is_empty() {
        return Err(InvalidNames::new(shortened(text), InvalidNamesKind::Empty));
    }
    terms.push(Term { operator, text: operand });
    Ok(terms)
}

/// Returns whether `exec:` begins here: at the start of an operand, after its name or after a hop.
fn starts_command(before: &str, rest: &str) -> bool {
    rest.starts_with("exec:")
        && match before.trim_start().strip_suffix('=') {
            Some(name) => !name.contains([':', '/', '?', '@', '=']),
            None => before.trim_start().is_empty() || before.ends_with('/'),
        }
}

/// Cuts a text to what an error may show.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// How many characters of a text an error shows.
const SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> String {
        let set: NodeSet = text.parse().unwrap();
        set.iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn operators_apply_from_left_to_right() {
        assert_eq!(set("web[1-4]!web3"), "web1 web2 web4");
        assert_eq!(set("web[1-4],!web3"), "web1 web2 web4");
        assert_eq!(set("web[1-9]&web[3-4,20]"), "web3 web4");
        assert_eq!(set("a!a,a"), "a");
        assert_eq!(set(" web[1-2] , db , web1 "), "web1 web2 db");
    }

    #[test]
    fn missing_names_are_refused() {
        for text in ["", ",", "a,", ",a", "a,,b", "a!", "!a", "a!!b", "a!,b", "a & "] {
            let error = text.parse::<NodeSet>().unwrap_err();
            assert_eq!(error.kind(), &InvalidNamesKind::Empty, "{text}");
        }
    }

    #[test]
    fn settings_and_commands_may_contain_operators() {
        let texts = |text| terms(text).unwrap().iter().map(|term| term.text).collect::<Vec<_>>();
        assert_eq!(texts("a?env=X=1!&python=p,b"), ["a?env=X=1!&python=p", "b"]);
        assert_eq!(texts("a?env=X=[1,b"), ["a?env=X=[1", "b"]);
        assert_eq!(texts("a,job=exec:sh -c 'a,b!c&d'"), ["a", "job=exec:sh -c 'a,b!c&d'"]);
        assert_eq!(texts("a/sudo:b,c/exec:d e,f"), ["a/sudo:b", "c/exec:d e,f"]);
        assert_eq!(texts("web?env=A=exec:,b"), ["web?env=A=exec:", "b"]);
        assert_eq!(texts("root@[::1],b"), ["root@[::1]", "b"]);
    }

    #[test]
    fn sum_of_many_texts_is_bounded() {
        let text = ["a[1-60000]", "b[1-60000]"].join(",");
        assert_eq!(text.parse::<NodeSet>().unwrap_err().kind(), &InvalidNamesKind::TooMany);
    }
}
