//! Trees of files that are neither folders nor archives.

use std::{fmt, io};

use chopsticks_module::ResourceEntry;

/// A tree of files from any place: a database, a version control system, a server.
///
/// Pass it to [`Codebase::source`](crate::Codebase::source). The names of the files determine what
/// is a module, a package or data, as in a folder: `ops/__init__.py` is the package `ops`, and
/// `ops/deploy.py` its module `ops.deploy`.
///
/// Paths have `/` between their parts. No part is empty, `.` or `..`, or contains a separator or a
/// NUL. `""` is the top folder. Methods may block; a tunnel waits for an answer until its deadline
/// for imports.
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
    /// Returns the text that precedes a file's path in tracebacks and errors, like the path of a
    /// folder.
    fn label(&self) -> String;

    /// Returns the direct entries of a folder, in any order, or `None` if the folder does not
    /// exist.
    ///
    /// A folder is listed at most once for each question that the codebase answers. Names that are
    /// not valid parts of a path are skipped.
    ///
    /// # Errors
    ///
    /// Any reason why the source cannot list the folder.
    fn list(&self, folder: &str) -> io::Result<Option<Vec<ResourceEntry>>>;

    /// Returns the content of a file, or `None` if the file does not exist.
    ///
    /// # Errors
    ///
    /// Any reason why the file cannot be read.
    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>>;

    /// Returns a number that changes when a file changes. As long as it is the same, nothing is
    /// read again.
    ///
    /// By default `None`: changes are not known, and files are read on every request.
    fn version(&self) -> Option<u64> {
        None
    }
}
