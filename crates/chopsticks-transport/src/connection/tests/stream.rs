//! Byte streams.

use super::*;
use crate::connection::StreamRead;

fn config() -> TransportConfig {
    TransportConfig::default().frame_len(4).stream_window(8)
}

fn data(bytes: &'static [u8]) -> StreamRead {
    StreamRead::Data(Bytes::from_static(bytes))
}

#[test]
fn reader_gives_credit_as_it_reads() {
    let mut bench = Bench::controller(config());
    let request = bench.call(b"call");
    bench.connection.open_reader(request).unwrap();
    assert!(bench.connection.open_reader(request).is_err());
    let expected = [
        frame(2, Operation::application(0x20), MARSHAL, b"call"),
        frame(2, Operation::CREDIT, 0, &[0, 0, 0, 8]),
    ];
    assert_eq!(bench.sent(), expected.concat());
    assert_eq!(bench.connection.stream_read(request, 99).unwrap(), StreamRead::Pending);
    bench.take(2, Operation::DATA, 0, b"01234567");
    assert_eq!(bench.events(), [Event::Readable { request }]);
    assert_eq!(bench.connection.stream_read(request, 1).unwrap(), data(b"0"));
    // A byte is not worth a frame; a quarter of the window is.
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.connection.stream_read(request, 5).unwrap(), data(b"12345"));
    assert_eq!(bench.sent(), frame(2, Operation::CREDIT, 0, &[0, 0, 0, 6]));
    bench.take(2, Operation::DATA, 0, b"89abcd");
    bench.take(2, Operation::REPLY, 0, b"");
    bench.take(2, Operation::END, 0, b"");
    let mut came = Vec::new();
    while let StreamRead::Data(bytes) = bench.connection.stream_read(request, 99).unwrap() {
        came.extend_from_slice(&bytes);
    }
    assert_eq!(came, b"6789abcd");
    bench.assert_idle();
}

#[test]
fn data_beyond_the_window_is_refused() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.take(2, Operation::DATA, 0, b"0123456");
    let expected = PeerFault::DataBeyondCredit { len: 2, credit: 1 };
    assert_eq!(bench.refuse(2, Operation::DATA, 0, b"78"), expected);
}

#[test]
fn data_after_the_end_is_refused() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.take(2, Operation::END, 0, b"");
    bench.take(2, Operation::END, 0, b"");
    assert_eq!(bench.refuse(2, Operation::DATA, 0, b"x"), PeerFault::DataAfterEnd);
}

#[test]
fn stream_broken_off_is_no_end() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.take(2, Operation::DATA, 0, b"part");
    bench.take(2, Operation::END, 0, &[0, 0, 0, 7]);
    assert_eq!(bench.connection.stream_read(request, 99).unwrap(), data(b"part"));
    let error = bench.connection.stream_read(request, 99).unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::StreamAborted { reason: 7 }));
}

#[test]
fn writer_keeps_to_its_credit() {
    let mut bench = Bench::controller(config());
    let request = bench.call(b"call");
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_write(request, Bytes::from_static(b"012345678")).unwrap();
    assert_eq!(bench.connection.stream_room(request).unwrap(), 0);
    assert_eq!(bench.sent(), frame(2, Operation::application(0x20), MARSHAL, b"call"));
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 6]);
    assert_eq!(
        bench.sent(),
        [frame(2, Operation::DATA, 0, b"0123"), frame(2, Operation::DATA, 0, b"45")].concat()
    );
    assert_eq!(bench.events(), [Event::Writable { request }]);
    assert_eq!(bench.connection.stream_room(request).unwrap(), 5);
    bench.connection.stream_finish(request).unwrap();
    assert!(bench.connection.stream_write(request, Bytes::from_static(b"x")).is_err());
    assert_eq!(bench.sent(), []);
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 6]);
    assert_eq!(
        bench.sent(),
        [frame(2, Operation::DATA, 0, b"678"), frame(2, Operation::END, 0, b"")].concat()
    );
    bench.take(2, Operation::REPLY, 0, b"");
    bench.events();
    bench.assert_idle();
}

#[test]
fn presumed_credit_lets_the_first_bytes_follow_the_request() {
    let mut bench = Bench::controller(config());
    let request = bench.call(b"call");
    bench.connection.open_writer(request).unwrap();
    bench.connection.presume_credit(request, 5);
    bench.connection.stream_write(request, Bytes::from_static(b"0123456")).unwrap();
    let expected = [
        frame(2, Operation::application(0x20), MARSHAL, b"call"),
        frame(2, Operation::DATA, 0, b"0123"),
        frame(2, Operation::DATA, 0, b"4"),
    ];
    assert_eq!(bench.sent(), expected.concat());
    // It is not taken for a stream that the peer has not asked for, so it goes on after the answer.
    bench.take(2, Operation::REPLY, 0, b"");
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 9]);
    bench.connection.stream_finish(request).unwrap();
    assert_eq!(
        bench.sent(),
        [frame(2, Operation::DATA, 0, b"56"), frame(2, Operation::END, 0, b"")].concat()
    );
}

#[test]
fn end_of_a_stream_is_reported_when_it_has_left() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_write(request, Bytes::from_static(b"01")).unwrap();
    bench.connection.stream_finish(request).unwrap();
    assert!(!bench.connection.stream_has_ended(request));
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 1]);
    assert_eq!(bench.sent(), frame(2, Operation::DATA, 0, b"0"));
    bench.events();
    assert!(!bench.connection.stream_has_ended(request));
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 1]);
    assert_eq!(bench.sent(), [frame(2, Operation::DATA, 0, b"1"), frame(2, Operation::END, 0, b"")].concat());
    assert_eq!(bench.events(), [Event::Writable { request }]);
    assert!(bench.connection.stream_has_ended(request));
    bench.take(2, Operation::REPLY, 0, b"");
    bench.events();
    bench.assert_idle();
    assert!(bench.connection.stream_has_ended(request));
}

#[test]
fn reset_that_comes_with_the_request_is_not_lost() {
    let mut bench = Bench::agent(config());
    let request = bench.served(2);
    bench.take(2, Operation::RESET, 0, &[0; 4]);
    let error = bench.connection.open_writer(request).unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::StreamReset { reason: 0 }), "{error}");
    bench.reply(request, b"fine");
    assert_eq!(bench.sent(), frame(2, Operation::REPLY, MARSHAL, b"fine"));
    bench.assert_idle();
}

#[test]
fn small_writes_share_frames() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_writer(request).unwrap();
    for piece in [b"0".as_slice(), b"12", b"3", b"45"] {
        bench.connection.stream_write(request, Bytes::from_static(piece)).unwrap();
    }
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 9]);
    assert_eq!(
        bench.sent(),
        [frame(2, Operation::DATA, 0, b"0123"), frame(2, Operation::DATA, 0, b"45")].concat()
    );
}

#[test]
fn credit_may_add_up_to_the_limit_and_no_further() {
    let mut bench = Bench::controller(config());
    bench.sent_call();
    bench.take(2, Operation::CREDIT, 0, &[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(bench.refuse(2, Operation::CREDIT, 0, &[0, 0, 0, 1]), PeerFault::CreditOverflow);
}

#[test]
fn reset_stops_the_sender() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_write(request, Bytes::from_static(b"012345678")).unwrap();
    bench.take(2, Operation::RESET, 0, &[0, 0, 0, 5]);
    assert_eq!(bench.sent(), frame(2, Operation::END, 0, b""));
    assert_eq!(bench.events(), [Event::Writable { request }]);
    let error = bench.connection.stream_write(request, Bytes::from_static(b"x")).unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::StreamReset { reason: 5 }));
    bench.take(2, Operation::RESET, 0, &[0, 0, 0, 5]);
    bench.take(2, Operation::CREDIT, 0, &[0, 0, 0, 5]);
    bench.take(2, Operation::REPLY, 0, b"");
    bench.events();
    bench.assert_idle();
}

#[test]
fn reader_that_has_enough_resets() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.sent();
    bench.take(2, Operation::DATA, 0, b"0123");
    bench.connection.stream_reset(request, 3);
    assert_eq!(bench.sent(), frame(2, Operation::RESET, 0, &[0, 0, 0, 3]));
    bench.take(2, Operation::DATA, 0, b"4567");
    bench.take(2, Operation::REPLY, 0, b"");
    bench.events();
    bench.take(2, Operation::END, 0, b"");
    bench.assert_idle();
}

#[test]
fn failure_ends_both_streams() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.connection.open_writer(request).unwrap();
    bench.take(2, Operation::DATA, 0, b"part");
    bench.take(2, Operation::FAIL, 0, b"why");
    bench.events();
    assert!(bench.connection.stream_read(request, 99).is_err());
    assert!(bench.connection.stream_write(request, Bytes::from_static(b"x")).is_err());
    bench.assert_idle();

    let mut bench = Bench::controller(config());
    let request = bench.served(1);
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_write(request, Bytes::from_static(b"part")).unwrap();
    bench.take(1, Operation::CREDIT, 0, &[0, 0, 0, 9]);
    bench.connection.reply(request, AnswerKind::Fail, Format::None, b"why".as_slice().into()).unwrap();
    assert_eq!(bench.sent(), frame(1, Operation::FAIL, 0, b"why"));
    bench.take(1, Operation::END, 0, b"");
    bench.assert_idle();
}

#[test]
fn credit_for_a_stream_that_will_not_come_is_answered() {
    // Before the reply: the end goes with it.
    let mut bench = Bench::controller(config());
    let request = bench.served(1);
    bench.take(1, Operation::CREDIT, 0, &[0, 0, 0, 9]);
    bench.reply(request, b"");
    let end = frame(1, Operation::END, 0, &[0; 4]);
    assert_eq!(bench.sent(), [frame(1, Operation::REPLY, MARSHAL, b""), end.clone()].concat());
    // After it.
    bench.take(1, Operation::CREDIT, 0, &[0, 0, 0, 9]);
    assert_eq!(bench.sent(), end);
    let flood = frame(1, Operation::CREDIT, 0, &[0, 0, 0, 9]).repeat(10_000);
    assert_eq!(fault(bench.feed(&flood)), PeerFault::TooManyQuestions);
}

#[test]
fn stream_that_the_peer_does_not_want_is_over_with_the_reply() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_write(request, Bytes::from_static(b"never")).unwrap();
    bench.take(2, Operation::REPLY, 0, b"");
    assert_eq!(bench.events().len(), 2);
    assert_eq!(bench.sent(), frame(2, Operation::END, 0, b""));
    assert!(bench.connection.stream_write(request, Bytes::from_static(b"x")).is_err());
    bench.assert_idle();
}

#[test]
fn whoever_answers_asks_whether_its_stream_is_wanted() {
    let mut bench = Bench::controller(config());
    let request = bench.served(1);
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_write(request, Bytes::from_static(b"bytes")).unwrap();
    bench.reply(request, b"");
    assert!(bench.connection.open_reader(request).is_err());
    let expected = [frame(1, Operation::REPLY, MARSHAL, b""), frame(1, Operation::DATA, 0, b"")];
    assert_eq!(bench.sent(), expected.concat());
    bench.take(1, Operation::RESET, 0, &[0; 4]);
    assert_eq!(bench.sent(), frame(1, Operation::END, 0, b""));
    bench.events();
    bench.assert_idle();

    let mut bench = Bench::controller(config());
    bench.sent_call();
    bench.take(2, Operation::REPLY, 0, b"");
    bench.take(2, Operation::DATA, 0, b"");
    assert_eq!(bench.sent(), frame(2, Operation::RESET, 0, &[0; 4]));
    bench.take(2, Operation::END, 0, b"");
    bench.events();
    bench.assert_idle();
}

#[test]
fn writer_that_gives_up_says_so() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_write(request, Bytes::from_static(b"012345678")).unwrap();
    bench.connection.stream_abort(request, 6);
    bench.connection.stream_abort(request, 7);
    assert_eq!(bench.sent(), frame(2, Operation::END, 0, &[0, 0, 0, 6]));
}

#[test]
fn nothing_of_a_stream_leaves_before_its_request() {
    let mut bench = Bench::controller(config());
    let request = bench.call(b"0123456");
    bench.connection.open_reader(request).unwrap();
    bench.connection.open_writer(request).unwrap();
    bench.connection.stream_finish(request).unwrap();
    assert_eq!(bench.sent_once(), frame(2, Operation::application(0x20), MARSHAL | MORE, b"0123"));
    let rest = [
        frame(2, Operation::application(0x20), MARSHAL, b"456"),
        frame(2, Operation::CREDIT, 0, &[0, 0, 0, 8]),
        frame(2, Operation::END, 0, b""),
    ];
    assert_eq!(bench.sent(), rest.concat());
}

#[test]
fn what_came_before_the_end_is_read_although_the_request_failed() {
    let mut bench = Bench::controller(config());
    let request = bench.sent_call();
    bench.connection.open_reader(request).unwrap();
    bench.take(2, Operation::DATA, 0, b"0123");
    bench.take(2, Operation::END, 0, b"");
    bench.take(2, Operation::FAIL, 0, b"why");
    assert_eq!(bench.connection.stream_read(request, 99).unwrap(), data(b"0123"));
    assert_eq!(bench.connection.stream_read(request, 99).unwrap(), StreamRead::End);
    bench.sent();
    bench.assert_idle();
}

#[test]
fn part_of_the_window_may_be_taken_for_given() {
    let mut bench = Bench::controller(config());
    let request = bench.call(b"call");
    bench.connection.open_reader(request).unwrap();
    bench.connection.presume_allowance(request, 5);
    let expected = [
        frame(2, Operation::application(0x20), MARSHAL, b"call"),
        frame(2, Operation::CREDIT, 0, &[0, 0, 0, 3]),
    ];
    assert_eq!(bench.sent(), expected.concat());
    bench.take(2, Operation::DATA, 0, b"01234567");
    assert_eq!(bench.refuse(2, Operation::DATA, 0, b"8"), PeerFault::DataBeyondCredit { len: 1, credit: 0 });
}

#[test]
fn window_is_no_smaller_than_what_is_taken_for_given() {
    let mut bench = Bench::controller(config());
    let request = bench.call(b"call");
    bench.connection.open_reader(request).unwrap();
    bench.connection.presume_allowance(request, 9);
    assert_eq!(bench.sent(), frame(2, Operation::application(0x20), MARSHAL, b"call"));
    bench.take(2, Operation::DATA, 0, b"012345678");
}

#[test]
fn first_bytes_may_follow_a_request_whose_stream_is_opened_at_once() {
    let mut bench = Bench::agent(config());
    bench.connection.open_readers_of(Operation::application(0x27), 6);
    let request = RequestId::new(2).unwrap();
    let frames = [
        frame(2, Operation::application(0x27), MARSHAL, b"run"),
        frame(2, Operation::DATA, 0, b"012345"),
        frame(4, Operation::application(0x20), MARSHAL, b"call"),
    ];
    bench.feed(&frames.concat()).unwrap();
    assert_eq!(bench.connection.stream_read(request, 99).unwrap(), data(b"012345"));
    // Nothing of the kind holds for requests with other operations.
    assert_eq!(bench.refuse(4, Operation::DATA, 0, b"8"), PeerFault::DataBeyondCredit { len: 1, credit: 0 });
}
