//! Requests with streams. Each is answered by threads of its own, which wait for bytes and credit.
//!
//! One more thread writes the bytes of all streams, so that no thread of a request writes those of
//! others for ever.

use std::{
    fmt,
    io::{self, ErrorKind, PipeReader, PipeWriter},
    mem,
    process::ChildStderr,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chopsticks_files::blocking::Inlet;
use chopsticks_protocol::{CallFailure, FIRST_CREDIT, operation};
use chopsticks_transport::{
    AnswerKind, Connection, Format, Message, Operation, Refusal, RequestId, StreamRead, TransportErrorKind,
};

use super::{
    problem::failure,
    say,
    serve::{Agent, State},
};
use crate::call::Call;

/// Notifies the threads of one request.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Notified, with the state of the agent, of bytes, of room, and of the end.
    pub(crate) changed: Condvar,
    /// Whether the controller no longer wants the request.
    is_stopped: AtomicBool,
    /// The call, if the request is one.
    pub(crate) call: Arc<Call>,
    /// Whether code of a function runs, which may never notice that the request was stopped.
    pub(crate) is_busy: AtomicBool,
    /// Pipes that threads poll beside others. They are closed when the request is stopped.
    wakes: Mutex<Vec<PipeWriter>>,
    /// The pipe that a request for the stderr of a program waits for.
    pub(crate) errors: Mutex<Option<ChildStderr>>,
}

impl Signal {
    /// Stops the request. To be called with the state of the agent locked.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.call.cancel();
        mem::take(&mut *self.wakes.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Returns a pipe that ends when the request is stopped.
    pub(crate) fn wake(&self) -> io::Result<PipeReader> {
        let (wake, writer) = io::pipe()?;
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopped() {
            wakes.push(writer);
        }
        Ok(wake)
    }
}

/// The controller no longer wants a request, or has broken off its stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped;

/// A request with streams.
pub(crate) struct Channel {
    pub(crate) agent: Arc<Agent>,
    pub(crate) request: RequestId,
    pub(crate) signal: Arc<Signal>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel").field(&self.request).finish()
    }
}

/// Returns whether requests with this operation have streams.
pub(crate) fn has_streams(code: u8) -> bool {
    matches!(
        code,
        operation::PUT | operation::FETCH | operation::SPAWN | operation::STDERR | operation::YIELD
    )
}

/// Lets the first bytes for a program follow its request at once.
pub(crate) fn presume(connection: &mut Connection) {
    connection.open_readers_of(Operation::application(operation::SPAWN), INITIAL_CREDIT);
}

impl State {
    /// Opens the streams of a request that has arrived.
    pub(crate) fn open_streams(&mut self, request: RequestId, code: u8) -> Arc<Signal> {
        // That of a program's stdin is open already.
        let opened = match code {
            operation::PUT => self.connection.open_reader(request),
            _ => self.connection.open_writer(request),
        };
        if code == operation::YIELD {
            self.connection.presume_credit(request, FIRST_CREDIT);
        }
        let signal = self.streams.entry(request).or_default().clone();
        if opened.is_err() {
            // It was cancelled, or its stream was reset, by what came together with it.
            signal.stop();
        }
        signal
    }

    /// Notifies the threads of a request of bytes or room.
    pub(crate) fn notify(&mut self, request: RequestId) {
        let Some(signal) = self.streams.get(&request) else { return };
        let is_reset = self
            .connection
            .stream_room(request)
            .is_err_and(|error| matches!(error.kind(), TransportErrorKind::StreamReset { .. }));
        if is_reset { signal.stop() } else { signal.changed.notify_all() }
    }
}

impl Agent {
    /// Answers a request with streams, on a new thread.
    pub(crate) fn begin(self: &Arc<Self>, request: RequestId, message: Message, signal: Arc<Signal>) {
        let channel = Arc::new(Channel { agent: self.clone(), request, signal });
        self.start_writer();
        // Opening its streams has given the controller credit.
        channel.write_on(&self.lock());
        let answering = channel.clone();
        let thread = thread::Builder::new().name("chopsticks-stream".to_owned());
        let stack_len =
            if message.operation.code() == operation::YIELD { super::STACK_LEN } else { STACK_LEN };
        if let Err(error) =
            thread.stack_size(stack_len).spawn(move || (answering.agent.answer)(&answering, &message))
        {
            channel.fail(&error, b"");
        }
    }

    fn start_writer(self: &Arc<Self>) {
        if mem::replace(&mut self.lock().has_writer, true) {
            return;
        }
        let agent = self.clone();
        if let Err(error) = spawn("chopsticks-write", move || agent.write_streams()) {
            say(&format_args!("cannot start a thread: {error}"));
            self.lock().has_writer = false;
        }
    }

    /// Waits until the end of a request's stream to the controller has left.
    pub(crate) fn wait_for_end(&self, request: RequestId, signal: &Signal) {
        let mut state = self.lock();
        while !signal.is_stopped() && !state.connection.stream_has_ended(request) {
            state = signal.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Stops all requests with streams, and waits a moment until nothing unfinished is left of them. For
    /// those that run code of functions the moment is short, because they may never notice.
    pub(crate) fn stop_streams(&self) {
        let mut state = self.lock();
        for signal in state.streams.values() {
            signal.stop();
        }
        let begun = Instant::now();
        while !state.streams.is_empty() {
            let are_busy = state.streams.values().all(|signal| signal.is_busy.load(Ordering::SeqCst));
            let time = if are_busy { SETTLING_BUSY } else { SETTLING };
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            let waited = self.settled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Channel {
    pub(crate) fn is_stopped(&self) -> bool {
        self.signal.is_stopped()
    }

    /// Stops the request from this side.
    pub(crate) fn stop(&self) {
        let _state = self.agent.lock();
        self.signal.stop();
    }

    /// Notifies the threads of the request of something that they have seen.
    pub(crate) fn tell(&self) {
        let _state = self.agent.lock();
        self.signal.changed.notify_all();
    }

    /// Waits for bytes of the controller, and returns them; `None` at the end.
    pub(crate) fn read(&self, max: usize) -> Result<Option<Bytes>, Stopped> {
        let mut state = self.agent.lock();
        loop {
            if self.is_stopped() {
                return Err(Stopped);
            }
            match state.connection.stream_read(self.request, max) {
                Ok(StreamRead::Data(bytes)) => {
                    self.write_on(&state);
                    return Ok(Some(bytes));
                }
                Ok(StreamRead::End) => return Ok(None),
                Ok(StreamRead::Pending) => {
                    state = self.signal.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Err(_) => return Err(Stopped),
            }
        }
    }

    /// Sends bytes as the controller allows it.
    pub(crate) fn write(&self, mut bytes: Bytes) -> Result<(), Stopped> {
        while !bytes.is_empty() {
            let mut state = self.agent.lock();
            let room = loop {
                if self.is_stopped() {
                    return Err(Stopped);
                }
                match state.connection.stream_room(self.request) {
                    Ok(0) => state = self.signal.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                    Ok(room) => break room,
                    Err(_) => return Err(Stopped),
                }
            };
            let piece = bytes.split_to(bytes.len().min(room));
            state.connection.stream_write(self.request, piece).map_err(|_| Stopped)?;
            self.write_on(&state);
        }
        Ok(())
    }

    /// Ends the stream to the controller.
    pub(crate) fn finish(&self) {
        let mut state = self.agent.lock();
        // One that is not wanted any more has ended.
        let _ = state.connection.stream_finish(self.request);
        self.write_on(&state);
    }

    /// Ends the stream to the controller, and waits until the end has left. An answer that says that the
    /// request has failed would overtake it.
    pub(crate) fn finish_first(&self) {
        self.finish();
        self.agent.wait_for_end(self.request, &self.signal);
    }

    /// Wants no more bytes of the controller.
    pub(crate) fn reset(&self) {
        let mut state = self.agent.lock();
        state.connection.stream_reset(self.request, 0);
        self.signal.changed.notify_all();
        self.write_on(&state);
    }

    /// Waits for a moment, or until the request is stopped.
    pub(crate) fn pause(&self, time: Duration) {
        let state = self.agent.lock();
        if !self.is_stopped() {
            drop(self.signal.changed.wait_timeout(state, time));
        }
    }

    /// Answers the request.
    pub(crate) fn reply(&self, payload: Vec<u8>) {
        self.respond(AnswerKind::Reply, payload);
    }

    /// Answers that the request has failed, with an error about `path`.
    pub(crate) fn fail(&self, error: &io::Error, path: &[u8]) {
        let failure = failure(error, path);
        // Only a text of 2 GiB cannot be encoded.
        self.respond(AnswerKind::Fail, failure.encode().unwrap_or_default());
    }

    /// Answers that the call has failed.
    pub(crate) fn fail_call(&self, failure: &CallFailure) {
        // Only a text of 2 GiB cannot be encoded.
        self.respond(AnswerKind::Fail, failure.encode().unwrap_or_default());
    }

    /// Answers that the request was given up.
    pub(crate) fn give_up(&self) {
        let mut state = self.agent.lock();
        state.connection.refuse(self.request, Refusal::Cancelled);
        self.write_on(&state);
    }

    fn respond(&self, kind: AnswerKind, payload: Vec<u8>) {
        let mut state = self.agent.lock();
        // A connection that has failed needs no answer, and one that is too long is lost.
        let _ = state.connection.reply(self.request, kind, Format::Marshal, payload.into());
        self.write_on(&state);
    }

    fn write_on(&self, state: &State) {
        if state.must_write() {
            self.agent.to_write.notify_one();
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let mut state = self.agent.lock();
        // This does nothing if it was answered.
        state.connection.refuse(self.request, Refusal::Unanswered);
        state.streams.remove(&self.request);
        self.write_on(&state);
        self.agent.settled.notify_all();
    }
}

/// The bytes of the controller as content of files.
impl Inlet for &Channel {
    fn piece(&mut self, max: usize) -> io::Result<Option<Bytes>> {
        self.read(max).map_err(|Stopped| ErrorKind::Interrupted.into())
    }

    fn is_wanted(&self) -> bool {
        !self.is_stopped()
    }
}

/// Starts a thread that need not have room for functions.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_LEN).spawn(work).map(drop)
}

/// What the controller may send to a program before it has any credit.
const INITIAL_CREDIT: u32 = 64 << 10;
/// How long the end of the agent waits for files that are not finished.
const SETTLING: Duration = Duration::from_secs(2);
/// How long it waits for functions that yield items: longer than most need for one.
const SETTLING_BUSY: Duration = Duration::from_millis(50);
const STACK_LEN: usize = 512 << 10;
