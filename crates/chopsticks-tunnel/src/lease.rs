//! Leases: who uses something that is shared.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Something that is shared and counts its uses, such as the connection of a tunnel. When this and
/// the last lease are dropped, it is dropped too.
#[derive(Debug)]
pub(crate) struct Leased<T> {
    shared: Arc<T>,
    leases: Arc<AtomicUsize>,
}

/// A use of what is leased. What has no leases is idle, and may be closed.
#[derive(Debug)]
pub(crate) struct Lease<T> {
    shared: Arc<T>,
    leases: Arc<AtomicUsize>,
}

impl<T> Leased<T> {
    pub(crate) fn new(shared: Arc<T>) -> Self {
        Self { shared, leases: Arc::default() }
    }

    /// Begins a use.
    pub(crate) fn lease(&self) -> Lease<T> {
        Lease::new(self.shared.clone(), self.leases.clone())
    }

    /// Returns whether nothing uses the connection.
    pub(crate) fn is_idle(&self) -> bool {
        self.leases.load(Ordering::Acquire) == 0
    }
}

impl<T> Deref for Leased<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shared
    }
}

impl<T> Lease<T> {
    fn new(shared: Arc<T>, leases: Arc<AtomicUsize>) -> Self {
        leases.fetch_add(1, Ordering::Relaxed);
        Self { shared, leases }
    }
}

impl<T> Clone for Lease<T> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.leases.clone())
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shared
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        self.leases.fetch_sub(1, Ordering::Release);
    }
}
