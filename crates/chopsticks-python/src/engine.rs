//! The runtime: whoever waits for a result drives it, and a thread of its own when nobody does.
//!
//! A call that is made by a Python thread so needs no switch of threads on this side. The thread `chopsticks` takes over when nobody
//! has waited for a moment, or while there are tasks, and lets go when somebody comes.

use std::{
    cell::Cell,
    future::Future,
    pin::pin,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

use chopsticks::Tunnel;
use pyo3::{exceptions::PyRuntimeError, prelude::*};
use tokio::{
    runtime::{Builder, EnterGuard, Runtime},
    sync::Notify,
    task::JoinHandle,
};

use crate::stderr::Post;

/// The runtime of this process. It is never dropped.
pub(crate) struct Engine {
    runtime: Runtime,
    /// The lines of stderr.
    pub(crate) post: Post,
    /// Threads that wait at the moment.
    callers: AtomicUsize,
    /// Waits that have begun.
    waits: AtomicU64,
    /// Tunnels that are being closed in the background.
    closes: AtomicUsize,
    /// Notified of each that has been closed.
    closed: Notify,
    /// Tasks that nobody may be waiting for.
    tasks: AtomicUsize,
    is_driving: AtomicBool,
    /// Somebody else wants to drive.
    wanted: Notify,
    thread: OnceLock<Thread>,
    gate: Mutex<Gate>,
    /// Tells of each change of the gate.
    moved: Condvar,
    /// Tells threads in the runtime that the gate is closed.
    closing: Notify,
}

/// Where threads go into the runtime and come out.
#[derive(Default)]
struct Gate {
    is_closed: bool,
    inside: usize,
}

/// A thread in the runtime.
struct Inside<'a>(&'a Engine);

/// A thread that waits.
struct Caller<'a>(&'a Engine);

/// A task that is under way.
struct Task(&'static Engine);

/// Returns the engine of this process, a new one if there is none.
pub(crate) fn engine(_: Python<'_>) -> PyResult<&'static Engine> {
    if let Some(engine) = current() {
        return Ok(engine);
    }
    let mut slot = ENGINE.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = *slot {
        return Ok(engine);
    }
    let failed = |error: std::io::Error| PyRuntimeError::new_err(error.to_string());
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let engine: &'static Engine = Box::leak(Box::new(Engine {
        runtime,
        post: Post::default(),
        callers: AtomicUsize::new(0),
        waits: AtomicU64::new(0),
        closes: AtomicUsize::new(0),
        closed: Notify::new(),
        tasks: AtomicUsize::new(0),
        is_driving: AtomicBool::new(false),
        wanted: Notify::new(),
        thread: OnceLock::new(),
        gate: Mutex::default(),
        moved: Condvar::new(),
        closing: Notify::new(),
    }));
    let thread =
        thread::Builder::new().name("chopsticks".to_owned()).spawn(|| engine.drive()).map_err(failed)?;
    let _ = engine.thread.set(thread.thread().clone());
    *slot = Some(engine);
    Ok(engine)
}

/// Returns the engine of this process, if there is one.
pub(crate) fn current() -> Option<&'static Engine> {
    *ENGINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets the engine: in a forked child its thread is gone.
pub(crate) fn forget() {
    *ENGINE.write().unwrap_or_else(PoisonError::into_inner) = None;
}

impl Engine {
    /// Waits for a future, and lets Python handle signals meanwhile.
    ///
    /// If a handler raises, the future is dropped, which cancels what it waits for, and the exception is returned.
    pub(crate) fn wait<F>(&'static self, py: Python<'_>, future: F) -> PyResult<F::Output>
    where
        F: Future + Send,
        F::Output: Send,
    {
        if IS_INSIDE.get() {
            return Err(PyRuntimeError::new_err("tunnels cannot be used by what the runtime calls"));
        }
        // What is dropped in the end may want to know the runtime.
        let _entered = self.runtime.enter();
        let mut future = pin!(future);
        loop {
            let step = py.detach(|| {
                let _inside = self.go_in();
                let _caller = Caller::new(self);
                self.runtime.block_on(async {
                    tokio::select! {
                        biased;
                        output = future.as_mut() => Some(output),
                        () = tokio::time::sleep(TICK) => None,
                        () = self.gate_closed() => None,
                    }
                })
            });
            match step {
                Some(output) => return Ok(output),
                // Not within the runtime: a handler may use tunnels.
                None => py.check_signals()?,
            }
        }
    }

    /// Runs a future as a task, which makes progress whether or not somebody waits.
    pub(crate) fn spawn(&'static self, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.tasks.fetch_add(1, SeqCst);
        let task = Task(self);
        let handle = self.runtime.spawn(async move {
            let _task = task;
            future.await;
        });
        self.nudge();
        handle
    }

    /// Lets values that are dropped here find the runtime.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Closes a tunnel in the background.
    pub(crate) fn close(&'static self, tunnel: Tunnel) {
        self.closes.fetch_add(1, SeqCst);
        self.spawn(async move {
            // The result is ignored: there is no place to report it.
            let _ = tunnel.close().await;
            drop(tunnel);
            self.closes.fetch_sub(1, SeqCst);
            self.closed.notify_waiters();
        });
    }

    /// Waits until no tunnel is being closed in the background.
    pub(crate) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.closes.load(SeqCst) == 0 {
                return;
            }
            closed.await;
        }
    }

    /// Has the thread look whether there is something to do.
    pub(crate) fn nudge(&self) {
        if !self.is_driving.load(SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Has all threads come out of the runtime and stay out, and waits for that, for a moment at most.
    pub(crate) fn stop(&'static self, py: Python<'_>) {
        py.detach(|| {
            let mut gate = self.gate();
            gate.is_closed = true;
            self.closing.notify_waiters();
            let wait = self.moved.wait_timeout_while(gate, PATIENCE, |gate| gate.inside > 0);
            drop(wait);
        });
    }

    /// Lets threads into the runtime again.
    pub(crate) fn resume(&self) {
        self.gate().is_closed = false;
        self.moved.notify_all();
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes into the runtime, when the gate is open.
    fn go_in(&self) -> Inside<'_> {
        let gate = self.moved.wait_while(self.gate(), |gate| gate.is_closed);
        gate.unwrap_or_else(PoisonError::into_inner).inside += 1;
        IS_INSIDE.set(true);
        Inside(self)
    }

    /// Waits until the gate is closed.
    async fn gate_closed(&self) {
        let mut closing = pin!(self.closing.notified());
        // It may have been closed before this listened.
        closing.as_mut().enable();
        if !self.gate().is_closed {
            closing.await;
        }
    }

    /// The life of the thread.
    fn drive(&self) {
        let mut seen = u64::MAX;
        loop {
            if self.tasks.load(SeqCst) == 0 {
                let (callers, waits) = (self.callers.load(SeqCst), self.waits.load(SeqCst));
                if callers > 0 || waits != seen {
                    let nap = if callers > 0 && waits == seen { TICK } else { LINGER };
                    seen = waits;
                    thread::park_timeout(nap);
                    continue;
                }
            }
            let inside = self.go_in();
            self.is_driving.store(true, SeqCst);
            if self.tasks.load(SeqCst) > 0 || self.callers.load(SeqCst) == 0 {
                self.runtime.block_on(async {
                    tokio::select! {
                        () = self.wanted.notified() => {}
                        () = self.gate_closed() => {}
                    }
                });
            }
            self.is_driving.store(false, SeqCst);
            drop(inside);
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        IS_INSIDE.set(false);
        let mut gate = self.0.gate();
        gate.inside -= 1;
        if gate.is_closed {
            self.0.moved.notify_all();
        }
    }
}

impl<'a> Caller<'a> {
    fn new(engine: &'a Engine) -> Self {
        engine.callers.fetch_add(1, SeqCst);
        engine.waits.fetch_add(1, SeqCst);
        if engine.is_driving.load(SeqCst) {
            engine.wanted.notify_one();
        }
        Self(engine)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if self.0.callers.fetch_sub(1, SeqCst) == 1 && self.0.tasks.load(SeqCst) > 0 {
            self.0.nudge();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, SeqCst);
    }
}

thread_local! {
    /// Whether this thread is in the runtime, which cannot be entered twice.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Taken by threads that are attached to Python, so that nobody holds it while another forks.
static ENGINE: RwLock<Option<&'static Engine>> = RwLock::new(None);

/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long after a wait the thread leaves the runtime alone: there are mostly more calls to come.
const LINGER: Duration = Duration::from_millis(3);
/// How long it is waited for that threads come out. One may be in a callback.
const PATIENCE: Duration = Duration::from_secs(1);
