//! The messages of the chopsticks protocol as types, for both directions: calls, items, imports,
//! files, programs and output.
//!
//! Each type is the payload of one message of `docs/wire.md`, sections 5 to 12, and can be encoded
//! and decoded on either side. The crate does no I/O and runs nothing: it only converts between
//! bytes and values.
//!
//! ```
//! use chopsticks_protocol::Import;
//!
//! let import = Import { name: "ops.report".to_owned(), wanted_by: Some("ops".to_owned()) };
//! let bytes = import.encode()?;
//! assert_eq!(Import::decode(&bytes)?, import);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! * [`operation`] contains the codes of the operations that carry these messages.
//! * [`Start`] and [`Hello`] begin a connection.
//! * [`Call`], [`Callee`], [`SourceText`], [`Arguments`], [`Keywords`] and [`CallFailure`] are for
//!   calls.
//! * [`Run`] calls a function of the program that the agent is.
//! * [`Item`], [`ItemFormat`], [`ItemReader`] and [`ItemError`] are the values of a stream.
//! * [`Modules`], [`Listing`], [`Entry`], [`EntryKind`], [`Import`], [`Imported`], [`Resource`],
//!   [`Folder`] and [`ImportFailure`] are for imports.
//! * [`Put`], [`Fetch`], [`Done`] and [`DoneFolder`] are for files. `chopsticks-files` implements
//!   the stream with their content.
//! * [`Spawn`] and [`Exit`] are for programs.
//! * [`Printed`], [`Logged`] and [`Record`] are what code on a host prints and logs.
//! * [`Failure`] is a failure of an agent on its host.

mod call;
mod failure;
mod file;
mod item;
mod module;
pub mod operation;
mod output;
mod program;
mod run;
mod span;
mod start;

pub use call::{Arguments, Call, CallFailure, Callee, Keywords, NamedValues, Source, SourceText};
pub use failure::Failure;
pub use file::{Done, DoneFolder, Fetch, Put};
pub use item::{FIRST_CREDIT, Item, ItemError, ItemFormat, ItemReader};
pub use module::{Entry, EntryKind, Folder, Import, ImportFailure, Imported, Listing, Modules, Resource};
pub use output::{Logged, Printed, Record};
pub use program::{EMPTY, Exit, Spawn};
pub use run::{NameTooLong, Run};
pub use start::{Hello, Start};
