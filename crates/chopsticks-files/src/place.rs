//! The destination of a path, and what exists there.

use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use chopsticks_transport::Nonce;
use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
    process::geteuid,
};

/// The destination of a path.
#[derive(Debug)]
pub(crate) struct Place {
    /// The path, without links in its last part.
    pub(crate) path: PathBuf,
    /// What exists there.
    pub(crate) there: Option<Stat>,
    /// Whether it is a descriptor of a process: a link in /proc that only the kernel can follow.
    pub(crate) is_descriptor: bool,
}

/// Returns the path of a file. If the given path leads to a folder, this is the path of `name` in
/// the folder.
pub(crate) fn place_of(path: &Path, name: &OsStr) -> io::Result<PathBuf> {
    let full = std::path::absolute(path)?;
    match std::fs::metadata(&full) {
        Ok(there) if there.is_dir() && name.is_empty() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if there.is_dir() => Ok(full.join(name)),
        Ok(_) => Ok(full),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && full.as_os_str().as_bytes().ends_with(b"/") =>
        {
            Err(io::Error::new(io::ErrorKind::NotFound, "the folder does not exist"))
        }
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::LOOP)) => Ok(full),
        Err(error) => Err(error),
    }
}

/// Returns a path that does not exist yet.
pub(crate) fn fresh() -> PathBuf {
    let token = Nonce::random();
    let digits: String = token.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    std::env::temp_dir().join(format!("chopsticks-{digits}"))
}

/// Follows links.
///
/// # Errors
///
/// The error if a link leads nowhere, or if another user has put it into a folder where all may
/// write.
pub(crate) fn follow(path: &Path) -> io::Result<Place> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let there = match fs::lstat(&path) {
            Err(Errno::NOENT) => None,
            there => Some(there?),
        };
        let Some(link) = there.filter(|there| FileType::from_raw_mode(there.st_mode) == FileType::Symlink)
        else {
            return Ok(Place { path, there, is_descriptor: false });
        };
        let folder = parent(&path);
        if std::fs::canonicalize(folder)?.starts_with("/proc") {
            let there = Some(fs::stat(&path)?);
            return Ok(Place { path, there, is_descriptor: true });
        }
        check_shared(&fs::stat(folder)?, &link)?;
        path = folder.join(std::fs::read_link(&path)?);
    }
    Err(Errno::LOOP.into())
}

/// Returns the folder that contains a path.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses what another user may have put into a folder like /tmp as a trap, as kernels do.
pub(crate) fn check_shared(folder: &Stat, there: &Stat) -> io::Result<()> {
    let is_shared = Mode::from_raw_mode(folder.st_mode).contains(Mode::SVTX.union(Mode::WOTH));
    if !is_shared || [geteuid().as_raw(), folder.st_uid].contains(&there.st_uid) {
        return Ok(());
    }
    let text = "another user has put it into a folder where all may write";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// Opens a folder in `parent`, or at a path. A folder for writing need not be readable.
pub(crate) fn open_folder(
    parent: impl std::os::fd::AsFd,
    name: impl rustix::path::Arg + Copy,
    flags: OFlags,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::openat(&parent, name, flags | OFlags::RDONLY, Mode::empty()) {
        #[cfg(target_os = "linux")]
        Err(Errno::ACCESS) => Ok(fs::openat(&parent, name, flags | OFlags::PATH, Mode::empty())?),
        opened => Ok(opened?),
    }
}

/// Returns the status of a name in an open folder. Links are not followed.
pub(crate) fn status(folder: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        there => Ok(Some(there?)),
    }
}

/// Returns the name of a kind of file in errors.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}

/// The number of links that Linux follows.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_go_into_folders_and_folders_have_to_be_there() {
        let scratch = tempfile::tempdir().unwrap();
        let (folder, name) = (scratch.path().join("folder"), OsStr::new("x"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(scratch.path().join("file"), "").unwrap();
        symlink("folder", scratch.path().join("link")).unwrap();
        assert_eq!(place_of(&folder, name).unwrap(), folder.join("x"));
        assert_eq!(place_of(&scratch.path().join("link/"), name).unwrap(), scratch.path().join("link/x"));
        assert_eq!(place_of(&folder, OsStr::new("")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(place_of(&scratch.path().join("new"), name).unwrap(), scratch.path().join("new"));
        let missing = place_of(&scratch.path().join("new/"), name).unwrap_err();
        assert_eq!(
            (missing.kind(), missing.to_string()),
            (io::ErrorKind::NotFound, "the folder does not exist".into())
        );
        let file = place_of(&scratch.path().join("file/"), name).unwrap_err();
        assert_eq!(file.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn links_are_followed_to_what_need_not_be_there_and_not_in_circles() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        for (to, name) in [("b", "a"), ("missing", "b"), ("loop", "loop"), ("/proc/self/fd/0", "in")] {
            symlink(to, at(name)).unwrap();
        }
        let place = follow(&at("a")).unwrap();
        assert_eq!((place.path, place.there.is_none(), place.is_descriptor), (at("missing"), true, false));
        assert!(follow(&at("loop")).is_err());
        let place = follow(&at("in")).unwrap();
        assert_eq!((place.path, place.is_descriptor), (PathBuf::from("/proc/self/fd/0"), true));
    }
}
