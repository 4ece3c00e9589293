//! Encoding modules, and which of them a connection has.

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

/// Which modules were sent on a connection.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The keys of the needs that are covered.
    needs: Mutex<HashSet<u64>>,
    modules: Mutex<HashSet<String>>,
}

impl Ahead {
    /// Returns whether nothing more has to be sent for a need.
    pub(crate) fn covers(&self, need: u64) -> bool {
        self.needs.lock().is_ok_and(|needs| needs.contains(&need))
    }

    /// Marks a module as sent, because the agent has requested it.
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

    /// Returns the `entries` that have not been sent, and marks them as sent.
    pub(crate) fn take_new(&self, need: u64, mut entries: Vec<ModuleEntry>) -> Vec<ModuleEntry> {
        let mut sent = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| sent.insert(entry.name.clone()));
        drop(sent);
        self.needs.lock().unwrap_or_else(PoisonError::into_inner).insert(need);
        entries
    }
}

/// The notice that was encoded last. Connections that begin in the same way, as those of a group
/// do, share its bytes.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    latest: Mutex<Option<(Vec<ModuleEntry>, Bytes)>>,
}

impl Notices {
    /// Encodes the notice of `entries`, or returns the cached one.
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

/// Encodes the notice that lists the outermost names and the roots.
pub(crate) fn listing(names: &[String], roots: &[String]) -> Result<Vec<u8>, EncodeError> {
    let listing = Listing { names: names.into(), roots: roots.into() };
    Modules { listing: Some(listing), entries: Vec::new() }.encode()
}

/// Returns an entry in the form in which it is sent.
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
