//! Writing a local folder while it is received.
//!
//! Names are sent one at a time and never as paths. Each is looked up in an open folder, and links
//! are not followed. So nothing outside the target can be reached, whatever an agent sends and
//! whatever else changes the folder meanwhile.

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

#[cfg(feature = "tokio")]
use bytes::Bytes;
use rustix::{
    fs::{self, AtFlags, CWD, Mode, OFlags},
    io::Errno,
    process::{Gid, Uid},
};
use sha1::{Digest as _, Sha1};

use crate::{
    attributes::{mode_of, umask},
    content::SHA1_LEN,
    entry::{self, Looks},
    patience::patiently,
    place::{follow, open_folder},
    spare::{clear, fresh_name, is_part},
    target::{self, Attributes, Target, Wish, is_unable, takes_place},
};

/// The next action.
#[derive(Debug)]
pub(crate) enum Order {
    /// Enter a folder in the current one.
    Enter(Vec<u8>, Looks),
    /// Leave the current folder.
    Leave,
    Link(Vec<u8>, Vec<u8>),
    File(Vec<u8>, Looks),
    #[cfg(feature = "tokio")]
    Data(Bytes),
    EndFile([u8; SHA1_LEN]),
}

/// How a folder is written.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever receives a folder decides on each of them")]
pub struct Manner {
    /// The numbers of a user and a group. `None` keeps those of the files.
    pub owner: (Option<u32>, Option<u32>),
    /// Whether files and folders get the times that are sent with them.
    pub keep_modified: bool,
    /// Whether existing files and links are replaced. Otherwise they are an error.
    pub replace: bool,
    /// Whether each file is on the disk before it is visible.
    pub sync: bool,
    /// Whether what has arrived of a file that may be made from another one stays if the transfer
    /// does not end.
    pub keeps_parts: bool,
}

/// A folder that is being written by the thread that has this.
pub(crate) struct Tree {
    /// The path that is being written.
    pub(crate) path: PathBuf,
    manner: Manner,
    entered: Vec<Entered>,
    umask: u32,
    file: Option<Writing>,
}

/// A folder that is being written.
struct Entered {
    folder: OwnedFd,
    looks: Looks,
    /// Whether the folder is new. Existing folders keep their attributes.
    is_new: bool,
}

struct Writing {
    target: Target,
    sha1: Sha1,
    looks: Looks,
}

impl Tree {
    pub(crate) fn new(root: &Path, manner: Manner) -> Self {
        Self { path: root.to_owned(), manner, entered: Vec::new(), umask: umask(), file: None }
    }

    pub(crate) fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Enter(name, looks) => self.enter(name, looks),
            Order::Leave => self.leave(),
            Order::Link(name, to) => {
                let name = self.go(name)?;
                self.link(&name, &OsString::from_vec(to))?;
                self.path.pop();
                Ok(())
            }
            Order::File(name, looks) => self.begin(name, looks, false),
            #[cfg(feature = "tokio")]
            Order::Data(data) => self.write(&data),
            Order::EndFile(expected) => {
                let Writing { mut target, sha1, looks } =
                    self.file.take().ok_or(io::ErrorKind::InvalidData)?;
                if sha1.finalize()[..] != expected {
                    target.forget();
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksums differ"));
                }
                let modified = self.modified(looks);
                let attributes = Attributes { mode: None, default: looks.mode & !self.umask, modified };
                target.finish(&attributes, self.manner.sync)?;
                self.path.pop();
                Ok(())
            }
        }
    }

    /// Begins a file, of which what has arrived stays if `keeps_part`.
    fn begin(&mut self, name: Vec<u8>, looks: Looks, keeps_part: bool) -> io::Result<()> {
        let name = self.go(name)?;
        let Manner { replace, owner, .. } = self.manner;
        let (folder, wish) = (self.folder()?, Wish { replace, owner, has_mode: false, keeps_part });
        let target = patiently(|| Target::open_in(folder.try_clone()?, &name, wish))?;
        self.file = Some(Writing { target, sha1: Sha1::new(), looks });
        Ok(())
    }

    /// Begins a file of which parts are copied from `base`, a name in the same folder, or empty.
    /// Returns the base, and its name.
    pub(crate) fn reuse(
        &mut self,
        name: Vec<u8>,
        looks: Looks,
        base: &OsStr,
    ) -> io::Result<Option<(File, OsString)>> {
        self.begin(name, looks, self.manner.keeps_parts)?;
        if base.is_empty() {
            return Ok(None);
        }
        entry::check_name(base.as_bytes())?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(fs::openat(self.folder()?, base, flags, Mode::empty())?);
        Ok(Some((file, base.to_owned())))
    }

    /// Removes a base if it is a part of an interrupted transfer.
    pub(crate) fn remove_part(&self, base: &OsStr) {
        if let Ok(folder) = self.folder()
            && is_part(base)
        {
            let _ = fs::unlinkat(folder, base, AtFlags::empty());
        }
    }

    /// Writes content of the current file.
    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::InvalidData)?;
        file.sha1.update(data);
        file.target.write(data, &|| true)
    }

    fn enter(&mut self, name: Vec<u8>, looks: Looks) -> io::Result<()> {
        if self.entered.len() >= MAX_DEPTH {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many folders in folders"));
        }
        let (folder, is_new) = if self.entered.is_empty() {
            // The target itself may be a link: it is the caller who names it.
            let root = follow(&self.path)?.path;
            let is_new = make(CWD, root.as_os_str())?;
            (patiently(|| open_folder(CWD, &*root, OFlags::NOFOLLOW))?, is_new)
        } else {
            let name = self.go(name)?;
            let parent = self.folder()?;
            let is_new = make(parent, &name)?;
            (patiently(|| open_folder(parent, &*name, OFlags::NOFOLLOW))?, is_new)
        };
        if !is_new {
            clear(&folder);
        }
        self.entered.push(Entered { folder, looks, is_new });
        Ok(())
    }

    /// Sets the attributes of a new folder. This happens last, because they may forbid writing
    /// there, and because writing there changes its time.
    fn leave(&mut self) -> io::Result<()> {
        let Entered { folder, looks, is_new } = self.entered.pop().ok_or(io::ErrorKind::InvalidData)?;
        if is_new {
            let (user, group) = self.manner.owner;
            if user.is_some() || group.is_some() {
                fs::fchown(&folder, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
            }
            // The group's bit comes from the folder around it.
            let inherited = Mode::from_raw_mode(fs::fstat(&folder)?.st_mode) & Mode::SGID;
            match fs::fchmod(&folder, mode_of(looks.mode & !self.umask) | inherited) {
                Err(error) if is_unable(error) => {}
                set => set?,
            }
        }
        if let Some(modified) = self.modified(looks) {
            match fs::futimens(&folder, &target::timestamps(modified)) {
                // It may be another's.
                Err(_) if !is_new => {}
                set => set?,
            }
        }
        if !self.entered.is_empty() {
            self.path.pop();
        }
        Ok(())
    }

    /// Makes a link, which replaces an existing file or link.
    fn link(&self, name: &OsStr, to: &OsStr) -> io::Result<()> {
        let folder = self.folder()?;
        takes_place(folder, name, self.manner.replace)?;
        let spare = if self.manner.replace { fresh_name() } else { name.to_owned() };
        fs::symlinkat(to, folder, &spare)?;
        let (user, group) = self.manner.owner;
        let mut done = Ok(());
        if user.is_some() || group.is_some() {
            let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
            done = fs::chownat(folder, &spare, user, group, AtFlags::SYMLINK_NOFOLLOW);
        }
        if self.manner.replace && done.is_ok() {
            done = fs::renameat(folder, &spare, folder, name);
        }
        if done.is_err() {
            let _ = fs::unlinkat(folder, &spare, AtFlags::empty());
        }
        Ok(done?)
    }

    /// Checks a name, and makes it the current path for errors.
    fn go(&mut self, name: Vec<u8>) -> io::Result<OsString> {
        entry::check_name(&name)?;
        let name = OsString::from_vec(name);
        self.path.push(&name);
        Ok(name)
    }

    fn folder(&self) -> io::Result<&OwnedFd> {
        self.entered.last().map(|entered| &entered.folder).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn modified(&self, looks: Looks) -> Option<std::time::SystemTime> {
        entry::time(looks.modified).filter(|_| self.manner.keep_modified)
    }
}

/// Makes a folder unless something exists; its kind is checked when it is opened. Returns whether
/// the folder was made.
fn make(parent: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<bool> {
    match fs::mkdirat(parent, name, Mode::RWXU) {
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) => Err(io::Error::new(io::ErrorKind::NotFound, "its folder does not exist")),
        made => Ok(made.map(|()| true)?),
    }
}

/// Each open folder takes a descriptor.
const MAX_DEPTH: usize = 256;
