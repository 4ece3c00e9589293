//! The functions of a program, as its file shows them.

use std::collections::BTreeMap;

use memchr::memmem;

use crate::registry;

/// The functions of a program, to compare it with another one.
///
/// A program that was built for another kind of machine cannot be run here to ask it. But each
/// function has left a mark in its file: the name of the function, and hashes of its signature and
/// of its source. So a program that was built from another source can be recognised before it is
/// sent.
///
/// ```
/// use chopsticks_function::{Catalog, function};
///
/// #[function]
/// fn double(number: u64) -> u64 {
///     number * 2
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mine = Catalog::of_this_program();
/// let file = Catalog::of_file(&std::fs::read("/proc/self/exe")?);
/// assert_eq!(mine, file);
/// assert_eq!(mine.stale(&file), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Catalog {
    functions: BTreeMap<String, Version>,
}

/// What a function was built from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Version {
    signature: u64,
    source: u64,
}

impl Catalog {
    /// Returns the functions of this program.
    pub fn of_this_program() -> Self {
        let functions = registry::marks().filter_map(|mark| read(mark.as_bytes().get(PREFIX.len()..)?));
        Self { functions: functions.collect() }
    }

    /// Returns the functions of the program in a file. Takes the content of the file, in any format.
    pub fn of_file(file: &[u8]) -> Self {
        let functions =
            memmem::find_iter(file, PREFIX).filter_map(|place| read(&file[place + PREFIX.len()..]));
        Self { functions: functions.collect() }
    }

    /// Returns how many functions there are.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Returns whether there are no functions.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// Returns the full names of the functions, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// Returns the name of a function that both programs have, and that was built from another source
    /// in `other`. What a function calls is not compared.
    pub fn stale(&self, other: &Self) -> Option<&str> {
        let differs = |(name, version): &(&String, &Version)| {
            other.functions.get(*name).is_some_and(|other| other != *version)
        };
        self.functions.iter().find(differs).map(|(name, _)| name.as_str())
    }

    /// Returns whether the programs have a function in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.functions.keys().any(|name| other.functions.contains_key(name))
    }
}

/// Reads what follows the prefix of a mark: two numbers of 16 digits, and a name that ends its line.
fn read(rest: &[u8]) -> Option<(String, Version)> {
    let number = |from: usize| {
        let digits = str::from_utf8(rest.get(from..from + 16)?).ok()?;
        (rest.get(from + 16) == Some(&b' ')).then(|| u64::from_str_radix(digits, 16).ok())?
    };
    let version = Version { signature: number(0)?, source: number(17)? };
    let name = rest.get(34..)?;
    let name = &name[..name.iter().take(MAX_NAME_LEN).position(|byte| *byte == b'\n')?];
    Some((str::from_utf8(name).ok()?.to_owned(), version))
}

/// What a mark begins with. The macro writes it.
const PREFIX: &[u8] = b"chopsticks-function/1 ";
const MAX_NAME_LEN: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(name: &str, signature: u64, source: u64) -> String {
        format!("\0noise chopsticks-function/1 {signature:016x} {source:016x} {name}\nnoise")
    }

    #[test]
    fn functions_of_a_file_are_found_and_compared() {
        let file = [mark("a::b", 1, 2), mark("a::c", 3, u64::MAX)].concat();
        let catalog = Catalog::of_file(file.as_bytes());
        assert_eq!(catalog.names().collect::<Vec<_>>(), ["a::b", "a::c"]);
        let same = Catalog::of_file(mark("a::b", 1, 2).as_bytes());
        assert!(catalog.stale(&same).is_none() && catalog.overlaps(&same));
        for other in [mark("a::b", 9, 2), mark("a::b", 1, 9)] {
            assert_eq!(catalog.stale(&Catalog::of_file(other.as_bytes())), Some("a::b"));
        }
        let other = Catalog::of_file(mark("a::d", 1, 2).as_bytes());
        assert!(catalog.stale(&other).is_none() && !catalog.overlaps(&other));
    }

    #[test]
    fn what_only_looks_like_a_mark_is_passed_over() {
        for text in [
            "",
            "chopsticks-function/1 ",
            "chopsticks-function/1 0000000000000001 0000000000000002 endless",
            "chopsticks-function/1 000000000000000x 0000000000000002 a\n",
            "chopsticks-function/1 0000000000000001-0000000000000002 a\n",
            "chopsticks-function/1 00000000000\u{e9}0001 0000000000000002 a\n",
        ] {
            assert!(Catalog::of_file(text.as_bytes()).is_empty(), "{text:?}");
        }
    }
}
