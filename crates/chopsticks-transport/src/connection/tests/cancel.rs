//! Requests that are given up.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn config(max_abandoned: usize) -> TransportConfig {
    TransportConfig::default().cancel_grace(5 * SECOND).max_abandoned_requests(max_abandoned)
}

#[test]
fn request_that_has_not_left_is_as_if_never_made() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let request = bench.call(b"0123456789");
    bench.connection.open_reader(request).unwrap();
    bench.connection.cancel(bench.now, request);
    bench.assert_idle();
    // Also if its turn comes after notices.
    bench.connection.notice(Operation::application(0x21), Format::None, b"x".as_slice().into()).unwrap();
    let payload = b"call".as_slice().into();
    let order = Order::AfterNotices;
    let request =
        bench.connection.request(Operation::application(0x20), Format::None, payload, order).unwrap();
    bench.connection.cancel(bench.now, request);
    assert_eq!(bench.sent(), frame(0, Operation::application(0x21), 0, b"x"));
    bench.assert_idle();
}

#[test]
fn request_half_sent_is_cut_short() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let request = bench.call(b"0123456789");
    assert_eq!(bench.sent_once(), frame(2, Operation::application(0x20), MARSHAL | MORE, b"0123"));
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
fn request_that_the_peer_does_not_end_is_abandoned_and_the_connection_lives() {
    let mut bench = Bench::controller(config(128));
    let first = bench.sent_call();
    let second = bench.sent_call();
    bench.connection.cancel(bench.now, first);
    bench.now += SECOND;
    bench.connection.cancel(bench.now, second);
    bench.sent();
    bench.take(2, Operation::REPLY, 0, b"");
    assert_eq!(bench.connection.next_timeout(), Some(bench.now + 5 * SECOND));
    bench.pass(4 * SECOND).unwrap();
    assert_eq!(bench.sent(), []);
    bench.pass(SECOND).unwrap();
    assert_eq!(bench.sent(), frame(0, Operation::PING, 0, &[0; 8]));
    bench.take(0, Operation::PONG, 0, &[0; 8]);
    assert_eq!(bench.events(), [Event::CancelAcknowledged { request: first }]);
    // No timer runs for it any more, and its number is not used for another.
    assert_eq!(bench.connection.next_timeout(), None);
    bench.connection.numbers = Numbers::starting_at(Role::Controller, second.number());
    let third = bench.sent_call();
    assert_ne!(third, second);
    bench.take(third.number(), Operation::REPLY, 0, b"");
    assert!(matches!(bench.events().as_slice(), [Event::Reply { .. }]));
    bench.take(second.number(), Operation::FAIL, 0, &[2]);
    assert_eq!(bench.events(), [Event::CancelAcknowledged { request: second }]);
    bench.assert_idle();
}

#[test]
fn peer_that_answers_neither_a_cancel_nor_a_ping_is_given_up() {
    let mut bench = Bench::controller(config(128));
    let request = bench.sent_call();
    bench.connection.cancel(bench.now, request);
    bench.pass(5 * SECOND).unwrap();
    bench.pass(4 * SECOND).unwrap();
    // Whatever comes is a sign of life.
    bench.feed(&[0]).unwrap();
    bench.pass(4 * SECOND).unwrap();
    let error = bench.pass(SECOND).unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::CancelTimeout { .. }));
    assert_eq!(error.request(), Some(request));
    assert!(error.is_timeout() && error.is_disconnected());
}

#[test]
fn peer_far_away_has_time_to_answer_a_ping_whatever_the_grace() {
    let mut bench = Bench::controller(TransportConfig::default().cancel_grace(SECOND / 10));
    let request = bench.sent_call();
    bench.connection.cancel(bench.now, request);
    bench.sent();
    bench.pass(SECOND / 10).unwrap();
    assert_eq!(bench.sent(), frame(0, Operation::PING, 0, &[0; 8]));
    bench.pass(4 * SECOND).unwrap();
    bench.take(0, Operation::PONG, 0, &[0; 8]);
    bench.pass(60 * SECOND).unwrap();
    bench.take(request.number(), Operation::FAIL, 0, &[2]);
    assert_eq!(bench.events(), [Event::CancelAcknowledged { request }]);
    bench.assert_idle();
}

#[test]
fn requests_are_refused_while_too_many_are_abandoned() {
    let mut bench = Bench::controller(config(2));
    let other = bench.sent_call();
    let requests = [bench.sent_call(), bench.sent_call()];
    requests.iter().for_each(|request| bench.connection.cancel(bench.now, *request));
    bench.pass(5 * SECOND).unwrap();
    bench.take(0, Operation::PONG, 0, &[0; 8]);
    let payload = b"call".as_slice().into();
    let refused =
        bench.connection.request(Operation::application(0x20), Format::Marshal, payload, Order::Any);
    let error = refused.unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::TooManyAbandoned { limit: 2 }), "{error:?}");
    assert!(!error.is_disconnected());
    // When one has ended, there is room again; the other request is not touched.
    bench.take(requests[0].number(), Operation::FAIL, 0, &[2]);
    bench.sent();
    let next = bench.sent_call();
    bench.take(next.number(), Operation::REPLY, 0, b"");
    bench.take(other.number(), Operation::REPLY, 0, b"");
}

#[test]
fn connection_with_nothing_but_too_many_abandoned_requests_ends() {
    let mut bench = Bench::controller(config(2));
    let other = bench.sent_call();
    let requests = [bench.sent_call(), bench.sent_call()];
    requests.iter().for_each(|request| bench.connection.cancel(bench.now, *request));
    bench.pass(5 * SECOND).unwrap();
    bench.take(0, Operation::PONG, 0, &[0; 8]);
    let error = bench.feed(&frame(other.number(), Operation::REPLY, 0, b"")).unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::TooManyAbandoned { limit: 2 }), "{error:?}");
    // Whoever waits for the last one gets its answer first.
    assert!(matches!(bench.events().as_slice(), [Event::Reply { request, .. }] if *request == other));
}

#[test]
fn long_reply_to_cancelled_request_may_take_its_time() {
    let mut bench = Bench::controller(config(128));
    let request = bench.sent_call();
    bench.connection.cancel(bench.now, request);
    bench.sent();
    for _ in 0..10 {
        bench.pass(3 * SECOND).unwrap();
        bench.take(2, Operation::REPLY, MORE, b"x");
    }
    bench.pass(4 * SECOND).unwrap();
    assert_eq!(bench.sent(), []);
    bench.pass(SECOND).unwrap();
    assert_eq!(bench.sent(), frame(0, Operation::PING, 0, &[0; 8]));
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
    bench.take(1, Operation::application(0x22), MORE, b"half");
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
