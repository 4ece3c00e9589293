//! What is generated for packagers, and the version.

use std::{fs, process::Command};

use chopsticks_support::Scratch;

fn chopsticks(words: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_chopsticks")).args(words).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_shell_gets_a_script_that_names_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (succeeded, script) = chopsticks(&["completions", shell]);
        assert!(succeeded && script.contains("chopsticks") && script.contains("fetch"), "{shell}: {script}");
    }
    assert!(!chopsticks(&["completions", "command.com"]).0);
}

#[test]
fn every_command_gets_a_manual_page() {
    let scratch = Scratch::new();
    let (succeeded, _) = chopsticks(&["man", scratch.path().to_str().unwrap()]);
    assert!(succeeded);
    for page in ["chopsticks.1", "chopsticks-call.1", "chopsticks-containers.1"] {
        let text = fs::read_to_string(scratch.path().join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    assert!(!chopsticks(&["man", "/nonexistent/folder"]).0);
}

#[test]
fn version_names_the_commit_where_there_is_a_checkout() {
    let (succeeded, version) = chopsticks(&["--version"]);
    assert!(succeeded);
    let number = concat!("chopsticks ", env!("CARGO_PKG_VERSION"));
    let rest = version.trim_end().strip_prefix(number).unwrap_or_else(|| panic!("{version}"));
    // ` (a1b2c3d4 2026-01-31)`
    let is_commit = rest.starts_with(" (") && rest.ends_with(')') && rest.len() > 20;
    assert!(rest.is_empty() || is_commit, "{version}");
}
