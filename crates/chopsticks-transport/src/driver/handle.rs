//! The way to use a connection.

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

/// A connection, for those who use it: cheap to clone and to share between tasks.
///
/// When all handles are gone, and with them all requests, responders and streams, the connection closes as if by
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

    /// Asks the peer for something.
    ///
    /// The request is queued before this returns, and leaves whether or not the [`Request`] is polled. An error, such
    /// as a payload over the limit, is what the request resolves to.
    pub fn request(&self, operation: Operation, format: Format, payload: impl Into<Payload>) -> Request {
        self.request_with(operation, format, payload, RequestOptions::new())
    }

    /// Asks the peer for something, with streams or at a place in the order.
    pub fn request_with(
        &self,
        operation: Operation,
        format: Format,
        payload: impl Into<Payload>,
        options: RequestOptions,
    ) -> Request {
        Request::new(&self.shared, operation, format, payload.into(), options)
    }

    /// Tells the peer something that has no answer, as soon as there is room in the queue.
    ///
    /// It has not left yet when this returns, but what is asked for later with [`Order::AfterNotices`](crate::Order::AfterNotices) follows it.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`], or why the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has sent nothing.
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

    /// Waits for the agent's first word.
    ///
    /// # Errors
    ///
    /// Why the connection ended before it came.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; it can be called again, and returns at once when the word has come.
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

    /// Waits for the controller's first word; for agents.
    ///
    /// # Errors
    ///
    /// Why the connection ended before it came.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; it can be called again, and returns at once when the word has come.
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

    /// Sends the agent's first word, once; for agents, which can send nothing else before.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`] if it does not fit in a frame, or why the connection has ended.
    pub fn send_hello(&self, format: Format, payload: impl Into<Payload>) -> Result<(), TransportError> {
        let mut shared = self.shared.lock();
        shared.check_usable()?;
        shared.connection.send_hello(format, payload.into())?;
        shared.wake_driver();
        Ok(())
    }

    /// Returns what came before the agent's first word: all of it as long as that has not come, then the last 4 KiB.
    pub fn noise(&self) -> Bytes {
        Bytes::copy_from_slice(self.shared.lock().connection.noise())
    }

    /// Asks the peer for a sign of life and returns how long it took.
    ///
    /// # Errors
    ///
    /// Why the connection ended before the answer came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the answer and nothing else.
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

    /// Begins to close: what is queued leaves, then the writer is closed, and when the peer has closed its side the
    /// driver ends.
    ///
    /// Nothing can be asked of the connection from now on, but answers to what has been asked still come. Stream bytes
    /// for which the peer has given no credit are not waited for.
    pub fn close(&self) {
        self.shared.lock().close();
    }

    /// Waits for the end of the connection.
    ///
    /// # Errors
    ///
    /// The cause, unless this side had asked for the end.
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

    /// Tells whether the agent's first word has come.
    pub fn is_established(&self) -> bool {
        self.shared.lock().hello.is_some()
    }

    /// Tells whether nothing can be asked of the connection any more.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().check_usable().is_err()
    }

    /// Returns the cause of the connection's end, if it has ended with one.
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
