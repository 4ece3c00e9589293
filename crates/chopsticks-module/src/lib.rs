//! Python modules and data as chopsticks sends them, and the trait of sources that provide them.
//!
//! A [`ModuleSource`] provides the modules that agents import. `chopsticks-importer` implements it
//! for folders and archives, and you can implement it too. A tunnel calls it and sends what it
//! returns. The two crates do not depend on each other, and share only these types: this crate has
//! no files, no wire format and no logic.

mod entry;
mod error;
mod resource;
mod source;

pub use entry::{ModuleEntry, ModuleEntryKind};
pub use error::ModuleError;
pub use resource::{Resource, ResourceEntry, ResourceKind};
pub use source::ModuleSource;
