//! Room for connections, since the number of descriptors of this process is limited.

use std::{
    fs, io, process,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use tokio::{sync::Notify, time::timeout};

/// Descriptors that are reserved for a new connection, until this is dropped.
///
/// [`Tunnel::room`](crate::Tunnel::room) returns it.
#[derive(Debug)]
#[must_use = "the room is there for others once it is dropped"]
pub struct Room {
    descriptors: usize,
}

/// The descriptors of this process, as far as they are known.
#[derive(Debug)]
struct Ledger {
    /// Whose descriptors they are: nobody gives back in a forked child what its parent has reserved.
    process: u32,
    /// How many are reserved.
    promised: usize,
    /// When the open descriptors were counted.
    counted: Option<Instant>,
    /// The maximum number of open or reserved descriptors, unless something other than a connection
    /// has opened some since.
    bound: usize,
}

impl Room {
    /// Creates the room for an existing connection.
    pub(crate) fn of_a_connection() -> Self {
        Self { descriptors: 0 }
    }

    /// Reserves room for a new connection, if there is enough.
    pub(crate) fn reserve() -> Option<Self> {
        let Some(limit) = limit() else { return Some(Self::of_a_connection()) };
        let is_enough = ledger().reserve(limit, Instant::now(), open_now);
        is_enough.then(|| Self { descriptors: PER_START })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.descriptors > 0 {
            let mut ledger = ledger();
            ledger.promised = ledger.promised.saturating_sub(self.descriptors);
        }
    }
}

impl Ledger {
    /// Reserves descriptors for one connection, if there are enough.
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
    let mut ledger = LEDGER.lock().unwrap_or_else(PoisonError::into_inner);
    if ledger.process != process::id() {
        *ledger = Ledger { process: process::id(), promised: 0, counted: None, bound: 0 };
    }
    ledger
}

/// Notifies waiting tasks that a connection has ended.
pub(crate) fn tell() {
    CHANGED.notify_waiters();
}

/// Waits until a connection has ended, or for a moment, because descriptors that do not belong to a
/// connection are freed without a notification.
pub(crate) async fn changed() {
    let _ = timeout(MOMENT, CHANGED.notified()).await;
}

/// Returns whether an operation failed because too many files are open.
fn is_want(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Returns how many descriptors this process may have, or `None` if there is no limit.
fn limit() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile).current?;
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Returns how many descriptors this process has: the limit if not even this can be determined for
/// lack of a descriptor, and none if it is not known.
fn open_now() -> usize {
    match fs::read_dir("/dev/fd") {
        Ok(entries) => entries.count(),
        Err(error) if is_want(&error) => usize::MAX,
        Err(_) => 0,
    }
}

/// Returns how many descriptors of the limit remain for everything else: files that are transferred
/// or imported, and what starting a program takes for a moment.
fn reserve(limit: usize) -> usize {
    (limit / 4).min(MAX_RESERVE)
}

/// Three pipes, a descriptor that reports the end of the program, and a file that is opened in its
/// folder.
const PER_START: usize = 6;
/// How long it is assumed that nothing else opens many descriptors.
const FRESH: Duration = Duration::from_secs(1);
/// Enough for the files that a machine's cores read and write at once.
const MAX_RESERVE: usize = 64;
const MOMENT: Duration = Duration::from_millis(20);

// The limit of descriptors is the process's, and so is what counts towards it: no context has its own.
static CHANGED: Notify = Notify::const_new();
static LEDGER: Mutex<Ledger> = Mutex::new(Ledger { process: 0, promised: 0, counted: None, bound: 0 });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted_when_it_can_matter() {
        let mut ledger = Ledger { process: 0, promised: 0, counted: None, bound: 0 };
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
