//! Temporary names for unfinished files, and removing what a kill has left under them.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
};

use chopsticks_transport::Nonce;
use rustix::{
    fs::{self, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags},
    io::Errno,
    process::geteuid,
};
use sha1::{Digest as _, Sha1};

use crate::place::{follow, open_folder, parent};

/// Returns a name that cannot be guessed.
pub(crate) fn fresh_name() -> OsString {
    let mut name = PREFIX.to_vec();
    name.extend(random_digits());
    OsString::from_vec(name)
}

fn random_digits() -> Vec<u8> {
    let token = Nonce::random();
    token.as_bytes().iter().take(8).flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Opens a new file in a folder: without a name if it can get one later, and otherwise with a
/// temporary name.
pub(crate) fn new_file(folder: &OwnedFd) -> io::Result<(File, Option<OsString>)> {
    match nameless(folder) {
        Ok(file) => Ok((file.into(), None)),
        Err(_) => new_named_file(folder).map(|(file, name)| (file, Some(name))),
    }
}

/// Like [`new_file`], for a file that needs a name from the beginning.
pub(crate) fn new_named_file(folder: &OwnedFd) -> io::Result<(File, OsString)> {
    loop {
        let name = fresh_name();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(fs::openat(folder, &name, flags, PRIVATE)?);
        // If not, another transfer takes it away at this moment.
        if hold(&file)? {
            return Ok((file, name));
        }
    }
}

/// Opens a new file whose content stays if a transfer does not end.
pub(crate) fn new_part(folder: &OwnedFd, name: &OsStr) -> io::Result<(File, OsString)> {
    let mut part = part_prefix(name);
    part.extend(random_digits());
    let part = OsString::from_vec(part);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(fs::openat(folder, &part, flags, PRIVATE)?);
    hold(&file)?;
    Ok((file, part))
}

/// Returns the longest part of a file that interrupted transfers of this user have left beside it,
/// with its path, and removes the others.
///
/// The names of parts end with digits that cannot be guessed, so nobody can put a file there in
/// advance. Only regular files of the user count that no transfer is writing. Their content still
/// has to be checked. Blocks the thread.
pub fn find_part(path: &Path) -> Option<(PathBuf, File)> {
    let path = follow(path).ok()?.path;
    let (around, prefix) = (parent(&path), part_prefix(path.file_name()?));
    let folder = open_folder(CWD, around, OFlags::empty()).ok()?;
    let mut best: Option<(OsString, File, i64)> = None;
    for entry in fs::Dir::read_from(&folder).ok()?.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if !name.as_bytes().starts_with(&prefix) {
            continue;
        }
        let Ok((file, len)) = open_part(&folder, name) else { continue };
        let mut worse = name.to_owned();
        if best.as_ref().is_none_or(|(.., longest)| len > *longest) {
            let Some((before, ..)) = best.replace((worse, file, len)) else { continue };
            worse = before;
        }
        let _ = fs::unlinkat(&folder, &worse, AtFlags::empty());
    }
    best.map(|(name, file, _)| (around.join(name), file))
}

fn open_part(folder: &OwnedFd, name: &OsStr) -> Result<(File, i64), Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(folder, name, flags, Mode::empty())?;
    let stat = fs::fstat(&file)?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_regular || stat.st_uid != geteuid().as_raw() || stat.st_nlink != 1 {
        return Err(Errno::PERM);
    }
    // Those that are under way are locked.
    fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok((file.into(), stat.st_size))
}

/// Returns whether a name is that of a part of a file.
pub fn is_part(name: &OsStr) -> bool {
    name.as_bytes().strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with(b"part-"))
}

/// The beginning of the names of the parts of a file.
fn part_prefix(name: &OsStr) -> Vec<u8> {
    let digest = Sha1::digest(name.as_bytes());
    let mut prefix = [PREFIX, b"part-"].concat();
    prefix.extend(digest.iter().take(8).flat_map(|byte| format!("{byte:02x}").into_bytes()));
    prefix.push(b'-');
    prefix
}

/// Locks a file until it is closed, so that no other transfer mistakes it for a file that a kill
/// has left. Returns whether the file still exists.
pub(crate) fn hold(file: &File) -> io::Result<bool> {
    match fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        // Where there are no locks, nothing is taken away.
        _ => Ok(fs::fstat(file)?.st_nlink > 0),
    }
}

/// Removes what transfers of the same user have left in a folder when they were killed.
pub(crate) fn clear(folder: &OwnedFd) {
    if fs::fstat(folder).is_ok_and(|stat| stat.st_size > SEARCHED) {
        return;
    }
    let Ok(entries) = fs::Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if is_spare(name) {
            // It may be another's, or have gone.
            let _ = clear_one(folder, name);
        }
    }
}

fn is_spare(name: &OsStr) -> bool {
    let digits = name.as_bytes().strip_prefix(PREFIX);
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn clear_one(folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(folder, name, flags, Mode::empty())?;
    let stat = fs::fstat(&file)?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if is_regular && stat.st_uid == geteuid().as_raw() && stat.st_nlink == 1 {
        // Those that are under way are locked.
        fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let there = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino) {
            fs::unlinkat(folder, name, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Opens a file without a name, if it can get one later.
fn nameless(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        let file = fs::openat(folder, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, PRIVATE)?;
        fs::stat(in_proc(std::os::fd::AsRawFd::as_raw_fd(&file)))?;
        Ok(file)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        Err(Errno::OPNOTSUPP)
    }
}

pub(crate) fn in_proc(fd: i32) -> String {
    format!("/proc/self/fd/{fd}")
}

/// Until its mode is set, only the owner can access a file.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const PREFIX: &[u8] = b".chopsticks-";
/// The maximum size of a folder that is searched for leftovers, in bytes: some thousands of names.
const SEARCHED: i64 = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ones_own_and_not_under_way_is_taken_away() {
        let scratch = tempfile::tempdir().unwrap();
        let folder: OwnedFd = File::open(scratch.path()).unwrap().into();
        let write = |name: &str| std::fs::write(scratch.path().join(name), "x").unwrap();
        write(".chopsticks-0123456789abcdef");
        write(".chopsticks-0123456789abcdeF");
        write(".chopsticks-0123456789abcdeffe");
        write(".chopsticks-0000000000000000");
        std::fs::hard_link(scratch.path().join(".chopsticks-0000000000000000"), scratch.path().join("x"))
            .unwrap();
        std::os::unix::fs::symlink("x", scratch.path().join(".chopsticks-0000000000000001")).unwrap();
        let (_file, name) = new_named_file(&folder).unwrap();
        clear(&folder);
        let mut left: Vec<_> =
            std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let mut expected: Vec<OsString> = [
            ".chopsticks-0000000000000000",
            ".chopsticks-0000000000000001",
            ".chopsticks-0123456789abcdeF",
            ".chopsticks-0123456789abcdeffe",
            "x",
        ]
        .map(OsString::from)
        .to_vec();
        expected.push(name);
        expected.sort();
        assert_eq!(left, expected);
    }
}
