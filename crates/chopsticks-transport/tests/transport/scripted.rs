//! The task against a scripted peer, with a clock that stands still.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use chopsticks_transport::{
    AnswerKind, Format, Handle, Incoming, IncomingMessage, IncomingRequest, Nonce, Operation, Order, Request,
    RequestOptions, StartOptions, Transport, TransportConfig, TransportError, TransportErrorKind,
};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use crate::peer::*;

struct Bench {
    peer: Peer,
    handle: Handle,
    incoming: Incoming,
    task: JoinHandle<Result<(), TransportError>>,
}

impl Bench {
    fn starting(config: TransportConfig) -> Self {
        let (peer, reader, writer) = Peer::new();
        let (handle, incoming, task) =
            Transport::controller(reader, writer, StartOptions::new(), config).unwrap();
        Self { peer, handle, incoming, task: tokio::spawn(task) }
    }

    async fn new(config: TransportConfig) -> Self {
        let mut bench = Self::starting(config);
        bench.peer.greet().await;
        bench.handle.hello().await.unwrap();
        bench
    }

    fn call(&self, payload: &'static [u8]) -> Request {
        self.handle.request(Operation::application(0x20), Format::Marshal, payload)
    }

    fn streaming_call(&self) -> Request {
        let options = RequestOptions::new().with_reader().with_writer();
        self.handle.request_with(Operation::application(0x20), Format::Marshal, b"call".as_slice(), options)
    }

    async fn next_request(&mut self) -> IncomingRequest {
        match self.incoming.next().await {
            Some(IncomingMessage::Request(request)) => request,
            message => panic!("{message:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_leaves_before_the_agent_has_answered() {
    let (mut peer, reader, writer) = Peer::new();
    let start =
        StartOptions::new().preamble("agent").nonce(Nonce::new(*b"0123456789abcdef")).options("options");
    let (handle, _incoming, task) =
        Transport::controller(reader, writer, start, TransportConfig::default()).unwrap();
    let task = tokio::spawn(task);
    handle
        .notice(Operation::application(0x21), Format::Marshal, Bytes::from_static(b"modules"))
        .await
        .unwrap();
    let options = RequestOptions::new().order(Order::AfterNotices);
    let call =
        handle.request_with(Operation::application(0x20), Format::Marshal, b"call".as_slice(), options);
    peer.expect(b"agent").await;
    peer.expect_frame(0, START, 0, b"\0\x010123456789abcdef\0\0\0\0\x40\0\0\0options").await;
    peer.expect_frame(0, MODULES, 2, b"modules").await;
    peer.expect_frame(2, CALL, 2, b"call").await;
    peer.send(b"Welcome!\n0123456789abcdef").await;
    peer.send_frame(0, HELLO, 2, b"\0\x01dict").await;
    peer.send_frame(2, REPLY, 2, b"result").await;
    assert_eq!(call.await.unwrap().payload, "result");
    assert_eq!(handle.hello().await.unwrap().payload, "dict");
    assert_eq!(handle.noise(), "Welcome!\n");
    handle.close();
    peer.expect_end().await;
    peer.close().await;
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropped_request_is_cancelled_at_once() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    let call = bench.call(b"call");
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    drop(call);
    bench.peer.expect_frame(2, CANCEL, 0, b"").await;
    bench.peer.send_frame(2, REPLY, 2, b"late").await;
    // Nobody minds the late reply.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!bench.handle.is_closed());
}

#[tokio::test(start_paused = true)]
async fn request_that_is_dropped_before_it_has_left_is_never_sent() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    drop(bench.call(b"never"));
    let _call = bench.call(b"call");
    bench.peer.expect_frame(4, CALL, 2, b"call").await;
}

#[tokio::test(start_paused = true)]
async fn deadline_of_the_caller_cancels() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    let call = tokio::time::timeout(Duration::from_secs(3), bench.call(b"call"));
    assert!(call.await.is_err());
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    bench.peer.expect_frame(2, CANCEL, 0, b"").await;
}

#[tokio::test(start_paused = true)]
async fn peer_that_ignores_cancel_and_ping_loses_the_connection() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    let other = bench.call(b"other");
    bench.peer.expect_frame(2, CALL, 2, b"other").await;
    let call = bench.call(b"call");
    bench.peer.expect_frame(4, CALL, 2, b"call").await;
    let before = tokio::time::Instant::now();
    drop(call);
    let error = (&mut bench.task).await.unwrap().unwrap_err();
    // The grace, and as long for the answer to the ping.
    assert_eq!(before.elapsed().as_secs(), 10);
    assert!(matches!(error.kind(), TransportErrorKind::CancelTimeout { .. }));
    assert_eq!(error.request().map(|request| request.number()), Some(4));
    let error = other.await.unwrap_err();
    assert!(error.is_timeout() && error.is_disconnected());
    assert!(bench.handle.error().is_some_and(|error| error.is_timeout()));
    assert!(bench.handle.closed().await.is_err());
    assert!(bench.call(b"late").await.unwrap_err().is_timeout());
    assert!(bench.incoming.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn silent_host_is_given_up_and_its_words_are_kept() {
    let mut bench = Bench::starting(TransportConfig::default().handshake_timeout(Duration::from_secs(20)));
    bench.peer.send(b"Password expired.\n").await;
    let call = bench.call(b"call");
    let error = call.await.unwrap_err();
    assert_eq!(error.kind().to_string(), "no answer from the peer within 20s");
    assert!(bench.handle.hello().await.unwrap_err().is_timeout());
    assert_eq!(bench.handle.noise(), "Password expired.\n");
}

#[tokio::test(start_paused = true)]
async fn host_that_goes_away_is_noticed_at_every_stage() {
    let mut bench = Bench::starting(TransportConfig::default());
    bench.peer.send(b"sh: python3: not found\n").await;
    bench.peer.close().await;
    let error = bench.task.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::NoHandshake));
    assert_eq!(bench.handle.noise(), "sh: python3: not found\n");

    let mut bench = Bench::new(TransportConfig::default()).await;
    let call = bench.call(b"call");
    bench.peer.close().await;
    assert!(matches!(call.await.unwrap_err().kind(), TransportErrorKind::Disconnected));

    let mut bench = Bench::new(TransportConfig::default()).await;
    let call = bench.call(b"call");
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    bench.peer.send(&frame(2, REPLY, 0, b"result")[..12]).await;
    bench.peer.close().await;
    assert!(matches!(call.await.unwrap_err().kind(), TransportErrorKind::Truncated));

    // A peer that neither reads nor writes any more.
    let bench = Bench::new(TransportConfig::default()).await;
    let call = bench.call(b"call");
    drop(bench.peer);
    assert!(call.await.unwrap_err().is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn keepalive_notices_a_dead_link() {
    let second = Duration::from_secs(1);
    let mut bench = Bench::new(TransportConfig::default().keepalive(10 * second, 5 * second)).await;
    let before = tokio::time::Instant::now();
    bench.peer.expect_frame(0, PING, 0, &[0; 8]).await;
    assert_eq!(before.elapsed().as_secs(), 10);
    bench.peer.send_frame(0, 0x07, 0, &[0; 8]).await;
    bench.peer.expect_frame(0, PING, 0, &[0, 0, 0, 0, 0, 0, 0, 1]).await;
    let error = bench.task.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::KeepaliveTimeout { .. }));
    assert_eq!(before.elapsed().as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn requests_of_the_peer_are_served() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    bench.peer.send_frame(1, IMPORT, 2, b"name").await;
    bench.peer.send_frame(0, 0x30, 2, b"notice").await;
    let request = bench.next_request().await;
    assert_eq!(
        (request.operation, request.payload.as_ref()),
        (Operation::application(0x22), b"name".as_slice())
    );
    let Some(IncomingMessage::Notice(notice)) = bench.incoming.next().await else { panic!() };
    assert_eq!(notice.payload, "notice");
    request.responder.reply(Format::Marshal, b"module".as_slice()).unwrap();
    bench.peer.expect_frame(1, REPLY, 2, b"module").await;
    bench.peer.send_frame(3, IMPORT, 2, b"name").await;
    bench.next_request().await.responder.fail(Format::Pencode, b"why".as_slice()).unwrap();
    bench.peer.expect_frame(3, FAIL, 1, b"why").await;
}

#[tokio::test(start_paused = true)]
async fn request_that_nobody_answers_is_refused() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    bench.peer.send_frame(1, IMPORT, 2, b"name").await;
    drop(bench.next_request().await);
    bench.peer.expect_frame(1, FAIL, 0, &[1]).await;
    // Neither does it help that nobody looks.
    bench.peer.send_frame(3, IMPORT, 2, b"name").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(bench.incoming);
    bench.peer.expect_frame(3, FAIL, 0, &[1]).await;
    bench.peer.send_frame(5, IMPORT, 2, b"name").await;
    bench.peer.expect_frame(5, FAIL, 0, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn responder_learns_of_cancel() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    bench.peer.send_frame(1, IMPORT, 2, b"name").await;
    let mut request = bench.next_request().await;
    let mut reader = request.responder.reader().unwrap();
    bench.peer.expect_frame(1, CREDIT, 0, &[0, 0x40, 0, 0]).await;
    assert!(!request.responder.is_cancelled());
    let reading = tokio::spawn(async move { reader.chunk().await });
    bench.peer.send_frame(1, CANCEL, 0, b"").await;
    request.responder.cancelled().await;
    assert!(request.responder.is_cancelled());
    assert!(reading.await.unwrap().is_err());
    drop(request);
    bench.peer.expect_frame(1, FAIL, 0, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn notices_that_nobody_takes_are_limited() {
    let mut bench = Bench::new(TransportConfig::default().max_untaken_notices(10)).await;
    for _ in 0..11 {
        bench.peer.send_frame(0, 0x30, 0, b"").await;
    }
    let error = bench.task.await.unwrap().unwrap_err();
    assert!(std::error::Error::source(error.kind()).unwrap().to_string().contains("10 notices"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn notice_waits_for_room() {
    let mut bench = Bench::new(TransportConfig::default().max_queued_len(100_000)).await;
    let payload = Bytes::from(vec![1; 1 << 20]);
    bench.handle.notice(Operation::application(0x21), Format::Bytes, payload.clone()).await.unwrap();
    let mut waiting = Box::pin(bench.handle.notice(Operation::application(0x21), Format::Bytes, payload));
    let is_waiting = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await;
    assert!(is_waiting);
    let reading = tokio::spawn(async move {
        let mut came = 0;
        while came < 2 << 20 {
            came += bench.peer.read_frame().await.2.len();
        }
    });
    waiting.await.unwrap();
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_flushes_first_and_takes_no_more() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    let call = bench.call(b"call");
    bench.handle.close();
    assert!(matches!(bench.call(b"late").await.unwrap_err().kind(), TransportErrorKind::Closed));
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    bench.peer.expect_end().await;
    // What had been asked for is still answered.
    bench.peer.send_frame(2, REPLY, 0, b"").await;
    assert_eq!(call.await.unwrap().kind, AnswerKind::Reply);
    bench.peer.close().await;
    bench.task.await.unwrap().unwrap();
    bench.handle.closed().await.unwrap();
    assert!(bench.handle.error().is_none());
}

#[tokio::test(start_paused = true)]
async fn last_user_closes_the_connection() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    let call = bench.call(b"call");
    drop(bench.handle);
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    bench.peer.send_frame(2, REPLY, 0, b"").await;
    call.await.unwrap();
    bench.peer.expect_end().await;
    bench.peer.close().await;
    bench.task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn driver_that_is_dropped_fails_everybody() {
    let mut bench = Bench::new(TransportConfig::default()).await;
    let call = bench.call(b"call");
    bench.task.abort();
    assert!(matches!(call.await.unwrap_err().kind(), TransportErrorKind::IoDropped));
    assert!(bench.handle.ping().await.is_err());
    assert!(bench.incoming.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_end_as_their_halves_do() {
    let mut bench = Bench::new(TransportConfig::default().stream_window(8)).await;
    let mut call = bench.streaming_call();
    let mut reader = call.reader().unwrap();
    let mut writer = call.writer().unwrap();
    assert!(call.reader().is_err() && call.writer().is_err());
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    bench.peer.expect_frame(2, CREDIT, 0, &[0, 0, 0, 8]).await;
    bench.peer.send_frame(2, CREDIT, 0, &[0, 0, 0, 8]).await;
    writer.send(b"hello".as_slice()).await.unwrap();
    bench.peer.expect_frame(2, DATA, 0, b"hello").await;
    writer.finish().unwrap();
    bench.peer.expect_frame(2, END, 0, b"").await;
    bench.peer.send_frame(2, REPLY, 0, b"").await;
    call.await.unwrap();
    bench.peer.send_frame(2, DATA, 0, b"answer").await;
    bench.peer.send_frame(2, END, 0, b"").await;
    let mut came = Vec::new();
    reader.read_to_end(&mut came).await.unwrap();
    assert_eq!(came, b"answer");
    assert_eq!(reader.read(&mut [0; 9]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_halves_tell_the_peer() {
    let mut bench = Bench::new(TransportConfig::default().stream_window(8)).await;
    let mut call = bench.streaming_call();
    let (reader, writer) = (call.reader().unwrap(), call.writer().unwrap());
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    bench.peer.expect_frame(2, CREDIT, 0, &[0, 0, 0, 8]).await;
    drop(reader);
    bench.peer.expect_frame(2, RESET, 0, &[0; 4]).await;
    drop(writer);
    // What was sent is not all, and the peer is told so.
    bench.peer.expect_frame(2, END, 0, &[0; 4]).await;
    bench.peer.send_frame(2, REPLY, 0, b"").await;
    call.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn writer_learns_that_the_peer_has_enough() {
    let mut bench = Bench::new(TransportConfig::default().frame_len(4)).await;
    let options = RequestOptions::new().with_writer();
    let mut call =
        bench.handle.request_with(Operation::application(0x20), Format::Marshal, b"call".as_slice(), options);
    let mut writer = call.writer().unwrap();
    assert!(call.reader().is_err());
    writer.send(b"0123456789".as_slice()).await.unwrap();
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    let sending = tokio::spawn(async move { writer.send(b"x".as_slice()).await });
    bench.peer.send_frame(2, RESET, 0, &[0, 0, 0, 4]).await;
    let error = sending.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::StreamReset { reason: 4 }), "{error:?}");
    bench.peer.expect_frame(2, END, 0, b"").await;
}

#[tokio::test(start_paused = true)]
async fn agent_tells_a_controller_of_another_version_its_own() {
    let (mut peer, reader, writer) = Peer::new();
    let (handle, _incoming, task) = Transport::agent(reader, writer, TransportConfig::default()).unwrap();
    let task = tokio::spawn(task);
    handle.send_hello(Format::Marshal, b"dict".as_slice()).unwrap();
    peer.send_frame(0, START, 0, b"\0\x070123456789abcdef\0\0\0\0\0\0\0\0").await;
    peer.expect(b"0123456789abcdef").await;
    peer.expect_frame(0, HELLO, 0, &[0, 1]).await;
    let error = task.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), TransportErrorKind::VersionMismatch { ours: 1, theirs: 7 }));
}

#[tokio::test(start_paused = true)]
async fn streams_that_nobody_takes_are_ended() {
    let mut bench = Bench::new(TransportConfig::default().stream_window(8)).await;
    let call = bench.streaming_call();
    bench.peer.expect_frame(2, CALL, 2, b"call").await;
    bench.peer.expect_frame(2, CREDIT, 0, &[0, 0, 0, 8]).await;
    bench.peer.send_frame(2, CREDIT, 0, &[0, 0, 0, 8]).await;
    bench.peer.send_frame(2, REPLY, 0, b"").await;
    call.await.unwrap();
    bench.peer.expect_frame(2, RESET, 0, &[0; 4]).await;
    bench.peer.expect_frame(2, END, 0, &[0; 4]).await;
    drop(bench.streaming_call());
    let _call = bench.call(b"call");
    bench.peer.expect_frame(6, CALL, 2, b"call").await;
}
