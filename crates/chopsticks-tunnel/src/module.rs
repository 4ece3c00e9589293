//! Modules as they go over the wire, and which of them a connection has.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
pub use chopsticks_module::{
    ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource, ResourceEntry, ResourceKind,
};
use chopsticks_pencode::marshal::EncodeError;
use chopsticks_protocol::{Entry, EntryKind, Listing, Modules};

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

    /// Returns what of `entries` has not been sent, and marks it as sent.
    pub(crate) fn take_new(&self, need: u64, mut entries: Vec<ModuleEntry>) -> Vec<ModuleEntry> {
        let mut sent = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| sent.insert(entry.name.clone()));
        drop(sent);
        self.needs.lock().unwrap_or_else(PoisonError::into_inner).insert(need);
        entries
    }
}

/// The notice that was encoded last. Connections that begin alike, as those of a group do, share its bytes.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    latest: Mutex<Option<(Vec<ModuleEntry>, Bytes)>>,
}

impl Notices {
    /// Composes the notice of `entries`, or finds the same one.
    pub(crate) fn encode(&self, entries: Vec<ModuleEntry>) -> Result<Bytes, EncodeError> {
        // Under the lock, so that of many who want the same one encodes it. Comparing costs a part of that.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, notice)) = &*latest
            && *known == entries
        {
            return Ok(notice.clone());
        }
        let notice =
            Bytes::from(Modules { listing: None, entries: entries.iter().map(message).collect() }.encode()?);
        *latest = Some((entries, notice.clone()));
        Ok(notice)
    }
}

/// Composes the notice that tells an agent the outermost names, and where the roots are.
pub(crate) fn listing(names: &[String], roots: &[String]) -> Result<Vec<u8>, EncodeError> {
    let listing = Listing { names: names.into(), roots: roots.into() };
    Modules { listing: Some(listing), entries: Vec::new() }.encode()
}

/// An entry as it is sent.
pub(crate) fn message(entry: &ModuleEntry) -> Entry<'_> {
    let kind = match entry.kind {
        ModuleEntryKind::Package => EntryKind::Package,
        ModuleEntryKind::Namespace => EntryKind::Namespace,
        ModuleEntryKind::Unpacked => EntryKind::Unpacked,
        _ => EntryKind::Module,
    };
    Entry {
        name: (&entry.name).into(),
        kind,
        file: (&entry.file).into(),
        source: Cow::Borrowed(&entry.source),
        submodules: (&entry.submodules).into(),
    }
}

/// More modules than any agent imports.
const MAX_MARKED: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, source: &str) -> ModuleEntry {
        ModuleEntry::new(name, ModuleEntryKind::Module, "", source)
    }

    #[test]
    fn connections_that_begin_alike_share_one_notice() {
        let notices = Notices::default();
        let first = notices.encode(vec![entry("p", "1"), entry("q", "2")]).unwrap();
        let same = notices.encode(vec![entry("p", "1"), entry("q", "2")]).unwrap();
        assert_eq!(first.as_ptr(), same.as_ptr());
        let changed = notices.encode(vec![entry("p", "1"), entry("q", "3")]).unwrap();
        assert_ne!(first, changed);
        assert_eq!(notices.encode(vec![entry("p", "1"), entry("q", "2")]).unwrap(), first);
    }
}
