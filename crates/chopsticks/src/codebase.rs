//! The importer's codebase, as tunnels take it.

use std::path::PathBuf;

use chopsticks_importer::{Module, ModuleKind, ModuleName};
use chopsticks_tunnel::{ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource};

/// An ordered list of folders whose Python modules agents can import, the counterpart of Python's `sys.path`.
///
/// It is given to [`TunnelConfig::modules`](crate::TunnelConfig::modules). With the first call of a module's function goes all of the
/// codebase that the module imports, directly or not, so that it costs no round trip. What it serves and what it never does is told at
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

    /// Limits the source that goes ahead of a call, in bytes; 8 MiB unless set. The host asks for the rest when it imports it.
    ///
    /// All of it travels before the first call, whether it comes to be used or not: lower it for slow links. It has to fit into
    /// [`max_message_len`](crate::TunnelConfig::max_message_len) as well, else all of it is left to be asked for.
    #[must_use]
    pub fn max_ahead_len(self, bytes: usize) -> Self {
        Self { inner: self.inner.max_ahead_len(bytes) }
    }

    /// Limits how many modules go ahead of a call; 1,000 unless set. With 0 each module waits until the host asks for it.
    #[must_use]
    pub fn max_ahead_modules(self, count: usize) -> Self {
        Self { inner: self.inner.max_ahead_modules(count) }
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
        entry(&module).map(Some)
    }

    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        let Ok(name) = name.parse() else { return Vec::new() };
        self.inner.needed(&name).iter().filter_map(|module| entry(module).ok()).collect()
    }
}

fn entry(module: &Module) -> Result<ModuleEntry, ModuleError> {
    let kind = match module.kind() {
        ModuleKind::Module => ModuleEntryKind::Module,
        ModuleKind::Package => ModuleEntryKind::Package,
        ModuleKind::Namespace => ModuleEntryKind::Namespace,
        kind => return Err(ModuleError::new(format!("a module of kind {kind:?} cannot be sent"))),
    };
    let file = module.file().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let entry = ModuleEntry::new(module.name().as_str(), kind, file, module.source());
    Ok(entry.submodules(module.submodules().iter().cloned()))
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
