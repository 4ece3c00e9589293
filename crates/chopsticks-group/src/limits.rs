//! How many at once, in which portions, and when to stop.

use std::{num::NonZeroUsize, time::Duration};

use thiserror::Error;

/// Limits of a [`Group`](crate::Group) or a [`Queue`](crate::Queue). By default 64 targets connect at once and nothing else is limited.
///
/// # The order of things
///
/// * Targets start in the order of their group. One that a limit for its key holds back is passed over; those of other
///   keys, and those without a key, may start before it.
/// * A target *runs* from its start to its outcome. It *connects* from its start until it is connected, or has its
///   outcome.
/// * With [`batch`](Self::batch) the group is cut, in order, into batches of equal size; the last one may be smaller. No target starts before every
///   one of the earlier batches has its outcome.
/// * With [`max_failures`](Self::max_failures) failures are counted: outcomes that are no success, deadlines included. Once there are more than
///   the [`Budget`] allows, no further target starts; those that run go on to their outcome. Those that did not start
///   have the outcome [`NotStarted::Failures`](crate::NotStarted::Failures), and are not counted.
///
/// A queue has no batches and no budget: a failure concerns its own line.
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

/// How large a batch is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Batch {
    /// So many targets.
    Count(NonZeroUsize),
    /// This part of the group in percent, rounded down, but at least one target.
    Percent(f64),
}

/// How many failures are borne.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Budget {
    /// So many: with 0 the first failure is one too many.
    Count(usize),
    /// This part in percent: one failure more than that is too many. With 0 the first is, with 100 none.
    Percent(f64),
}

/// Of what a [`Budget`] is a part, and where counting begins anew.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Scope {
    /// The group: failures are counted from the first target to the last.
    #[default]
    All,
    /// Each batch by itself. Too many failures in one stop the following ones too.
    Batch,
}

/// A text or number that is no limit.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text:?} is no limit: a count such as 5, or a part such as 10%, is wanted")]
pub struct InvalidLimit {
    text: String,
}

impl Limits {
    /// Sets how many targets connect at once. Default: 64; 0 counts as 1.
    ///
    /// More of them load both ends at the same time: each costs a process here and a log-in there.
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

    /// Sets how many targets with the same [`key`](crate::Target::key) connect at once. Default: all; 0 counts as 1.
    #[must_use]
    pub fn max_connecting_per_key(mut self, targets: usize) -> Self {
        self.connecting_per_key = targets.max(1);
        self
    }

    /// Sets how many targets with the same [`key`](crate::Target::key) run at once. Default: all; 0 counts as 1.
    #[must_use]
    pub fn max_running_per_key(mut self, targets: usize) -> Self {
        self.running_per_key = targets.max(1);
        self
    }

    /// Sets the size of batches. Default: the whole group is one.
    #[must_use]
    pub fn batch(mut self, batch: impl Into<Option<Batch>>) -> Self {
        self.batch = batch.into();
        self
    }

    /// Sets how many failures are borne before no further target starts. Default: any number.
    #[must_use]
    pub fn max_failures(mut self, budget: Budget, scope: Scope) -> Self {
        self.failures = Some((budget, scope));
        self
    }

    /// Sets how long a target may run. After that its operation is dropped, and the target has failed. Default: for ever.
    #[must_use]
    pub fn target_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.target_timeout = timeout.into();
        self
    }

    /// Sets how long the whole may take. After that the operations that run are dropped, and no other starts. Default: for ever.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }
}

impl Limits {
    /// No limits at all.
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
    /// Whether `failures` are too many among `total`.
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

/// Reads a percentage from 0 to 100; `None` without a percent sign.
fn percent(text: &str) -> Result<Option<f64>, InvalidLimit> {
    let Some(number) = text.strip_suffix('%') else { return Ok(None) };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse() {
        Ok(percent) if is_plain && (0.0..=100.0).contains(&percent) => Ok(Some(percent)),
        _ => Err(InvalidLimit::new(text)),
    }
}

/// The part of `total` that `percent` is, rounded down.
fn part(percent: f64, total: usize) -> f64 {
    (percent * total as f64 / 100.0).floor()
}

/// Enough to keep two cores busy with log-ins; few enough for one process's descriptors (three for each) under the usual limit of 1,024.
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
