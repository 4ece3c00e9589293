//! What a file is made from, so that less is sent: the file that it replaces, or the part that an
//! interrupted transfer has left.

use std::{
    fs::File,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use chopsticks_files::{Signature, Source, find_part};
use serde_bytes::{ByteBuf, Bytes};

use crate::{
    error::{Error, Phase},
    file::{Fetch, Put, compare::blocking, reply},
    tunnel::Tunnel,
};

/// What a transfer may be made from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reuse {
    /// The existing file.
    pub(super) delta: bool,
    /// The part that an interrupted transfer has left; and the own one stays if it is interrupted.
    pub(super) resume: bool,
}

/// A local file from which parts are copied.
pub(super) struct Base {
    pub(super) file: File,
    /// The path of the part, which is removed at the end.
    pub(super) part: Option<PathBuf>,
    pub(super) block: u32,
    pub(super) digests: Vec<u8>,
}

impl Put<'_> {
    /// Sends only those parts of a file that the existing file on the host does not have, wherever
    /// they are in it. By default the whole file is sent.
    ///
    /// The host reads its file and describes its blocks; this side looks for them. This saves time
    /// where the connection is slower than the disks and the processors. Only
    /// [`put_with`](crate::Tunnel::put_with) with a [path](Self::new) as the source does this. The
    /// whole content is checked as always.
    #[must_use]
    pub fn delta(mut self) -> Self {
        self.reuse.delta = true;
        self
    }

    /// Keeps what has arrived if the transfer is interrupted, and goes on from there the next time.
    ///
    /// What has arrived stays beside the target, under a name that begins with `.chopsticks-part-`
    /// and that only its owner can read. The next transfer to the same path with this option looks
    /// for it, checks it block by block, and sends the rest. It removes it when it has succeeded. If
    /// there is no next transfer, the part stays. Only [`put_with`](crate::Tunnel::put_with) with a
    /// [path](Self::new) as the source does this.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.reuse.resume = true;
        self
    }
}

impl Fetch<'_> {
    /// Fetches only those blocks of a file that the existing local file does not have at the same
    /// position. By default the whole file is fetched.
    ///
    /// This suits files that grow or are overwritten in places. If bytes were inserted, everything
    /// behind them is fetched: the host would have to search its file at every position, which takes
    /// too long in Python. The whole content is checked as always. Only
    /// [`fetch_with`](crate::Tunnel::fetch_with) to a path does this.
    #[must_use]
    pub fn delta(mut self) -> Self {
        self.reuse.delta = true;
        self
    }

    /// Keeps what has arrived if the transfer is interrupted, and goes on from there the next time:
    /// see [`Put::resume`]. Only [`fetch_with`](crate::Tunnel::fetch_with) to a path does this.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.reuse.resume = true;
        self
    }
}

impl Tunnel {
    /// Asks the host for a file from which the one that is sent can be made. Returns its path there
    /// and its description.
    pub(super) async fn remote_base(&self, put: &mut Put<'_>) -> Result<Option<(Vec<u8>, Signature)>, Error> {
        let (Source::Path(local), Some(remote)) = (&put.source, &put.remote) else { return Ok(None) };
        let is_small = std::fs::metadata(local).is_ok_and(|local| local.len() < SMALL);
        if !put.reuse.delta && !put.reuse.resume || is_small {
            return Ok(None);
        }
        let name = put.source.name();
        let args = (
            Bytes::new(remote.as_os_str().as_bytes()),
            Bytes::new(name.as_bytes()),
            put.reuse.delta,
            put.reuse.resume,
        );
        let answer: (ByteBuf, u64, u64, ByteBuf) = self.ask("chopsticks._compare:base", args).await?;
        let (path, size, block, sums) = answer;
        if path.is_empty() || size == 0 {
            return Ok(None);
        }
        let signature = blocking(move || Signature::new(size, block, &sums)).await;
        let signature =
            signature.map_err(|error| self.error(Phase::Transfer, reply::failure(remote.clone(), error)))?;
        Ok(Some((path.into_vec(), signature)))
    }
}

/// Looks for a local file from which the one at `path` can be made.
pub(super) async fn local_base(reuse: Reuse, path: Option<&Path>) -> Option<Base> {
    let path = path.filter(|_| reuse.delta || reuse.resume)?.to_owned();
    blocking(move || {
        let part = if reuse.resume { find_part(&path) } else { None };
        let is_regular = || std::fs::metadata(&path).is_ok_and(|there| there.is_file());
        let (part, file) = match part {
            Some((part, file)) => (Some(part), file),
            None if reuse.delta && is_regular() => (None, File::open(&path).ok()?),
            None => return None,
        };
        let (block, digests) = Signature::digests(&file).ok()?;
        Some(Base { file, part, block, digests })
    })
    .await
}

/// Files below this size are sent as they are.
const SMALL: u64 = 16 << 10;
