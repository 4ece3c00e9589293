//! Whatever comes on stderr, in any pieces: a callback gets each line as it came, a writer all of the text in order, and the last lines stand in the error.

#![no_main]

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use chopsticks_tunnel::{AgentCommand, Driver, HostName, Link, Stderr, Tunnel, TunnelConfig};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};

/// Says something, and ends.
#[derive(Clone, Debug)]
struct Talker {
    pieces: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Pieces(std::vec::IntoIter<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.0.next() {
            buffer.put_slice(&piece);
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl Driver for Talker {
    fn host(&self) -> HostName {
        HostName::lossy("talker")
    }

    fn destination(&self) -> Option<String> {
        // Lines are held until the connection has failed then.
        (self.pieces.len() % 2 == 1).then(|| "nowhere".to_owned())
    }

    async fn open(&self, _: &AgentCommand) -> io::Result<Link> {
        let stderr = Pieces(self.pieces.clone().into_iter());
        Ok(Link::from_streams(tokio::io::sink(), tokio::io::empty(), stderr))
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[cut], bytes)) = input.split_first_chunk() else { return };
    // A refusal for load is tried again, for seconds.
    if bytes.windows(3).any(|window| window == b"kex" || window == b"ssh" || window == b"Con") {
        return;
    }
    let pieces = bytes.chunks(usize::from(cut).max(1)).map(<[u8]>::to_vec).collect();
    let driver = Talker { pieces };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = |ends_line: bool| {
        let seen = seen.clone();
        move |_: &str, text: &[u8]| {
            let mut seen = seen.lock().expect("nobody panics");
            seen.extend_from_slice(text);
            if ends_line {
                seen.push(b'\n');
            }
        }
    };
    let mut expected = bytes.to_vec();
    if !expected.is_empty() && !expected.ends_with(b"\n") {
        expected.push(b'\n');
    }
    for stderr in [Stderr::callback(sink(true)), Stderr::writer(cut % 2 == 0, sink(false))] {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made");
        let error = runtime.block_on(async {
            let tunnel = Tunnel::with_config(driver.clone(), TunnelConfig::default().stderr(stderr));
            tunnel.connect().await.expect_err("nobody answers")
        });
        assert_eq!(std::mem::take(&mut *seen.lock().expect("nobody panics")), expected);
        assert!(
            !error
                .report()
                .chars()
                .any(|shown| chopsticks_text::is_harmful(shown) && !"\n\t".contains(shown))
        );
    }
});
