//! Operations whose options can be changed until they begin.

use std::{
    fmt, mem,
    task::{Context, Poll},
};

use futures::future::BoxFuture;

use crate::error::Error;

/// An operation with options `O` and the result `T`, which begins when it is first polled.
pub(crate) struct Pending<'a, O, T>(State<'a, O, T>);

enum State<'a, O, T> {
    Planned(O, Begin<'a, O, T>),
    Begun(BoxFuture<'a, Result<T, Error>>),
    /// Between the two.
    Beginning,
}

type Begin<'a, O, T> = Box<dyn FnOnce(O) -> BoxFuture<'a, Result<T, Error>> + Send + 'a>;

impl<'a, O, T> Pending<'a, O, T> {
    pub(crate) fn new(
        options: O,
        begin: impl FnOnce(O) -> BoxFuture<'a, Result<T, Error>> + Send + 'a,
    ) -> Self {
        Self(State::Planned(options, Box::new(begin)))
    }

    /// Changes the options, unless the operation has begun.
    pub(crate) fn change(self, change: impl FnOnce(O) -> O) -> Self {
        match self.0 {
            State::Planned(options, begin) => Self(State::Planned(change(options), begin)),
            begun => Self(begun),
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, Error>> {
        if let State::Planned(..) = self.0
            && let State::Planned(options, begin) = mem::replace(&mut self.0, State::Beginning)
        {
            self.0 = State::Begun(begin(options));
        }
        match &mut self.0 {
            State::Begun(future) => future.as_mut().poll(context),
            State::Beginning | State::Planned(..) => Poll::Pending,
        }
    }
}

impl<O: fmt::Debug, T> fmt::Debug for Pending<'_, O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Planned(options, _) => options.fmt(f),
            State::Begun(_) | State::Beginning => f.write_str("(begun)"),
        }
    }
}

/// Implements what all futures of pending operations have, and setters that are those of the options.
macro_rules! pending {
    ($name:ident<$result:ident>, $options:ident: $($setter:ident($($argument:ident: $type:ty),*);)*) => {
        impl<'a, $result> $name<'a, $result> {
            $(
                #[doc = concat!("As [`", stringify!($options), "::", stringify!($setter), "`].")]
                pub fn $setter(self, $($argument: $type),*) -> Self {
                    Self(self.0.change(|options| options.$setter($($argument),*)))
                }
            )*
        }

        impl<$result> Future for $name<'_, $result> {
            type Output = Result<$result, Error>;

            fn poll(
                self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Self::Output> {
                self.get_mut().0.poll(context)
            }
        }

        impl<$result> std::fmt::Debug for $name<'_, $result> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }
    };
}
pub(crate) use pending;
