//! A file that is written out of sight, and then is in its place whole or not at all.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::Path,
    time::SystemTime,
};

use chopsticks_transport::Nonce;
use rustix::{
    fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
    process::{Gid, Uid},
};

/// A file beside its target.
///
/// Where the file system and /proc allow it, it has no name, so that not even SIGKILL leaves something behind. Dropping it
/// gives it up.
#[derive(Debug)]
pub(crate) struct Target {
    folder: OwnedFd,
    name: OsString,
    replace: bool,
    file: File,
    /// The name that it has until it is finished, where it needs one.
    temporary: Option<OsString>,
}

/// What a file is to have when it appears.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever receives a file decides on each of them")]
pub struct Attributes {
    /// The permission bits.
    pub mode: u32,
    /// The numbers of a user and a group; `None` leaves what the file has.
    pub owner: (Option<u32>, Option<u32>),
    /// The time of modification; `None` for that of the last write.
    pub modified: Option<SystemTime>,
}

impl Target {
    /// Begins a file that is to be at `path`.
    ///
    /// # Errors
    ///
    /// A folder is there, or something at all that is not to be replaced; or the folder cannot be written to.
    pub(crate) fn create(path: &Path, replace: bool) -> io::Result<Self> {
        let name = path.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"));
        let name = name.ok_or(io::ErrorKind::IsADirectory)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
        Self::create_in(folder, name, replace)
    }

    /// As [`create`](Self::create), in a folder that is open. Nothing outside of it is touched.
    pub(crate) fn create_in(folder: OwnedFd, name: &OsStr, replace: bool) -> io::Result<Self> {
        check_place(&folder, name, replace)?;
        match nameless(&folder) {
            Ok(file) => {
                Ok(Self { folder, name: name.to_owned(), replace, file: file.into(), temporary: None })
            }
            Err(_) => Self::create_named(folder, name, replace),
        }
    }

    /// As [`create_in`](Self::create_in), where a file needs a name from the beginning.
    fn create_named(folder: OwnedFd, name: &OsStr, replace: bool) -> io::Result<Self> {
        let temporary = fresh_name();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = fs::openat(&folder, &temporary, flags, PRIVATE)?.into();
        Ok(Self { folder, name: name.to_owned(), replace, file, temporary: Some(temporary) })
    }

    /// Writes content.
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)
    }

    /// Makes the file appear, with its attributes.
    pub(crate) fn finish(mut self, attributes: &Attributes, sync: bool) -> io::Result<()> {
        let Attributes { mode, owner: (user, group), modified } = *attributes;
        if user.is_some() || group.is_some() {
            fs::fchown(&self.file, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
        }
        fs::fchmod(&self.file, Mode::from_raw_mode(mode & 0o7777))?;
        if let Some(modified) = modified {
            fs::futimens(&self.file, &timestamps(modified))?;
        }
        if sync {
            self.file.sync_all()?;
        }
        self.give_name()?;
        if sync {
            // Not every file system can.
            let _ = fs::fsync(&self.folder);
        }
        Ok(())
    }

    fn give_name(&mut self) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            if self.replace {
                fs::renameat(&self.folder, temporary, &self.folder, &self.name)?;
                self.temporary = None;
            } else {
                fs::linkat(&self.folder, temporary, &self.folder, &self.name, AtFlags::empty())?;
            }
            return Ok(());
        }
        match self.link(&self.name) {
            Err(Errno::EXIST) if self.replace => {}
            linked => return Ok(linked?),
        }
        // A link does not replace, a rename does. The name is always the same, so that what a kill between the two leaves
        // behind is taken away by the next that comes here.
        let spare = beside(&checksum(self.name.as_bytes()).to_be_bytes());
        loop {
            match self.link(&spare) {
                Err(Errno::EXIST) => {
                    self.unlink(&spare)?;
                    continue;
                }
                linked => linked?,
            }
            match fs::renameat(&self.folder, &spare, &self.folder, &self.name) {
                // Another transfer to this place took it for such a remainder.
                Err(Errno::NOENT) if fs::fstat(&self.file)?.st_nlink == 0 => {}
                Err(error) => {
                    self.unlink(&spare)?;
                    return Err(error.into());
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    fn link(&self, name: &OsStr) -> Result<(), Errno> {
        let path = in_proc(self.file.as_raw_fd());
        fs::linkat(CWD, path, &self.folder, name, AtFlags::SYMLINK_FOLLOW)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        match fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            unlinked => Ok(unlinked?),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // Nobody is left to be told.
            let _ = self.unlink(&temporary);
        }
    }
}

/// Refuses a place that is not to be taken.
fn check_place(folder: &OwnedFd, name: &OsStr, replace: bool) -> io::Result<()> {
    let Ok(stat) = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    if !replace {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Symlink => Ok(()),
        FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
        // A device, such as /dev/null, would be lost to all.
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "a special file is in the way")),
    }
}

/// Opens a file without a name, if it can get one later.
fn nameless(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        let file = fs::openat(folder, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, PRIVATE)?;
        fs::stat(in_proc(file.as_fd().as_raw_fd()))?;
        Ok(file)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        Err(Errno::OPNOTSUPP)
    }
}

fn in_proc(fd: i32) -> String {
    format!("/proc/self/fd/{fd}")
}

/// A name that nothing has, for what is not finished.
pub(crate) fn fresh_name() -> OsString {
    beside(Nonce::random().as_bytes())
}

/// A name for a file that is not finished.
fn beside(token: &[u8]) -> OsString {
    let mut name = b".chopsticks-".to_vec();
    name.extend(token.iter().take(8).flat_map(|byte| format!("{byte:02x}").into_bytes()));
    OsString::from_vec(name)
}

/// A number that is the same for the same name (FNV-1a).
fn checksum(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Times of a file that was modified at `modified`; that of its last access stays.
pub(crate) fn timestamps(modified: SystemTime) -> Timestamps {
    let (seconds, nanoseconds) = match modified.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    };
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    }
}

/// Until its mode is set, a file is its owner's alone.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) -> OwnedFd {
        fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap()
    }

    fn names(path: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    type Create = fn(OwnedFd, &OsStr, bool) -> io::Result<Target>;

    const BOTH: [Create; 2] = [Target::create_in, Target::create_named];
    const ATTRIBUTES: Attributes = Attributes { mode: 0o640, owner: (None, None), modified: None };

    #[test]
    fn file_appears_whole_and_replaces() {
        for create in BOTH {
            let scratch = tempfile::tempdir().unwrap();
            for content in [b"first", b"again"] {
                let mut target = create(folder(scratch.path()), OsStr::new("x"), true).unwrap();
                target.write(content).unwrap();
                target.finish(&ATTRIBUTES, true).unwrap();
                assert_eq!(std::fs::read(scratch.path().join("x")).unwrap(), content);
                assert_eq!(names(scratch.path()), ["x"]);
            }
        }
    }

    #[test]
    fn file_that_is_given_up_leaves_nothing() {
        for create in BOTH {
            let scratch = tempfile::tempdir().unwrap();
            let mut target = create(folder(scratch.path()), OsStr::new("x"), true).unwrap();
            target.write(b"part").unwrap();
            drop(target);
            assert!(names(scratch.path()).is_empty());
        }
    }

    #[test]
    fn file_that_came_meanwhile_stays_if_asked() {
        for create in BOTH {
            let scratch = tempfile::tempdir().unwrap();
            let target = create(folder(scratch.path()), OsStr::new("x"), false).unwrap();
            std::fs::write(scratch.path().join("x"), "other").unwrap();
            let error = target.finish(&ATTRIBUTES, false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(scratch.path().join("x")).unwrap(), b"other");
            assert_eq!(names(scratch.path()), ["x"]);
        }
    }

    #[test]
    fn what_a_kill_left_behind_is_taken_away() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("x"), "old").unwrap();
        std::fs::write(scratch.path().join(beside(&checksum(b"x").to_be_bytes())), "left").unwrap();
        let mut target = Target::create_in(folder(scratch.path()), OsStr::new("x"), true).unwrap();
        target.write(b"new").unwrap();
        target.finish(&ATTRIBUTES, false).unwrap();
        assert_eq!(std::fs::read(scratch.path().join("x")).unwrap(), b"new");
        assert_eq!(names(scratch.path()), ["x"]);
    }

    #[test]
    fn folders_and_special_files_are_not_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("folder")).unwrap();
        fs::mknodat(CWD, scratch.path().join("fifo"), FileType::Fifo, PRIVATE, 0).unwrap();
        for (name, kind) in [("folder", io::ErrorKind::IsADirectory), ("fifo", io::ErrorKind::InvalidInput)] {
            assert_eq!(Target::create(&scratch.path().join(name), true).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn times_before_1970_are_times() {
        let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_millis(1500);
        let time = timestamps(before).last_modification;
        assert_eq!((time.tv_sec, time.tv_nsec), (-2, 500_000_000));
    }
}
