//! Implements the trait that answers the imports of agents.

use chopsticks_module::{ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource};

use crate::{
    codebase::Codebase,
    error::CodebaseError,
    module::{Module, ModuleKind},
    name::ModuleName,
    spot::Spot,
};

impl ModuleSource for Codebase {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        Self::top_level(self).map_err(|error| self.refused(&error))
    }

    fn roots(&self) -> Vec<String> {
        Self::roots(self).map(|root| root.to_string_lossy().into_owned()).collect()
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        let found = if name.starts_with('/') {
            self.module_at(name)
        } else {
            // Other texts are reported as missing.
            name.parse().map_or(Ok(None), |name| self.find(&name))
        };
        Ok(found.map_err(|error| self.refused(&error))?.as_ref().map(entry))
    }

    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        let Ok(name) = name.parse() else { return Vec::new() };
        Self::needed(self, &name).iter().map(entry).collect()
    }

    fn needed_by_source(&self, source: &[u8]) -> Vec<ModuleEntry> {
        Self::needed_by_source(self, source).iter().map(entry).collect()
    }

    fn resource(&self, package: &str, path: &str) -> Result<Option<Resource>, ModuleError> {
        let found = if package.starts_with('/') {
            self.resource_at(package, path)
        } else {
            package.parse().map_or(Ok(None), |package: ModuleName| Self::resource(self, &package, path))
        };
        found.map_err(|error| self.refused(&error))
    }

    fn hint(&self, name: &str) -> Option<String> {
        Self::hint(self, &name.parse().ok()?)
    }
}

impl Codebase {
    fn module_at(&self, spot: &str) -> Result<Option<Module>, CodebaseError> {
        self.rules().check()?;
        Spot::parse(spot, self).map_or(Ok(None), |spot| spot.module(self))
    }

    fn resource_at(&self, folder: &str, path: &str) -> Result<Option<Resource>, CodebaseError> {
        self.rules().check()?;
        Spot::parse(folder, self).map_or(Ok(None), |spot| spot.resource(self, path))
    }

    /// Returns what the agent receives. What the user of this program has to know is also logged,
    /// because code on the host may catch the error.
    fn refused(&self, error: &CodebaseError) -> ModuleError {
        match error {
            CodebaseError::Outside { path, .. } if self.is_news(path) => tracing::warn!("{error}"),
            _ => {}
        }
        let refused = ModuleError::from_error(error);
        match error {
            CodebaseError::Compiled { files, .. } => refused.files(files.iter().cloned()),
            _ => refused,
        }
    }
}

fn entry(module: &Module) -> ModuleEntry {
    let kind = match module.kind() {
        ModuleKind::Module => ModuleEntryKind::Module,
        ModuleKind::Package => ModuleEntryKind::Package,
        ModuleKind::Namespace => ModuleEntryKind::Namespace,
        ModuleKind::Unpacked => ModuleEntryKind::Unpacked,
    };
    let file = module.file().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let entry = ModuleEntry::new(module.name().as_str(), kind, file, module.source());
    entry.submodules(module.submodules().iter().cloned())
}
