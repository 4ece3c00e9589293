//! Codebases: finds the Python modules that chopsticks serves to its agents.
//!
//! An agent runs the functions of *your* codebase, on a host that does not have it. So it requests
//! every module that such a function imports from the controller, and a [`Codebase`] provides it. A
//! codebase is an ordered list of sources, the counterpart of Python's `sys.path`, and is searched
//! as Python does it: packages, modules, and namespace packages that are spread over several
//! sources. A source is a folder, an archive (a zip, wheel or egg), files embedded in the program
//! ([`Embedded`]), or your own implementation of [`Source`].
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
//! # What is served
//!
//! Modules: Python source below a root, under a name that Python could import. With
//! `importlib.import_module` the name need not be an identifier (`migrations.0001_initial`). A
//! [`ModuleName`] contains no separators and no `..`.
//!
//! Data: the files in a package's folder and the folders below it, for `pkgutil.get_data` and
//! `importlib.resources`. A folder without `__init__.py` is a namespace package if its name is an
//! identifier, so its files are data too. Files directly in a root are not data. The metadata of
//! distributions (`*.dist-info`, `*.egg-info` directly in a root) is data, for
//! `importlib.metadata`. Names that begin with a dot are never data, and neither are keys such as
//! `*.pem`, unless [`Codebase::include`] names them. [`Codebase::exclude`] excludes further files,
//! including modules.
//!
//! # What is never served
//!
//! * A symbolic link that leads out of its root is refused, unless [`Codebase::links`] allows it.
//!   Pipes, devices and similar files are not opened.
//! * In an archive, only names that stay within it are used: no `..`, no absolute paths, no
//!   backslashes.
//! * Extension modules (`.so`, `.pyd`) and byte code without its source cannot run elsewhere. They
//!   are listed as modules, and refused with an error that says what to do. If there is a source of
//!   the same name, the source is served.
//! * Files over [`Codebase::max_file_len`] after unpacking are refused.
//!
//! # What is needed ahead
//!
//! A module that imports fifty others would cost fifty round trips. So [`Codebase::needed`] reads
//! the imports from the sources, and returns a module with all modules that it leads to. It uses a
//! parser that accepts Python 2 and 3 and skips what is neither. A module that it cannot see, such
//! as one whose name is put together at run time, is sent on request.
//!
//! # Features
//!
//! `parser`, which is on by default, is that parser. It is written in C, so it needs a C compiler to
//! build. Without it, [`Codebase::needed`] returns only the module itself and the packages around
//! it. All other modules are sent on request, with a round trip for each import.
//!
//! The crate has no transport and no tunnels. It reads files and lists archives on request, and
//! caches them as long as they do not change.

mod archive;
mod cache;
mod codebase;
mod embedded;
mod error;
mod imports;
mod listing;
mod look;
mod module;
mod name;
mod path;
mod root;
mod rules;
mod serve;
mod source;
mod spot;
mod stdlib;

pub use chopsticks_module::{Resource, ResourceEntry, ResourceKind};
pub use codebase::Codebase;
pub use embedded::Embedded;
pub use error::CodebaseError;
pub use module::{Module, ModuleKind};
pub use name::{InvalidModuleName, ModuleName};
pub use rules::Links;
pub use source::Source;
