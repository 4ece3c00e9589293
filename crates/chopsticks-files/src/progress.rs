//! The progress of transfers.

use std::fmt;

/// The progress of a transfer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of content bytes that have been sent or received.
    pub done: u64,
    /// The expected number of content bytes, or `None` if it is not known.
    pub total: Option<u64>,
}

/// Receives reports on the progress of a transfer.
#[derive(Default)]
pub struct Watcher<'a>(Option<Box<dyn FnMut(Progress) + Send + 'a>>);

impl<'a> Watcher<'a> {
    /// Creates a watcher that calls `watcher`. The default watcher does nothing.
    pub fn new(watcher: impl FnMut(Progress) + Send + 'a) -> Self {
        Self(Some(Box::new(watcher)))
    }

    /// Reports how much is done.
    pub fn tell(&mut self, done: u64, total: Option<u64>) {
        if let Some(watcher) = &mut self.0 {
            watcher(Progress { done, total });
        }
    }
}

impl fmt::Debug for Watcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}
