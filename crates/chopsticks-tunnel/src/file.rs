//! Transfers of files.

mod base;
mod compare;
mod comparing;
mod fetch;
mod folder;
mod put;
mod rehearsal;
mod reply;

use std::{path::PathBuf, sync::Arc, time::Duration};

use chopsticks_agent::Part;
pub use chopsticks_files::{Excludes, FileKind, Progress};
use tokio::time::timeout;

use self::comparing::{Compares, Comparing};
pub use self::{
    comparing::Obstacle,
    fetch::{Fetch, TunnelFetch},
    put::{Put, TunnelPut},
};
use crate::{
    connection::{Connection, Session},
    error::{Error, ErrorKind, Phase},
    recording::Entry,
    tunnel::Tunnel,
};

/// The result of a file transfer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Transferred {
    /// The absolute path on the controller of a fetched file. `None` for a file that was put, or
    /// written to another destination.
    pub local: Option<PathBuf>,
    /// The absolute path on the host.
    pub remote: PathBuf,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-1 of the content, which both sides have computed, in hexadecimal digits.
    pub sha1: String,
    /// Whether the content was written into an existing file that can be written but not replaced:
    /// a mount point, a device, a pipe, or a file whose owner only its owner can keep. A failure
    /// leaves such a file partly written.
    pub in_place: bool,
    /// Whether something was written, or would be written with [`Put::dry_run`]. It is `false` only
    /// with [`Put::if_changed`].
    pub changed: bool,
    /// The difference between the texts, with [`Put::diff`], if the file was not the same.
    pub diff: Option<String>,
    /// The number of bytes of content that went over the connection: fewer than the size with
    /// [`Put::delta`] or [`Put::resume`], and none if nothing was written.
    pub sent: u64,
}

/// The result of a folder transfer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TransferredFolder {
    /// The absolute path on the controller of a fetched folder. `None` for a folder that was put.
    pub local: Option<PathBuf>,
    /// The absolute path on the host.
    pub remote: PathBuf,
    /// The number of regular files that were transferred.
    pub files: u64,
    /// The number of folders, including the outermost one.
    pub folders: u64,
    /// The number of symbolic links that were transferred.
    pub links: u64,
    /// The number of entries that were left out: FIFOs, sockets, devices.
    pub left_out: u64,
    /// The size of all files that were transferred, in bytes.
    pub size: u64,
    /// Whether something was written or deleted, or would be with [`Put::dry_run`]. It is `false`
    /// only with [`Put::if_changed`].
    pub changed: bool,
    /// The number of files and links that were the same on both sides. 0 without
    /// [`Put::if_changed`].
    pub unchanged: u64,
    /// The paths, from the folder on, of what was not the same on both sides, in the order of their
    /// names. Empty if nothing was compared.
    pub changes: Vec<PathBuf>,
    /// The paths, from the folder on, of what was deleted, or would be, with [`Put::delete`].
    pub deleted: Vec<PathBuf>,
    /// What was of another kind than what comes in its place, if anything was compared.
    pub obstacles: Vec<Obstacle>,
    /// The differences between the texts, with [`Put::diff`].
    pub diff: Option<String>,
    /// The number of bytes of content that went over the connection: fewer than the size with
    /// [`Put::delta`] or [`Put::resume`], and none if nothing was written.
    pub sent: u64,
}

impl Tunnel {
    /// Waits for an agent that accepts transfers.
    ///
    /// Nothing is sent before this, because it would have to be read again if the connection starts
    /// anew.
    async fn transferring(&self, connection: &Connection) -> Result<Arc<Session>, Error> {
        let session = loop {
            let session = connection.session().await?;
            match session.handle.hello().await {
                Ok(_) => break session,
                Err(_) => connection.after(&session).await?,
            }
        };
        session.extend(Part::Files).await;
        Ok(session)
    }

    /// Applies a deadline.
    async fn in_time<T>(
        &self,
        deadline: Option<Duration>,
        transfer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(after) = deadline else { return transfer.await.map_err(Error::of_transfer) };
        match timeout(after, transfer).await {
            Ok(result) => result.map_err(Error::of_transfer),
            Err(_) => {
                let connection = self.lease();
                let late = connection.map(|connection| connection.late(after));
                Err(late.filter(|late| late.phase() != Phase::Call).unwrap_or_else(|| {
                    let kind = ErrorKind::Timeout { after, stderr: String::new(), noise: String::new() };
                    self.error(Phase::Transfer, kind)
                }))
            }
        }
    }
}

/// The default permissions of files.
const FILE_MODE: u32 = 0o644;
/// The default permissions of temporary files.
const TEMPORARY_MODE: u32 = 0o600;

impl Entry {
    /// Records the end of the transfer of a file.
    pub(crate) fn end_file(mut self, result: &Result<Transferred, Error>) {
        if let Ok(file) = result {
            self.note_transfer(&file.remote, file.changed, Some(format!("sha1:{}", file.sha1)));
        }
        self.end(result, |file| Some(file.size));
    }

    /// Records the end of the transfer of a folder.
    pub(crate) fn end_folder(mut self, result: &Result<TransferredFolder, Error>) {
        if let Ok(folder) = result {
            self.note_transfer(&folder.remote, folder.changed, None);
        }
        self.end(result, |folder| Some(folder.size));
    }
}
