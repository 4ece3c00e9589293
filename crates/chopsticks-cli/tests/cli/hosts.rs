//! Many hosts by one text: ranges, inventories, variables.

use std::fs;

use chopsticks_support::python3;
use serde_json::Value;

use crate::bench::{Bench, Ran};

const INI: &str = "\
[web]
web[01:20]
[db]
db[1:2] role=store size=5
[prod:children]
web
db
[prod:vars]
ansible_connection=local
role=front
";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.scratch.write("root/hosts.ini", INI);
    bench
}

fn hosts(bench: &Bench, words: &[&str]) -> Ran {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chopsticks"));
    command.arg("hosts").args(words).current_dir(bench.scratch.path().join("root"));
    Ran::of(command.output().unwrap())
}

#[test]
fn hosts_are_shown_without_connecting() {
    let bench = bench();
    let ran = hosts(&bench, &["--on", "@db,far=ssh://u@web1?env=A=secret", "--inventory", "hosts.ini"]);
    let expected = "\
HOST  TARGET                    GROUPS
db1   db1=local                 prod, db
db2   db2=local                 prod, db
far   far=ssh://u@web1?env=A=…
";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected), "{ran:?}");
    let ran = hosts(&bench, &["--on", "db1", "--inventory", "hosts.ini", "--json"]);
    let line: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(line["variables"], serde_json::json!({"role": "store", "size": 5}), "{ran:?}");
    assert_eq!((&line["target"], &line["origin"]), (&"db1=local".into(), &"hosts.ini:4".into()));
}

#[test]
fn summary_of_a_range_reads_back() {
    let bench = bench();
    let ran = bench.run("mod:same 1 --on @prod --except web[07-20] --inventory hosts.ini --fold");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "8 hosts (web[01-06], db[1-2]): (1,)\n"),
        "{ran:?}"
    );
    let shown = ran.stdout.split(['(', ')']).nth(1).unwrap();
    let again = hosts(&bench, &["--on", shown, "--inventory", "hosts.ini", "--json"]);
    assert_eq!(again.stdout.lines().count(), 8, "{again:?}");
}

#[test]
fn variables_reach_functions() {
    let bench = bench();
    let ran = bench.run("mod:same 1 --kw-var role --kw-var n=size --on db1 --inventory hosts.ini");
    let expected = "db1: ((1,), {'n': 5, 'role': 'store'})\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected), "{ran:?}");
    let ran = bench.run("mod:same --kw-var size --on @prod --inventory hosts.ini");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("the variable 'size' is not set for web[01-20]"), "{ran:?}");
    let ran = bench.run("mod:same --kw role=x --kw-var role --on db1 --inventory hosts.ini");
    assert!(ran.stderr.contains("'role' is given twice"), "{ran:?}");
}

#[test]
fn variables_reach_programs_only_as_templates() {
    let bench = bench();
    let script = ["-c", "import sys; print(sys.argv[1])", "${host}-{var.role}"];
    let python = python3().path().to_str().unwrap();
    let mut words = vec!["--on", "db1", "--inventory", "hosts.ini", "--", python];
    words.extend(script);
    let ran = Ran::of(bench.verb("run", &words).output().unwrap());
    assert_eq!(ran.stdout, "[db1] ${host}-{var.role}\n", "{ran:?}");
    words.insert(0, "--template");
    let ran = Ran::of(bench.verb("run", &words).output().unwrap());
    assert_eq!(ran.stdout, "[db1] $db1-store\n", "{ran:?}");
}

#[test]
fn variables_are_in_paths_of_files() {
    let bench = bench();
    bench.scratch.write("root/app-front", "front");
    bench.scratch.write("root/app-store", "store");
    let remote = bench.scratch.path().join("out-{host}");
    let remote = remote.to_str().unwrap();
    let words = ["app-{var.role}", remote, "--on", "web01,db1", "--inventory", "hosts.ini"];
    let ran = Ran::of(bench.verb("put", &words).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let read = |path: &str| fs::read_to_string(bench.scratch.path().join(path)).unwrap();
    assert_eq!((read("out-web01"), read("out-db1")), ("front".to_owned(), "store".to_owned()));

    let from = bench.scratch.path().join("out-db1");
    let words =
        [from.to_str().unwrap(), "{var.role}-{host}", "--on", "web02,db2", "--inventory", "hosts.ini"];
    let ran = Ran::of(bench.verb("fetch", &words).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((read("root/front-web02"), read("root/store-db2")), ("store".to_owned(), "store".to_owned()));
    let words = [from.to_str().unwrap(), "{var.role}", "--on", "db[1-2]", "--inventory", "hosts.ini"];
    let ran = Ran::of(bench.verb("fetch", &words).output().unwrap());
    assert!(ran.code == Some(2) && ran.stderr.contains("put `{host}` into the path"), "{ran:?}");
    let words = ["app-{var.nope}", "/x", "--on", "db1", "--inventory", "hosts.ini"];
    let ran = Ran::of(bench.verb("put", &words).output().unwrap());
    assert!(ran.code == Some(2) && ran.stderr.contains("'nope'"), "{ran:?}");
}

#[test]
fn hosts_of_ssh_config_are_selected() {
    let bench = bench();
    bench.scratch.write("home/.ssh/config", "Include more\nHost web1 web2 *.x\n");
    bench.scratch.write("home/.ssh/more", "Host db1\n");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chopsticks"));
    command.args(["hosts", "--on", "ssh-config:*!web1"]).env("HOME", bench.scratch.path().join("home"));
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.stdout, "HOST  TARGET  GROUPS\ndb1   db1\nweb2  web2\n", "{ran:?}");
}

#[test]
fn failed_hosts_of_an_inventory_are_tried_again() {
    let bench = bench();
    let ran = bench.run("mod:never --on @db --inventory hosts.ini --failed failed");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        fs::read_to_string(bench.scratch.path().join("root/failed")).unwrap(),
        "db1=local\ndb2=local\n"
    );
    let ran = bench.run("mod:same --kw-var role --on @failed --inventory hosts.ini --fold");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "2 hosts (db[1-2]): ((), {'role': 'store'})\n"),
        "{ran:?}"
    );
}

#[test]
fn what_was_done_is_appended_to_a_log() {
    let bench = bench();
    let log = bench.scratch.path().join("log");
    for _ in 0..2 {
        let ran = bench.run("mod:same secret --on @db --inventory hosts.ini --log ../log");
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let text = fs::read_to_string(&log).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        records.iter().filter(|record| record["host"] == "db2" && record["outcome"] == "ok").count(),
        2
    );
    assert_eq!((records.len(), text.contains("secret")), (4, false), "{text}");
    assert_eq!(records[0]["what"], "mod:same");
    let ran = bench.run("mod:same --on a=local --log /nonexistent/log");
    assert!(ran.code == Some(2) && ran.stderr.contains("cannot be written"), "{ran:?}");
}
