//! How far a transfer is, and who is told.

use std::fmt;

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of content that have been sent, or received.
    pub done: u64,
    /// Bytes of content that are expected; `None` if that is not known.
    pub total: Option<u64>,
}

/// Whom a transfer tells how far it is.
#[derive(Default)]
pub struct Watcher<'a>(Option<Box<dyn FnMut(Progress) + Send + 'a>>);

impl<'a> Watcher<'a> {
    /// Creates a watcher that calls `watcher`; the default one calls nothing.
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
