//! The handle of a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::now;
use super::request::{Request, RequestOptions};
use super::shared::Shared;
use crate::connection::{Hello, Start};
use crate::error::{TransportError, TransportErrorKind};
use crate::format::Format;
use crate::operation::Operation;
use crate::payload::Payload;

/// A handle to a connection. It is cheap to clone and can be shared between tasks.
///
/// When all handles, requests, responders and streams are dropped, the connection closes as by
/// [`close`](Self::close).
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.lock().add_user();
        Self { shared: Arc::clone(shared) }
    }

    /// Makes a request.
    ///
    /// The request is queued before this returns, and is sent whether or not the [`Request`] is
    /// polled. An error, such as a payload over the limit, is the output of the request.
    pub fn request(&self, operation: Operation, format: Format, payload: impl Into<Payload>) -> Request {
        self.request_with(operation, format, payload, RequestOptions::new())
    }

    /// Makes a request with streams, or with a place in the order.
    pub fn request_with(
        &self,
        operation: Operation,
        format: Format,
        payload: impl Into<Payload>,
        options: RequestOptions,
    ) -> Request {
        Request::new(&self.shared, operation, format, payload.into(), options)
    }

    /// Sends a message that has no answer, as soon as there is room in the queue.
    ///
    /// The message may not have been sent when this returns, but requests that are made later with
    /// [`Order::AfterNotices`](crate::Order::AfterNotices) follow it.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`], or the error that ended the connection.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has sent nothing.
    pub async fn notice(
        &self,
        operation: Operation,
        format: Format,
        payload: impl Into<Payload>,
    ) -> Result<(), TransportError> {
        let mut payload = Some(payload.into());
        let mut waiting = RoomGuard { shared: &self.shared, is_waiting: false };
        loop {
            let changed = self.shared.changed.notified();
            {
                let mut shared = self.shared.lock();
                shared.check_usable()?;
                if shared.has_room() {
                    let payload = payload.take().unwrap_or_default();
                    shared.connection.notice(operation, format, payload)?;
                    shared.wake_driver();
                    return Ok(());
                }
                if !waiting.is_waiting {
                    shared.wait_for_room();
                    waiting.is_waiting = true;
                }
            }
            changed.await;
        }
    }

    /// Waits for the agent's `HELLO`.
    ///
    /// # Errors
    ///
    /// The error if the connection ended before `HELLO` arrived.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe. It can be called again, and returns at once when `HELLO` has
    /// arrived.
    pub async fn hello(&self) -> Result<Hello, TransportError> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let shared = self.shared.lock();
                if let Some(hello) = &shared.hello {
                    return Ok(hello.clone());
                }
                if shared.end.is_some() {
                    return Err(ended(&shared.end));
                }
            }
            changed.await;
        }
    }

    /// Waits for the controller's `START`; for agents.
    ///
    /// # Errors
    ///
    /// The error if the connection ended before `START` arrived.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe. It can be called again, and returns at once when `START` has
    /// arrived.
    pub async fn started(&self) -> Result<Start, TransportError> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let shared = self.shared.lock();
                if let Some(start) = &shared.start {
                    return Ok(start.clone());
                }
                if shared.end.is_some() {
                    return Err(ended(&shared.end));
                }
            }
            changed.await;
        }
    }

    /// Sends the agent's `HELLO`, once. An agent can send nothing else before it.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`] if it does not fit in a frame, or the error that
    /// ended the connection.
    pub fn send_hello(&self, format: Format, payload: impl Into<Payload>) -> Result<(), TransportError> {
        let mut shared = self.shared.lock();
        shared.check_usable()?;
        shared.connection.send_hello(format, payload.into())?;
        shared.wake_driver();
        Ok(())
    }

    /// Returns the bytes that came before the agent's `HELLO`: all of them until it has arrived,
    /// and the last 4 KiB after that.
    pub fn noise(&self) -> Bytes {
        Bytes::copy_from_slice(self.shared.lock().connection.noise())
    }

    /// Returns how many requests and notices of the peer have arrived so far, taken from
    /// [`Incoming`](crate::Incoming) or not.
    ///
    /// After a reply has come, this counts all that the peer had sent before it.
    pub fn arrived(&self) -> u64 {
        self.shared.lock().arrived
    }

    /// Sends a ping and returns how long the answer took.
    ///
    /// # Errors
    ///
    /// The error if the connection ended before the answer arrived.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the answer is lost.
    pub async fn ping(&self) -> Result<Duration, TransportError> {
        let (token, sent) = {
            let mut shared = self.shared.lock();
            shared.check_usable()?;
            shared.pings_waiting += 1;
            let token = shared.connection.ping();
            shared.wake_driver();
            (token, now())
        };
        let _guard = PingGuard { shared: &self.shared, token };
        loop {
            let changed = self.shared.changed.notified();
            {
                let shared = self.shared.lock();
                if let Some((_, came)) = shared.pongs.iter().find(|(pong, _)| *pong == token) {
                    return Ok(came.duration_since(sent));
                }
                if shared.end.is_some() {
                    return Err(ended(&shared.end));
                }
            }
            changed.await;
        }
    }

    /// Begins to close the connection. The queued bytes are sent, then the writer is closed, and
    /// the task ends when the peer has closed its side.
    ///
    /// No new requests can be made, but answers to earlier requests still arrive. Stream bytes for
    /// which the peer has given no credit are not waited for.
    pub fn close(&self) {
        self.shared.lock().close();
    }

    /// Waits for the end of the connection.
    ///
    /// # Errors
    ///
    /// The error that ended the connection, unless this side has closed it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn closed(&self) -> Result<(), TransportError> {
        loop {
            let changed = self.shared.changed.notified();
            if let Some(end) = &self.shared.lock().end {
                return end.clone();
            }
            changed.await;
        }
    }

    /// Returns whether the agent's `HELLO` has arrived.
    pub fn is_established(&self) -> bool {
        self.shared.lock().hello.is_some()
    }

    /// Returns whether the connection no longer accepts requests.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().check_usable().is_err()
    }

    /// Returns the error that ended the connection, if any.
    pub fn error(&self) -> Option<TransportError> {
        self.shared.lock().end.clone().and_then(Result::err)
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(&self.shared)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().remove_user();
    }
}

fn ended(end: &Option<Result<(), TransportError>>) -> TransportError {
    let error = end.as_ref().and_then(|end| end.clone().err());
    error.unwrap_or_else(|| TransportErrorKind::Closed.into())
}

struct RoomGuard<'a> {
    shared: &'a Shared,
    is_waiting: bool,
}

impl Drop for RoomGuard<'_> {
    fn drop(&mut self) {
        if self.is_waiting {
            self.shared.lock().stop_waiting_for_room();
        }
    }
}

struct PingGuard<'a> {
    shared: &'a Shared,
    token: u64,
}

impl Drop for PingGuard<'_> {
    fn drop(&mut self) {
        let mut shared = self.shared.lock();
        shared.pings_waiting -= 1;
        let token = self.token;
        shared.pongs.retain(|(pong, _)| *pong != token);
        if shared.pings_waiting == 0 {
            shared.pongs.clear();
        }
    }
}
