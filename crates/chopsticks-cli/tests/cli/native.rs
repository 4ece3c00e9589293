//! Targets without Python: `--agent native` and `--agent auto`.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use chopsticks_support::{
    Scratch, eventually,
    processes::{self, with_argument},
};
use serde_json::Value;

use crate::bench::{DEADLINE, Ran};

/// The program with an agent of this kind, and a target that does not have its Python.
fn command(agent: &str, verb: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
    command.args([verb, "--agent", agent, "--on", "web1=local?python=/nonexistent/python"]).args(words);
    command.stdin(Stdio::null());
    command
}

fn ran(agent: &str, verb: &str, words: &[&str]) -> Ran {
    Ran::of(command(agent, verb, words).output().unwrap())
}

#[test]
fn verbs_work_without_python() {
    let scratch = Scratch::new();
    let source = scratch.write("source", "content");
    let (source, there, back) =
        (source.to_str().unwrap(), scratch.path().join("there"), scratch.path().join("back"));
    let (there, back) = (there.to_str().unwrap(), back.to_str().unwrap());
    for agent in ["native", "auto"] {
        let run = ran(agent, "run", &["--raw", "--", "sh", "-c", "echo out; exit 3"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(3), "out\n"), "{run:?}");
        let put = ran(agent, "put", &[source, there]);
        assert_eq!(put.code, Some(0), "{put:?}");
        let fetched = ran(agent, "fetch", &[there, back]);
        assert_eq!(fetched.code, Some(0), "{fetched:?}");
        assert_eq!(fs::read(back).unwrap(), b"content");
        let facts = ran(agent, "facts", &["--json"]);
        let value = &facts.json()[0]["value"];
        assert_eq!((facts.code, &value["python_version"]), (Some(0), &Value::Null), "{facts:?}");
        assert!(value["kernel"]["release"].is_string(), "{facts:?}");
        let ping = ran(agent, "ping", &[]);
        assert!(ping.code == Some(0) && ping.stdout.contains("an agent in Rust"), "{ping:?}");
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 3);
}

#[test]
fn functions_in_python_are_refused() {
    for verb in ["call", "map"] {
        let ran = ran("native", verb, &["os:getpid"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("a native agent calls no functions in Python"), "{ran:?}");
    }
    let ran = ran("auto", "call", &["os:getpid"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/nonexistent/python"), "{ran:?}");
}

#[test]
fn killed_program_leaves_no_process_of_a_target() {
    let canary = format!("cli-native-{}", std::process::id());
    let line = "trap '' TERM; while :; do sleep 1; done";
    let mut program = command("native", "run", &["--", "sh", "-c", line, &canary])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The program itself has it among its arguments too.
    assert!(eventually(DEADLINE, || with_argument(&canary).len() >= 2));
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(eventually(DEADLINE, || with_argument(&canary).is_empty()), "{:?}", with_argument(&canary));
}

#[test]
fn killed_transfer_leaves_neither_file_nor_agent() {
    let scratch = Scratch::new();
    let there = scratch.path().join("there");
    let mut program = command("native", "put", &["-", there.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // More than is under way at a time, so the agent writes when all of it has been taken.
    program.stdin.as_mut().unwrap().write_all(&vec![7; 16 << 20]).unwrap();
    let agents = processes::children_of(program.id());
    assert!(!agents.is_empty());
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(eventually(DEADLINE, || !agents.iter().any(|agent| processes::runs(*agent))), "{agents:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}
