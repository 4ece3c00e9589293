//! Errors of connections, and whose fault they are.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::operation::Operation;
use crate::request::RequestId;

/// A connection, or one request on it, has failed.
///
/// The error contains the place and the reason; [`kind`](Self::kind) is the reason as data.
///
/// Errors are cheap to clone. All operations that wait for a connection get the same error when it
/// ends.
#[derive(Clone, Debug)]
pub struct TransportError {
    request: Option<RequestId>,
    kind: TransportErrorKind,
}

impl TransportError {
    pub(crate) fn of_request(request: RequestId, kind: TransportErrorKind) -> Self {
        Self { request: Some(request), kind }
    }

    pub(crate) fn of_peer(request: Option<RequestId>, fault: PeerFault) -> Self {
        Self { request, kind: TransportErrorKind::Peer(fault) }
    }

    /// Returns what happened.
    pub fn kind(&self) -> &TransportErrorKind {
        &self.kind
    }

    /// Returns the request that the error belongs to, if any.
    pub fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// Returns whose fault the error is, as far as that is known.
    pub fn fault(&self) -> Fault {
        match self.kind {
            TransportErrorKind::Cancelled
            | TransportErrorKind::Closed
            | TransportErrorKind::IoDropped
            | TransportErrorKind::InvalidConfig { .. }
            | TransportErrorKind::MessageTooLarge { .. }
            | TransportErrorKind::RequestsExhausted
            | TransportErrorKind::StreamClosed => Fault::Caller,
            TransportErrorKind::Disconnected
            | TransportErrorKind::HandshakeTimeout { .. }
            | TransportErrorKind::KeepaliveTimeout { .. }
            | TransportErrorKind::NoHandshake
            | TransportErrorKind::OutOfMemory { .. }
            | TransportErrorKind::Read(_)
            | TransportErrorKind::TooMuchNoise { .. }
            | TransportErrorKind::Truncated
            | TransportErrorKind::Write(_) => Fault::Connection,
            TransportErrorKind::CancelTimeout { .. }
            | TransportErrorKind::Peer(_)
            | TransportErrorKind::ReplyTooLarge { .. }
            | TransportErrorKind::StreamAborted { .. }
            | TransportErrorKind::StreamReset { .. }
            | TransportErrorKind::TooManyAbandoned { .. }
            | TransportErrorKind::VersionMismatch { .. } => Fault::Peer,
        }
    }

    /// Returns whether a deadline has passed.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.kind,
            TransportErrorKind::CancelTimeout { .. }
                | TransportErrorKind::HandshakeTimeout { .. }
                | TransportErrorKind::KeepaliveTimeout { .. }
        )
    }

    /// Returns whether the connection was lost, as opposed to a request that failed on a usable
    /// connection.
    pub fn is_disconnected(&self) -> bool {
        match self.kind {
            TransportErrorKind::CancelTimeout { .. }
            | TransportErrorKind::Closed
            | TransportErrorKind::Disconnected
            | TransportErrorKind::IoDropped
            | TransportErrorKind::HandshakeTimeout { .. }
            | TransportErrorKind::KeepaliveTimeout { .. }
            | TransportErrorKind::NoHandshake
            | TransportErrorKind::Peer(_)
            | TransportErrorKind::Read(_)
            | TransportErrorKind::TooMuchNoise { .. }
            | TransportErrorKind::Truncated
            | TransportErrorKind::VersionMismatch { .. }
            | TransportErrorKind::Write(_) => true,
            TransportErrorKind::OutOfMemory { .. } => self.request.is_none(),
            TransportErrorKind::Cancelled
            | TransportErrorKind::InvalidConfig { .. }
            | TransportErrorKind::MessageTooLarge { .. }
            | TransportErrorKind::ReplyTooLarge { .. }
            | TransportErrorKind::RequestsExhausted
            | TransportErrorKind::StreamAborted { .. }
            | TransportErrorKind::StreamClosed
            | TransportErrorKind::StreamReset { .. }
            | TransportErrorKind::TooManyAbandoned { .. } => false,
        }
    }

    /// Returns whether a message was longer than the limit.
    pub fn is_too_large(&self) -> bool {
        matches!(
            self.kind,
            TransportErrorKind::MessageTooLarge { .. } | TransportErrorKind::ReplyTooLarge { .. }
        )
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.request {
            Some(request) => write!(formatter, "request {request} on the connection failed: {}", self.kind),
            None => write!(formatter, "connection failed: {}", self.kind),
        }
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.kind)
    }
}

impl From<TransportErrorKind> for TransportError {
    fn from(kind: TransportErrorKind) -> Self {
        Self { request: None, kind }
    }
}

impl From<TransportError> for io::Error {
    fn from(error: TransportError) -> Self {
        let kind = match error.kind {
            TransportErrorKind::Cancelled | TransportErrorKind::StreamAborted { .. } => {
                io::ErrorKind::ConnectionAborted
            }
            TransportErrorKind::Closed | TransportErrorKind::StreamClosed => io::ErrorKind::NotConnected,
            TransportErrorKind::StreamReset { .. } => io::ErrorKind::BrokenPipe,
            _ if error.is_timeout() => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The program on this side: it closed or cancelled something, or made an impossible request.
    Caller,
    /// The link between the two sides, or the far side before it became a peer.
    Connection,
    /// The other side: it violated the protocol.
    Peer,
}

/// What happened to a connection or a request.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The request was cancelled, together with its streams.
    #[error("request was cancelled")]
    Cancelled,
    /// The peer has neither ended a cancelled request in time, nor answered a ping after that.
    #[error("peer has neither ended the cancelled request within {grace:?} nor answered a ping")]
    CancelTimeout {
        /// How long this side waited.
        grace: Duration,
    },
    /// This side has closed the connection.
    #[error("connection is closed")]
    Closed,
    /// The peer's bytes ended between two messages, although this side had not closed the
    /// connection.
    #[error("peer has closed the connection")]
    Disconnected,
    /// The I/O task was dropped while the connection was in use.
    #[error("connection's I/O task was dropped")]
    IoDropped,
    /// The peer did not complete the handshake in time.
    #[error("no answer from the peer within {timeout:?}")]
    HandshakeTimeout {
        /// How long this side waited.
        timeout: Duration,
    },
    /// A setting has an invalid value.
    #[error("invalid configuration: {problem}")]
    InvalidConfig {
        /// Which setting, and why.
        problem: &'static str,
    },
    /// The peer sent nothing, not even the answer to a ping.
    #[error("peer sent nothing within {timeout:?} after a ping")]
    KeepaliveTimeout {
        /// How long this side waited.
        timeout: Duration,
    },
    /// The message is longer than the limit. No part of it was sent.
    #[error("message of {len} bytes exceeds the limit of {limit}")]
    MessageTooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The peer's bytes ended before the handshake.
    #[error("peer's output ended before it answered")]
    NoHandshake,
    /// There is not enough memory for the peer's message.
    #[error("out of memory after {len} bytes of a message")]
    OutOfMemory {
        /// How many bytes of the message had arrived.
        len: usize,
    },
    /// The peer violated the protocol.
    #[error("peer broke the protocol: {0}")]
    Peer(#[source] PeerFault),
    /// Reading failed.
    #[error("reading failed: {0}")]
    Read(#[source] Arc<io::Error>),
    /// The reply is longer than the limit, and was not kept.
    #[error("reply exceeds the limit of {limit} bytes")]
    ReplyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// Every request number is in use.
    #[error("every request number is in use")]
    RequestsExhausted,
    /// The sender broke off the stream, so the received bytes are incomplete.
    #[error("peer broke the stream off with reason {reason}")]
    StreamAborted {
        /// The reason that the peer gave; 0 means none.
        reason: u32,
    },
    /// The stream is not open on this side, or no longer open.
    #[error("stream is closed")]
    StreamClosed,
    /// The receiver has reset the stream.
    #[error("peer refused the rest of the stream with reason {reason}")]
    StreamReset {
        /// The reason that the peer gave; 0 means none.
        reason: u32,
    },
    /// The maximum number of cancelled requests have not ended within their grace period.
    #[error("{limit} cancelled requests have not ended, which is the limit")]
    TooManyAbandoned {
        /// The limit.
        limit: usize,
    },
    /// More bytes than the limit came before the peer's handshake.
    #[error("peer sent more than {limit} bytes before its answer")]
    TooMuchNoise {
        /// The limit.
        limit: usize,
    },
    /// The peer's bytes ended inside a frame or a message.
    #[error("peer's bytes end in the middle of a message")]
    Truncated,
    /// The two sides speak different versions of the protocol.
    #[error("peer speaks version {theirs} of the protocol, this side {ours}")]
    VersionMismatch {
        /// This side's version.
        ours: u16,
        /// The peer's version.
        theirs: u16,
    },
    /// Writing failed.
    #[error("writing failed: {0}")]
    Write(#[source] Arc<io::Error>),
}

/// A violation of the protocol by a peer. Each one ends the connection.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PeerFault {
    /// An answer to a request that does not await one.
    #[error("{operation} for request {request}, which does not await one")]
    AnswerUnexpected {
        /// `REPLY` or `FAIL`.
        operation: Operation,
        /// The number in the frame.
        request: u32,
    },
    /// More credit than a stream can have.
    #[error("credit of a stream exceeds 2 GiB")]
    CreditOverflow,
    /// Stream data after the end of the stream.
    #[error("stream data after the end of the stream")]
    DataAfterEnd,
    /// More stream data than was allowed.
    #[error("{len} bytes of stream data exceed the credit of {credit}")]
    DataBeyondCredit {
        /// The bytes in the frame.
        len: u32,
        /// The bytes that were allowed.
        credit: u64,
    },
    /// Frames of one message that differ in format.
    #[error("format changes within a message")]
    FormatChanged,
    /// A format on an operation that must not have one.
    #[error("{operation} has a format")]
    FormatUnexpected {
        /// The operation.
        operation: Operation,
    },
    /// A frame over the limit.
    #[error("frame of {len} bytes exceeds the limit of {limit}")]
    FrameTooLarge {
        /// The size in its header.
        len: u32,
        /// The limit.
        limit: usize,
    },
    /// The first frame does not belong to the handshake.
    #[error("first frame is {operation}")]
    HandshakeExpected {
        /// The operation of the frame.
        operation: Operation,
    },
    /// A frame of a request before the message that makes it was complete, or alternating frames of
    /// two messages.
    #[error("{operation} inside another message of its request")]
    MessageInterleaved {
        /// The operation of the frame.
        operation: Operation,
    },
    /// A continuation flag on an operation that is always one frame.
    #[error("{operation} is continued")]
    MoreUnexpected {
        /// The operation.
        operation: Operation,
    },
    /// A notice over the limit.
    #[error("notice exceeds the limit of {limit} bytes")]
    NoticeTooLarge {
        /// The limit.
        limit: usize,
    },
    /// An operation that this side does not accept, or not at this time.
    #[error("unexpected {operation}")]
    OperationUnexpected {
        /// The operation.
        operation: Operation,
    },
    /// A pong without a ping.
    #[error("answer to a ping that was not sent")]
    PongUnexpected,
    /// A new request with the number of one that is open.
    #[error("request number {request} is in use")]
    RequestReused {
        /// The number.
        request: u32,
    },
    /// A flag that has no meaning.
    #[error("reserved flags in {flags:#04x}")]
    ReservedFlags {
        /// The byte of flags.
        flags: u8,
    },
    /// More notices than this side can hold until they are taken.
    #[error("more than {limit} notices, or bytes of notices, wait to be received")]
    TooManyNotices {
        /// The limit of their number.
        limit: usize,
    },
    /// More pings than the peer reads answers to.
    #[error("too many answers wait for the peer to read them")]
    TooManyQuestions,
    /// More open requests than are allowed.
    #[error("more than {limit} requests are open")]
    TooManyRequests {
        /// The limit.
        limit: usize,
    },
    /// A format that does not exist.
    #[error("unknown format {code}")]
    UnknownFormat {
        /// Its number.
        code: u8,
    },
    /// An operation that does not exist.
    #[error("unknown operation {code:#04x}")]
    UnknownOperation {
        /// Its code.
        code: u8,
    },
    /// A frame for a request that never existed.
    #[error("{operation} for unknown request {request}")]
    UnknownRequest {
        /// The operation.
        operation: Operation,
        /// The number in the frame.
        request: u32,
    },
    /// A length that the operation cannot have.
    #[error("{operation} of {len} bytes")]
    WrongLength {
        /// The operation.
        operation: Operation,
        /// The size in its header.
        len: u32,
    },
    /// A request number that belongs to the other side.
    #[error("{operation} with request number {request}, which the sender may not use")]
    WrongParity {
        /// The operation.
        operation: Operation,
        /// The number in the frame.
        request: u32,
    },
}
