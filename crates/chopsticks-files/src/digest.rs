//! What local files contain, so that they can be compared with others.

use std::{
    fs::Metadata,
    io::{self, Read as _},
    path::Path,
};

use rustix::fs::OFlags;
use sha1::{Digest as _, Sha1};

use crate::{
    content::{BLOCK_LEN, Summary},
    entry,
    reading::open_checked,
};

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

/// Like [`digest_file`], but not through a link in the last part of the path.
///
/// # Errors
///
/// The file cannot be read, or is not a regular file.
pub fn digest_entry(path: &Path) -> io::Result<(Summary, i64)> {
    digest(path, OFlags::NOFOLLOW, &mut vec![0; BLOCK_LEN])
}

pub(crate) fn digest(path: &Path, flags: OFlags, buffer: &mut [u8]) -> io::Result<(Summary, i64)> {
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

pub(crate) fn modified(metadata: &Metadata) -> i64 {
    metadata.modified().map_or(0, entry::nanoseconds)
}
