//! A request of this side.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::now;
use super::shared::{Shared, Slot, State};
use super::stream::{StreamReader, StreamWriter};
use crate::connection::{Order, Reply};
use crate::error::{TransportError, TransportErrorKind};
use crate::format::Format;
use crate::operation::Operation;
use crate::payload::Payload;
use crate::request::RequestId;

/// A request that has been made: a future of its answer.
///
/// Dropping it before the answer has come cancels the request, at once and without waiting for anything: the peer
/// is told, or if no part of the request has left, nothing is sent at all.
#[derive(Debug)]
#[must_use = "dropping a request cancels it"]
pub struct Request {
    shared: Arc<Shared>,
    state: RequestState,
}

#[derive(Debug)]
enum RequestState {
    Open(RequestId),
    /// It could not be made.
    Refused(TransportError),
    Done,
}

impl Request {
    pub(super) fn new(
        shared: &Arc<Shared>,
        operation: Operation,
        format: Format,
        payload: Payload,
        order: Order,
    ) -> Self {
        let mut state = shared.lock();
        state.add_user();
        // The guard exists before the request does, so nothing can come between the two.
        let mut request = Self { shared: Arc::clone(shared), state: RequestState::Done };
        request.state = match submit(&mut state, operation, format, payload, order) {
            Ok(id) => RequestState::Open(id),
            Err(error) => RequestState::Refused(error),
        };
        drop(state);
        request
    }

    /// Returns the number of the request, unless it could not be made or its answer has been taken.
    pub fn id(&self) -> Option<RequestId> {
        match self.state {
            RequestState::Open(id) => Some(id),
            RequestState::Refused(_) | RequestState::Done => None,
        }
    }

    /// Returns the stream from the peer, whose first bytes may come from now on. It can be taken once, and before the
    /// answer has been taken.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamClosed`] if it is too late or was taken, or why the request could not be made.
    pub fn reader(&mut self) -> Result<StreamReader, TransportError> {
        StreamReader::open(&self.shared, self.open_id()?)
    }

    /// Returns the stream to the peer. It can be taken once, and before the answer has been taken.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader).
    pub fn writer(&mut self) -> Result<StreamWriter, TransportError> {
        StreamWriter::open(&self.shared, self.open_id()?)
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
    type Output = Result<Reply, TransportError>;

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
        let mut shared = self.shared.lock();
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
            wakers.into_iter().for_each(std::task::Waker::wake);
        }
        shared.remove_user();
    }
}

fn submit(
    state: &mut State,
    operation: Operation,
    format: Format,
    payload: Payload,
    order: Order,
) -> Result<RequestId, TransportError> {
    state.check_usable()?;
    let id = state.connection.request(operation, format, payload, order)?;
    state.slots.insert(id, Slot { has_main: true, ..Slot::default() });
    state.wake_driver();
    Ok(id)
}
