//! A stream of each target.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt as _,
    stream::{BoxStream, SelectAll},
};

use crate::{
    failure::{Failure, Outcome},
    member::Member,
    run::Run,
};

/// The items of one stream for each target of a [`Group`](crate::Group), with the names of their
/// targets, as they arrive. Created by [`Group::streams`](crate::Group::streams).
///
/// # Cancel safety
///
/// No item is lost when a future of [`StreamExt::next`](futures::StreamExt::next) is dropped.
/// Dropping it drops the streams of all targets.
#[must_use = "nothing runs unless it is polled"]
pub struct Streams<'a, T: Member, V> {
    connecting: Run<'a, T, T>,
    open: Open<'a, T, V>,
    running: SelectAll<BoxStream<'a, Named<T, V>>>,
    are_all_open: bool,
}

type Open<'a, T, V> = Box<dyn FnMut(T) -> BoxStream<'a, Result<V, <T as Member>::Error>> + Send + 'a>;
type Named<T, V> = (<T as Member>::Name, Outcome<V, <T as Member>::Error>);

impl<'a, T: Member, V: Send + 'a> Streams<'a, T, V> {
    pub(crate) fn new(connecting: Run<'a, T, T>, open: Open<'a, T, V>) -> Self {
        Self { connecting, open, running: SelectAll::new(), are_all_open: false }
    }
}

impl<'a, T: Member, V: Send + 'a> Stream for Streams<'a, T, V> {
    type Item = Named<T, V>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.are_all_open {
            match this.connecting.poll_next_unpin(context) {
                Poll::Ready(Some((name, Ok(target)))) => {
                    let items =
                        (this.open)(target).map(move |item| (name.clone(), item.map_err(Failure::Operation)));
                    this.running.push(items.boxed());
                }
                Poll::Ready(Some((name, Err(failure)))) => return Poll::Ready(Some((name, Err(failure)))),
                Poll::Ready(None) => this.are_all_open = true,
                Poll::Pending => break,
            }
        }
        match this.running.poll_next_unpin(context) {
            Poll::Ready(None) if !this.are_all_open => Poll::Pending,
            next => next,
        }
    }
}

/// Nothing in it is pinned.
impl<T: Member, V> Unpin for Streams<'_, T, V> {}

impl<T: Member, V> fmt::Debug for Streams<'_, T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("running", &self.running.len()).finish_non_exhaustive()
    }
}
