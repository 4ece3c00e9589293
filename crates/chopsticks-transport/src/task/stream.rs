//! The byte streams of a request.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::shared::Shared;
use crate::connection::StreamRead;
use crate::error::{TransportError, TransportErrorKind};
use crate::request::RequestId;

/// The bytes that the peer sends for a request.
///
/// The peer may have one window of bytes under way, and reading lets it send more. Dropping the
/// reader before the end asks the peer to stop.
#[derive(Debug)]
pub struct StreamReader {
    shared: Arc<Shared>,
    id: RequestId,
    chunk: Bytes,
    is_ended: bool,
}

impl StreamReader {
    pub(super) fn open(shared: &Arc<Shared>, id: RequestId) -> Result<Self, TransportError> {
        let mut state = shared.lock();
        if state.end.is_some() {
            state.check_usable()?;
        }
        state.connection.open_reader(id)?;
        if let Some(slot) = state.slots.get_mut(&id) {
            slot.has_reader = true;
        }
        state.wake_driver();
        drop(state);
        Ok(Self::new(shared, id))
    }

    /// Creates one half of an open stream.
    pub(super) fn new(shared: &Arc<Shared>, id: RequestId) -> Self {
        shared.lock().add_user();
        Self { shared: Arc::clone(shared), id, chunk: Bytes::new(), is_ended: false }
    }

    /// Returns the next bytes, however many there are, without a copy, or `None` at the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamAborted`] if the peer broke off the stream,
    /// [`TransportErrorKind::StreamClosed`] if the request failed or was cancelled, or the error
    /// that ended the connection.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: nothing is lost if the future is dropped.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        poll_fn(|context| self.poll_chunk(context)).await
    }

    /// Polls for the next bytes.
    ///
    /// # Errors
    ///
    /// As [`chunk`](Self::chunk).
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        if !self.chunk.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.chunk))));
        }
        if self.is_ended {
            return Poll::Ready(Ok(None));
        }
        let mut shared = self.shared.lock();
        let read = shared.connection.stream_read(self.id, usize::MAX);
        Poll::Ready(match read {
            Ok(StreamRead::Data(bytes)) => {
                if shared.connection.has_output() {
                    shared.wake_driver();
                }
                Ok(Some(bytes))
            }
            Ok(StreamRead::End) => {
                self.is_ended = true;
                Ok(None)
            }
            Ok(StreamRead::Pending) => {
                if let Some(Err(error)) = &shared.end {
                    return Poll::Ready(Err(error.clone()));
                }
                if shared.end.is_some() {
                    return Poll::Ready(Err(TransportErrorKind::Closed.into()));
                }
                if let Some(slot) = shared.slots.get_mut(&self.id) {
                    slot.reader = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
            Err(error) => Err(error),
        })
    }
}

impl AsyncRead for StreamReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(mut chunk) = ready!(this.poll_chunk(context))? {
            let len = chunk.len().min(buffer.remaining());
            buffer.put_slice(&chunk[..len]);
            chunk.advance(len);
            this.chunk = chunk;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        let mut shared = self.shared.lock();
        shared.connection.stream_reset(self.id, 0);
        if let Some(slot) = shared.slots.get_mut(&self.id) {
            slot.has_reader = false;
        }
        shared.release(self.id);
        shared.wake_driver();
        shared.remove_user();
    }
}

/// The bytes that this side sends for a request.
///
/// They are sent as the peer gives credit. Dropping the writer without [`finish`](Self::finish)
/// breaks off the stream, so that the peer does not mistake a part for the whole.
#[derive(Debug)]
pub struct StreamWriter {
    shared: Arc<Shared>,
    id: RequestId,
    is_finished: bool,
}

impl StreamWriter {
    pub(super) fn open(shared: &Arc<Shared>, id: RequestId) -> Result<Self, TransportError> {
        let mut state = shared.lock();
        if state.end.is_some() {
            state.check_usable()?;
        }
        state.connection.open_writer(id)?;
        if let Some(slot) = state.slots.get_mut(&id) {
            slot.has_writer = true;
        }
        drop(state);
        Ok(Self::new(shared, id))
    }

    /// Creates one half of an open stream.
    pub(super) fn new(shared: &Arc<Shared>, id: RequestId) -> Self {
        shared.lock().add_user();
        Self { shared: Arc::clone(shared), id, is_finished: false }
    }

    /// Sends bytes without a copy, as soon as there is room in the stream's queue.
    ///
    /// The queue holds two frames and one more chunk of any length.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamReset`] if the peer has reset the stream,
    /// [`TransportErrorKind::StreamClosed`] if the request failed or was cancelled, or the error
    /// that ended the connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing has been sent.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), TransportError> {
        let mut bytes = bytes.into();
        poll_fn(|context| self.poll_send(context, |_| std::mem::take(&mut bytes))).await
    }

    /// Ends the stream after the bytes that were sent: it is complete.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn finish(mut self) -> Result<(), TransportError> {
        self.end()
    }

    /// Breaks off the stream with a reason, a number that the two sides agree on.
    pub fn abort(mut self, reason: u32) {
        self.is_finished = true;
        let mut shared = self.shared.lock();
        shared.connection.stream_abort(self.id, reason);
        shared.wake_driver();
    }

    fn end(&mut self) -> Result<(), TransportError> {
        if self.is_finished {
            return Ok(());
        }
        self.is_finished = true;
        let mut shared = self.shared.lock();
        if let Some(Err(error)) = &shared.end {
            return Err(error.clone());
        }
        let result = shared.connection.stream_finish(self.id);
        shared.wake_driver();
        result
    }

    /// Waits for room and sends the bytes that `bytes` returns.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        bytes: impl FnOnce(usize) -> Bytes,
    ) -> Poll<Result<(), TransportError>> {
        let mut shared = self.shared.lock();
        if let Some(end) = &shared.end {
            let error = end.clone().err().unwrap_or_else(|| TransportErrorKind::Closed.into());
            return Poll::Ready(Err(error));
        }
        let room = shared.connection.stream_room(self.id)?;
        if room == 0 {
            if let Some(slot) = shared.slots.get_mut(&self.id) {
                slot.writer = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        shared.connection.stream_write(self.id, bytes(room))?;
        if shared.connection.has_output() {
            shared.wake_driver();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut len = 0;
        ready!(self.get_mut().poll_send(context, |room| {
            len = room.min(bytes.len());
            Bytes::copy_from_slice(&bytes[..len])
        }))?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().end().map_err(io::Error::from))
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        let mut shared = self.shared.lock();
        if !self.is_finished {
            shared.connection.stream_abort(self.id, 0);
        }
        if let Some(slot) = shared.slots.get_mut(&self.id) {
            slot.has_writer = false;
        }
        shared.release(self.id);
        shared.wake_driver();
        shared.remove_user();
    }
}
