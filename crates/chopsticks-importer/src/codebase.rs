//! An ordered list of sources of Python modules.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chopsticks_module::Resource;

use crate::{
    cache::Cache,
    error::CodebaseError,
    look::Look,
    module::{Found, Module},
    name::ModuleName,
    root::Root,
    rules::{Links, Rules},
    source::Source,
};

use self::closure::Closure;

mod closure;
pub(crate) mod data;
mod hint;
mod unpack;

/// An ordered list of sources whose modules agents can import, the counterpart of Python's
/// `sys.path`: folders, archives (zips, wheels, eggs), modules [embedded](crate::Embedded) in the
/// program, and [sources](Source) of your own.
///
/// The first source that has a module wins. The exception is a namespace package (a folder without
/// `__init__.py`): it consists of all folders of its name in all sources, and a module or package
/// further down the list takes precedence over it (PEP 420).
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
/// What was read is kept in memory, up to 64 MiB, and is read again when the time or size of a file
/// has changed. An archive stays open after its first use. A codebase is cheap to clone, and clones
/// share what was read.
#[derive(Clone, Debug)]
pub struct Codebase {
    roots: Arc<Vec<Arc<Root>>>,
    rules: Arc<Rules>,
    cache: Arc<Cache>,
    /// The links that were logged.
    told: Arc<Mutex<BTreeSet<PathBuf>>>,
    max_ahead_len: usize,
    max_ahead_modules: usize,
    max_ahead_time: Duration,
}

/// The sources.
impl Codebase {
    /// Creates a codebase without sources, which has no modules.
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

    /// Creates a codebase of a folder, an archive, or a folder in an archive, as for
    /// [`and_path`](Self::and_path).
    pub fn path(path: impl AsRef<Path>) -> Self {
        Self::empty().and_path(path)
    }

    /// Creates a codebase of the current folder, as it is at the time of the call.
    pub fn current_dir() -> Self {
        Self::folder(".")
    }

    /// Creates a codebase of the folder that contains a script. Python looks there for the modules
    /// that a script imports.
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

    /// Adds a folder, which is searched after the existing sources.
    #[must_use]
    pub fn and_folder(self, root: impl AsRef<Path>) -> Self {
        self.and_root(Root::folder(root.as_ref()))
    }

    /// Adds an archive: a zip, a wheel or an egg whose files are stored or deflated.
    #[must_use]
    pub fn and_archive(self, file: impl AsRef<Path>) -> Self {
        self.and_root(Root::archive(file.as_ref(), ""))
    }

    /// Adds a folder, an archive, or a folder in an archive such as `all.zip/lib`. What exists at
    /// the time of the call decides which.
    #[must_use]
    pub fn and_path(self, path: impl AsRef<Path>) -> Self {
        self.and_root(Root::path(path.as_ref()))
    }

    /// Adds the folders and archives of the environment variable `PYTHONPATH`. Empty entries, and
    /// entries that do not exist at the time of the call, are skipped.
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

    /// Returns the text that precedes the paths of each source's files, in search order.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(|root| root.label.as_path())
    }
}

/// The rules for what is served.
impl Codebase {
    /// Excludes files and folders that match a glob, both as data and as modules.
    ///
    /// A pattern without `/` matches names at any depth: `tests`, `*.sqlite`. A pattern with `/`
    /// matches paths that start at the top of a source, where `*` matches at most one part and `**`
    /// any number of parts: `ops/secret/**`, `/top_only.py`. A folder is excluded with everything
    /// in it. Upper and lower case are the same.
    ///
    /// An invalid pattern is reported as an error when the codebase is first used.
    #[must_use]
    pub fn exclude(self, pattern: impl Into<String>) -> Self {
        self.with_rules(|rules| rules.exclude(pattern.into()))
    }

    /// Serves files and folders as data that are not served by default, if they match a glob as in
    /// [`exclude`](Self::exclude), for instance `certifi/cacert.pem`.
    ///
    /// By default, names that begin with a dot and `__pycache__` are not served, and neither are
    /// `*.pem`, `*.key`, `*.p12`, `*.pfx`, `*.ppk`, `*.jks`, `*.keystore`, `*.kdbx`, `id_rsa*`,
    /// `id_dsa*`, `id_ecdsa*` and `id_ed25519*`. What [`exclude`](Self::exclude) matches stays
    /// excluded.
    #[must_use]
    pub fn include(self, pattern: impl Into<String>) -> Self {
        self.with_rules(|rules| rules.include(pattern.into()))
    }

    /// Writes outermost packages and modules whose names match a glob, such as `docutils`, to the
    /// host's disk when they are imported there.
    ///
    /// This is for packages that open files beside `__file__`, or that have extension modules for
    /// the host. They work as if they were installed. The folder is in the host's folder for
    /// temporary files, only the agent's user can access it, and it is removed when the agent ends
    /// in any way. All files of the package are written, including keys, which
    /// [`include`](Self::include) would otherwise have to name. Files that
    /// [`exclude`](Self::exclude) matches, and names that begin with a dot, are not written.
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

    /// Sets where symbolic links in folders may lead. Default: [`Links::WithinRoot`].
    #[must_use]
    pub fn links(self, links: Links) -> Self {
        self.with_rules(|rules| rules.links = links)
    }

    /// Sets the maximum size of one file (module or data), in bytes after unpacking. Default: 64
    /// MiB.
    ///
    /// A file is held in memory while it is sent, and an agent has up to 64 requests open. So an
    /// agent that makes requests and does not read the answers can make the controller hold that
    /// number of the codebase's largest files.
    #[must_use]
    pub fn max_file_len(self, bytes: usize) -> Self {
        self.with_rules(|rules| rules.max_file_len = bytes)
    }

    /// Sets the maximum size of the source that [`needed`](Self::needed) returns, in bytes.
    /// Default: 8 MiB. The host requests other modules when it imports them.
    ///
    /// All of this source is sent before the first call, whether it is used or not. Lower the limit
    /// for slow links. The source also has to fit into the tunnel's `max_message_len`; otherwise
    /// none of it is sent ahead.
    #[must_use]
    pub fn max_ahead_len(mut self, bytes: usize) -> Self {
        self.max_ahead_len = bytes;
        self
    }

    /// Sets how many modules [`needed`](Self::needed) returns at most. Default: 1,000. With 0, each
    /// module is sent only on request.
    #[must_use]
    pub fn max_ahead_modules(mut self, count: usize) -> Self {
        self.max_ahead_modules = count;
        self
    }

    /// Sets how long [`needed`](Self::needed) may look for modules. Default: 10 s.
    ///
    /// Modules that were not found by then are sent when an agent asks for them. This matters for
    /// codebases in which one module leads to many, such as a folder of installed packages.
    #[must_use]
    pub fn max_ahead_time(mut self, time: Duration) -> Self {
        self.max_ahead_time = time;
        self
    }

    fn with_rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        // What was read under other rules is not to be shared.
        self.cache = Arc::default();
        self
    }
}

/// The questions that a codebase answers.
impl Codebase {
    /// Returns the module called `name`, or `None` if the codebase does not have it.
    ///
    /// # Errors
    ///
    /// [`CodebaseError::Read`] if the file exists and cannot be read, [`CodebaseError::Outside`] if
    /// a symbolic link leads out of the root, [`CodebaseError::Compiled`] if there is only an
    /// extension module or byte code, [`CodebaseError::TooLarge`], [`CodebaseError::Pattern`].
    pub fn find(&self, name: &ModuleName) -> Result<Option<Module>, CodebaseError> {
        self.rules.check()?;
        self.find_in(name, &mut self.look())
    }

    /// Returns the module called `name` and every module that it imports from the codebase,
    /// directly or through other modules. Imports anywhere in a source are followed, because a
    /// function may run them.
    ///
    /// Each module is returned once. Packages come before the modules in them, and imported modules
    /// come before the modules that import them, except in cycles. Modules over the limits
    /// ([`max_ahead_len`](Self::max_ahead_len), [`max_ahead_modules`](Self::max_ahead_modules),
    /// [`max_ahead_time`](Self::max_ahead_time)) are left out, the most remote ones first. Modules that cannot be read or may not be served are
    /// also left out. So are modules with the outermost name of a standard module in every Python
    /// 3, because the host's own module wins. Files that are not reached are not read.
    ///
    /// Without the feature `parser`, only the module and the packages around it are returned.
    pub fn needed(&self, name: &ModuleName) -> Vec<Module> {
        if self.rules.check().is_err() {
            return Vec::new();
        }
        Closure::of(self, name)
    }

    /// Returns every module that a source text, such as a script, imports from the codebase,
    /// directly or through other modules. The order is that of [`needed`](Self::needed). Without the
    /// feature `parser`, nothing is returned.
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
    /// [`CodebaseError::NotAFolder`] if a source does not exist, [`CodebaseError::Read`] if it
    /// cannot be listed, [`CodebaseError::Pattern`].
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

    /// Returns a file or folder of the data of `package`, or `None` if it does not exist or is not
    /// served.
    ///
    /// `path` has `/` between its parts and is empty for the package's own folder. The files in
    /// that folder and in the folders below it are served, except as [`include`](Self::include) and
    /// [`exclude`](Self::exclude) describe. A namespace package has data in all its folders.
    ///
    /// # Errors
    ///
    /// The errors of [`find`](Self::find), and [`CodebaseError::Excluded`], whether the file exists
    /// or not.
    pub fn resource(&self, package: &ModuleName, path: &str) -> Result<Option<Resource>, CodebaseError> {
        self.rules.check()?;
        data::resource(self, package, path)
    }

    /// Returns a text that helps a user who named a module that does not exist: similar names, and
    /// the places that were searched. Returns `None` if the codebase or every host has the module.
    pub fn hint(&self, name: &ModuleName) -> Option<String> {
        hint::hint(self, name)
    }

    /// Begins a question, which examines each file once.
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

    /// Returns whether a module belongs to a package that is written to the host's disk as a whole.
    pub(crate) fn unpacks(&self, name: &ModuleName) -> bool {
        name.parts().next().is_some_and(|outermost| self.rules.unpacks(outermost))
    }

    /// Returns whether a path was not logged yet.
    pub(crate) fn is_news(&self, path: &Path) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Agents choose what they ask for.
        told.len() < MAX_TOLD && told.insert(path.to_owned())
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns the limits for what is sent ahead: modules and bytes.
    pub(crate) fn max_ahead(&self) -> (usize, usize, Duration) {
        (self.max_ahead_modules, self.max_ahead_len, self.max_ahead_time)
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
            max_ahead_time: MAX_AHEAD_TIME,
        }
    }
}

/// More than anybody reads.
const MAX_TOLD: usize = 100;
/// Longer than most codebases take, and no longer than one waits for a first call.
const MAX_AHEAD_TIME: Duration = Duration::from_secs(10);
/// Enough for all modules of most codebases.
const MAX_AHEAD_MODULES: usize = 1000;
/// Takes a second to parse, once, and about a second on a link of 100 Mbit/s, for each connection.
const MAX_AHEAD_LEN: usize = 8 << 20;

#[cfg(test)]
mod tests;
