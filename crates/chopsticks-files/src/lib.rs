//! The content of files and folders as a stream, at both of its ends.
//!
//! A file is read by a thread of its own, cut into blocks and hashed on its way out; what comes in is written out of sight, compared by
//! checksum, and then is in its place whole or not at all. The format is in `docs/wire.md`, section 8.
//!
//! # Layout
//!
//! * [`Source`], [`Feed`], [`Piece`]: a file that is sent; [`read_tree`] for a folder.
//! * [`Destination`], [`Sink`], [`receive_file`]: a file that is received; [`TreeSink`], [`receive_folder`] for a folder.
//! * [`Input`], [`Meter`], [`Stopped`]: the stream that it is received from.
//! * [`Progress`], [`Watcher`]: how far a transfer is, and who is told.
//!
//! Which host the other end is on, and how a transfer is asked for, is not known here.

mod attributes;
mod content;
mod device;
mod entry;
mod input;
mod patience;
mod place;
mod progress;
mod receive;
mod sink;
mod source;
mod spare;
mod target;
mod tree_sink;
mod tree_source;

pub use content::{BLOCK_LEN, SHA1_LEN, Summary};
pub use entry::{nanoseconds, time};
pub use input::{Input, Meter, Stopped};
pub use progress::{Progress, Watcher};
pub use receive::{receive_file, receive_folder};
pub use sink::{Destination, Sink};
pub use source::{Feed, Piece, Source};
pub use target::{Attributes, Wish};
pub use tree_sink::{Manner, TreeSink};
pub use tree_source::{Piece as TreePiece, Problem, read_tree};
