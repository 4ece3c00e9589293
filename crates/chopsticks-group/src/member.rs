//! The trait of the members of a group.

use std::{error::Error as StdError, fmt, future, hash::Hash};

/// Something with a name on which operations run, such as a tunnel to a host.
///
/// Clones are handles of the same target. Only [`name`](Self::name), [`connect`](Self::connect) and [`close`](Self::close) have to be
/// implemented; the other methods give the scheduler more information.
pub trait Member: Clone + Send + Sync + 'static {
    /// The type of names, which are the keys of results.
    type Name: Clone + fmt::Debug + fmt::Display + Eq + Hash + Ord + Send + Sync + 'static;
    /// The type of errors with which operations fail.
    type Error: Clone + StdError + Send + Sync + 'static;

    /// Returns the name, which does not change.
    fn name(&self) -> Self::Name;

    /// Connects the target unless it is connected.
    fn connect(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Disconnects the target unless it is disconnected.
    fn close(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Returns the name of something that the target shares with others and that must not be overloaded, such as a bastion.
    ///
    /// The limits for each key, such as [`Limits::max_running_per_key`](crate::Limits::max_running_per_key), apply to the targets with
    /// the same key. They do not apply to a target without a key.
    fn key(&self) -> Option<String> {
        None
    }

    /// Waits until the target is connected, or until connecting has failed. If no connection is being made, it may wait for one, or return at once.
    ///
    /// It is called after an operation has started, which counts as connecting until this method returns.
    fn connected(&self) -> impl Future<Output = ()> + Send {
        future::ready(())
    }

    /// Reserves the limited resources of this process that a connection needs, such as descriptors, until the returned value is dropped. Returns
    /// `None` if there are too few. A target that is connected needs none.
    ///
    /// It is called before an operation starts. If there are too few, the operation waits for a limited time. The value is dropped when the target is
    /// connected.
    fn room(&self) -> Option<impl Send + 'static> {
        Some(())
    }

    /// Waits until it is worth asking for [`room`](Self::room) again.
    fn more_room(&self) -> impl Future<Output = ()> + Send {
        future::pending()
    }

    /// Starts to close the connection if it is unused, so that others have room, and returns whether it did.
    ///
    /// It is called only if another target has no room, and never while an operation of the same group is running on the target.
    fn give_way(&self) -> bool {
        false
    }

    /// Returns whether `error` means that the target cannot be reached, so that further operations on it would fail as well.
    fn is_unreachable(error: &Self::Error) -> bool {
        let _ = error;
        false
    }
}
