//! A codebase as what answers the imports of agents.

use chopsticks_module::{ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource};

use crate::{
    codebase::Codebase,
    module::{Module, ModuleKind},
    name::ModuleName,
};

impl ModuleSource for Codebase {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        Self::top_level(self).map_err(|error| ModuleError::from_error(&error))
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        // A name that is none of a module's is one that the codebase has not.
        let Ok(name) = name.parse::<ModuleName>() else { return Ok(None) };
        let module = self.find(&name).map_err(|error| ModuleError::from_error(&error))?;
        Ok(module.as_ref().map(entry))
    }

    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        let Ok(name) = name.parse() else { return Vec::new() };
        Self::needed(self, &name).iter().map(entry).collect()
    }

    fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        Self::needed_by_source(self, source).iter().map(entry).collect()
    }

    fn resource(&self, package: &str, path: &str) -> Result<Option<Resource>, ModuleError> {
        let Ok(package) = package.parse::<ModuleName>() else { return Ok(None) };
        Self::resource(self, &package, path).map_err(|error| ModuleError::from_error(&error))
    }

    fn hint(&self, name: &str) -> Option<String> {
        Self::hint(self, &name.parse().ok()?)
    }
}

fn entry(module: &Module) -> ModuleEntry {
    let kind = match module.kind() {
        ModuleKind::Module => ModuleEntryKind::Module,
        ModuleKind::Package => ModuleEntryKind::Package,
        ModuleKind::Namespace => ModuleEntryKind::Namespace,
    };
    let file = module.file().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let entry = ModuleEntry::new(module.name().as_str(), kind, file, module.source());
    entry.submodules(module.submodules().iter().cloned())
}
