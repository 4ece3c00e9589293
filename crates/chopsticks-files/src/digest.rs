//! What local files contain, so that they can be compared with others.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use sha1::{Digest as _, Sha1};

use crate::{
    content::{BLOCK_LEN, Summary},
    entry,
    source::open_checked,
    tree_source::Problem,
};

/// An entry of a local folder.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The path from the folder on. It is empty for the folder itself.
    pub path: PathBuf,
    /// What it is.
    pub content: EntryContent,
    /// When it was last modified, in nanoseconds since 1970.
    pub modified: i64,
}

/// What an entry of a folder is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "all other kinds are left out")]
pub enum EntryContent {
    /// A regular file: its size and checksum.
    File(Summary),
    /// A folder.
    Folder,
    /// A symbolic link, and where it leads.
    Link(PathBuf),
}

/// Returns the size and checksum of bytes.
pub fn digest_bytes(content: &[u8]) -> Summary {
    Summary { size: content.len() as u64, sha1: Sha1::digest(content).into() }
}

/// Reads a regular file, and returns its size and checksum, and its time of modification in
/// nanoseconds since 1970. Blocks the thread.
///
/// # Errors
///
/// The file cannot be read, or is not a regular file.
pub fn digest_file(path: &Path) -> io::Result<(Summary, i64)> {
    digest(path, OFlags::empty(), &mut vec![0; BLOCK_LEN])
}

/// Reads a folder with everything in it, and returns its entries in the order in which
/// [`read_tree`](crate::read_tree) sends them, without special files. Blocks the thread.
///
/// # Errors
///
/// The path that cannot be read, and why.
pub fn digest_tree(root: &Path) -> Result<Vec<Entry>, Problem> {
    let mut found = Vec::new();
    let mut buffer = vec![0; BLOCK_LEN];
    let metadata = fs::metadata(root).map_err(|error| (root.to_owned(), error))?;
    if !metadata.is_dir() {
        return Err((root.to_owned(), io::ErrorKind::NotADirectory.into()));
    }
    found.push(Entry { path: PathBuf::new(), content: EntryContent::Folder, modified: modified(&metadata) });
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
        match one(&full, &mut buffer) {
            Ok(Some((content, modified))) => {
                let is_folder = content == EntryContent::Folder;
                found.push(Entry { path: path.clone(), content, modified });
                if is_folder {
                    entered.push(list(&full).map_err(|error| (full, error))?);
                    continue;
                }
            }
            // A special file, or one that has gone since the folder was read.
            Ok(None) => {}
            Err(error) => return Err((full, error)),
        }
        path.pop();
    }
    Ok(found)
}

fn one(path: &Path, buffer: &mut [u8]) -> io::Result<Option<(EntryContent, i64)>> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        Some((EntryContent::Folder, modified(&metadata)))
    } else if kind.is_symlink() {
        Some((EntryContent::Link(fs::read_link(path)?), modified(&metadata)))
    } else if kind.is_file() {
        let (summary, modified) = digest(path, OFlags::NOFOLLOW, buffer)?;
        Some((EntryContent::File(summary), modified))
    } else {
        None
    })
}

fn digest(path: &Path, flags: OFlags, buffer: &mut [u8]) -> io::Result<(Summary, i64)> {
    let (mut file, metadata) = open_checked(path, flags)?;
    let (mut sha1, mut size) = (Sha1::new(), 0);
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(len) => {
                sha1.update(&buffer[..len]);
                size += len as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((Summary { size, sha1: sha1.finalize().into() }, modified(&metadata)))
}

fn modified(metadata: &Metadata) -> i64 {
    metadata.modified().map_or(0, entry::nanoseconds)
}

fn list(path: &Path) -> io::Result<Vec<OsString>> {
    let names: io::Result<Vec<_>> = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names?;
    names.sort_unstable_by(|left, right| right.as_bytes().cmp(left.as_bytes()));
    Ok(names)
}
