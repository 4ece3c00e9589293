//! What a connection tells the layer above.

use bytes::Bytes;

use crate::format::Format;
use crate::operation::Operation;
use crate::request::RequestId;

/// Something that the peer did.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The controller's first word; only on agents.
    Started(Start),
    /// The agent's first word; only on controllers.
    Hello(Hello),
    /// A request of this side has its answer.
    Reply {
        /// The request.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// The reply to a request of this side was too long and is lost; the connection goes on.
    ReplyTooLarge {
        /// The request.
        request: RequestId,
    },
    /// There is no memory for the reply to a request of this side, which is lost; the connection goes on.
    OutOfMemory {
        /// The request.
        request: RequestId,
        /// How many bytes of the reply had come.
        len: usize,
    },
    /// The peer has ended a request that this side had cancelled.
    CancelAcknowledged {
        /// The request.
        request: RequestId,
    },
    /// The peer asks for something: [`Connection::reply`](crate::Connection::reply) must follow.
    Request {
        /// The request.
        request: RequestId,
        /// The message.
        message: Message,
    },
    /// The peer tells something.
    Notice(Message),
    /// The peer no longer wants the result of its request, which still must be answered if it was not.
    Cancelled {
        /// The request.
        request: RequestId,
    },
    /// A stream has bytes to read, or has ended in whatever way, after there was nothing to tell.
    Readable {
        /// The request.
        request: RequestId,
    },
    /// A stream has room for bytes again, or is no longer wanted.
    Writable {
        /// The request.
        request: RequestId,
    },
    /// The answer to [`Connection::ping`](crate::Connection::ping).
    Pong {
        /// What `ping` returned.
        token: u64,
    },
}

/// A message that opens a request or is a notice.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// What is asked for or told.
    pub operation: Operation,
    /// How the payload is to be read.
    pub format: Format,
    /// The content.
    pub payload: Bytes,
}

/// The one answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reply {
    /// Whether the request succeeded.
    pub outcome: Outcome,
    /// How the payload is to be read.
    pub format: Format,
    /// The result, or why there is none.
    pub payload: Bytes,
}

impl Reply {
    /// Returns why the peer's transport itself refused the request, if that is what happened.
    ///
    /// Every other failure comes from the layer above, which defines its payload.
    pub fn refusal(&self) -> Option<Refusal> {
        match (self.outcome, self.format, self.payload.as_ref()) {
            (Outcome::Fail, Format::None, [code]) => Refusal::new(*code),
            _ => None,
        }
    }
}

/// The two ways in which a request ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a request succeeds or fails")]
pub enum Outcome {
    /// There is a result: `REPLY`.
    Reply,
    /// There is none: `FAIL`.
    Fail,
}

/// Why a transport answers a request with `FAIL` by itself: `docs/wire.md` §4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody answered.
    Unanswered,
    /// The request was cancelled before it was answered.
    Cancelled,
    /// The request, or its result, is longer than the limit.
    TooLarge,
}

impl Refusal {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Unanswered => 1,
            Self::Cancelled => 2,
            Self::TooLarge => 3,
        }
    }

    fn new(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Unanswered),
            2 => Some(Self::Cancelled),
            3 => Some(Self::TooLarge),
            _ => None,
        }
    }
}

/// What the controller said first.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Start {
    /// The longest message that the controller sends or accepts.
    pub max_message_len: u64,
    /// Options for the layer above.
    pub options: Bytes,
}

/// What the agent said first.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Hello {
    /// How the payload is to be read.
    pub format: Format,
    /// What the agent is.
    pub payload: Bytes,
}
