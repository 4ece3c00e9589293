//! The lines of stderr on their way to handlers in Python.
//!
//! A handler may block, and may use tunnels. So none is called by a thread that drives the runtime: lines wait in an inbox for each tunnel, and threads of
//! Python take them, one thread at a time for each inbox. One more thread always waits, so a
//! handler that blocks does not hold up others.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chopsticks::{Stderr, text::harmless_line};
use pyo3::prelude::*;
use tokio::sync::Notify;

/// The inboxes of this process that have lines, and the threads that wait for these.
#[derive(Default)]
pub(crate) struct Post {
    state: Mutex<State>,
    /// Notified of a line, and of one that has been handled.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Those that have lines, and no thread that takes them.
    ready: VecDeque<Arc<Inbox>>,
    /// Threads that wait for lines.
    waiting: usize,
    /// Nothing is handled any more.
    is_over: bool,
}

/// The lines of a tunnel.
struct Inbox {
    post: &'static Post,
    /// `handler(host, line)`
    handler: Py<PyAny>,
    lines: Mutex<Waiting>,
    /// Notifies the runtime of room.
    taken: Notify,
}

#[derive(Default)]
struct Waiting {
    host: String,
    lines: VecDeque<(String, String)>,
    size: usize,
    /// How many have been left out since the last one in `lines`.
    left_out: u64,
    /// How many have been taken.
    taken: u64,
    /// Whether a thread takes them, or has one that it has not handled.
    is_served: bool,
    /// The handler does not return: lines for which there is no room are left out at once.
    is_stuck: bool,
}

/// The inbox of a tunnel.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Lines(Arc<Inbox>);

#[pymethods]
impl Lines {
    /// Passes the lines of a tunnel to `handler(host, line)`.
    #[new]
    fn new(py: Python<'_>, handler: Py<PyAny>) -> PyResult<Self> {
        let post = &crate::engine::engine(py)?.post;
        Ok(Self(Arc::new(Inbox { post, handler, lines: Mutex::default(), taken: Notify::new() })))
    }

    /// Waits until all lines have been handled, for `seconds` at most. Returns whether they have.
    fn wait(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        if self.0.is_idle() {
            return Ok(true);
        }
        let end = Instant::now() + Duration::try_from_secs_f64(seconds).unwrap_or_default();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let is_idle = py.detach(|| {
                let post = self.0.post;
                let wait = |_: &mut State| !self.0.is_idle();
                drop(post.changed.wait_timeout_while(post.state(), left.min(TICK), wait));
                self.0.is_idle()
            });
            if is_idle || left.is_zero() {
                return Ok(is_idle);
            }
            py.check_signals()?;
        }
    }

    /// Whether no line waits.
    fn is_idle(&self) -> bool {
        self.0.is_idle()
    }
}

impl Lines {
    /// Returns what puts lines into the inbox.
    pub(crate) fn sink(&self) -> Stderr {
        let (inbox, room) = (self.0.clone(), self.0.clone());
        Stderr::paced(
            move |host, line| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                Inbox::push(&inbox, host, harmless_line(line).into_owned());
            },
            move || Inbox::room(room.clone()),
        )
    }
}

/// Takes a line: what handles it, the host, the line, and whether another thread has to be started to wait for the next.
///
/// `last` is what the calling thread took before. Returns nothing when the thread is not needed any more.
#[pyfunction]
#[pyo3(signature = (last=None))]
pub(crate) fn next_line(py: Python<'_>, last: Option<&Lines>) -> PyResult<Option<Taken>> {
    let post = &crate::engine::engine(py)?.post;
    if let Some(last) = last {
        last.0.handled();
    }
    let ready = post.take(false);
    let ready = ready.or_else(|| py.detach(|| post.take(true)));
    Ok(ready.map(|(inbox, (host, line), is_alone)| {
        let handler = inbox.handler.clone_ref(py);
        (Lines(inbox), handler, host, line, is_alone)
    }))
}

/// The inbox, its handler, the host, the line, and whether no thread waits for the next line.
type Taken = (Lines, Py<PyAny>, String, String, bool);

/// Stops the handling of lines, because the process ends.
#[pyfunction]
pub(crate) fn stop_lines() {
    if let Some(engine) = crate::engine::current() {
        engine.post.state().is_over = true;
    }
}

/// Reports an exception that cannot be caught, by `sys.unraisablehook`.
#[pyfunction]
pub(crate) fn write_unraisable(py: Python<'_>, exception: Bound<'_, PyAny>, object: Bound<'_, PyAny>) {
    PyErr::from_value(exception).write_unraisable(py, Some(&object));
}

impl Post {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, and waits for one if `waits`, unless enough others do so.
    fn take(&self, waits: bool) -> Option<(Arc<Inbox>, (String, String), bool)> {
        let mut state = self.state();
        loop {
            if !state.is_over
                && let Some(inbox) = state.ready.pop_front()
            {
                let is_alone = state.waiting == 0;
                if let Some(line) = inbox.take() {
                    return Some((inbox, line, is_alone));
                }
                continue;
            }
            if !waits || state.waiting >= ENOUGH {
                return None;
            }
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }
}

impl Inbox {
    fn lines(&self) -> MutexGuard<'_, Waiting> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        let lines = self.lines();
        lines.lines.is_empty() && !lines.is_served
    }

    fn push(this: &Arc<Self>, host: &str, line: String) {
        let mut lines = this.lines();
        if lines.is_stuck && lines.size >= ROOM {
            lines.left_out += 1;
            return;
        }
        if lines.host != host {
            host.clone_into(&mut lines.host);
        }
        lines.note();
        lines.add(line);
        let is_ready = !std::mem::replace(&mut lines.is_served, true);
        drop(lines);
        if is_ready {
            this.post.state().ready.push_back(this.clone());
            this.post.changed.notify_all();
        }
    }

    /// Takes the first line. The caller is the only one who does.
    fn take(&self) -> Option<(String, String)> {
        let mut lines = self.lines();
        let line = lines.lines.pop_front();
        match &line {
            Some((_, text)) => {
                lines.size -= cost(text);
                lines.taken += 1;
                lines.is_stuck = false;
                self.taken.notify_waiters();
            }
            None => lines.is_served = false,
        }
        line
    }

    /// The line that was taken has been handled.
    fn handled(self: &Arc<Self>) {
        let mut lines = self.lines();
        if lines.lines.is_empty() {
            lines.note();
        }
        let is_ready = !lines.lines.is_empty();
        lines.is_served = is_ready;
        drop(lines);
        let mut state = self.post.state();
        if is_ready {
            state.ready.push_back(self.clone());
        }
        drop(state);
        self.post.changed.notify_all();
    }

    /// Waits for room, unless the handler does not come back.
    async fn room(this: Arc<Self>) {
        loop {
            let taken = this.taken.notified();
            let before = {
                let lines = this.lines();
                if lines.size < ROOM || lines.is_stuck {
                    return;
                }
                lines.taken
            };
            if tokio::time::timeout(STUCK, taken).await.is_err() {
                let mut lines = this.lines();
                lines.is_stuck = lines.taken == before;
            }
        }
    }
}

impl Waiting {
    fn add(&mut self, line: String) {
        self.size += cost(&line);
        self.lines.push_back((self.host.clone(), line));
    }

    /// Adds a line that says how many have been left out, if any have.
    fn note(&mut self) {
        let count = std::mem::take(&mut self.left_out);
        if count > 0 {
            let what = if count == 1 { "line" } else { "lines" };
            self.add(format!("[chopsticks: {count} {what} left out, for the handler of stderr is too slow]"));
        }
    }
}

fn cost(line: &str) -> usize {
    line.len() + 100
}

/// How many bytes of lines may wait in an inbox, including the memory for each line itself.
const ROOM: usize = 1 << 20;
/// How long a handler may handle one line, while others wait, before lines are left out.
const STUCK: Duration = Duration::from_secs(1);
/// How many threads wait. With one more than is needed, a thread is not started and ended for each line.
const ENOUGH: usize = 2;
/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(50);
