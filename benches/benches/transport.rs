//! The transport: messages through the state machines alone, over memory, and over pipes of the operating system.
//!
//! `call/floor` is what the machine allows: the same bytes to the same peer and back, without the transport. Pin it to one
//! core (`taskset -c 0`), as its two threads do nothing but wake each other.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::hint::black_box;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use chopsticks_transport::{
    AnswerKind, Connection, Event, Format, Handle, Incoming, IncomingMessage, Io, Operation, Order, Outbox,
    RequestOptions, StartOptions, Transport, TransportConfig,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::runtime::Runtime;

criterion_group!(benches, calls, pipelined_calls, large_messages, streams);
criterion_main!(benches);

/// One small call after the other.
fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.throughput(Throughput::Elements(1));

    let (reader, writer) = raw_peer();
    let runtime = runtime();
    let (mut reader, mut writer) = runtime.block_on(async { (receiver(reader), sender(writer)) });
    runtime.block_on(async {
        // The peer wants to be started with a frame, which it answers with its nonce and a frame.
        writer.write_all(&[[0, 0, 0, 26, 0, 0, 0, 0, 1, 0].as_slice(), &[0; 26]].concat()).await.unwrap();
        reader.read_exact(&mut [0; 16 + 12]).await.unwrap();
    });
    let frame = [[0, 0, 0, 16, 0, 0, 0, 2, 0x20, 2].as_slice(), SMALL].concat();
    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let mut input = [0; 26];
                assert_eq!(writer.write(&frame).await.unwrap(), input.len());
                assert_eq!(reader.read(&mut input).await.unwrap(), input.len());
                black_box(input);
            });
        });
    });
    drop((reader, writer));

    let (reader, writer) = raw_peer();
    let (controller, _incoming) = runtime.block_on(async {
        let start = StartOptions::new();
        let (controller, incoming, driver) =
            Transport::controller(receiver(reader), sender(writer), start, TransportConfig::default())
                .unwrap();
        tokio::spawn(driver);
        controller.hello().await.unwrap();
        (controller, incoming)
    });
    group.bench_function("pipe", |bencher| {
        bencher.iter(|| runtime.block_on(call(&controller)));
    });

    let (controller, _incoming) = runtime.block_on(async { duplex_pair(echo) });
    group.bench_function("memory", |bencher| {
        bencher.iter(|| runtime.block_on(call(&controller)));
    });
    group.finish();
}

/// Many small calls at once.
fn pipelined_calls(criterion: &mut Criterion) {
    const COUNT: usize = 1000;
    let mut group = criterion.benchmark_group("pipelined");
    group.throughput(Throughput::Elements(COUNT as u64));

    let (mut controller, mut agent) = connections();
    group.bench_function("state_machines", |bencher| {
        bencher.iter(|| {
            for _ in 0..COUNT {
                let payload = Bytes::from_static(SMALL).into();
                controller
                    .request(Operation::application(0x20), Format::Marshal, payload, Order::Any)
                    .unwrap();
            }
            transfer(&mut controller, &mut agent);
            while let Some(event) = agent.poll_event() {
                let Event::Request { request, message } = event else { continue };
                agent.reply(request, AnswerKind::Reply, message.format, message.payload.into()).unwrap();
            }
            transfer(&mut agent, &mut controller);
            let mut replies = 0;
            while let Some(event) = controller.poll_event() {
                replies += usize::from(matches!(event, Event::Reply { .. }));
            }
            assert_eq!(replies, COUNT);
        });
    });

    let runtime = runtime();
    let many = async |controller: &Handle| {
        let payload = || Bytes::from_static(SMALL);
        let requests: Vec<_> = (0..COUNT)
            .map(|_| controller.request(Operation::application(0x20), Format::Marshal, payload()))
            .collect();
        for request in requests {
            request.await.unwrap();
        }
    };
    let (controller, _incoming) = runtime.block_on(async { duplex_pair(echo) });
    group.bench_function("memory", |bencher| bencher.iter(|| runtime.block_on(many(&controller))));
    let (controller, _incoming) = pipe_pair(&runtime, echo);
    group.bench_function("pipe", |bencher| bencher.iter(|| runtime.block_on(many(&controller))));
    group.finish();
}

/// Large messages, one way, each answered with an empty one.
fn large_messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message");
    let runtime = runtime();
    let (memory, _memory_incoming) = runtime.block_on(async { duplex_pair(swallow) });
    let (pipe, _pipe_incoming) = pipe_pair(&runtime, swallow);
    for len in [1_usize << 20, 16 << 20] {
        let payload = Bytes::from(vec![7; len]);
        group.throughput(Throughput::Bytes(len as u64));
        for (name, controller) in [("memory", &memory), ("pipe", &pipe)] {
            group.bench_with_input(BenchmarkId::new(name, len), &payload, |bencher, payload| {
                bencher.iter(|| {
                    let request =
                        controller.request(Operation::application(0x20), Format::Bytes, payload.clone());
                    runtime.block_on(request).unwrap();
                });
            });
        }
    }
    group.finish();
}

/// A stream of 64 MiB, one way.
fn streams(criterion: &mut Criterion) {
    const LEN: usize = 64 << 20;
    let mut group = criterion.benchmark_group("stream");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(LEN as u64));
    let runtime = runtime();
    let (memory, _memory_incoming) = runtime.block_on(async { duplex_pair(swallow) });
    let (pipe, _pipe_incoming) = pipe_pair(&runtime, swallow);
    let chunk = Bytes::from(vec![7; 128 << 10]);
    for (name, controller) in [("memory", &memory), ("pipe", &pipe)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let payload = Bytes::from_static(b"stream");
                    let options = RequestOptions::new().with_writer();
                    let mut request = controller.request_with(
                        Operation::application(0x20),
                        Format::Bytes,
                        payload,
                        options,
                    );
                    let mut writer = request.writer().unwrap();
                    for _ in 0..LEN / chunk.len() {
                        writer.send(chunk.clone()).await.unwrap();
                    }
                    writer.finish().unwrap();
                    request.await.unwrap();
                });
            });
        });
    }
    group.finish();
}

async fn call(controller: &Handle) {
    let reply =
        controller.request(Operation::application(0x20), Format::Marshal, Bytes::from_static(SMALL)).await;
    black_box(reply.unwrap());
}

/// Answers every request with its own payload.
async fn echo(mut incoming: Incoming) {
    while let Some(message) = incoming.next().await {
        let IncomingMessage::Request(request) = message else { continue };
        request.responder.reply(request.format, request.payload).unwrap();
    }
}

/// Answers every request with nothing, after its stream if it has one.
async fn swallow(mut incoming: Incoming) {
    while let Some(message) = incoming.next().await {
        let IncomingMessage::Request(mut request) = message else { continue };
        if request.payload.as_ref() == b"stream" {
            let mut reader = request.responder.reader().unwrap();
            while let Some(chunk) = reader.chunk().await.unwrap() {
                black_box(chunk);
            }
        }
        request.responder.reply(Format::None, Bytes::new()).unwrap();
    }
}

/// Both ends on the current runtime.
fn duplex_pair<F>(serve: impl FnOnce(Incoming) -> F) -> (Handle, Incoming)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (near_reader, far_writer) = tokio::io::simplex(256 << 10);
    let (far_reader, near_writer) = tokio::io::simplex(256 << 10);
    spawn_agent(far_reader, far_writer, serve);
    let start = StartOptions::new();
    let (controller, incoming, driver) =
        Transport::controller(near_reader, near_writer, start, config()).unwrap();
    tokio::spawn(driver);
    (controller, incoming)
}

/// The agent on a thread of its own, with pipes as large as a tunnel makes them.
fn pipe_pair<F>(runtime: &Runtime, serve: impl FnOnce(Incoming) -> F + Send + 'static) -> (Handle, Incoming)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (near_reader, far_writer) = os_pipe(1 << 20);
    let (far_reader, near_writer) = os_pipe(1 << 20);
    thread::spawn(move || {
        crate::runtime().block_on(async {
            let driver = spawn_agent(receiver(far_reader), sender(far_writer), serve);
            driver.await.unwrap()
        })
    });
    runtime.block_on(async {
        let start = StartOptions::new();
        let (controller, incoming, driver) =
            Transport::controller(receiver(near_reader), sender(near_writer), start, config()).unwrap();
        tokio::spawn(driver);
        controller.hello().await.unwrap();
        (controller, incoming)
    })
}

fn spawn_agent<R, W, F>(
    reader: R,
    writer: W,
    serve: impl FnOnce(Incoming) -> F,
) -> tokio::task::JoinHandle<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
    Io<R, W>: Future,
    F: Future<Output = ()> + Send + 'static,
{
    let (agent, incoming, driver) = Transport::agent(reader, writer, config()).unwrap();
    agent.send_hello(Format::None, Bytes::new()).unwrap();
    tokio::spawn(serve(incoming));
    tokio::spawn(async move {
        let _agent = agent;
        let _ = driver.await;
    })
}

fn config() -> TransportConfig {
    TransportConfig::default().max_peer_requests(1 << 20).max_request_len(1 << 30)
}

/// Two state machines that have greeted each other.
fn connections() -> (Connection, Connection) {
    let now = Instant::now();
    let mut controller = Connection::controller(now, StartOptions::new(), config()).unwrap();
    let mut agent = Connection::agent(now, config()).unwrap();
    agent.send_hello(Format::None, Bytes::new().into()).unwrap();
    transfer(&mut controller, &mut agent);
    transfer(&mut agent, &mut controller);
    (controller, agent)
}

fn transfer(from: &mut Connection, to: &mut Connection) {
    let mut outbox = Outbox::new();
    from.transmit(&mut outbox, usize::MAX);
    while !outbox.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[])];
        outbox.slices(&mut slices);
        to.handle_input(Instant::now(), &slices[0]).unwrap();
        let len = slices[0].len();
        outbox.advance(len);
    }
}

/// A peer without any of our code, which echoes frames from a thread of its own.
fn raw_peer() -> (PipeReader, PipeWriter) {
    let (near_reader, mut far_writer) = std::io::pipe().unwrap();
    let (mut far_reader, near_writer) = std::io::pipe().unwrap();
    thread::spawn(move || {
        let mut input = vec![0; 64 << 10];
        // START is at most as long as the pipe, and comes whole.
        let len = far_reader.read(&mut input).unwrap();
        assert!(len >= 36);
        let hello = [0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 1];
        far_writer.write_all(&[&input[12..28], &hello].concat()).unwrap();
        while let Ok(len) = far_reader.read(&mut input)
            && len > 0
        {
            input[8] = 3;
            far_writer.write_all(&input[..len]).unwrap();
        }
    });
    (near_reader, near_writer)
}

fn os_pipe(len: usize) -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    // A system that refuses leaves the pipe as it is.
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, len);
    (reader, writer)
}

fn receiver(reader: PipeReader) -> pipe::Receiver {
    pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).unwrap()
}

fn sender(writer: PipeWriter) -> pipe::Sender {
    pipe::Sender::from_owned_fd(OwnedFd::from(writer)).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

const SMALL: &[u8] = b"0123456789abcdef";
