//! One look at the files of a codebase.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chopsticks_module::{ResourceEntry, ResourceKind};

use crate::{
    archive::Archive,
    cache::{Cache, Stamp, Text},
    error::CodebaseError,
    listing::Listing,
    name::{is_identifier, is_part},
    path,
    root::{self, Covered, Root, Tree},
    rules::{Links, Rules},
};

/// The state of files and folders during one question. Each is examined once, so all parts of the
/// answer are consistent.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    roots: &'a [Arc<Root>],
    rules: &'a Rules,
    cache: &'a Cache,
    entries: HashMap<Place, Option<Entry>>,
    listings: HashMap<Place, Arc<Listing>>,
    /// Archives by root.
    archives: HashMap<usize, Option<(Stamp, Arc<Archive>)>>,
    /// Folders of sources that are neither folders nor archives.
    listed: HashMap<Place, Option<Arc<[ResourceEntry]>>>,
    /// Folders and their real paths.
    real: HashMap<PathBuf, PathBuf>,
}

/// A file or folder: its root, and its path below it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Place {
    pub(crate) root: usize,
    pub(crate) path: String,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stamp: Stamp,
    kind: ResourceKind,
    is_link: bool,
}

impl Place {
    pub(crate) fn join(&self, name: &str) -> Self {
        Self { root: self.root, path: path::join(&self.path, name) }
    }
}

impl<'a> Look<'a> {
    pub(crate) fn new(roots: &'a [Arc<Root>], rules: &'a Rules, cache: &'a Cache) -> Self {
        Self {
            roots,
            rules,
            cache,
            entries: HashMap::new(),
            listings: HashMap::new(),
            archives: HashMap::new(),
            listed: HashMap::new(),
            real: HashMap::new(),
        }
    }

    /// Returns the tops of all roots.
    pub(crate) fn tops(&self) -> Vec<Place> {
        (0..self.roots.len()).map(|root| Place { root, path: String::new() }).collect()
    }

    /// Returns whether a file exists that may be a module.
    pub(crate) fn is_file(&mut self, place: &Place) -> Result<bool, CodebaseError> {
        Ok(self.kind(place)? == Some(ResourceKind::File) && self.rules.lets_import(&place.path))
    }

    /// Returns whether a folder exists that may be a package.
    pub(crate) fn is_folder(&mut self, place: &Place) -> Result<bool, CodebaseError> {
        Ok(self.kind(place)? == Some(ResourceKind::Folder) && self.rules.lets_import(&place.path))
    }

    /// Returns the kind of a file or folder, or `None` if it does not exist.
    pub(crate) fn kind(&mut self, place: &Place) -> Result<Option<ResourceKind>, CodebaseError> {
        Ok(self.entry(place)?.map(|entry| entry.kind))
    }

    /// Returns the text of a file.
    pub(crate) fn text(&mut self, place: &Place) -> Result<Arc<Text>, CodebaseError> {
        let shown = self.shown(place);
        let absent = || CodebaseError::read(&shown, io::ErrorKind::NotFound.into());
        let entry = self.entry(place)?.ok_or_else(absent)?;
        let limit = self.rules.max_file_len;
        let root = &self.roots[place.root];
        let key = (root.id, place.path.clone());
        match &root.tree {
            Tree::Folder(_) => self.cache.file(&key, entry.stamp, || root::read_file(&shown, limit)),
            Tree::Archive { prefix, .. } => {
                let archive = self.archive(place.root)?.ok_or_else(absent)?.1;
                let path = path::join(prefix, &place.path);
                self.cache.file(&key, entry.stamp, || archive.read(&path, &shown, limit))
            }
            Tree::Source(source) => self.cache.file(&key, entry.stamp, || {
                let read = source.read(&place.path).map_err(|error| CodebaseError::read(&shown, error))?;
                let content = read.ok_or_else(absent)?;
                if content.len() > limit {
                    return Err(CodebaseError::TooLarge { path: shown.clone(), limit });
                }
                Ok(content)
            }),
        }
    }

    /// Returns the importable names in a folder.
    pub(crate) fn listing(&mut self, place: &Place) -> Result<Arc<Listing>, CodebaseError> {
        if let Some(listing) = self.listings.get(place) {
            return Ok(listing.clone());
        }
        let Some(entry) = self.entry(place)? else {
            return Err(CodebaseError::read(self.shown(place), io::ErrorKind::NotFound.into()));
        };
        let key = (self.roots[place.root].id, place.path.clone());
        let cache = self.cache;
        let listing = cache.folder(&key, entry.stamp, || {
            let (mut entries, mut covered) = self.list(place)?;
            let rules = self.rules;
            if rules.restrict_imports() {
                entries.retain(|entry| rules.lets_import(&path::join(&place.path, &entry.name)));
            }
            if self.retain_packages(place, &mut entries)? {
                covered = Covered::No;
            }
            Ok((Listing::of(entries), covered))
        })?;
        self.listings.insert(place.clone(), listing.clone());
        Ok(listing)
    }

    /// Drops folders that are not identifiers and have no `__init__.py`: they contain data. Returns
    /// whether another listing may differ although the folder at `place` does not change.
    fn retain_packages(
        &mut self,
        place: &Place,
        entries: &mut Vec<ResourceEntry>,
    ) -> Result<bool, CodebaseError> {
        let is_odd =
            |entry: &ResourceEntry| entry.kind == ResourceKind::Folder && !is_identifier(&entry.name);
        let (odd, mut kept): (Vec<_>, Vec<_>) = entries.drain(..).partition(is_odd);
        let mut depends = false;
        for folder in odd.into_iter().filter(|folder| is_part(&folder.name)) {
            depends |= matches!(self.roots[place.root].tree, Tree::Folder(_));
            if self.is_file(&place.join(&folder.name).join("__init__.py"))? {
                kept.push(folder);
            }
        }
        *entries = kept;
        Ok(depends)
    }

    /// Returns all direct entries of an existing folder.
    pub(crate) fn list(&mut self, place: &Place) -> Result<(Vec<ResourceEntry>, Covered), CodebaseError> {
        let shown = self.shown(place);
        match &self.roots[place.root].tree {
            Tree::Folder(_) => root::list_folder(&shown).map_err(|error| CodebaseError::read(shown, error)),
            Tree::Archive { prefix, .. } => {
                let path = path::join(prefix, &place.path);
                let archive = self.archive(place.root)?;
                Ok((archive.map(|(_, archive)| archive.list(&path)).unwrap_or_default(), Covered::Yes))
            }
            Tree::Source(_) => {
                let listed = self.listed(place)?;
                Ok((listed.map(|listed| listed.to_vec()).unwrap_or_default(), Covered::Yes))
            }
        }
    }

    /// Checks that a place, with all links followed, is below its root.
    pub(crate) fn check_within(&mut self, place: &Place) -> Result<(), CodebaseError> {
        let Tree::Folder(root) = &self.roots[place.root].tree else { return Ok(()) };
        if self.rules.links == Links::Anywhere {
            return Ok(());
        }
        let is_link = self.entry(place)?.is_none_or(|entry| entry.is_link);
        let path = self.shown(place);
        let real = match (path.parent(), path.file_name()) {
            // What is no link is where its folder is: one system call less for each module.
            (Some(parent), Some(name)) if !is_link && !place.path.is_empty() => self.real(parent)?.join(name),
            _ => path.canonicalize().map_err(|error| CodebaseError::read(&path, error))?,
        };
        if real.starts_with(self.real(root)?) {
            Ok(())
        } else {
            Err(CodebaseError::Outside { path, root: root.clone() })
        }
    }

    /// Returns the path of a place as tracebacks and errors show it.
    pub(crate) fn shown(&self, place: &Place) -> PathBuf {
        self.roots[place.root].shown(&place.path)
    }

    /// Returns how many paths were examined.
    #[cfg(test)]
    pub(crate) fn looked_at(&self) -> usize {
        self.entries.len()
    }

    fn real(&mut self, folder: &Path) -> Result<PathBuf, CodebaseError> {
        if let Some(real) = self.real.get(folder) {
            return Ok(real.clone());
        }
        let real = folder.canonicalize().map_err(|error| CodebaseError::read(folder, error))?;
        self.real.insert(folder.to_owned(), real.clone());
        Ok(real)
    }

    fn entry(&mut self, place: &Place) -> Result<Option<Entry>, CodebaseError> {
        if let Some(entry) = self.entries.get(place) {
            return Ok(*entry);
        }
        let entry = match &self.roots[place.root].tree {
            Tree::Folder(_) => self.entry_of_folder(place)?,
            Tree::Archive { prefix, .. } => {
                let path = path::join(prefix, &place.path);
                self.archive(place.root)?.and_then(|(stamp, archive)| Entry::packed(&archive, &path, stamp))
            }
            Tree::Source(source) => {
                let stamp = Stamp::of_version(source.version());
                let kind = self.listed_kind(place)?;
                kind.map(|kind| Entry { stamp, kind, is_link: false })
            }
        };
        self.entries.insert(place.clone(), entry);
        Ok(entry)
    }

    /// Examines a path in a folder. If the way to it leads out of the root, the answer does not
    /// depend on what exists there.
    fn entry_of_folder(&mut self, place: &Place) -> Result<Option<Entry>, CodebaseError> {
        let (around, _) = path::split(&place.path);
        if !around.is_empty() {
            let around = Place { root: place.root, path: around.to_owned() };
            match self.entry(&around)? {
                Some(entry) if entry.is_link => self.check_within(&around)?,
                Some(_) => {}
                None => return Ok(None),
            }
        }
        let path = self.shown(place);
        match Entry::read(&path) {
            Ok(Some(entry)) => Ok(Some(entry)),
            // Nor does a link tell whether there is something at its end.
            _ if self.rules.links == Links::WithinRoot && path.is_symlink() => {
                let root = self.roots[place.root].label.clone();
                let real = self.real(&root)?;
                if root::end_of_link(&path).starts_with(real) {
                    Ok(None)
                } else {
                    Err(CodebaseError::Outside { path, root })
                }
            }
            _ => Ok(None),
        }
    }

    fn archive(&mut self, root: usize) -> Result<Option<(Stamp, Arc<Archive>)>, CodebaseError> {
        if let Some(archive) = self.archives.get(&root) {
            return Ok(archive.clone());
        }
        let opened = self.roots[root].tree.open();
        let archive = opened.map_err(|error| CodebaseError::read(&self.roots[root].label, error))?;
        self.archives.insert(root, archive.clone());
        Ok(archive)
    }

    /// Returns what a source that is neither a folder nor an archive has at a place.
    fn listed_kind(&mut self, place: &Place) -> Result<Option<ResourceKind>, CodebaseError> {
        if place.path.is_empty() {
            return Ok(self.listed(place)?.map(|_| ResourceKind::Folder));
        }
        let (folder, name) = path::split(&place.path);
        let folder = Place { root: place.root, path: folder.to_owned() };
        Ok(self.listed(&folder)?.and_then(|entries| root::kind_of(&entries, name)))
    }

    fn listed(&mut self, folder: &Place) -> Result<Option<Arc<[ResourceEntry]>>, CodebaseError> {
        if let Some(listed) = self.listed.get(folder) {
            return Ok(listed.clone());
        }
        let Tree::Source(source) = &self.roots[folder.root].tree else { return Ok(None) };
        let listed = source.list(&folder.path);
        let listed = listed.map_err(|error| CodebaseError::read(self.shown(folder), error))?;
        let listed: Option<Arc<[_]>> =
            listed.map(|entries| entries.into_iter().filter(|entry| path::is_part(&entry.name)).collect());
        self.listed.insert(folder.clone(), listed.clone());
        Ok(listed)
    }
}

impl Entry {
    /// Accepts files, folders, and links to them. Anything else, such as a pipe, is never opened.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut metadata = fs::symlink_metadata(path)?;
        let is_link = metadata.is_symlink();
        if is_link {
            metadata = fs::metadata(path)?;
        }
        let kind = match (metadata.is_file(), metadata.is_dir()) {
            (true, _) => ResourceKind::File,
            (_, true) => ResourceKind::Folder,
            _ => return Ok(None),
        };
        Ok(Some(Self { stamp: Stamp::of(&metadata), kind, is_link }))
    }

    fn packed(archive: &Archive, path: &str, stamp: Stamp) -> Option<Self> {
        let kind = match (archive.is_file(path), archive.is_folder(path)) {
            (_, true) => ResourceKind::Folder,
            (true, _) => ResourceKind::File,
            _ => return None,
        };
        Some(Self { stamp, kind, is_link: false })
    }
}
