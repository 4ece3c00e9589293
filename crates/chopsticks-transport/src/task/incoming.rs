//! Requests and notices from the peer.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::shared::Shared;
use super::stream::{StreamReader, StreamWriter};
use crate::connection::{AnswerKind, Message, Refusal};
use crate::error::TransportError;
use crate::format::Format;
use crate::operation::Operation;
use crate::payload::Payload;
use crate::request::RequestId;

/// The requests and notices of the peer, in the order in which they arrive.
///
/// It must be read as long as the peer may send any: their number is limited, and exceeding the
/// limit ends the connection. If it is dropped, requests are refused and notices are dropped.
#[derive(Debug)]
pub struct Incoming {
    pub(super) shared: Arc<Shared>,
}

impl Incoming {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Returns the next request or notice, or `None` at the end of the connection.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<IncomingMessage> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Polls for the next request or notice.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<IncomingMessage>> {
        let mut shared = self.shared.lock();
        match shared.take_arrival() {
            Some(Arrival::Notice(message)) => Poll::Ready(Some(IncomingMessage::Notice(message))),
            Some(Arrival::Request(id, message)) => {
                shared.add_user();
                let responder = Responder { shared: Arc::clone(&self.shared), id };
                let Message { operation, format, payload } = message;
                let request = IncomingRequest { operation, format, payload, responder };
                Poll::Ready(Some(IncomingMessage::Request(request)))
            }
            None if shared.end.is_some() => Poll::Ready(None),
            None => {
                shared.incoming = Some(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.shared.lock().drop_incoming();
    }
}

/// An entry that waits to be taken.
#[derive(Debug)]
pub(super) enum Arrival {
    Notice(Message),
    Request(RequestId, Message),
}

/// A request or notice of the peer.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "messages of the layer above are answered or not")]
pub enum IncomingMessage {
    /// A message without an answer.
    Notice(Message),
    /// A message that must be answered.
    Request(IncomingRequest),
}

/// A request of the peer.
#[derive(Debug)]
#[non_exhaustive]
pub struct IncomingRequest {
    /// The operation.
    pub operation: Operation,
    /// The format of the payload.
    pub format: Format,
    /// The content.
    pub payload: Bytes,
    /// The means to answer.
    pub responder: Responder,
}

/// Answers one request of the peer.
///
/// Dropping it without an answer refuses the request, so that the peer never waits in vain.
#[derive(Debug)]
pub struct Responder {
    shared: Arc<Shared>,
    id: RequestId,
}

impl Responder {
    /// Returns the number of the request.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Sends the result.
    ///
    /// The reply is queued before this returns. If the peer has cancelled the request, the
    /// transport answers that instead.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::MessageTooLarge`](crate::TransportErrorKind::MessageTooLarge), in
    /// which case the request is refused for this reason; or the error that ended the connection.
    pub fn reply(self, format: Format, payload: impl Into<Payload>) -> Result<(), TransportError> {
        self.answer(AnswerKind::Reply, format, payload.into())
    }

    /// Sends a failure, which ends the streams of the request.
    ///
    /// # Errors
    ///
    /// As [`reply`](Self::reply).
    pub fn fail(self, format: Format, payload: impl Into<Payload>) -> Result<(), TransportError> {
        self.answer(AnswerKind::Fail, format, payload.into())
    }

    /// Returns whether the peer has cancelled the request.
    pub fn is_cancelled(&self) -> bool {
        self.shared.lock().slots.get(&self.id).is_none_or(|slot| slot.is_cancelled)
    }

    /// Waits until the peer has cancelled the request, or the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn cancelled(&self) {
        poll_fn(|context| {
            let mut shared = self.shared.lock();
            match shared.slots.get_mut(&self.id) {
                Some(slot) if !slot.is_cancelled => {
                    slot.main = Some(context.waker().clone());
                    Poll::Pending
                }
                Some(_) | None => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Returns the stream from the peer, which may begin to send now. It can be taken once.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamClosed`](crate::TransportErrorKind::StreamClosed) if it was taken or the request
    /// was cancelled.
    pub fn reader(&mut self) -> Result<StreamReader, TransportError> {
        StreamReader::open(&self.shared, self.id)
    }

    /// Returns the stream to the peer. It can be taken once.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader).
    pub fn writer(&mut self) -> Result<StreamWriter, TransportError> {
        StreamWriter::open(&self.shared, self.id)
    }

    fn answer(self, kind: AnswerKind, format: Format, payload: Payload) -> Result<(), TransportError> {
        let mut shared = self.shared.lock();
        if let Some(end) = &shared.end {
            return end.clone();
        }
        let result = shared.connection.reply(self.id, kind, format, payload);
        if result.as_ref().is_err_and(TransportError::is_too_large) {
            shared.connection.refuse(self.id, Refusal::TooLarge);
        }
        shared.wake_driver();
        result
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let mut shared = self.shared.lock();
        // This does nothing if it was answered.
        shared.connection.refuse(self.id, Refusal::Unanswered);
        if let Some(slot) = shared.slots.get_mut(&self.id) {
            slot.has_main = false;
        }
        shared.release(self.id);
        shared.wake_driver();
        shared.remove_user();
    }
}
