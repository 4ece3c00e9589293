//! Modules of a codebase.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use memchr::memmem;

use crate::{
    cache::Text,
    error::CodebaseError,
    imports::Imports,
    look::{Look, Place},
    name::{ModuleName, is_identifier},
};

/// A module of a codebase.
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
    /// A module or package that is written to the host's disk: the source is a zip of its files.
    Unpacked,
}

impl Module {
    /// Creates a module that is written to the host's disk.
    pub(crate) fn packed(name: ModuleName, zip: Vec<u8>) -> Self {
        let text = Some(Arc::new(Text::new(zip)));
        Self { name, kind: ModuleKind::Unpacked, file: None, text, submodules: Arc::default() }
    }

    /// Returns the full name.
    pub fn name(&self) -> &ModuleName {
        &self.name
    }

    /// Returns the kind of the module.
    pub fn kind(&self) -> ModuleKind {
        self.kind
    }

    /// Returns the file with the source, or `None` for a namespace package. A file in an archive
    /// has the path of the archive in front.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the source as it is in the file, in the encoding that it declares.
    pub fn source(&self) -> &[u8] {
        self.text.as_ref().map_or(&[], |text| &text.source)
    }

    /// Returns the names directly below a package, sorted. The list is empty for a plain module.
    pub fn submodules(&self) -> &[String] {
        &self.submodules
    }

    /// Returns the imports of the source.
    pub(crate) fn imports(&self) -> Option<&Imports> {
        self.text.as_ref().map(|text| text.imports())
    }
}

/// What a name refers to in a list of places.
#[derive(Debug)]
pub(crate) enum Found {
    Module {
        file: Place,
    },
    Namespace {
        folders: Vec<Place>,
    },
    /// The first folder has the file. There are more folders if the source requests it, as packages
    /// did before PEP 420.
    Package {
        folders: Vec<Place>,
        file: Place,
    },
}

impl Found {
    /// Finds a module, starting with the outermost package.
    pub(crate) fn find(name: &ModuleName, look: &mut Look<'_>) -> Result<Option<Self>, CodebaseError> {
        let mut places = look.tops();
        let mut found = None;
        for name in name.lineage() {
            if let Some(package) = found {
                match package {
                    Self::Module { .. } => return Ok(None),
                    Self::Package { folders, .. } | Self::Namespace { folders } => places = folders,
                }
            }
            found = Self::search(&places, &name, look)?;
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// Finds the last part of `name` in the places of the package around it.
    pub(crate) fn search(
        places: &[Place],
        name: &ModuleName,
        look: &mut Look<'_>,
    ) -> Result<Option<Self>, CodebaseError> {
        let part = name.last();
        let mut folders = Vec::new();
        let mut compiled = None;
        for place in places {
            let folder = place.join(part);
            // Most names are those of plain modules, so whether there is a folder at all is looked at first.
            let is_folder = look.is_folder(&folder)?;
            if is_folder {
                look.check_within(&folder)?;
                let file = folder.join("__init__.py");
                if look.is_file(&file)? {
                    look.check_within(&file)?;
                    let mut folders = vec![folder];
                    if places.len() > 1 && is_spread(&look.text(&file)?.source) {
                        folders.extend(others(places, &folders[0], part, look));
                    }
                    return Ok(Some(Self::Package { folders, file }));
                }
            }
            let file = place.join(&format!("{part}.py"));
            if look.is_file(&file)? {
                look.check_within(&file)?;
                return Ok(Some(Self::Module { file }));
            }
            // What cannot be sent gives way to a source further down the list.
            if compiled.is_none() {
                compiled = is_compiled(is_folder.then_some(&folder), place, name, look)?;
            }
            // A folder with another name holds data, unless it has an `__init__.py`.
            if is_folder && is_identifier(part) {
                folders.push(folder);
            }
        }
        match compiled {
            Some(refused) => Err(refused),
            None => Ok((!folders.is_empty()).then_some(Self::Namespace { folders })),
        }
    }

    /// Returns the folders of a package. The list is empty for a plain module.
    pub(crate) fn folders(self) -> Vec<Place> {
        match self {
            Self::Module { .. } => Vec::new(),
            Self::Namespace { folders } | Self::Package { folders, .. } => folders,
        }
    }

    /// Returns the names directly below, sorted.
    pub(crate) fn submodules(&self, look: &mut Look<'_>) -> Result<Arc<[String]>, CodebaseError> {
        match self {
            Self::Module { .. } => Ok(Arc::default()),
            Self::Namespace { folders } | Self::Package { folders, .. } => {
                if let [folder] = &folders[..] {
                    return Ok(look.listing(folder)?.names.clone());
                }
                let mut below = BTreeSet::new();
                for folder in folders {
                    below.extend(look.listing(folder)?.names.iter().cloned());
                }
                Ok(below.into_iter().collect())
            }
        }
    }

    pub(crate) fn read(self, name: &ModuleName, look: &mut Look<'_>) -> Result<Module, CodebaseError> {
        let submodules = self.submodules(look)?;
        let (kind, file) = match self {
            Self::Module { file } => (ModuleKind::Module, Some(file)),
            Self::Package { file, .. } => (ModuleKind::Package, Some(file)),
            Self::Namespace { .. } => (ModuleKind::Namespace, None),
        };
        let text = file.as_ref().map(|file| look.text(file)).transpose()?;
        let file = file.map(|file| look.shown(&file));
        Ok(Module { name: name.clone(), kind, file, text, submodules })
    }
}

/// Returns whether the source of a package spreads the package over all folders of its name, by
/// `pkgutil.extend_path` or `pkg_resources.declare_namespace`.
fn is_spread(source: &[u8]) -> bool {
    SPREADERS.iter().any(|word| memmem::find(source, word.as_bytes()).is_some())
}

/// Returns the folders of a package in `places` other than its own.
fn others(places: &[Place], own: &Place, part: &str, look: &mut Look<'_>) -> Vec<Place> {
    let folders = places.iter().map(|place| place.join(part)).filter(|folder| folder != own);
    // What is refused or cannot be read does not keep the package itself from being found.
    folders
        .filter(|folder| look.is_folder(folder).unwrap_or_default() && look.check_within(folder).is_ok())
        .collect()
}

/// The functions that spread a package.
const SPREADERS: [&str; 2] = ["extend_path", "declare_namespace"];

/// Returns the error for a module that exists only in compiled form.
fn is_compiled(
    folder: Option<&Place>,
    place: &Place,
    name: &ModuleName,
    look: &mut Look<'_>,
) -> Result<Option<CodebaseError>, CodebaseError> {
    for (place, name_there) in
        folder.map(|folder| (folder, "__init__")).into_iter().chain([(place, name.last())])
    {
        if !look.is_folder(place)? {
            continue;
        }
        let listing = look.listing(place)?;
        if let Some((kind, files)) = listing.compiled(name_there) {
            let path = files.first().map_or_else(|| place.clone(), |file| place.join(file));
            return Ok(Some(CodebaseError::compiled(name, look.shown(&path), kind, files)));
        }
    }
    Ok(None)
}
