//! What each error says, and what is behind it.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Fault, PeerFault, TransportError, TransportErrorKind};
use crate::operation::Operation;
use crate::request::RequestId;

#[test]
fn each_kind_says_what_happened_and_who_is_at_fault() {
    use TransportErrorKind as Kind;
    let second = Duration::from_secs(1);
    let io_error = || Arc::new(io::Error::other("no space"));
    let table = [
        (Kind::Cancelled, "request was cancelled", Fault::Caller),
        (
            Kind::CancelTimeout { grace: second },
            "peer has neither ended the cancelled request within 1s nor answered a ping",
            Fault::Peer,
        ),
        (Kind::Closed, "connection is closed", Fault::Caller),
        (Kind::Disconnected, "peer has closed the connection", Fault::Connection),
        (Kind::IoDropped, "connection's I/O task was dropped", Fault::Caller),
        (Kind::HandshakeTimeout { timeout: second }, "no answer from the peer within 1s", Fault::Connection),
        (
            Kind::InvalidConfig { problem: "frame_len is 0" },
            "invalid configuration: frame_len is 0",
            Fault::Caller,
        ),
        (
            Kind::KeepaliveTimeout { timeout: second },
            "peer sent nothing within 1s after a ping",
            Fault::Connection,
        ),
        (
            Kind::MessageTooLarge { len: 11, limit: 10 },
            "message of 11 bytes exceeds the limit of 10",
            Fault::Caller,
        ),
        (Kind::NoHandshake, "peer's output ended before it answered", Fault::Connection),
        (Kind::OutOfMemory { len: 10 }, "out of memory after 10 bytes of a message", Fault::Connection),
        (Kind::Peer(PeerFault::CreditOverflow), "peer broke the protocol", Fault::Peer),
        (Kind::Read(io_error()), "reading failed", Fault::Connection),
        (Kind::ReplyTooLarge { limit: 10 }, "reply exceeds the limit of 10 bytes", Fault::Peer),
        (Kind::RequestsExhausted, "every request number is in use", Fault::Caller),
        (Kind::StreamAborted { reason: 7 }, "peer broke the stream off with reason 7", Fault::Peer),
        (Kind::StreamClosed, "stream is closed", Fault::Caller),
        (Kind::StreamReset { reason: 7 }, "peer refused the rest of the stream with reason 7", Fault::Peer),
        (
            Kind::TooManyAbandoned { limit: 10 },
            "10 cancelled requests have not ended, which is the limit",
            Fault::Peer,
        ),
        (
            Kind::TooMuchNoise { limit: 10 },
            "peer sent more than 10 bytes before its answer",
            Fault::Connection,
        ),
        (Kind::Truncated, "peer's bytes end in the middle of a message", Fault::Connection),
        (
            Kind::VersionMismatch { ours: 1, theirs: 2 },
            "peer speaks version 2 of the protocol, this side 1",
            Fault::Peer,
        ),
        (Kind::Write(io_error()), "writing failed", Fault::Connection),
    ];
    for (kind, text, fault) in table {
        let behind = match &kind {
            Kind::Peer(fault) => Some(fault.to_string()),
            Kind::Read(error) | Kind::Write(error) => Some(error.to_string()),
            _ => None,
        };
        let text = behind.iter().fold(text.to_owned(), |text, behind| text + ": " + behind);
        assert_eq!(kind.to_string(), text);
        assert_eq!(kind.source().map(ToString::to_string), behind);
        let error = TransportError::from(kind);
        assert_eq!(error.fault(), fault, "{text}");
        assert_eq!(error.to_string(), format!("connection failed: {text}"));
        assert_eq!(error.source().map(ToString::to_string), Some(text));
        assert_eq!(io::Error::from(error.clone()).to_string(), error.to_string());
    }
}

#[test]
fn each_fault_of_a_peer_names_its_operand() {
    use PeerFault as Fault;
    let operation = Operation::CREDIT;
    let table = [
        (
            Fault::AnswerUnexpected { operation: Operation::FAIL, request: 4 },
            "FAIL for request 4, which does not await one",
        ),
        (Fault::CreditOverflow, "credit of a stream exceeds 2 GiB"),
        (Fault::DataAfterEnd, "stream data after the end of the stream"),
        (Fault::DataBeyondCredit { len: 9, credit: 4 }, "9 bytes of stream data exceed the credit of 4"),
        (Fault::FormatChanged, "format changes within a message"),
        (Fault::FormatUnexpected { operation }, "CREDIT has a format"),
        (Fault::FrameTooLarge { len: 9, limit: 4 }, "frame of 9 bytes exceeds the limit of 4"),
        (Fault::HandshakeExpected { operation }, "first frame is CREDIT"),
        (Fault::MessageInterleaved { operation }, "CREDIT inside another message of its request"),
        (Fault::MoreUnexpected { operation }, "CREDIT is continued"),
        (Fault::NoticeTooLarge { limit: 4 }, "notice exceeds the limit of 4 bytes"),
        (Fault::OperationUnexpected { operation }, "unexpected CREDIT"),
        (Fault::PongUnexpected, "answer to a ping that was not sent"),
        (Fault::RequestReused { request: 4 }, "request number 4 is in use"),
        (Fault::ReservedFlags { flags: 0x40 }, "reserved flags in 0x40"),
        (Fault::TooManyNotices { limit: 4 }, "more than 4 notices, or bytes of notices, wait to be received"),
        (Fault::TooManyQuestions, "too many answers wait for the peer to read them"),
        (Fault::TooManyRequests { limit: 4 }, "more than 4 requests are open"),
        (Fault::UnknownFormat { code: 9 }, "unknown format 9"),
        (Fault::UnknownOperation { code: 0x0c }, "unknown operation 0x0c"),
        (Fault::UnknownRequest { operation, request: 4 }, "CREDIT for unknown request 4"),
        (Fault::WrongLength { operation, len: 3 }, "CREDIT of 3 bytes"),
        (
            Fault::WrongParity { operation, request: 4 },
            "CREDIT with request number 4, which the sender may not use",
        ),
    ];
    for (fault, text) in table {
        assert_eq!(fault.to_string(), text);
        assert!(fault.source().is_none());
    }
}

#[test]
fn errors_of_requests_name_them() {
    let request = RequestId::new(4).unwrap();
    let error = TransportError::of_request(request, TransportErrorKind::ReplyTooLarge { limit: 10 });
    assert_eq!(error.to_string(), "request 4 on the connection failed: reply exceeds the limit of 10 bytes");
    assert!(error.is_too_large() && !error.is_disconnected() && !error.is_timeout());
    fn assert_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    assert_shareable(&error);
}
