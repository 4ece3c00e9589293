//! Zip archives, which wheels and eggs are too.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    io::{self, BufReader},
    path::Path,
    sync::{Mutex, PoisonError},
};

use chopsticks_module::{ResourceEntry, ResourceKind};
use zip::ZipArchive;

use crate::{error::CodebaseError, path, root};

/// An archive of which the list of files was read. The file stays open, so that what is read later fits the list.
pub(crate) struct Archive {
    reader: Mutex<ZipArchive<BufReader<File>>>,
    /// Files and where they stand in the archive's own list.
    files: HashMap<String, usize>,
    /// Folders and what is directly in them, in the order of the names.
    folders: HashMap<String, BTreeMap<String, ResourceKind>>,
}

impl Archive {
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        let reader = ZipArchive::new(BufReader::new(File::open(file)?))?;
        let mut archive = Self {
            files: HashMap::with_capacity(reader.len()),
            folders: HashMap::from([(String::new(), BTreeMap::new())]),
            reader: Mutex::new(reader),
        };
        archive.index();
        Ok(archive)
    }

    /// Takes up the names that stay below the archive's root. Others are as good as not there.
    fn index(&mut self) {
        let reader = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (index, name) in reader.file_names().enumerate() {
            let Ok(name) = name else { continue };
            let (name, kind) = match name.strip_suffix('/') {
                Some(folder) => (folder, ResourceKind::Folder),
                None => (&*name, ResourceKind::File),
            };
            if !path::is_below(name) {
                continue;
            }
            if kind == ResourceKind::File {
                self.files.insert(name.to_owned(), index);
            }
            let (mut path, mut kind) = (name, kind);
            if kind == ResourceKind::Folder {
                self.folders.entry(path.to_owned()).or_default();
            }
            loop {
                let (folder, leaf) = path::split(path);
                let is_known = self.folders.contains_key(folder);
                let names = self.folders.entry(folder.to_owned()).or_default();
                // What is both a file and a folder is found as either, and listed as a folder.
                let known = names.entry(leaf.to_owned()).or_insert(kind);
                *known = kind.max(*known);
                if is_known {
                    break;
                }
                (path, kind) = (folder, ResourceKind::Folder);
            }
        }
    }

    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.folders.contains_key(path)
    }

    pub(crate) fn list(&self, folder: &str) -> Vec<ResourceEntry> {
        let entry = |(name, kind): (&String, &ResourceKind)| match kind {
            ResourceKind::File => ResourceEntry::file(name),
            ResourceKind::Folder => ResourceEntry::folder(name),
        };
        self.folders.get(folder).map(|names| names.iter().map(entry).collect()).unwrap_or_default()
    }

    /// Unpacks a file; `shown` is what errors call it.
    pub(crate) fn read(&self, path: &str, shown: &Path, limit: usize) -> Result<Vec<u8>, CodebaseError> {
        let failed = |error: io::Error| CodebaseError::read(shown, error);
        let index = self.files.get(path).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let file = reader.by_index(*index).map_err(|error| failed(error.into()))?;
        let len = file.size();
        root::read_up_to(file, shown, len, limit)
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("files", &self.files.len()).finish_non_exhaustive()
    }
}
