//! Looking for what is left: all places are on this machine, so that their processes are in its `/proc`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chopsticks_support::processes;

/// No step of any test takes this long; it turns a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often is looked: a look at all processes takes some milliseconds.
const LOOK: Duration = Duration::from_millis(40);

/// Returns a text that no other process of the machine has in its arguments, and that can be a container's name.
pub fn canary(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    // The end keeps it from being part of another.
    format!("chx-{}-{}-{number}-end", name.replace('_', "-"), std::process::id())
}

/// Waits until `count` processes have the canary among their arguments.
pub async fn appeared(canary: &str, count: usize) {
    let there = eventually(|| with(canary).len() >= count).await;
    assert!(there, "{} of {count} processes with {canary} are there", with(canary).len());
}

/// Waits until no process has the canary among its arguments.
pub async fn gone(canary: &str) {
    let gone = eventually(|| with(canary).is_empty()).await;
    assert!(gone, "{canary} is left: {:?}", describe(&with(canary)));
}

/// Waits until this process has no child: neither one that runs nor one that was not reaped.
pub async fn childless() {
    let gone = eventually(|| processes::children().is_empty()).await;
    assert!(gone, "children are left: {:?}", describe(&processes::children()));
}

/// Waits until something holds, while the runtime goes on; returns whether it came to hold.
pub async fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        let is_over = Instant::now() > end;
        if condition() || is_over {
            return !is_over;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn with(canary: &str) -> Vec<u32> {
    processes::with_argument(canary)
}

fn describe(pids: &[u32]) -> Vec<String> {
    pids.iter().map(|&pid| format!("{pid} {}", processes::describe(pid))).collect()
}
