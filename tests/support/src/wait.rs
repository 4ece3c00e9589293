//! Waiting for something that another process or thread brings about.

use std::time::{Duration, Instant};

/// How long to sleep between two looks: short against a test, long against a look at `/proc`.
const PAUSE: Duration = Duration::from_millis(5);

/// Polls `condition` until it holds or `deadline` has passed; returns whether it held.
///
/// The condition is looked at once at least, and once more after the deadline, so a slow machine does not
/// turn a true condition into a failure. It blocks the thread: in an async test, use it on a multi-threaded
/// runtime or inside `spawn_blocking`.
///
/// ```
/// # use std::time::Duration;
/// let mut looks = 0;
/// assert!(chopsticks_support::eventually(Duration::from_secs(5), || {
///     looks += 1;
///     looks == 3
/// }));
/// ```
#[must_use = "assert the outcome: a deadline that passed is no error by itself"]
pub fn eventually(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return condition();
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_that_holds_at_once_costs_one_look() {
        let mut looks = 0;
        assert!(eventually(Duration::ZERO, || {
            looks += 1;
            true
        }));
        assert_eq!(looks, 1);
    }

    #[test]
    fn condition_that_never_holds_ends_at_the_deadline() {
        let start = Instant::now();
        assert!(!eventually(Duration::from_millis(20), || false));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
