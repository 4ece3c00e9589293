//! A file that is written to a place where it is not visible, and then appears at its path,
//! completely or not at all.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Seek as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    time::SystemTime,
};

use rustix::{
    fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
    process::{Gid, Uid, geteuid},
};

use crate::{
    attributes::{bits_of, copy_attributes, mode_of},
    device::Device,
    place::{self, Place, check_shared, follow, kind_name, open_folder},
    spare::{self, clear, fresh_name, in_proc, new_file, new_part},
};

/// The attributes that a file has when it appears.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever receives a file decides on each of them")]
pub struct Attributes {
    /// The permission bits. `None` keeps those of the file that is replaced.
    pub mode: Option<u32>,
    /// The permission bits of a new file if there is no `mode`, as far as the umask allows.
    pub default: u32,
    /// The time of modification. `None` means the time of the last write.
    pub modified: Option<SystemTime>,
}

/// What is known before the content arrives.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever receives a file decides on each of them")]
pub struct Wish {
    /// Whether an existing file is replaced. Otherwise it is an error.
    pub replace: bool,
    /// The numbers of a user and a group. `None` keeps those of the file.
    pub owner: (Option<u32>, Option<u32>),
    /// Whether the file gets other permissions than the existing one.
    pub has_mode: bool,
    /// Whether the content that has arrived stays, under another name, if the transfer does not
    /// end: see [`find_part`](crate::find_part).
    pub keeps_part: bool,
}

/// The place where a file is written.
#[derive(Debug)]
pub(crate) enum Target {
    Device(Device),
    File(Box<Hidden>),
}

impl Target {
    /// Begins a file at `path`, or at the destination of the links there, whatever exists there
    /// now.
    ///
    /// # Errors
    ///
    /// The error if a folder exists there, if a file exists that must not be replaced, or if the
    /// path cannot be written to.
    pub(crate) fn open(path: &Path, wish: Wish, is_wanted: &dyn Fn() -> bool) -> io::Result<Self> {
        if !wish.replace && fs::lstat(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let place = follow(path)?;
        let Place { path, there, is_descriptor } = &place;
        let parent = place::parent(path);
        let name = path.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"));
        let name = name.ok_or(io::ErrorKind::IsADirectory)?;
        if let Some(there) = there {
            if !is_descriptor {
                check_shared(&fs::stat(parent)?, there)?;
            }
            let kind = FileType::from_raw_mode(there.st_mode);
            if kind == FileType::Directory {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if *is_descriptor || kind != FileType::RegularFile {
                if wish.has_mode || wish.owner != (None, None) {
                    let name = if *is_descriptor { "descriptor" } else { kind_name(kind) };
                    let text = format!("a {name} keeps its mode and owner");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                return Ok(Self::Device(Device::open(&place, kind, is_wanted)?));
            }
        }
        let folder = open_folder(CWD, parent, OFlags::empty()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), "its folder does not exist"),
            _ => error,
        })?;
        clear(&folder);
        Ok(Self::File(Box::new(Hidden::create(folder, name, *there, wish)?)))
    }

    /// Begins a file in an open folder. Nothing outside the folder is touched: a link at the file's
    /// path is replaced.
    pub(crate) fn open_in(folder: OwnedFd, name: &OsStr, wish: Wish) -> io::Result<Self> {
        let there = takes_place(&folder, name, wish.replace)?;
        Ok(Self::File(Box::new(Hidden::create(folder, name, there, wish)?)))
    }

    /// Writes content. Stops when `is_wanted` returns false.
    pub(crate) fn write(&mut self, content: &[u8], is_wanted: &dyn Fn() -> bool) -> io::Result<()> {
        match self {
            Self::Device(device) => device.write(content, is_wanted),
            Self::File(hidden) => hidden.file.write_all(content),
        }
    }

    /// Does not keep what has arrived.
    pub(crate) fn forget(&mut self) {
        if let Self::File(hidden) = self {
            hidden.wish.keeps_part = false;
        }
    }

    /// Makes the file appear, with its attributes. Returns whether it was written into the existing
    /// file, which could not be replaced.
    pub(crate) fn finish(self, attributes: &Attributes, sync: bool) -> io::Result<bool> {
        match self {
            // It has all of it.
            Self::Device(_) => Ok(true),
            Self::File(hidden) => hidden.finish(attributes, sync),
        }
    }
}

/// Returns the status of a file that is replaced. Refuses a file that must not be replaced.
pub(crate) fn takes_place(folder: &OwnedFd, name: &OsStr, replace: bool) -> io::Result<Option<Stat>> {
    let Some(there) = place::status(folder, name)? else { return Ok(None) };
    if !replace {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match FileType::from_raw_mode(there.st_mode) {
        FileType::RegularFile => Ok(Some(there)),
        FileType::Symlink => Ok(None),
        FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
        // A device, such as /dev/null, would be lost to all.
        kind => {
            let text = format!("a {} is in the way", kind_name(kind));
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

/// A file beside its target.
///
/// If the file system and /proc allow it, the file has no name, so that not even SIGKILL leaves
/// something behind. Dropping it abandons it. If an existing file can be written but not replaced
/// by an equivalent one, its content is changed in place, once all of the new content has arrived.
#[derive(Debug)]
pub(crate) struct Hidden {
    folder: OwnedFd,
    name: OsString,
    /// The file that it replaces.
    there: Option<Stat>,
    wish: Wish,
    file: File,
    /// The temporary name until the file is finished, if it needs one.
    temporary: Option<OsString>,
    /// The existing file, if the content is written into it.
    old: Option<File>,
}

impl Hidden {
    fn create(folder: OwnedFd, name: &OsStr, there: Option<Stat>, wish: Wish) -> io::Result<Self> {
        let new = |folder: &OwnedFd| match wish.keeps_part {
            true => new_part(folder, name).map(|(file, name)| (file, Some(name))),
            false => new_file(folder),
        };
        Self::create_with(new, folder, name, there, wish)
    }

    fn create_with(
        new: impl Fn(&OwnedFd) -> io::Result<(File, Option<OsString>)>,
        folder: OwnedFd,
        name: &OsStr,
        there: Option<Stat>,
        wish: Wish,
    ) -> io::Result<Self> {
        let name = name.to_owned();
        match new(&folder) {
            Ok((file, temporary)) => {
                let mut hidden = Self { folder, name, there, wish, file, temporary, old: None };
                if let Some(there) = there
                    && hidden.keep(&there).is_err()
                {
                    hidden.old = Some(hidden.open_old()?);
                }
                Ok(hidden)
            }
            Err(error) if there.is_some() && is_denied(&error) => {
                let old = open_old(&folder, &name)?;
                let file = spool()?;
                Ok(Self { folder, name, there, wish, file, temporary: None, old: Some(old) })
            }
            Err(error) => Err(error),
        }
    }

    /// Copies the owner and the extended attributes of the old file to the new one; the mode is set
    /// separately.
    fn keep(&self, there: &Stat) -> io::Result<()> {
        let mine = fs::fstat(&self.file)?;
        if self.wish.owner == (None, None) && (there.st_uid, there.st_gid) != (mine.st_uid, mine.st_gid) {
            let (user, group) = (Uid::from_raw(there.st_uid), Gid::from_raw(there.st_gid));
            fs::fchown(&self.file, Some(user), Some(group))?;
        }
        copy_attributes(&self.folder, &self.name, &self.file)
    }

    fn open_old(&self) -> io::Result<File> {
        open_old(&self.folder, &self.name)
    }

    fn finish(mut self, attributes: &Attributes, sync: bool) -> io::Result<bool> {
        if self.old.is_none() {
            self.dress(attributes)?;
            if let Some(modified) = attributes.modified {
                fs::futimens(&self.file, &timestamps(modified))?;
            }
            if sync {
                sync_file(&self.file)?;
            }
            match self.give_name() {
                Ok(()) => {}
                // A mount point is busy; others may be in a folder where only their owner may remove them.
                Err(error) if self.there.is_some() && is_denied(&error) => self.old = Some(self.open_old()?),
                Err(error) => return Err(error),
            }
        }
        match self.old.take() {
            Some(old) => {
                self.pour(old, attributes, sync)?;
                Ok(true)
            }
            None => {
                if sync {
                    // Not every file system can.
                    let _ = fs::fsync(&self.folder);
                }
                Ok(false)
            }
        }
    }

    /// Sets owner and permissions.
    fn dress(&self, attributes: &Attributes) -> io::Result<()> {
        let (user, group) = self.wish.owner;
        if user.is_some() || group.is_some() {
            fs::fchown(&self.file, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
        }
        // Whoever may not set a user's ID loses it by writing, too.
        let kept = if geteuid().is_root() { 0o7777 } else { 0o1777 };
        let mode = attributes.mode.unwrap_or_else(|| {
            self.there.map_or(attributes.default, |there| bits_of(Mode::from_raw_mode(there.st_mode)) & kept)
        });
        let mode = mode_of(mode);
        if Mode::from_raw_mode(fs::fstat(&self.file)?.st_mode) == mode {
            return Ok(());
        }
        match fs::fchmod(&self.file, mode) {
            Err(error) if attributes.mode.is_none() && is_unable(error) => Ok(()),
            set => Ok(set?),
        }
    }

    /// Writes the complete content into the existing file.
    fn pour(&mut self, mut old: File, attributes: &Attributes, sync: bool) -> io::Result<()> {
        self.file.rewind()?;
        old.set_len(0)?;
        io::copy(&mut self.file, &mut old)?;
        let (user, group) = self.wish.owner;
        if user.is_some() || group.is_some() {
            fs::fchown(&old, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
        }
        if let Some(mode) = attributes.mode {
            fs::fchmod(&old, mode_of(mode))?;
        }
        if let Some(modified) = attributes.modified {
            fs::futimens(&old, &timestamps(modified))?;
        }
        if sync { sync_file(&old) } else { Ok(()) }
    }

    fn give_name(&mut self) -> io::Result<()> {
        if self.temporary.is_none() {
            match self.link(&self.name) {
                Err(Errno::EXIST) if self.wish.replace => {}
                linked => return Ok(linked?),
            }
            // A link does not replace, a rename does.
            spare::hold(&self.file)?;
            let name = fresh_name();
            self.link(&name)?;
            self.temporary = Some(name);
        }
        let Some(temporary) = &self.temporary else { return Ok(()) };
        if self.wish.replace {
            fs::renameat(&self.folder, temporary, &self.folder, &self.name)?;
            self.temporary = None;
            return Ok(());
        }
        match fs::linkat(&self.folder, temporary, &self.folder, &self.name, AtFlags::empty()) {
            // The other name goes with the drop.
            Ok(()) => Ok(()),
            Err(error) if is_unable(error) => self.take_free_name(),
            Err(error) => Err(error.into()),
        }
    }

    /// Without hard links, the name is taken first.
    fn take_free_name(&mut self) -> io::Result<()> {
        let Some(temporary) = &self.temporary else { return Ok(()) };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        fs::openat(&self.folder, &self.name, flags, Mode::RUSR | Mode::WUSR)?;
        if let Err(error) = fs::renameat(&self.folder, temporary, &self.folder, &self.name) {
            self.unlink(&self.name)?;
            return Err(error.into());
        }
        self.temporary = None;
        Ok(())
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

impl Drop for Hidden {
    fn drop(&mut self) {
        let is_kept = self.wish.keeps_part && fs::fstat(&self.file).is_ok_and(|stat| stat.st_size > 0);
        if let Some(temporary) = self.temporary.take().filter(|_| !is_kept) {
            // Nobody is left to be told.
            let _ = self.unlink(&temporary);
        }
    }
}

/// Opens an existing file for writing.
fn open_old(folder: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(fs::openat(folder, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::STALE.into()) }
}

/// Opens a file without a name in the folder for temporary files.
fn spool() -> io::Result<File> {
    let folder = open_folder(CWD, &*std::env::temp_dir(), OFlags::empty())?;
    let (file, name) = new_file(&folder)?;
    if let Some(name) = name {
        fs::unlinkat(&folder, &name, AtFlags::empty())?;
    }
    Ok(file)
}

fn sync_file(file: &File) -> io::Result<()> {
    match fs::fsync(file) {
        Err(error) if is_unable(error) => Ok(()),
        synced => Ok(synced?),
    }
}

/// Returns whether a file may be written but not replaced.
fn is_denied(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ACCESS | Errno::BUSY | Errno::PERM | Errno::ROFS))
}

/// Returns whether a file system does not support modes, links or similar.
pub(crate) fn is_unable(error: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM].contains(&error)
}

/// Returns the times of a file that was modified at `modified`. The time of its last access stays.
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

#[cfg(test)]
mod tests;
