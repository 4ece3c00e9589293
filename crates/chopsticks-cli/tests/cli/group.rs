//! How many at once, when to stop, and what becomes of the results.

use std::{fs, process::Command};

use chopsticks_support::python3;

use crate::bench::Bench;

#[test]
fn failures_over_the_limit_stop_the_rest_which_can_be_tried_again() {
    let bench = Bench::new();
    let on = "--on a=local,b=local,c=local,d=local,e=local";
    let ran = bench.run(&format!("mod:fail {on} --batch 2 --max-failures 1 --failed left"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("5 hosts: 2 failed, 3 not started in "), "{ran:?}");
    assert!(ran.stderr.contains("e: call: not started, because too many others had failed"), "{ran:?}");
    let left = fs::read_to_string(bench.scratch.path().join("root/left")).unwrap();
    assert_eq!(left, "a=local\nb=local\nc=local\nd=local\ne=local\n");

    let ran = bench.run("mod:same 1 --on @left --failed left");
    assert_eq!((ran.code, ran.sorted_stdout().len()), (Some(0), 5), "{ran:?}");
    assert_eq!(fs::read_to_string(bench.scratch.path().join("root/left")).unwrap(), "");
}

#[test]
fn what_has_succeeded_is_not_among_those_that_failed() {
    let bench = Bench::new();
    let ran =
        bench.run("mod:same 1 --on a=local,b=local?python=/nonexistent,c=local --failed left --limit 1");
    assert_eq!((ran.code, ran.sorted_stdout()), (Some(1), vec!["a: (1,)", "c: (1,)"]), "{ran:?}");
    let left = fs::read_to_string(bench.scratch.path().join("root/left")).unwrap();
    assert_eq!(left, "b=local?python=/nonexistent\n");
}

#[test]
fn file_for_those_that_fail_is_refused_before_anything_is_done_not_after() {
    let bench = Bench::new();
    let ran = bench.run("mod:same 1 --on a=local --failed /nonexistent/left");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("cannot write /nonexistent/left: "), "{ran:?}");
    let ran = bench.run("mod:same 1 --on a=local --failed /dev/null");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "a: (1,)\n"), "{ran:?}");
}

#[test]
fn log_tells_hosts_by_their_names_not_their_numbers() {
    let ran = Bench::new().run("mod:same 1 -v --on web=local");
    assert!(ran.stderr.contains("started host=web\n"), "{ran:?}");
}

#[test]
fn equal_results_are_folded() {
    let bench = Bench::new();
    let on: Vec<_> = (0..7).map(|number| format!("h{number}=local")).collect();
    let on = format!("{},odd=local?env=KIND=odd,other=local?env=KIND=odd", on.join(","));
    let ran = bench.run(&format!("os:getenv KIND even --fold --on {on}"));
    let expected = "7 hosts: 'even'\n2 hosts (odd, other): 'odd'\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected), "{ran:?}");
    let ran = bench.run("mod:text --fold --on a=local");
    assert_eq!(ran.stdout, "a:\n    one\n      two\n", "{ran:?}");
    assert_eq!(bench.run("mod:text --fold --json --on a=local").code, Some(2));
}

#[test]
fn limits_that_are_none_are_refused() {
    let bench = Bench::new();
    for option in
        ["--limit 0", "--batch 0", "--batch 0%", "--batch x", "--max-failures -1", "--max-failures 101%"]
    {
        let ran = bench.run(&format!("mod:text --on a=local {option}"));
        assert_eq!(ran.code, Some(2), "{option}: {ran:?}");
    }
}

#[test]
fn more_targets_than_descriptors_are_called_one_after_another() {
    let bench = Bench::new();
    let hosts: String = (0..40).map(|number| format!("h{number}=local\n")).collect();
    bench.scratch.write("root/hosts", hosts);
    // `ulimit -n` lowers the hard limit as well.
    let program = env!("CARGO_BIN_EXE_chopsticks");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh", program, "call", "mod:same", "1", "--on", "@hosts"])
        .args(["--python", python3().path().to_str().unwrap()])
        .current_dir(bench.scratch.path().join("root"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.starts_with("40 hosts: 40 ok in "), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 40);
}

#[test]
fn failures_among_many_are_told_in_a_table() {
    let bench = Bench::new();
    let hosts: Vec<_> = (0..9).map(|number| format!("h{number}=local")).collect();
    let hosts =
        format!("{},x=local?python=/nonexistent,y=local?python=/nonexistent,h9=local", hosts.join(","));
    let ran = bench.run(&format!("mod:same 1 --on {hosts}"));
    let lines: Vec<_> = ran.stderr.lines().rev().take(4).collect();
    assert!(lines[0].starts_with("12 hosts: 10 ok, 2 failed in "), "{ran:?}");
    assert!(
        lines[1].starts_with("spawn, program-missing      2  ") && lines[1].ends_with("  x, y"),
        "{ran:?}"
    );
    assert!(lines[2].starts_with("ok ") && lines[2].ends_with("  h[0-9]"), "{ran:?}");
    assert!(lines[3].starts_with("OUTCOME ") && lines[3].ends_with("  WHICH"), "{ran:?}");

    let few = bench.run("mod:fail --on a=local,b=local");
    assert!(!few.stderr.contains("OUTCOME"), "{few:?}");
    let asked = bench.run("mod:same 1 --on a=local,b=local --summary");
    assert!(asked.stderr.contains("\nok ") && asked.stderr.contains("  a, b\n"), "{asked:?}");
    assert_eq!(bench.run("mod:same 1 --summary --json --on a=local").code, Some(2));
    let all_ok = bench.run(&format!("mod:same 1 --on {}", hosts.replace("?python=/nonexistent", "")));
    assert_eq!(all_ok.stderr.lines().count(), 1, "{all_ok:?}");
}
