//! One look at the folders of a codebase.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    cache::{Cache, Covered, Stamp, Text},
    error::CodebaseError,
    name::is_identifier,
};

/// The state of files and folders during one question: each path is looked at once, so all parts of the answer fit together.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    cache: &'a Cache,
    entries: HashMap<PathBuf, Option<Entry>>,
    /// Folders and where they really are.
    real: HashMap<PathBuf, PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stamp: Stamp,
    is_file: bool,
    is_folder: bool,
    is_link: bool,
}

impl<'a> Look<'a> {
    pub(crate) fn new(cache: &'a Cache) -> Self {
        Self { cache, entries: HashMap::new(), real: HashMap::new() }
    }

    pub(crate) fn is_file(&mut self, path: &Path) -> bool {
        self.entry(path).is_some_and(|entry| entry.is_file)
    }

    pub(crate) fn is_folder(&mut self, path: &Path) -> bool {
        self.entry(path).is_some_and(|entry| entry.is_folder)
    }

    /// Returns what is in a file.
    pub(crate) fn text(&mut self, path: &Path) -> Result<Arc<Text>, CodebaseError> {
        let failed = |error| CodebaseError::read(path, error);
        let entry = self.entry(path).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        self.cache.file(path, entry.stamp, || fs::read(path).map_err(failed))
    }

    /// Returns the importable names in a folder, sorted.
    pub(crate) fn names(&mut self, path: &Path) -> Result<Arc<[String]>, CodebaseError> {
        let failed = |error| CodebaseError::read(path, error);
        let entry = self.entry(path).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        self.cache.folder(path, entry.stamp, || list(path).map_err(failed))
    }

    /// Checks that `path`, all links followed, is below `root`.
    pub(crate) fn check_within(&mut self, path: &Path, root: &Path) -> Result<(), CodebaseError> {
        let is_link = self.entry(path).is_none_or(|entry| entry.is_link);
        let real = match (path.parent(), path.file_name()) {
            // What is no link is where its folder is: one system call less for each module.
            (Some(parent), Some(name)) if !is_link && path != root => self.real(parent)?.join(name),
            _ => path.canonicalize().map_err(|error| CodebaseError::read(path, error))?,
        };
        if real.starts_with(self.real(root)?) {
            Ok(())
        } else {
            Err(CodebaseError::Outside { path: real, root: root.to_owned() })
        }
    }

    /// How many paths were looked at.
    #[cfg(test)]
    pub(crate) fn looked_at(&self) -> usize {
        self.entries.len()
    }

    fn real(&mut self, folder: &Path) -> Result<PathBuf, CodebaseError> {
        if let Some(real) = self.real.get(folder) {
            return Ok(real.clone());
        }
        let real = folder.canonicalize().map_err(|error| CodebaseError::read(folder, error))?;
        self.real.insert(folder.to_owned(), real.clone());
        Ok(real)
    }

    fn entry(&mut self, path: &Path) -> Option<Entry> {
        if let Some(entry) = self.entries.get(path) {
            return *entry;
        }
        let entry = Entry::read(path).ok();
        self.entries.insert(path.to_owned(), entry);
        entry
    }
}

impl Entry {
    fn read(path: &Path) -> io::Result<Self> {
        let mut metadata = fs::symlink_metadata(path)?;
        let is_link = metadata.is_symlink();
        if is_link {
            metadata = fs::metadata(path)?;
        }
        let (is_file, is_folder) = (metadata.is_file(), metadata.is_dir());
        Ok(Self { stamp: Stamp::of(&metadata), is_file, is_folder, is_link })
    }
}

/// Returns the importable names of `folder`, sorted.
fn list(folder: &Path) -> io::Result<(Vec<String>, Covered)> {
    let mut names = BTreeSet::new();
    let mut covered = Covered::Yes;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let stem = match name.strip_suffix(".py") {
            Some(stem) => stem,
            None if !is_identifier(name) || name == "__pycache__" => continue,
            None => {
                let kind = entry.file_type()?;
                if kind.is_symlink() {
                    // Where it leads can change, and the folder does not tell.
                    covered = Covered::No;
                }
                let is_folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
                if !is_folder {
                    continue;
                }
                name
            }
        };
        if is_identifier(stem) && stem != "__init__" {
            names.insert(stem.to_owned());
        }
    }
    Ok((names.into_iter().collect(), covered))
}
