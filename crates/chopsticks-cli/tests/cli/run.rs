//! `chopsticks run`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Child, Command, Stdio},
};

use chopsticks_support::{interpreters, processes};
use rustix::process::Signal;
use serde_json::json;

use crate::bench::{Bench, DEADLINE, Ran, finish, signal};

/// Runs a line of the shell on targets.
fn command(bench: &Bench, options: &[&str], line: &str) -> Command {
    let words: Vec<_> = options.iter().copied().chain(["--", "sh", "-c", line]).collect();
    bench.verb("run", &words)
}

fn run(bench: &Bench, options: &[&str], line: &str) -> Ran {
    Ran::of(command(bench, options, line).output().unwrap())
}

fn start(bench: &Bench, options: &[&str], line: &str) -> Child {
    let mut command = command(bench, options, line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn lines_of_both_streams_have_their_host() {
    let bench = Bench::new();
    let ran = run(&bench, &["--on", "a=local,b=local"], "echo one; echo two; echo err >&2; printf part");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.sorted_stdout(), ["[a] one", "[a] part", "[a] two", "[b] one", "[b] part", "[b] two"]);
    assert!(ran.stderr.contains("[a] err\n") && ran.stderr.contains("[b] err\n"), "{ran:?}");
    assert!(ran.stderr.contains("2 hosts: 2 ok in "), "{ran:?}");
}

#[test]
fn control_characters_of_a_program_are_shown() {
    let ran = run(&Bench::new(), &["--on", "a=local"], r"printf 'x\033[2J\ty\r\n\303\251\n'");
    assert_eq!(ran.stdout, "[a] x\\x1b[2J\ty\n[a] é\n", "{ran:?}");
}

#[test]
fn raw_output_is_that_of_the_program_byte_for_byte() {
    let bench = Bench::new();
    let line = r"printf 'a\0\377\033[2J\r\nend'; printf 'er\0r' >&2; cat; exit 7";
    let mut command = command(&bench, &["--raw", "--on", "a=local"], line);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let all: Vec<u8> = (0..=255).collect();
    child.stdin.take().unwrap().write_all(&all).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(output.stdout, [b"a\0\xff\x1b[2J\r\nend".as_slice(), &all].concat());
    assert_eq!(output.stderr, b"er\0r");
}

#[test]
fn raw_output_is_of_one_target_and_says_why_there_is_none() {
    let bench = Bench::new();
    let ran = run(&bench, &["--raw", "--on", "a=local,b=local"], "true");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--raw takes one target, and there are 2"), "{ran:?}");
    let ran = run(&bench, &["--raw", "--on", "a=exec:env /nowhere/python3"], "true");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(255), ""), "{ran:?}");
    assert!(ran.stderr.contains("/nowhere/python"), "{ran:?}");
}

#[test]
fn reader_of_raw_output_may_go_away() {
    let bench = Bench::new();
    let mut child = start(&bench, &["--raw", "--on", "a=local"], "yes");
    let mut byte = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    drop(child.stdout.take());
    assert_eq!(finish(child).code, Some(141));
}

/// Reads until `text` has come, and returns all that has.
fn read_until(stream: &mut impl Read, text: &str) -> String {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

#[test]
fn question_and_progress_are_shown_before_their_lines_end() {
    let line =
        r"printf 'one\nName: '; read name; printf '\r10 %%'; read next; printf '\r%s\r\n' $name; printf end";
    let bench = Bench::new();
    let mut child = command(&bench, &["--on", "a=local"], line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    assert_eq!(read_until(&mut stdout, "Name: "), "[a] one\n[a] Name: ");
    stdin.write_all(b"me\n").unwrap();
    assert_eq!(read_until(&mut stdout, "10 %"), "\r[a] 10 %");
    stdin.write_all(b"\n").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "\r[a] me\n[a] end\n");
    assert_eq!(finish(child).code, Some(0));
}

#[test]
fn question_on_stderr_is_shown_and_what_follows_begins_a_line() {
    let bench = Bench::new();
    let line = "printf 'Name: ' >&2; read name; exit 3";
    let mut command = command(&bench, &["--on", "a=local"], line);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    assert_eq!(read_until(&mut stderr, "Name: "), "[a] Name: ");
    drop(child.stdin.take());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("\na: call: exit status: 3\n"), "{rest:?}");
    assert_eq!(finish(child).code, Some(3));
}

#[test]
fn lines_of_several_targets_come_whole_into_a_file() {
    let ran = run(&Bench::new(), &["--on", "a=local,b=local"], "printf on; sleep 0.4; echo e");
    assert_eq!(ran.sorted_stdout(), ["[a] one", "[b] one"], "{ran:?}");
}

#[test]
fn other_status_than_0_is_a_failure() {
    let bench = Bench::new();
    let ran = run(&bench, &["--on", "a=local,b=local"], r#"[ "$0" = sh ] && exit 3"#);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("a: call: exit status: 3\n"), "{ran:?}");
    assert!(ran.stderr.contains("2 hosts: 2 failed in "), "{ran:?}");
    let ran = run(&bench, &["--on", "a=local"], "kill -9 $$");
    assert_eq!(ran.code, Some(128 + 9), "{ran:?}");
    assert!(ran.stderr.contains("a: call: signal: 9 (SIGKILL)\n"), "{ran:?}");
}

#[test]
fn status_of_one_target_is_passed_on_and_several_are_summed_up() {
    let bench = Bench::new();
    for (line, code) in [("exit 7", 7), ("true", 0), ("kill -15 $$", 128 + 15)] {
        assert_eq!(run(&bench, &["--on", "a=local"], line).code, Some(code), "{line}");
    }
    assert_eq!(run(&bench, &["--on", "a=local,b=local"], "exit 7").code, Some(1));
    // As `ssh`, where there is no status.
    assert_eq!(run(&bench, &["--on", "a=local", "--cwd", "/nonexistent"], "true").code, Some(255));
}

#[test]
fn one_target_reads_stdin_and_several_do_so_on_request() {
    let bench = Bench::new();
    let given = |options: &[&str]| {
        let mut child =
            command(&bench, options, "cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that reads nothing closes it early.
        let _ = stdin.write_all(b"one\ntwo\n");
        drop(stdin);
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.sorted_stdout().join(" ")
    };
    assert_eq!(given(&["--on", "a=local"]), "[a] one [a] two");
    assert_eq!(given(&["--on", "a=local", "--no-stdin"]), "");
    assert_eq!(given(&["--on", "a=local,b=local"]), "");
    let both = "[a] one [a] two [b] one [b] two";
    assert_eq!(given(&["--on", "a=local,b=local", "--stdin-to-all"]), both);
}

#[test]
fn stdin_that_never_ends_does_not_keep_a_program_that_has() {
    let bench = Bench::new();
    let mut child = command(&bench, &["--on", "a=local"], "head -c 10")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"0123456789abc").unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "[a] 0123456789\n"), "{ran:?}");
    drop(stdin);
}

#[test]
fn missing_program_is_told_without_a_traceback_of_our_own_code() {
    let bench = Bench::new();
    for python in interpreters() {
        let on = format!("a=local?python={}", python.path().display());
        let output = bench.verb("run", &["--on", &on, "--", "no-such-program"]).output().unwrap();
        let ran = Ran::of(output);
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(255), 2), "{python:?}: {ran:?}");
        let told = "a: call: cannot run no-such-program: No such file or directory";
        assert!(ran.stderr.contains(told), "{python:?}: {ran:?}");
    }
}

#[test]
fn json_has_status_stdout_and_stderr_under_every_interpreter() {
    let bench = Bench::new();
    for python in interpreters() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
        command.args(["run", "--on", "a=local", "--json", "--python"]).arg(python.path());
        command.args(["--", "sh", "-c", r"printf 'é\n'; printf '\377' >&2; exit 3"]);
        let ran = Ran::of(command.output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), ""), "{python}: {ran:?}");
        let line = &ran.json()[0];
        let value = json!({"status": 3, "signal": null, "stdout": "é\n", "stderr": {"$bytes": "/w=="}});
        assert_eq!((&line["ok"], &line["value"]), (&json!(false), &value), "{python}");
        assert_eq!(line["error"]["kind"], "exit-status", "{python}");
    }
    let ran = run(&bench, &["--on", "a=local", "--json"], "kill -15 $$");
    let value = json!({"status": null, "signal": 15, "stdout": "", "stderr": ""});
    assert_eq!(ran.json()[0]["value"], value, "{ran:?}");
    let ran = run(&bench, &["--on", "a=local", "--json"], "true");
    assert_eq!((ran.code, &ran.json()[0]["ok"]), (Some(0), &json!(true)), "{ran:?}");
}

#[test]
fn program_that_is_not_there_is_named() {
    let ran =
        Ran::of(Bench::new().verb("run", &["--on", "a=local", "--", "/nonexistent/x"]).output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(255), ""), "{ran:?}");
    assert!(ran.stderr.contains("cannot run /nonexistent/x: No such file or directory"), "{ran:?}");
}

#[test]
fn words_reach_the_program_as_they_are() {
    let bench = Bench::new();
    let words = ["--on", "a=local", "--", "printf", "%s|", "a b", "$HOME", "--json", "é", "'\"\\"];
    let ran = Ran::of(bench.verb("run", &words).output().unwrap());
    assert_eq!(ran.stdout, "[a] a b|$HOME|--json|é|'\"\\|\n", "{ran:?}");
    let ran = Ran::of(bench.verb("run", &["--on", "a=local", "echo"]).output().unwrap());
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn folder_and_environment_are_those_asked_for() {
    let bench = Bench::new();
    let options = ["--on", "a=local,b=local?cwd=/usr", "--cwd", "/", "--env", "A=1", "--env", "B=x=y"];
    let ran = run(&bench, &options, "echo $(pwd) $A $B");
    assert_eq!(ran.sorted_stdout(), ["[a] / 1 x=y", "[b] /usr 1 x=y"], "{ran:?}");
}

#[test]
fn lines_come_while_the_program_runs_and_an_interrupt_ends_it() {
    for (kill, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let bench = Bench::new();
        let mut child = start(&bench, &["--on", "a=local"], "echo $$; tail -f /dev/null & echo $!; wait");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut pids = Vec::new();
        for _ in 0..2 {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            pids.push(line.strip_prefix("[a] ").unwrap().trim().parse::<u32>().unwrap());
        }
        signal(&child, kill);
        let ran = finish(child);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains("a: call: interrupted"), "{ran:?}");
        processes::wait_until_gone(pids, DEADLINE).unwrap();
    }
}

#[test]
fn deadline_ends_the_program() {
    let bench = Bench::new();
    let line = format!("echo $$ > '{}'; tail -f /dev/null", bench.ready());
    let ran = run(&bench, &["--on", "a=local", "--timeout", "2", "--json"], &line);
    assert_eq!((ran.code, &ran.json()[0]["error"]["kind"]), (Some(255), &json!("timeout")), "{ran:?}");
    let pid = fs::read_to_string(bench.ready()).unwrap_or_default();
    processes::wait_until_gone(pid.trim().parse::<u32>(), DEADLINE).unwrap();
}

#[test]
fn closed_stdout_ends_the_programs_quietly() {
    let bench = Bench::new();
    let mut child = start(&bench, &["--on", "a=local"], "echo $$; while echo more; do :; done");
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let pid: u32 = line.strip_prefix("[a] ").unwrap().trim().parse().unwrap();
    drop(stdout);
    let ran = finish(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(141), ""), "{ran:?}");
    processes::wait_until_gone([pid], DEADLINE).unwrap();
}

#[test]
fn much_output_passes_whole() {
    let bench = Bench::new();
    let mut child = start(&bench, &["--on", "a=local"], "seq 300000");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(finish(child).code, Some(0));
    assert!(text.lines().enumerate().all(|(n, line)| line == format!("[a] {}", n + 1)));
    assert_eq!(text.lines().count(), 300_000);
}
