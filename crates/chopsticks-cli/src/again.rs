//! Running a job again after it has failed.

use std::{future::Future, time::Duration};

use chopsticks::Retry;
use tokio::time::{Instant, sleep};

use crate::args::RetryArgs;

/// Whether jobs run again.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    retry: Retry,
    /// How often a job that has begun runs again.
    times: u32,
    timeout: Option<Duration>,
}

/// All attempts together took too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Late {
    pub(crate) timeout: Duration,
    /// The number of attempts that have failed.
    pub(crate) failed: u32,
}

impl Again {
    /// Returns what the options say. `timeout` is the deadline of all attempts together.
    pub(crate) fn new(args: &RetryArgs, timeout: Option<Duration>) -> Self {
        let times = if args.idempotent { args.connect.retries } else { 0 };
        Self { retry: Retry::times(args.connect.retries), times, timeout }
    }

    /// Runs a job until its result is final or its attempts are over. Before a job has begun, its
    /// tunnel tries again by itself.
    pub(crate) async fn run<T, F>(
        &self,
        mut job: impl FnMut() -> F,
        is_final: impl Fn(&T) -> bool,
    ) -> Result<T, Late>
    where
        F: Future<Output = T>,
    {
        let begun = Instant::now();
        let mut failed = 0;
        loop {
            let attempt = job();
            // The first attempt has this deadline itself.
            let result = match self.timeout.filter(|_| failed > 0) {
                None => attempt.await,
                Some(timeout) => {
                    let left = timeout.saturating_sub(begun.elapsed());
                    tokio::time::timeout(left, attempt).await.map_err(|_| Late { timeout, failed })?
                }
            };
            if is_final(&result) || failed >= self.times {
                return Ok(result);
            }
            failed += 1;
            let delay = self.retry.delay(failed);
            if self.timeout.is_some_and(|timeout| begun.elapsed() + delay >= timeout) {
                return Ok(result);
            }
            sleep(delay).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::args::ConnectArgs;

    fn again(retries: u32, idempotent: bool, timeout: Option<u64>) -> Again {
        let args = RetryArgs { connect: ConnectArgs { retries, wait_for: None }, idempotent };
        Again::new(&args, timeout.map(Duration::from_secs))
    }

    /// Returns how often a job runs whose results are all the same.
    async fn attempts(again: Again, is_final: bool) -> u32 {
        let count = Cell::new(0);
        let job = || {
            count.set(count.get() + 1);
            std::future::ready(())
        };
        let _ = again.run(job, |()| is_final).await;
        count.get()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_run_twice_does() {
        assert_eq!(attempts(again(3, true, None), false).await, 4);
        assert_eq!(attempts(again(3, false, None), false).await, 1);
        assert_eq!(attempts(again(3, true, None), true).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_covers_all_attempts() {
        let begun = Instant::now();
        let count = attempts(again(1_000_000, true, Some(60)), false).await;
        assert!(count > 3 && begun.elapsed() <= Duration::from_secs(60), "{count}");

        let is_first = Cell::new(true);
        let job = || {
            let is_first = is_first.replace(false);
            async move {
                if !is_first {
                    std::future::pending::<()>().await;
                }
            }
        };
        let late = again(9, true, Some(60)).run(job, |()| false).await.unwrap_err();
        assert_eq!(late, Late { timeout: Duration::from_secs(60), failed: 1 });
    }
}
