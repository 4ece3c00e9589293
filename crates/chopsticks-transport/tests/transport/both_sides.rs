//! Two transports that talk to each other.

use bytes::Bytes;
use chopsticks_transport::{
    AnswerKind, Format, Handle, Incoming, IncomingMessage, Operation, RequestOptions, StartOptions,
    Transport, TransportConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connected pair whose I/O runs in tasks.
async fn pair() -> (Handle, Incoming, Handle, Incoming) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (near_reader, near_writer) = tokio::io::split(near);
    let (far_reader, far_writer) = tokio::io::split(far);
    let config = TransportConfig::default();
    let (controller, controller_incoming, task) =
        Transport::controller(near_reader, near_writer, StartOptions::new(), config.clone()).unwrap();
    tokio::spawn(task);
    let (agent, agent_incoming, task) = Transport::agent(far_reader, far_writer, config).unwrap();
    tokio::spawn(task);
    agent.send_hello(Format::Marshal, Bytes::from_static(b"hello")).unwrap();
    (controller, controller_incoming, agent, agent_incoming)
}

/// Answers every request with its own payload, and copies its stream back.
async fn echo(mut incoming: Incoming) {
    while let Some(message) = incoming.next().await {
        let IncomingMessage::Request(mut request) = message else { continue };
        if request.payload.as_ref() == b"stream" {
            let mut reader = request.responder.reader().unwrap();
            let mut writer = request.responder.writer().unwrap();
            tokio::spawn(async move {
                while let Some(chunk) = reader.chunk().await.unwrap() {
                    writer.send(chunk).await.unwrap();
                }
                writer.finish().unwrap();
                request.responder.reply(Format::None, Bytes::new()).unwrap();
            });
            continue;
        }
        request.responder.reply(request.format, request.payload).unwrap();
    }
}

#[tokio::test]
async fn request_is_answered() {
    let (controller, _controller_incoming, _agent, incoming) = pair().await;
    tokio::spawn(echo(incoming));
    let reply = controller
        .request(Operation::application(0x20), Format::Bytes, Bytes::from_static(b"x"))
        .await
        .unwrap();
    assert_eq!(reply.kind, AnswerKind::Reply);
    assert_eq!(reply.format, Format::Bytes);
    assert_eq!(reply.payload.as_ref(), b"x");
    assert_eq!(controller.hello().await.unwrap().payload.as_ref(), b"hello");
    controller.ping().await.unwrap();
    controller.close();
    controller.closed().await.unwrap();
}

#[tokio::test]
async fn large_message_and_small_ones_share_the_connection() {
    let (controller, _controller_incoming, _agent, incoming) = pair().await;
    tokio::spawn(echo(incoming));
    let large = Bytes::from(vec![7; 1 << 20]);
    let request = controller.request(Operation::application(0x20), Format::Bytes, large.clone());
    for _ in 0..100 {
        controller
            .request(Operation::application(0x20), Format::Bytes, Bytes::from_static(b"small"))
            .await
            .unwrap();
    }
    assert_eq!(request.await.unwrap().payload, large);
}

#[tokio::test]
async fn streams_carry_more_than_their_window_both_ways() {
    let (controller, _controller_incoming, _agent, incoming) = pair().await;
    tokio::spawn(echo(incoming));
    let options = RequestOptions::new().with_reader().with_writer();
    let payload = Bytes::from_static(b"stream");
    let mut request = controller.request_with(Operation::application(0x20), Format::Bytes, payload, options);
    let mut reader = request.reader().unwrap();
    let mut writer = request.writer().unwrap();
    let expected: Vec<u8> = (0..10_000_000_u32).map(|number| (number % 253) as u8).collect();
    let sent = expected.clone();
    tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut came = Vec::new();
    reader.read_to_end(&mut came).await.unwrap();
    assert!(came == expected);
    assert_eq!(request.await.unwrap().kind, AnswerKind::Reply);
}
