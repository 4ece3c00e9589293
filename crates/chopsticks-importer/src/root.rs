//! The places of a codebase's files.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chopsticks_module::{ResourceEntry, ResourceKind};

use crate::{archive::Archive, cache::Stamp, error::CodebaseError, path, source::Source};

/// One entry of a codebase.
#[derive(Debug)]
pub(crate) struct Root {
    /// Identifies the root in the cache.
    pub(crate) id: u64,
    /// The text that precedes the paths of its files.
    pub(crate) label: PathBuf,
    pub(crate) tree: Tree,
}

#[derive(Debug)]
pub(crate) enum Tree {
    Archive {
        file: PathBuf,
        /// The folder within the archive that is the root.
        prefix: String,
        /// The archive as it was last seen.
        opened: Mutex<Option<(Stamp, Arc<Archive>)>>,
    },
    Folder(PathBuf),
    Source(Arc<dyn Source>),
}

/// Whether the folder's stamp alone determines a list of names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Covered {
    No,
    Yes,
}

impl Root {
    pub(crate) fn folder(folder: &Path) -> Self {
        let folder = absolute(folder);
        Self::new(folder.clone(), Tree::Folder(folder))
    }

    pub(crate) fn archive(file: &Path, prefix: &str) -> Self {
        let file = absolute(file);
        let label = if prefix.is_empty() { file.clone() } else { file.join(prefix) };
        Self::new(label, Tree::Archive { file, prefix: prefix.to_owned(), opened: Mutex::new(None) })
    }

    pub(crate) fn source(source: impl Source) -> Self {
        Self::new(PathBuf::from(source.label()), Tree::Source(Arc::new(source)))
    }

    /// Creates a root from a folder, an archive, or a folder in an archive. What exists now decides
    /// which. A path that does not exist counts as a folder.
    pub(crate) fn path(path: &Path) -> Self {
        for file in path.ancestors() {
            let Ok(metadata) = fs::metadata(file) else { continue };
            let below = path.strip_prefix(file).ok().and_then(Path::to_str).unwrap_or_default();
            if metadata.is_file() && (below.is_empty() || path::is_below(below)) {
                return Self::archive(file, below);
            }
            break;
        }
        Self::folder(path)
    }

    fn new(label: PathBuf, tree: Tree) -> Self {
        // No two roots of a process have one number, in whatever codebases they are.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), label, tree }
    }

    /// Returns whether the root exists now.
    pub(crate) fn is_there(&self) -> bool {
        match &self.tree {
            Tree::Folder(folder) => folder.is_dir(),
            Tree::Archive { .. } | Tree::Source(_) => true,
        }
    }

    /// Returns the path of a file as tracebacks and errors show it.
    pub(crate) fn shown(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.label.clone() } else { self.label.join(path) }
    }
}

impl Tree {
    /// Returns the archive in its present state, or `None` if the file does not exist.
    pub(crate) fn open(&self) -> io::Result<Option<(Stamp, Arc<Archive>)>> {
        let Self::Archive { file, opened, .. } = self else { return Ok(None) };
        let metadata = match fs::metadata(file) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stamp = Stamp::of(&metadata);
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, archive)) = &*opened
            && *known == stamp
            && stamp.is_settled()
        {
            return Ok(Some((stamp, archive.clone())));
        }
        let archive = Arc::new(Archive::open(file)?);
        *opened = Some((stamp, archive.clone()));
        Ok(Some((stamp, archive)))
    }
}

/// Reads a file of a folder, up to `limit` bytes.
pub(crate) fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>, CodebaseError> {
    let failed = |error| CodebaseError::read(path, error);
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    read_up_to(file, path, len, limit)
}

/// Reads to the end, which is expected after `len` bytes. Content of more than `limit` bytes is
/// refused.
pub(crate) fn read_up_to(
    reader: impl Read,
    path: &Path,
    len: u64,
    limit: usize,
) -> Result<Vec<u8>, CodebaseError> {
    let too_large = || CodebaseError::TooLarge { path: path.to_owned(), limit };
    let wide = limit as u64;
    if len > wide {
        return Err(too_large());
    }
    let mut content = Vec::new();
    let read = reader.take(wide.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|error| CodebaseError::read(path, error))?;
    if content.len() > limit { Err(too_large()) } else { Ok(content) }
}

/// Lists a folder: files, folders, and links to them. Names that are not text are skipped.
pub(crate) fn list_folder(folder: &Path) -> io::Result<(Vec<ResourceEntry>, Covered)> {
    let mut entries = Vec::new();
    let mut covered = Covered::Yes;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            // Where it leads can change, and the folder does not tell.
            covered = Covered::No;
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            kind = metadata.file_type();
        }
        if kind.is_dir() {
            entries.push(ResourceEntry::folder(name));
        } else if kind.is_file() {
            entries.push(ResourceEntry::file(name));
        }
    }
    Ok((entries, covered))
}

/// Returns the destination of a dangling link, as far as it can be determined without looking
/// outside.
pub(crate) fn end_of_link(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = path.parent().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()));
        let Ok(target) = fs::read_link(&path) else { break };
        path = lexical(&folder.unwrap_or_default().join(target));
    }
    // A link in the last folders may lead further.
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// Returns a path without `.` and `..`.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Returns the kind of the entry of this name.
pub(crate) fn kind_of(entries: &[ResourceEntry], name: &str) -> Option<ResourceKind> {
    entries.iter().find(|entry| entry.name == name).map(|entry| entry.kind)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The number of links that Linux follows.
const MAX_LINKS: usize = 40;
