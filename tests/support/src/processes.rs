//! Looking at processes through `/proc`: who still runs, who is our child, what do we hold open.
//!
//! A test that starts remote work marks it, by an environment variable or by an argument that nothing else
//! on the machine has, and afterwards asks whether anything with that mark is left:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use chopsticks_support::processes;
//!
//! let left = processes::with_argument("sleep-canary-4711");
//! processes::wait_until_gone(left, Duration::from_secs(5)).expect("the tunnel ends what it started");
//! ```
//!
//! The numbers are of the whole test process. Runners that run several tests as threads of one process
//! (`cargo test`) see each other's children and descriptors; put a test that counts them into a test binary
//! of its own, or take the mark.

use std::fmt;
use std::fs;
use std::time::Duration;

use crate::eventually;

/// Processes that were still there when the deadline passed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StillRunning {
    processes: Vec<(u32, String)>,
}

impl StillRunning {
    /// Returns the process numbers.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().map(|(pid, _)| *pid)
    }
}

impl fmt::Display for StillRunning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("processes are still there:")?;
        for (pid, description) in &self.processes {
            write!(formatter, " [{pid} {description}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for StillRunning {}

/// Returns the other processes whose environment, as they were started, has `name` set to `value`.
///
/// Processes that may not be looked into (those of other users) are passed over.
#[must_use]
pub fn with_environment(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    others_where(|pid| has_item(&read(pid, "environ"), |item| item == wanted.as_bytes()))
}

/// Returns the other processes that have an argument which contains `canary`.
#[must_use]
pub fn with_argument(canary: &str) -> Vec<u32> {
    assert!(!canary.is_empty(), "an empty canary would match every process");
    let canary = canary.as_bytes();
    others_where(|pid| {
        has_item(&read(pid, "cmdline"), |item| item.windows(canary.len()).any(|part| part == canary))
    })
}

/// Waits until none of the processes is there any more.
///
/// A process that ended but was not reaped counts as there while it is a child of this process, because
/// reaping it is then part of what is tested. Somebody else's is gone: it runs nothing, and in
/// containers there may be no one to reap orphans.
///
/// # Errors
///
/// [`StillRunning`] if `deadline` passed first; its text shows their command lines.
pub fn wait_until_gone(pids: impl IntoIterator<Item = u32>, deadline: Duration) -> Result<(), StillRunning> {
    let mut left: Vec<u32> = pids.into_iter().collect();
    let gone = eventually(deadline, || {
        left.retain(|&pid| is_there(pid));
        left.is_empty()
    });
    if gone {
        return Ok(());
    }
    Err(StillRunning { processes: left.into_iter().map(|pid| (pid, describe(pid))).collect() })
}

/// Returns whether the process is there; see [`wait_until_gone`] for what that means.
#[must_use]
pub fn is_there(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| !stat.has_ended() || stat.parent == std::process::id())
}

/// Returns whether the process runs: a process that ended and was not reaped does not.
#[must_use]
pub fn runs(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| !stat.has_ended())
}

/// Returns when a process was started, in clock ticks since the machine was; together with the number it names one
/// process for good.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    Stat::of(pid).map(|stat| stat.start)
}

/// Returns the processes of the user with this number that run.
#[must_use]
pub fn of_user(user: u32) -> Vec<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let is_theirs = |pid: &u32| fs::metadata(format!("/proc/{pid}")).is_ok_and(|folder| folder.uid() == user);
    all().filter(|pid| is_theirs(pid) && runs(*pid)).collect()
}

/// Returns the children of this process, those that ended and were not reaped included.
#[must_use]
pub fn children() -> Vec<u32> {
    children_of(std::process::id())
}

/// Returns the children of a process, those that ended and were not reaped included.
#[must_use]
pub fn children_of(parent: u32) -> Vec<u32> {
    all().filter(|&pid| Stat::of(pid).is_some_and(|stat| stat.parent == parent)).collect()
}

/// Returns how many descriptors this process has open.
#[must_use]
pub fn open_descriptors() -> usize {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    // The folder's own descriptor is open while it is read.
    entries.count() - 1
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    state: char,
    parent: u32,
    start: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&read(pid, "stat")))
    }

    /// Parses `pid (name) state parent …`; the name may hold anything, parentheses and spaces too.
    fn parse(line: &str) -> Option<Self> {
        let (_, after_name) = line.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // The 22nd of all fields; the parent was the 4th.
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, start })
    }

    /// Whether the process ended and only waits to be reaped.
    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

fn others_where(condition: impl Fn(u32) -> bool) -> Vec<u32> {
    let own = std::process::id();
    all().filter(|&pid| pid != own && condition(pid)).collect()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Reads a file of a process; empty if the process is gone or not ours to read.
fn read(pid: u32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

fn has_item(list: &[u8], condition: impl Fn(&[u8]) -> bool) -> bool {
    list.split(|&byte| byte == 0).any(condition)
}

/// Returns the command line of a process, for messages.
#[must_use]
pub fn describe(pid: u32) -> String {
    let arguments = read(pid, "cmdline");
    if arguments.is_empty() {
        return "ended, not reaped".to_owned();
    }
    String::from_utf8_lossy(&arguments).replace('\0', " ").trim_end().to_owned()
}

#[cfg(test)]
mod tests;
