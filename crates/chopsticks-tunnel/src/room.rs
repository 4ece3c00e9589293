//! Room for connections: this process may have only so many descriptors open.

use std::{
    fs, io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use tokio::{sync::Notify, time::timeout};

/// Descriptors that are set aside for a connection which is about to be made, until this is dropped.
///
/// What [`Tunnel::room`](crate::Tunnel::room) returns.
#[derive(Debug)]
#[must_use = "the room is there for others once it is dropped"]
pub struct Room {
    descriptors: usize,
}

/// What is known of this process's descriptors.
#[derive(Debug)]
struct Ledger {
    /// How many are set aside.
    promised: usize,
    /// When those that are open were counted.
    counted: Option<Instant>,
    /// How many are open or were set aside at most, unless others than connections have opened some since.
    bound: usize,
}

impl Room {
    /// Room for a connection that is there.
    pub(crate) fn of_a_connection() -> Self {
        Self { descriptors: 0 }
    }

    /// Sets room aside for a new connection, if there is some.
    pub(crate) fn reserve() -> Option<Self> {
        let Some(limit) = limit() else { return Some(Self::of_a_connection()) };
        let is_enough = ledger().reserve(limit, Instant::now(), open_now);
        is_enough.then(|| Self { descriptors: PER_START })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.descriptors > 0 {
            ledger().promised -= self.descriptors;
        }
    }
}

impl Ledger {
    /// Sets descriptors for one connection aside, if there are enough.
    fn reserve(&mut self, limit: usize, now: Instant, count: impl FnOnce() -> usize) -> bool {
        let most = limit.saturating_sub(reserve(limit));
        // Counting takes time for each that is open, so it is done when it can matter.
        let is_fresh = self.counted.is_some_and(|counted| now.saturating_duration_since(counted) < FRESH);
        if !is_fresh || self.bound.saturating_add(PER_START) > most {
            // Those that are open already of what was set aside count twice for now.
            self.bound = count().saturating_add(self.promised);
            self.counted = Some(now);
        }
        let is_enough = self.bound.saturating_add(PER_START) <= most;
        if is_enough {
            self.bound += PER_START;
            self.promised += PER_START;
        }
        is_enough
    }
}

fn ledger() -> MutexGuard<'static, Ledger> {
    LEDGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells those who wait that a connection is gone.
pub(crate) fn tell() {
    CHANGED.notify_waiters();
}

/// Waits until a connection is gone, or for a moment: descriptors that are nobody's connection are freed in silence.
pub(crate) async fn changed() {
    let _ = timeout(MOMENT, CHANGED.notified()).await;
}

/// Whether something failed because too much is open.
fn is_want(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// How many descriptors this process may have; `None` if there is no limit.
fn limit() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile).current?;
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many descriptors this process has. All that it may if not even this could be asked, none if it cannot be known.
fn open_now() -> usize {
    match fs::read_dir("/dev/fd") {
        Ok(entries) => entries.count(),
        Err(error) if is_want(&error) => usize::MAX,
        Err(_) => 0,
    }
}

/// What is left, of so many, for all else: files that are transferred or imported, and what starting a program takes for a moment.
fn reserve(limit: usize) -> usize {
    (limit / 4).min(MAX_RESERVE)
}

/// Three pipes, what tells of the program's end, and a file to go with it in its folder.
const PER_START: usize = 6;
/// How long others are trusted to open nothing that matters.
const FRESH: Duration = Duration::from_secs(1);
/// Enough for as many files as are read and written at once by a machine's cores, and more.
const MAX_RESERVE: usize = 64;
const MOMENT: Duration = Duration::from_millis(20);

static CHANGED: Notify = Notify::const_new();
static LEDGER: Mutex<Ledger> = Mutex::new(Ledger { promised: 0, counted: None, bound: 0 });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted_when_it_can_matter() {
        let mut ledger = Ledger { promised: 0, counted: None, bound: 0 };
        let now = Instant::now();
        assert!(ledger.reserve(64, now, || 10));
        // 48 are not kept back: up to there nothing is counted again.
        for _ in 0..5 {
            assert!(ledger.reserve(64, now, || panic!("not yet")));
        }
        assert_eq!((ledger.bound, ledger.promised), (46, 36));
        assert!(!ledger.reserve(64, now, || 20));
        // Connections that are there are no longer set aside, but open.
        ledger.promised = 0;
        assert!(ledger.reserve(64, now, || 34));
        assert!(!ledger.reserve(64, now + FRESH, || 44), "others have opened some meanwhile");
        assert!(!ledger.reserve(64, now + FRESH, || usize::MAX));
    }

    #[test]
    fn a_part_of_the_limit_is_left_for_files() {
        assert_eq!((reserve(64), reserve(1024), reserve(1 << 20)), (16, 64, 64));
    }
}
