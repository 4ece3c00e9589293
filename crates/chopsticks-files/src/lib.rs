//! Sends and receives the content of files and folders as a stream.
//!
//! A file is read by a separate thread, cut into blocks, and hashed while it is sent. A received
//! file is written to a place where it is not visible, and its checksum is compared. Then it
//! appears at its path, completely or not at all. `docs/wire.md`, section 8, specifies the format.
//!
//! # Layout
//!
//! * [`Source`], [`Feed`] and [`Piece`] send a file; [`read_tree`] sends a folder.
//! * [`Destination`], [`Sink`] and [`receive_file`] receive a file; [`TreeSink`] and
//!   [`receive_folder`] receive a folder.
//! * [`Signature`] describes a file of the receiver, so that only what differs is sent;
//!   [`find_part`] finds what an interrupted transfer has left. [`Bases`] are such files of a folder.
//! * [`Input`], [`Meter`] and [`Stopped`] describe the stream from which they are received.
//! * [`list_tree`], [`digest_file`] and [`digest_tree`] return what local files contain, to be
//!   compared; [`difference`](fn@difference) shows how texts differ.
//! * [`Excludes`] are patterns of what is left out; [`remove_entries`] removes what the other side
//!   does not have.
//! * [`blocking`] does the transfers without an asynchronous runtime, as agents do.
//! * [`Progress`] and [`Watcher`] report the progress of a transfer.
//!
//! # Features
//!
//! * `tokio`, on by default: everything that a controller needs. Without it, the crate depends
//!   neither on tokio nor on the crates that compare texts and match patterns. [`blocking`] is left,
//!   with what that takes and returns, and what an agent needs to compare files.
//!
//! The crate does not know which host the other end is on, nor how a transfer is requested.

#[cfg(not(unix))]
compile_error!("chopsticks-files writes files with the modes, owners and links of Unix systems");

mod attributes;
#[cfg(feature = "tokio")]
mod bases;
pub mod blocking;
mod coming;
mod content;
mod delta;
mod device;
#[cfg(feature = "tokio")]
mod difference;
mod digest;
mod entry;
#[cfg(feature = "tokio")]
mod excludes;
#[cfg(feature = "tokio")]
mod input;
#[cfg(feature = "tokio")]
mod listing;
mod patience;
mod place;
#[cfg(feature = "tokio")]
mod progress;
mod reading;
#[cfg(feature = "tokio")]
mod receive;
mod remove;
#[cfg(feature = "tokio")]
mod sink;
#[cfg(feature = "tokio")]
mod source;
mod spare;
mod target;
mod tree;
#[cfg(feature = "tokio")]
mod tree_sink;
#[cfg(feature = "tokio")]
mod tree_source;
mod walk;

pub use coming::Stopped;
pub use content::{BLOCK_LEN, Piece, SHA1_LEN, Summary};
pub use delta::{Base, Signature};
pub use digest::{digest_bytes, digest_entry, digest_file};
pub use entry::{Counts, nanoseconds, time};
pub use remove::{check_deletable, remove_entries};
pub use spare::{find_part, is_part};
pub use target::{Attributes, Wish};
pub use tree::Manner;
pub use walk::{Piece as TreePiece, Problem};
#[cfg(feature = "tokio")]
pub use {
    bases::{Bases, Question},
    difference::{DIFFERENCE_MAX, difference},
    excludes::Excludes,
    input::{Input, Meter},
    listing::{Entry, FileKind, Skip, digest_tree, list_tree},
    progress::{Progress, Watcher},
    receive::{receive_file, receive_folder},
    sink::{Destination, Sink},
    source::{Feed, Source},
    tree_sink::TreeSink,
    tree_source::read_tree,
};
