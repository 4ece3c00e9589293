//! The rules for what a codebase may serve.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{error::CodebaseError, path};

/// Where symbolic links of a folder may lead. Agents make requests to a codebase, and a link
/// decides what they can read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Links {
    /// To files and folders below the same root. Other links are refused.
    #[default]
    WithinRoot,
    /// Anywhere: everything that a link leads to is served.
    Anywhere,
}

/// Patterns and limits.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) links: Links,
    pub(crate) max_file_len: usize,
    exclude: Patterns,
    include: Patterns,
    unpack: Patterns,
    secrets: Patterns,
    /// The reason if nothing at all is served: an invalid pattern.
    invalid: Option<CodebaseError>,
}

/// What happens to a path for which data was requested.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate<'a> {
    Served,
    /// It is treated as missing, because it is not data.
    Hidden,
    /// It is excluded by this pattern.
    Excluded(&'a str),
}

#[derive(Clone, Debug, Default)]
struct Patterns {
    texts: Vec<String>,
    set: GlobSet,
}

impl Rules {
    pub(crate) fn exclude(&mut self, pattern: String) {
        let added = self.exclude.add(pattern);
        self.note(added);
    }

    pub(crate) fn include(&mut self, pattern: String) {
        let added = self.include.add(pattern);
        self.note(added);
    }

    pub(crate) fn unpack(&mut self, pattern: String) {
        let added = self.unpack.add(pattern);
        self.note(added);
    }

    /// Returns whether an outermost package or module must be written to the host's disk.
    pub(crate) fn unpacks(&self, name: &str) -> bool {
        self.unpack.find(name).is_some()
    }

    fn note(&mut self, added: Result<(), CodebaseError>) {
        if let Err(error) = added {
            self.invalid.get_or_insert(error);
        }
    }

    /// Checks the patterns themselves.
    pub(crate) fn check(&self) -> Result<(), CodebaseError> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    /// Returns whether a file or folder can be a module or lead to one.
    pub(crate) fn lets_import(&self, path: &str) -> bool {
        self.exclude.find(path).is_none()
    }

    /// Returns whether anything is excluded from being imported.
    pub(crate) fn restrict_imports(&self) -> bool {
        !self.exclude.set.is_empty()
    }

    /// Returns what happens to a file or folder as data.
    pub(crate) fn data(&self, path: &str) -> Fate<'_> {
        if let Some(pattern) = self.exclude.find(path) {
            return Fate::Excluded(pattern);
        }
        if self.include.find(path).is_some() {
            return Fate::Served;
        }
        if path.split('/').any(|part| part.starts_with('.') || part == "__pycache__") {
            return Fate::Hidden;
        }
        self.secrets.find(path).map_or(Fate::Served, Fate::Excluded)
    }
}

impl Default for Rules {
    fn default() -> Self {
        let mut secrets = Patterns::default();
        let added = SECRETS.iter().try_for_each(|pattern| secrets.add((*pattern).to_owned()));
        Self {
            links: Links::default(),
            max_file_len: MAX_FILE_LEN,
            exclude: Patterns::default(),
            include: Patterns::default(),
            unpack: Patterns::default(),
            secrets,
            invalid: added.err(),
        }
    }
}

impl Patterns {
    fn add(&mut self, pattern: String) -> Result<(), CodebaseError> {
        self.texts.push(pattern.clone());
        let mut set = GlobSetBuilder::new();
        for text in &self.texts {
            // A name matches at any depth, a path from the root on.
            let trimmed = text.trim_matches('/');
            let anchored = text.trim_end_matches('/').contains('/');
            let glob = if anchored { trimmed.to_owned() } else { format!("**/{trimmed}") };
            let glob = GlobBuilder::new(&glob).case_insensitive(true).literal_separator(true).build();
            set.add(glob.map_err(|error| invalid(&pattern, error))?);
        }
        self.set = set.build().map_err(|error| invalid(&pattern, error))?;
        Ok(())
    }

    /// Returns a pattern that matches the path or a folder around it.
    fn find(&self, path: &str) -> Option<&str> {
        if self.set.is_empty() {
            return None;
        }
        let found = path::lineage(path).find_map(|path| self.set.matches(path).first().copied())?;
        self.texts.get(found).map(String::as_str)
    }
}

fn invalid(pattern: &str, error: globset::Error) -> CodebaseError {
    CodebaseError::Pattern { pattern: pattern.to_owned(), message: error.kind().to_string() }
}

/// Keys and key stores, which are not data unless they are included.
const SECRETS: &[&str] = &[
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
];
/// Far more than any source. Data of such a size is better copied.
const MAX_FILE_LEN: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(exclude: &[&str], include: &[&str]) -> Rules {
        let mut rules = Rules::default();
        exclude.iter().for_each(|pattern| rules.exclude((*pattern).to_owned()));
        include.iter().for_each(|pattern| rules.include((*pattern).to_owned()));
        rules
    }

    #[test]
    fn secrets_and_hidden_files_are_no_data() {
        let rules = rules(&[], &[]);
        for path in ["p/.env", "p/.env.local", "p/.git/config", ".ssh/id", "p/__pycache__/x.pyc", "p/.x/y"] {
            assert_eq!(rules.data(path), Fate::Hidden, "{path}");
        }
        for path in ["p/a.pem", "p/A.PEM", "p/tls/x.key", "p/id_rsa", "p/id_ed25519.old", "p/x.pem/y"] {
            assert!(matches!(rules.data(path), Fate::Excluded(_)), "{path}");
        }
        for path in ["p/a.txt", "p/env", "p/key", "p/keys/a.json", "p/x.py", "p/pem"] {
            assert_eq!(rules.data(path), Fate::Served, "{path}");
            assert!(rules.lets_import(path));
        }
        // A module is code, whatever it is called.
        assert!(rules.lets_import("p/id_rsa.py"));
    }

    #[test]
    fn patterns_match_names_anywhere_and_paths_from_the_root() {
        let rules = rules(&["tests", "/a/b.py", "c/*.txt", "d/**/e"], &[]);
        for path in ["tests", "x/tests", "x/tests/y.py", "a/b.py", "c/x.txt", "d/e", "d/x/y/e/z"] {
            assert!(!rules.lets_import(path), "{path}");
        }
        for path in ["tests.py", "x/a/b.py", "c/x/y.txt", "d/f"] {
            assert!(rules.lets_import(path), "{path}");
        }
    }

    #[test]
    fn what_is_excluded_by_the_user_cannot_be_included() {
        let rules = rules(&["other.pem"], &["certifi/cacert.pem", ".well-known", "other.pem"]);
        assert_eq!(rules.data("certifi/cacert.pem"), Fate::Served);
        assert_eq!(rules.data("p/.well-known/x"), Fate::Served);
        assert_eq!(rules.data("x/cacert.pem"), Fate::Excluded("*.pem"));
        assert_eq!(rules.data("x/other.pem"), Fate::Excluded("other.pem"));
    }

    #[test]
    fn pattern_that_is_none_is_told() {
        let error = rules(&["a[", "b"], &[]).check().unwrap_err();
        assert!(error.to_string().contains("\"a[\""), "{error}");
    }
}
