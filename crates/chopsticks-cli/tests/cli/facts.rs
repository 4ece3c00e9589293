//! `chopsticks facts`, `ping` and `containers`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use chopsticks_support::interpreters;
use serde_json::json;

use crate::bench::{Bench, Ran};

#[test]
fn facts_are_a_table_in_the_order_of_targets() {
    let bench = Bench::new();
    let ran = Ran::of(bench.verb("facts", &["--on", "b=local,a=local"]).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    for (line, begin) in lines.iter().zip(["HOST  ADDRESS", "b     ", "a     "]) {
        assert!(line.starts_with(begin), "{ran:?}");
    }
    assert!(ran.stderr.starts_with("2 hosts: 2 ok in "), "{ran:?}");
}

#[test]
fn facts_of_every_interpreter_are_json() {
    let bench = Bench::new();
    for python in interpreters() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
        command.args(["facts", "--on", "local", "--json", "--python"]).arg(python.path());
        let ran = Ran::of(command.current_dir(bench.scratch.path()).output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        let value = &ran.json()[0]["value"];
        let (major, minor, micro) = python.version();
        assert_eq!(value["python_version"], json!([major, minor, micro]), "{python}");
        let executable = fs::canonicalize(value["python_executable"].as_str().unwrap()).unwrap();
        assert_eq!(executable, python.path());
        for (name, is_right) in [
            ("host_name", value["host_name"].is_string()),
            ("ip", value["ip"].is_string() || value["ip"].is_null()),
            ("routes", value["routes"].is_array()),
            ("os", value["os"]["id"].is_string() && value["os"]["name"].is_string()),
            ("kernel", value["kernel"]["release"].is_string()),
            ("cpu_count", value["cpu_count"].as_u64() > Some(0)),
            ("memory", value["memory"]["total"].as_u64() > Some(0)),
        ] {
            assert!(is_right, "{python}: {name}: {value}");
        }
    }
}

#[test]
fn failed_target_is_not_in_the_table() {
    let bench = Bench::new();
    let on = "a=local,b=local?python=/nonexistent/python";
    let ran = Ran::of(bench.verb("facts", &["--on", on]).output().unwrap());
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 2), "{ran:?}");
    assert!(ran.stderr.contains("b: spawn: cannot start /nonexistent/python"), "{ran:?}");
    let ran = Ran::of(bench.verb("facts", &["--on", "b=local?python=/nonexistent/python"]).output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
}

#[test]
fn ping_tells_version_path_and_times() {
    let bench = Bench::new();
    let ran = Ran::of(bench.verb("ping", &["--on", "a=local"]).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("a: Python ") && ran.stdout.contains(" ms, connected in "), "{ran:?}");

    let ran = Ran::of(bench.verb("ping", &["--on", "a=local", "--json"]).output().unwrap());
    let value = &ran.json()[0]["value"];
    let (major, minor, micro) = chopsticks_support::python3().version();
    assert_eq!(value["python"], json!([major, minor, micro]));
    assert!(value["latency_ms"].as_f64() > Some(0.0) && value["connect_ms"].as_f64() > Some(0.0), "{ran:?}");
    assert!(value["executable"].is_string() && value["hostname"].is_string(), "{ran:?}");
    assert!(value["pid"].is_u64() && value["platform"].is_string(), "{ran:?}");
}

#[test]
fn ping_has_a_deadline_for_connecting_too() {
    let bench = Bench::new();
    let on = "a=exec:sleep 1000";
    let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
    command.args(["ping", "--timeout", "0.5", "--json", "--on", on]);
    let ran = Ran::of(command.current_dir(bench.scratch.path()).output().unwrap());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_ne!(ran.json()[0]["error"]["kind"], "interrupted", "{ran:?}");
}

/// An engine that has two containers: one of this process, one of a controller that is gone.
const ENGINE: &str = r#"#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
case $1 in
ps) cat "$(dirname "$0")/list" ;;
rm) ;;
*) exit 1 ;;
esac
"#;

#[test]
fn containers_are_listed_and_those_left_over_removed() {
    let bench = Bench::new();
    let folder = bench.scratch.path().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let mut list = String::new();
    for (id, name) in [("0123456789abcdef", "old"), ("fedcba9876543210", "other")] {
        // No controller of this host has such an identity, so neither can be known to be gone.
        list += &format!("{id}\t{name}\tUp 3 minutes\tchopsticks.controller=elsewhere\n");
    }
    fs::write(folder.join("list"), list).unwrap();
    fs::write(folder.join("docker"), ENGINE).unwrap();
    fs::set_permissions(folder.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
        command.arg("containers").args(words).stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
        Ran::of(command.output().unwrap())
    };
    let ran = run(&["--engine", "docker", "--remove"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    let ran = run(&["--engine", "docker", "--all", "--remove"]);
    let expected = "docker: old (0123456789ab): Up 3 minutes: in use\ndocker: other (fedcba987654): Up 3 minutes: in use\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected), "{ran:?}");
    let ran = run(&["--engine", "docker", "--all", "--json"]);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = json!({
        "engine": "docker", "name": "old", "id": "0123456789abcdef", "status": "Up 3 minutes",
        "left_over": false, "removed": false,
    });
    assert_eq!((lines.len(), &lines[0]), (2, &first));
    assert!(!fs::read_to_string(folder.join("asked")).unwrap().contains("rm "));

    fs::remove_file(folder.join("list")).unwrap();
    let ran = run(&["--engine", "docker"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with("chopsticks: docker: docker failed"), "{ran:?}");
}
