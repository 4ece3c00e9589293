//! Limits: how many targets run at once, in which batches, and when an operation stops.

use std::{num::NonZeroUsize, time::Duration};

use thiserror::Error;

/// Limits of a [`Group`](crate::Group) or a [`Queue`](crate::Queue). By default 64 targets connect at once and nothing else is limited.
///
/// # Order
///
/// * Targets start in the order of their group. A target that has to wait for a limit of its key is passed over: targets with other
///   keys, and targets without a key, may start before it.
/// * A target *runs* from its start to its outcome. It *connects* from its start until it is connected, or has its
///   outcome.
/// * [`batch`](Self::batch) divides the group, in order, into batches of equal size; the last one may be smaller. No target starts before all
///   targets of the earlier batches have an outcome.
/// * [`max_failures`](Self::max_failures) counts the targets that fail, including those whose deadline passes. When there are more failures than
///   the [`Budget`] allows, no further target starts. Targets that are running continue to their outcome. Targets that have not started
///   get the outcome [`NotStarted::Failures`](crate::NotStarted::Failures), which is not counted.
///
/// A queue has neither batches nor a budget, because a failure affects only its own line.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    pub(crate) connecting: usize,
    pub(crate) running: usize,
    pub(crate) connecting_per_key: usize,
    pub(crate) running_per_key: usize,
    pub(crate) batch: Option<Batch>,
    pub(crate) failures: Option<(Budget, Scope)>,
    pub(crate) target_timeout: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
}

/// The size of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Batch {
    /// A number of targets.
    Count(NonZeroUsize),
    /// A percentage of the group, rounded down, but at least one target.
    Percent(f64),
}

/// How many targets may fail before an operation stops.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Budget {
    /// A number of targets. With 0 the first failure stops the operation.
    Count(usize),
    /// A percentage. One failure more than that stops the operation: with 0 the first one, with 100 none.
    Percent(f64),
}

/// The targets over which a [`Budget`] counts failures.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Scope {
    /// All targets of the group.
    #[default]
    All,
    /// Each batch separately. Too many failures in one batch also stop the later batches.
    Batch,
}

/// Error for a text or number that is not a valid limit.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("invalid limit {text:?}: expected a number such as 5 or a percentage such as 10%")]
pub struct InvalidLimit {
    text: String,
}

impl Limits {
    /// Returns the limits for connecting, for operations that have limits of their own.
    pub(crate) fn for_connecting(&self) -> Self {
        Self {
            running: usize::MAX,
            running_per_key: usize::MAX,
            batch: None,
            failures: None,
            timeout: None,
            ..self.clone()
        }
    }

    /// Sets how many targets connect at once. Default: 64; 0 counts as 1.
    ///
    /// A higher limit loads both ends more: each connection costs a process here and a login there.
    #[must_use]
    pub fn max_connecting(mut self, targets: usize) -> Self {
        self.connecting = targets.max(1);
        self
    }

    /// Sets how many targets run at once. Default: all; 0 counts as 1.
    #[must_use]
    pub fn max_running(mut self, targets: usize) -> Self {
        self.running = targets.max(1);
        self
    }

    /// Sets how many targets with the same [`key`](crate::Member::key) connect at once. Default: all; 0 counts as 1.
    #[must_use]
    pub fn max_connecting_per_key(mut self, targets: usize) -> Self {
        self.connecting_per_key = targets.max(1);
        self
    }

    /// Sets how many targets with the same [`key`](crate::Member::key) run at once. Default: all; 0 counts as 1.
    #[must_use]
    pub fn max_running_per_key(mut self, targets: usize) -> Self {
        self.running_per_key = targets.max(1);
        self
    }

    /// Sets the size of batches. Default: the whole group is one batch.
    #[must_use]
    pub fn batch(mut self, batch: impl Into<Option<Batch>>) -> Self {
        self.batch = batch.into();
        self
    }

    /// Sets how many targets may fail before no further target starts. Default: any number.
    #[must_use]
    pub fn max_failures(mut self, budget: Budget, scope: Scope) -> Self {
        self.failures = Some((budget, scope));
        self
    }

    /// Sets how long a target may run. After that its operation is dropped, and the target has failed. Default: unlimited.
    #[must_use]
    pub fn target_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.target_timeout = timeout.into();
        self
    }

    /// Sets how long all targets together may take. After that the running operations are dropped, and no others start. Default: unlimited.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }
}

impl Limits {
    /// Returns limits that limit nothing.
    pub(crate) fn unlimited() -> Self {
        Self { connecting: usize::MAX, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connecting: MAX_CONNECTING,
            running: usize::MAX,
            connecting_per_key: usize::MAX,
            running_per_key: usize::MAX,
            batch: None,
            failures: None,
            target_timeout: None,
            timeout: None,
        }
    }
}

impl Batch {
    /// Returns the size of batches in a group of `total` targets.
    pub(crate) fn size(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count.get(),
            Self::Percent(percent) => (part(percent, total) as usize).max(1),
        }
    }
}

impl Budget {
    /// Returns whether `failures` of `total` targets are too many.
    pub(crate) fn is_passed(self, failures: usize, total: usize) -> bool {
        match self {
            Self::Count(count) => failures > count,
            // In this form no quotient is rounded.
            Self::Percent(percent) => failures as f64 * 100.0 > percent * total as f64,
        }
    }
}

/// A count such as `5`, or a percentage such as `10%` or `12.5%`.
impl std::str::FromStr for Batch {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        match percent(text)? {
            Some(percent) if percent > 0.0 => Ok(Self::Percent(percent)),
            Some(_) => Err(InvalidLimit::new(text)),
            None => text.parse().map(Self::Count).map_err(|_| InvalidLimit::new(text)),
        }
    }
}

/// A count such as `5`, or a percentage such as `10%` or `12.5%`.
impl std::str::FromStr for Budget {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        match percent(text)? {
            Some(percent) => Ok(Self::Percent(percent)),
            None => text.parse().map(Self::Count).map_err(|_| InvalidLimit::new(text)),
        }
    }
}

impl InvalidLimit {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }
}

/// Parses a percentage from 0 to 100. Returns `None` if there is no percent sign.
fn percent(text: &str) -> Result<Option<f64>, InvalidLimit> {
    let Some(number) = text.strip_suffix('%') else { return Ok(None) };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse() {
        Ok(percent) if is_plain && (0.0..=100.0).contains(&percent) => Ok(Some(percent)),
        _ => Err(InvalidLimit::new(text)),
    }
}

/// Returns `percent` of `total`, rounded down.
fn part(percent: f64, total: usize) -> f64 {
    (percent * total as f64 / 100.0).floor()
}

/// Enough to keep two cores busy with logins, and few enough for the descriptors of one process (three for each) under the usual limit of 1,024.
const MAX_CONNECTING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_and_budgets_are_read_from_text() {
        assert_eq!("5".parse(), Ok(Batch::Count(NonZeroUsize::new(5).unwrap())));
        assert_eq!("12.5%".parse(), Ok(Batch::Percent(12.5)));
        assert_eq!("0".parse(), Ok(Budget::Count(0)));
        assert_eq!("0%".parse(), Ok(Budget::Percent(0.0)));
        for text in ["", "0", "-1", "0%", "%", "101%", "1e1%", "nan%", "five", "5 %"] {
            assert!(text.parse::<Batch>().is_err(), "{text}");
        }
        for text in ["", "-1", "%", "101%", "+5%", "inf%", "five"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    #[test]
    fn percentages_are_of_the_total() {
        assert_eq!(Batch::Percent(30.0).size(10), 3);
        assert_eq!(Batch::Percent(35.0).size(10), 3);
        assert_eq!(Batch::Percent(1.0).size(10), 1);
        assert!(!Budget::Percent(30.0).is_passed(3, 10));
        assert!(Budget::Percent(30.0).is_passed(4, 10));
        assert!(Budget::Percent(0.0).is_passed(1, 1000));
        assert!(!Budget::Percent(100.0).is_passed(10, 10));
        assert!(!Budget::Count(3).is_passed(3, 10) && Budget::Count(3).is_passed(4, 10));
    }
}
