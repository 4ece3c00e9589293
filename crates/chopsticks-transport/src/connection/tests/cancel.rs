//! Requests that are given up.

use super::*;

#[test]
fn request_that_has_not_left_is_as_if_never_made() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let request = bench.call(b"0123456789");
    bench.connection.open_reader(request).unwrap();
    bench.connection.cancel(bench.now, request);
    bench.assert_idle();
    // Also if its turn comes after notices.
    bench.connection.notice(Operation::MODULES, Format::None, b"x".as_slice().into()).unwrap();
    let payload = b"call".as_slice().into();
    let order = Order::AfterNotices;
    let request = bench.connection.request(Operation::CALL, Format::None, payload, order).unwrap();
    bench.connection.cancel(bench.now, request);
    assert_eq!(bench.sent(), frame(0, Operation::MODULES, 0, b"x"));
    bench.assert_idle();
}

#[test]
fn request_half_sent_is_cut_short() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let request = bench.call(b"0123456789");
    assert_eq!(bench.sent_once(), frame(2, Operation::CALL, MARSHAL | MORE, b"0123"));
    bench.connection.cancel(bench.now, request);
    assert_eq!(bench.sent(), frame(2, Operation::CANCEL, 0, b""));
    bench.take(2, Operation::FAIL, 0, &[2]);
    assert_eq!(bench.events(), [Event::CancelAcknowledged { request }]);
    bench.assert_idle();
}

#[test]
fn late_reply_to_cancelled_request_is_swallowed() {
    let mut bench = Bench::controller(TransportConfig::default());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.connection.open_writer(request).unwrap();
    bench.sent();
    bench.connection.stream_write(request, Bytes::from_static(b"never sent")).unwrap();
    bench.take(2, Operation::REPLY, MORE | MARSHAL, b"some");
    bench.connection.cancel(bench.now, request);
    bench.connection.cancel(bench.now, request);
    assert_eq!(bench.connection.buffered, 0);
    assert_eq!(bench.sent(), frame(2, Operation::CANCEL, 0, b""));
    // What was under way is dropped.
    bench.take(2, Operation::DATA, 0, b"data");
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 9]);
    bench.take(2, Operation::END, 0, b"");
    bench.take(2, Operation::REPLY, MARSHAL, b"more");
    assert_eq!(bench.events(), [Event::CancelAcknowledged { request }]);
    bench.take(2, Operation::DATA, 0, b"late");
    bench.take(2, Operation::END, 0, b"");
    bench.take(2, Operation::RESET, 0, &[0; 4]);
    bench.assert_idle();
}

#[test]
fn peer_that_does_not_end_a_cancelled_request_is_given_up() {
    let mut bench = Bench::controller(TransportConfig::default().cancel_grace(Duration::from_secs(5)));
    let first = bench.sent_call();
    let second = bench.sent_call();
    bench.connection.cancel(bench.now, first);
    bench.now += Duration::from_secs(1);
    bench.connection.cancel(bench.now, second);
    bench.take(2, Operation::REPLY, 0, b"");
    assert_eq!(bench.connection.next_timeout(), Some(bench.now + Duration::from_secs(5)));
    bench.pass(Duration::from_secs(4)).unwrap();
    let error = bench.pass(Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::CancelTimeout { .. }));
    assert_eq!(error.request(), Some(second));
    assert!(error.is_timeout());
}

#[test]
fn long_reply_to_cancelled_request_may_take_its_time() {
    let mut bench = Bench::controller(TransportConfig::default().cancel_grace(Duration::from_secs(5)));
    let request = bench.sent_call();
    bench.connection.cancel(bench.now, request);
    for _ in 0..10 {
        bench.pass(Duration::from_secs(3)).unwrap();
        bench.take(2, Operation::REPLY, MORE, b"x");
    }
    bench.pass(Duration::from_secs(4)).unwrap();
    assert!(bench.pass(Duration::from_secs(1)).is_err());
}

#[test]
fn peer_learns_of_cancel_while_serving() {
    let mut bench = Bench::controller(TransportConfig::default());
    let request = bench.served(1);
    bench.take(1, Operation::CANCEL, 0, b"");
    bench.take(1, Operation::CANCEL, 0, b"");
    assert_eq!(bench.events(), [Event::Cancelled { request }]);
    bench.reply(request, b"too late");
    assert_eq!(bench.sent(), frame(1, Operation::REPLY, MARSHAL, b"too late"));
    // The two may cross.
    bench.take(1, Operation::CANCEL, 0, b"");
    assert_eq!(bench.events(), []);
    bench.assert_idle();
}

#[test]
fn request_cancelled_before_it_was_complete_is_refused() {
    let mut bench = Bench::controller(TransportConfig::default());
    bench.take(1, Operation::IMPORT, MORE, b"half");
    bench.take(1, Operation::CANCEL, 0, b"");
    assert_eq!(bench.events(), []);
    assert_eq!(bench.sent(), frame(1, Operation::FAIL, 0, &[2]));
    bench.assert_idle();
}

#[test]
fn rest_of_a_reply_that_nobody_wants_is_not_sent() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let request = bench.served(1);
    bench.reply(request, b"0123456789");
    assert_eq!(bench.sent_once(), frame(1, Operation::REPLY, MARSHAL | MORE, b"0123"));
    bench.take(1, Operation::CANCEL, 0, b"");
    assert_eq!(bench.sent(), frame(1, Operation::FAIL, 0, &[2]));
    bench.events();
    bench.assert_idle();
}

#[test]
fn streams_after_the_reply_can_be_cancelled() {
    let mut bench = Bench::controller(TransportConfig::default());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.sent();
    bench.take(2, Operation::REPLY, 0, b"");
    bench.events();
    bench.connection.cancel(bench.now, request);
    assert_eq!(bench.sent(), frame(2, Operation::CANCEL, 0, b""));
    bench.assert_idle();
}
