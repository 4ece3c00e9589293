//! Codebases: finds the Python modules that chopsticks serves to its agents.
//!
//! An agent runs the functions of *your* codebase, on a host that does not have it: whatever such a function
//! imports is asked of the controller. A [`Codebase`] answers. It is an ordered list of folders, the counterpart of Python's
//! `sys.path`, searched as Python does: packages, modules, and namespace packages spread over several folders.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # std::fs::write(folder.path().join("report.py"), "def load(): return 0.5\n")?;
//! use chopsticks_importer::{Codebase, ModuleKind};
//!
//! let codebase = Codebase::folder(folder.path());
//! let module = codebase.find(&"report".parse()?)?.expect("report.py is there");
//! assert_eq!(module.kind(), ModuleKind::Module);
//! assert!(module.source().starts_with(b"def load"));
//! assert!(codebase.find(&"absent".parse()?)?.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is never served
//!
//! Only Python source below a root, under a name that Python could import: a [`ModuleName`] has no separators and no `..`, and a
//! symbolic link that leads out of its root is refused. Extension modules (`.so`, `.pyd`) and byte code are not
//! served, nor is package data.
//!
//! This crate reads files when it is asked for a module and keeps nothing: no transport, no tunnels, no caches.

mod codebase;
mod error;
mod name;

pub use codebase::{Codebase, Module, ModuleKind};
pub use error::CodebaseError;
pub use name::{InvalidModuleName, ModuleName};
