//! What answers the imports of agents.

use std::{collections::HashSet, fmt, sync::Mutex};

use chopsticks_pencode::marshal::{EncodeError, Writer};
use thiserror::Error;

/// Answers what agents import, from wherever it likes.
///
/// Methods may block: they are called on threads for blocking work. Agents are told the
/// [`top_level`](Self::top_level) names once for each connection and ask only for modules below these; what a host's
/// own standard library has is never asked for.
pub trait ModuleSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the names of the outermost modules and packages.
    ///
    /// # Errors
    ///
    /// Whatever keeps the source from knowing; it fails the call that made the agent connect.
    fn top_level(&self) -> Result<Vec<String>, ModuleError>;

    /// Returns the module called `name`, or `None` if there is none.
    ///
    /// `name` comes from the agent and can be any text: answer only for what is meant to be served.
    ///
    /// # Errors
    ///
    /// Whatever keeps the module from being read; it becomes an `ImportError` on the host.
    fn module(&self, name: &str) -> Result<Option<ModuleEntry>, ModuleError>;

    /// Returns what a function in the module `name` will need, to be sent ahead of its first call. Packages come before what
    /// is in them.
    ///
    /// By default the module and the packages around it.
    fn needed(&self, name: &str) -> Vec<ModuleEntry> {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        ends.map_while(|end| self.module(&name[..end]).ok().flatten()).collect()
    }
}

/// One module, as it is sent to an agent.
#[derive(Clone, Debug)]
pub struct ModuleEntry {
    name: String,
    kind: ModuleEntryKind,
    file: String,
    source: Vec<u8>,
    submodules: Vec<String>,
}

/// What a module is to Python's import system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ModuleEntryKind {
    /// A module that holds no others.
    Module,
    /// A namespace package: it has no source.
    Namespace,
    /// A package.
    Package,
}

/// Why a [`ModuleSource`] could not answer.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{message}")]
pub struct ModuleError {
    message: String,
}

impl ModuleEntry {
    /// Creates the entry of a module; `file` is what tracebacks show.
    pub fn new(
        name: impl Into<String>,
        kind: ModuleEntryKind,
        file: impl Into<String>,
        source: impl Into<Vec<u8>>,
    ) -> Self {
        Self { name: name.into(), kind, file: file.into(), source: source.into(), submodules: Vec::new() }
    }

    /// Sets the names directly below a package; agents ask for no others.
    #[must_use]
    pub fn submodules(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.submodules = names.into_iter().collect();
        self
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        let kind = match self.kind {
            ModuleEntryKind::Module => 0,
            ModuleEntryKind::Package => 1,
            ModuleEntryKind::Namespace => 2,
        };
        writer.begin_tuple(5).text(&self.name).int(kind);
        if self.kind == ModuleEntryKind::Namespace {
            writer.none().none();
        } else {
            writer.text(&self.file).bytes(&self.source);
        }
        writer.begin_list(self.submodules.len());
        for name in &self.submodules {
            writer.text(name);
        }
    }
}

impl ModuleError {
    /// Creates an error with the text that the host's `ImportError` shows.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Which modules a connection has been sent ahead of need.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    functions: Mutex<HashSet<String>>,
    modules: Mutex<HashSet<String>>,
}

impl Ahead {
    /// Whether nothing more has to be sent for functions of `module`.
    pub(crate) fn covers(&self, module: &str) -> bool {
        self.functions.lock().is_ok_and(|functions| functions.contains(module))
    }

    /// Composes the notice of what `entries` has new, and marks it as sent; `None` if that is nothing.
    pub(crate) fn notice(
        &self,
        module: &str,
        entries: &[ModuleEntry],
    ) -> Option<Result<Vec<u8>, EncodeError>> {
        let mut sent = self.modules.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new: Vec<_> = entries.iter().filter(|entry| sent.insert(entry.name.clone())).collect();
        drop(sent);
        if let Ok(mut functions) = self.functions.lock() {
            functions.insert(module.to_owned());
        }
        (!new.is_empty()).then(|| {
            let mut writer = Writer::new();
            writer.begin_list(new.len());
            for entry in new {
                entry.write(&mut writer);
            }
            writer.finish()
        })
    }
}

/// Composes the notice that tells an agent the outermost names.
pub(crate) fn listing(names: &[String]) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.begin_list(1);
    ModuleEntry::new("", ModuleEntryKind::Namespace, "", "")
        .submodules(names.iter().cloned())
        .write(&mut writer);
    writer.finish()
}
