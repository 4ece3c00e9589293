//! Agents that answer functions in Rust with whatever they like.

use std::{io, sync::Arc};

use chopsticks::protocol::{CallFailure, Hello};
use chopsticks::{
    Agent, AgentCommand, Driver, Error, ErrorKind, HostName, Link, Stderr, Tunnel, TunnelConfig,
    transport::{Format, IncomingMessage, IncomingRequest, Transport, TransportConfig, TransportError},
};
use futures::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{CountError, doubled, items::count, parse, sizes};

/// A host whose agent is a task of this test, and answers each request by `answer`.
struct Liar<F>(Arc<F>);

impl<F> std::fmt::Debug for Liar<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Liar")
    }
}

#[chopsticks::async_trait]
impl<F> Driver for Liar<F>
where
    F: Fn(IncomingRequest) -> Result<(), TransportError> + Send + Sync + 'static,
{
    fn host(&self) -> HostName {
        "liar".parse().expect("it is a name")
    }

    // So nothing but one byte is sent in front of the protocol.
    fn is_local(&self) -> bool {
        true
    }

    async fn open(&self, _: &AgentCommand) -> io::Result<Link> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let answer = self.0.clone();
        tokio::spawn(async move {
            let (mut reader, writer) = tokio::io::split(far);
            let _ = reader.read_u8().await;
            let (handle, mut incoming, driver) =
                Transport::agent(reader, writer, TransportConfig::default()).expect("it is valid");
            tokio::spawn(driver);
            let hello = Hello {
                python: None,
                executable: "liar".to_owned(),
                pid: 1,
                hostname: "liar".to_owned(),
                platform: "linux".to_owned(),
            };
            let hello = hello.encode().expect("it is short");
            handle.send_hello(Format::Marshal, hello).expect("the connection is new");
            while let Some(message) = incoming.next().await {
                if let IncomingMessage::Request(request) = message {
                    // The controller may have gone.
                    let _ = answer(request);
                }
            }
        });
        let (stdout, stdin) = tokio::io::split(near);
        Ok(Link::from_streams(stdin, stdout, tokio::io::empty()))
    }
}

fn tunnel(answer: impl Fn(IncomingRequest) -> Result<(), TransportError> + Send + Sync + 'static) -> Tunnel {
    let config = TunnelConfig::default().agent(Agent::Native).stderr(Stderr::off()).max_result_len(1 << 20);
    Tunnel::with_config(Liar(Arc::new(answer)), config)
}

/// A list in a list, and so on.
fn deep(levels: usize) -> Vec<u8> {
    [b"[\x01\0\0\0".repeat(levels), b"N".to_vec()].concat()
}

#[tokio::test]
async fn answer_that_is_no_such_value_fails_its_call_alone() {
    let answers: [(Format, Vec<u8>); 9] = [
        (Format::Marshal, Vec::new()),
        (Format::Marshal, b"\xff\xff".to_vec()),
        // The right value, and more.
        (Format::Marshal, b"i\x01\0\0\0i".to_vec()),
        // A text, and a number beyond its type.
        (Format::Marshal, b"u\x01\0\0\0x".to_vec()),
        (Format::Marshal, b"i\xff\xff\xff\xff".to_vec()),
        // A list, a text and a long number of which only the length is there.
        (Format::Marshal, b"[\xff\xff\xff\x7f".to_vec()),
        (Format::Marshal, b"u\xff\xff\xff\x7f".to_vec()),
        (Format::Marshal, deep(200_000)),
        (Format::Bytes, b"i\x01\0\0\0".to_vec()),
    ];
    let rest = std::sync::Mutex::new(answers.clone().into_iter());
    let tunnel = tunnel(move |request| {
        let next = rest.lock().expect("no test panics with it").next();
        let (format, payload) = next.unwrap_or((Format::Marshal, b"i\x2a\0\0\0".to_vec()));
        request.responder.reply(format, payload)
    });
    for (format, answer) in answers {
        let error = tunnel.invoke(parse::with("1")).await.unwrap_err();
        let shown = &answer[..answer.len().min(20)];
        assert!(matches!(error.kind(), ErrorKind::Result(_)), "{format:?} {shown:?}: {error}");
        assert!(error.to_string().len() < 1000, "{format:?} {shown:?}");
    }
    assert_eq!(tunnel.invoke(parse::with("1")).await.unwrap(), 42);
}

#[tokio::test]
async fn value_in_place_of_bytes_is_refused() {
    let tunnel = tunnel(|request| request.responder.reply(Format::Marshal, b"s\x01\0\0\0x".to_vec()));
    let error = tunnel.invoke(doubled::with(Vec::new())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Result(_)), "{error}");
}

/// Sends bytes as the items of a request, and says that this was all.
async fn send_items(mut request: IncomingRequest, bytes: Vec<u8>) -> io::Result<()> {
    let mut writer = request.responder.writer().map_err(io::Error::other)?;
    writer.write_all(&bytes).await?;
    writer.finish().map_err(io::Error::other)?;
    request.responder.reply(Format::Marshal, b"N".to_vec()).map_err(io::Error::other)
}

#[tokio::test]
async fn items_that_are_none_end_their_stream_alone() {
    let streams: [&[u8]; 6] = [
        // An item of another type, of a format that there is not, and of 4 GiB.
        b"\x02\0\0\0\x01T",
        b"\x07\0\0\0\x01T",
        b"\x02\xff\xff\xff\xffT",
        // One that is cut off, one that says that the stream has failed, and an outcome.
        b"\x02\0\0\0\x09T",
        b"\0\0\0\0\x01x",
        b"\x04\0\0\0\x02{0",
    ];
    let rest = std::sync::Mutex::new(streams.into_iter());
    let tunnel = tunnel(move |request| {
        match rest.lock().expect("no test panics with it").next() {
            Some(bytes) => drop(tokio::spawn(send_items(request, bytes.to_vec()))),
            None => return request.responder.reply(Format::Marshal, b"i\x2a\0\0\0".to_vec()),
        }
        Ok(())
    });
    for bytes in streams {
        let error = tunnel.invoke_stream(count::with(1)).try_next().await.unwrap_err();
        let fits = matches!(error.kind(), ErrorKind::Result(_) | ErrorKind::TooLarge { .. });
        assert!(fits && error.items() == Some(0), "{bytes:?}: {error}");
    }
    // An answer without a stream.
    let error = tunnel.invoke_stream(count::with(1)).try_next().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Result(_)), "{error}");
    assert_eq!(tunnel.invoke(parse::with("1")).await.unwrap(), 42);
}

#[tokio::test]
async fn answer_without_an_end_is_cut_off_at_the_limit() {
    let tunnel = tunnel(|request| request.responder.reply(Format::Bytes, vec![0; 64 << 20]));
    for _ in 0..2 {
        let error = tunnel.invoke(doubled::with(Vec::new())).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
    }
}

#[tokio::test]
async fn failure_that_is_none_fails_its_call_alone() {
    let failure = |kind: &str, value| CallFailure {
        kind: kind.to_owned(),
        r#type: "\x1b]0;x".to_owned(),
        message: "\x1b[2J".repeat(10),
        traceback: "0xffffffffffffffff\n0x\n-1\n".repeat(1000),
        value,
    };
    let encoded = |kind, value| failure(kind, value).encode().expect("it is short");
    let failures = [
        Vec::new(),
        b"{0".to_vec(),
        deep(200_000),
        encoded("", None),
        encoded("raised", Some(deep(200_000))),
        encoded("panicked", Some(b"u\xff\xff\xff\x7f".to_vec())),
    ];
    let count = failures.len();
    let rest = std::sync::Mutex::new(failures.into_iter());
    let tunnel = tunnel(move |request| {
        let next = rest.lock().expect("no test panics with it").next();
        request.responder.fail(Format::Marshal, next.unwrap_or_default())
    });
    for _ in 0..count {
        let error: Error = tunnel.invoke(sizes::with(std::path::Path::new("/"), 0)).await.unwrap_err();
        assert_eq!(error.returned::<CountError>(), None);
        assert_eq!(error.returned::<serde::de::IgnoredAny>().map(drop), None);
        assert!(!error.to_string().contains('\x1b'), "{error}");
    }
}
