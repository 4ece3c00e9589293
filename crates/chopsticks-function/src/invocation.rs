//! A function with its arguments.

use std::{fmt, time::Duration};

use bytes::Bytes;
use chopsticks_pencode::marshal::{self, DecodeError, EncodeError};
use chopsticks_protocol::Run;
use serde::{
    Serialize,
    de::{DeserializeOwned, Error as _},
};

/// A function of this program with its arguments, whose result is a `T`.
///
/// The `with` of a function creates it: see [`function`](macro@crate::function). It encodes the
/// arguments. If they cannot be encoded, the call fails, and not `with`.
///
/// An invocation is cheap to clone, so one can be sent to many hosts.
pub struct Invocation<T> {
    name: &'static str,
    signature: u64,
    arguments: Result<Bytes, EncodeError>,
    timeout: Option<Duration>,
    read: fn(Encoded<'_>) -> Result<T, DecodeError>,
}

/// The result of a function, as an agent sends it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has a format for each")]
pub enum Encoded<'a> {
    /// The bytes themselves, of a function that returns a `Vec<u8>`.
    Bytes(&'a [u8]),
    /// Any other value, in `marshal`.
    Value(&'a [u8]),
}

impl<T> Invocation<T> {
    /// Returns the full name of the function: its module's path, `::` and its own name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sets the deadline. When it passes, the call is cancelled on the host as if its future were
    /// dropped.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Returns the deadline, if one was set.
    pub fn deadline(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns the message that runs the function. The arguments are shared, not copied.
    ///
    /// # Errors
    ///
    /// The error of an argument that cannot be sent.
    pub fn message(&self) -> Result<Run, EncodeError> {
        let arguments = self.arguments.clone()?;
        Ok(Run { signature: self.signature, name: self.name.to_owned(), arguments })
    }

    /// Reads the result.
    ///
    /// # Errors
    ///
    /// The error if the agent has sent anything but a `T`.
    pub fn read(&self, result: Encoded<'_>) -> Result<T, DecodeError> {
        (self.read)(result)
    }
}

/// A function of this program with its arguments, which yields items that are `T`s.
///
/// The `with` of a function that returns an `impl Iterator` or an `impl Stream` creates it: see
/// [`function`](macro@crate::function). In all else it is as an [`Invocation`].
pub struct StreamInvocation<T> {
    invocation: Invocation<T>,
    item_timeout: Option<Duration>,
}

impl<T> StreamInvocation<T> {
    /// As [`Invocation::name`].
    pub fn name(&self) -> &'static str {
        self.invocation.name
    }

    /// Sets how long all of the stream may take. When the time has passed, the call is cancelled on
    /// the host as if the stream were dropped.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.invocation.timeout = Some(timeout);
        self
    }

    /// Sets how long each item may take, from when it is polled for.
    #[must_use]
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.item_timeout = Some(timeout);
        self
    }

    /// Returns how long all of the stream may take, if that was set.
    pub fn deadline(&self) -> Option<Duration> {
        self.invocation.timeout
    }

    /// Returns how long each item may take, if that was set.
    pub fn item_deadline(&self) -> Option<Duration> {
        self.item_timeout
    }

    /// As [`Invocation::message`].
    ///
    /// # Errors
    ///
    /// The error of an argument that cannot be sent.
    pub fn message(&self) -> Result<Run, EncodeError> {
        self.invocation.message()
    }

    /// Reads an item.
    ///
    /// # Errors
    ///
    /// The error if the agent has sent anything but a `T`.
    pub fn read(&self, item: Encoded<'_>) -> Result<T, DecodeError> {
        self.invocation.read(item)
    }
}

impl<T> Clone for StreamInvocation<T> {
    fn clone(&self) -> Self {
        Self { invocation: self.invocation.clone(), ..*self }
    }
}

/// Shows the name, but not the arguments.
impl<T> fmt::Debug for StreamInvocation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StreamInvocation");
        shown.field("name", &self.name()).field("timeout", &self.deadline());
        shown.field("item_timeout", &self.item_timeout).finish_non_exhaustive()
    }
}

impl<T> Clone for Invocation<T> {
    fn clone(&self) -> Self {
        Self { arguments: self.arguments.clone(), ..*self }
    }
}

/// Shows the name, but not the arguments.
impl<T> fmt::Debug for Invocation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Invocation");
        shown.field("name", &self.name).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Returns an argument as it is. This is where the compiler reports one that cannot be sent.
pub fn sent<T: Serialize + ?Sized>(argument: &T) -> &T {
    argument
}

/// Creates an invocation. `arguments` is a tuple.
pub fn invocation<T>(
    name: &'static str,
    signature: u64,
    arguments: &impl Serialize,
    read: fn(Encoded<'_>) -> Result<T, DecodeError>,
) -> Invocation<T> {
    let arguments = marshal::to_vec_exact(arguments).map(Bytes::from);
    Invocation { name, signature, arguments, timeout: None, read }
}

/// Creates an invocation of a function that yields items. `arguments` is a tuple.
pub fn stream_invocation<T>(
    name: &'static str,
    signature: u64,
    arguments: &impl Serialize,
    read: fn(Encoded<'_>) -> Result<T, DecodeError>,
) -> StreamInvocation<T> {
    StreamInvocation { invocation: invocation(name, signature, arguments, read), item_timeout: None }
}

/// Reads any value.
pub fn read_value<T: DeserializeOwned>(result: Encoded<'_>) -> Result<T, DecodeError> {
    match result {
        Encoded::Value(value) => marshal::from_slice(value),
        Encoded::Bytes(_) => Err(DecodeError::custom("bytes where another value is expected")),
    }
}

/// Reads bytes.
pub fn read_bytes(result: Encoded<'_>) -> Result<Vec<u8>, DecodeError> {
    match result {
        Encoded::Bytes(bytes) => Ok(bytes.to_vec()),
        Encoded::Value(_) => Err(DecodeError::custom("another value where bytes are expected")),
    }
}
