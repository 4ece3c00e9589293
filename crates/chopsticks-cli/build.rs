//! Tells the program from which commit it is built, where that is known.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut version = env::var("CARGO_PKG_VERSION").expect("cargo sets CARGO_PKG_VERSION");
    if is_checkout() {
        // Every commit and every checkout of another one add a line to it.
        let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| Path::new(path).exists());
        if let Some(log) = log {
            println!("cargo::rerun-if-changed={log}");
        }
        if let Some(commit) = git(&["log", "-1", "--format=%h %cs"]) {
            version.push_str(&format!(" ({commit})"));
        }
    }
    println!("cargo::rustc-env=CHOPSTICKS_VERSION={version}");
}

/// Returns whether this package lies in a checkout of its own repository, and not in one that holds a copy of it.
fn is_checkout() -> bool {
    git(&["rev-parse", "--show-prefix"]).is_some_and(|prefix| prefix == "crates/chopsticks-cli/")
}

/// Returns what git says in one line, unless it fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|line| !line.is_empty())
}
