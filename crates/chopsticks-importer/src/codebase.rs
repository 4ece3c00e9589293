//! An ordered list of folders with Python modules.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    cache::{Cache, Text},
    closure::Closure,
    error::CodebaseError,
    imports::Imports,
    look::Look,
    name::ModuleName,
};

/// An ordered list of folders from which modules are served.
///
/// The first folder that has a module wins, except that a namespace package (a folder without
/// `__init__.py`) is made of all folders of its name, and gives way to a module or package further down the list (PEP 420).
///
/// What was read is kept in memory, up to 64 MiB, and read again when a file's time or size has changed. Cheap to clone; clones share
/// what was read.
#[derive(Clone, Debug)]
pub struct Codebase {
    roots: Arc<Vec<PathBuf>>,
    cache: Arc<Cache>,
    max_ahead_len: usize,
    max_ahead_modules: usize,
}

/// A module as it is in a codebase.
#[derive(Clone, Debug)]
pub struct Module {
    name: ModuleName,
    kind: ModuleKind,
    file: Option<PathBuf>,
    text: Option<Arc<Text>>,
    submodules: Arc<[String]>,
}

/// What a module is to Python's import system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ModuleKind {
    /// A file of its own.
    Module,
    /// A folder without `__init__.py`.
    Namespace,
    /// A folder with `__init__.py`.
    Package,
}

impl Codebase {
    /// Creates a codebase without folders, which has no module.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Creates a codebase of one folder.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self::empty().and_folder(root)
    }

    /// Adds a folder, to be searched after those that are there.
    #[must_use]
    pub fn and_folder(mut self, root: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.roots).push(root.into());
        self
    }

    /// Limits the source that [`needed`](Self::needed) returns, in bytes; 8 MiB unless set.
    ///
    /// All of it travels before the first call, whether it comes to be used or not: lower it for slow links.
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

    /// Returns the folders in the order in which they are searched.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Returns the module called `name`, or `None` if the codebase has none.
    ///
    /// # Errors
    ///
    /// [`CodebaseError::Read`] if the file is there and cannot be read, [`CodebaseError::Outside`] if a symbolic link leads out
    /// of the root.
    pub fn find(&self, name: &ModuleName) -> Result<Option<Module>, CodebaseError> {
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
        Closure::of(self, name)
    }

    /// Returns the names of the outermost modules and packages, sorted.
    ///
    /// # Errors
    ///
    /// [`CodebaseError::NotAFolder`] if a root is not one, [`CodebaseError::Read`] if it cannot be listed.
    pub fn top_level(&self) -> Result<Vec<String>, CodebaseError> {
        let mut look = self.look();
        let mut names = BTreeSet::new();
        for root in self.roots.iter() {
            if !look.is_folder(root) {
                return Err(CodebaseError::NotAFolder { root: root.clone() });
            }
            names.extend(look.names(root)?.iter().cloned());
        }
        Ok(names.into_iter().collect())
    }

    /// Begins a question that looks at each file once.
    pub(crate) fn look(&self) -> Look<'_> {
        Look::new(&self.cache)
    }

    pub(crate) fn find_in(
        &self,
        name: &ModuleName,
        look: &mut Look<'_>,
    ) -> Result<Option<Module>, CodebaseError> {
        // Where the next part may be: a place and the root it belongs to.
        let mut places: Vec<(PathBuf, &Path)> =
            self.roots.iter().map(|root| (root.clone(), root.as_path())).collect();
        let mut parts = name.parts().peekable();
        while let Some(part) = parts.next() {
            let Some(found) = Found::search(&places, part, look)? else { return Ok(None) };
            if parts.peek().is_none() {
                return found.read(name, look).map(Some);
            }
            match found {
                Found::Module { .. } => return Ok(None),
                Found::Package { folder, root, .. } => places = vec![(folder, root)],
                Found::Namespace { folders } => places = folders,
            }
        }
        Ok(None)
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
            cache: Arc::default(),
            max_ahead_len: MAX_AHEAD_LEN,
            max_ahead_modules: MAX_AHEAD_MODULES,
        }
    }
}

impl Module {
    /// Returns the full name.
    pub fn name(&self) -> &ModuleName {
        &self.name
    }

    /// Returns what the module is.
    pub fn kind(&self) -> ModuleKind {
        self.kind
    }

    /// Returns the file with the source; a namespace package has none.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the source as it is in the file, in whatever encoding it declares.
    pub fn source(&self) -> &[u8] {
        self.text.as_ref().map_or(&[], |text| &text.source)
    }

    /// Returns the names directly below a package, sorted; none for a plain module.
    pub fn submodules(&self) -> &[String] {
        &self.submodules
    }

    /// What the source imports.
    pub(crate) fn imports(&self) -> Option<&Imports> {
        self.text.as_ref().map(|text| text.imports())
    }
}

/// What a name stands for in a list of places.
enum Found<'a> {
    Module { file: PathBuf, root: &'a Path },
    Namespace { folders: Vec<(PathBuf, &'a Path)> },
    Package { folder: PathBuf, file: PathBuf, root: &'a Path },
}

impl<'a> Found<'a> {
    fn search(
        places: &[(PathBuf, &'a Path)],
        part: &str,
        look: &mut Look<'_>,
    ) -> Result<Option<Self>, CodebaseError> {
        let mut folders = Vec::new();
        for (place, root) in places {
            let folder = place.join(part);
            // Most names are those of plain modules, so whether there is a folder at all is looked at first.
            let is_folder = look.is_folder(&folder);
            let file = folder.join("__init__.py");
            if is_folder && look.is_file(&file) {
                return Ok(Some(Self::Package { folder, file, root }));
            }
            let file = place.join(format!("{part}.py"));
            if look.is_file(&file) {
                return Ok(Some(Self::Module { file, root }));
            }
            if is_folder {
                look.check_within(&folder, root)?;
                folders.push((folder, *root));
            }
        }
        Ok((!folders.is_empty()).then_some(Self::Namespace { folders }))
    }

    fn read(self, name: &ModuleName, look: &mut Look<'_>) -> Result<Module, CodebaseError> {
        let (kind, file, submodules) = match self {
            Self::Module { file, root } => (ModuleKind::Module, Some((file, root)), Arc::default()),
            Self::Package { folder, file, root } => {
                look.check_within(&folder, root)?;
                (ModuleKind::Package, Some((file, root)), look.names(&folder)?)
            }
            Self::Namespace { folders } => {
                let mut below = BTreeSet::new();
                for (folder, _) in folders {
                    below.extend(look.names(&folder)?.iter().cloned());
                }
                (ModuleKind::Namespace, None, below.into_iter().collect())
            }
        };
        let (file, text) = match file {
            Some((file, root)) => {
                look.check_within(&file, root)?;
                let text = look.text(&file)?;
                (Some(std::path::absolute(&file).unwrap_or(file)), Some(text))
            }
            None => (None, None),
        };
        Ok(Module { name: name.clone(), kind, file, text, submodules })
    }
}

/// The whole of most codebases.
const MAX_AHEAD_MODULES: usize = 1000;
/// Takes a second to parse, once, and most of one on a link of 100 Mbit/s, for each connection.
const MAX_AHEAD_LEN: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn find(codebase: &Codebase, name: &str) -> Option<Module> {
        codebase.find(&name.parse().unwrap()).unwrap()
    }

    #[test]
    fn packages_modules_and_submodules_are_found() {
        let folder = tree(&[
            ("ops/__init__.py", "A"),
            ("ops/deploy.py", "B"),
            ("ops/sub/__init__.py", ""),
            ("top.py", "C"),
        ]);
        let codebase = Codebase::folder(folder.path());
        let ops = find(&codebase, "ops").unwrap();
        assert_eq!((ops.kind(), ops.source()), (ModuleKind::Package, b"A".as_slice()));
        assert_eq!(ops.submodules(), ["deploy", "sub"]);
        assert_eq!(ops.file().unwrap(), folder.path().join("ops/__init__.py"));
        assert_eq!(find(&codebase, "ops.deploy").unwrap().source(), b"B");
        assert_eq!(find(&codebase, "top").unwrap().kind(), ModuleKind::Module);
        assert!(find(&codebase, "top.below").is_none());
        assert!(find(&codebase, "deploy").is_none());
        assert_eq!(codebase.top_level().unwrap(), ["ops", "top"]);
    }

    #[test]
    fn first_root_wins_and_namespaces_are_spread_over_all() {
        let one = tree(&[("shared/a.py", "1"), ("same.py", "first")]);
        let two = tree(&[("shared/b.py", "2"), ("same.py", "second")]);
        let codebase = Codebase::folder(one.path()).and_folder(two.path());
        let shared = find(&codebase, "shared").unwrap();
        assert_eq!((shared.kind(), shared.file()), (ModuleKind::Namespace, None));
        assert_eq!(shared.submodules(), ["a", "b"]);
        assert_eq!(find(&codebase, "shared.b").unwrap().source(), b"2");
        assert_eq!(find(&codebase, "same").unwrap().source(), b"first");
    }

    #[test]
    fn package_further_down_the_list_beats_a_namespace() {
        let one = tree(&[("pkg/a.py", "1")]);
        let two = tree(&[("pkg/__init__.py", "real")]);
        let codebase = Codebase::folder(one.path()).and_folder(two.path());
        assert_eq!(find(&codebase, "pkg").unwrap().source(), b"real");
        assert!(find(&codebase, "pkg.a").is_none());
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_root_are_refused_and_links_within_followed() {
        let secret = tree(&[("key.py", "secret"), ("pkg/__init__.py", "")]);
        let folder = tree(&[("real.py", "R")]);
        std::os::unix::fs::symlink(secret.path().join("key.py"), folder.path().join("leak.py")).unwrap();
        std::os::unix::fs::symlink(secret.path().join("pkg"), folder.path().join("pkg")).unwrap();
        std::os::unix::fs::symlink(secret.path(), folder.path().join("space")).unwrap();
        std::os::unix::fs::symlink("real.py", folder.path().join("alias.py")).unwrap();
        let codebase = Codebase::folder(folder.path());
        for name in ["leak", "pkg", "space", "space.key"] {
            let refused = codebase.find(&name.parse().unwrap());
            assert!(matches!(refused, Err(CodebaseError::Outside { .. })), "{name}: {refused:?}");
        }
        assert_eq!(find(&codebase, "alias").unwrap().source(), b"R");
    }

    #[test]
    fn root_that_is_not_a_folder_is_named() {
        let codebase = Codebase::folder("/nowhere/at/all");
        assert!(matches!(codebase.top_level(), Err(CodebaseError::NotAFolder { .. })));
        assert!(find(&codebase, "x").is_none());
    }
}
