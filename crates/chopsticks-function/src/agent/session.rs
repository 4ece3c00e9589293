//! The session of the agent, by which the processes that it started are recognised at its end.

use std::{fs, os::unix::process::parent_id};

use rustix::process::{Pid, setpgid, setsid};

/// Makes this process the leader of a session of its own, and the parent of orphans among its
/// descendants. Both are best effort: the end of the agent has further ways to find processes.
pub(crate) fn lead() {
    if setsid().is_err() {
        // The leader of a group cannot begin a session, so it joins its parent's group for a moment.
        if let Some(group) = group_of(parent_id()) {
            let _ = setpgid(None, Some(group));
        }
        // A failure means that it leads a session already, such as that of a login.
        let _ = setsid();
    }
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Returns the group of a process, unless it is in another namespace, where its number is 0.
fn group_of(pid: u32) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may contain anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    Pid::from_raw(rest.split(' ').nth(2)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_of_a_process_is_found() {
        assert_eq!(group_of(std::process::id()), Some(rustix::process::getpgrp()));
        assert_eq!(group_of(u32::MAX), None);
    }
}
