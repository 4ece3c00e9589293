//! Decides which targets may start when connections need limited resources of this process.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::time::Sleep;

use crate::member::Member;

/// The resources that are reserved for a target until it is connected.
pub(crate) type Room = Box<dyn Send>;

/// Lets targets start when there is room for their connections.
///
/// Nothing here waits for ever. If no running target could make room, and none becomes available,
/// the targets try without room, and fail with an error that names the missing resource.
#[derive(Default)]
pub(crate) struct Admission {
    /// Completes when it is worth asking again.
    changed: Option<BoxFuture<'static, ()>>,
    /// How long to wait for users other than the targets that run here.
    patience: Option<Pin<Box<Sleep>>>,
    /// Whether this wait was in vain.
    is_vain: bool,
}

/// What else is running.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Company {
    Nobody,
    /// Other targets, which finish at some time.
    Others,
}

impl Admission {
    /// Returns room for `target`, or `Some(None)` if it should try without room. Returns `None` if
    /// it should wait.
    pub(crate) fn ask<T: Member>(&mut self, target: &T) -> Option<Option<Room>> {
        match target.room() {
            Some(room) => {
                *self = Self::default();
                Some(Some(Box::new(room)))
            }
            None => self.is_vain.then_some(None),
        }
    }

    /// Completes with the result of [`ask`](Self::ask). Until then, `make_room` is called to make
    /// room.
    pub(crate) fn poll<T: Member>(
        &mut self,
        context: &mut Context<'_>,
        target: &T,
        company: Company,
        make_room: impl FnOnce(),
    ) -> Poll<Option<Room>> {
        if let Some(room) = self.ask(target) {
            return Poll::Ready(room);
        }
        let changed = self.changed.get_or_insert_with(|| {
            let target = target.clone();
            Box::pin(async move { target.more_room().await })
        });
        if changed.as_mut().poll(context).is_ready() {
            self.changed = None;
            context.waker().wake_by_ref();
        }
        // Asked again, because what has changed before the poll was not told.
        if let Some(room) = self.ask(target) {
            return Poll::Ready(room);
        }
        make_room();
        if company == Company::Others {
            self.patience = None;
            return Poll::Pending;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        ready!(patience.as_mut().poll(context));
        self.is_vain = true;
        Poll::Ready(None)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("is_vain", &self.is_vain).finish_non_exhaustive()
    }
}

/// The usual limit for closing a connection.
const PATIENCE: Duration = Duration::from_secs(5);
