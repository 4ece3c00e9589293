//! Keepalive.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn silent_peer_is_asked_and_then_given_up() {
    let mut bench = Bench::controller(TransportConfig::default().keepalive(10 * SECOND, 5 * SECOND));
    bench.pass(9 * SECOND).unwrap();
    assert_eq!(bench.sent(), []);
    bench.pass(SECOND).unwrap();
    assert_eq!(bench.sent(), frame(0, Operation::PING, 0, &[0; 8]));
    assert_eq!(bench.connection.next_timeout(), Some(bench.now + 5 * SECOND));
    bench.pass(4 * SECOND).unwrap();
    let error = bench.pass(SECOND).unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::KeepaliveTimeout { .. }) && error.is_timeout());
}

#[test]
fn whatever_comes_is_a_sign_of_life() {
    let mut bench = Bench::controller(TransportConfig::default().keepalive(10 * SECOND, 5 * SECOND));
    bench.sent_call();
    bench.pass(10 * SECOND).unwrap();
    bench.sent();
    bench.pass(4 * SECOND).unwrap();
    bench.feed(&[0]).unwrap();
    bench.pass(9 * SECOND).unwrap();
    assert_eq!(bench.sent(), []);
    bench.pass(SECOND).unwrap();
    assert_eq!(bench.sent(), frame(0, Operation::PING, 0, &[0, 0, 0, 0, 0, 0, 0, 1]));
}

#[test]
fn no_timer_runs_without_need() {
    let mut bench = Bench::controller(TransportConfig::default());
    bench.sent_call();
    assert_eq!(bench.connection.next_timeout(), None);
    let mut bench = Bench::controller(TransportConfig::default());
    bench.connection.ping();
    assert_eq!(bench.connection.next_timeout(), None);
    bench.take(0, Operation::PONG, 0, &[0; 8]);
    assert_eq!(bench.events(), [Event::Pong { token: 0 }]);
}
