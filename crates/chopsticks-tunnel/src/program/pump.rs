//! Carries bytes between the streams of a program and their other ends.

use std::{future, io, process::ExitStatus, time::Duration};

use bytes::Bytes;
use chopsticks_driver::{HostName, Link, LinkParts};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
};

use super::child;
use crate::{error::Error, side::Side};

/// The output of a program.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// The source of stdin.
pub(super) enum Source<'a> {
    Bytes(Bytes),
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
}

/// The destination of stdout or stderr.
pub(super) enum Sink<'a> {
    Buffer(&'a mut Vec<u8>),
    Null,
    Writer(Box<dyn AsyncWrite + Send + Unpin + 'a>),
}

/// Runs a started program to its end, and copies all of its output to its destinations.
pub(super) async fn run(
    host: &HostName,
    name: &str,
    link: Link,
    source: Source<'_>,
    stdout: Sink<'_>,
    stderr: Sink<'_>,
) -> Result<ExitStatus, Error> {
    let LinkParts { stdin, stdout: out, stderr: err, mut process, .. } = link.into_parts();
    let (ended, watch) = watch::channel(false);
    let feeding = async {
        match feed(source, stdin).await {
            // A program need not read all of its input.
            Ok(()) => future::pending().await,
            Err(error) => error,
        }
    };
    let waiting = async {
        let status = process.wait().await;
        ended.send_replace(true);
        status
    };
    let finishing = async {
        let out = copy(out, stdout, watch.clone());
        let err = copy(err, stderr, watch.clone());
        let (status, out, err) = tokio::join!(waiting, out, err);
        // That the connection was lost is the better reason, and a program that was not started has no output.
        let status = status.map_err(|error| child::failure(host, name, error))?;
        for (stream, copied) in [("<stdout>", out), ("<stderr>", err)] {
            copied.map_err(|error| Error::of_file(host, Side::Local, stream, error))?;
        }
        Ok(status)
    };
    tokio::select! {
        biased;
        result = finishing => result,
        error = feeding => Err(Error::of_file(host, Side::Local, "<stdin>", error)),
    }
}

/// Writes all of a source to a program's stdin, and closes stdin. Returns only the errors of the
/// source: a program may close its stdin at any time.
pub(super) async fn feed(source: Source<'_>, mut stdin: impl AsyncWrite + Send + Unpin) -> io::Result<()> {
    match source {
        Source::Bytes(bytes) => {
            let _ = stdin.write_all(&bytes).await;
        }
        Source::Reader(mut reader) => {
            let mut buffer = vec![0; BUFFER_LEN];
            loop {
                let len = reader.read(&mut buffer).await?;
                if len == 0 || stdin.write_all(&buffer[..len]).await.is_err() {
                    break;
                }
            }
        }
    }
    let _ = stdin.shutdown().await;
    Ok(())
}

/// Copies a stream of a program to its end, or until it is silent for a while after the program has
/// ended. Returns only the errors of the sink.
pub(super) async fn copy(
    mut stream: impl AsyncRead + Send + Unpin,
    mut sink: Sink<'_>,
    mut ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let silent = async {
            // A program that nobody waits for any more is not waited for here either.
            let _ = ended.wait_for(|ended| *ended).await;
            tokio::time::sleep(SILENCE).await;
        };
        let len = tokio::select! {
            biased;
            len = stream.read(&mut buffer) => len.unwrap_or(0),
            () = silent => 0,
        };
        let piece = &buffer[..len];
        if piece.is_empty() {
            break;
        }
        match &mut sink {
            Sink::Buffer(kept) => kept.extend_from_slice(piece),
            Sink::Null => {}
            Sink::Writer(writer) => writer.write_all(piece).await?,
        }
    }
    match &mut sink {
        Sink::Writer(writer) => writer.flush().await,
        Sink::Buffer(_) | Sink::Null => Ok(()),
    }
}

/// Half a frame of a stream. Received bytes are passed on at once.
const BUFFER_LEN: usize = 128 << 10;
/// How long output that another process holds open is read after the program's end.
const SILENCE: Duration = Duration::from_millis(500);
