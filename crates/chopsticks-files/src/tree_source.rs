//! A local folder that a separate thread reads while it is sent.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::{
    bases::Bases,
    delta::Base,
    listing::Skip,
    walk::{Guide, Piece, Problem, walk},
};

/// Reads a folder with everything in it, in blocks of `block_len`. What the receiver has of the files
/// that `bases` asks about is not sent. A separate thread reads, which ends when the receiver is
/// dropped.
pub fn read_tree(
    root: PathBuf,
    block_len: usize,
    skip: Skip,
    bases: Option<Bases>,
) -> mpsc::Receiver<Result<Piece, Problem>> {
    let (pieces, receiver) = mpsc::channel(AHEAD);
    drop(tokio::task::spawn_blocking(move || send_tree(root, block_len, skip, bases, &pieces)));
    receiver
}

fn send_tree(
    root: PathBuf,
    block_len: usize,
    skip: Skip,
    bases: Option<Bases>,
    pieces: &mpsc::Sender<Result<Piece, Problem>>,
) {
    let mut give = |piece| pieces.blocking_send(Ok(piece)).is_ok();
    if let Err(problem) = walk(root, block_len, &Sender { skip, bases }, &mut give) {
        // Nobody who waits, nobody to be told.
        let _ = pieces.blocking_send(Err(problem));
    }
}

/// What the controller sends.
struct Sender {
    skip: Skip,
    bases: Option<Bases>,
}

impl Guide for Sender {
    fn leaves_out(&self, path: &Path, is_folder: bool) -> bool {
        self.skip.excludes.matches(path, is_folder) || !is_folder && self.skip.same.contains(path)
    }

    fn has_base(&self, path: &Path) -> bool {
        self.bases.as_ref().is_some_and(|bases| bases.has(path))
    }

    fn find(&self, path: &Path) -> Option<Base> {
        self.bases.as_ref()?.find(path)
    }
}

/// The number of pieces that may be under way between the file system and a stream.
const AHEAD: usize = 4;
