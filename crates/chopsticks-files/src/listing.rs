//! What a local folder contains, so that it can be compared with another one.

use std::{
    collections::HashSet,
    ffi::OsString,
    fmt,
    fs::{self, Metadata},
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::{
    content::{BLOCK_LEN, Summary},
    digest::{digest, modified},
    excludes::Excludes,
    walk::Problem,
};

/// An entry of a folder.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The path from the folder on. It is empty for the folder itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// The size in bytes.
    pub size: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub modified: i64,
    /// Where a link leads; empty for everything else.
    pub link: PathBuf,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are no others")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A FIFO, a socket or a device.
    Special,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Link => "link",
            Self::Special => "special file",
        })
    }
}

/// Files and folders that are left out of a folder that is sent.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever sends a folder decides on each of them")]
pub struct Skip {
    /// Files and links, by their paths from the folder on.
    pub same: HashSet<PathBuf>,
    /// Patterns of files and folders.
    pub excludes: Excludes,
}

/// Returns the entries of a folder in the order in which [`read_tree`](crate::read_tree) sends
/// them, without those that are left out. Files are not read. Blocks the thread.
///
/// # Errors
///
/// The path that cannot be read, and why.
pub fn list_tree(root: &Path, excludes: &Excludes) -> Result<Vec<Entry>, Problem> {
    let mut found = Vec::new();
    let metadata = fs::metadata(root).map_err(|error| (root.to_owned(), error))?;
    if !metadata.is_dir() {
        return Err((root.to_owned(), io::ErrorKind::NotADirectory.into()));
    }
    found.push(entry_of(PathBuf::new(), FileKind::Folder, &metadata));
    // The names that remain in each open folder, the last one first.
    let mut path = PathBuf::new();
    let mut entered = vec![list(root).map_err(|error| (root.to_owned(), error))?];
    while let Some(names) = entered.last_mut() {
        let Some(name) = names.pop() else {
            entered.pop();
            path.pop();
            continue;
        };
        path.push(name);
        let full = root.join(&path);
        match one(&full, &path) {
            // One that has gone since the folder was read.
            Ok(None) => {}
            Ok(Some(entry)) if excludes.matches(&path, entry.kind == FileKind::Folder) => {}
            Ok(Some(entry)) => {
                let is_folder = entry.kind == FileKind::Folder;
                found.push(entry);
                if is_folder {
                    entered.push(list(&full).map_err(|error| (full, error))?);
                    continue;
                }
            }
            Err(error) => return Err((full, error)),
        }
        path.pop();
    }
    Ok(found)
}

/// Returns the checksums of those regular files of a folder for which `is_wanted` returns true,
/// by their positions. `None` is one that has gone. Blocks the thread.
///
/// # Errors
///
/// The path that cannot be read, and why.
pub fn digest_tree(
    root: &Path,
    entries: &[Entry],
    is_wanted: impl Fn(usize) -> bool,
) -> Result<Vec<Option<Summary>>, Problem> {
    let mut buffer = vec![0; BLOCK_LEN];
    let digested = entries.iter().enumerate().map(|(position, entry)| {
        if entry.kind != FileKind::File || !is_wanted(position) {
            return Ok(None);
        }
        let path = root.join(&entry.path);
        match digest(&path, OFlags::NOFOLLOW, &mut buffer) {
            Ok((summary, _)) => Ok(Some(summary)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err((path, error)),
        }
    });
    digested.collect()
}

fn one(full: &Path, path: &Path) -> io::Result<Option<Entry>> {
    let metadata = match fs::symlink_metadata(full) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let kind = kind_of(&metadata);
    let mut entry = entry_of(path.to_owned(), kind, &metadata);
    if kind == FileKind::Link {
        entry.link = fs::read_link(full)?;
    }
    Ok(Some(entry))
}

fn kind_of(metadata: &Metadata) -> FileKind {
    let kind = metadata.file_type();
    if kind.is_dir() {
        FileKind::Folder
    } else if kind.is_symlink() {
        FileKind::Link
    } else if kind.is_file() {
        FileKind::File
    } else {
        FileKind::Special
    }
}

fn entry_of(path: PathBuf, kind: FileKind, metadata: &Metadata) -> Entry {
    Entry { path, kind, size: metadata.size(), modified: modified(metadata), link: PathBuf::new() }
}

fn list(path: &Path) -> io::Result<Vec<OsString>> {
    let names: io::Result<Vec<_>> = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names?;
    names.sort_unstable_by(|left, right| right.as_bytes().cmp(left.as_bytes()));
    Ok(names)
}
