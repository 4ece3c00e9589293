//! The call that runs on this thread.

#[cfg(feature = "agent")]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::Thread,
};

#[cfg(feature = "agent")]
use rustix::process::{Pid, Signal, kill_process_group};

/// A call, from the time at which it arrives.
#[derive(Debug, Default)]
pub(crate) struct Call {
    is_cancelled: AtomicBool,
    /// The thread on which it runs.
    thread: OnceLock<Thread>,
    /// The process in which it runs, if that is one of its own, and which leads a group.
    #[cfg(feature = "agent")]
    process: Mutex<Option<Pid>>,
}

thread_local! {
    static RUNNING: RefCell<Option<Arc<Call>>> = const { RefCell::new(None) };
}

impl Call {
    /// Runs `work` as this call on the current thread.
    #[cfg(feature = "agent")]
    pub(crate) fn run<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let _ = self.thread.set(std::thread::current());
        RUNNING.set(Some(self.clone()));
        let result = work();
        RUNNING.set(None);
        result
    }

    #[cfg(feature = "agent")]
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        self.kill();
    }

    /// Runs `wait` while a process runs this call. It must not be waited for in there, so that its
    /// number stays its own.
    #[cfg(feature = "agent")]
    pub(crate) fn in_process<T>(&self, process: Pid, wait: impl FnOnce() -> T) -> T {
        *self.process() = Some(process);
        if self.is_cancelled() {
            self.kill();
        }
        let result = wait();
        *self.process() = None;
        result
    }

    #[cfg(feature = "agent")]
    fn kill(&self) {
        if let Some(process) = *self.process() {
            let _ = kill_process_group(process, Signal::KILL);
        }
    }

    #[cfg(feature = "agent")]
    fn process(&self) -> MutexGuard<'_, Option<Pid>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }
}

/// Returns whether the call that runs on this thread was cancelled, so its result is no longer
/// needed.
///
/// Code in Rust cannot be interrupted, so a function that takes long should call this from time to
/// time, and return if it was cancelled. This costs a few nanoseconds. `async` functions need not
/// call it: their future is dropped where it waits. On a thread that runs no call, such as one that
/// a function has started, this always returns `false`.
pub fn is_cancelled() -> bool {
    RUNNING.with_borrow(|call| call.as_ref().is_some_and(|call| call.is_cancelled()))
}

/// Returns whether a call runs on this thread.
#[cfg(feature = "agent")]
pub(crate) fn is_running() -> bool {
    RUNNING.with_borrow(Option::is_some)
}
