//! `chopsticks call`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::Command,
    time::{Duration, Instant},
};

use chopsticks_support::{eventually, interpreters, processes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bench::{Bench, DEADLINE, Ran, finish, signal};

#[test]
fn result_is_printed_behind_its_host() {
    let ran = Bench::new().run("os.path:join /srv www --on local");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "localhost: '/srv/www'\n"), "{ran:?}");
    assert!(ran.stderr.starts_with("1 host: 1 ok in "), "{ran:?}");
}

#[test]
fn arguments_arrive_as_json_or_as_text() {
    let bench = Bench::new();
    let ran = bench
        .run(r#"mod:same -5 1.5 web [1,{"a":null}] "7" 123456789012345678901234567890 --on local -- --on"#);
    let expected =
        "localhost: (-5, 1.5, 'web', [1, {'a': None}], '7', 123456789012345678901234567890, '--on')\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected), "{ran:?}");

    let ran = bench.run("mod.same --kw n=1 --kw text=a=b --on local");
    assert_eq!(ran.stdout, "localhost: ((), {'n': 1, 'text': 'a=b'})\n", "{ran:?}");
}

#[test]
fn every_interpreter_gives_the_same_result() {
    let bench = Bench::new();
    for interpreter in interpreters() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
        command.args(["call", "mod:same", "1", "é", "--on", "local", "--json", "--root"]);
        command.arg(bench.scratch.path().join("root")).arg("--python").arg(interpreter.path());
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.code, Some(0), "{interpreter}: {ran:?}");
        assert_eq!(ran.json()[0]["value"], json!([1, "é"]), "{interpreter}");
    }
}

#[test]
fn all_hosts_answer_and_text_of_several_lines_is_a_block() {
    let bench = Bench::new();
    let ran = bench.run("mod:same 7 --on a=local,b=local --on c=local");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.sorted_stdout(), ["a: (7,)", "b: (7,)", "c: (7,)"]);
    assert!(ran.stderr.starts_with("3 hosts: 3 ok in "), "{ran:?}");

    let ran = bench.run("mod:text --on a=local");
    assert_eq!(ran.stdout, "a:\n    one\n      two\n");
}

#[test]
fn failure_is_told_with_its_traceback_and_exit_status_1() {
    let bench = Bench::new();
    let ran = bench.run("mod:fail there --on a=local");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    let file = fs::canonicalize(bench.scratch.path().join("root/mod.py")).unwrap();
    let file = format!("\n      File \"{}\", line ", file.display());
    assert!(
        ran.stderr.starts_with("a: call: ValueError: there\n    Traceback (most recent call last):\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(&file), "{ran:?}");
    assert!(ran.stderr.contains("\n1 host: 1 failed in "), "{ran:?}");
}

#[test]
fn host_without_a_python_fails_alone() {
    let bench = Bench::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
    command.args(["call", "os:getpid", "--on", "local", "--json", "--python", "/nonexistent/python"]);
    let ran = Ran::of(command.current_dir(bench.scratch.path()).output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    let error = &ran.json()[0]["error"];
    assert_eq!((&error["kind"], &error["phase"]), (&json!("spawn"), &json!("spawn")));
    assert!(error["message"].as_str().unwrap().starts_with("cannot start /nonexistent/python: "), "{ran:?}");
}

#[test]
fn hint_is_told_once() {
    let bench = Bench::new();
    let ran = bench.run("os:getpid --on a=local?python=/nonexistent --json");
    let error = &ran.json()[0]["error"];
    let (hint, message) = (error["hint"].as_str().unwrap(), error["message"].as_str().unwrap());
    assert_eq!(error["cause"], "program-missing", "{ran:?}");
    assert!(!message.contains(hint), "{ran:?}");

    let ran = bench.run("os:getpid --on a=local?python=/nonexistent");
    let line = format!("a: spawn: {message} ({hint})\n");
    assert!(ran.stderr.starts_with(&line), "{ran:?}");
    assert_eq!(ran.stderr.matches(hint).count(), 1, "{ran:?}");

    let error = &bench.run("mod:fail there --on a=local --json").json()[0]["error"];
    assert_eq!((&error["cause"], &error["hint"]), (&Value::Null, &Value::Null));
}

#[test]
fn wrong_usage_is_exit_status_2_and_calls_nothing() {
    let bench = Bench::new();
    for (line, expected) in [
        ("mod:same", "--on <TARGET>"),
        ("mod:same --on ftp://web1", "`ftp://` is not known"),
        ("mod:same --on local,local", "a=local,b=local"),
        ("same --on local", "module:name"),
        ("mod:same --on local --root nowhere", "'nowhere' is neither a folder nor an archive"),
    ] {
        let ran = bench.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}: {ran:?}");
        assert!(ran.stderr.contains(expected) && ran.stderr.contains("--help"), "{line}: {ran:?}");
    }
}

#[test]
fn roots_are_searched_in_their_order() {
    let bench = Bench::new();
    bench.scratch.write("first/which.py", "def which(): return 'first'\n");
    bench.scratch.write("second/which.py", "def which(): return 'second'\n");
    let ran = bench.run("which:which --root ../first --root ../second --on local");
    assert_eq!(ran.stdout, "localhost: 'first'\n", "{ran:?}");
}

#[test]
fn patterns_choose_what_is_served() {
    let bench = Bench::new();
    let read = "import pkgutil\ndef read(name): return len(pkgutil.get_data(__name__, name))\n";
    bench.scratch.write("root/certs/__init__.py", read);
    bench.scratch.write("root/certs/all.pem", "text\n");
    let line = "certs:read all.pem --on local --exclude nothing.*";
    let ran = bench.run(line);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    let line = format!("{line} --include x.pem --include certs/all.pem");
    let ran = bench.run(&line);
    assert_eq!(ran.stdout, "localhost: 5\n", "{ran:?}");
    let ran = bench.run(&format!("{line} --exclude all.pem"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = bench.run(&format!("{line} --exclude certs"));
    assert!(ran.stderr.contains("certs") && ran.code == Some(1), "{ran:?}");
}

#[test]
fn stderr_of_agents_is_labelled_and_stays_off_stdout() {
    let ran = Bench::new().run("mod:say hello again --on a=local,b=local --json");
    assert_eq!((ran.code, ran.json().len()), (Some(0), 2), "{ran:?}");
    let mut lines: Vec<_> = ran.stderr.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[a] again", "[a] hello", "[b] again", "[b] hello"]);
}

#[test]
fn json_is_one_object_in_one_line_for_each_host() {
    let bench = Bench::new();
    let ran = bench.run("mod:values --on a=local,b=local --json");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines = ran.json();
    assert_eq!(lines.len(), 2);
    for (line, host) in lines.iter().zip(["a", "b"]) {
        assert_eq!((&line["host"], &line["ok"]), (&json!(host), &json!(true)));
        assert!(line["ms"].as_f64().unwrap() > 0.0);
        let expected = json!({
            "bytes": {"$bytes": "AP8="}, "set": {"$set": [1]}, "frozen": {"$frozenset": [2]}, "tuple": [1, null],
            "big": {"$int": "18446744073709551616"}, "nan": {"$float": "nan"}, "keys": {"$dict": [[1, true]]},
            "dollar": {"$dict": [["$x", 1]]}, "cycle": [1, {"$ref": "/cycle"}], "float": 0.5,
        });
        assert_eq!(line["value"], expected);
    }

    let ran = bench.run("mod:fail no --on a=local --json");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    let line = &ran.json()[0];
    assert_eq!((&line["ok"], line.get("value")), (&json!(false), None));
    let error = &line["error"];
    assert_eq!((&error["kind"], &error["phase"]), (&json!("raised"), &json!("call")));
    assert_eq!(error["message"], "ValueError: no");
    assert!(error["traceback"].as_str().unwrap().starts_with("Traceback (most recent call last):\n"));
}

#[test]
fn result_of_many_levels_is_written() {
    let bench = Bench::new();
    for (options, prefix) in [("--json", "{\"host\":\"a\",\"ok\":true,\"value\":[[[["), ("", "a: [[[[")] {
        let ran = bench.run(&format!("mod:deep 200000 --on a=local {options}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.starts_with(prefix) && ran.stdout.len() > 400_000, "{options}");
    }
}

#[test]
fn result_that_would_explode_fails_its_host() {
    let ran = Bench::new().run("mod:explosion 40 --on a=local --json");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let error = &ran.json()[0]["error"];
    assert_eq!(error["kind"], "result");
    assert!(error["message"].as_str().unwrap().contains("64 MiB"), "{ran:?}");
}

#[test]
fn late_call_times_out_and_leaves_no_process() {
    let bench = Bench::new();
    let line = format!("mod:child {} {} --on a=local --timeout 1.5 --json", bench.canary(), bench.ready());
    let ran = bench.run(&line);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let error = &ran.json()[0]["error"];
    assert_eq!(
        (&error["kind"], &error["message"]),
        (&json!("timeout"), &json!("timed out after 1.5s")),
        "{ran:?}"
    );
    // On a slow machine the deadline may come before the function.
    let pids = fs::read_to_string(bench.ready()).unwrap_or_default();
    let pids = pids.split_whitespace().map(|pid| pid.parse().unwrap());
    processes::wait_until_gone(pids, DEADLINE).unwrap();
}

#[test]
fn interrupt_ends_the_remote_work_and_names_the_unfinished() {
    for (kill, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let bench = Bench::new();
        let child =
            bench.start(&format!("mod:child {} {} --on a=local,b=local", bench.canary(), bench.ready()));
        let pids = bench.wait_until_ready(2);
        let children =
            || processes::with_argument(&bench.canary()).into_iter().filter(|pid| pids.contains(pid));
        assert!(eventually(DEADLINE, || children().count() == 2), "{pids:?}");

        signal(&child, kill);
        let ran = finish(child);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        for host in ["a", "b"] {
            assert!(ran.stderr.contains(&format!("{host}: call: interrupted")), "{ran:?}");
        }
        assert!(ran.stderr.contains("2 hosts: 2 interrupted in "), "{ran:?}");
        processes::wait_until_gone(pids, DEADLINE).unwrap();
    }
}

#[test]
fn interrupt_keeps_the_results_that_are_there() {
    let bench = Bench::new();
    let mut child = bench.start(&format!("mod:never_on_b {} --on a=local,b=local --json", bench.ready()));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let first: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(first["value"], "first", "results are printed as they come");

    signal(&child, Signal::INT);
    let ran = finish(child);
    assert_eq!(ran.code, Some(130), "{ran:?}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let second: Value = serde_json::from_str(&rest).unwrap();
    assert_ne!(second["host"], first["host"]);
    assert_eq!(second["error"]["kind"], "interrupted");
}

#[test]
fn second_interrupt_exits_at_once() {
    // Closing takes 5 s if it is waited for. A busy machine may take as long otherwise, but not each time.
    let mut tries = 0;
    while !second_interrupt_exits_within(Duration::from_secs(4)) {
        tries += 1;
        assert!(tries < 10, "closing is waited for");
    }
}

fn second_interrupt_exits_within(limit: Duration) -> bool {
    let bench = Bench::new();
    let mut child = bench.start(&format!("mod:stubborn {} --on a=local", bench.ready()));
    let pids = bench.wait_until_ready(1);
    signal(&child, Signal::INT);
    let begun = Instant::now();
    // Signals of one kind that wait are one signal, so they are sent until the program has seen two.
    assert!(eventually(DEADLINE, || {
        let _ = kill_process(Pid::from_child(&child), Signal::INT);
        child.try_wait().unwrap().is_some()
    }));
    let took = begun.elapsed();
    assert_eq!(finish(child).code, Some(130));
    // Its agent sees the end of its input, and ends by itself.
    processes::wait_until_gone(pids, DEADLINE).unwrap();
    took < limit
}

#[test]
fn call_that_cannot_be_interrupted_is_ended_all_the_same() {
    let bench = Bench::new();
    let child = bench.start(&format!("mod:stubborn {} --on a=local", bench.ready()));
    let pids = bench.wait_until_ready(1);
    signal(&child, Signal::INT);
    assert_eq!(finish(child).code, Some(130));
    processes::wait_until_gone(pids, DEADLINE).unwrap();
}

#[test]
fn closed_stdout_ends_the_program_quietly() {
    let bench = Bench::new();
    let mut child =
        bench.start(&format!("mod:never_on_b {} --on a=local,b=local,c=local --timeout 600", bench.ready()));
    drop(child.stdout.take());
    // The call on the other hosts is not waited for.
    let ran = finish(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(141), ""), "{ran:?}");
}

#[test]
fn stdout_that_nobody_reads_does_not_hold_up_signals() {
    let bench = Bench::new();
    bench.scratch.write("root/big.py", "def text(): return 'x' * (4 << 20)\n");
    let mut child = bench.start("big:text --on a=local");
    let mut stdout = child.stdout.take().unwrap();
    // The pipe holds less than the value, so the program waits.
    let mut byte = [0];
    stdout.read_exact(&mut byte).unwrap();
    assert!(eventually(DEADLINE, || {
        let _ = kill_process(Pid::from_child(&child), Signal::INT);
        child.try_wait().unwrap().is_some()
    }));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn colours_are_used_where_they_are_forced_and_not_in_pipes() {
    let bench = Bench::new();
    let plain = bench.run("mod:fail no --on a=local");
    assert!(!plain.stderr.contains('\x1b'), "{plain:?}");
    let forced =
        Ran::of(bench.command("mod:fail no --on a=local").env("CLICOLOR_FORCE", "1").output().unwrap());
    assert!(forced.stderr.starts_with("\x1b["), "{forced:?}");
    let mut command = bench.command("mod:fail no --on a=local");
    let never = Ran::of(command.env("CLICOLOR_FORCE", "0").env("NO_COLOR", "1").output().unwrap());
    assert!(!never.stderr.contains('\x1b'), "{never:?}");
}

#[test]
fn help_tells_of_json_and_of_exit_statuses() {
    let output = Command::new(env!("CARGO_BIN_EXE_chopsticks")).args(["call", "--help"]).output().unwrap();
    let ran = Ran::of(output);
    assert_eq!(ran.code, Some(0));
    for text in
        ["--on <TARGET>", "$bytes", "$frozenset", "$ref", "Exit status:", "130  Ctrl-C", "stdout", "stderr"]
    {
        assert!(ran.stdout.contains(text), "{text}");
    }
}
