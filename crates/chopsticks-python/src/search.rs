//! What agents can import: what can be imported here, as the import system of Python is now.
//!
//! The entries of `sys.path` are folders and archives, which the importer reads without Python. So are the places to which editable installs of setuptools
//! lead. For modules in none of these places, a callback asks the other finders on `sys.meta_path`.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chopsticks::{
    Codebase,
    importer::Source,
    module::{ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource, ResourceEntry},
};
use pyo3::prelude::*;

/// The codebase of all tunnels.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Search(Modules);

/// The codebase of all tunnels, as tunnels have it.
#[derive(Clone, Debug)]
pub(crate) struct Modules(Arc<Finders>);

/// The codebase as it is now.
#[derive(Debug)]
struct Finders {
    now: Mutex<Now>,
    /// `find(name)` and `data(package, path)`, of the finders of Python.
    find: Py<PyAny>,
    data: Py<PyAny>,
}

#[derive(Clone, Debug)]
struct Now {
    codebase: Codebase,
    /// Whether finders of Python may have more.
    has_finders: bool,
    version: u64,
}

#[pymethods]
impl Search {
    #[new]
    fn new(find: Py<PyAny>, data: Py<PyAny>) -> Self {
        let now = Now { codebase: Codebase::empty(), has_finders: false, version: 0 };
        Self(Modules(Arc::new(Finders { now: Mutex::new(now), find, data })))
    }

    /// Sets what there is: the entries of a search path, pairs of the name of a module or package and the file or folder that has it, and whether finders may
    /// have more.
    fn set(&self, paths: Vec<PathBuf>, placed: Vec<(String, PathBuf)>, has_finders: bool) {
        let codebase = paths.iter().fold(Codebase::empty(), |codebase, path| codebase.and_path(path));
        let codebase = Placed::all(&placed).into_iter().fold(codebase, Codebase::and_source);
        // In a folder of installed packages, one module may lead to thousands.
        let codebase = codebase.max_ahead_time(AHEAD);
        let mut now = self.0.0.lock();
        *now = Now { codebase, has_finders, version: now.version + 1 };
    }
}

impl Search {
    /// Returns it for a tunnel.
    pub(crate) fn modules(&self) -> Modules {
        self.0.clone()
    }
}

impl Finders {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.lock().clone()
    }

    /// Asks the finders of Python.
    fn ask<T>(&self, what: impl FnOnce(Python<'_>) -> PyResult<Option<T>>) -> Result<Option<T>, ModuleError> {
        // While the interpreter ends, nothing is found.
        match Python::try_attach(what) {
            None => Ok(None),
            Some(found) => found.map_err(|error| {
                let text = Python::try_attach(|py| error.value(py).to_string());
                ModuleError::new(text.unwrap_or_default())
            }),
        }
    }

    fn found(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        type Found = (u8, String, Vec<u8>, Vec<String>);
        let found = self.ask(|py| self.find.bind(py).call1((name,))?.extract::<Option<Found>>())?;
        Ok(found.map(|(kind, file, source, submodules)| {
            let kind = match kind {
                0 => ModuleEntryKind::Module,
                1 => ModuleEntryKind::Package,
                _ => ModuleEntryKind::Namespace,
            };
            ModuleEntry::new(name, kind, file, source).submodules(submodules)
        }))
    }
}

impl ModuleSource for Modules {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        let now = self.0.now();
        let mut names = ModuleSource::top_level(&now.codebase)?;
        if now.has_finders {
            names.push("*".to_owned());
        }
        Ok(names)
    }

    fn version(&self) -> u64 {
        self.0.lock().version
    }

    fn roots(&self) -> Vec<String> {
        ModuleSource::roots(&self.0.now().codebase)
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        let now = self.0.now();
        let found = now.codebase.module(name)?;
        if found.is_some() || !now.has_finders || name.starts_with('/') {
            return Ok(found);
        }
        self.0.found(name)
    }

    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        let now = self.0.now();
        let needed = ModuleSource::needed(&now.codebase, name);
        if !needed.is_empty() || !now.has_finders {
            return needed;
        }
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        let own: Vec<_> = ends.map_while(|end| self.module(&name[..end]).ok().flatten()).collect();
        let mut needed: Vec<ModuleEntry> = Vec::new();
        for entry in &own {
            let new = ModuleSource::needed_by_source(&now.codebase, &entry.source);
            for new in new {
                if needed.iter().all(|old| old.name != new.name) {
                    needed.push(new);
                }
            }
        }
        needed.extend(own);
        needed
    }

    fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        ModuleSource::needed_by_source(&self.0.now().codebase, source)
    }

    fn resource(&self, package: &str, path: &str) -> Result<Option<Resource>, ModuleError> {
        let now = self.0.now();
        let found = ModuleSource::resource(&now.codebase, package, path)?;
        if found.is_some() || !now.has_finders || package.starts_with('/') || path.is_empty() {
            return Ok(found);
        }
        let data =
            self.0.ask(|py| self.0.data.bind(py).call1((package, path))?.extract::<Option<Vec<u8>>>())?;
        Ok(data.map(Resource::File))
    }

    fn hint(&self, name: &str) -> Option<String> {
        ModuleSource::hint(&self.0.now().codebase, name)
    }
}

/// Modules and packages at places that do not follow from their names.
#[derive(Debug)]
struct Placed {
    /// The path before those of the names, for places that end in their names.
    label: String,
    entries: Vec<Entry>,
}

/// A module or package at a place.
#[derive(Debug)]
struct Entry {
    /// Its name, as a path: `ops/deploy`, or `ops/deploy.py`.
    name: String,
    place: PathBuf,
}

enum Found<'a> {
    /// What the path leads to, and the place of the module or package that has it.
    Place { place: PathBuf, of: &'a Path },
    /// The next step towards a module.
    Step(ResourceEntry),
}

impl Placed {
    /// Divides the places by what their paths begin with, by which agents find the data of packages.
    fn all(places: &[(String, PathBuf)]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for (label, entry) in places.iter().filter_map(|(name, place)| Entry::new(name, place)) {
            match all.iter_mut().find(|placed| placed.label == label) {
                Some(placed) => placed.entries.push(entry),
                None => all.push(Self { label, entries: vec![entry] }),
            }
        }
        all
    }

    fn find(&self, path: &str) -> Option<PathBuf> {
        self.entries
            .iter()
            .find_map(|entry| match entry.find(path)? {
                Found::Place { place, of } => Some((place, of)),
                Found::Step(_) => None,
            })
            .and_then(|(place, of)| {
                // No link leads out of the whole.
                let place = fs::canonicalize(place).ok()?;
                place.starts_with(of).then_some(place)
            })
    }
}

impl Entry {
    /// Returns it with the path before its name; nothing if it is not there, or has no source.
    fn new(name: &str, place: &Path) -> Option<(String, Self)> {
        let mut name = name.replace('.', "/");
        let place = fs::canonicalize(place).or_else(|_| fs::canonicalize(place.with_extension("py"))).ok()?;
        if !place.is_dir() {
            if place.extension()? != "py" {
                return None;
            }
            name += ".py";
        }
        let label = place.to_str()?.strip_suffix(&name).and_then(|label| label.strip_suffix('/'));
        let label = label.or_else(|| place.parent()?.to_str())?.to_owned();
        Some((label, Self { name, place }))
    }

    /// Returns where a path of the tree leads.
    fn find(&self, path: &str) -> Option<Found<'_>> {
        let place = |place| Some(Found::Place { place, of: &self.place });
        if path == self.name {
            return place(self.place.clone());
        }
        if let Some(rest) = path.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('/')) {
            let rest = Path::new(rest);
            let is_below = rest.components().all(|part| matches!(part, Component::Normal(_)));
            return if is_below { place(self.place.join(rest)) } else { None };
        }
        let rest = match path {
            "" => self.name.as_str(),
            path => self.name.strip_prefix(path)?.strip_prefix('/')?,
        };
        Some(Found::Step(match rest.split_once('/') {
            Some((next, _)) => ResourceEntry::folder(next),
            None if self.place.is_file() => ResourceEntry::file(rest),
            None => ResourceEntry::folder(rest),
        }))
    }
}

impl Source for Placed {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn list(&self, folder: &str) -> io::Result<Option<Vec<ResourceEntry>>> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .filter_map(|entry| match entry.find(folder)? {
                Found::Step(next) => Some(next),
                Found::Place { .. } => None,
            })
            .collect();
        if let Some(place) = self.find(folder).filter(|place| place.is_dir()) {
            for entry in fs::read_dir(place)? {
                let entry = entry?;
                // The names of others cannot be imported.
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let is_folder = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
                entries.push(if is_folder { ResourceEntry::folder(name) } else { ResourceEntry::file(name) });
            }
        } else if entries.is_empty() {
            return Ok(None);
        }
        entries.sort();
        entries.dedup();
        Ok(Some(entries))
    }

    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        self.find(file).filter(|place| place.is_file()).map(fs::read).transpose()
    }
}

/// How much longer a first call may take because the importer looks for what it imports.
const AHEAD: Duration = Duration::from_secs(1);
