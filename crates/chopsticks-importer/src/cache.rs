//! A cache of what was read from a codebase, which is valid as long as nothing changes.

use std::{
    collections::HashMap,
    fs::Metadata,
    mem,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{imports::Imports, listing::Listing, root::Covered};

/// Files and folders by place, shared by the clones of a codebase.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    generations: Mutex<Generations>,
}

/// A root's number, and a path below it.
pub(crate) type Key = (u64, String);

/// A file's text, and its imports once they were needed.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) source: Vec<u8>,
    imports: OnceLock<Imports>,
}

/// Distinguishes two states of a file or folder without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    changed: Option<SystemTime>,
    len: u64,
    /// On Unix, the inode and the time of its last change. They detect a file that was replaced by
    /// another one with the same time.
    inode: (u64, i64, i64),
}

/// The cache. When the young half is full, the old half is dropped. An entry that is used moves
/// from the old half to the young one.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Entry>,
    young_len: usize,
    old: HashMap<Key, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    stamp: Stamp,
    /// Whether a later change is certain to change the stamp.
    is_settled: bool,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    File(Arc<Text>),
    Folder(Arc<Listing>),
}

impl Cache {
    /// Returns the text of a file that has this stamp now. Calls `read` unless the text is cached.
    pub(crate) fn file<E>(
        &self,
        key: &Key,
        stamp: Stamp,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<Text>, E> {
        let known = match self.get(key, stamp) {
            Some(Entry { content: Content::File(text), is_settled: true, .. }) => return Ok(text),
            Some(Entry { content: Content::File(text), .. }) => Some(text),
            _ => None,
        };
        let is_settled = stamp.is_settled();
        let source = read()?;
        // What is the same need not be parsed again.
        let text =
            known.filter(|known| known.source == source).unwrap_or_else(|| Arc::new(Text::new(source)));
        self.insert(key, Entry { stamp, is_settled, content: Content::File(text.clone()) });
        Ok(text)
    }

    /// Returns the names in a folder that has this stamp now. Calls `list` unless the names are
    /// cached. `list` also returns whether the stamp covers everything that it examined.
    pub(crate) fn folder<E>(
        &self,
        key: &Key,
        stamp: Stamp,
        list: impl FnOnce() -> Result<(Listing, Covered), E>,
    ) -> Result<Arc<Listing>, E> {
        if let Some(Entry { content: Content::Folder(listing), is_settled: true, .. }) = self.get(key, stamp)
        {
            return Ok(listing);
        }
        let is_settled = stamp.is_settled();
        let (listing, covered) = list()?;
        let listing = Arc::new(listing);
        if covered == Covered::Yes {
            self.insert(key, Entry { stamp, is_settled, content: Content::Folder(listing.clone()) });
        }
        Ok(listing)
    }

    fn get(&self, key: &Key, stamp: Stamp) -> Option<Entry> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match generations.young.get(key) {
            Some(entry) => entry.clone(),
            None => {
                let entry = generations.old.remove(key)?;
                generations.insert(key, entry.clone());
                entry
            }
        };
        (entry.stamp == stamp).then_some(entry)
    }

    fn insert(&self, key: &Key, entry: Entry) {
        // One large file is not worth all that it would drive out.
        if entry.len() <= GENERATION_LEN / 4 {
            self.generations.lock().unwrap_or_else(PoisonError::into_inner).insert(key, entry);
        }
    }
}

impl Generations {
    fn insert(&mut self, key: &Key, entry: Entry) {
        self.young_len += entry.len();
        if self.young_len > GENERATION_LEN {
            self.young_len = entry.len();
            self.old = mem::take(&mut self.young);
        }
        if let Some(before) = self.young.insert(key.clone(), entry) {
            self.young_len = self.young_len.saturating_sub(before.len());
        }
    }
}

impl Entry {
    /// Returns the approximate size in bytes.
    fn len(&self) -> usize {
        let content = match &self.content {
            Content::File(text) => text.source.len(),
            Content::Folder(listing) => listing.len(),
        };
        content + ENTRY_LEN
    }
}

impl Text {
    pub(crate) fn new(source: Vec<u8>) -> Self {
        Self { source, imports: OnceLock::new() }
    }

    pub(crate) fn imports(&self) -> &Imports {
        self.imports.get_or_init(|| Imports::read(&self.source))
    }
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let inode = (0, 0, 0);
        Self { changed: metadata.modified().ok(), len: metadata.len(), inode }
    }

    /// Creates the stamp of a source that reports its own changes, by a number.
    pub(crate) fn of_version(version: Option<u64>) -> Self {
        let changed = version.map(|_| SystemTime::UNIX_EPOCH);
        Self { changed, len: version.unwrap_or_default(), inode: (0, 0, 0) }
    }

    /// Returns whether the last change is so long ago that a new change would have a different
    /// time.
    pub(crate) fn is_settled(&self) -> bool {
        let age = self.changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        age.is_some_and(|age| age > RESOLUTION)
    }
}

/// FAT has the coarsest time stamps in use.
const RESOLUTION: Duration = Duration::from_secs(2);
/// The maximum size of one half of the cache, in bytes: a few times the largest closure that is
/// sent ahead.
const GENERATION_LEN: usize = 32 << 20;
/// The approximate size of a path, a stamp and a few imports.
const ENTRY_LEN: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible};

    use super::*;

    fn stamp(age: Duration) -> Stamp {
        Stamp { changed: Some(SystemTime::now() - age), len: 1, inode: (0, 0, 0) }
    }

    #[test]
    fn file_is_read_again_when_its_stamp_changes_or_is_too_young() {
        let (cache, key, reads) = (Cache::default(), (0, "a".to_owned()), Cell::new(0));
        let read = |stamp| {
            let read = || {
                reads.set(reads.get() + 1);
                Ok::<_, Infallible>(b"import x".to_vec())
            };
            cache.file(&key, stamp, read).unwrap()
        };
        let settled = stamp(Duration::from_secs(60));
        let first = read(settled);
        assert!(Arc::ptr_eq(&first, &read(settled)));
        assert_eq!(reads.get(), 1);
        let longer = Stamp { len: 2, ..settled };
        assert!(!Arc::ptr_eq(&first, &read(longer)));
        assert_eq!(reads.get(), 2);
        // Read twice, for it may have changed within the resolution; parsed once, for it has not.
        let young = stamp(Duration::ZERO);
        assert!(Arc::ptr_eq(&read(young), &read(young)));
        assert_eq!(reads.get(), 4);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_used_stays() {
        let (cache, old) = (Cache::default(), stamp(Duration::from_secs(60)));
        let key = |name: &str| (0, name.to_owned());
        let used = || cache.file(&key("used"), old, || Err(())).is_ok();
        cache.file(&key("used"), old, || Ok::<_, ()>(vec![0; 10])).unwrap();
        for n in 0..300 {
            cache.file(&key(&n.to_string()), old, || Ok::<_, ()>(vec![0; 1 << 20])).unwrap();
            assert!(used());
            let generations = cache.generations.lock().unwrap();
            assert!(generations.young_len <= GENERATION_LEN);
            assert!(generations.young.len() + generations.old.len() <= 2 * (GENERATION_LEN >> 20) + 2);
        }
        assert!(cache.file(&key("0"), old, || Err(())).is_err());
        cache.file(&key("large"), old, || Ok::<_, ()>(vec![0; GENERATION_LEN])).unwrap();
        assert!(used() && cache.file(&key("large"), old, || Err(())).is_err());
    }
}
