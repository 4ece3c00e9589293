//! Modules and data by the paths of their folders, for code that finds them by `__file__`,
//! `__path__` or `sys.path` and not by name.

use std::{collections::BTreeSet, ops::Range};

use chopsticks_module::{Resource, ResourceEntry, ResourceKind};

use crate::{
    codebase::Codebase,
    codebase::data,
    error::CodebaseError,
    listing,
    look::{Look, Place},
    module::{Found, Module},
    name::{ModuleName, is_identifier},
    path,
    rules::Fate,
};

/// A file or folder as agents name it: `/`, the number of a root (or nothing, for all roots), `/`,
/// and a path.
#[derive(Debug)]
pub(crate) struct Spot {
    roots: Range<usize>,
    path: String,
}

/// What is visible of a folder directly in a root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Extent {
    /// Everything that is data: the folder is a package, or contains the metadata of a
    /// distribution.
    Data,
    /// Only its modules.
    Modules,
}

impl Spot {
    /// Parses a text that begins with a `/`. Returns `None` for any other text, which is the name
    /// of a module.
    pub(crate) fn parse(text: &str, codebase: &Codebase) -> Option<Self> {
        let (root, path) = text.strip_prefix('/')?.split_once('/')?;
        let count = codebase.roots().count();
        let roots = match root.parse::<usize>() {
            Ok(root) if root < count => root..root + 1,
            Err(_) if root.is_empty() => 0..count,
            _ => return None,
        };
        (path.is_empty() || path::is_below(path)).then(|| Self { roots, path: path.to_owned() })
    }

    fn places(&self, path: &str) -> impl Iterator<Item = Place> + use<> {
        let path = path.to_owned();
        self.roots.clone().map(move |root| Place { root, path: path.clone() })
    }

    /// Returns the module of that name in that folder, independently of the packages around it.
    pub(crate) fn module(&self, codebase: &Codebase) -> Result<Option<Module>, CodebaseError> {
        let (folder, leaf) = path::split(&self.path);
        let Ok(name) = leaf.parse::<ModuleName>() else { return Ok(None) };
        if leaf.contains('.') || (!folder.is_empty() && codebase.rules().data(folder) != Fate::Served) {
            return Ok(None);
        }
        let mut look = codebase.look();
        let mut places = Vec::new();
        for place in self.places(folder) {
            if look.is_folder(&place)? {
                look.check_within(&place)?;
                places.push(place);
            }
        }
        Found::search(&places, &name, &mut look)?.map(|found| found.read(&name, &mut look)).transpose()
    }

    /// Returns what is at `path` below that folder: the first file, or the merged entries of all
    /// folders of that name.
    pub(crate) fn resource(
        &self,
        codebase: &Codebase,
        path: &str,
    ) -> Result<Option<Resource>, CodebaseError> {
        if !path.is_empty() && !path::is_below(path) {
            return Ok(None);
        }
        let path = path::join(&self.path, path);
        let rules = codebase.rules();
        let mut look = codebase.look();
        let mut entries: Option<BTreeSet<ResourceEntry>> = None;
        for place in self.places(&path) {
            if !path.is_empty() {
                match rules.data(&path) {
                    Fate::Served => {}
                    Fate::Hidden => return Ok(None),
                    Fate::Excluded(pattern) => {
                        let pattern = pattern.to_owned();
                        return Err(CodebaseError::Excluded { path: look.shown(&place), pattern });
                    }
                }
            }
            let extent = Extent::of(&place, &mut look)?;
            match look.kind(&place)? {
                Some(ResourceKind::File) if entries.is_none() && extent == Extent::Data => {
                    look.check_within(&place)?;
                    return Ok(Some(Resource::File(look.text(&place)?.source.clone())));
                }
                Some(ResourceKind::File) | None => {}
                Some(ResourceKind::Folder) => {
                    look.check_within(&place)?;
                    let mut listed = data::listed(&place, rules, &mut look)?;
                    if extent == Extent::Modules {
                        let mut seen = Vec::new();
                        for entry in listed {
                            if is_seen(&entry, &place, &mut look)? {
                                seen.push(entry);
                            }
                        }
                        listed = seen;
                    }
                    entries.get_or_insert_default().extend(listed);
                }
            }
        }
        Ok(entries.map(|entries| Resource::Folder(entries.into_iter().collect())))
    }
}

impl Extent {
    fn of(place: &Place, look: &mut Look<'_>) -> Result<Self, CodebaseError> {
        let top = place.path.split('/').next().unwrap_or_default();
        if is_info(top) {
            return Ok(Self::Data);
        }
        let folder = Place { root: place.root, path: top.to_owned() };
        let is_package = !top.is_empty()
            && look.is_folder(&folder)?
            && (is_identifier(top) || look.is_file(&folder.join("__init__.py"))?);
        // What lies in a root itself is no data.
        Ok(if is_package { Self::Data } else { Self::Modules })
    }
}

/// Returns whether an entry of a folder that is not a package, such as a root, is visible: modules,
/// packages, metadata.
fn is_seen(entry: &ResourceEntry, folder: &Place, look: &mut Look<'_>) -> Result<bool, CodebaseError> {
    Ok(match entry.kind {
        _ if folder.path.is_empty() && is_info(&entry.name) => true,
        ResourceKind::File => listing::is_module(&entry.name),
        ResourceKind::Folder => {
            is_identifier(&entry.name) || look.is_file(&folder.join(&entry.name).join("__init__.py"))?
        }
    })
}

/// Returns whether a file or folder contains the metadata of a distribution.
fn is_info(name: &str) -> bool {
    name.ends_with(".dist-info") || name.ends_with(".egg-info")
}
