//! Leases: who uses a connection.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::connection::Connection;

/// The connection of a tunnel, which counts its users. When this and the last lease are dropped, the
/// connection closes.
#[derive(Debug)]
pub(crate) struct Leased {
    connection: Arc<Connection>,
    leases: Arc<AtomicUsize>,
}

/// The use of a connection. A connection without leases is idle, and may be closed.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Arc<Connection>,
    leases: Arc<AtomicUsize>,
}

impl Leased {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, leases: Arc::default() }
    }

    /// Begins a use.
    pub(crate) fn lease(&self) -> Lease {
        Lease::new(self.connection.clone(), self.leases.clone())
    }

    /// Returns whether nothing uses the connection.
    pub(crate) fn is_idle(&self) -> bool {
        self.leases.load(Ordering::Acquire) == 0
    }
}

impl Deref for Leased {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Lease {
    fn new(connection: Arc<Connection>, leases: Arc<AtomicUsize>) -> Self {
        leases.fetch_add(1, Ordering::Relaxed);
        Self { connection, leases }
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        Self::new(self.connection.clone(), self.leases.clone())
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.fetch_sub(1, Ordering::Release);
    }
}
