//! A local folder that a separate thread writes while it is received.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    coming::Stopped,
    tree::{Manner, Order, Tree},
    walk::Problem,
};

/// A folder that a separate thread writes.
#[derive(Debug)]
pub struct TreeSink {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<Result<(), Problem>>,
}

impl TreeSink {
    /// Begins to write a folder at `root`, which need not exist.
    pub fn open(root: PathBuf, manner: Manner) -> Self {
        let (orders, receiver) = mpsc::channel(AHEAD);
        let thread = tokio::task::spawn_blocking(move || write_tree(&root, manner, receiver));
        Self { orders, thread }
    }

    pub(crate) async fn give(&self, order: Order) -> Result<(), Stopped> {
        // Whoever obeys has ended, with an error that is told later.
        self.orders.send(order).await.map_err(|_| Stopped::Unwritable(io::ErrorKind::BrokenPipe.into()))
    }

    /// Waits until everything that was received is written. Files that were not finished by then
    /// are removed.
    ///
    /// # Errors
    ///
    /// What could not be written, and why.
    pub async fn end(self) -> Result<(), Problem> {
        drop(self.orders);
        self.thread.await.unwrap_or_else(|error| Err((PathBuf::new(), error.into())))
    }
}

/// Writes a folder at `root`, which need not exist, until the outermost folder is left.
fn write_tree(root: &Path, manner: Manner, mut orders: mpsc::Receiver<Order>) -> Result<(), Problem> {
    let mut tree = Tree::new(root, manner);
    while let Some(order) = orders.blocking_recv() {
        tree.obey(order).map_err(|error| (tree.path.clone(), error))?;
    }
    Ok(())
}

/// The number of pieces that may be under way between a stream and the file system.
const AHEAD: usize = 4;
