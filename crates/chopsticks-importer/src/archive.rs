//! Zip archives, which include wheels and eggs.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, BufReader},
    path::Path,
    sync::{Mutex, PoisonError},
};

use chopsticks_module::{ResourceEntry, ResourceKind};
use zip::ZipArchive;

use crate::{error::CodebaseError, path, root};

/// An archive whose list of files was read. The file stays open, so that later reads match the
/// list.
pub(crate) struct Archive {
    reader: Mutex<ZipArchive<BufReader<File>>>,
    /// Files and their positions in the archive's own list.
    files: HashMap<String, usize>,
    /// Folders and their direct entries, in no order.
    folders: Folders,
}

type Folders = HashMap<String, Vec<ResourceEntry>>;

impl Archive {
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        let reader = ZipArchive::new(BufReader::new(File::open(file)?))?;
        let mut archive = Self {
            files: HashMap::with_capacity(reader.len()),
            folders: HashMap::from([(String::new(), Vec::new())]),
            reader: Mutex::new(reader),
        };
        archive.index();
        Ok(archive)
    }

    /// Adds the names that stay below the archive's root. Other names are ignored.
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
            match kind {
                ResourceKind::File => {
                    // Of two files of one name the last is the archive's.
                    if self.files.insert(name.to_owned(), index).is_some() {
                        continue;
                    }
                    let (folder, leaf) = path::split(name);
                    Self::folder(&mut self.folders, folder).push(ResourceEntry::file(leaf));
                }
                ResourceKind::Folder => drop(Self::folder(&mut self.folders, name)),
            }
        }
    }

    /// Returns the entries of a folder. Creates it, and the folders around it, if they are new.
    fn folder<'a>(folders: &'a mut Folders, path: &str) -> &'a mut Vec<ResourceEntry> {
        if !folders.contains_key(path) {
            let (around, leaf) = path::split(path);
            Self::folder(folders, around).push(ResourceEntry::folder(leaf));
        }
        folders.entry(path.to_owned()).or_default()
    }

    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.folders.contains_key(path)
    }

    pub(crate) fn list(&self, folder: &str) -> Vec<ResourceEntry> {
        self.folders.get(folder).cloned().unwrap_or_default()
    }

    /// Unpacks a file. `shown` is its name in errors.
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
