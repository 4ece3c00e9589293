//! End to end tests of chopsticks against real interpreters: what these tests share.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use chopsticks::{Codebase, Local, Stderr, Tunnel, TunnelConfig};
use chopsticks_support::{Interpreter, Scratch, interpreters, newest, processes, python2};

pub mod functions;

/// No step of any test takes this long; it turns a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the newest interpreter, and the 2.7 if there is one: for tests that take long or whose subject is the controller.
pub fn newest_and_oldest() -> Vec<&'static Interpreter> {
    let oldest = interpreters().first().filter(|oldest| *oldest != newest());
    python2().or(oldest).into_iter().chain([newest()]).collect()
}

/// Returns a driver for an interpreter, named by its version.
pub fn local(interpreter: &Interpreter) -> Local {
    Local::new().name(interpreter.to_string()).python(interpreter.path())
}

/// Returns a tunnel to an interpreter that has only its own modules.
pub fn tunnel(interpreter: &Interpreter) -> Tunnel {
    Tunnel::with_config(local(interpreter), quiet())
}

/// Returns a tunnel to an interpreter that can import what is in a folder.
pub fn tunnel_with_code(interpreter: &Interpreter, code: &Scratch) -> Tunnel {
    Tunnel::with_config(local(interpreter), quiet().modules(Codebase::folder(code.path())))
}

/// Returns a configuration that keeps the agents' stderr off the console.
pub fn quiet() -> TunnelConfig {
    TunnelConfig::default().stderr(Stderr::off())
}

/// Returns a text that no other process of the machine has in its arguments.
pub fn canary(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("e2e-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `count` processes have the canary among their arguments.
pub fn wait_for(canary: &str, count: usize) {
    let begun = chopsticks_support::eventually(PATIENCE, || processes::with_argument(canary).len() >= count);
    assert!(
        begun,
        "{} of {count} processes with {canary} were started",
        processes::with_argument(canary).len()
    );
}

/// Waits until no process has the canary among its arguments.
///
/// # Panics
///
/// If one is left.
pub fn wait_until_none(canary: &str) {
    let gone = chopsticks_support::eventually(PATIENCE, || processes::with_argument(canary).is_empty());
    assert!(gone, "processes with {canary} are left: {:?}", processes::with_argument(canary));
}

/// Writes a program for `sh` that stands in for a Python interpreter.
///
/// # Panics
///
/// If it cannot be made executable.
pub fn script(folder: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = folder.write(name, format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a file of ours can be made executable");
    path
}

/// Returns how many bytes of memory this process has.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
