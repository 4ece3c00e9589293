//! Memory that runs out, for one result alone.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use chopsticks_support::python3;

use crate::bench::{Bench, Ran};

/// In KiB of addresses; the program takes a third of it where threads have no heaps of their own.
const LIMIT: &str = "130000";

fn run_within_limit(bench: &Bench, words: &[&str]) -> Ran {
    // The limit is the program's, and not that of the interpreters that it starts.
    let text = format!("#!/bin/sh\nulimit -S -v unlimited\nexec {} \"$@\"\n", python3().path().display());
    let python = bench.scratch.write("python", text);
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -S -v $0; exec \"$@\"", LIMIT, env!("CARGO_BIN_EXE_chopsticks"), "call"])
        .arg("--python")
        .arg(&python)
        .args(words)
        .env("MALLOC_ARENA_MAX", "1")
        .env("TOKIO_WORKER_THREADS", "2")
        .current_dir(bench.scratch.path().join("root"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::of(output)
}

const MODULE: &str = "
import os

def answer():
    kind = os.environ.get('KIND')
    if kind == 'long':
        return 'x' * (300 << 20)
    if kind == 'many':
        return [None] * 30000000
    return 'honest'
";

#[test]
fn result_for_which_there_is_no_memory_fails_alone() {
    let bench = Bench::new();
    bench.scratch.write("root/heavy.py", MODULE);
    // One is too long, the other has too many objects.
    for kind in ["long", "many"] {
        let on = format!("a=local,evil=local?env=KIND={kind},b=local,c=local");
        let ran = run_within_limit(&bench, &["heavy:answer", "--max-result", "3G", "--on", &on]);
        assert_eq!(ran.code, Some(1), "{kind}: {}", ran.stderr);
        assert_eq!(
            ran.sorted_stdout(),
            ["a: 'honest'", "b: 'honest'", "c: 'honest'"],
            "{kind}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains("evil: call: out of memory: "), "{kind}: {}", ran.stderr);
    }
}
