//! The options of transfers.

use std::num::NonZeroU64;

use chopsticks::{Excludes, Fetch, Put};

use super::value::mode;
use crate::answer::Compared;

/// Sets options, which have the same names in both directions.
macro_rules! configure {
    ($args:expr, $transfer:ident) => {
        let args = $args;
        if args.no_overwrite {
            $transfer = $transfer.no_overwrite();
        }
        if args.times {
            $transfer = $transfer.keep_modified();
        }
        if args.if_changed {
            $transfer = $transfer.if_changed();
        }
        if args.trust_times {
            $transfer = $transfer.trust_times();
        }
        if args.dry_run {
            $transfer = $transfer.dry_run();
        }
        if args.diff {
            $transfer = $transfer.diff();
        }
        if args.delete {
            $transfer = $transfer.delete();
        }
        if args.parents {
            $transfer = $transfer.parents();
        }
        if args.delta {
            $transfer = $transfer.delta();
        }
        if args.resume {
            $transfer = $transfer.resume();
        }
        if let Ok(excludes) = args.patterns() {
            $transfer = $transfer.exclude(excludes);
        }
        if let Some(mode) = args.mode {
            $transfer = $transfer.mode(mode);
        }
        if let Some(rate) = args.rate {
            $transfer = $transfer.limit(rate);
        }
    };
}

/// How files are transferred.
#[derive(Debug, clap::Args)]
pub(crate) struct TransferArgs {
    /// The permissions of the file, in octal digits. By default those of the file that is replaced, or of the source.
    #[arg(long, value_name = "MODE", value_parser = mode, conflicts_with = "recursive")]
    pub(crate) mode: Option<u32>,

    /// Transfer a folder with everything in it, into an existing or a new folder.
    #[arg(short, long)]
    pub(crate) recursive: bool,

    /// Keep the times of modification.
    #[arg(long)]
    pub(crate) times: bool,

    /// Fail if the file already exists.
    #[arg(long)]
    pub(crate) no_overwrite: bool,

    /// The maximum number of bytes per second for each target.
    #[arg(long, value_name = "BYTES")]
    pub(crate) rate: Option<NonZeroU64>,

    /// Transfer only files that differ, compared by size and SHA-1.
    #[arg(long)]
    pub(crate) if_changed: bool,

    /// With -r, take files as equal if their sizes and times of modification are equal, as `rsync -a` does. Implies --if-changed; needs
    /// --times to be of use.
    #[arg(long, requires = "recursive")]
    pub(crate) trust_times: bool,

    /// Write nothing, and show what would change.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Show how text files differ, as a unified diff. Implies --if-changed.
    #[arg(long)]
    pub(crate) diff: bool,

    /// With -r, delete what the source does not have, once everything else has arrived.
    ///
    /// What --exclude names stays. Folders of the system, such as `/` and `/etc`, and the home folder itself are refused.
    #[arg(long, requires = "recursive")]
    pub(crate) delete: bool,

    /// With -r, leave out files and folders that match: they are neither transferred nor deleted. Can be repeated.
    ///
    /// PATTERN is as in `.gitignore`: `*.o` matches names at any depth, `/build` and `docs/*.html` match paths that start at the folder,
    /// `cache/` matches folders only, and `!keep.o` takes back an earlier pattern.
    #[arg(long = "exclude", value_name = "PATTERN", requires = "recursive")]
    pub(crate) excludes: Vec<String>,

    /// Make missing folders of the path that is written to.
    #[arg(long)]
    pub(crate) parents: bool,

    /// Transfer only those parts of a large file that the existing one does not have. With -r, implies --if-changed; only for put.
    #[arg(long)]
    pub(crate) delta: bool,

    /// Keep what has arrived of a file if the transfer is interrupted, and go on from there the next time. With -r, implies --if-changed;
    /// only for put.
    #[arg(long)]
    pub(crate) resume: bool,
}

impl TransferArgs {
    /// Checks the patterns, and returns them.
    pub(crate) fn patterns(&self) -> Result<Excludes, String> {
        Excludes::new(&self.excludes).map_err(|error| error.to_string())
    }

    /// Returns whether both sides are compared.
    pub(crate) fn compares(&self) -> Compared {
        match self.dry_run {
            true => Compared::Only,
            false if self.if_changed || self.trust_times || self.diff => Compared::Yes,
            false if self.recursive && (self.delta || self.resume) => Compared::Yes,
            false => Compared::No,
        }
    }

    /// Refuses options that something that is not a file cannot have.
    pub(crate) fn check_stream(&self, name: &str) -> Result<(), String> {
        if self.compares() != Compared::No {
            return Err(format!("{name} cannot be compared"));
        }
        let needs_file = [(self.delta, "--delta"), (self.resume, "--resume")];
        match needs_file.iter().find(|(is_set, _)| *is_set) {
            Some((_, option)) => Err(format!("{option} needs a file in place of {name}")),
            None => Ok(()),
        }
    }

    /// Adds the options that both directions have.
    pub(crate) fn of_put<'a>(&self, mut put: Put<'a>) -> Put<'a> {
        configure!(self, put);
        put
    }

    /// As [`of_put`](Self::of_put), for the other direction.
    pub(crate) fn of_fetch<'a>(&self, mut fetch: Fetch<'a>) -> Fetch<'a> {
        configure!(self, fetch);
        fetch
    }
}
