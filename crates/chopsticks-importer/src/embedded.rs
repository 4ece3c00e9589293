//! Files embedded in the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::Arc,
};

use chopsticks_module::ResourceEntry;

use crate::{path, source::Source};

/// Modules and data that are embedded in the program, so that one executable contains its Python
/// code.
///
/// ```
/// use chopsticks_importer::{Codebase, Embedded};
///
/// let embedded = Embedded::new()
///     .package("ops", "")
///     .module("ops.deploy", "from . import tools\ndef restart(name): …\n") // include_str!("ops/deploy.py")
///     .module("ops.tools", "…")
///     .file("ops/templates/unit.txt", b"[Unit]\n"); // include_bytes!("ops/templates/unit.txt")
/// let codebase = Codebase::source(embedded);
/// # assert_eq!(codebase.find(&"ops".parse()?)?.unwrap().submodules(), ["deploy", "templates", "tools"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`files`](Self::files) adds a whole folder, from a list that a build script or a crate such as
/// `include_dir` produces.
///
/// A later entry replaces an earlier entry of the same name. Nothing is copied before it is
/// requested.
#[derive(Clone)]
pub struct Embedded {
    label: String,
    files: Arc<BTreeMap<String, Content>>,
    /// The first invalid path.
    invalid: Option<String>,
}

type Content = Arc<dyn AsRef<[u8]> + Send + Sync>;

impl Embedded {
    /// Creates an empty source.
    pub fn new() -> Self {
        Self { label: "embedded".to_owned(), files: Arc::default(), invalid: None }
    }

    /// Adds the module `name`, such as `ops.deploy`. The packages around it are namespace packages unless they are
    /// added too.
    #[must_use]
    pub fn module(self, name: &str, source: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        self.file(format!("{}.py", name.replace('.', "/")), source)
    }

    /// Adds the package `name` with the source of its `__init__.py`, which may be empty.
    #[must_use]
    pub fn package(self, name: &str, source: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        self.file(format!("{}/__init__.py", name.replace('.', "/")), source)
    }

    /// Adds a file (module or data) by its path, with `/` between its parts.
    ///
    /// A path that leads elsewhere, such as `../x`, is reported as an error when the codebase is
    /// first used.
    #[must_use]
    pub fn file(
        mut self,
        path: impl Into<String>,
        content: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Self {
        let path = path.into();
        if path::is_below(&path) {
            Arc::make_mut(&mut self.files).insert(path, Arc::new(content));
        } else {
            self.invalid.get_or_insert(path);
        }
        self
    }

    /// Adds files by their paths, as [`file`](Self::file) does.
    ///
    /// ```
    /// # use chopsticks_importer::Embedded;
    /// const FILES: &[(&str, &[u8])] = &[("ops/__init__.py", b""), ("ops/deploy.py", b"def restart(name): ...\n")];
    ///
    /// let embedded = Embedded::new().files(FILES.iter().copied());
    /// # let _ = embedded;
    /// ```
    #[must_use]
    pub fn files<P, C>(self, files: impl IntoIterator<Item = (P, C)>) -> Self
    where
        P: Into<String>,
        C: AsRef<[u8]> + Send + Sync + 'static,
    {
        files.into_iter().fold(self, |embedded, (path, content)| embedded.file(path, content))
    }

    /// Sets the text that precedes a file's path in tracebacks and errors. Default: `embedded`.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
}

impl Source for Embedded {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn list(&self, folder: &str) -> io::Result<Option<Vec<ResourceEntry>>> {
        if let Some(invalid) = &self.invalid {
            let message = format!("{invalid:?} is not the path of an embedded file");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.files.range(prefix.clone()..).map_while(|(path, _)| path.strip_prefix(&prefix));
        let entries: BTreeSet<_> = below
            .map(|path| match path.split_once('/') {
                Some((name, _)) => ResourceEntry::folder(name),
                None => ResourceEntry::file(path),
            })
            .collect();
        Ok((folder.is_empty() || !entries.is_empty()).then(|| entries.into_iter().collect()))
    }

    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.get(file).map(|content| content.as_ref().as_ref().to_vec()))
    }

    fn version(&self) -> Option<u64> {
        Some(0)
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("label", &self.label)
            .field("files", &self.files.keys())
            .field("invalid", &self.invalid)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_told_from_the_paths() {
        let embedded = Embedded::new()
            .module("a.b", "B")
            .package("a", String::from("A"))
            .file("a/data/x.bin", b"\0\xff")
            .file("a.txt", vec![1]);
        let names = |folder| {
            let entries = embedded.list(folder).unwrap()?;
            Some(entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>())
        };
        assert_eq!(names("").unwrap(), ["a", "a.txt"]);
        assert_eq!(names("a").unwrap(), ["__init__.py", "b.py", "data"]);
        assert_eq!(names("a/data").unwrap(), ["x.bin"]);
        assert_eq!(names("a/d"), None);
        assert_eq!(embedded.read("a/b.py").unwrap().unwrap(), b"B");
        assert_eq!(embedded.read("a/data").unwrap(), None);
        assert!(Embedded::new().list("").unwrap().unwrap().is_empty());
    }

    #[test]
    fn path_that_leads_elsewhere_is_named() {
        let embedded = Embedded::new().file("../x.py", "").module("", "");
        assert!(embedded.list("").unwrap_err().to_string().contains("\"../x.py\""));
    }
}
