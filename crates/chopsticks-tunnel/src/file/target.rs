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
    fs::{self, AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
    process::{Gid, Uid},
};

/// A file beside its target.
///
/// Where the file system and /proc allow it, it has no name, so that not even SIGKILL leaves something behind. Dropping it
/// gives it up.
#[derive(Debug)]
pub(super) struct Target {
    folder: OwnedFd,
    name: OsString,
    replace: bool,
    file: File,
    /// The name that it has until it is finished, where it needs one.
    temporary: Option<OsString>,
}

/// What a file is to have when it appears.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) owner: (Option<u32>, Option<u32>),
    pub(super) modified: Option<SystemTime>,
}

impl Target {
    /// Begins a file that is to be at `path`.
    ///
    /// # Errors
    ///
    /// A folder is there, or something at all that is not to be replaced; or the folder cannot be written to.
    pub(super) fn create(path: &Path, replace: bool) -> io::Result<Self> {
        let name = path.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"));
        let name = name.ok_or(io::ErrorKind::IsADirectory)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
        Self::create_in(folder, name, replace)
    }

    /// As [`create`](Self::create), in a folder that is open. Nothing outside of it is touched.
    pub(super) fn create_in(folder: OwnedFd, name: &OsStr, replace: bool) -> io::Result<Self> {
        match fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) if !replace => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(stat) if fs::FileType::from_raw_mode(stat.st_mode).is_dir() => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            _ => {}
        }
        let (file, temporary) = match nameless(&folder) {
            Ok(file) => (file, None),
            Err(_) => {
                let name = beside(Nonce::random().as_bytes());
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                (fs::openat(&folder, &name, flags, PRIVATE)?, Some(name))
            }
        };
        Ok(Self { folder, name: name.to_owned(), replace, file: file.into(), temporary })
    }

    /// Writes content.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)
    }

    /// Makes the file appear, with its attributes.
    pub(super) fn finish(mut self, attributes: &Attributes, sync: bool) -> io::Result<()> {
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
pub(super) fn timestamps(modified: SystemTime) -> Timestamps {
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
