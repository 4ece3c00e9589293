//! An ordered list of folders with Python modules.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::CodebaseError,
    name::{ModuleName, is_identifier},
};

/// An ordered list of folders from which modules are served.
///
/// The first folder that has a module wins, except that a namespace package (a folder without
/// `__init__.py`) is made of all folders of its name, and gives way to a module or package further down the list (PEP 420).
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Codebase {
    roots: Arc<Vec<PathBuf>>,
}

/// A module as it is in a codebase.
#[derive(Clone, Debug)]
pub struct Module {
    name: ModuleName,
    kind: ModuleKind,
    file: Option<PathBuf>,
    source: Vec<u8>,
    submodules: Vec<String>,
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
        // Where the next part may be: a place and the root it belongs to.
        let mut places: Vec<(PathBuf, &Path)> =
            self.roots.iter().map(|root| (root.clone(), root.as_path())).collect();
        let mut parts = name.parts().peekable();
        while let Some(part) = parts.next() {
            let Some(found) = Found::search(&places, part)? else { return Ok(None) };
            if parts.peek().is_none() {
                return found.read(name).map(Some);
            }
            match found {
                Found::Module { .. } => return Ok(None),
                Found::Package { folder, root, .. } => places = vec![(folder, root)],
                Found::Namespace { folders } => places = folders,
            }
        }
        Ok(None)
    }

    /// Returns the names of the outermost modules and packages, sorted.
    ///
    /// # Errors
    ///
    /// [`CodebaseError::NotAFolder`] if a root is not one, [`CodebaseError::Read`] if it cannot be listed.
    pub fn top_level(&self) -> Result<Vec<String>, CodebaseError> {
        let mut names = BTreeSet::new();
        for root in self.roots.iter() {
            if !root.is_dir() {
                return Err(CodebaseError::NotAFolder { root: root.clone() });
            }
            list(root, &mut names)?;
        }
        Ok(names.into_iter().collect())
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
        &self.source
    }

    /// Returns the names directly below a package, sorted; none for a plain module.
    pub fn submodules(&self) -> &[String] {
        &self.submodules
    }
}

/// What a name stands for in a list of places.
enum Found<'a> {
    Module { file: PathBuf, root: &'a Path },
    Namespace { folders: Vec<(PathBuf, &'a Path)> },
    Package { folder: PathBuf, file: PathBuf, root: &'a Path },
}

impl<'a> Found<'a> {
    fn search(places: &[(PathBuf, &'a Path)], part: &str) -> Result<Option<Self>, CodebaseError> {
        let mut folders = Vec::new();
        for (place, root) in places {
            let folder = place.join(part);
            let file = folder.join("__init__.py");
            if file.is_file() {
                return Ok(Some(Self::Package { folder, file, root }));
            }
            let file = place.join(format!("{part}.py"));
            if file.is_file() {
                return Ok(Some(Self::Module { file, root }));
            }
            if folder.is_dir() {
                within(&folder, root)?;
                folders.push((folder, *root));
            }
        }
        Ok((!folders.is_empty()).then_some(Self::Namespace { folders }))
    }

    fn read(self, name: &ModuleName) -> Result<Module, CodebaseError> {
        let mut below = BTreeSet::new();
        let (kind, file) = match self {
            Self::Module { file, root } => (ModuleKind::Module, Some((file, root))),
            Self::Package { folder, file, root } => {
                within(&folder, root)?;
                list(&folder, &mut below)?;
                (ModuleKind::Package, Some((file, root)))
            }
            Self::Namespace { folders } => {
                for (folder, _) in folders {
                    list(&folder, &mut below)?;
                }
                (ModuleKind::Namespace, None)
            }
        };
        let (file, source) = match file {
            Some((file, root)) => {
                within(&file, root)?;
                let source = fs::read(&file).map_err(|error| CodebaseError::read(&file, error))?;
                (Some(std::path::absolute(&file).unwrap_or(file)), source)
            }
            None => (None, Vec::new()),
        };
        Ok(Module { name: name.clone(), kind, file, source, submodules: below.into_iter().collect() })
    }
}

/// Adds the importable names of `folder`.
fn list(folder: &Path, names: &mut BTreeSet<String>) -> Result<(), CodebaseError> {
    let failed = |error: io::Error| CodebaseError::read(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let stem = match name.strip_suffix(".py") {
            Some(stem) => stem,
            None if name != "__pycache__" && entry.path().is_dir() => name,
            None => continue,
        };
        if is_identifier(stem) && stem != "__init__" {
            names.insert(stem.to_owned());
        }
    }
    Ok(())
}

/// Checks that `path`, all links followed, is below `root`.
fn within(path: &Path, root: &Path) -> Result<(), CodebaseError> {
    let real = path.canonicalize().map_err(|error| CodebaseError::read(path, error))?;
    let real_root = root.canonicalize().map_err(|error| CodebaseError::read(root, error))?;
    if real.starts_with(&real_root) {
        Ok(())
    } else {
        Err(CodebaseError::Outside { path: real, root: root.to_owned() })
    }
}

#[cfg(test)]
mod tests {
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
