//! Limits on what the peer can make this side hold, and on what this side sends.

use super::*;
use crate::connection::{Answer, Refusal};

#[test]
fn reply_over_the_limit_fails_alone() {
    let mut bench = Bench::controller(TransportConfig::default().max_message_len(10));
    let large = bench.sent_call();
    let small = bench.sent_call();
    bench.take(2, Operation::REPLY, MORE, b"01234567");
    assert_eq!(bench.connection.buffered, 8);
    bench.take(2, Operation::REPLY, MORE, b"89a");
    assert_eq!(bench.events(), [Event::ReplyTooLarge { request: large }]);
    assert_eq!(bench.connection.buffered, 0);
    for _ in 0..100 {
        bench.take(2, Operation::REPLY, MORE, b"0123456789");
        assert_eq!(bench.connection.buffered, 0);
    }
    bench.take(4, Operation::REPLY, 0, b"0123456789");
    assert!(matches!(bench.events().as_slice(), [Event::Reply { request, .. }] if *request == small));
    bench.take(2, Operation::REPLY, 0, b"last");
    assert_eq!(bench.events(), []);
    bench.assert_idle();
}

#[test]
fn replies_share_one_limit_while_they_are_incomplete() {
    let mut bench = Bench::controller(TransportConfig::default().max_message_len(10).max_buffered_len(15));
    let first = bench.sent_call();
    let second = bench.sent_call();
    bench.take(2, Operation::REPLY, MORE, b"01234567");
    bench.take(4, Operation::REPLY, MORE, b"01234567");
    assert_eq!(bench.events(), [Event::ReplyTooLarge { request: second }]);
    bench.take(2, Operation::REPLY, 0, b"8");
    assert!(matches!(bench.events().as_slice(), [Event::Reply { request, .. }] if *request == first));
    bench.take(4, Operation::REPLY, 0, b"8");
    bench.assert_idle();
}

#[test]
fn request_over_the_limit_is_answered_with_a_failure() {
    let mut bench = Bench::controller(TransportConfig::default().max_request_len(10));
    bench.take(1, Operation::application(0x22), MORE, b"01234567");
    bench.take(1, Operation::application(0x22), MORE, b"01234567");
    assert_eq!(bench.connection.buffered, 0);
    assert_eq!(bench.sent(), []);
    bench.take(1, Operation::application(0x22), 0, b"");
    assert_eq!(bench.events(), []);
    assert_eq!(bench.sent(), frame(1, Operation::FAIL, 0, &[3]));
    bench.assert_idle();
}

#[test]
fn refusals_are_told_apart_from_failures() {
    let mut bench = Bench::controller(TransportConfig::default());
    for (flags, payload, expected) in [
        (0, &[1], Some(Refusal::Unanswered)),
        (0, &[2], Some(Refusal::Cancelled)),
        (0, &[3], Some(Refusal::TooLarge)),
        (0, &[9], None),
        (MARSHAL, &[1], None),
    ] {
        let request = bench.sent_call();
        bench.take(request.number(), Operation::FAIL, flags, payload);
        let events = bench.events();
        let [Event::Reply { reply, .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(reply.refusal(), expected);
    }
}

#[test]
fn failure_takes_the_place_of_half_a_reply() {
    let mut bench = Bench::controller(TransportConfig::default());
    let request = bench.sent_call();
    bench.take(2, Operation::REPLY, MORE | MARSHAL, b"half");
    bench.take(2, Operation::FAIL, 1, b"why");
    let payload = Bytes::from_static(b"why");
    let reply = Answer { kind: AnswerKind::Fail, format: Format::Pencode, payload };
    assert_eq!(bench.events(), [Event::Reply { request, reply }]);
    bench.assert_idle();
}

#[test]
fn notice_over_the_limit_ends_the_connection() {
    let mut bench = Bench::controller(TransportConfig::default().max_request_len(10));
    bench.take(0, Operation::application(0x21), MORE, b"01234567");
    assert_eq!(
        bench.refuse(0, Operation::application(0x21), 0, b"89a"),
        PeerFault::NoticeTooLarge { limit: 10 }
    );
}

#[test]
fn peer_has_so_many_requests_and_no_more() {
    let mut bench = Bench::controller(TransportConfig::default().max_peer_requests(3));
    // The parts of messages count as well.
    bench.take(1, Operation::application(0x22), MORE, b"");
    let third = (bench.served(3), bench.served(5)).1;
    bench.reply(third, b"");
    // What is answered counts until the answer has left, so that a peer that does not read cannot pile up answers.
    assert_eq!(bench.connection.peer_requests, 3);
    bench.sent();
    bench.served(7);
    assert_eq!(
        bench.refuse(9, Operation::application(0x22), 0, b""),
        PeerFault::TooManyRequests { limit: 3 }
    );
}

#[test]
fn messages_over_the_limit_are_refused_before_they_leave() {
    let too_large = |result: Result<(), TransportError>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error.kind(), TransportErrorKind::MessageTooLarge { len: 11, limit: 10 }),
            "{error:?}"
        );
        assert!(error.is_too_large() && !error.is_disconnected());
    };
    let payload = || b"0123456789a".as_slice().into();
    let mut bench = Bench::controller(TransportConfig::default().max_message_len(10));
    let connection = &mut bench.connection;
    too_large(
        connection.request(Operation::application(0x20), Format::None, payload(), Order::Any).map(drop),
    );
    too_large(connection.notice(Operation::application(0x21), Format::None, payload()));
    let request = bench.served(1);
    too_large(bench.connection.reply(request, AnswerKind::Reply, Format::None, payload()));
    bench.connection.refuse(request, Refusal::TooLarge);
    assert_eq!(bench.sent(), frame(1, Operation::FAIL, 0, &[3]));
    bench.assert_idle();

    // An agent keeps to what its controller said.
    let mut bench = Bench::new(|now| Connection::agent(now, TransportConfig::default()).unwrap());
    bench.feed(&frame(0, Operation::START, 0, &start_payload(1, 10))).unwrap();
    too_large(bench.connection.notice(Operation::application(0x21), Format::None, payload()));
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let now = Instant::now();
    for config in [
        TransportConfig::default().frame_len(0),
        TransportConfig::default().frame_len(2 << 20),
        TransportConfig::default().max_frame_len(1 << 40),
        TransportConfig::default().stream_window(0),
        TransportConfig::default().stream_window(u32::MAX),
    ] {
        let error = Connection::agent(now, config).unwrap_err();
        assert!(matches!(error.kind(), TransportErrorKind::InvalidConfig { .. }));
    }
    let start = StartOptions::new().options(vec![0; 2 << 20]);
    let error = Connection::controller(now, start, TransportConfig::default()).unwrap_err();
    assert!(error.is_too_large());
}
