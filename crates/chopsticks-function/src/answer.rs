//! The arguments and the result of a function as bytes.

use std::{
    any::type_name,
    fmt,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use chopsticks_pencode::marshal;
use chopsticks_protocol::CallFailure;
use futures_core::Stream;
use serde::{Serialize, de::DeserializeOwned};

use crate::call::is_cancelled;

/// The result of a function.
pub type Answer = Result<Success, CallFailure>;

/// A value that a function returned, encoded.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has a format for each")]
pub enum Success {
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// Any other value, in `marshal`.
    Value(Vec<u8>),
}

/// Encodes a value.
pub fn value(value: &impl Serialize) -> Answer {
    let encoded = marshal::to_vec_exact(value);
    encoded.map(Success::Value).map_err(|error| failure("result", "", error.to_string()))
}

/// Encodes bytes.
pub fn bytes(value: Vec<u8>) -> Answer {
    Ok(Success::Bytes(value))
}

/// Decodes the arguments.
pub fn arguments<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Answer> {
    marshal::from_slice(bytes).map_err(|error| Err(failure("argument", "", error.to_string())))
}

/// Returns the answer of a call that has ended because it was cancelled.
pub fn cancelled() -> Answer {
    Err(failure("cancelled", "", "the call was cancelled".to_owned()))
}

pub(crate) fn failure(kind: &str, r#type: &str, message: String) -> CallFailure {
    let (kind, r#type) = (kind.to_owned(), r#type.to_owned());
    CallFailure { kind, r#type, message, traceback: String::new(), value: None }
}

/// What is `Ok` in a result whose parameters are hidden.
pub trait Fallible {
    /// The type in `Ok`.
    type Ok;
}

impl<T, E> Fallible for Result<T, E> {
    type Ok = T;
}

/// An error that a function returned.
///
/// Of several traits with a method `answer`, the compiler takes the one that needs the fewest
/// references. So the code uses the best trait that the error's type implements, and requires none
/// of them.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the code that a macro writes creates it")]
pub struct Returned<'a, E>(pub &'a E);

/// For errors that can be sent as a value.
pub trait BySerialize {
    /// Returns the text and the value.
    fn answer(&self) -> Answer;
}

/// For errors that have a text for people.
pub trait ByDisplay {
    /// Returns the text, with the chain of causes of an `anyhow::Error`.
    fn answer(&self) -> Answer;
}

/// For all other errors.
pub trait ByDebug {
    /// Returns what `{:?}` shows.
    fn answer(&self) -> Answer;
}

impl<E: Serialize + fmt::Display + fmt::Debug> BySerialize for &&Returned<'_, E> {
    fn answer(&self) -> Answer {
        raised(self.0, format!("{:#}", self.0), format!("{:?}", self.0), marshal::to_vec_exact(self.0).ok())
    }
}

impl<E: fmt::Display + fmt::Debug> ByDisplay for &Returned<'_, E> {
    fn answer(&self) -> Answer {
        raised(self.0, format!("{:#}", self.0), format!("{:?}", self.0), None)
    }
}

impl<E: fmt::Debug> ByDebug for Returned<'_, E> {
    fn answer(&self) -> Answer {
        raised(self.0, format!("{:?}", self.0), String::new(), None)
    }
}

fn raised<E>(_: &E, message: String, traceback: String, value: Option<Vec<u8>>) -> Answer {
    Err(CallFailure { traceback, value, ..failure("raised", type_name::<E>(), message) })
}

/// Runs a future to its end, on this thread. Returns nothing if the call was cancelled while the
/// future was waiting: it is dropped then.
pub fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        if is_cancelled() {
            return None;
        }
        thread::park();
    }
}

/// Takes the items of a function while it runs.
pub trait Sink {
    /// Sends an item, which may have to wait until there is room for it. Returns whether more are
    /// wanted.
    ///
    /// # Errors
    ///
    /// The failure that ends the call if the item is too large to be sent.
    fn give(&mut self, item: Success) -> Result<bool, CallFailure>;
}

/// Gives the items of an iterator to a sink, until either ends. `encode` returns the item, or the
/// failure that ends the call.
pub fn items<I: IntoIterator>(items: I, sink: &mut dyn Sink, encode: impl Fn(I::Item) -> Answer) -> Answer {
    for item in items {
        if !sink.give(encode(item)?)? {
            return cancelled();
        }
    }
    Ok(Success::nothing())
}

/// As [`items`], for a stream. It is dropped where it waits if the call is cancelled.
pub fn items_of_stream<S: Stream>(
    stream: S,
    sink: &mut dyn Sink,
    encode: impl Fn(S::Item) -> Answer,
) -> Answer {
    let mut stream = pin!(stream);
    loop {
        let Some(next) = block_on(poll_fn(|context| stream.as_mut().poll_next(context))) else {
            return cancelled();
        };
        let Some(item) = next else { return Ok(Success::nothing()) };
        if !sink.give(encode(item)?)? {
            return cancelled();
        }
    }
}

impl Success {
    /// What follows the last item.
    fn nothing() -> Self {
        Self::Value(b"N".to_vec())
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests;
