//! The future of a call, which is a builder of its options until it begins.

use std::{error::Error as StdError, fmt, time::Duration};

use futures::{Stream, future::BoxFuture};
use serde::Serialize;

use crate::{
    call::Call,
    error::Error,
    pending::{Pending, pending},
};

/// A call on a tunnel, made by [`Tunnel::call`](crate::Tunnel::call). Await it for the result, after
/// setting further options.
///
/// It begins when it is first polled. Options that are set after that have no effect.
///
/// ```no_run
/// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
/// use std::time::Duration;
///
/// let number: i64 = tunnel.call("builtins:int", ("ff",)).kwarg("base", 16).await?;
/// let call = tunnel.call::<f64>("report:load", ()).timeout(Duration::from_secs(5));
/// let load = call.await?;
/// # let _ = (number, load);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping it cancels the call: see [`Tunnel::call`](crate::Tunnel::call).
#[must_use = "nothing is called unless the call is awaited or polled"]
pub struct TunnelCall<'a, R>(Pending<'a, Call, R>);

pending! {
    TunnelCall<R>, Call:
    arg(value: impl Serialize);
    kwarg(name: impl Into<String>, value: impl Serialize);
    imports(modules: impl IntoIterator<Item = impl fmt::Display>);
    timeout(timeout: Duration);
}

impl<'a, R> TunnelCall<'a, R> {
    pub(crate) fn new(
        call: Call,
        begin: impl FnOnce(Call) -> BoxFuture<'a, Result<R, Error>> + Send + 'a,
    ) -> Self {
        Self(Pending::new(call, begin))
    }

    /// As [`Call::input`].
    pub fn input<S>(self, items: S) -> Self
    where
        S: Stream<Item: Serialize> + Send + 'static,
    {
        Self(self.0.change(|call| call.input(items)))
    }

    /// As [`Call::try_input`].
    pub fn try_input<S, T, E>(self, items: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: StdError,
    {
        Self(self.0.change(|call| call.try_input(items)))
    }
}
