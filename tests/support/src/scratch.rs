//! Folders of files that a test writes and that go away with it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

/// A temporary folder, removed when it is dropped.
///
/// ```
/// let scratch = chopsticks_support::Scratch::new();
/// let module = scratch.write("pkg/mod.py", "ANSWER = 42\n");
/// assert_eq!(module, scratch.path().join("pkg/mod.py"));
/// ```
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Creates an empty folder.
    ///
    /// # Panics
    ///
    /// If the system's temporary folder cannot be written to.
    #[expect(clippy::new_without_default, reason = "a default that creates a folder would surprise")]
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("chopsticks-").tempdir();
        Self { folder: folder.expect("the temporary folder is writable") }
    }

    /// Returns the folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file below the folder, with the folders that lead to it, and returns its path.
    ///
    /// # Panics
    ///
    /// If `name` leads out of the folder, or if the file cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.resolve(name.as_ref());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("a scratch folder can be extended");
        }
        fs::write(&path, content).expect("a scratch folder is writable");
        path
    }

    /// Creates a folder below the folder, with those that lead to it, and returns its path.
    ///
    /// # Panics
    ///
    /// If `name` leads out of the folder, or if it cannot be created.
    pub fn create_folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.resolve(name.as_ref());
        fs::create_dir_all(&path).expect("a scratch folder can be extended");
        path
    }

    fn resolve(&self, name: &Path) -> PathBuf {
        let stays_below = name.components().all(|part| matches!(part, Component::Normal(_)));
        assert!(stays_below, "{} leads out of the scratch folder", name.display());
        self.path().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_with_their_folders() {
        let scratch = Scratch::new();
        let path = scratch.write("a/b/c.py", "x = 1\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "x = 1\n");
        assert!(scratch.create_folder("d/e").is_dir());
    }

    #[test]
    fn folder_goes_away_with_its_owner() {
        let scratch = Scratch::new();
        let path = scratch.path().to_owned();
        scratch.write("file", b"bytes");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    #[should_panic(expected = "leads out of the scratch folder")]
    fn names_that_lead_out_are_refused() {
        Scratch::new().write("../elsewhere", "");
    }
}
