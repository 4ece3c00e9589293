//! How many at once, when to stop, and what becomes of the results.

use std::{fs, process::Command};

use chopsticks_support::python3;

use crate::bench::{Bench, Ran, on_terminal};

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
    let expected = "7 hosts (h[0-6]): 'even'\n2 hosts (odd, other): 'odd'\n";
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

#[test]
fn equal_output_of_programs_is_folded() {
    let bench = Bench::new();
    let on = "--on=h0=local?env=KIND=a,odd=local?env=KIND=b,h1=local?env=KIND=a,none=local";
    let line = "[ $KIND ] || exit 0; echo $KIND; [ $KIND = a ] || { echo more; echo err >&2; exit 3; }";
    let ran = Ran::of(bench.verb("run", &[on, "--fold", "--", "sh", "-c", line]).output().unwrap());
    assert_eq!(ran.stdout, "2 hosts (h[0-1]): a\nodd:\n    b\n    more\n", "{ran:?}");
    assert!(
        ran.stderr.starts_with("odd: call: exit status: 3\nodd: err\n4 hosts: 3 ok, 1 failed"),
        "{ran:?}"
    );
}

#[test]
fn results_come_in_the_order_of_the_targets_if_asked_for() {
    let bench = Bench::new();
    bench.scratch.create_folder("root/seen");
    // Each waits for the one behind it, and the last one for nobody.
    let line = "echo one; until [ -z \"$NEXT\" ] || [ -e seen/$NEXT ]; do sleep 0.05; done; touch seen/$ME; echo two; echo err >&2; exit $STATUS";
    let target = |me: &str, next: &str, status: u8| {
        format!("--on={me}=local?env=ME={me}&env=NEXT={next}&env=STATUS={status}")
    };
    let words = [&target("a", "b", 0), &target("b", "c", 3), &target("c", "", 0)];
    let words: Vec<_> =
        words.into_iter().map(String::as_str).chain(["--ordered", "--", "sh", "-c", line]).collect();
    let ran = Ran::of(bench.verb("run", &words).output().unwrap());
    assert_eq!(ran.stdout, "[a] one\n[a] two\n[b] one\n[b] two\n[c] one\n[c] two\n", "{ran:?}");
    let expected = "[a] err\n[b] err\nb: call: exit status: 3\n[c] err\n3 hosts: 2 ok, 1 failed in ";
    assert!(ran.stderr.starts_with(expected), "{ran:?}");

    let hosts: Vec<_> = (0..20).map(|number| format!("h{number}=local")).collect();
    let ran = bench.run(&format!("os:getpid --ordered --on {}", hosts.join(",")));
    let names: Vec<_> = ran.stdout.lines().map(|line| line.split_once(':').unwrap().0.to_owned()).collect();
    assert_eq!(names, (0..20).map(|number| format!("h{number}")).collect::<Vec<_>>(), "{ran:?}");
    let ran = bench.run(&format!("os:getpid --ordered --json --on {}", hosts.join(",")));
    let names: Vec<_> = ran.stdout.lines().map(|line| line.split('"').nth(3).unwrap().to_owned()).collect();
    assert_eq!(names, (0..20).map(|number| format!("h{number}")).collect::<Vec<_>>(), "{ran:?}");
    assert_eq!(bench.run("mod:text --fold --ordered --on a=local").code, Some(2));
}

#[test]
fn terminal_shows_how_many_of_many_are_done() {
    let bench = Bench::new();
    let hosts: Vec<_> = (0..12).map(|number| format!("h{number}=local")).collect();
    let line = "printf 'on'; printf 'e\\n'; echo err >&2";
    let words = ["--on", &hosts.join(","), "--", "sh", "-c", line];
    let ran = on_terminal(&bench.verb("run", &words), None);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("0/12 hosts") && ran.stdout.contains("12/12 hosts"), "{ran:?}");
    // What is drawn is taken away before each line.
    let lines: Vec<_> = ran.stdout.split("\r\n").map(|line| line.rsplit("\x1b[2K").next().unwrap()).collect();
    for host in 0..12 {
        assert!(
            lines.contains(&&*format!("[h{host}] one")) && lines.contains(&&*format!("[h{host}] err")),
            "{lines:?}"
        );
    }
    assert!(lines.iter().any(|line| line.starts_with("12 hosts: 12 ok in ")), "{lines:?}");
}
