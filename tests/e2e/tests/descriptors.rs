//! More hosts than this process may have descriptors for.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use std::process::Command;

use chopsticks_support::{Scratch, python3};

/// What `crowd` prints when the process may have 64 descriptors, and no more even if it asks.
fn crowd(how: &str, count: usize) -> (Vec<String>, Scratch) {
    let scratch = Scratch::new();
    scratch.write("lazy.py", "def run():\n    import deep\n    return deep.value()\n");
    scratch.write("deep.py", "def value():\n    return 5\n");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_crowd")])
        .arg(python3().path())
        .arg(scratch.path())
        .args([how, &count.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    (text.lines().map(str::to_owned).collect(), scratch)
}

fn files(scratch: &Scratch, suffix: &str) -> usize {
    let names = std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(suffix)).count()
}

#[test]
fn group_of_more_hosts_than_descriptors_works_within_the_limit() {
    let (lines, scratch) = crowd("group", 40);
    let expected = [
        "connect: 40",
        "call: 40",
        "call again: 40",
        "kept: some",
        "put: 40",
        "fetch: 40",
        "close: 40",
        "clean: true",
    ];
    assert_eq!(lines, expected);
    assert_eq!((files(&scratch, ".put"), files(&scratch, ".fetched")), (40, 40));
}

#[test]
fn group_that_fits_stays_connected() {
    let (lines, _scratch) = crowd("group", 5);
    assert!(lines.contains(&"kept: all".to_owned()), "{lines:?}");
}

#[test]
fn queue_of_more_hosts_than_descriptors_works_within_the_limit() {
    let (lines, scratch) = crowd("queue", 40);
    assert_eq!(lines, ["call: 40", "call: 40", "call: 40", "fetch: 40", "close: 40", "clean: true"]);
    assert_eq!(files(&scratch, ".queued"), 40);
}

#[test]
fn group_without_any_descriptors_fails_with_the_limit_and_works_later() {
    let (lines, _scratch) = crowd("none", 2);
    assert_eq!((lines.len(), lines[0].as_str()), (6, "call: 0"), "{lines:?}");
    for line in &lines[1..3] {
        assert!(line.contains("this process can open 64 files: raise `ulimit -n`"), "{line}");
    }
    assert_eq!(lines[3..], ["call again: 2", "close: 2", "clean: true"]);
}
