//! Packages that are written to a host's disk: a zip of all their files.

use std::{
    collections::HashSet,
    io::{self, Cursor, Write as _},
    path::PathBuf,
};

use chopsticks_module::{ResourceEntry, ResourceKind};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    codebase::Codebase,
    error::CodebaseError,
    listing,
    look::{Look, Place},
    name::ModuleName,
    rules::Rules,
};

/// Packs an outermost package or module, with the libraries that a wheel puts beside it. Returns
/// `None` if it does not exist.
///
/// For a namespace package, the files of all roots are merged. Otherwise the first root that has
/// the package wins.
pub(crate) fn pack(codebase: &Codebase, name: &ModuleName) -> Result<Option<Vec<u8>>, CodebaseError> {
    let mut look = codebase.look();
    let mut packing = Packing::new(codebase.rules());
    for top in look.tops() {
        if look.kind(&top)? != Some(ResourceKind::Folder) {
            continue;
        }
        let entries = look.list(&top)?.0;
        if !entries.iter().any(|entry| is_module(entry, name)) {
            continue;
        }
        let folder = top.join(name.as_str());
        let is_namespace = look.is_folder(&folder)? && !look.is_file(&folder.join("__init__.py"))?;
        for entry in entries.iter().filter(|entry| is_module(entry, name) || is_library(entry, name)) {
            packing.add(&top.join(&entry.name), entry.kind, &mut look)?;
        }
        if !is_namespace {
            break;
        }
    }
    packing.finish()
}

/// Returns whether an entry of a root is the package or module itself.
fn is_module(entry: &ResourceEntry, name: &ModuleName) -> bool {
    match entry.kind {
        ResourceKind::Folder => entry.name == name.as_str(),
        ResourceKind::File => {
            listing::is_module(&entry.name)
                && entry.name.split_once('.').is_some_and(|(stem, _)| stem == name.as_str())
        }
    }
}

/// Returns whether an entry of a root contains the shared libraries that extension modules of the
/// package load.
fn is_library(entry: &ResourceEntry, name: &ModuleName) -> bool {
    entry.kind == ResourceKind::Folder && entry.name.strip_suffix(".libs") == Some(name.as_str())
}

/// A zip that is being written.
struct Packing<'a> {
    rules: &'a Rules,
    writer: ZipWriter<Cursor<Vec<u8>>>,
    names: HashSet<String>,
    /// The real paths of the folders, because links may form a circle.
    folders: HashSet<PathBuf>,
}

impl<'a> Packing<'a> {
    fn new(rules: &'a Rules) -> Self {
        let writer = ZipWriter::new(Cursor::default());
        Self { rules, writer, names: HashSet::new(), folders: HashSet::new() }
    }

    fn add(&mut self, place: &Place, kind: ResourceKind, look: &mut Look<'_>) -> Result<(), CodebaseError> {
        let name = place.path.rsplit('/').next().unwrap_or_default();
        if name.starts_with('.') || name == "__pycache__" || !self.rules.lets_import(&place.path) {
            return Ok(());
        }
        look.check_within(place)?;
        match kind {
            ResourceKind::Folder => {
                let shown = look.shown(place);
                if self.folders.insert(shown.canonicalize().unwrap_or(shown)) {
                    for entry in look.list(place)?.0 {
                        self.add(&place.join(&entry.name), entry.kind, look)?;
                    }
                }
                Ok(())
            }
            ResourceKind::File if self.names.insert(place.path.clone()) => {
                let text = look.text(place)?;
                let written = self.write(&place.path, &text.source);
                written.map_err(|error| CodebaseError::read(look.shown(place), error))
            }
            ResourceKind::File => Ok(()),
        }
    }

    fn write(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.writer.start_file(path, SimpleFileOptions::default())?;
        self.writer.write_all(content)
    }

    fn finish(self) -> Result<Option<Vec<u8>>, CodebaseError> {
        if self.names.is_empty() {
            return Ok(None);
        }
        let written = self.writer.finish().map_err(|error| CodebaseError::read("the zip", error.into()))?;
        Ok(Some(written.into_inner()))
    }
}
