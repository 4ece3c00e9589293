//! The events that a connection reports to the layer above.

use bytes::Bytes;

use crate::format::Format;
use crate::operation::Operation;
use crate::request::RequestId;

/// An action of the peer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The controller's `START`; only on agents.
    Started(Start),
    /// The agent's `HELLO`; only on controllers.
    Hello(Hello),
    /// A request of this side was answered.
    Reply {
        /// The request.
        request: RequestId,
        /// The answer.
        reply: Answer,
    },
    /// The reply to a request of this side was too long and is lost. The connection goes on.
    ReplyTooLarge {
        /// The request.
        request: RequestId,
    },
    /// There is not enough memory for the reply to a request of this side. The reply is lost, and
    /// the connection goes on.
    OutOfMemory {
        /// The request.
        request: RequestId,
        /// How many bytes of the reply had arrived.
        len: usize,
    },
    /// The peer has ended a request that this side had cancelled.
    CancelAcknowledged {
        /// The request.
        request: RequestId,
    },
    /// The peer makes a request, which [`Connection::reply`](crate::Connection::reply) must answer.
    Request {
        /// The request.
        request: RequestId,
        /// The message.
        message: Message,
    },
    /// The peer sends a notice.
    Notice(Message),
    /// The peer has cancelled its request, which still must be answered if it was not.
    Cancelled {
        /// The request.
        request: RequestId,
    },
    /// A stream has bytes to read, or has ended in any way, after nothing was available.
    Readable {
        /// The request.
        request: RequestId,
    },
    /// A stream has room for bytes again, or was reset.
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
    /// The operation.
    pub operation: Operation,
    /// The format of the payload.
    pub format: Format,
    /// The content.
    pub payload: Bytes,
}

/// The answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Whether the request succeeded.
    pub kind: AnswerKind,
    /// The format of the payload.
    pub format: Format,
    /// The result, or why there is none.
    pub payload: Bytes,
}

impl Answer {
    /// Returns the reason if the peer's transport itself refused the request.
    ///
    /// Every other failure comes from the layer above, which defines its payload.
    pub fn refusal(&self) -> Option<Refusal> {
        match (self.kind, self.format, self.payload.as_ref()) {
            (AnswerKind::Fail, Format::None, [code]) => Refusal::new(*code),
            _ => None,
        }
    }
}

/// The two kinds of answer to a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a request succeeds or fails")]
pub enum AnswerKind {
    /// A result: `REPLY`.
    Reply,
    /// A failure: `FAIL`.
    Fail,
}

/// Why a transport itself answers a request with `FAIL`: `docs/wire.md` §4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request was never answered.
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

/// The content of the controller's `START`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Start {
    /// The longest message that the controller sends or accepts.
    pub max_message_len: u64,
    /// Options for the layer above.
    pub options: Bytes,
}

/// The content of the agent's `HELLO`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Hello {
    /// The format of the payload.
    pub format: Format,
    /// The description of the agent.
    pub payload: Bytes,
}
