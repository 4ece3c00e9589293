//! Patterns of what is left out of a folder.

use std::{fmt, io, path::Path, sync::Arc};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Patterns of files and folders that a transfer leaves out: it neither sends nor replaces nor
/// deletes them.
///
/// The patterns are those of `.gitignore` files:
///
/// * `*.o` matches names at any depth; `*` and `?` match no `/`.
/// * A pattern with `/` at the beginning or in the middle matches paths that start at the folder:
///   `/build`, `docs/*.html`.
/// * With `/` at the end it matches folders only: `cache/`.
/// * `**` matches any number of folders: `src/**/*.pyc`. `{a,b}` matches either.
/// * With `!` in front it takes back what an earlier pattern matches: `!keep.o`. The last pattern
///   that matches decides.
/// * What is in a folder that is left out is left out as well, and cannot be taken back.
///
/// ```
/// use std::path::Path;
///
/// use chopsticks_files::Excludes;
///
/// let excludes = Excludes::new(["*.o", "!main.o", "/target/"])?;
/// assert!(excludes.matches(Path::new("src/a.o"), false));
/// assert!(!excludes.matches(Path::new("src/main.o"), false));
/// assert!(excludes.matches(Path::new("target"), true));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Excludes(Option<Arc<Gitignore>>);

impl Excludes {
    /// Reads patterns.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), with the first pattern that cannot be read.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        builder.allow_unclosed_class(false);
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let added = builder.add_line(None, pattern);
            added.map_err(|error| invalid(format!("invalid pattern {pattern:?}: {error}")))?;
        }
        let patterns = builder.build().map_err(|error| invalid(error.to_string()))?;
        Ok(Self((!patterns.is_empty()).then(|| Arc::new(patterns))))
    }

    /// Returns whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a path is left out. It starts at the folder. A folder above it is left out
    /// separately.
    pub fn matches(&self, path: &Path, is_folder: bool) -> bool {
        self.0.as_ref().is_some_and(|patterns| patterns.matched(path, is_folder).is_ignore())
    }
}

impl fmt::Debug for Excludes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.as_ref().map_or(0, |patterns| patterns.num_ignores() + patterns.num_whitelists());
        f.debug_tuple("Excludes").field(&count).finish()
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_gitignore() {
        let excludes =
            Excludes::new(["# comment", "", "*.o", "!keep.o", "/top", "cache/", "a/**/z"]).unwrap();
        let matches = |path: &str, is_folder| excludes.matches(Path::new(path), is_folder);
        for (path, is_folder) in [("x.o", false), ("d/x.o", false), ("top", false), ("d/cache", true)] {
            assert!(matches(path, is_folder), "{path}");
        }
        assert!(matches("a/z", false) && matches("a/b/c/z", false));
        for (path, is_folder) in [("keep.o", false), ("d/top", false), ("cache", false), ("b/a/z", false)] {
            assert!(!matches(path, is_folder), "{path}");
        }
        assert!(Excludes::default().is_empty() && Excludes::new([""; 0]).unwrap().is_empty());
        assert_eq!(Excludes::new(["a[", "b"]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
