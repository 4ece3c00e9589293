//! Comparing local files with those of a host, so that only what differs is sent.

use std::{
    collections::HashSet,
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use chopsticks_files::{
    Entry, EntryContent, Source, Summary, digest_bytes, digest_file, digest_tree, nanoseconds,
};
use serde_bytes::{ByteBuf, Bytes};
use tokio::task;

use crate::{
    call::Call,
    error::Error,
    file::{Put, Transferred, TransferredFolder, put::Compares},
    tunnel::Tunnel,
};

/// What a host reports about a folder.
#[derive(Debug, Default)]
pub(super) struct Compared {
    remote: PathBuf,
    /// The files and links that are the same there.
    pub(super) same: HashSet<PathBuf>,
    pub(super) unchanged: u64,
    /// Everything else, in the order of a walk.
    pub(super) changes: Vec<PathBuf>,
    /// What would be sent.
    files: u64,
    links: u64,
    folders: u64,
    size: u64,
}

impl Compared {
    /// Returns the result of a transfer that sends nothing.
    pub(super) fn folder(self) -> TransferredFolder {
        let changed = !self.changes.is_empty();
        TransferredFolder {
            local: None,
            remote: self.remote,
            files: self.files,
            folders: self.folders,
            links: self.links,
            left_out: 0,
            size: self.size,
            changed,
            unchanged: self.unchanged,
            changes: self.changes,
        }
    }
}

impl Tunnel {
    /// Compares a file. Returns `None` if it is to be sent without a comparison.
    pub(super) async fn compare_file(&self, put: &mut Put<'_>) -> Result<Option<Transferred>, Error> {
        if put.compares == Compares::No {
            return Ok(None);
        }
        let name = put.source.name();
        let local = put.source.path();
        let (summary, modified) = match &put.source {
            Source::Bytes(content) => (digest_bytes(content), None),
            Source::Path(path) => {
                let path = path.clone();
                let digested = blocking(move || digest_file(&path)).await;
                let (summary, modified) = digested.map_err(|error| self.local(&local, error))?;
                (summary, Some(modified))
            }
            _ => {
                let what = "what a reader yields cannot be compared";
                return Err(self.local(&local, io::Error::new(io::ErrorKind::InvalidInput, what)));
            }
        };
        let Summary { size, sha1, .. } = summary;
        let mut compared = Transferred {
            local: None,
            remote: put.remote.clone().unwrap_or_default(),
            size,
            sha1: summary.hex(),
            in_place: false,
            changed: true,
        };
        // A new temporary file is the same as no other.
        let Some(remote) = &put.remote else { return Ok(Some(compared)) };
        let modified = put.modified.map(nanoseconds).or(modified.filter(|_| put.keep_modified));
        let call = Call::new("chopsticks._compare:file").args((
            Bytes::new(remote.as_os_str().as_bytes()),
            Bytes::new(name.as_bytes()),
            size,
            Bytes::new(&sha1),
            put.mode.map(|mode| mode & 0o7777),
            &put.owner,
            modified,
        ));
        let (path, changed): (ByteBuf, bool) = self.call_unrecorded(&call).await?.decode()?;
        (compared.remote, compared.changed) = (path_of(path), changed);
        Ok(Some(compared))
    }

    /// Compares a folder. Returns `None` if it is to be sent without a comparison.
    pub(super) async fn compare_folder(
        &self,
        put: &mut Put<'_>,
        root: &Path,
    ) -> Result<Option<Compared>, Error> {
        let Some(remote) = put.remote.as_ref().filter(|_| put.compares != Compares::No) else {
            return Ok(None);
        };
        let folder = root.to_owned();
        let digested = blocking(move || digest_tree(&folder)).await;
        let entries = digested.map_err(|(path, error)| self.local(&path, error))?;
        let described: Vec<_> = entries.iter().map(|entry| described(entry, put.keep_modified)).collect();
        let call = Call::new("chopsticks._compare:folder").args((
            Bytes::new(remote.as_os_str().as_bytes()),
            described,
            &put.owner,
        ));
        let (path, changed): (ByteBuf, Vec<usize>) = self.call_unrecorded(&call).await?.decode()?;
        let changed: HashSet<usize> = changed.into_iter().collect();
        let mut compared = Compared { remote: path_of(path), ..Compared::default() };
        for (position, Entry { path, content, .. }) in entries.into_iter().enumerate() {
            let is_changed = changed.contains(&position);
            match content {
                EntryContent::Folder => compared.folders += u64::from(is_changed),
                _ if !is_changed => {
                    compared.unchanged += 1;
                    compared.same.insert(path);
                    continue;
                }
                EntryContent::File(Summary { size, .. }) => {
                    compared.files += 1;
                    compared.size += size;
                }
                EntryContent::Link(_) => compared.links += 1,
            }
            if is_changed {
                compared.changes.push(path);
            }
        }
        Ok(Some(compared))
    }
}

/// An entry as the host reads it: path, kind, size, checksum or target of a link, and time.
type Described<'a> = (&'a Bytes, u8, u64, &'a Bytes, Option<i64>);

fn described(entry: &Entry, keeps_modified: bool) -> Described<'_> {
    let path = Bytes::new(entry.path.as_os_str().as_bytes());
    let modified = Some(entry.modified).filter(|_| keeps_modified);
    match &entry.content {
        EntryContent::Folder => (path, 1, 0, Bytes::new(b""), None),
        EntryContent::File(summary) => (path, 2, summary.size, Bytes::new(&summary.sha1), modified),
        EntryContent::Link(target) => (path, 3, 0, Bytes::new(target.as_os_str().as_bytes()), None),
    }
}

fn path_of(path: ByteBuf) -> PathBuf {
    PathBuf::from(OsString::from_vec(path.into_vec()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
