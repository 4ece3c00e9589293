//! Before the first request.

use super::*;
use crate::connection::{Hello, Start};

#[test]
fn controller_sends_all_it_has_without_waiting() {
    let start = StartOptions::new().preamble("agent").nonce(Nonce::new(NONCE)).options("options");
    let config = TransportConfig::default().max_message_len(1 << 30);
    let mut bench = Bench::new(|now| Connection::controller(now, start, config).unwrap());
    bench.call(b"call");
    let expected = [
        b"agent".to_vec(),
        frame(0, Operation::START, 0, &start_payload(1, 1 << 30)),
        frame(2, Operation::application(0x20), MARSHAL, b"call"),
    ];
    assert_eq!(bench.sent(), expected.concat());
}

#[test]
fn noise_is_kept_and_not_read() {
    let hello = frame(0, Operation::HELLO, MARSHAL, b"\0\x01dict");
    let frames = [NONCE.as_slice(), &hello].concat();
    for noise in [b"".as_slice(), b"motd\n", &NONCE[..15], b"0123456789abcd0123456789abcde", &hello] {
        for step in 1..frames.len() + noise.len() {
            let mut bench = Bench::starting(TransportConfig::default());
            for piece in [noise, &frames].concat().chunks(step) {
                bench.feed(piece).unwrap();
            }
            let hello = Hello { format: Format::Marshal, payload: Bytes::from_static(b"dict") };
            assert_eq!(bench.events(), [Event::Hello(hello)]);
            assert_eq!(bench.connection.noise(), noise);
            assert_eq!(bench.connection.next_timeout(), None);
        }
    }
}

#[test]
fn of_long_noise_the_tail_is_kept() {
    let mut bench = Bench::starting(TransportConfig::default());
    let noise: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    bench.feed(&noise).unwrap();
    assert_eq!(bench.connection.noise(), noise);
    bench.feed(&[NONCE.as_slice(), &frame(0, Operation::HELLO, 0, &[0, 1])].concat()).unwrap();
    assert_eq!(bench.connection.noise(), &noise[noise.len() - (4 << 10)..]);
}

#[test]
fn endless_noise_ends_the_connection_in_bounded_memory() {
    for step in [1, 7, 100, 1000] {
        let mut bench = Bench::starting(TransportConfig::default().max_noise(100));
        let error = (0..).find_map(|_| bench.feed(&vec![b'x'; step]).err()).unwrap();
        assert!(matches!(error.kind(), TransportErrorKind::TooMuchNoise { limit: 100 }));
        assert_eq!(bench.connection.noise(), [b'x'; 100]);
    }
    let mut bench = Bench::starting(TransportConfig::default().max_noise(100));
    bench.feed(&[&[b'x'; 100], NONCE.as_slice()].concat()).unwrap();
}

#[test]
fn versions_that_differ_are_both_named() {
    let mut bench = Bench::starting(TransportConfig::default());
    bench.feed(&NONCE).unwrap();
    let error = bench.feed(&frame(0, Operation::HELLO, 0, &[1, 2])).unwrap_err();
    assert_eq!(error.kind().to_string(), "peer speaks version 258 of the protocol, this side 1");

    let mut bench = Bench::new(|now| Connection::agent(now, TransportConfig::default()).unwrap());
    let error = bench.feed(&frame(0, Operation::START, 0, &start_payload(2, 1))).unwrap_err();
    assert_eq!(error.kind().to_string(), "peer speaks version 2 of the protocol, this side 1");
    // The controller, too, gets to name both.
    assert_eq!(bench.sent(), [NONCE.as_slice(), &frame(0, Operation::HELLO, 0, &[0, 1])].concat());
}

#[test]
fn agent_says_nothing_before_its_hello() {
    let mut bench = Bench::new(|now| Connection::agent(now, TransportConfig::default()).unwrap());
    let payload = b"name".as_slice().into();
    bench.connection.request(Operation::application(0x22), Format::Marshal, payload, Order::Any).unwrap();
    assert_eq!(bench.sent(), []);
    bench.feed(&frame(0, Operation::START, 0, &start_payload(1, 77))).unwrap();
    let start = Start { max_message_len: 77, options: Bytes::from_static(b"options") };
    assert_eq!(bench.events(), [Event::Started(start)]);
    assert_eq!(bench.sent(), NONCE);
    bench.connection.send_hello(Format::Marshal, b"dict".as_slice().into()).unwrap();
    let expected = [
        frame(0, Operation::HELLO, MARSHAL, b"\0\x01dict"),
        frame(1, Operation::application(0x22), MARSHAL, b"name"),
    ];
    assert_eq!(bench.sent(), expected.concat());
}

#[test]
fn hello_before_start_waits_for_the_nonce() {
    let mut bench = Bench::new(|now| Connection::agent(now, TransportConfig::default()).unwrap());
    bench.connection.send_hello(Format::None, Bytes::new().into()).unwrap();
    assert_eq!(bench.sent(), []);
    bench.feed(&frame(0, Operation::START, 0, &start_payload(1, 77))).unwrap();
    assert_eq!(bench.sent(), [NONCE.as_slice(), &frame(0, Operation::HELLO, 0, &[0, 1])].concat());
}

#[test]
fn first_frame_must_be_the_handshake() {
    for (request, operation, flags, expected) in [
        (0, Operation::PING, 0, PeerFault::HandshakeExpected { operation: Operation::PING }),
        (1, Operation::HELLO, 0, PeerFault::HandshakeExpected { operation: Operation::HELLO }),
        (0, Operation::HELLO, MORE, PeerFault::MoreUnexpected { operation: Operation::HELLO }),
        (0, Operation::START, 0, PeerFault::HandshakeExpected { operation: Operation::START }),
    ] {
        let mut bench = Bench::starting(TransportConfig::default());
        bench.feed(&NONCE).unwrap();
        assert_eq!(bench.refuse(request, operation, flags, &[0, 1]), expected);
    }
    let mut bench = Bench::starting(TransportConfig::default());
    bench.feed(&NONCE).unwrap();
    let expected = PeerFault::WrongLength { operation: Operation::HELLO, len: 1 };
    assert_eq!(bench.refuse(0, Operation::HELLO, 0, &[0]), expected);
    let mut bench = Bench::new(|now| Connection::agent(now, TransportConfig::default()).unwrap());
    let expected = PeerFault::WrongLength { operation: Operation::START, len: 25 };
    assert_eq!(bench.refuse(0, Operation::START, 0, &start_payload(1, 1)[..25]), expected);
}

#[test]
fn handshake_happens_once() {
    let mut bench = Bench::controller(TransportConfig::default());
    let expected = PeerFault::OperationUnexpected { operation: Operation::HELLO };
    assert_eq!(bench.refuse(0, Operation::HELLO, 0, &[0, 1]), expected);
    let mut bench = Bench::agent(TransportConfig::default());
    let expected = PeerFault::OperationUnexpected { operation: Operation::START };
    assert_eq!(bench.refuse(0, Operation::START, 0, &start_payload(1, 1)), expected);
}

#[test]
fn silence_ends_in_time() {
    let mut bench = Bench::starting(TransportConfig::default().handshake_timeout(Duration::from_secs(9)));
    assert_eq!(bench.connection.next_timeout(), Some(bench.now + Duration::from_secs(9)));
    bench.pass(Duration::from_secs(8)).unwrap();
    bench.feed(b"noise is no answer").unwrap();
    let error = bench.pass(Duration::from_secs(1)).unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(error.kind().to_string(), "no answer from the peer within 9s");
    assert_eq!(bench.connection.next_timeout(), None);
    assert!(bench.feed(&NONCE).is_err());
    let bench = Bench::starting(TransportConfig::default().handshake_timeout(None));
    assert_eq!(bench.connection.next_timeout(), None);
}

#[test]
fn end_of_input_is_told_apart_by_its_place() {
    let end = |bench: &mut Bench| bench.connection.handle_eof().unwrap_err().kind().clone();
    let mut bench = Bench::starting(TransportConfig::default());
    bench.feed(b"sorry").unwrap();
    assert!(matches!(end(&mut bench), TransportErrorKind::NoHandshake));
    assert_eq!(bench.connection.noise(), b"sorry");

    let mut bench = Bench::controller(TransportConfig::default());
    assert!(matches!(end(&mut bench), TransportErrorKind::Disconnected));

    let reply = frame(2, Operation::REPLY, 0, b"result");
    for cut in 1..reply.len() {
        let mut bench = Bench::controller(TransportConfig::default());
        bench.sent_call();
        bench.feed(&reply[..cut]).unwrap();
        assert!(matches!(end(&mut bench), TransportErrorKind::Truncated));
    }
    let mut bench = Bench::controller(TransportConfig::default());
    bench.sent_call();
    bench.take(2, Operation::REPLY, MORE, b"half");
    assert!(matches!(end(&mut bench), TransportErrorKind::Truncated));

    let mut bench = Bench::agent(TransportConfig::default());
    bench.connection.handle_eof().unwrap();
    let mut bench = Bench::agent(TransportConfig::default());
    bench.feed(&[0]).unwrap();
    assert!(matches!(end(&mut bench), TransportErrorKind::Truncated));
}
