//! The I/O task: one future that moves bytes between a connection and its reader and writer.

mod handle;
mod incoming;
mod request;
mod shared;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

pub use self::handle::Handle;
pub use self::incoming::{Incoming, IncomingMessage, IncomingRequest, Responder};
pub use self::request::{Request, RequestOptions};
use self::shared::Shared;
pub use self::stream::{StreamReader, StreamWriter};
use crate::config::TransportConfig;
use crate::connection::{Connection, StartOptions};
use crate::error::{TransportError, TransportErrorKind};
use crate::outbox::Outbox;
use crate::request::Role;

/// Creates connections over a reader and a writer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Transport;

impl Transport {
    /// Connects as the controller.
    ///
    /// Requests may be made at once. They are sent directly after the preamble and `START`, without
    /// waiting for the agent.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::InvalidConfig`], or [`TransportErrorKind::MessageTooLarge`] if the options do not fit
    /// in a frame.
    pub fn controller<R, W>(
        reader: R,
        writer: W,
        start: StartOptions,
        config: TransportConfig,
    ) -> Result<(Handle, Incoming, Io<R, W>), TransportError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let now = Instant::now().into_std();
        Ok(Self::over(Connection::controller(now, start, config)?, reader, writer))
    }

    /// Connects as the agent.
    ///
    /// Nothing is sent before the controller's `START` has arrived and [`Handle::send_hello`] was
    /// called.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::InvalidConfig`].
    pub fn agent<R, W>(
        reader: R,
        writer: W,
        config: TransportConfig,
    ) -> Result<(Handle, Incoming, Io<R, W>), TransportError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let now = Instant::now().into_std();
        Ok(Self::over(Connection::agent(now, config)?, reader, writer))
    }

    fn over<R, W>(connection: Connection, reader: R, writer: W) -> (Handle, Incoming, Io<R, W>) {
        let shared = Arc::new(Shared::new(connection));
        let task = Io {
            shared: Arc::clone(&shared),
            reader,
            writer: Some(writer),
            outbox: Outbox::new(),
            needs_flush: false,
            sleep: None,
            wakers: Vec::new(),
            is_finished: false,
        };
        (Handle::new(&shared), Incoming::new(shared), task)
    }
}

/// The task of one connection. All of its I/O happens while this future is polled.
///
/// The future must be spawned, or polled together with the code that uses the connection. It
/// completes when the connection has ended. The result is `Ok` if this side has closed the
/// connection, or if this side is an agent whose controller has closed it. Otherwise it is the
/// cause, which all waiting operations on the connection get too. Dropping the future ends the
/// connection.
#[must_use = "nothing is sent or received unless the task is polled"]
pub struct Io<R, W> {
    shared: Arc<Shared>,
    reader: R,
    /// `None` when this side will send nothing more.
    writer: Option<W>,
    outbox: Outbox,
    needs_flush: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Kept between polls for its allocation.
    wakers: Vec<Waker>,
    is_finished: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Future for Io<R, W> {
    type Output = Result<(), TransportError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match with_buffer(|input| this.advance(context, input)) {
            Ok(Progress::Wait) => Poll::Pending,
            Ok(Progress::End) => {
                this.finish(Ok(()));
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                this.say_last_words(context);
                this.finish(Err(error.clone()));
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Io<R, W> {
    fn advance(&mut self, context: &mut Context<'_>, input: &mut [u8]) -> Result<Progress, TransportError> {
        // Whether there may be something to send: a wake can mean that, later only what is found here does.
        let mut may_send = true;
        for _ in 0..MAX_ROUNDS {
            let read = self.read(context, input)?;
            if read == Read::Nothing && !may_send {
                return self.wait(context);
            }
            let mut shared = self.shared.lock();
            shared.register_driver(context.waker());
            let result = match read {
                Read::Bytes(len) => {
                    let bytes = input.get(..len).unwrap_or_default();
                    shared.handle_input(now(), bytes, &mut self.wakers)
                }
                Read::End => shared.handle_eof(),
                Read::Nothing => Ok(()),
            };
            if result.is_ok() && self.writer.is_some() && self.outbox.len() < TRANSMIT_LEN {
                shared.transmit(&mut self.outbox, TRANSMIT_LEN, &mut self.wakers);
            }
            let is_full = self.outbox.len() >= TRANSMIT_LEN;
            let wants_shutdown = shared.wants_shutdown();
            drop(shared);
            self.wakers.drain(..).for_each(Waker::wake);
            result?;
            if read == Read::End {
                return Ok(Progress::End);
            }
            let is_written = self.write(context, input, wants_shutdown)?;
            may_send = is_full && is_written;
        }
        // Others on this thread are to have their turn.
        context.waker().wake_by_ref();
        self.wait(context)
    }

    fn read(&mut self, context: &mut Context<'_>, input: &mut [u8]) -> Result<Read, TransportError> {
        let mut buffer = ReadBuf::new(input);
        match Pin::new(&mut self.reader).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(Read::Nothing),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Ok(Read::End),
            Poll::Ready(Ok(())) => Ok(Read::Bytes(buffer.filled().len())),
            Poll::Ready(Err(error)) => Err(TransportErrorKind::Read(Arc::new(error)).into()),
        }
    }

    /// Writes the waiting bytes. Returns whether all of them were written.
    fn write(
        &mut self,
        context: &mut Context<'_>,
        input: &mut [u8],
        wants_shutdown: bool,
    ) -> Result<bool, TransportError> {
        match self.poll_write_out(context, wants_shutdown) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(error)) => {
                // What the peer said before it went tells more than that it went.
                let is_pipe = error.kind() == io::ErrorKind::BrokenPipe;
                let error = TransportErrorKind::Write(Arc::new(error)).into();
                Err(if is_pipe { self.read_rest(context, input).err().unwrap_or(error) } else { error })
            }
        }
    }

    fn poll_write_out(&mut self, context: &mut Context<'_>, wants_shutdown: bool) -> Poll<io::Result<()>> {
        let Some(writer) = &mut self.writer else { return Poll::Ready(Ok(())) };
        let mut writer = Pin::new(writer);
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let filled = self.outbox.slices(&mut slices);
            let offered = slices.get(..filled).unwrap_or_default();
            let poll = if filled > 1 && writer.is_write_vectored() {
                writer.as_mut().poll_write_vectored(context, offered)
            } else {
                writer.as_mut().poll_write(context, offered.first().map_or(&[], |slice| slice))
            };
            match std::task::ready!(poll)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.outbox.advance(count),
            }
            self.needs_flush = true;
        }
        if self.needs_flush {
            std::task::ready!(writer.as_mut().poll_flush(context))?;
            self.needs_flush = false;
        }
        if wants_shutdown {
            std::task::ready!(writer.as_mut().poll_shutdown(context))?;
            // The shutdown of a pipe does nothing; it is closing it that the peer notices.
            self.writer = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what has already arrived. Returns the error in which it ends, if any.
    fn read_rest(&mut self, context: &mut Context<'_>, input: &mut [u8]) -> Result<(), TransportError> {
        for _ in 0..MAX_ROUNDS {
            let read = self.read(context, input)?;
            let mut shared = self.shared.lock();
            let result = match read {
                Read::Bytes(len) => {
                    let bytes = input.get(..len).unwrap_or_default();
                    shared.handle_input(now(), bytes, &mut self.wakers)
                }
                Read::End => shared.handle_eof(),
                Read::Nothing => return Ok(()),
            };
            drop(shared);
            self.wakers.drain(..).for_each(Waker::wake);
            result?;
            if read == Read::End {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sets the timer.
    fn wait(&mut self, context: &mut Context<'_>) -> Result<Progress, TransportError> {
        loop {
            let Some(deadline) = self.shared.lock().next_timeout() else {
                self.sleep = None;
                return Ok(Progress::Wait);
            };
            let deadline = Instant::from_std(deadline);
            let sleep = match &mut self.sleep {
                // A timer that fires early finds nothing due and is set again, which is cheaper than to move it
                // with every byte that comes.
                Some(sleep) if sleep.deadline() <= deadline => sleep,
                Some(sleep) => {
                    sleep.as_mut().reset(deadline);
                    sleep
                }
                none => none.insert(Box::pin(tokio::time::sleep_until(deadline))),
            };
            if sleep.as_mut().poll(context).is_pending() {
                return Ok(Progress::Wait);
            }
            self.sleep = None;
            let mut shared = self.shared.lock();
            shared.handle_timeout(now())?;
            if shared.has_output() {
                context.waker().wake_by_ref();
            }
        }
    }

    /// Tries to send our version to a peer of another version.
    fn say_last_words(&mut self, context: &mut Context<'_>) {
        let mut shared = self.shared.lock();
        if shared.side() == Role::Agent && shared.has_failed_in_handshake() {
            shared.transmit(&mut self.outbox, TRANSMIT_LEN, &mut self.wakers);
            drop(shared);
            let _ = self.poll_write_out(context, false);
        }
    }
}

impl<R, W> Io<R, W> {
    fn finish(&mut self, result: Result<(), TransportError>) {
        self.is_finished = true;
        self.writer = None;
        self.shared.finish(result);
    }
}

impl<R, W> Drop for Io<R, W> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.finish(Err(TransportErrorKind::IoDropped.into()));
        }
    }
}

impl<R, W> fmt::Debug for Io<R, W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Io").field("is_finished", &self.is_finished).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Read {
    Bytes(usize),
    End,
    Nothing,
}

enum Progress {
    End,
    Wait,
}

/// Lends the thread's read buffer. Nothing remains in the buffer when a poll ends, so a connection
/// needs no buffer of its own, and the buffer stays in the cache.
fn with_buffer<T>(poll: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    }
    // A reader or a waker that polls another connection finds none here, and that one makes its own.
    let kept = BUFFER.try_with(Cell::take).ok().flatten();
    let mut buffer = kept.unwrap_or_else(|| vec![0; READ_LEN].into_boxed_slice());
    let result = poll(&mut buffer);
    // A thread that ends has it no longer.
    let _ = BUFFER.try_with(|kept| kept.set(Some(buffer)));
    result
}

/// Returns the time of tokio's clock, which tests can pause.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Bytes read at once.
const READ_LEN: usize = 256 << 10;

/// Bytes passed to the writer at once. Small messages wait behind bytes that have already been
/// passed on.
const TRANSMIT_LEN: usize = 256 << 10;

/// Slices in one vectored write: enough for the frames of `TRANSMIT_LEN`, and half a kilobyte of stack.
const MAX_SLICES: usize = 32;

/// Rounds of reading and writing in one poll, so that one busy connection does not starve the
/// others.
const MAX_ROUNDS: usize = 8;
