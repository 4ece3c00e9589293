//! Trees of files that are no folder and no archive.

use std::{fmt, io};

use chopsticks_module::ResourceEntry;

/// A tree of files from wherever you like: a database, a version control system, a server.
///
/// It is given to [`Codebase::source`](crate::Codebase::source). What is a module, a package or data is told by the names of the files, as in a
/// folder: `ops/__init__.py` is the package `ops`, `ops/deploy.py` its module `ops.deploy`.
///
/// Paths have `/` between their parts, none of which is empty, `.` or `..` or has a separator or a NUL in it; `""` is the top folder. Methods may block; a tunnel
/// waits for an answer until its deadline for imports.
///
/// ```
/// use std::io;
///
/// use chopsticks_importer::{Codebase, ResourceEntry, Source};
///
/// /// A module that is made up when it is asked for.
/// #[derive(Debug)]
/// struct Settings;
///
/// impl Source for Settings {
///     fn label(&self) -> String {
///         "settings".to_owned()
///     }
///
///     fn list(&self, folder: &str) -> io::Result<Option<Vec<ResourceEntry>>> {
///         Ok(folder.is_empty().then(|| vec![ResourceEntry::file("settings.py")]))
///     }
///
///     fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
///         Ok((file == "settings.py").then(|| b"REGION = 'eu'\n".to_vec()))
///     }
/// }
///
/// let codebase = Codebase::source(Settings);
/// let module = codebase.find(&"settings".parse()?)?.expect("it is listed");
/// assert_eq!(module.file().unwrap().to_str(), Some("settings/settings.py"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// Returns what stands before a file's path in tracebacks and errors, as a folder's path does there.
    fn label(&self) -> String;

    /// Returns what is directly in a folder, in any order, or `None` if the folder does not exist.
    ///
    /// A folder is listed at most once for each question that a codebase is asked. Names that are no parts of a path are passed over.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from knowing.
    fn list(&self, folder: &str) -> io::Result<Option<Vec<ResourceEntry>>>;

    /// Returns what is in a file, or `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being read.
    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>>;

    /// Returns a number that changes when a file does: as long as it is the same, nothing is read again.
    ///
    /// By default `None`: it is not known, and files are read whenever they are asked for.
    fn version(&self) -> Option<u64> {
        None
    }
}
