//! What a controller and an agent say to each other, as types: calls, imports, files, programs.
//!
//! Each type is the payload of one message of `docs/wire.md`, sections 5 to 9, and can be written and read, whichever side one is on.
//! Nothing here does I/O, and nothing runs: bytes go in, values come out, and the other way round.
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
//! * [`operation`]: the codes of the operations that carry these messages.
//! * [`Start`], [`Hello`]: how a connection begins.
//! * [`Call`], [`Callee`], [`SourceText`], [`Arguments`], [`Keywords`], [`CallFailure`]: calls.
//! * [`Modules`], [`Listing`], [`Entry`], [`EntryKind`], [`Import`], [`Imported`], [`Resource`], [`Folder`], [`ImportFailure`]: imports.
//! * [`Put`], [`Fetch`], [`Done`], [`DoneFolder`]: files. Their content is a stream, which `chopsticks-files` knows.
//! * [`Spawn`], [`Exit`]: programs.
//! * [`Failure`]: why an agent could not do something on its host.

mod call;
mod failure;
mod file;
mod module;
pub mod operation;
mod program;
mod span;
mod start;

pub use call::{Arguments, Call, CallFailure, Callee, Keywords, NamedValues, Source, SourceText};
pub use failure::Failure;
pub use file::{Done, DoneFolder, Fetch, Put};
pub use module::{Entry, EntryKind, Folder, Import, ImportFailure, Imported, Listing, Modules, Resource};
pub use program::{EMPTY, Exit, Spawn};
pub use start::{Hello, Start};
