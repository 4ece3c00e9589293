//! Asks a host what it is before it gets a program that fits.
//!
//! The first stage writes a line about its host. What is written to the host waits for it, and
//! follows the program. Both ends of the pipes are wrapped for that, so all deadlines and ends of a
//! connection apply as usual.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use memchr::memmem;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use crate::programs::{Machine, Programs, Refusal};

/// A question to a host, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    programs: Programs,
    token: String,
    is_far: bool,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

/// The stdin of the first stage.
pub(crate) struct Writer<W> {
    inner: W,
    program: Waiting,
}

enum Waiting {
    For(oneshot::Receiver<Bytes>),
    /// What is left to write of the program.
    Sending(Bytes),
}

/// The stdout of the first stage.
pub(crate) struct Reader<R> {
    inner: R,
    /// Until the answer.
    asking: Option<(Question, oneshot::Sender<Bytes>)>,
    /// What was read and is not passed on yet.
    held: Vec<u8>,
}

impl Question {
    pub(crate) fn new(programs: Programs, token: String, is_far: bool) -> Self {
        Self { programs, token, is_far, refusal: Arc::default() }
    }

    /// Wraps the pipes of the first stage.
    pub(crate) fn ask<W, R>(&self, stdin: W, stdout: R) -> (Writer<W>, Reader<R>) {
        let (sender, receiver) = oneshot::channel();
        let writer = Writer { inner: stdin, program: Waiting::For(receiver) };
        let reader = Reader { inner: stdout, asking: Some((self.clone(), sender)), held: Vec::new() };
        (writer, reader)
    }

    /// Returns why the host got no program, if that is so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds the answer in what the host has written, and removes it.
    fn take_answer(&self, text: &mut Vec<u8>) -> Option<Machine> {
        let mark = format!("chopsticks:{} ", self.token);
        let start = memmem::find(text, mark.as_bytes())?;
        let len = text[start..].iter().position(|byte| *byte == b'\n')?;
        let line: Vec<_> = text.drain(start..=start + len).collect();
        Machine::read(&String::from_utf8_lossy(&line[mark.len()..]))
    }

    /// Chooses the program, on a thread of its own. Without one, the writer fails.
    fn answer(self, machine: Machine, sender: oneshot::Sender<Bytes>) {
        tokio::task::spawn_blocking(move || match self.programs.preamble(&machine, self.is_far) {
            // The connection may have ended.
            Ok(preamble) => drop(sender.send(preamble)),
            Err(refusal) => *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal),
        });
    }
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes the program first.
    fn poll_program(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.program {
                Waiting::For(receiver) => match ready!(Pin::new(receiver).poll(context)) {
                    Ok(program) => self.program = Waiting::Sending(program),
                    Err(_) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                },
                Waiting::Sending(rest) if rest.is_empty() => return Poll::Ready(Ok(())),
                Waiting::Sending(rest) => {
                    let count = ready!(Pin::new(&mut self.inner).poll_write(context, rest))?;
                    if count == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    rest.advance(count);
                    if rest.is_empty() {
                        // The memory of a program is not kept for the connection's life.
                        *rest = Bytes::new();
                    }
                }
            }
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Writer<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_program(context))?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_program(context))?;
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while let Some((question, _)) = &this.asking {
            let mut chunk = [0; 1 << 10];
            let mut part = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut part))?;
            this.held.extend_from_slice(part.filled());
            let is_over = part.filled().is_empty() || this.held.len() > MAX_NOISE_LEN;
            match question.take_answer(&mut this.held) {
                Some(machine) => {
                    if let Some((question, sender)) = this.asking.take() {
                        question.answer(machine, sender);
                    }
                }
                // What came instead says why.
                None if is_over => this.asking = None,
                None => {}
            }
        }
        if this.held.is_empty() {
            return Pin::new(&mut this.inner).poll_read(context, buffer);
        }
        let len = this.held.len().min(buffer.remaining());
        buffer.put_slice(&this.held[..len]);
        this.held.drain(..len);
        if this.held.is_empty() {
            this.held = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// More than login shells and servers greet with.
const MAX_NOISE_LEN: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};

    use super::*;

    fn question() -> Question {
        Question::new(Programs::folder("/nonexistent"), "0123".to_owned(), false)
    }

    #[test]
    fn answer_is_found_in_noise_and_removed() {
        let mut text = b"Welcome!\nx chopsticks:0123 aarch64 glibc 2.36 musl\nmore".to_vec();
        let machine = question().take_answer(&mut text).unwrap();
        assert_eq!(machine, Machine { name: "aarch64".to_owned(), glibc: Some((2, 36)), has_musl: true });
        assert_eq!(text, b"Welcome!\nx more");
        for other in ["", "chopsticks:0123 x86_64", "chopsticks:4567 x86_64\n", "chopsticks:0123 \n"] {
            assert!(question().take_answer(&mut other.as_bytes().to_vec()).is_none(), "{other}");
        }
    }

    #[tokio::test]
    async fn without_a_program_the_writer_fails_and_the_reader_goes_on() {
        let (near, mut far) = duplex(1 << 10);
        let (stdout, stdin) = split(near);
        let question = question();
        let (mut writer, mut reader) = question.ask(stdin, stdout);
        far.write_all(b"noise\nchopsticks:0123 x86_64\nend").await.unwrap();
        let mut seen = [0; 9];
        let (written, read) = tokio::join!(writer.write_all(b"START"), reader.read_exact(&mut seen));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        read.unwrap();
        assert_eq!(&seen, b"noise\nend");
        assert!(question.refusal().unwrap().error.to_string().contains("/nonexistent"));
    }

    #[tokio::test]
    async fn host_that_does_not_answer_is_read_to_its_end() {
        let (near, mut far) = duplex(1 << 10);
        let (stdout, stdin) = split(near);
        let (mut writer, mut reader) = question().ask(stdin, stdout);
        far.write_all(b"no such command\n").await.unwrap();
        drop(far);
        let mut seen = String::new();
        reader.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "no such command\n");
        assert_eq!(writer.write_all(b"START").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
