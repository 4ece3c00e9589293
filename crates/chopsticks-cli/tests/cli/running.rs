//! Defaults of options, trying again, and other ways to show results.

use std::fs;

use crate::bench::{Bench, Ran, on_terminal};

fn run(bench: &Bench, words: &[&str]) -> Ran {
    Ran::of(bench.verb("run", words).output().unwrap())
}

#[test]
fn settings_of_files_and_of_the_environment_apply_and_are_shown() {
    let bench = Bench::new();
    bench.scratch.write("root/chopsticks.toml", "[defaults]\nfold = true\ntimeout = 50\n");
    let words = ["--on", "web[1-2]=local", "--", "echo", "same"];
    assert!(run(&bench, &words).stdout.starts_with("2 hosts (web[1-2]): same\n"));
    let mut command = bench.verb("run", &words);
    assert!(
        Ran::of(command.env("CHOPSTICKS_FOLD", "false").output().unwrap()).stdout.contains("[web1] same")
    );
    let off = run(&bench, &["--fold=false", "--on", "web[1-2]=local", "--", "echo", "same"]);
    assert!(off.stdout.contains("[web1] same"), "{off:?}");
    let none = run(&bench, &["--no-config", "--on", "web[1-2]=local", "--", "echo", "same"]);
    assert!(none.stdout.contains("[web1] same"), "{none:?}");

    let shown = run(&bench, &["--show-config", "--limit", "3"]);
    let line =
        |name: &str| shown.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("timeout ").ends_with("chopsticks.toml:3"), "{}", shown.stdout);
    assert!(
        line("limit ").contains(" 3 ") && line("limit ").ends_with("the command line"),
        "{}",
        shown.stdout
    );

    bench.scratch.write("root/chopsticks.toml", "[defaults]\n\nfoldd = true\n");
    let wrong = run(&bench, &words);
    assert!(
        wrong.code == Some(2) && wrong.stderr.contains("chopsticks.toml:3: the setting `foldd` is not known")
    );
    bench.scratch.write("root/chopsticks.toml", "[defaults]\npython = \"./evil\"\n");
    let refused = run(&bench, &words);
    assert!(refused.code == Some(2) && refused.stderr.contains("--config"), "{refused:?}");
    let file = bench.scratch.path().join("root/chopsticks.toml");
    let file = file.to_str().unwrap();
    bench
        .scratch
        .write("root/chopsticks.toml", "[defaults]\ncwd = \"/\"\n[hosts.web7]\ntarget = \"local\"\n");
    let chosen = run(&bench, &["--config", file, "--on", "web7", "--", "pwd"]);
    assert!(chosen.stdout.contains("[web7] /\n"), "{chosen:?}");
}

#[test]
fn target_that_comes_up_is_tried_again() {
    let bench = Bench::new();
    let count = bench.scratch.path().join("count");
    let python = chopsticks_support::python3().path().display().to_string();
    let script = format!(
        "echo >> {0}; test $(wc -l < {0}) -gt 2 || exit 255; exec {python} \"$@\"\n",
        count.display()
    );
    let script = bench.scratch.write("slow-start", script);
    let on = format!("web1=exec:sh {}", script.display());
    let failed = run(&bench, &["--on", &on, "--", "echo", "up"]);
    assert_eq!(failed.code, Some(255), "{failed:?}");
    fs::remove_file(&count).unwrap();
    let ran = run(&bench, &["--retries", "2", "--on", &on, "--", "echo", "up"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("up"), "{ran:?}");
    fs::remove_file(&count).unwrap();
    let ran = run(&bench, &["--wait-for", "60", "--on", &on, "--", "echo", "up"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("up"), "{ran:?}");
}

#[test]
fn only_an_idempotent_operation_runs_again_after_it_has_begun() {
    let bench = Bench::new();
    let count = bench.scratch.path().join("count");
    let shell = format!("echo >> {0}; test $(wc -l < {0}) -gt 2", count.display());
    let command = ["--on", "local", "-n", "--", "sh", "-c", &shell];
    let once = run(&bench, &[&["--retries", "5"][..], &command].concat());
    assert_eq!((once.code, fs::read_to_string(&count).unwrap().len()), (Some(1), 1), "{once:?}");
    fs::remove_file(&count).unwrap();
    let again = run(&bench, &[&["--retries", "5", "--idempotent"][..], &command].concat());
    assert_eq!((again.code, fs::read_to_string(&count).unwrap().len()), (Some(0), 3), "{again:?}");
    let alone = run(&bench, &[&["--idempotent"][..], &command].concat());
    assert!(alone.code == Some(2) && alone.stderr.contains("--idempotent needs --retries"), "{alone:?}");
}

#[test]
fn output_goes_to_files_of_each_target() {
    let bench = Bench::new();
    let folder = bench.scratch.path().join("out");
    let ran = run(
        &bench,
        &[
            "--output-dir",
            folder.to_str().unwrap(),
            "--on",
            "a=local,b=local",
            "--",
            "sh",
            "-c",
            "echo \"$0 $$\"; echo no >&2; exit 3",
            "x",
        ],
    );
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(
        read("a.out").starts_with("x ") && read("b.out").starts_with("x ") && read("a.out") != read("b.out")
    );
    assert_eq!((read("a.err"), read("b.err")), ("no\n".to_owned(), "no\n".to_owned()));
}

#[test]
fn outputs_are_compared_with_the_most_frequent_one() {
    let bench = Bench::new();
    let on = "web[1-3]=local?env=N=1,db=local?env=N=2";
    let ran = run(&bench, &["--diff-outputs", "--on", on, "--", "sh", "-c", "echo one; echo $N; echo three"]);
    let expected = "\
3 hosts (web[1-3]):
    one
    1
    three
db differs:
    --- 3 hosts (web[1-3])
    +++ db
    @@ -1,3 +1,3 @@
     one
    -1
    +2
     three
";
    assert_eq!(ran.stdout, expected, "{ran:?}");
}

#[test]
fn sorted_targets_are_shown_in_the_order_of_their_names() {
    let bench = Bench::new();
    let ran = run(&bench, &["--sort", "--on", "web10=local,db=local,web2=local", "--", "echo", "x"]);
    assert_eq!(ran.stdout, "[db] x\n[web2] x\n[web10] x\n");
}

#[test]
fn labels_are_aligned_where_there_are_colours() {
    let bench = Bench::new();
    let words = ["--color", "always", "--sort", "--on", "web1=local,db=local", "--", "echo", "x"];
    let ran = run(&bench, &words);
    let plain: Vec<String> = ran.stdout.lines().map(strip).collect();
    assert_eq!(plain, ["[db]   x", "[web1] x"], "{ran:?}");
    assert!(ran.stdout.contains("\x1b[36m[db]") && ran.stdout.contains("\x1b[35m[web1]"), "{ran:?}");
}

/// Removes colours.
fn strip(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

#[test]
fn progress_counts_failures_and_names_who_runs_longest() {
    let bench = Bench::new();
    let marker = bench.scratch.path().join("marker");
    // One waits for the others, which fail.
    let shell = format!("test $N = slow || exit 1; until test -e {0}; do sleep 0.05; done", marker.display());
    let on = "h[1-11]=local?env=N=fast,slow=local?env=N=slow";
    let command = bench.verb("run", &["--on", on, "--", "sh", "-c", &shell]);
    let ran = on_terminal(&command, Some("11 failed, slowest slow"));
    assert!(ran.stdout.contains("11/12 hosts, 11 failed, slowest slow"), "{}", ran.stdout);
    assert_eq!(ran.code, Some(130), "{}", ran.stdout);
}
