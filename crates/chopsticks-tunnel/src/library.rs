//! The Python package `chopsticks`, which every host can import, in front of a tunnel's codebase.

use std::sync::Arc;

use chopsticks_agent::{LIBRARY, LibraryModule};
use memchr::memmem;

use crate::module::{ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource};

/// The modules that the agents of a tunnel can import: the package `chopsticks`, and the codebase
/// if there is one.
///
/// The name `chopsticks` belongs to the package: a module of that name in a codebase is never
/// served.
#[derive(Clone, Debug)]
pub(crate) struct Modules {
    codebase: Option<Arc<dyn ModuleSource>>,
}

impl Modules {
    pub(crate) fn new(codebase: Option<Arc<dyn ModuleSource>>) -> Self {
        Self { codebase }
    }

    /// Returns whether a question may block. The package alone is in memory.
    pub(crate) fn may_block(&self) -> bool {
        self.codebase.is_some()
    }

    /// Returns the names of the outermost modules and packages.
    pub(crate) fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        let mut names = match &self.codebase {
            Some(codebase) => codebase.top_level()?,
            None => Vec::new(),
        };
        names.retain(|name| name != PACKAGE);
        names.push(PACKAGE.to_owned());
        Ok(names)
    }

    /// Returns a number that changes when the names or the roots have changed.
    pub(crate) fn version(&self) -> u64 {
        self.codebase.as_ref().map_or(0, |codebase| codebase.version())
    }

    /// Returns the text that precedes the paths of the codebase's files.
    pub(crate) fn roots(&self) -> Vec<String> {
        self.codebase.as_ref().map(|codebase| codebase.roots()).unwrap_or_default()
    }

    /// Returns the module called `name`, if it exists.
    pub(crate) fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        if is_ours(name) {
            return Ok(LIBRARY.iter().find(|module| module.name == name).map(entry));
        }
        match &self.codebase {
            Some(codebase) => codebase.module(name),
            None => Ok(None),
        }
    }

    /// Returns the modules that functions of the module `name` will import.
    pub(crate) fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        if is_ours(name) {
            return part(if LIGHT.contains(&name) { Extent::Light } else { Extent::Tunnels });
        }
        let needed = self.codebase.as_ref().map(|codebase| codebase.needed(name));
        with_ours(needed.unwrap_or_default(), &[])
    }

    /// Returns the modules that a source text will import. The text itself is not a module.
    pub(crate) fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        let needed = self.codebase.as_ref().map(|codebase| codebase.needed_by_source(source));
        with_ours(needed.unwrap_or_default(), source)
    }

    /// Returns a file or folder of the data of `package`. This package has no data.
    pub(crate) fn resource(&self, package: &str, path: &str) -> Result<Option<Resource>, ModuleError> {
        match &self.codebase {
            Some(codebase) if !is_ours(package) => codebase.resource(package, path),
            _ => Ok(None),
        }
    }

    /// Returns a text that helps a user who named a module that does not exist.
    pub(crate) fn hint(&self, name: &str) -> Option<String> {
        match &self.codebase {
            _ if is_ours(name) => None,
            Some(codebase) => codebase.hint(name),
            None => Some(NO_CODEBASE.to_owned()),
        }
    }
}

/// Removes modules with the name of this package from those that `source` needs, and adds the
/// package if any source names it.
fn with_ours(mut needed: Vec<ModuleEntry>, source: &[u8]) -> Vec<ModuleEntry> {
    needed.retain(|entry| !is_ours(&entry.name));
    let sources = needed.iter().map(|entry| entry.source.as_ref()).chain([source]);
    if let Some(extent) = sources.filter_map(extent).max() {
        needed.extend(part(extent));
    }
    needed
}

/// How much of the package is sent ahead.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Extent {
    /// Facts and helpers, which are enough for most sources that name the package.
    Light,
    /// All that opening tunnels takes.
    Tunnels,
}

/// Returns how much of the package a source names. This need not be an import: a module that is
/// sent in vain costs only bytes.
fn extent(source: &[u8]) -> Option<Extent> {
    let is_named = |word: &str| memmem::find(source, word.as_bytes()).is_some();
    if !is_named(PACKAGE) {
        return None;
    }
    let is_light = !TUNNEL_WORDS.iter().any(|word| is_named(word));
    Some(if is_light { Extent::Light } else { Extent::Tunnels })
}

fn part(extent: Extent) -> Vec<ModuleEntry> {
    LIBRARY
        .iter()
        .filter(|module| match extent {
            Extent::Light => LIGHT.contains(&module.name),
            Extent::Tunnels => !module.on_demand,
        })
        .map(entry)
        .collect()
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PACKAGE).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn entry(module: &LibraryModule) -> ModuleEntry {
    let below = LIBRARY.iter().filter_map(|other| other.name.strip_prefix(module.name)?.strip_prefix('.'));
    let below: Vec<_> = below.filter(|name| !name.contains('.')).map(str::to_owned).collect();
    let kind = if below.is_empty() { ModuleEntryKind::Module } else { ModuleEntryKind::Package };
    ModuleEntry::new(module.name, kind, module.file, module.source).submodules(below)
}

/// The hint of a tunnel whose agent can import only what its host has.
pub(crate) const NO_CODEBASE: &str = "this tunnel serves no codebase";

const PACKAGE: &str = "chopsticks";
/// The modules that need no tunnels.
const LIGHT: [&str; 5] = [
    "chopsticks",
    "chopsticks.facts",
    "chopsticks.helpers",
    "chopsticks.tasks",
    "chopsticks.tasks.processes",
];
/// Every source that opens tunnels contains one of these words, whatever names it uses.
const TUNNEL_WORDS: [&str; 9] =
    ["tunnel", "Tunnel", "Local", "Docker", "Sudo", "group", "Group", "Queue", "pencode"];

#[cfg(test)]
mod tests {
    use super::*;

    /// A codebase with a package `chopsticks` of its own.
    #[derive(Debug)]
    struct Shadow;

    impl ModuleSource for Shadow {
        fn top_level(&self) -> Result<Vec<String>, ModuleError> {
            Ok(["chopsticks", "chopsticks_too", "uses"].map(str::to_owned).to_vec())
        }

        fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
            let source = if name == "uses" { "from chopsticks.facts import ip" } else { "'shadow'" };
            Ok(Some(ModuleEntry::new(name, ModuleEntryKind::Module, "", source)))
        }

        fn resource(&self, _: &str, _: &str) -> Result<Option<Resource>, ModuleError> {
            Ok(Some(Resource::File(b"data".to_vec())))
        }

        fn hint(&self, name: &str) -> Option<String> {
            Some(name.to_owned())
        }
    }

    fn names(entries: &[ModuleEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn package_is_there_without_a_codebase() {
        let modules = Modules::new(None);
        assert_eq!(modules.top_level().unwrap(), ["chopsticks"]);
        assert!(modules.module("chopsticks.facts").unwrap().is_some());
        assert!(modules.module("chopsticks.nothing").unwrap().is_none());
        assert!(modules.module("other").unwrap().is_none());
        assert_eq!(names(&modules.needed("chopsticks.facts"))[0], "chopsticks");
        assert!(modules.needed("other").is_empty());
    }

    #[test]
    fn codebase_cannot_shadow_the_package() {
        let modules = Modules::new(Some(Arc::new(Shadow)));
        assert_eq!(modules.top_level().unwrap(), ["chopsticks_too", "uses", "chopsticks"]);
        for module in LIBRARY {
            assert_eq!(modules.module(module.name).unwrap().unwrap().source, module.source.as_bytes());
        }
        assert!(modules.module("chopsticks.own").unwrap().is_none());
        assert!(modules.resource("chopsticks", "data").unwrap().is_none());
        assert!(modules.resource("uses", "data").unwrap().is_some());
        assert_eq!((modules.hint("chopsticks.own"), modules.hint("use")), (None, Some("use".to_owned())));
        assert_eq!(modules.module("chopsticks_too").unwrap().unwrap().source, b"'shadow'");
        assert_eq!(names(&modules.needed("chopsticks_too")), ["chopsticks_too"]);
    }

    #[test]
    fn package_goes_ahead_where_it_is_named() {
        let modules = Modules::new(Some(Arc::new(Shadow)));
        assert_eq!(names(&modules.needed("uses"))[..2], ["uses", "chopsticks"]);
        assert_eq!(names(&modules.needed_by_source(b"import chopsticks.facts"))[0], "chopsticks");
        assert!(modules.needed_by_source(b"import os").is_empty());
    }

    #[test]
    fn tunnels_go_ahead_only_where_they_are_named() {
        let ahead = LIBRARY.iter().filter(|module| !module.on_demand).count();
        assert!(ahead < LIBRARY.len());
        let modules = Modules::new(Some(Arc::new(Shadow)));
        for source in ["from chopsticks import facts", "import chopsticks.helpers"] {
            assert_eq!(names(&modules.needed_by_source(source.as_bytes())), LIGHT);
        }
        for source in ["from chopsticks import facts, Local", "import chopsticks.queue as q\nq.Queue()"] {
            assert_eq!(modules.needed_by_source(source.as_bytes()).len(), ahead);
        }
        assert_eq!(names(&modules.needed("chopsticks.facts")), LIGHT);
        assert_eq!(modules.needed("chopsticks.tunnel").len(), ahead);
    }
}
