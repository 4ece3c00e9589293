//! Modules as they go over the wire, and which of them a connection has.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

pub use chopsticks_module::{
    ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource, ResourceEntry, ResourceKind,
};
use chopsticks_pencode::marshal::{EncodeError, Writer};

/// Which modules a connection has been sent.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The needs that are covered, by their keys.
    needs: Mutex<HashSet<u64>>,
    modules: Mutex<HashSet<String>>,
}

impl Ahead {
    /// Whether nothing more has to be sent for a need.
    pub(crate) fn covers(&self, need: u64) -> bool {
        self.needs.lock().is_ok_and(|needs| needs.contains(&need))
    }

    /// Marks a module as sent, because it was asked for.
    pub(crate) fn mark(&self, name: &str) {
        let mut sent = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        // Links that run in circles give a module any number of names.
        if sent.len() < MAX_MARKED {
            sent.insert(name.to_owned());
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Composes the notice of what `entries` has new, and marks it as sent; `None` if that is nothing.
    pub(crate) fn notice(&self, need: u64, entries: &[ModuleEntry]) -> Option<Result<Vec<u8>, EncodeError>> {
        let mut sent = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<_> = entries.iter().filter(|entry| sent.insert(entry.name.clone())).collect();
        drop(sent);
        self.needs.lock().unwrap_or_else(PoisonError::into_inner).insert(need);
        (!new.is_empty()).then(|| {
            let mut writer = Writer::new();
            writer.begin_list(new.len());
            for entry in new {
                write(entry, &mut writer);
            }
            writer.finish()
        })
    }
}

/// Composes the notice that tells an agent the outermost names.
pub(crate) fn listing(names: &[String]) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.begin_list(1);
    let entry = ModuleEntry::new("", ModuleEntryKind::Namespace, "", "");
    write(&entry.submodules(names.iter().cloned()), &mut writer);
    writer.finish()
}

/// Writes an entry as in `docs/wire.md`, section 6.
pub(crate) fn write(entry: &ModuleEntry, writer: &mut Writer) {
    let kind = match entry.kind {
        ModuleEntryKind::Package => 1,
        ModuleEntryKind::Namespace => 2,
        _ => 0,
    };
    writer.begin_tuple(5).text(&entry.name).int(kind);
    if entry.kind == ModuleEntryKind::Namespace {
        writer.none().none();
    } else {
        writer.text(&entry.file).bytes(&entry.source);
    }
    writer.begin_list(entry.submodules.len());
    for name in &entry.submodules {
        writer.text(name);
    }
}

/// More modules than any agent imports.
const MAX_MARKED: usize = 100_000;
