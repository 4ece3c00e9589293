//! An ordered list of sources of Python modules.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use chopsticks_module::Resource;

use crate::{
    cache::Cache,
    closure::Closure,
    data,
    error::CodebaseError,
    hint,
    look::Look,
    module::{Found, Module},
    name::ModuleName,
    root::Root,
    rules::{Links, Rules},
    source::Source,
    unpack,
};

/// An ordered list of sources whose modules agents can import, the counterpart of Python's `sys.path`: folders, archives (zips, wheels, eggs), modules
/// [embedded](crate::Embedded) in the program, and [sources](Source) of your own.
///
/// The first that has a module wins, except that a namespace package (a folder without
/// `__init__.py`) is made of all folders of its name, wherever they are, and gives way to a module or package further down the list (PEP 420).
///
/// ```
/// use chopsticks_importer::{Codebase, Embedded};
///
/// let codebase = Codebase::folder("python")
///     .and_path("vendor/requests.whl")
///     .and_source(Embedded::new().module("version", "NUMBER = 3\n"))
///     .exclude("tests");
/// # let _ = codebase;
/// ```
///
/// What was read is kept in memory, up to 64 MiB, and read again when a file's time or size has changed. An archive is
/// open from its first use on. Cheap to clone; clones share what was read.
#[derive(Clone, Debug)]
pub struct Codebase {
    roots: Arc<Vec<Arc<Root>>>,
    rules: Arc<Rules>,
    cache: Arc<Cache>,
    /// The links of which the log has told.
    told: Arc<Mutex<BTreeSet<PathBuf>>>,
    max_ahead_len: usize,
    max_ahead_modules: usize,
}

/// Where modules come from.
impl Codebase {
    /// Creates a codebase without sources, which has no module.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Creates a codebase of one folder.
    pub fn folder(root: impl AsRef<Path>) -> Self {
        Self::empty().and_folder(root)
    }

    /// Creates a codebase of one archive: a zip, a wheel or an egg.
    pub fn archive(file: impl AsRef<Path>) -> Self {
        Self::empty().and_archive(file)
    }

    /// Creates a codebase of a folder, an archive, or a folder in an archive, as [`and_path`](Self::and_path) takes it.
    pub fn path(path: impl AsRef<Path>) -> Self {
        Self::empty().and_path(path)
    }

    /// Creates a codebase of the current folder, as it is now.
    pub fn current_dir() -> Self {
        Self::folder(".")
    }

    /// Creates a codebase of the folder that a script is in, where Python looks for the modules that a script imports.
    pub fn script_dir(script: impl AsRef<Path>) -> Self {
        match script.as_ref().parent() {
            Some(folder) if folder != Path::new("") => Self::folder(folder),
            _ => Self::current_dir(),
        }
    }

    /// Creates a codebase of one source: [`Embedded`](crate::Embedded), or your own.
    pub fn source(source: impl Source) -> Self {
        Self::empty().and_source(source)
    }

    /// Adds a folder, to be searched after what is there.
    #[must_use]
    pub fn and_folder(self, root: impl AsRef<Path>) -> Self {
        self.and_root(Root::folder(root.as_ref()))
    }

    /// Adds an archive: a zip, a wheel or an egg, of files that are stored or deflated.
    #[must_use]
    pub fn and_archive(self, file: impl AsRef<Path>) -> Self {
        self.and_root(Root::archive(file.as_ref(), ""))
    }

    /// Adds a folder, an archive, or a folder in an archive such as `all.zip/lib`, by what is there now.
    #[must_use]
    pub fn and_path(self, path: impl AsRef<Path>) -> Self {
        self.and_root(Root::path(path.as_ref()))
    }

    /// Adds the folders and archives of the environment variable `PYTHONPATH`. Empty entries are passed over, and those of which there is
    /// nothing now.
    #[must_use]
    pub fn and_python_path(self) -> Self {
        self.and_search_path(&env::var_os("PYTHONPATH").unwrap_or_default())
    }

    fn and_search_path(self, value: &OsStr) -> Self {
        let roots = env::split_paths(value).filter(|path| !path.as_os_str().is_empty());
        roots.map(|path| Root::path(&path)).filter(Root::is_there).fold(self, Self::and_root)
    }

    /// Adds a source: [`Embedded`](crate::Embedded), or your own.
    #[must_use]
    pub fn and_source(self, source: impl Source) -> Self {
        self.and_root(Root::source(source))
    }

    fn and_root(mut self, root: Root) -> Self {
        Arc::make_mut(&mut self.roots).push(Arc::new(root));
        self
    }

    /// Returns what stands before the paths of each source's files, in the order in which they are searched.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(|root| root.label.as_path())
    }
}

/// What is served.
impl Codebase {
    /// Keeps files and folders back that match a glob, as data and as modules.
    ///
    /// A pattern without `/` matches names at any depth: `tests`, `*.sqlite`. One with `/` matches paths from a source's top on, `*`
    /// stands for one part or less and `**` for any number of parts: `ops/secret/**`, `/top_only.py`. Folders are kept back with all that is in them.
    /// Upper and lower case are the same.
    ///
    /// A pattern that is none makes the codebase fail when it is first asked.
    #[must_use]
    pub fn exclude(self, pattern: impl Into<String>) -> Self {
        self.with_rules(|rules| rules.exclude(pattern.into()))
    }

    /// Serves files and folders as data that otherwise are not, where they match a glob as in [`exclude`](Self::exclude), for instance `certifi/cacert.pem`.
    ///
    /// By default these are not: what begins with a dot, and `__pycache__`; `*.pem`, `*.key`, `*.p12`, `*.pfx`, `*.ppk`, `*.jks`, `*.keystore`,
    /// `*.kdbx`, `id_rsa*`, `id_dsa*`, `id_ecdsa*`, `id_ed25519*`. What [`exclude`](Self::exclude) matches stays excluded.
    #[must_use]
    pub fn include(self, pattern: impl Into<String>) -> Self {
        self.with_rules(|rules| rules.include(pattern.into()))
    }

    /// Writes outermost packages and modules whose names match a glob to the host's disk when they are imported there, such as `docutils`.
    ///
    /// For packages that open files beside `__file__`, or have extension modules that fit the host: they find themselves as if they were
    /// installed. The folder is in the host's folder for temporary files, is the agent user's alone, and is removed when the agent ends,
    /// however it ends. All files of the package come, also keys that [`include`](Self::include) would have to name; not what
    /// [`exclude`](Self::exclude) matches, nor what begins with a dot.
    ///
    /// ```
    /// use chopsticks_importer::Codebase;
    ///
    /// let codebase = Codebase::folder("vendor").unpack("docutils").unpack("certifi");
    /// # let _ = codebase;
    /// ```
    #[must_use]
    pub fn unpack(self, pattern: impl Into<String>) -> Self {
        self.with_rules(|rules| rules.unpack(pattern.into()))
    }

    /// Sets where symbolic links in folders may lead; [`Links::WithinRoot`] unless set.
    #[must_use]
    pub fn links(self, links: Links) -> Self {
        self.with_rules(|rules| rules.links = links)
    }

    /// Limits the size of one file, module or data, in bytes, unpacked; 64 MiB unless set.
    ///
    /// It is held in memory while it is sent, and an agent has up to 64 requests open: one that asks and does not read can make the
    /// controller hold as many of the codebase's largest files.
    #[must_use]
    pub fn max_file_len(self, bytes: usize) -> Self {
        self.with_rules(|rules| rules.max_file_len = bytes)
    }

    /// Limits the source that [`needed`](Self::needed) returns, in bytes; 8 MiB unless set. The host asks for the rest when it imports it.
    ///
    /// All of it travels before the first call, whether it comes to be used or not: lower it for slow links. It has to fit into the
    /// tunnel's `max_message_len` as well, else all of it is left to be asked for.
    #[must_use]
    pub fn max_ahead_len(mut self, bytes: usize) -> Self {
        self.max_ahead_len = bytes;
        self
    }

    /// Limits how many modules [`needed`](Self::needed) returns; 1,000 unless set. With 0 each module waits until it is asked for.
    #[must_use]
    pub fn max_ahead_modules(mut self, count: usize) -> Self {
        self.max_ahead_modules = count;
        self
    }

    fn with_rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        // What was read under other rules is not to be shared.
        self.cache = Arc::default();
        self
    }
}

/// Questions.
impl Codebase {
    /// Returns the module called `name`, or `None` if the codebase has none.
    ///
    /// # Errors
    ///
    /// [`CodebaseError::Read`] if the file is there and cannot be read, [`CodebaseError::Outside`] if a symbolic link leads out
    /// of the root, [`CodebaseError::Compiled`] if there is an extension module or byte code and no source, [`CodebaseError::TooLarge`],
    /// [`CodebaseError::Pattern`].
    pub fn find(&self, name: &ModuleName) -> Result<Option<Module>, CodebaseError> {
        self.rules.check()?;
        self.find_in(name, &mut self.look())
    }

    /// Returns the module called `name` and all of the codebase that it imports, and what that imports, and so on: wherever in a source an
    /// import stands, for a function may run it.
    ///
    /// Each module comes once, packages before what is in them, and otherwise what is imported before what imports it, as
    /// far as imports do not run in circles. What is over the limits ([`max_ahead_len`](Self::max_ahead_len),
    /// [`max_ahead_modules`](Self::max_ahead_modules)) is left out, the most remote first; so is what cannot be read or may not be served,
    /// and what has the outermost name of a module in the standard library of every Python 3, which wins on any host. Files that
    /// are not reached are not read.
    pub fn needed(&self, name: &ModuleName) -> Vec<Module> {
        if self.rules.check().is_err() {
            return Vec::new();
        }
        Closure::of(self, name)
    }

    /// Returns all of the codebase that a source imports which is no module of it, such as a script, as [`needed`](Self::needed) does for a
    /// module.
    pub fn needed_by_source(&self, source: &[u8]) -> Vec<Module> {
        if self.rules.check().is_err() {
            return Vec::new();
        }
        Closure::of_source(self, source)
    }

    /// Returns the names of the outermost modules and packages, sorted.
    ///
    /// # Errors
    ///
    /// [`CodebaseError::NotAFolder`] if a source is not there, [`CodebaseError::Read`] if it cannot be listed,
    /// [`CodebaseError::Pattern`].
    pub fn top_level(&self) -> Result<Vec<String>, CodebaseError> {
        self.rules.check()?;
        let mut look = self.look();
        let mut names = Vec::new();
        for top in look.tops() {
            if look.kind(&top)? != Some(chopsticks_module::ResourceKind::Folder) {
                return Err(CodebaseError::NotAFolder { root: look.shown(&top) });
            }
            names.extend_from_slice(&look.listing(&top)?.names);
        }
        // Runs that are sorted, and most often one.
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Returns a file or folder of the data of `package`, or `None` if it is not there or not served.
    ///
    /// `path` has `/` between its parts and is empty for the package's own folder. Served is what is in that folder, and in those below it,
    /// but for what [`include`](Self::include) and [`exclude`](Self::exclude) tell; of a namespace package in all its folders.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find), and [`CodebaseError::Excluded`], whether there is such a file or not.
    pub fn resource(&self, package: &ModuleName, path: &str) -> Result<Option<Resource>, CodebaseError> {
        self.rules.check()?;
        data::resource(self, package, path)
    }

    /// Returns what may help whoever named a module that is not there: names like it, and where it was looked for; `None` if the codebase has
    /// it, or any host.
    pub fn hint(&self, name: &ModuleName) -> Option<String> {
        hint::hint(self, name)
    }

    /// Begins a question that looks at each file once.
    pub(crate) fn look(&self) -> Look<'_> {
        Look::new(&self.roots, &self.rules, &self.cache)
    }

    pub(crate) fn find_in(
        &self,
        name: &ModuleName,
        look: &mut Look<'_>,
    ) -> Result<Option<Module>, CodebaseError> {
        if self.unpacks(name) {
            let packed = if name.parent().is_none() { unpack::pack(self, name)? } else { None };
            return Ok(packed.map(|packed| Module::packed(name.clone(), packed)));
        }
        Found::find(name, look)?.map(|found| found.read(name, look)).transpose()
    }

    /// Returns whether a module is part of what is written to the host's disk as a whole.
    pub(crate) fn unpacks(&self, name: &ModuleName) -> bool {
        name.parts().next().is_some_and(|outermost| self.rules.unpacks(outermost))
    }

    /// Returns whether the log has not told of a path yet.
    pub(crate) fn is_news(&self, path: &Path) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Agents choose what they ask for.
        told.len() < MAX_TOLD && told.insert(path.to_owned())
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The limits of what is sent ahead: modules and bytes.
    pub(crate) fn max_ahead(&self) -> (usize, usize) {
        (self.max_ahead_modules, self.max_ahead_len)
    }
}

impl Default for Codebase {
    fn default() -> Self {
        Self {
            roots: Arc::default(),
            rules: Arc::default(),
            cache: Arc::default(),
            told: Arc::default(),
            max_ahead_len: MAX_AHEAD_LEN,
            max_ahead_modules: MAX_AHEAD_MODULES,
        }
    }
}

/// More than anybody reads.
const MAX_TOLD: usize = 100;
/// The whole of most codebases.
const MAX_AHEAD_MODULES: usize = 1000;
/// Takes a second to parse, once, and most of one on a link of 100 Mbit/s, for each connection.
const MAX_AHEAD_LEN: usize = 8 << 20;

#[cfg(test)]
mod tests;
