//! Codebases: finds the Python modules that chopsticks serves to its agents.
//!
//! An agent runs the functions of *your* codebase, on a host that does not have it: whatever such a function
//! imports is asked of the controller. A [`Codebase`] answers. It is an ordered list of sources, the counterpart of Python's
//! `sys.path`, searched as Python does: packages, modules, and namespace packages spread over several sources. A source is a folder, an archive
//! (a zip, wheel or egg), what the program carries in itself ([`Embedded`]), or whatever you write a [`Source`] for.
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
//! Modules: Python source below a root, under a name that Python could import; with `importlib.import_module` it need not be an identifier
//! (`migrations.0001_initial`). A [`ModuleName`] has no separators and no `..`.
//!
//! Data: the files in a package's folder and the folders below, for `pkgutil.get_data` and `importlib.resources`. A folder without `__init__.py` is a
//! namespace package if its name is an identifier, so its files are data too; files directly in a root are not. The metadata of distributions
//! (`*.dist-info`, `*.egg-info` directly in a root) is data, for `importlib.metadata`. What begins with a dot is never data, nor are keys such as
//! `*.pem`, unless [`Codebase::include`] says so; [`Codebase::exclude`] keeps back more, modules too.
//!
//! # What is never served
//!
//! * A symbolic link that leads out of its root is refused, unless [`Codebase::links`] allows it. Pipes, devices and the like are not opened.
//! * Of an archive only names that stay in it are known: no `..`, no absolute ones, no backslashes.
//! * Extension modules (`.so`, `.pyd`) and byte code without its source cannot run elsewhere: they are listed as modules, and refused with an
//!   error that says what to do. Where there is a source of the same name, that is served.
//! * Files over [`Codebase::max_file_len`], unpacked.
//!
//! # What is needed ahead
//!
//! A module that imports fifty others would cost fifty questions over the line. So [`Codebase::needed`] reads the imports out of the
//! sources, with a real parser that takes Python 2 and 3 and passes over what is neither, and returns a module with
//! all that it leads to. What it cannot see, such as a name that is put together when the code runs, is
//! asked for then.
//!
//! No transport, no tunnels. Files are read and archives listed when somebody asks for them, and kept in memory while they do not change.

mod archive;
mod cache;
mod closure;
mod codebase;
mod data;
mod embedded;
mod error;
mod hint;
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
mod unpack;

pub use chopsticks_module::{Resource, ResourceEntry, ResourceKind};
pub use codebase::Codebase;
pub use embedded::Embedded;
pub use error::CodebaseError;
pub use module::{Module, ModuleKind};
pub use name::{InvalidModuleName, ModuleName};
pub use rules::Links;
pub use source::Source;
