//! Threads for blocking work, at most as many as there is simultaneous work.
//!
//! A pool such as tokio's makes a thread available again some time after its work is done, so it
//! grows with each connection that arrives within that time.

use std::{
    io, mem, process,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

/// Work, which reports its result only when its thread is available again.
type Work = Box<dyn FnOnce() -> Tell + Send>;
type Tell = Box<dyn FnOnce() + Send>;

/// A thread that waits for work.
struct Idle {
    /// The process that has it: a forked child has none of its parent's threads.
    process: u32,
    thread: thread::ThreadId,
    sender: mpsc::Sender<Work>,
}

/// Runs work on a separate thread. If the work panics, there is no result.
///
/// `guard` is dropped when the thread is available again.
pub(crate) fn run<T: Send + 'static>(
    guard: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (sender, receiver) = oneshot::channel();
    // As on tokio's own threads: sources may ask it for something.
    let runtime = Handle::try_current().ok();
    let work: Work = Box::new(move || {
        let _entered = runtime.as_ref().map(Handle::enter);
        let result = work();
        Box::new(move || {
            drop(guard);
            // Whoever has stopped to wait has no use for it.
            let _ = sender.send(result);
        })
    });
    let work = match take_idle() {
        // One that has just given up waiting sends it back.
        Some(idle) => match idle.sender.send(work) {
            Ok(()) => return Ok(receiver),
            Err(mpsc::SendError(work)) => work,
        },
        None => work,
    };
    thread::Builder::new().name("chopsticks-read".to_owned()).spawn(move || serve(work))?;
    Ok(receiver)
}

/// Takes a thread of this process that waits for work.
fn take_idle() -> Option<Idle> {
    let mut threads = threads();
    while let Some(idle) = threads.pop() {
        if idle.process == process::id() {
            return Some(idle);
        }
        // The thread may have held a lock of the channel when the process was forked.
        mem::forget(idle);
    }
    None
}

/// The life of a thread.
fn serve(mut work: Work) {
    let (sender, receiver) = mpsc::channel();
    let own = thread::current().id();
    loop {
        let tell = work();
        threads().push(Idle { process: process::id(), thread: own, sender: sender.clone() });
        tell();
        work = match receiver.recv_timeout(LINGER) {
            Ok(work) => work,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let mut idle = threads();
                let before = idle.len();
                idle.retain(|idle| idle.thread != own);
                if idle.len() < before {
                    return;
                }
                drop(idle);
                // It was chosen a moment ago, so there is work on its way.
                match receiver.recv() {
                    Ok(work) => work,
                    Err(_) => return,
                }
            }
        };
    }
}

fn threads() -> MutexGuard<'static, Vec<Idle>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a thread waits for more work.
const LINGER: Duration = Duration::from_secs(2);

// A cache: which tunnel a thread has worked for makes no difference. Contexts limit how many work.
static IDLE: Mutex<Vec<Idle>> = Mutex::new(Vec::new());

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use tokio::sync::Semaphore;

    use super::*;

    /// One test, because threads are the process's.
    #[tokio::test]
    async fn threads_are_as_many_as_work_at_once_and_outlive_panics() {
        let turns = Arc::new(Semaphore::new(2));
        let mut seen = HashSet::new();
        for _ in 0..2_000 {
            let turn = turns.clone().acquire_owned().await.unwrap();
            seen.insert(run(turn, || thread::current().id()).unwrap().await.unwrap());
        }
        assert!(seen.len() <= 2, "{} threads for two at once", seen.len());
        assert!(run((), || panic!("on purpose")).unwrap().await.is_err());
        assert_eq!(run((), || Handle::try_current().is_ok()).unwrap().await, Ok(true));
    }
}
