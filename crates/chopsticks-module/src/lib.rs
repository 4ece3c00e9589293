//! Python modules and data as chopsticks sends them, and the trait of sources that provide them.
//!
//! A [`ModuleSource`] answers what agents import: `chopsticks-importer` implements it for folders and archives, and so may you. A
//! tunnel asks it and sends what it answers. The two do not see each other, and meet in these types: this crate has no files, no bytes of a wire and
//! no logic.

mod entry;
mod error;
mod resource;
mod source;

pub use entry::{ModuleEntry, ModuleEntryKind};
pub use error::ModuleError;
pub use resource::{Resource, ResourceEntry, ResourceKind};
pub use source::ModuleSource;
