//! A request of this side.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::now;
use super::shared::{Shared, Slot, State};
use super::stream::{StreamReader, StreamWriter};
use crate::connection::{Answer, Order};
use crate::error::{TransportError, TransportErrorKind};
use crate::format::Format;
use crate::operation::Operation;
use crate::payload::Payload;
use crate::request::RequestId;

/// A request that was made: a future of its answer.
///
/// Dropping it before the answer has arrived cancels the request, at once and without waiting. The
/// peer is notified. If no part of the request has been sent, nothing is sent at all.
#[derive(Debug)]
#[must_use = "dropping a request cancels it"]
pub struct Request {
    shared: Arc<Shared>,
    state: RequestState,
    /// Whether there is an open stream from the peer that has not been taken.
    has_reader: bool,
    has_writer: bool,
}

#[derive(Debug)]
enum RequestState {
    Open(RequestId),
    /// The request could not be made.
    Refused(TransportError),
    Done,
}

impl Request {
    pub(super) fn new(
        shared: &Arc<Shared>,
        operation: Operation,
        format: Format,
        payload: Payload,
        options: RequestOptions,
    ) -> Self {
        let mut state = shared.lock();
        state.add_user();
        // The guard exists before the request does, so nothing can come between the two.
        let (has_reader, has_writer) = (options.has_reader, options.has_writer);
        let mut request =
            Self { shared: Arc::clone(shared), state: RequestState::Done, has_reader, has_writer };
        request.state = match submit(&mut state, operation, format, payload, options) {
            Ok(id) => RequestState::Open(id),
            Err(error) => RequestState::Refused(error),
        };
        drop(state);
        request
    }

    /// Returns the number of the request, or `None` if it could not be made or its answer has been
    /// taken.
    pub fn id(&self) -> Option<RequestId> {
        match self.state {
            RequestState::Open(id) => Some(id),
            RequestState::Refused(_) | RequestState::Done => None,
        }
    }

    /// Returns the stream from the peer, which [`RequestOptions::with_reader`] has opened. It can be taken once, and
    /// before the answer is taken.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamClosed`] if it was not opened or was taken before, or the error
    /// if the request could not be made.
    pub fn reader(&mut self) -> Result<StreamReader, TransportError> {
        let id = self.open_id()?;
        if !mem::take(&mut self.has_reader) {
            return Err(TransportError::of_request(id, TransportErrorKind::StreamClosed));
        }
        Ok(StreamReader::new(&self.shared, id))
    }

    /// Returns the stream to the peer, which [`RequestOptions::with_writer`] has opened. It can be taken once, and
    /// before the answer is taken.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader).
    pub fn writer(&mut self) -> Result<StreamWriter, TransportError> {
        let id = self.open_id()?;
        if !mem::take(&mut self.has_writer) {
            return Err(TransportError::of_request(id, TransportErrorKind::StreamClosed));
        }
        Ok(StreamWriter::new(&self.shared, id))
    }

    /// Drops the streams that have not been taken.
    fn drop_streams(&mut self) {
        drop((self.reader(), self.writer()));
    }

    fn open_id(&self) -> Result<RequestId, TransportError> {
        match &self.state {
            RequestState::Open(id) => Ok(*id),
            RequestState::Refused(error) => Err(error.clone()),
            RequestState::Done => Err(TransportErrorKind::StreamClosed.into()),
        }
    }
}

impl Future for Request {
    type Output = Result<Answer, TransportError>;

    /// # Panics
    ///
    /// If polled after the answer has been taken.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let outcome = match &this.state {
            RequestState::Open(id) => {
                let id = *id;
                let mut shared = this.shared.lock();
                let Some(slot) = shared.slots.get_mut(&id) else {
                    return Poll::Ready(Err(TransportErrorKind::Closed.into()));
                };
                let Some(outcome) = slot.outcome.take() else {
                    match &mut slot.main {
                        Some(waker) => waker.clone_from(context.waker()),
                        none => *none = Some(context.waker().clone()),
                    }
                    return Poll::Pending;
                };
                slot.has_main = false;
                shared.release(id);
                drop(shared);
                this.drop_streams();
                outcome
            }
            RequestState::Refused(error) => Err(error.clone()),
            RequestState::Done => panic!("a request was polled after its answer was taken"),
        };
        this.state = RequestState::Done;
        Poll::Ready(outcome)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut shared = shared.lock();
        if let RequestState::Open(id) = self.state {
            let mut wakers = Vec::new();
            if let Some(slot) = shared.slots.get_mut(&id) {
                slot.has_main = false;
                // Streams go on after the answer, whether or not somebody looked at it.
                if slot.outcome.is_none() {
                    wakers.extend([slot.reader.take(), slot.writer.take()].into_iter().flatten());
                    shared.connection.cancel(now(), id);
                    shared.wake_driver();
                }
            }
            shared.release(id);
            drop(shared);
            wakers.into_iter().for_each(Waker::wake);
            self.drop_streams();
            shared = self.shared.lock();
        }
        shared.remove_user();
    }
}

fn submit(
    state: &mut State,
    operation: Operation,
    format: Format,
    payload: Payload,
    options: RequestOptions,
) -> Result<RequestId, TransportError> {
    state.check_usable()?;
    let id = state.connection.request(operation, format, payload, options.order)?;
    if options.has_reader {
        state.connection.open_reader(id)?;
        state.connection.presume_allowance(id, options.allowance);
    }
    if options.has_writer {
        state.connection.open_writer(id)?;
        state.connection.presume_credit(id, options.credit);
    }
    let RequestOptions { has_reader, has_writer, .. } = options;
    state.slots.insert(id, Slot { has_main: true, has_reader, has_writer, ..Slot::default() });
    state.wake_driver();
    Ok(id)
}

/// The options of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    order: Order,
    has_reader: bool,
    has_writer: bool,
    credit: u32,
    allowance: u32,
}

impl RequestOptions {
    /// Creates options without streams and without a place in the order.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when the request may be sent.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Opens the stream from the peer: [`Request::reader`].
    #[must_use]
    pub fn with_reader(mut self) -> Self {
        self.has_reader = true;
        self
    }

    /// Opens the stream to the peer: [`Request::writer`].
    #[must_use]
    pub fn with_writer(mut self) -> Self {
        self.has_writer = true;
        self
    }

    /// Sets how many bytes of the stream from the peer may come before the peer gets any credit, as
    /// the operation defines it. They are a part of the window. Default: 0.
    #[must_use]
    pub fn initial_allowance(mut self, bytes: u32) -> Self {
        self.allowance = bytes;
        self
    }

    /// Sets how many bytes of the stream to the peer may be sent before the peer gives any credit,
    /// as the operation defines it. Default: 0.
    #[must_use]
    pub fn initial_credit(mut self, bytes: u32) -> Self {
        self.credit = bytes;
        self
    }
}
