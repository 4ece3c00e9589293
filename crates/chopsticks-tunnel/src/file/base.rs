//! What a file is made from, so that less is sent: the file that it replaces, or the part that an
//! interrupted transfer has left.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use chopsticks_files::{Base, Question, Signature, Source, find_part};
use serde_bytes::{ByteBuf, Bytes};
use tokio::sync::mpsc;

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
pub(super) struct LocalBase {
    pub(super) file: File,
    /// The path of the part, which is removed at the end.
    pub(super) part: Option<PathBuf>,
    pub(super) block: u32,
    pub(super) digests: Vec<u8>,
}

impl Reuse {
    /// Returns whether anything is made from what is there.
    pub(super) fn is_on(self) -> bool {
        self.delta || self.resume
    }

    /// Returns whether a file of this size may be made from something, given whether the host has a
    /// file at its path.
    pub(super) fn applies(self, size: u64, has_file: bool) -> bool {
        size >= SMALL && (self.resume || self.delta && has_file)
    }
}

impl Put<'_> {
    /// Sends only those parts of a file that the existing file on the host does not have, wherever
    /// they are in it. By default the whole file is sent.
    ///
    /// The host reads its file and describes its blocks; this side looks for them. This saves time
    /// where the connection is slower than the disks and the processors. The
    /// source has to be a [path](Self::new). In a folder this applies to each file of 16 KiB or more
    /// that [differs](Self::if_changed), so both sides are compared first. The whole content is
    /// checked as always.
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
    /// there is no next transfer, the part stays. The source has to be a [path](Self::new).
    ///
    /// In a folder, the next transfer [compares](Self::if_changed) both sides first, so that files
    /// that have arrived are not sent again, and goes on within the file that was under way if that
    /// has 16 KiB or more.
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
        self.find_base(remote, &name, put.reuse).await
    }

    async fn find_base(
        &self,
        remote: &Path,
        name: &OsStr,
        reuse: Reuse,
    ) -> Result<Option<(Vec<u8>, Signature)>, Error> {
        let args = (
            Bytes::new(remote.as_os_str().as_bytes()),
            Bytes::new(name.as_bytes()),
            reuse.delta,
            reuse.resume,
        );
        let answer: (ByteBuf, u64, u64, ByteBuf) = self.ask("chopsticks._compare:base", args).await?;
        let (path, size, block, sums) = answer;
        if path.is_empty() || size == 0 {
            return Ok(None);
        }
        let signature = blocking(move || Signature::new(size, block, &sums)).await;
        let signature = signature
            .map_err(|error| self.error(Phase::Transfer, reply::failure(remote.to_owned(), error)))?;
        Ok(Some((path.into_vec(), signature)))
    }

    /// Answers what the host has of the files of a folder there, until there are no more questions.
    pub(super) async fn answer_bases(
        &self,
        folder: PathBuf,
        reuse: Reuse,
        mut questions: mpsc::Receiver<Question>,
    ) {
        while let Some(question) = questions.recv().await {
            let path = folder.join(&question.path);
            // If the host does not say, the file is sent, or the transfer has a reason to fail.
            let found = self.find_base(&path, OsStr::new(""), reuse).await.ok().flatten();
            question.answer(found.and_then(|(base, signature)| {
                let name = Path::new(OsStr::from_bytes(&base)).file_name()?.as_bytes().to_vec();
                Some(Base { name, signature })
            }));
        }
    }
}

/// Looks for a local file from which the one at `path` can be made.
pub(super) async fn local_base(reuse: Reuse, path: Option<&Path>) -> Option<LocalBase> {
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
        Some(LocalBase { file, part, block, digests })
    })
    .await
}

/// Files below this size are sent as they are.
const SMALL: u64 = 16 << 10;
