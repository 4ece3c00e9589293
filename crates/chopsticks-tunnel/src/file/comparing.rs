//! What is compared before a transfer, and what happens to what differs.

use std::path::PathBuf;

use chopsticks_files::{Excludes, FileKind};

use crate::file::{Fetch, Put};

/// Whether both sides are compared, and what happens to what differs.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparing {
    pub(super) compares: Compares,
    /// Equal sizes and times are enough.
    pub(super) trusts_times: bool,
    /// What the source does not have is removed.
    pub(super) deletes: bool,
    pub(super) excludes: Excludes,
    pub(super) diffs: bool,
}

impl Comparing {
    /// Returns whether the content of files is compared.
    pub(super) fn is_on(&self) -> bool {
        self.compares != Compares::No || self.diffs
    }
}

/// Whether both sides are compared before a transfer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Compares {
    #[default]
    No,
    /// Nothing is sent.
    Only,
    Yes,
}

/// Something in the target folder that is of another kind than what comes in its place: a folder in
/// place of a file, for example.
///
/// With `delete` it is removed first. Otherwise the transfer fails there.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Obstacle {
    /// The path, from the folder on.
    pub path: PathBuf,
    /// What is there.
    pub kind: FileKind,
}

impl Put<'_> {
    /// Sends only files that differ on the host. By default everything is sent.
    ///
    /// The host compares the size and the SHA-1 of the content. For a folder, one request compares
    /// all files. Where [`mode`](Self::mode), [`owner`](Self::owner), [`modified`](Self::modified)
    /// or [`keep_modified`](Self::keep_modified) are set, it compares these as well. Equal files
    /// are not sent. [`Transferred::changed`](crate::Transferred::changed) and
    /// [`TransferredFolder`](crate::TransferredFolder) report what differed. If the host changes a
    /// file between the comparison and the transfer, the change is overwritten or stays.
    ///
    /// The local content is read once more for its checksum. A [`reader`](Self::reader) cannot be
    /// compared.
    #[must_use]
    pub fn if_changed(mut self) -> Self {
        if self.comparing.compares == Compares::No {
            self.comparing.compares = Compares::Yes;
        }
        self
    }

    /// Takes files of a folder as equal if their sizes and times of modification are equal, as
    /// `rsync -a` does. Neither side reads them. Use it together with
    /// [`keep_modified`](Self::keep_modified). Implies [`if_changed`](Self::if_changed).
    #[must_use]
    pub fn trust_times(mut self) -> Self {
        self.comparing.trusts_times = true;
        self.if_changed()
    }

    /// Only compares, as [`if_changed`](Self::if_changed) does, and writes nothing. The result is
    /// what would change.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.comparing.compares = Compares::Only;
        self
    }

    /// Removes what the host's folder has and the local one does not, once everything has arrived.
    /// Only [`put_dir_with`](crate::Tunnel::put_dir_with) does this.
    ///
    /// What is [excluded](Self::exclude) stays, and so does what is mounted in the folder. Links are
    /// removed and not followed. If a folder exists where a file comes, or the other way round, it
    /// is removed before the transfer. Folders of the system, such as `/` and `/etc`, and the home
    /// folder itself are refused.
    #[must_use]
    pub fn delete(mut self) -> Self {
        self.comparing.deletes = true;
        self
    }

    /// Leaves files and folders that match out of a folder: they are not sent, replaced or deleted.
    #[must_use]
    pub fn exclude(mut self, excludes: Excludes) -> Self {
        self.comparing.excludes = excludes;
        self
    }

    /// Returns the differences between text files, as a unified diff. Implies
    /// [`if_changed`](Self::if_changed).
    ///
    /// Files of more than 1 MiB and binary files are only named. The diff is at most some
    /// megabytes long.
    #[must_use]
    pub fn diff(mut self) -> Self {
        self.comparing.diffs = true;
        self.if_changed()
    }
}

impl Fetch<'_> {
    /// Fetches only files that differ here. By default everything is fetched.
    ///
    /// This compares as [`Put::if_changed`] does. A [`writer`](Self::writer) has nothing to compare.
    #[must_use]
    pub fn if_changed(mut self) -> Self {
        if self.comparing.compares == Compares::No {
            self.comparing.compares = Compares::Yes;
        }
        self
    }

    /// Takes files of a folder as equal if their sizes and times of modification are equal: see
    /// [`Put::trust_times`].
    #[must_use]
    pub fn trust_times(mut self) -> Self {
        self.comparing.trusts_times = true;
        self.if_changed()
    }

    /// Only compares, as [`if_changed`](Self::if_changed) does, and writes nothing. The result is
    /// what would change.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.comparing.compares = Compares::Only;
        self
    }

    /// Removes what the local folder has and the host's does not, once everything has arrived. Only
    /// [`fetch_dir_with`](crate::Tunnel::fetch_dir_with) does this. See [`Put::delete`].
    ///
    /// The host decides what it lists, so it decides what is removed. Nothing outside the local
    /// folder is removed, whatever it lists.
    #[must_use]
    pub fn delete(mut self) -> Self {
        self.comparing.deletes = true;
        self
    }

    /// Leaves files and folders that match out of a folder: they are not fetched, replaced or
    /// deleted.
    #[must_use]
    pub fn exclude(mut self, excludes: Excludes) -> Self {
        self.comparing.excludes = excludes;
        self
    }

    /// Returns the differences between text files, as a unified diff: see [`Put::diff`].
    #[must_use]
    pub fn diff(mut self) -> Self {
        self.comparing.diffs = true;
        self.if_changed()
    }
}
