//! Connecting again after failures.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    time::{Duration, Instant},
};

use crate::error::{Error, ErrorKind};

/// How often, and for how long, a tunnel tries to connect again.
///
/// The default is never. A tunnel tries again only after failures before the first function,
/// program or transfer has begun, so nothing runs twice. It does not try again after failures that
/// persist: a refused key or password, an unknown host key, a program that does not exist, a Python
/// that cannot run.
///
/// The time between two attempts doubles, up to a limit, and varies at random by up to a half, so
/// that many hosts do not try at the same moments.
///
/// ```
/// use std::time::Duration;
///
/// use chopsticks_tunnel::{Retry, TunnelConfig};
///
/// // A host that is rebooting.
/// let retry = Retry::within(Duration::from_secs(300)).backoff(Duration::from_secs(1), Duration::from_secs(10));
/// let config = TunnelConfig::default().connect_retry(retry);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retry {
    times: u32,
    within: Option<Duration>,
    first: Duration,
    longest: Duration,
}

/// The attempts of one connection.
#[derive(Debug)]
pub(crate) struct Attempts {
    retry: Retry,
    begun: Instant,
    made: u32,
}

impl Retry {
    /// Tries again at most `times` times. With 0 there is one attempt.
    #[must_use]
    pub fn times(times: u32) -> Self {
        Self { times, within: None, first: FIRST, longest: LONGEST }
    }

    /// Tries again as often as necessary, until `time` has passed since the first attempt. An
    /// attempt that is under way then is not stopped: its own deadlines apply.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self { within: Some(time), ..Self::times(0) }
    }

    /// Sets the time before the second attempt, and the longest time between two attempts. Defaults:
    /// 500 ms and 15 s.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// Returns how long to wait after so many failed attempts: each time another value, between half
    /// of the time and all of it.
    #[must_use]
    pub fn delay(&self, failed: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(self.longest);
        // The keys of the standard library's hash maps are random.
        let random = RandomState::new().hash_one(failed) >> 40;
        doubled.mul_f64(0.5 + 0.5 * random as f64 / (1 << 24) as f64)
    }

    pub(crate) fn begin(&self) -> Attempts {
        Attempts { retry: self.clone(), begun: Instant::now(), made: 0 }
    }
}

impl Default for Retry {
    /// Returns a value that never tries again.
    fn default() -> Self {
        Self::times(0)
    }
}

impl Attempts {
    /// Returns how long to wait before the next attempt, or `None` if there is none.
    pub(crate) fn next(&mut self, error: &Error) -> Option<Duration> {
        if error.has_begun() || !may_pass(error) {
            return None;
        }
        self.made += 1;
        let delay = self.retry.delay(self.made);
        let is_early = self.retry.within.is_some_and(|within| self.begun.elapsed() + delay < within);
        (self.made <= self.retry.times || is_early).then_some(delay)
    }

    pub(crate) fn made(&self) -> u32 {
        self.made
    }
}

/// Returns whether a failure to connect may be over at the next attempt.
fn may_pass(error: &Error) -> bool {
    let is_passing = match error.kind() {
        ErrorKind::Disconnected { .. } | ErrorKind::NoAgent { .. } | ErrorKind::Timeout { .. } => true,
        // Too many processes, or too little memory. What does not exist will not at the next attempt.
        ErrorKind::Spawn { source, .. } => {
            use std::io::ErrorKind::{NotFound, PermissionDenied};
            !matches!(source.kind(), NotFound | PermissionDenied)
        }
        // The parent has tried again itself.
        _ => false,
    };
    let persists = |cause: &str| PERSISTENT.contains(&cause) || cause.contains("pass");
    is_passing && !error.hint().is_some_and(|hint| persists(hint.cause()))
}

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// Causes that a person has to remove. Trying a refused login again may lock an account.
const PERSISTENT: &[&str] = &[
    "account-closed",
    "algorithms-differ",
    "engine-denied",
    "host-key-changed",
    "host-key-unknown",
    "image-missing",
    "init-missing",
    "input-taken",
    "key-unprotected",
    "libc-missing",
    "libc-too-old",
    "login-script",
    "machine-differs",
    "network-missing",
    "no-commands",
    "no-place",
    "no-runtime",
    "no-terminal",
    "permission-denied",
    "python-incomplete",
    "python-missing",
    "python-not-runnable",
    "ssh-config",
    "sudo-missing",
    "sudo-not-allowed",
    "sudo-tty",
    "too-many-keys",
    "user-unknown",
];

#[cfg(test)]
mod tests {
    use chopsticks_driver::{Hint, HostName};

    use super::*;
    use crate::error::Phase;

    fn error(phase: Phase, cause: Option<&'static str>) -> Error {
        let kind = ErrorKind::NoAgent { status: None, stderr: String::new(), noise: String::new() };
        Error::new(&HostName::lossy("web1"), phase, kind).with_hint(cause.map(|cause| Hint::new(cause, "x")))
    }

    #[test]
    fn delays_double_up_to_the_limit_and_vary() {
        let retry = Retry::times(3).backoff(Duration::from_secs(1), Duration::from_secs(8));
        for (failed, longest) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (u32::MAX, 8)] {
            let longest = Duration::from_secs(longest);
            let delays: Vec<_> = (0..20).map(|_| retry.delay(failed)).collect();
            assert!(delays.iter().all(|delay| *delay >= longest / 2 && *delay <= longest), "{delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]), "{delays:?}");
        }
    }

    #[test]
    fn attempts_are_counted() {
        let mut attempts = Retry::times(2).begin();
        let refused = error(Phase::Handshake, Some("refused"));
        assert!(attempts.next(&refused).is_some() && attempts.next(&refused).is_some());
        assert_eq!(attempts.next(&refused), None);
        assert_eq!(Retry::default().begin().next(&refused), None);
    }

    #[test]
    fn attempts_end_with_their_time() {
        let refused = error(Phase::Handshake, Some("refused"));
        assert!(Retry::within(Duration::from_secs(3600)).begin().next(&refused).is_some());
        assert_eq!(Retry::within(Duration::ZERO).begin().next(&refused), None);
    }

    #[test]
    fn failures_that_persist_or_come_late_are_final() {
        for (phase, cause) in [
            (Phase::Handshake, Some("permission-denied")),
            (Phase::Handshake, Some("sudo-password")),
            (Phase::Handshake, Some("host-key-unknown")),
            (Phase::Call, None),
            (Phase::Transfer, Some("link-dead")),
        ] {
            assert_eq!(Retry::times(5).begin().next(&error(phase, cause)), None, "{phase} {cause:?}");
        }
        assert!(Retry::times(5).begin().next(&error(Phase::Handshake, None)).is_some());
    }
}
