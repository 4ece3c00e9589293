//! The state of an agent: its end of the connection, and the calls that run.

use std::{
    collections::{HashMap, VecDeque},
    env,
    fs::File,
    io::{self, ErrorKind, IoSlice, Write as _},
    mem, process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use bytes::Bytes;
use chopsticks_protocol::{CallFailure, Hello, Run, Start, operation};
use chopsticks_transport::{
    AnswerKind, Connection, Event, Format, Message, Outbox, RequestId, TransportConfig,
};

use super::{
    channel::{self, Channel, Signal},
    child, compare,
    end::{self, Guard},
    fail,
    lead::Lead,
    panicked, pipes,
    problem::NO_PYTHON,
    say, session,
};
use crate::{
    answer::{Answer, Success, failure},
    call::Call,
    registry,
};

/// An agent, shared by its threads.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) token: String,
    /// Answers a request with streams, on a thread of its own.
    pub(crate) answer: Answering,
    state: Mutex<State>,
    /// Notified of work in the queue.
    pub(crate) work: Condvar,
    pub(crate) lead: Lead,
    /// Notified of bytes of streams to write.
    pub(crate) to_write: Condvar,
    /// Notified when a request with streams has ended.
    pub(crate) settled: Condvar,
    pub(crate) output: File,
    guard: Mutex<Option<Guard>>,
}

pub(crate) type Answering = fn(&Arc<Channel>, &Message);

/// The state that is locked for a moment at a time.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) connection: Connection,
    outbox: Outbox,
    /// Whether a thread is writing.
    is_writing: bool,
    /// What threads of the pool have to do.
    pub(crate) queue: VecDeque<Job>,
    /// How many threads of the pool wait.
    pub(crate) idle: usize,
    /// How many threads the pool has.
    pub(crate) threads: usize,
    calls: HashMap<RequestId, Arc<Call>>,
    /// The requests with streams that are being answered.
    pub(crate) streams: HashMap<RequestId, Arc<Signal>>,
    /// Whether a thread writes the bytes of streams.
    pub(crate) has_writer: bool,
    /// How many bytes an item of a stream may have.
    pub(crate) item_limit: usize,
}

/// Something to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Runs a call.
    Call { request: RequestId, message: Message, call: Arc<Call> },
    /// Begins to answer a request with streams.
    Begin { request: RequestId, message: Message, signal: Arc<Signal> },
    /// Writes what there is to write.
    Flush,
}

thread_local! {
    /// The request of the call that runs on this thread, for panics that abort.
    static CURRENT: std::cell::Cell<Option<RequestId>> = const { std::cell::Cell::new(None) };
}

impl Agent {
    /// Takes the pipes, and prepares this process for calls.
    pub(crate) fn start(token: String, answer: Answering) -> io::Result<(Arc<Self>, pipes::Reader)> {
        let (reader, output) = pipes::take()?;
        session::lead();
        // The controller is trusted with the memory of its host.
        let config = TransportConfig::default()
            .max_request_len(1 << 30)
            .max_peer_requests(1 << 20)
            .handshake_timeout(None);
        let mut connection = Connection::agent(Instant::now(), config).map_err(io::Error::other)?;
        channel::presume(&mut connection);
        let state = State {
            connection,
            outbox: Outbox::new(),
            is_writing: false,
            queue: VecDeque::new(),
            idle: 0,
            threads: 0,
            calls: HashMap::new(),
            streams: HashMap::new(),
            has_writer: false,
            item_limit: usize::MAX,
        };
        let agent = Arc::new(Self {
            token,
            answer,
            state: Mutex::new(state),
            work: Condvar::new(),
            lead: Lead::default(),
            to_write: Condvar::new(),
            settled: Condvar::new(),
            output,
            guard: Mutex::new(None),
        });
        let weak: Weak<Self> = Arc::downgrade(&agent);
        panicked::hook(move |failure| {
            if let (Some(agent), Some(request)) = (weak.upgrade(), CURRENT.get()) {
                // What it has yielded comes first.
                agent.finish_stream(request);
                agent.reply(request, Err(failure));
            }
        });
        Ok((agent, reader))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends this process, and everything that its functions have started.
    pub(crate) fn end(&self) -> ! {
        self.stop_streams();
        let is_idle = !self.has_calls();
        let guard = self.guard_slot().take();
        // Functions that run could start more at any time, which only the cleaner stops.
        if let Some(guard) = &guard
            && is_idle
            && !end::has_children_besides(guard)
        {
            guard.kill();
            process::exit(0)
        }
        end::end(&self.token, &self.output)
    }

    /// Returns whether calls or requests with streams are being answered.
    pub(crate) fn has_calls(&self) -> bool {
        let state = self.lock();
        !state.calls.is_empty() || !state.streams.is_empty()
    }

    fn guard_slot(&self) -> MutexGuard<'_, Option<Guard>> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_guard(&self) -> bool {
        self.guard_slot().is_some()
    }

    /// Starts the guard if a function has a child process, unless it is there.
    pub(crate) fn protect(&self) {
        if !self.has_guard() && end::has_children() {
            self.start_guard();
        }
    }

    /// Starts the guard, unless it is there.
    pub(crate) fn start_guard(&self) {
        let mut guard = self.guard_slot();
        if guard.is_none() {
            match Guard::start(&self.token) {
                Ok(started) => *guard = Some(started),
                // Without `/proc` there is no way to start it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => say(&format_args!("cannot start the guard: {error}")),
            }
        }
    }

    /// Does a job on this thread.
    pub(crate) fn perform(self: &Arc<Self>, job: Job) {
        match job {
            Job::Begin { request, message, signal } => self.begin(request, message, signal),
            Job::Flush => self.flush(self.lock()),
            Job::Call { request, message, call } => self.call(request, &message, &call),
        }
    }

    fn call(&self, request: RequestId, message: &Message, call: &Arc<Call>) {
        if call.is_cancelled() {
            return self.reply(request, crate::answer::cancelled());
        }
        let answer = self.in_call(request, call, || {
            let payload = &message.payload;
            if message.operation.code() == operation::CALL {
                return compare::run(payload);
            }
            let message = Run::decode(payload).map_err(|error| failure("argument", "", error.to_string()))?;
            match registry::needs_process(&message) {
                true => child::run(&self.token, payload, call),
                false => registry::run(&message),
            }
        });
        self.reply(request, answer);
    }

    /// Runs `work` as a call on this thread.
    pub(crate) fn in_call(
        &self,
        request: RequestId,
        call: &Arc<Call>,
        work: impl FnOnce() -> Answer,
    ) -> Answer {
        CURRENT.set(Some(request));
        let answer = call.run(|| panicked::catch(work));
        CURRENT.set(None);
        self.protect();
        answer
    }

    /// Ends the stream of a request, if it has one, and waits until the end has left.
    fn finish_stream(&self, request: RequestId) {
        let mut state = self.lock();
        let Some(signal) = state.streams.get(&request).cloned() else { return };
        // One that is not wanted any more has ended.
        let _ = state.connection.stream_finish(request);
        self.flush(state);
        self.wait_for_end(request, &signal);
    }

    fn reply(&self, request: RequestId, answer: Answer) {
        let (outcome, format, payload) = match answer {
            Ok(Success::Bytes(bytes)) => (AnswerKind::Reply, Format::Bytes, bytes),
            Ok(Success::Value(value)) => (AnswerKind::Reply, Format::Marshal, value),
            Err(failure) => (AnswerKind::Fail, Format::Marshal, encode(&failure)),
        };
        let mut state = self.lock();
        state.calls.remove(&request);
        if let Err(error) = state.connection.reply(request, outcome, format, payload.into()) {
            let failure = encode(&failure("size", "", error.kind().to_string()));
            // A connection that has failed needs no answer.
            let _ = state.connection.reply(request, AnswerKind::Fail, Format::Marshal, failure.into());
        }
        self.flush(state);
    }

    /// Writes what there is to write, unless another thread is at it, which then writes this too.
    ///
    /// While there are streams, new bytes may come without end. So this writes only what there is
    /// now, and leaves the rest to the thread that writes streams.
    fn flush<'a>(&'a self, state: MutexGuard<'a, State>) {
        let state = self.write(state, false);
        if state.is_some_and(|state| state.must_write()) {
            self.to_write.notify_one();
        }
    }

    /// Writes the bytes of streams, for ever.
    pub(crate) fn write_streams(&self) {
        let mut state = self.lock();
        loop {
            while !state.must_write() {
                state = self.to_write.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            match self.write(state, true) {
                Some(back) => state = back,
                None => return,
            }
        }
    }

    /// Returns the state if it was left in order, with nobody writing.
    fn write<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        is_writer: bool,
    ) -> Option<MutexGuard<'a, State>> {
        if state.is_writing {
            return None;
        }
        state.is_writing = true;
        let mut outbox = mem::take(&mut state.outbox);
        loop {
            state.connection.transmit(&mut outbox, ENOUGH);
            state.take_events();
            if outbox.is_empty() {
                break;
            }
            drop(state);
            if write_all(&self.output, &mut outbox).is_err() {
                // The controller is gone; the end of its bytes says so too. Nobody writes from here on.
                return None;
            }
            state = self.lock();
            if state.has_writer && !is_writer {
                break;
            }
        }
        state.is_writing = false;
        state.outbox = outbox;
        Some(state)
    }
}

impl State {
    /// Handles bytes of the controller. Returns whether the connection goes on.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> bool {
        let result = self.connection.handle_input(Instant::now(), bytes);
        self.take_events();
        if let Err(error) = &result {
            say(error);
        }
        result.is_ok()
    }

    fn take_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.handle(event);
        }
    }

    /// Returns whether there is something to write, and no thread is writing.
    pub(crate) fn must_write(&self) -> bool {
        self.connection.has_output() && !self.is_writing
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Started(start) => {
                let limit = start.max_message_len.min(u64::from(u32::MAX));
                self.item_limit = usize::try_from(limit).unwrap_or(usize::MAX);
                self.begin(&start.options);
            }
            Event::Request { request, message }
                if matches!(message.operation.code(), operation::RUN | operation::CALL) =>
            {
                let call = Arc::new(Call::default());
                self.calls.insert(request, call.clone());
                self.queue.push_back(Job::Call { request, message, call });
            }
            Event::Request { request, message } if channel::has_streams(message.operation.code()) => {
                let signal = self.open_streams(request, message.operation.code());
                self.queue.push_back(Job::Begin { request, message, signal });
            }
            Event::Readable { request } | Event::Writable { request } => self.notify(request),
            Event::Request { request, .. } => {
                let failure = encode(&failure("function", "", NO_PYTHON.to_owned()));
                // A connection that has failed needs no answer.
                let _ = self.connection.reply(request, AnswerKind::Fail, Format::Marshal, failure.into());
            }
            Event::Cancelled { request } => {
                if let Some(call) = self.calls.get(&request) {
                    call.cancel();
                }
                if let Some(signal) = self.streams.get(&request) {
                    signal.stop();
                }
            }
            // Modules and parts of an agent in Python are of no use here, and nothing was asked of the controller.
            _ => {}
        }
    }

    /// Applies the options, and says hello.
    fn begin(&mut self, options: &Bytes) {
        let hello = Start::decode(options).map_err(io::Error::other).and_then(|options| {
            apply(&options)?;
            hello().encode().map_err(io::Error::other)
        });
        let said = hello.and_then(|hello| {
            self.connection.send_hello(Format::Marshal, hello.into()).map_err(io::Error::other)
        });
        if let Err(error) = said {
            fail(&error);
        }
    }
}

/// Applies the options that concern an agent in Rust.
fn apply(options: &Start) -> io::Result<()> {
    for (name, value) in &options.env {
        // The process that started this one may have set it. Another thread may read variables at any time, so this process
        // cannot change them.
        if env::var_os(name).is_none_or(|set| set != value.as_str()) {
            let text = format!("an agent in Rust cannot set variables of its environment, such as {name}");
            return Err(io::Error::new(ErrorKind::Unsupported, text));
        }
    }
    if let Some(folder) = &options.cwd {
        env::set_current_dir(folder)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot enter {folder}: {error}")))?;
    }
    Ok(())
}

fn hello() -> Hello {
    let executable = env::current_exe().unwrap_or_default().to_string_lossy().into_owned();
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let platform = env::consts::OS.to_owned();
    Hello { python: None, executable, pid: std::process::id(), hostname, platform }
}

/// Writes everything in the outbox.
fn write_all(mut output: &File, outbox: &mut Outbox) -> io::Result<()> {
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); 32];
        let filled = outbox.slices(&mut slices);
        match output.write_vectored(&slices[..filled]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => outbox.advance(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn encode(failure: &CallFailure) -> Vec<u8> {
    // Only a text of 2 GiB cannot be encoded.
    failure.encode().unwrap_or_default()
}

/// A few frames.
const ENOUGH: usize = 256 << 10;
