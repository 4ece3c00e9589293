//! What a transfer would be refused for, found out before anything is written.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use serde_bytes::Bytes;

use crate::{
    error::Error,
    file::{Fetch, Put},
    tunnel::Tunnel,
};

/// A transfer that is not to take place, and where it would write.
pub(super) struct Rehearsal {
    path: PathBuf,
    /// The name of a file if the path leads to a folder. `None` for a folder.
    name: Option<Vec<u8>>,
    makes_parents: bool,
    overwrites: bool,
}

impl Rehearsal {
    pub(super) fn of_file(put: &Put<'_>, remote: &Path, name: &OsStr) -> Self {
        Self { name: Some(name.as_bytes().to_vec()), ..Self::of_folder(put, remote) }
    }

    pub(super) fn of_folder(put: &Put<'_>, remote: &Path) -> Self {
        Self { path: remote.to_owned(), name: None, makes_parents: put.parents, overwrites: put.overwrite }
    }

    /// Creates one of a file that is fetched to a local path.
    pub(super) fn here(fetch: &Fetch<'_>, local: &Path) -> Self {
        Self { path: local.to_owned(), name: None, makes_parents: fetch.parents, overwrites: fetch.overwrite }
    }

    /// Fails as the transfer of a file to this machine would. Blocks the thread.
    pub(super) fn run(&self) -> io::Result<()> {
        match self.path.metadata() {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) if !self.overwrites => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(_) => return Ok(()),
            Err(_) => {}
        }
        let mut around = self.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        let around = match self.makes_parents {
            true => around.find(|path| path.symlink_metadata().is_ok()),
            false => around.next(),
        };
        match around.map(Path::metadata) {
            Some(Ok(folder)) if !folder.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            Some(Err(_)) => Err(io::Error::new(io::ErrorKind::NotFound, "its folder does not exist")),
            _ => Ok(()),
        }
    }
}

impl Tunnel {
    /// Fails as the transfer to the host would.
    pub(super) async fn rehearse(&self, rehearsal: Rehearsal) -> Result<(), Error> {
        let Rehearsal { path, name, makes_parents, overwrites } = rehearsal;
        let path = Bytes::new(path.as_os_str().as_bytes());
        let is_folder = name.is_none();
        let name = name.unwrap_or_default();
        let args = (path, Bytes::new(&name), is_folder, makes_parents, overwrites);
        self.ask::<bool>("chopsticks._compare:rehearse", args).await.map(drop)
    }
}
