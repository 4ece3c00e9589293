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
//! The crate does not know which host the other end is on, nor how a transfer is requested.

#[cfg(not(unix))]
compile_error!("chopsticks-files writes files with the modes, owners and links of Unix systems");

mod attributes;
mod bases;
pub mod blocking;
mod content;
mod delta;
mod device;
mod difference;
mod digest;
mod entry;
mod excludes;
mod input;
mod patience;
mod place;
mod progress;
mod receive;
mod remove;
mod sink;
mod source;
mod spare;
mod target;
mod tree_sink;
mod tree_source;

pub use bases::{Base, Bases, Question};
pub use content::{BLOCK_LEN, SHA1_LEN, Summary};
pub use delta::Signature;
pub use difference::{DIFFERENCE_MAX, difference};
pub use digest::{Entry, FileKind, Skip, digest_bytes, digest_file, digest_tree, list_tree};
pub use entry::{Counts, nanoseconds, time};
pub use excludes::Excludes;
pub use input::{Input, Meter, Stopped};
pub use progress::{Progress, Watcher};
pub use receive::{receive_file, receive_folder};
pub use remove::{check_deletable, remove_entries};
pub use sink::{Destination, Sink};
pub use source::{Feed, Piece, Source};
pub use spare::find_part;
pub use target::{Attributes, Wish};
pub use tree_sink::{Manner, TreeSink};
pub use tree_source::{Piece as TreePiece, Problem, read_tree};
