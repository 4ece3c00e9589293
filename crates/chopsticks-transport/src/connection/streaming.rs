//! The operations of the layer above on the byte streams of a request.

use bytes::Bytes;

use super::Connection;
use super::stream::{Ending, IncomingState, OutgoingState, StreamRead};
use crate::error::{TransportError, TransportErrorKind};
use crate::operation::Operation;
use crate::request::RequestId;

impl Connection {
    /// Opens the stream from the peer by giving it the window as credit. This must happen before
    /// the request is answered.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamClosed`] if the request was answered or the stream was opened
    /// before.
    pub fn open_reader(&mut self, request: RequestId) -> Result<(), TransportError> {
        let window = self.config.stream_window;
        let closed = || TransportError::of_request(request, TransportErrorKind::StreamClosed);
        let exchange = self.exchanges.get_mut(&request).filter(|exchange| exchange.may_open_streams());
        let incoming = &mut exchange.ok_or_else(closed)?.streams().incoming;
        if incoming.is_wanted {
            return Err(closed());
        }
        incoming.is_wanted = true;
        match incoming.state {
            IncomingState::Idle => {
                incoming.state = IncomingState::Open;
                incoming.allowance = u64::from(window);
                incoming.credit_due = window;
            }
            // An empty stream may end before anyone asked for it.
            IncomingState::Ended(_) => return Ok(()),
            IncomingState::Open | IncomingState::Done => return Err(closed()),
        }
        self.call_attention(request);
        Ok(())
    }

    /// Presumes that the peer may send the first `bytes` of the window without credit, if the
    /// operation says so. The peer gets credit for the rest of the window. Call this right after
    /// [`open_reader`](Self::open_reader).
    pub fn presume_allowance(&mut self, request: RequestId, bytes: u32) {
        if let Some(exchange) = self.exchanges.get_mut(&request) {
            let incoming = &mut exchange.streams().incoming;
            // A smaller window has to grow to what the peer presumes.
            incoming.allowance = incoming.allowance.max(u64::from(bytes));
            incoming.credit_due = incoming.credit_due.saturating_sub(bytes);
        }
    }

    /// Opens the stream from the peer for each of its requests with this operation, as soon as the
    /// request arrives, and presumes that the peer may send `bytes` without credit. This is for
    /// operations whose first bytes may follow the request at once.
    pub fn open_readers_of(&mut self, operation: Operation, bytes: u32) {
        self.presumed = Some((operation, bytes));
    }

    /// Takes up to `max` bytes that the peer has sent on the stream.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamAborted`], or [`TransportErrorKind::StreamClosed`] if the request is over.
    pub fn stream_read(&mut self, request: RequestId, max: usize) -> Result<StreamRead, TransportError> {
        let window = self.config.stream_window;
        let closed = || TransportError::of_request(request, TransportErrorKind::StreamClosed);
        let exchange = self.exchanges.get_mut(&request).ok_or_else(closed)?;
        let incoming = &mut exchange.streams.as_mut().ok_or_else(closed)?.incoming;
        if let Some(bytes) = incoming.buffer.pop(max) {
            if incoming.state == IncomingState::Open {
                // At most the window is allowed at once, so this fits.
                incoming.owed += u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                if incoming.owed >= window.div_ceil(CREDIT_PARTS) {
                    incoming.allowance += u64::from(incoming.owed);
                    incoming.credit_due += incoming.owed;
                    incoming.owed = 0;
                    self.call_attention(request);
                }
            }
            return Ok(StreamRead::Data(bytes));
        }
        let result = match incoming.state {
            IncomingState::Open => return Ok(StreamRead::Pending),
            IncomingState::Ended(Ending::Complete) => Ok(StreamRead::End),
            IncomingState::Ended(Ending::Aborted(reason)) => {
                Err(TransportError::of_request(request, TransportErrorKind::StreamAborted { reason }))
            }
            IncomingState::Idle | IncomingState::Done => return Err(closed()),
        };
        incoming.state = IncomingState::Done;
        self.settle(request);
        result
    }

    /// Asks the peer to stop its stream. Does nothing if the stream has ended.
    pub fn stream_reset(&mut self, request: RequestId, reason: u32) {
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        let Some(streams) = &mut exchange.streams else { return };
        let was_open = streams.incoming.state == IncomingState::Open;
        streams.incoming.kill();
        if was_open {
            streams.incoming.reset_due = Some(reason);
            self.call_attention(request);
        }
        self.settle(request);
    }

    /// Opens the stream to the peer, which then must be ended. This must happen before the request
    /// is answered.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamReset`] if the peer has reset the stream, or
    /// [`TransportErrorKind::StreamClosed`] if the request was answered or the stream was opened
    /// before.
    pub fn open_writer(&mut self, request: RequestId) -> Result<(), TransportError> {
        let closed = || TransportError::of_request(request, TransportErrorKind::StreamClosed);
        let exchange = self.exchanges.get_mut(&request).filter(|exchange| exchange.may_open_streams());
        let outgoing = &mut exchange.ok_or_else(closed)?.streams().outgoing;
        if let Some(reason) = outgoing.reset {
            return Err(TransportError::of_request(request, TransportErrorKind::StreamReset { reason }));
        }
        if outgoing.state != OutgoingState::Idle {
            return Err(closed());
        }
        outgoing.state = OutgoingState::Open;
        Ok(())
    }

    /// Allows `bytes` of the stream to the peer before the peer gives any credit, for operations
    /// that define this.
    pub fn presume_credit(&mut self, request: RequestId, bytes: u32) {
        if bytes > 0
            && let Some(exchange) = self.exchanges.get_mut(&request)
        {
            let outgoing = &mut exchange.streams().outgoing;
            outgoing.credit += u64::from(bytes);
            outgoing.was_credited = true;
        }
    }

    /// Returns how many bytes may be passed to [`stream_write`](Self::stream_write). After 0,
    /// [`Event::Writable`](crate::Event::Writable) follows when there is room.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::StreamReset`] if the peer has reset the stream, or
    /// [`TransportErrorKind::StreamClosed`].
    pub fn stream_room(&mut self, request: RequestId) -> Result<usize, TransportError> {
        let closed = || TransportError::of_request(request, TransportErrorKind::StreamClosed);
        let limit = self.stream_queue_len();
        let exchange = self.exchanges.get_mut(&request).ok_or_else(closed)?;
        let outgoing = &mut exchange.streams.as_mut().ok_or_else(closed)?.outgoing;
        if let Some(reason) = outgoing.reset {
            return Err(TransportError::of_request(request, TransportErrorKind::StreamReset { reason }));
        }
        if outgoing.state != OutgoingState::Open || outgoing.ending.is_some() {
            return Err(closed());
        }
        let room = limit.saturating_sub(outgoing.queued);
        outgoing.blocked = room == 0;
        Ok(room)
    }

    /// Queues bytes for the stream to the peer, which are sent as the peer's credit allows.
    ///
    /// # Errors
    ///
    /// As [`stream_room`](Self::stream_room).
    pub fn stream_write(&mut self, request: RequestId, bytes: Bytes) -> Result<(), TransportError> {
        self.stream_room(request)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(exchange) = self.exchanges.get_mut(&request) else { return Ok(()) };
        let outgoing = &mut exchange.streams().outgoing;
        outgoing.blocked = false;
        outgoing.queued += bytes.len();
        outgoing.queue.push_back(bytes);
        self.schedule_stream(request);
        Ok(())
    }

    /// Ends the stream to the peer after the queued bytes: it is complete.
    ///
    /// # Errors
    ///
    /// As [`stream_room`](Self::stream_room).
    pub fn stream_finish(&mut self, request: RequestId) -> Result<(), TransportError> {
        self.stream_room(request)?;
        let Some(exchange) = self.exchanges.get_mut(&request) else { return Ok(()) };
        exchange.streams().outgoing.ending = Some(Ending::Complete);
        self.schedule_stream(request);
        Ok(())
    }

    /// Returns whether the stream to the peer has ended: its `END` has been passed to the outbox, or it
    /// is no longer wanted. After `false`, [`Event::Writable`](crate::Event::Writable) follows when it has.
    ///
    /// [`AnswerKind::Fail`](crate::AnswerKind::Fail) ends streams at once, so an answer that must not
    /// overtake the bytes of a stream has to wait for this.
    pub fn stream_has_ended(&mut self, request: RequestId) -> bool {
        let streams = self.exchanges.get_mut(&request).and_then(|exchange| exchange.streams.as_mut());
        let Some(outgoing) = streams.map(|streams| &mut streams.outgoing) else { return true };
        let has_ended = outgoing.state != OutgoingState::Open;
        outgoing.blocked |= !has_ended;
        has_ended
    }

    /// Breaks off the stream to the peer. The queued bytes are dropped, and the peer knows that the
    /// stream is incomplete. Does nothing if the stream has ended.
    pub fn stream_abort(&mut self, request: RequestId, reason: u32) {
        if self.stream_room(request).is_err() {
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(&request) else { return };
        let outgoing = &mut exchange.streams().outgoing;
        outgoing.discard();
        outgoing.ending = Some(Ending::Aborted(reason));
        self.schedule_stream(request);
    }

    fn stream_queue_len(&self) -> usize {
        self.config.frame_len.saturating_mul(2)
    }
}

/// Credit is given again when this fraction of the window has been read: often enough that a sender
/// does not run dry, and seldom enough to cost nothing.
const CREDIT_PARTS: u32 = 4;
