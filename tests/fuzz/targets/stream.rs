//! A stream from an agent that sends what it is told.

use bytes::Bytes;
use chopsticks_transport::{
    Format, IncomingMessage, Operation, RequestOptions, StartOptions, StreamReader, Transport,
    TransportConfig,
};

/// Hands a stream of `bytes`, in pieces of `cut`, to `work`.
pub(crate) fn with(bytes: &[u8], cut: usize, work: impl AsyncFnOnce(StreamReader)) {
    let bytes = Bytes::copy_from_slice(bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made");
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (near_reader, near_writer) = tokio::io::split(near);
        let (far_reader, far_writer) = tokio::io::split(far);
        let config = TransportConfig::default();
        let (controller, _incoming, driver) =
            Transport::controller(near_reader, near_writer, StartOptions::new(), config.clone())
                .expect("the configuration is fine");
        tokio::spawn(driver);
        let (agent, mut requests, driver) =
            Transport::agent(far_reader, far_writer, config).expect("the configuration is fine");
        tokio::spawn(driver);
        agent.send_hello(Format::Marshal, Bytes::from_static(b"hello")).expect("it is the first");
        tokio::spawn(async move {
            while let Some(message) = requests.next().await {
                let IncomingMessage::Request(mut request) = message else { continue };
                let mut writer = request.responder.writer().expect("it was asked for");
                let mut rest = bytes.clone();
                while !rest.is_empty() {
                    if writer.send(rest.split_to(cut.min(rest.len()))).await.is_err() {
                        return;
                    }
                }
                let _ = writer.finish();
                let _ = request.responder.reply(Format::None, Bytes::new());
            }
        });
        let operation = Operation::application(0x20);
        let options = RequestOptions::new().with_reader();
        let mut request = controller.request_with(operation, Format::Bytes, Bytes::new(), options);
        let reader = request.reader().expect("it was asked for");
        work(reader).await;
    });
}
