//! What a peer may not do. Each case is a whole connection that must end with the name of the fault.

use super::*;

/// A controller that has request 2 under way, and serves request 1.
fn busy() -> Bench {
    let mut bench = Bench::controller(TransportConfig::default().max_frame_len(1 << 20));
    bench.sent_call();
    bench.served(1);
    bench
}

#[test]
fn frames_that_cannot_be_are_named() {
    use Operation as Op;
    let long = vec![0; (1 << 20) + 1];
    let wrong_length = |operation, len| PeerFault::WrongLength { operation, len };
    let unknown = |operation, request| PeerFault::UnknownRequest { operation, request };
    let unexpected = |operation, request| PeerFault::AnswerUnexpected { operation, request };
    let parity = |operation, request| PeerFault::WrongParity { operation, request };
    let more = |operation| PeerFault::MoreUnexpected { operation };
    let format = |operation| PeerFault::FormatUnexpected { operation };
    let cases: &[(u32, Op, u8, &[u8], PeerFault)] = &[
        (2, Op::REPLY, 0, &long, PeerFault::FrameTooLarge { len: (1 << 20) + 1, limit: 1 << 20 }),
        (2, Op::REPLY, 0x10, b"", PeerFault::ReservedFlags { flags: 0x10 }),
        (2, Op::REPLY, 0x04, b"", PeerFault::UnknownFormat { code: 4 }),
        (2, Op::CANCEL, 0, b"", parity(Op::CANCEL, 2)),
        (0, Op::CANCEL, 0, b"", unknown(Op::CANCEL, 0)),
        (3, Op::CANCEL, 0, b"", unknown(Op::CANCEL, 3)),
        (1, Op::CANCEL, 0, b"x", wrong_length(Op::CANCEL, 1)),
        (1, Op::CANCEL, MORE, b"", more(Op::CANCEL)),
        (0, Op::REPLY, 0, b"", unexpected(Op::REPLY, 0)),
        (4, Op::REPLY, 0, b"", unexpected(Op::REPLY, 4)),
        (4, Op::FAIL, 0, b"", unexpected(Op::FAIL, 4)),
        (1, Op::REPLY, 0, b"", parity(Op::REPLY, 1)),
        (2, Op::application(0x20), 0, b"", parity(Op::application(0x20), 2)),
        (4, Op::application(0x22), 0, b"", parity(Op::application(0x22), 4)),
        (1, Op::application(0x22), 0, b"", PeerFault::RequestReused { request: 1 }),
        (0, Op::PING, 0, &[0; 65], wrong_length(Op::PING, 65)),
        (1, Op::PING, 0, b"", unknown(Op::PING, 1)),
        (0, Op::PING, MARSHAL, b"", format(Op::PING)),
        (0, Op::PONG, 0, b"", PeerFault::PongUnexpected),
        (2, Op::DATA, MORE, b"x", more(Op::DATA)),
        (2, Op::DATA, MARSHAL, b"x", format(Op::DATA)),
        (2, Op::DATA, 0, b"x", PeerFault::DataBeyondCredit { len: 1, credit: 0 }),
        (1, Op::DATA, 0, b"x", PeerFault::DataBeyondCredit { len: 1, credit: 0 }),
        (4, Op::DATA, 0, b"x", unknown(Op::DATA, 4)),
        (3, Op::DATA, 0, b"x", unknown(Op::DATA, 3)),
        (0, Op::DATA, 0, b"x", unknown(Op::DATA, 0)),
        (2, Op::END, 0, b"xx", wrong_length(Op::END, 2)),
        (4, Op::END, 0, b"", unknown(Op::END, 4)),
        (2, Op::CREDIT, 0, b"xxx", wrong_length(Op::CREDIT, 3)),
        (4, Op::CREDIT, 0, b"xxxx", unknown(Op::CREDIT, 4)),
        (2, Op::CREDIT, 0, &[0x80, 0, 0, 0], PeerFault::CreditOverflow),
        (2, Op::RESET, 0, b"", wrong_length(Op::RESET, 0)),
        (4, Op::RESET, 0, b"xxxx", unknown(Op::RESET, 4)),
        (0, Op::START, 0, b"", PeerFault::OperationUnexpected { operation: Op::START }),
    ];
    for (request, operation, flags, payload, expected) in cases {
        let bytes = frame(*request, *operation, *flags, payload);
        for step in [1, 3, bytes.len().max(1)] {
            let mut bench = busy();
            let result = bytes.chunks(step).try_for_each(|piece| bench.feed(piece));
            assert_eq!(fault(result), *expected);
            // It is over, whatever comes then, and the error stays the same.
            assert_eq!(fault(bench.feed(b"")), *expected);
            assert!(bench.connection.handle_eof().is_err());
            assert!(
                bench
                    .connection
                    .request(Op::application(0x20), Format::None, Bytes::new().into(), Order::Any)
                    .is_err()
            );
            assert_eq!(bench.sent(), []);
        }
    }
    let mut bench = busy();
    let unknown = fault(bench.feed(&[0, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0]));
    assert_eq!(unknown, PeerFault::UnknownOperation { code: 0x1f });
}

#[test]
fn oversize_frame_is_refused_by_its_header_alone() {
    let mut bench = busy();
    let refused = fault(bench.feed(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, 3, 0]));
    assert_eq!(refused, PeerFault::FrameTooLarge { len: u32::MAX, limit: 1 << 20 });
}

#[test]
fn announced_bytes_take_no_memory() {
    let mut bench = busy();
    bench.feed(&[0, 0x10, 0, 0, 0, 0, 0, 2, 3, 0x80]).unwrap();
    assert_eq!(bench.connection.buffered, 0);
    bench.feed(b"one").unwrap();
    assert_eq!(bench.connection.buffered, 3);
}

#[test]
fn format_may_not_change_within_a_message() {
    let mut bench = busy();
    bench.take(2, Operation::REPLY, MARSHAL | MORE, b"x");
    assert_eq!(bench.refuse(2, Operation::REPLY, 1, b"x"), PeerFault::FormatChanged);
    let mut bench = busy();
    bench.take(3, Operation::application(0x22), MARSHAL | MORE, b"x");
    assert_eq!(bench.refuse(3, Operation::application(0x22), 1, b"x"), PeerFault::FormatChanged);
    let mut bench = busy();
    bench.take(0, Operation::application(0x21), MARSHAL | MORE, b"x");
    assert_eq!(bench.refuse(0, Operation::application(0x21), 1, b"x"), PeerFault::FormatChanged);
}

#[test]
fn operation_may_not_change_within_a_message() {
    let interleaved = |operation| PeerFault::MessageInterleaved { operation };
    let mut bench = busy();
    bench.take(2, Operation::FAIL, MORE, b"x");
    assert_eq!(bench.refuse(2, Operation::REPLY, 0, b"x"), interleaved(Operation::REPLY));
    for operation in
        [Operation::application(0x20), Operation::DATA, Operation::CREDIT, Operation::END, Operation::RESET]
    {
        let payload = b"xxxx";
        let mut bench = busy();
        bench.take(3, Operation::application(0x22), MORE, b"x");
        assert_eq!(bench.refuse(3, operation, 0, payload), interleaved(operation));
    }
}

#[test]
fn reply_may_not_come_before_the_request_has_left() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let request = bench.call(b"0123456789").number();
    let expected = PeerFault::AnswerUnexpected { operation: Operation::REPLY, request };
    bench.sent_once();
    assert_eq!(bench.refuse(request, Operation::REPLY, 0, b""), expected);
}

#[test]
fn second_reply_is_refused() {
    let mut bench = busy();
    bench.connection.open_reader(RequestId::new(2).unwrap()).unwrap();
    bench.take(2, Operation::REPLY, 0, b"");
    let expected = PeerFault::AnswerUnexpected { operation: Operation::REPLY, request: 2 };
    assert_eq!(bench.refuse(2, Operation::REPLY, 0, b""), expected);
}

#[test]
fn flood_of_pings_is_refused() {
    let mut bench = busy();
    let flood = frame(0, Operation::PING, 0, &[0; 64]).repeat(2000);
    assert_eq!(fault(bench.feed(&flood)), PeerFault::TooManyQuestions);
    // A peer that reads its answers may ask for ever.
    let mut bench = busy();
    for _ in 0..2000 {
        bench.take(0, Operation::PING, 0, b"x");
        assert_eq!(bench.sent(), frame(0, Operation::PONG, 0, b"x"));
    }
}

#[test]
fn pong_must_fit_its_ping() {
    let mut bench = busy();
    let token = bench.connection.ping();
    assert_eq!(bench.sent(), frame(0, Operation::PING, 0, &token.to_be_bytes()));
    assert_eq!(bench.refuse(0, Operation::PONG, 0, &[1; 8]), PeerFault::PongUnexpected);
}

#[test]
fn errors_name_the_request() {
    let mut bench = busy();
    let error = bench.feed(&frame(2, Operation::CANCEL, 0, b"")).unwrap_err();
    assert_eq!(error.request(), RequestId::new(2));
    assert_eq!(error.fault(), crate::error::Fault::Peer);
    assert!(error.is_disconnected());
}
