//! Who reads: one thread at a time, which runs a call itself if the call comes alone.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    STACK_LEN,
    pipes::Reader,
    say,
    serve::{Agent, Job},
};

/// The right to read.
///
/// A thread that runs a call leaves the reader here. If the call lasts, the thread that watches
/// takes the reader, and reads from then on.
#[derive(Debug, Default)]
pub(crate) struct Lead {
    state: Mutex<State>,
    /// Notified when a call begins and no thread watches.
    begun: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What was left by a thread that runs a call.
    left: Option<Reader>,
    /// How many calls have begun on threads that read.
    calls: u64,
    /// Whether a thread watches calls, or has been notified to do so.
    is_watched: bool,
}

impl Lead {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the reader while a call runs.
    fn leave(&self, reader: Reader) {
        let mut state = self.lock();
        state.left = Some(reader);
        state.calls += 1;
        if !mem::replace(&mut state.is_watched, true) {
            self.begun.notify_one();
        }
    }

    /// Takes the reader back, unless another thread has taken it.
    fn take_back(&self) -> Option<Reader> {
        self.lock().left.take()
    }

    /// Waits until a call has run for a moment, and takes the reader that its thread has left.
    fn take_over(&self) -> Reader {
        let mut state = self.lock();
        loop {
            while state.left.is_none() {
                state.is_watched = false;
                state = self.begun.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let calls = state.calls;
            drop(state);
            thread::sleep(PATIENCE);
            state = self.lock();
            if state.calls == calls
                && let Some(reader) = state.left.take()
            {
                // Another thread will watch.
                state.is_watched = false;
                return reader;
            }
        }
    }
}

impl Agent {
    /// Serves the connection until it ends, which ends this process.
    pub(crate) fn serve(self: &Arc<Self>, reader: Reader) -> ! {
        self.spawn_watcher();
        self.read(reader);
        self.work()
    }

    /// Reads, and runs the calls that come alone, until another thread reads. At the end of the
    /// connection this process ends.
    fn read(self: &Arc<Self>, mut reader: Reader) {
        loop {
            // A call that lasts may start processes at any time.
            if self.has_calls() && !self.has_guard() && !reader.wait(UNGUARDED) {
                self.start_guard();
            }
            let bytes = match reader.read() {
                Ok([]) => self.end(),
                Ok(bytes) => bytes,
                Err(error) => {
                    say(&error);
                    self.end()
                }
            };
            let mut state = self.lock();
            let goes_on = state.receive(bytes);
            let alone = if state.queue.len() == 1 { state.queue.pop_front() } else { None };
            if alone.is_none() && state.must_write() {
                state.queue.push_back(Job::Flush);
            }
            // One thread for each job, whether it waits or has to be started. What a thread leaves, the next one does.
            let jobs = state.queue.len();
            let missing = jobs.saturating_sub(state.idle).min(MAX_THREADS.saturating_sub(state.threads));
            state.threads += missing;
            drop(state);
            for _ in 0..jobs.min(MAX_THREADS) {
                self.work.notify_one();
            }
            for _ in 0..missing {
                self.spawn_worker();
            }
            if !goes_on {
                self.end();
            }
            if let Some(job) = alone {
                self.lead.leave(reader);
                self.perform(job);
                match self.lead.take_back() {
                    Some(back) => reader = back,
                    None => return,
                }
            }
        }
    }

    /// Does jobs of the queue for ever.
    fn work(self: &Arc<Self>) -> ! {
        loop {
            let mut state = self.lock();
            let job = loop {
                if let Some(job) = state.queue.pop_front() {
                    break job;
                }
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            };
            drop(state);
            self.perform(job);
        }
    }

    fn spawn_worker(self: &Arc<Self>) {
        let agent = self.clone();
        let worker = thread::Builder::new().name("chopsticks-call".to_owned()).stack_size(STACK_LEN);
        if let Err(error) = worker.spawn(move || agent.work()) {
            // The threads that there are do all jobs, one after the other.
            say(&format_args!("cannot start a thread: {error}"));
            self.lock().threads -= 1;
        }
    }

    fn spawn_watcher(self: &Arc<Self>) {
        let agent = self.clone();
        let watcher = thread::Builder::new().name("chopsticks-read".to_owned()).stack_size(STACK_LEN);
        let spawned = watcher.spawn(move || {
            let reader = agent.lead.take_over();
            agent.spawn_watcher();
            // The call that lasts may have started processes.
            agent.protect();
            agent.read(reader);
            // The thread whose call lasts longer reads now. This one is of use to others.
            agent.lock().threads += 1;
            agent.work();
        });
        if let Err(error) = spawned {
            say(&format_args!("cannot start a thread, so calls that overlap wait: {error}"));
        }
    }
}

/// How long a call runs before another thread takes over reading: longer than most, and too short
/// to be noticed.
const PATIENCE: Duration = Duration::from_millis(2);
/// How long calls may last without a guard: longer than most, which saves its process.
const UNGUARDED: Duration = Duration::from_millis(20);
/// As many as the agent in Python has.
const MAX_THREADS: usize = 256;
