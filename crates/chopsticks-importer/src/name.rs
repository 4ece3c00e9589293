//! Names of modules.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The full name of a module, such as `ops.deploy`: one or more parts, separated by dots.
///
/// A part need not be an identifier, because `importlib.import_module` accepts names such as
/// `migrations.0001_initial`. It is not empty and contains no `/`, `\`, `:` and no control
/// characters, so a name can never be a path that leads out of its root.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ModuleName(String);

/// Error for a text that cannot be the name of a module.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text:?} is not the name of a Python module")]
pub struct InvalidModuleName {
    text: String,
}

impl ModuleName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the parts between the dots, outermost first.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Returns this name and those of the packages around it, outermost first.
    pub fn lineage(&self) -> impl Iterator<Item = Self> {
        let ends = self.0.match_indices('.').map(|(at, _)| at).chain([self.0.len()]);
        ends.map(|end| Self(self.0[..end].to_owned()))
    }

    /// Returns the part after the last dot.
    pub(crate) fn last(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(_, last)| last)
    }

    /// Returns the name of the module `path` below this one. `path` may contain dots.
    pub(crate) fn below(&self, path: &str) -> Option<Self> {
        format!("{self}.{path}").parse().ok()
    }

    /// Returns the name of the package around this module, or `None` for an outermost module.
    pub(crate) fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(parent, _)| Self(parent.to_owned()))
    }
}

impl FromStr for ModuleName {
    type Err = InvalidModuleName;

    fn from_str(text: &str) -> Result<Self, InvalidModuleName> {
        if text.len() <= MAX_LEN && text.split('.').all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidModuleName { text: text.chars().take(MAX_LEN).collect() })
        }
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether `text` can be the name of a module in its package.
pub(crate) fn is_part(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| matches!(c, '.' | '/' | '\\' | ':') || c.is_control())
}

/// Returns whether an `import` statement can name the module `text`.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.chars().next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}

/// Longer names are refused. Paths on common systems end at 4096 bytes.
const MAX_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_python_could_import_are_accepted() {
        for good in ["a", "ops.deploy", "_x.y1", "naïve.模块", "app.0001_initial", "my-mod", "a b", "a.~"]
        {
            assert_eq!(good.parse::<ModuleName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "...",
            "a.",
            ".a",
            "a..b",
            "../x",
            "a/b",
            "/etc/passwd",
            "a\\b",
            "a\0",
            "a\n",
            "a\u{85}",
            "C:",
            "a.C:x",
            "a.b:stream",
        ] {
            assert!(bad.parse::<ModuleName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(MAX_LEN + 1).parse::<ModuleName>().is_err());
    }

    #[test]
    fn lineage_begins_with_the_outermost_package() {
        let name: ModuleName = "a.b.c".parse().unwrap();
        let names: Vec<String> = name.lineage().map(|n| n.to_string()).collect();
        assert_eq!(names, ["a", "a.b", "a.b.c"]);
    }
}
