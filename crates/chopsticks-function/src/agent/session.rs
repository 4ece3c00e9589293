//! The session of the agent, by which the processes that it started are recognised at its end.

use rustix::process::{getpgid, getpgrp, getpid, getppid, set_child_subreaper, setpgid, setsid};

/// Makes this process the leader of a session of its own, and the parent of orphans among its
/// descendants. Both are best effort: the end of the agent has further ways to find processes.
pub(crate) fn lead() {
    if getpgrp() == getpid() {
        // The leader of a group cannot begin a session, so it joins its parent's group for a moment.
        let group = getppid().and_then(|parent| getpgid(Some(parent)).ok());
        if let Some(group) = group {
            let _ = setpgid(None, Some(group));
        }
    }
    // A failure means that it leads a session already, such as that of a login.
    let _ = setsid();
    #[cfg(target_os = "linux")]
    let _ = set_child_subreaper(Some(getpid()));
}
