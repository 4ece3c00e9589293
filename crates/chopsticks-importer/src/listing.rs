//! The importable names of a folder, according to the names of its files.

use std::{collections::HashMap, sync::Arc};

use chopsticks_module::{ResourceEntry, ResourceKind};

use crate::name::{is_identifier, is_part};

/// The importable names in a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Sorted.
    pub(crate) names: Arc<[String]>,
    /// Names without a source, and the compiled files with these names. For the package itself, the
    /// name is `__init__`.
    compiled: HashMap<String, (Compiled, Vec<String>)>,
}

/// A module that cannot be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Compiled {
    ByteCode,
    Extension,
}

/// What a file is, according to its name.
enum Named<'a> {
    Compiled(Compiled, &'a str),
    Source(&'a str),
    Other,
}

impl Listing {
    /// Determines what can be imported. All folders of `entries` with a valid module name count as
    /// packages.
    pub(crate) fn of(entries: impl IntoIterator<Item = ResourceEntry>) -> Self {
        let mut names = Vec::new();
        let mut compiled = HashMap::new();
        for entry in entries {
            if entry.kind == ResourceKind::Folder {
                if is_part(&entry.name) && entry.name != "__pycache__" {
                    names.push(entry.name);
                }
                continue;
            }
            match Named::of(&entry.name) {
                Named::Source(stem) => names.push(stem.to_owned()),
                Named::Compiled(kind, stem) => {
                    let stem = stem.to_owned();
                    let (known, files) = compiled.entry(stem).or_insert_with(|| (kind, Vec::new()));
                    // An extension goes before byte code, as in Python.
                    if kind == Compiled::Extension && *known == Compiled::ByteCode {
                        (*known, *files) = (kind, Vec::new());
                    }
                    if *known == kind {
                        files.push(entry.name);
                    }
                }
                Named::Other => {}
            }
        }
        names.extend(compiled.keys().cloned());
        names.retain(|name| name != "__init__");
        names.sort_unstable();
        names.dedup();
        compiled.values_mut().for_each(|(_, files)| files.sort_unstable());
        Self { names: names.into(), compiled }
    }

    /// Returns the files of a module of this name, if it cannot be sent. For an extension this is
    /// one file for each system that it was built for. The caller has already checked whether there
    /// is a source.
    pub(crate) fn compiled(&self, name: &str) -> Option<(Compiled, &[String])> {
        self.compiled.get(name).map(|(kind, files)| (*kind, files.as_slice()))
    }

    /// Returns the approximate size in bytes.
    pub(crate) fn len(&self) -> usize {
        let names = self.names.iter().map(|name| name.len() + size_of::<String>());
        let compiled = self.compiled.iter().map(|(name, (_, files))| {
            name.len() + files.iter().map(|file| file.len() + COMPILED_LEN).sum::<usize>()
        });
        names.chain(compiled).sum()
    }
}

/// Returns whether a file of this name may be a module.
pub(crate) fn is_module(file: &str) -> bool {
    !matches!(Named::of(file), Named::Other)
}

impl<'a> Named<'a> {
    fn of(file: &'a str) -> Self {
        let Some((stem, rest)) = file.split_once('.') else { return Self::Other };
        match rest {
            "py" if is_part(stem) => Self::Source(stem),
            // Libraries that are no modules have names such as `libx-1.so`.
            _ if !is_identifier(stem) => Self::Other,
            "pyc" | "pyo" => Self::Compiled(Compiled::ByteCode, stem),
            "so" | "pyd" => Self::Compiled(Compiled::Extension, stem),
            // Between the dots stands what it was made for, such as `cpython-311-x86_64-linux-gnu` or `abi3`.
            _ => match rest.rsplit_once('.') {
                Some((made_for, "so" | "pyd")) if !made_for.contains('.') => {
                    Self::Compiled(Compiled::Extension, stem)
                }
                _ => Self::Other,
            },
        }
    }
}

/// The approximate size of an entry without its names.
const COMPILED_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_told_by_their_names() {
        let files = [
            "__init__.py",
            "a.py",
            "b.cpython-311-x86_64-linux-gnu.so",
            "c.cpython-39-darwin.so",
            "c.abi3.so",
            "d.pyd",
            "d.pyc",
            "e.pyc",
            "f.py",
            "f.so",
            "0001_first.py",
            "not-an-identifier.py",
            "libx-1.so",
            "libx-1.2.so",
            "0002.pyc",
            ".hidden.py",
            "a:b.py",
            "x.so.1",
            "y.tar.gz.so",
            "data.txt",
            "g.py.orig",
            "__init__.pyc",
        ];
        let folders = ["sub", "__pycache__", "x-1.0.dist-info", "h.py"];
        let entries = files.map(ResourceEntry::file).into_iter();
        let listing = Listing::of(entries.chain(folders.map(ResourceEntry::folder)));
        let names = ["0001_first", "a", "b", "c", "d", "e", "f", "not-an-identifier", "sub"];
        assert_eq!(*listing.names, names.map(str::to_owned));
        let compiled = |name| listing.compiled(name).map(|(kind, files)| (kind, files.join(" ")));
        assert_eq!(compiled("c"), Some((Compiled::Extension, "c.abi3.so c.cpython-39-darwin.so".to_owned())));
        assert_eq!(compiled("d"), Some((Compiled::Extension, "d.pyd".to_owned())));
        assert_eq!(compiled("e"), Some((Compiled::ByteCode, "e.pyc".to_owned())));
        assert_eq!(compiled("__init__"), Some((Compiled::ByteCode, "__init__.pyc".to_owned())));
        assert_eq!(listing.compiled("a"), None);
    }
}
