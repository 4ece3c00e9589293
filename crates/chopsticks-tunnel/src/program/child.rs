//! A running program.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    process::{ExitStatus, Output},
    sync::Arc,
    task::{Context, Poll},
};

use chopsticks_driver::{HostName, Link, LinkParts, Process, SpawnError, hint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

use super::{
    Kind, Stdio,
    pump::{self, Sink, Source, Streams},
};
use crate::{
    error::{Error, ErrorKind, Phase},
    recording::Entry,
    side::Side,
};

/// A program that runs on a host. [`TunnelCommand::spawn`](super::TunnelCommand::spawn) creates it.
///
/// Dropping it ends the program and the processes that it started.
///
/// ```no_run
/// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::io::{AsyncBufReadExt as _, BufReader};
///
/// let mut child = tunnel.command("journalctl").arg("--follow").spawn().await?;
/// let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
/// while let Some(line) = lines.next_line().await? {
///     println!("{line}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Child<'a> {
    /// The program's stdin, if it is piped. Dropping it closes it.
    pub stdin: Option<ChildStdin>,
    /// The program's stdout, if it is piped.
    pub stdout: Option<ChildStdout>,
    /// The program's stderr, if it is piped.
    pub stderr: Option<ChildStderr>,
    host: HostName,
    name: String,
    process: Process,
    /// Notified when the program has ended, for the tasks that copy its output.
    ended: watch::Sender<bool>,
    /// Streams that are connected to readers and writers.
    pumps: Vec<Pump<'a>>,
    status: Option<ExitStatus>,
    /// The record, until it is written.
    entry: Option<Entry>,
}

type Pump<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// The stdin of a [`Child`]. Shutting it down, or dropping it, closes it.
pub struct ChildStdin(Box<dyn AsyncWrite + Send + Unpin>);

/// The stdout of a [`Child`].
pub struct ChildStdout(Box<dyn AsyncRead + Send + Unpin>);

/// The stderr of a [`Child`].
pub struct ChildStderr(Box<dyn AsyncRead + Send + Unpin>);

impl<'a> Child<'a> {
    pub(super) fn new(
        host: HostName,
        name: String,
        link: Link,
        stdin: Stdio<'a>,
        stdout: Option<Stdio<'a>>,
        stderr: Option<Stdio<'a>>,
    ) -> Self {
        let LinkParts { stdin: input, stdout: out, stderr: err, process, .. } = link.into_parts();
        let (ended, watch) = watch::channel(false);
        let mut child = Self {
            stdin: None,
            stdout: None,
            stderr: None,
            host: host.clone(),
            name,
            process,
            ended,
            pumps: Vec::new(),
            status: None,
            entry: None,
        };
        match stdin.0 {
            Kind::Piped => child.stdin = Some(ChildStdin(input)),
            Kind::Reader(reader) => {
                let host = host.clone();
                child.pumps.push(Box::pin(async move {
                    let fed = pump::feed(Source::Reader(reader), input).await;
                    fed.map_err(|error| Error::of_file(&host, Side::Local, "<stdin>", error))
                }));
            }
            // Dropping it closes it.
            Kind::Null | Kind::Writer(_) => drop(input),
        }
        let mut copy = |stream: Box<dyn AsyncRead + Send + Unpin>, name: &'static str, sink: Sink<'a>| {
            let (host, watch) = (host.clone(), watch.clone());
            child.pumps.push(Box::pin(async move {
                let copied = pump::copy(stream, sink, watch).await;
                copied.map_err(|error| Error::of_file(&host, Side::Local, name, error))
            }));
        };
        let stdout = match stdout.map_or(Kind::Piped, |stdout| stdout.0) {
            Kind::Piped => Some(ChildStdout(out)),
            Kind::Writer(writer) => {
                copy(out, "<stdout>", Sink::Writer(writer));
                None
            }
            Kind::Null | Kind::Reader(_) => {
                copy(out, "<stdout>", Sink::Null);
                None
            }
        };
        let stderr = match stderr.map_or(Kind::Piped, |stderr| stderr.0) {
            Kind::Piped => Some(ChildStderr(err)),
            Kind::Writer(writer) => {
                copy(err, "<stderr>", Sink::Writer(writer));
                None
            }
            Kind::Null | Kind::Reader(_) => {
                copy(err, "<stderr>", Sink::Null);
                None
            }
        };
        (child.stdout, child.stderr) = (stdout, stderr);
        child
    }

    /// Sets the record of the program.
    pub(super) fn recorded(self, entry: Option<Entry>) -> Self {
        Self { entry, ..self }
    }

    /// Returns the host on which the program runs.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Closes stdin, unless it was taken, and waits for the program's end.
    ///
    /// A program that writes more to a piped stdout or stderr than the window of 4 MiB waits until
    /// it is read, as with a pipe. Read both while you wait, or use
    /// [`wait_with_output`](Self::wait_with_output).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Program`] if the program could not be started, or was [killed](Self::kill);
    /// [`ErrorKind::Disconnected`] and others if the agent was lost; [`ErrorKind::File`] if a
    /// reader or writer of yours failed.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: nothing is lost if the future is dropped.
    pub async fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.stdin = None;
        if self.status.is_none() {
            let waiting = async {
                let status =
                    self.process.wait().await.map_err(|error| failure(&self.host, &self.name, error));
                self.ended.send_replace(true);
                status
            };
            tokio::pin!(waiting);
            self.status = Some(loop {
                tokio::select! {
                    biased;
                    status = &mut waiting => {
                        if let Some(entry) = self.entry.take() {
                            entry.end_program(&status);
                        }
                        break status?;
                    }
                    served = serve(&mut self.pumps), if !self.pumps.is_empty() => served?,
                }
            });
        }
        while !self.pumps.is_empty() {
            serve(&mut self.pumps).await?;
        }
        self.status.ok_or_else(|| failure(&self.host, &self.name, io::ErrorKind::Interrupted.into()))
    }

    /// Closes stdin, and waits for the end of the program and of its output, as far as stdout and
    /// stderr are piped and were not taken.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program.
    pub async fn wait_with_output(mut self) -> Result<Output, Error> {
        let mut streams = Streams::default();
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let watch = self.ended.subscribe();
        let Streams { stdout: out, stderr: err } = &mut streams;
        let reading_out = async {
            match stdout {
                Some(stdout) => pump::copy(stdout, Sink::Buffer(out), watch.clone()).await,
                None => Ok(()),
            }
        };
        let reading_err = async {
            match stderr {
                Some(stderr) => pump::copy(stderr, Sink::Buffer(err), watch.clone()).await,
                None => Ok(()),
            }
        };
        // Buffers have no errors.
        let (status, _, _) = tokio::join!(self.wait(), reading_out, reading_err);
        Ok(Output { status: status?, stdout: streams.stdout, stderr: streams.stderr })
    }

    /// Asks the agent to end the program and the processes that it started: by SIGTERM, and then by
    /// SIGKILL if necessary. This does not wait.
    ///
    /// The status of the program is not known then: [`wait`](Self::wait) fails.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Serves the streams until one of them is done.
async fn serve(pumps: &mut Vec<Pump<'_>>) -> Result<(), Error> {
    let (index, result) = std::future::poll_fn(|context| {
        for (index, pump) in pumps.iter_mut().enumerate() {
            if let Poll::Ready(result) = pump.as_mut().poll(context) {
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    })
    .await;
    drop(pumps.swap_remove(index));
    result
}

/// Creates the error of a program that did not end by itself, or never began.
pub(super) fn failure(host: &HostName, name: &str, error: io::Error) -> Error {
    // That of a connection that was lost.
    let error = match error.downcast::<Error>() {
        Ok(lost) => return lost.of_function(name),
        Err(error) => error,
    };
    let (program, source) = match error.downcast::<SpawnError>() {
        Ok(error) => error.into_parts(),
        Err(error) => (name.to_owned(), error),
    };
    let hint = hint::of_failed_spawn(&source, Some(host.as_str()));
    let kind = ErrorKind::Program { program, source: Arc::new(source) };
    Error::new(host, Phase::Call, kind).with_hint(hint).of_function(name)
}

impl AsyncWrite for ChildStdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncRead for ChildStdout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncRead for ChildStderr {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl fmt::Debug for Child<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("host", &self.host)
            .field("program", &self.name)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChildStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildStdin")
    }
}

impl fmt::Debug for ChildStdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildStdout")
    }
}

impl fmt::Debug for ChildStderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildStderr")
    }
}
