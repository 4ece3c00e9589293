//! The identity of the controller that a container belongs to.

use std::{fmt, fs, str::FromStr, sync::OnceLock};

/// A process, distinguished from all others on this host and on other hosts: the boot, the
/// namespace of process numbers, the number, and the start time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ControllerId {
    boot: String,
    namespace: String,
    pid: u32,
    began: u64,
}

impl ControllerId {
    /// Returns the identity of this process.
    pub(super) fn this() -> &'static Self {
        // A cache.
        static THIS: OnceLock<ControllerId> = OnceLock::new();
        THIS.get_or_init(|| {
            let pid = std::process::id();
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            // Reads as `pid:[4026531836]`.
            let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
            let namespace = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
            Self { boot: boot.trim().to_owned(), namespace, pid, began: began(pid).unwrap_or_default() }
        })
    }

    /// Returns whether the process ran on this host and has ended.
    pub(super) fn is_gone(&self) -> bool {
        let this = Self::this();
        let is_here = !self.boot.is_empty() && (&self.boot, &self.namespace) == (&this.boot, &this.namespace);
        is_here && began(self.pid) != Some(self.began)
    }
}

impl fmt::Display for ControllerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.boot, self.namespace, self.pid, self.began)
    }
}

impl FromStr for ControllerId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let fields: Vec<_> = text.split('.').collect();
        let [boot, namespace, pid, began] = fields[..] else { return Err(()) };
        let (pid, began) = (pid.parse().map_err(drop)?, began.parse().map_err(drop)?);
        Ok(Self { boot: boot.to_owned(), namespace: namespace.to_owned(), pid, began })
    }
}

/// Returns the start time of a process, in clock ticks since the boot, or `None` if the process
/// does not exist.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the 22nd field is the 20th behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_host_that_ended_is_gone() {
        let this = ControllerId::this().clone();
        assert_eq!(this.to_string().parse(), Ok(this.clone()));
        assert!(!this.is_gone());
        assert!(ControllerId { began: this.began + 1, ..this.clone() }.is_gone());
        assert!(!ControllerId { began: this.began + 1, boot: "other".to_owned(), ..this.clone() }.is_gone());
        assert!(!ControllerId { began: this.began + 1, namespace: "1".to_owned(), ..this }.is_gone());
    }
}
