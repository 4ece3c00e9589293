//! Files within a folder that are sent in part, because the receiver has the rest.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use tokio::sync::{mpsc, oneshot};

use crate::delta::Base;

/// What the receiver has of the files of a folder. It is asked about each file just before that is
/// sent, so that only one description is in memory at a time.
#[derive(Debug)]
pub struct Bases {
    wanted: HashSet<PathBuf>,
    questions: mpsc::Sender<Question>,
}

/// A file that is sent next.
#[derive(Debug)]
pub struct Question {
    /// The path, from the folder on.
    pub path: PathBuf,
    answer: oneshot::Sender<Option<Base>>,
}

impl Bases {
    /// Creates the questions about the `wanted` files, which are paths from the folder on. Each
    /// question has to be answered or dropped before the transfer goes on.
    pub fn new(wanted: HashSet<PathBuf>) -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(1);
        (Self { wanted, questions }, receiver)
    }

    pub(crate) fn has(&self, path: &Path) -> bool {
        self.wanted.contains(path)
    }

    /// Asks what the receiver has. Blocks the thread.
    pub(crate) fn find(&self, path: &Path) -> Option<Base> {
        let (answer, found) = oneshot::channel();
        self.questions.blocking_send(Question { path: path.to_owned(), answer }).ok()?;
        found.blocking_recv().ok()?
    }
}

impl Question {
    /// Lets the transfer go on with what was found, if anything.
    pub fn answer(self, found: Option<Base>) {
        // The transfer may have been cancelled.
        let _ = self.answer.send(found);
    }
}
