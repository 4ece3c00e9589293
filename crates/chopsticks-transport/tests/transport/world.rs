//! Two state machines, the bytes under way between them, and two users who do what a list of numbers tells them.
//!
//! Property tests and the fuzzer share it.

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use chopsticks_transport::{
    AnswerKind, Connection, Event, Format, Nonce, Operation, Order, Outbox, RequestId, StartOptions,
    StreamRead, TransportConfig, TransportErrorKind,
};

/// Both sides.
pub(crate) struct World {
    ends: [End; 2],
    now: Instant,
    /// Whether bytes came that neither side sent: then only panics and memory matter.
    is_tainted: bool,
    started: u64,
}

struct End {
    connection: Connection,
    /// Bytes that this side has sent and the other has not got.
    sent: VecDeque<u8>,
    outbox: Outbox,
    own: Vec<Own>,
    served: Vec<(RequestId, Bytes)>,
    readers: Vec<Reader>,
    writers: Vec<Writer>,
    notices: VecDeque<u8>,
    has_failed: bool,
}

struct Own {
    id: RequestId,
    payload: Bytes,
    answer: Option<AnswerKind>,
    is_cancelled: bool,
}

struct Reader {
    id: RequestId,
    read: usize,
    is_over: bool,
}

struct Writer {
    id: RequestId,
    written: usize,
    is_over: bool,
    is_complete: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = TransportConfig::default()
            .frame_len(50)
            .stream_window(120)
            .max_peer_requests(1000)
            .max_buffered_len(1 << 20)
            .handshake_timeout(None);
        let now = Instant::now();
        let start = StartOptions::new().nonce(Nonce::new([7; 16])).preamble("agent");
        let controller = Connection::controller(now, start, config.clone()).unwrap();
        let mut agent = Connection::agent(now, config).unwrap();
        agent.send_hello(Format::None, Bytes::new().into()).unwrap();
        let mut world =
            Self { ends: [End::new(controller), End::new(agent)], now, is_tainted: false, started: 0 };
        world.ends[0].send(usize::MAX);
        world.ends[0].sent.drain(.."agent".len());
        world
    }

    /// Does what `script` says, three numbers at a time. With `may_inject`, some of it is bytes that nobody sent.
    pub(crate) fn run(&mut self, script: &[u8], may_inject: bool) {
        for step in script.chunks_exact(3) {
            let [code, left, right] = [step[0], step[1], step[2]];
            let (side, left, right) = (usize::from(code >> 7), usize::from(left), usize::from(right));
            match code & 0x0f {
                0 | 1 => self.request(side, left * right / 16),
                2 => self.notice(side, left),
                3 => self.answer(side, left, if right < 200 { AnswerKind::Reply } else { AnswerKind::Fail }),
                4 => self.cancel(side, left),
                5 => self.open_reader(side, left),
                6 => self.open_writer(side, left),
                7 | 8 => self.write(side, left, right),
                9 => self.finish(side, left, right < 200),
                10 => self.read(side, left, right + 1),
                11 => self.reset(side, left, right),
                12 => drop(self.ends[side].connection.ping()),
                13 => self.transfer(side, left * 4 + 1, 1),
                14 => self.transfer(side, usize::MAX, usize::MAX),
                _ if may_inject => {
                    self.is_tainted = true;
                    let at = left.min(self.ends[side].sent.len());
                    let byte = u8::try_from(right).unwrap();
                    self.ends[side].sent.insert(at, byte);
                }
                _ => self.transfer(side, 1, 1),
            }
        }
    }

    /// Lets both sides end all that they have begun, and checks that everything arrived and nothing is left.
    pub(crate) fn settle(&mut self) {
        // What comes in one round is used in the next.
        let mut quiet_rounds = 0;
        for _ in 0..10_000 {
            for side in 0..2 {
                self.transfer(side, usize::MAX, usize::MAX);
                while !self.ends[side].served.is_empty() {
                    self.answer(side, 0, AnswerKind::Reply);
                }
                for index in 0..self.ends[side].writers.len() {
                    self.finish(side, index, true);
                }
                for index in 0..self.ends[side].readers.len() {
                    self.read(side, index, usize::MAX);
                }
            }
            let is_quiet = self
                .ends
                .iter()
                .all(|end| end.sent.is_empty() && end.served.is_empty() && !end.connection.has_output());
            quiet_rounds = if is_quiet { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == 2 || self.ends.iter().any(|end| end.has_failed) {
                break;
            }
        }
        if self.is_tainted {
            return;
        }
        for end in &mut self.ends {
            assert!(!end.has_failed, "{:?}", end.connection.error());
            for own in &end.own {
                assert!(own.is_cancelled || own.answer.is_some(), "{:?} has no answer", own.id);
            }
            assert!(end.readers.iter().all(|reader| reader.is_over));
            assert_eq!(end.connection.open_requests(), 0);
            assert_eq!(end.connection.queued_len(), 0);
            assert!(end.notices.is_empty());
        }
    }

    fn request(&mut self, side: usize, len: usize) {
        self.started += 1;
        let mut payload = self.started.to_be_bytes().to_vec();
        payload.resize(8 + len, 0x55);
        let payload = Bytes::from(payload);
        let order = if len.is_multiple_of(3) { Order::AfterNotices } else { Order::Any };
        let end = &mut self.ends[side];
        let result = end.connection.request(
            Operation::application(0x20),
            Format::Bytes,
            payload.clone().into(),
            order,
        );
        match result {
            Ok(id) => end.own.push(Own { id, payload, answer: None, is_cancelled: false }),
            Err(_) => assert!(end.has_failed),
        }
    }

    fn notice(&mut self, side: usize, len: usize) {
        let Ok(number) = u8::try_from(self.started % 256) else { return };
        self.started += 1;
        let payload = vec![number; len + 1];
        let sent =
            self.ends[side].connection.notice(Operation::application(0x21), Format::None, payload.into());
        if sent.is_ok() {
            self.ends[1 - side].notices.push_back(number);
        }
    }

    fn answer(&mut self, side: usize, index: usize, outcome: AnswerKind) {
        let end = &mut self.ends[side];
        if end.served.is_empty() {
            return;
        }
        let (id, payload) = end.served.swap_remove(index % end.served.len());
        let _ = end.connection.reply(id, outcome, Format::Bytes, payload.into());
    }

    fn cancel(&mut self, side: usize, index: usize) {
        let end = &mut self.ends[side];
        let count = end.own.len().max(1);
        if let Some(own) = end.own.get_mut(index % count) {
            own.is_cancelled = true;
            end.connection.cancel(self.now, own.id);
        }
    }

    /// Returns a request of either side that is known here.
    fn pick(&self, side: usize, index: usize) -> Option<RequestId> {
        let end = &self.ends[side];
        let count = end.own.len() + end.served.len();
        let index = index % count.max(1);
        match end.own.get(index) {
            Some(own) => Some(own.id),
            None => end.served.get(index - end.own.len()).map(|(id, _)| *id),
        }
    }

    fn open_reader(&mut self, side: usize, index: usize) {
        let Some(id) = self.pick(side, index) else { return };
        if self.ends[side].connection.open_reader(id).is_ok() {
            self.ends[side].readers.push(Reader { id, read: 0, is_over: false });
        }
    }

    fn open_writer(&mut self, side: usize, index: usize) {
        let Some(id) = self.pick(side, index) else { return };
        if self.ends[side].connection.open_writer(id).is_ok() {
            self.ends[side].writers.push(Writer { id, written: 0, is_over: false, is_complete: false });
        }
    }

    fn write(&mut self, side: usize, index: usize, len: usize) {
        let end = &mut self.ends[side];
        let count = end.writers.len().max(1);
        let Some(writer) = end.writers.get_mut(index % count) else { return };
        let Ok(room) = end.connection.stream_room(writer.id) else { return };
        let len = len.min(room);
        let bytes: Vec<u8> =
            (writer.written..writer.written + len).map(|offset| content(side, writer.id, offset)).collect();
        end.connection.stream_write(writer.id, bytes.into()).unwrap();
        writer.written += len;
    }

    fn finish(&mut self, side: usize, index: usize, is_complete: bool) {
        let end = &mut self.ends[side];
        let count = end.writers.len().max(1);
        let Some(writer) = end.writers.get_mut(index % count) else { return };
        if writer.is_over {
            return;
        }
        writer.is_over = true;
        if is_complete {
            writer.is_complete = end.connection.stream_finish(writer.id).is_ok();
        } else {
            end.connection.stream_abort(writer.id, 1);
        }
    }

    fn read(&mut self, side: usize, index: usize, max: usize) {
        let is_tainted = self.is_tainted;
        let (near, far) = match &mut self.ends {
            [near, far] if side == 0 => (near, far),
            [far, near] => (near, far),
        };
        let count = near.readers.len().max(1);
        let Some(reader) = near.readers.get_mut(index % count) else { return };
        while !reader.is_over {
            match near.connection.stream_read(reader.id, max) {
                Ok(StreamRead::Data(bytes)) => {
                    for byte in bytes {
                        assert!(is_tainted || byte == content(1 - side, reader.id, reader.read));
                        reader.read += 1;
                    }
                }
                Ok(StreamRead::Pending) => return,
                Ok(StreamRead::End) => {
                    reader.is_over = true;
                    let writer = far.writers.iter().find(|writer| writer.id == reader.id);
                    let is_whole =
                        writer.is_some_and(|writer| writer.is_complete && writer.written == reader.read);
                    assert!(is_tainted || is_whole, "a part was taken for the whole");
                }
                Err(_) => reader.is_over = true,
            }
            if max < usize::MAX {
                return;
            }
        }
    }

    fn reset(&mut self, side: usize, index: usize, reason: usize) {
        let end = &mut self.ends[side];
        let count = end.readers.len().max(1);
        if let Some(reader) = end.readers.get_mut(index % count)
            && !reader.is_over
        {
            reader.is_over = true;
            end.connection.stream_reset(reader.id, u32::try_from(reason).unwrap());
        }
    }

    /// Moves at most `len` bytes from one side to the other.
    fn transfer(&mut self, from: usize, len: usize, enough: usize) {
        self.ends[from].send(enough);
        let len = len.min(self.ends[from].sent.len());
        let bytes: Vec<u8> = self.ends[from].sent.drain(..len).collect();
        let to = 1 - from;
        if self.ends[to].has_failed {
            return;
        }
        let result = self.ends[to].connection.handle_input(self.now, &bytes);
        self.handle_events(to);
        if let Err(error) = result {
            assert!(self.is_tainted, "{error:?}");
            self.ends[to].has_failed = true;
            assert!(!matches!(error.kind(), TransportErrorKind::InvalidConfig { .. }));
        }
    }

    fn handle_events(&mut self, side: usize) {
        let is_tainted = self.is_tainted;
        let end = &mut self.ends[side];
        let mut positions: HashMap<RequestId, usize> = HashMap::new();
        for (position, own) in end.own.iter().enumerate() {
            positions.insert(own.id, position);
        }
        while let Some(event) = end.connection.poll_event() {
            match event {
                Event::Request { request, message } => end.served.push((request, message.payload)),
                Event::Reply { request, reply } => {
                    let own = &mut end.own[positions[&request]];
                    assert!(!own.is_cancelled && own.answer.is_none());
                    assert!(is_tainted || reply.payload == own.payload);
                    own.answer = Some(reply.kind);
                }
                Event::Notice(message) => {
                    let number = end.notices.pop_front();
                    assert!(is_tainted || message.payload.iter().all(|byte| Some(*byte) == number));
                }
                Event::CancelAcknowledged { request } => assert!(end.own[positions[&request]].is_cancelled),
                _ => {}
            }
        }
    }
}

impl End {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            sent: VecDeque::new(),
            outbox: Outbox::new(),
            own: Vec::new(),
            served: Vec::new(),
            readers: Vec::new(),
            writers: Vec::new(),
            notices: VecDeque::new(),
            has_failed: false,
        }
    }

    fn send(&mut self, enough: usize) {
        self.connection.transmit(&mut self.outbox, enough);
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[])];
            self.outbox.slices(&mut slices);
            self.sent.extend(slices[0].iter());
            let len = slices[0].len();
            self.outbox.advance(len);
        }
    }
}

/// The byte of a stream at an offset.
fn content(side: usize, id: RequestId, offset: usize) -> u8 {
    (offset.wrapping_mul(31) ^ (id.number() as usize).wrapping_mul(7) ^ side) as u8
}
