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
//! # What is needed ahead
//!
//! A module that imports fifty others would cost fifty questions over the line. So [`Codebase::needed`] reads the imports out of the
//! sources, with a real parser that takes Python 2 and 3 and passes over what is neither, and returns a module with
//! all that it leads to. What it cannot see, such as a name that is put together when the code runs, is
//! asked for then.
//!
//! No transport, no tunnels. Files are read when somebody asks for them, and kept in memory while they do not change.

mod cache;
mod closure;
mod codebase;
mod error;
mod imports;
mod look;
mod name;
mod serve;
mod stdlib;

pub use codebase::{Codebase, Module, ModuleKind};
pub use error::CodebaseError;
pub use name::{InvalidModuleName, ModuleName};
