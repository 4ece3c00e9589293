//! What a group is made of.

use std::{error::Error as StdError, fmt, future, hash::Hash};

/// Something with a name on which operations run, such as a tunnel to a host.
///
/// Clones are handles of the same thing. Only [`name`](Self::name), [`connect`](Self::connect) and [`close`](Self::close) have to be
/// written; the rest tells the scheduler more.
pub trait Target: Clone + Send + Sync + 'static {
    /// The key of results.
    type Name: Clone + fmt::Debug + fmt::Display + Eq + Hash + Ord + Send + Sync + 'static;
    /// What operations fail with.
    type Error: Clone + StdError + Send + Sync + 'static;

    /// Returns the name, which does not change.
    fn name(&self) -> Self::Name;

    /// Connects, unless connected.
    fn connect(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Disconnects, unless that was done.
    fn close(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Returns what the target shares with others and has to be spared, such as the name of a bastion.
    ///
    /// The limits for each key ([`Limits::max_running_per_key`](crate::Limits::max_running_per_key)) hold among targets with
    /// the same key; a target without one is not bound by them.
    fn key(&self) -> Option<String> {
        None
    }

    /// Waits until a connection is there, or has failed. If none is being made yet, it may wait for that, or return at once.
    ///
    /// It is asked after an operation has begun, and tells when that one no longer counts as connecting.
    fn connected(&self) -> impl Future<Output = ()> + Send {
        future::ready(())
    }

    /// Sets aside what making a connection takes and this process has only so much of, such as descriptors, until the value that it returns
    /// is dropped. `None` if there is not enough. A target that is connected needs none.
    ///
    /// It is asked before an operation begins, which then waits for room, but not for ever; the value is dropped once the target is
    /// connected.
    fn room(&self) -> Option<impl Send + 'static> {
        Some(())
    }

    /// Waits until it is worth asking for [`room`](Self::room) again.
    fn more_room(&self) -> impl Future<Output = ()> + Send {
        future::pending()
    }

    /// Begins to close the connection if nobody uses it, so that others have room; returns whether it did.
    ///
    /// It is asked only if there is no room for another, and not while an operation of the same group runs on the target.
    fn give_way(&self) -> bool {
        false
    }

    /// Whether `error` says that the target cannot be reached, so that further operations on it are in vain for now.
    fn is_unreachable(error: &Self::Error) -> bool {
        let _ = error;
        false
    }
}
