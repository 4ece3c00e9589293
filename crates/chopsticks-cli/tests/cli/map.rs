//! `chopsticks map`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    iter,
    process::{Command, Stdio},
};

use chopsticks_support::{eventually, processes};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bench::{Bench, DEADLINE, Ran, finish, on_terminal, signal};

/// The objects of stdout by their index.
fn by_index(ran: &Ran) -> Vec<Value> {
    let mut lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["index"].as_u64());
    lines
}

fn command(bench: &Bench, line: &str) -> Command {
    bench.verb("map", &line.split_whitespace().collect::<Vec<_>>())
}

fn run(bench: &Bench, line: &str) -> Ran {
    Ran::of(command(bench, line).output().unwrap())
}

fn map(bench: &Bench, line: &str, input: &str) -> Ran {
    let file = bench.scratch.write("items", input);
    run(bench, &format!("{line} --input {}", file.display()))
}

#[test]
fn each_line_is_an_item_and_has_a_line_of_json() {
    let bench = Bench::new();
    let ran = map(&bench, "mod:same more --kw b=1 --on x=local,y=local", "5\n\ntext\n[1, null]\n\"7\"\r\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let value = |item: Value| json!([[item, "more"], {"b": 1}]);
    let expected = [
        json!({"index": 0, "ok": true, "value": value(json!(5))}),
        json!({"index": 2, "ok": true, "value": value(json!("text"))}),
        json!({"index": 3, "ok": true, "value": value(json!([1, null]))}),
        json!({"index": 4, "ok": true, "value": value(json!("7"))}),
    ];
    assert_eq!(by_index(&ran), expected);
    assert!(ran.stderr.starts_with("4 items: 4 ok in "), "{ran:?}");

    // As text, every line is one.
    let ran = map(&bench, "builtins:len --lines --ordered --on local", "5\n\nnull");
    let values: Vec<_> = by_index(&ran).iter().map(|line| line["value"].clone()).collect();
    assert_eq!(values, [1, 0, 4]);
    assert_eq!(map(&bench, "mod:same --on local", "").code, Some(0));
}

#[test]
fn items_come_from_stdin_and_in_order() {
    let bench = Bench::new();
    let mut child = command(&bench, "mod:same --ordered --host --jobs 2 --on x=local,y=local");
    let mut child =
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for n in 0..500 {
        writeln!(stdin, "{n}").unwrap();
    }
    drop(stdin);
    let ran = finish(child);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (n, line) in ran.stdout.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["index"], &line["value"]), (&json!(n), &json!([n])));
        assert!(line["host"] == "x" || line["host"] == "y", "{line}");
    }
    assert_eq!(ran.stdout.lines().count(), 500);
}

#[test]
fn failures_are_in_both_outputs_and_in_the_exit_status() {
    let bench = Bench::new();
    let ran = map(&bench, "math:sqrt --on x=local", "4\n-1\n9\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines = by_index(&ran);
    assert_eq!(lines[0]["value"], 2.0);
    assert_eq!((&lines[1]["ok"], &lines[1]["error"]["kind"]), (&json!(false), &json!("raised")));
    assert_eq!(lines[2]["value"], 3.0);
    assert!(ran.stderr.contains("item 1 on x: call: ValueError: "), "{ran:?}");
    assert!(ran.stderr.contains("\n3 items: 2 ok, 1 failed in "), "{ran:?}");

    // A line that is not UTF-8 cannot be sent.
    let file = bench.scratch.write("bytes", b"1\n\xff\n");
    let ran = run(&bench, &format!("mod:same --on local --input {}", file.display()));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("not UTF-8"), "{ran:?}");
    assert_eq!(ran.stderr.matches("cannot be sent").count(), 1, "{ran:?}");

    let many = "-1\n".repeat(2000);
    let ran = map(&bench, "math:sqrt --max-failures 3 --on local", &many);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!((4..2000).contains(&ran.stdout.lines().count()), "{ran:?}");
    let ran = map(&bench, "math:sqrt --on local", &"-1\n".repeat(20));
    assert_eq!(ran.stdout.lines().count(), 20, "{ran:?}");
    assert_eq!(ran.stderr.matches(": ValueError: ").count(), 10, "{ran:?}");
    assert!(ran.stderr.contains("more items have failed; see stdout\n"), "{ran:?}");
}

#[test]
fn deadline_is_that_of_each_item() {
    let bench = Bench::new();
    let ran = map(&bench, "time:sleep --timeout 3 --on x=local,y=local", "0\n1000\n0\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines = by_index(&ran);
    let kinds: Vec<_> = lines.iter().map(|line| line["error"]["kind"].as_str()).collect();
    assert_eq!(kinds, [None, Some("timeout"), None]);
}

#[test]
fn targets_that_are_lost_are_named() {
    let bench = Bench::new();
    let ran = map(&bench, "mod:same --host --on x=local,y=local?python=/nonexistent", "1\n2\n3\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(by_index(&ran).iter().all(|line| line["host"] == "x"), "{ran:?}");

    let ran = map(&bench, "mod:same --host --on y=local?python=/nonexistent", "1\n2\n3\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("y is left out: "), "{ran:?}");
    let lines = by_index(&ran);
    assert!(lines.iter().all(|line| line["host"].is_null() && line["error"]["kind"] == "not-started"));
    assert_eq!(lines.len(), 3);

    // An item that ends every target is tried three times.
    let ran = map(&bench, "os:_exit --on x=local,y=local", "7\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines = by_index(&ran);
    assert_eq!((&lines[0]["attempts"], &lines[0]["error"]["kind"]), (&json!(3), &json!("disconnected")));
    let ran = map(&bench, "os:_exit --retries 0 --on x=local,y=local", "7\n");
    assert!(by_index(&ran)[0].get("attempts").is_none(), "{ran:?}");
}

#[test]
fn what_an_interrupted_run_has_written_is_noted() {
    let bench = Bench::new();
    // More than a pipe holds: the first run has not ended when it is interrupted.
    let text: String = (0..6000).map(|number| format!("{number}\n")).collect();
    bench.scratch.write("root/items", text);
    let done = bench.scratch.path().join("interrupted.jsonl");
    let line = format!("math:sqrt --on a=local,b=local --input items --resume {}", done.display());
    let (mut written, mut interrupted) = (Vec::new(), 0);
    loop {
        let mut child = command(&bench, &line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        // While results are being written.
        if interrupted < 5 {
            signal(&child, Signal::INT);
        }
        written.extend(iter::once(first).chain(stdout.lines().map(Result::unwrap)));
        match finish(child).code {
            Some(130) => interrupted += 1,
            code => break assert_eq!(code, Some(0)),
        }
    }
    assert!(interrupted > 0);
    let mut indices: Vec<u64> = written
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap())
        .collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..6000), "each is written once");
}

#[test]
fn killed_run_writes_no_result_twice_to_a_file() {
    let bench = Bench::new();
    let text: String = (0..6000).map(|number| format!("{number}\n")).collect();
    bench.scratch.write("root/items", text);
    let (done, out) = (bench.scratch.path().join("killed.jsonl"), bench.scratch.path().join("out.jsonl"));
    let line = format!("math:sqrt --on a=local,b=local --input items --resume {}", done.display());
    let size = || fs::metadata(&out).map_or(0, |found| found.len());
    let mut killed = 0;
    loop {
        let before = size();
        let stdout = fs::OpenOptions::new().append(true).create(true).open(&out).unwrap();
        let mut child = command(&bench, &line).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        if killed < 5 {
            // While results are being written.
            assert!(eventually(DEADLINE, || size() > before || child.try_wait().unwrap().is_some()));
            let _ = child.kill();
        }
        match finish(child).code {
            None => killed += 1,
            code => break assert_eq!(code, Some(0)),
        }
    }
    assert!(killed > 0);
    let written = fs::read_to_string(&out).unwrap();
    let mut indices: Vec<u64> = written
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap())
        .collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..6000), "each is written once");
}

#[test]
fn items_that_are_done_are_left_out_when_resumed() {
    let bench = Bench::new();
    let done = bench.scratch.path().join("done");
    let line = format!("math:sqrt --ordered --on local --resume {}", done.display());
    let ran = map(&bench, &line, "4\n-1\n9\n");
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 3), "{ran:?}");
    assert_eq!(fs::read_to_string(&done).unwrap().lines().count(), 2);
    // As a run leaves it that was killed in the middle of a line.
    fs::OpenOptions::new().append(true).open(&done).unwrap().write_all(b"{\"ind").unwrap();
    // The one that failed is tried again, one that is another now as well, and one that is new.
    let ran = map(&bench, &line, "4\n16\n25\n36\n");
    let lines: Vec<_> =
        by_index(&ran).iter().map(|line| (line["index"].clone(), line["value"].clone())).collect();
    assert_eq!(lines, [(json!(1), json!(4.0)), (json!(2), json!(5.0)), (json!(3), json!(6.0))], "{ran:?}");
    assert!(ran.stderr.contains("3 items: 3 ok, 2 done before in "), "{ran:?}");
    let ran = map(&bench, &line, "4\n16\n25\n36\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    fs::write(&done, "no\n").unwrap();
    let ran = map(&bench, &line, "4\n");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("line 1: "), "{ran:?}");
}

#[test]
fn ctrl_c_ends_what_is_under_way() {
    let bench = Bench::new();
    let items = bench.scratch.write("items", "1\n2\n3\n4\n");
    let (canary, ready) = (bench.canary(), bench.ready());
    let script = "import mod\ndef start(item, canary, ready):\n    mod.child(canary, ready)\n";
    bench.scratch.write("root/start.py", script);
    let line = format!("start:start {canary} {ready} --on x=local,y=local --input {}", items.display());
    let child = command(&bench, &line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.wait_until_ready(2);
    signal(&child, Signal::INT);
    let ran = finish(child);
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.stderr.contains("2 items: 0 ok, 2 interrupted in "), "{ran:?}");
    assert!(eventually(DEADLINE, || processes::with_argument(&canary).is_empty()));
}

#[test]
fn terminal_shows_how_many_are_done() {
    let bench = Bench::new();
    let items = bench.scratch.write("items", "1\n2\n3\n");
    let command = command(&bench, &format!("mod:same --on local --input {}", items.display()));
    let ran = on_terminal(&command, None);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("3 items: 3 ok in "), "{ran:?}");
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let bench = Bench::new();
    for (line, expected) in [
        ("mod:same", "--on <TARGET>"),
        ("mod:same --on local --jobs 0", "--jobs"),
        ("mod:same --on @-", "both the targets and the items"),
        ("mod:same --on local --input /nonexistent", "cannot read /nonexistent: "),
        ("mod:same --on local --resume /nonexistent/done", "cannot use /nonexistent/done: "),
        ("mod:same --on local --root /nonexistent", "neither a folder nor an archive"),
    ] {
        let ran = run(&bench, line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{line}: {ran:?}");
    }
}

#[test]
fn closed_stdout_ends_it_quietly() {
    let bench = Bench::new();
    let items = bench.scratch.write("items", "1\n".repeat(100_000));
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_chopsticks");
    let script = format!(
        "{{ {program} map builtins:abs --on local --input {}; echo $? >&2; }} | head -1",
        items.display()
    );
    let ran = Ran::of(command.args(["-c", &script]).output().unwrap());
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (1, "141\n"), "{ran:?}");
}
