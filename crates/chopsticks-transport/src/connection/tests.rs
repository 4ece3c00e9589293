//! The state machine against a peer that is written out byte by byte, with a made-up clock.

mod cancel;
mod handshake;
mod hostile;
mod limits;
mod stream;
mod timing;

use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{AnswerKind, Connection, Event, Message, Order, StartOptions};
use crate::config::TransportConfig;
use crate::error::{PeerFault, TransportError, TransportErrorKind};
use crate::format::Format;
use crate::nonce::Nonce;
use crate::operation::Operation;
use crate::outbox::Outbox;
use crate::request::{Numbers, RequestId, Role};

const NONCE: [u8; 16] = *b"0123456789abcdef";

/// A connection, the bytes that it has not read or written yet, and the time.
struct Bench {
    connection: Connection,
    now: Instant,
}

impl Bench {
    fn new(connection: impl FnOnce(Instant) -> Connection) -> Self {
        let now = Instant::now();
        Self { connection: connection(now), now }
    }

    /// A controller that has sent `START` and nothing else.
    fn starting(config: TransportConfig) -> Self {
        let start = StartOptions::new().nonce(Nonce::new(NONCE));
        let mut bench = Self::new(|now| Connection::controller(now, start, config).unwrap());
        bench.sent();
        bench
    }

    /// A controller whose agent has answered.
    fn controller(config: TransportConfig) -> Self {
        let mut bench = Self::starting(config);
        bench.feed(&[&NONCE, frame(0, Operation::HELLO, 0, &[0, 1]).as_slice()].concat()).unwrap();
        assert!(matches!(bench.connection.poll_event(), Some(Event::Hello(_))));
        bench
    }

    /// An agent that has answered its controller.
    fn agent(config: TransportConfig) -> Self {
        let mut bench = Self::new(|now| Connection::agent(now, config).unwrap());
        bench.feed(&frame(0, Operation::START, 0, &start_payload(1, 1 << 30))).unwrap();
        assert!(matches!(bench.connection.poll_event(), Some(Event::Started(_))));
        bench.connection.send_hello(Format::None, Bytes::new().into()).unwrap();
        bench.sent();
        bench
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.connection.handle_input(self.now, bytes)
    }

    /// Feeds one frame that must be accepted.
    fn take(&mut self, request: u32, operation: Operation, flags: u8, payload: &[u8]) {
        self.feed(&frame(request, operation, flags, payload)).unwrap();
    }

    /// Feeds one frame that must be refused.
    fn refuse(&mut self, request: u32, operation: Operation, flags: u8, payload: &[u8]) -> PeerFault {
        fault(self.feed(&frame(request, operation, flags, payload)))
    }

    /// Returns all bytes that the connection has to say.
    fn sent(&mut self) -> Vec<u8> {
        let mut outbox = Outbox::new();
        self.connection.transmit(&mut outbox, usize::MAX);
        drain(&mut outbox)
    }

    /// Returns the bytes of at least one frame, if the connection has something to say.
    fn sent_once(&mut self) -> Vec<u8> {
        let mut outbox = Outbox::new();
        self.connection.transmit(&mut outbox, 1);
        drain(&mut outbox)
    }

    fn call(&mut self, payload: &'static [u8]) -> RequestId {
        let payload = payload.into();
        self.connection.request(Operation::application(0x20), Format::Marshal, payload, Order::Any).unwrap()
    }

    /// Makes a request that has left.
    fn sent_call(&mut self) -> RequestId {
        let request = self.call(b"call");
        assert_eq!(self.sent(), frame(request.number(), Operation::application(0x20), MARSHAL, b"call"));
        request
    }

    /// Takes a request from the peer.
    fn served(&mut self, number: u32) -> RequestId {
        let operation = if number.is_multiple_of(2) {
            Operation::application(0x20)
        } else {
            Operation::application(0x22)
        };
        self.take(number, operation, MARSHAL, b"name");
        let request = RequestId::new(number).unwrap();
        let message = Message { operation, format: Format::Marshal, payload: Bytes::from_static(b"name") };
        assert_eq!(self.events(), [Event::Request { request, message }]);
        request
    }

    fn reply(&mut self, request: RequestId, payload: &'static [u8]) {
        self.connection.reply(request, AnswerKind::Reply, Format::Marshal, payload.into()).unwrap();
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.poll_event()).collect()
    }

    fn pass(&mut self, time: Duration) -> Result<(), TransportError> {
        self.now += time;
        self.connection.handle_timeout(self.now)
    }

    /// Checks that nothing is kept of any request.
    fn assert_idle(&mut self) {
        assert_eq!(self.sent(), []);
        assert!(self.connection.exchanges.is_empty(), "{:?}", self.connection.exchanges);
        assert_eq!(self.connection.peer_requests, 0);
        assert_eq!(self.connection.buffered, 0);
        assert_eq!(self.connection.queued, 0);
        assert!(self.connection.notices.is_empty());
        assert_eq!(self.connection.next_timeout(), None);
    }
}

const MARSHAL: u8 = 2;
const MORE: u8 = 0x80;

fn frame(request: u32, operation: Operation, flags: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    [&size.to_be_bytes(), &request.to_be_bytes(), [operation.code(), flags].as_slice(), payload].concat()
}

fn start_payload(version: u16, max_message_len: u64) -> Vec<u8> {
    [&version.to_be_bytes(), NONCE.as_slice(), &max_message_len.to_be_bytes(), b"options"].concat()
}

fn drain(outbox: &mut Outbox) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[])];
        outbox.slices(&mut slices);
        bytes.extend_from_slice(&slices[0]);
        let len = slices[0].len();
        outbox.advance(len);
    }
    bytes
}

fn fault(result: Result<(), TransportError>) -> PeerFault {
    match result.unwrap_err().kind() {
        TransportErrorKind::Peer(fault) => fault.clone(),
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn request_and_reply_leave_nothing_behind() {
    let mut bench = Bench::controller(TransportConfig::default());
    let request = bench.sent_call();
    bench.take(2, Operation::REPLY, 3, b"result");
    let events = bench.events();
    let [Event::Reply { request: answered, reply }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(*answered, request);
    assert_eq!(
        (reply.kind, reply.format, reply.payload.as_ref()),
        (AnswerKind::Reply, Format::Bytes, b"result".as_slice())
    );
    bench.assert_idle();
}

#[test]
fn request_of_the_peer_is_answered_once() {
    let mut bench = Bench::controller(TransportConfig::default());
    let request = bench.served(1);
    bench.reply(request, b"module");
    bench.reply(request, b"again");
    bench.connection.refuse(request, super::Refusal::Unanswered);
    assert_eq!(bench.sent(), frame(1, Operation::REPLY, MARSHAL, b"module"));
    bench.reply(request, b"again");
    bench.assert_idle();
}

#[test]
fn numbers_start_again_without_those_in_use() {
    let mut bench = Bench::controller(TransportConfig::default());
    assert_eq!(bench.sent_call().number(), 2);
    bench.connection.numbers = Numbers::starting_at(Role::Controller, u32::MAX - 1);
    assert_eq!(bench.sent_call().number(), u32::MAX - 1);
    assert_eq!(bench.sent_call().number(), 4);
    for number in [2, 4, u32::MAX - 1] {
        bench.take(number, Operation::REPLY, 0, b"");
    }
    assert_eq!(bench.events().len(), 3);
    bench.assert_idle();
}

#[test]
fn small_message_takes_its_turn_inside_a_large_one() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let large = bench.call(b"0123456789").number();
    let small = bench.call(b"ab").number();
    let expected = [
        frame(large, Operation::application(0x20), MARSHAL | MORE, b"0123"),
        frame(small, Operation::application(0x20), MARSHAL, b"ab"),
        frame(large, Operation::application(0x20), MARSHAL | MORE, b"4567"),
        frame(large, Operation::application(0x20), MARSHAL, b"89"),
    ];
    assert_eq!(bench.sent(), expected.concat());
}

#[test]
fn notices_and_what_is_to_follow_them_keep_their_order() {
    let mut bench = Bench::controller(TransportConfig::default().frame_len(4));
    let mut notice = |payload: &'static [u8]| {
        bench.connection.notice(Operation::application(0x21), Format::Marshal, payload.into()).unwrap();
    };
    notice(b"first");
    notice(b"second");
    let payload = b"call".as_slice().into();
    let order = Order::AfterNotices;
    let late = bench
        .connection
        .request(Operation::application(0x20), Format::Marshal, payload, order)
        .unwrap()
        .number();
    let early = bench.call(b"now").number();
    let expected = [
        frame(0, Operation::application(0x21), MARSHAL | MORE, b"firs"),
        frame(early, Operation::application(0x20), MARSHAL, b"now"),
        frame(0, Operation::application(0x21), MARSHAL, b"t"),
        frame(0, Operation::application(0x21), MARSHAL | MORE, b"seco"),
        frame(0, Operation::application(0x21), MARSHAL, b"nd"),
        frame(late, Operation::application(0x20), MARSHAL, b"call"),
    ];
    assert_eq!(bench.sent(), expected.concat());
}

#[test]
fn messages_in_parts_are_put_together_beside_each_other() {
    let mut bench = Bench::agent(TransportConfig::default());
    bench.take(0, Operation::application(0x21), MARSHAL | MORE, b"mod");
    bench.take(2, Operation::application(0x20), MARSHAL | MORE, b"ca");
    bench.take(0, Operation::new(0x30).unwrap(), MARSHAL, b"other");
    bench.take(4, Operation::application(0x20), 0, b"");
    bench.take(2, Operation::application(0x20), MARSHAL, b"ll");
    bench.take(0, Operation::application(0x21), MARSHAL, b"ules");
    let payloads: Vec<Bytes> = bench
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Notice(message) | Event::Request { message, .. } => message.payload,
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(payloads, ["other", "", "call", "modules"]);
    assert_eq!(bench.connection.buffered, 0);
}
