//! The importer's codebase, as tunnels take it.

use std::path::PathBuf;

use chopsticks_importer::{ModuleKind, ModuleName};
use chopsticks_tunnel::{ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource};

/// An ordered list of folders whose Python modules agents can import, the counterpart of Python's `sys.path`.
///
/// It is given to [`TunnelConfig::modules`](crate::TunnelConfig::modules). What it serves and what it never does is told at
/// [`importer::Codebase`](chopsticks_importer::Codebase), which it wraps. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Codebase {
    inner: chopsticks_importer::Codebase,
}

impl Codebase {
    /// Creates a codebase of one folder.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self { inner: chopsticks_importer::Codebase::folder(root) }
    }

    /// Adds a folder, to be searched after those that are there.
    #[must_use]
    pub fn and_folder(self, root: impl Into<PathBuf>) -> Self {
        Self { inner: self.inner.and_folder(root) }
    }
}

impl From<chopsticks_importer::Codebase> for Codebase {
    fn from(inner: chopsticks_importer::Codebase) -> Self {
        Self { inner }
    }
}

impl ModuleSource for Codebase {
    fn top_level(&self) -> Result<Vec<String>, ModuleError> {
        self.inner.top_level().map_err(|error| refused(&error))
    }

    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError> {
        // A name that is none of a module's is one that the codebase has not.
        let Ok(name) = name.parse::<ModuleName>() else { return Ok(None) };
        let Some(module) = self.inner.find(&name).map_err(|error| refused(&error))? else { return Ok(None) };
        let kind = match module.kind() {
            ModuleKind::Module => ModuleEntryKind::Module,
            ModuleKind::Package => ModuleEntryKind::Package,
            ModuleKind::Namespace => ModuleEntryKind::Namespace,
            kind => return Err(ModuleError::new(format!("a module of kind {kind:?} cannot be sent"))),
        };
        let file = module.file().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        let entry = ModuleEntry::new(name.as_str(), kind, file, module.source());
        Ok(Some(entry.submodules(module.submodules().iter().cloned())))
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> ModuleError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    ModuleError::new(text)
}
