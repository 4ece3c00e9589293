//! `chopsticks put` and `chopsticks fetch`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Command,
};

use serde_json::{Value, json};

use crate::bench::{Bench, Ran, on_terminal};

const SHA1: &str = "eb4608cebfcfd4df81410cbd06507ea6af978d9c";

/// Runs a verb in the folder of a file `file` with known content.
fn run(bench: &Bench, verb: &str, words: &[&str]) -> Ran {
    bench.scratch.write("root/file", "abcdefghijkl");
    Ran::of(bench.verb(verb, words).output().unwrap())
}

#[test]
fn file_goes_to_all_targets_and_comes_back_from_each() {
    let bench = Bench::new();
    let root = bench.scratch.path().join("root");
    let ran = run(&bench, "put", &["file", "there", "--mode", "640", "--on", "a=local,b=local"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let line = |host| format!("{host}: {}: 12 bytes, sha1 {SHA1}", root.join("there").display());
    assert_eq!(ran.sorted_stdout(), [line("a"), line("b")], "{ran:?}");
    assert!(ran.stderr.starts_with("2 hosts: 2 ok in "), "{ran:?}");
    assert_eq!(fs::metadata(root.join("there")).unwrap().permissions().mode() & 0o7777, 0o640);

    bench.scratch.create_folder("root/out");
    let words = ["there", "out/{host}.txt", "--on", "a=local,%2F..%2Fb=local", "--json"];
    let ran = run(&bench, "fetch", &words);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut names: Vec<_> =
        fs::read_dir(root.join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    for value in ran.json() {
        assert_eq!((&value["value"]["size"], &value["value"]["sha1"]), (&json!(12), &json!(SHA1)));
        let local = value["value"]["local"].as_str().unwrap();
        assert!(local.starts_with(root.join("out").to_str().unwrap()), "{local}");
        assert_eq!(fs::read(local).unwrap(), b"abcdefghijkl");
    }
}

#[test]
fn paths_that_are_left_out_are_temporary_files() {
    let bench = Bench::new();
    let ran = run(&bench, "put", &["file", "--on", "a=local", "--json"]);
    let remote = ran.json()[0]["value"]["remote"].as_str().unwrap().to_owned();
    assert_eq!(ran.json()[0]["value"]["local"], json!(null));
    let ran = run(&bench, "fetch", &[&remote, "--on", "a=local,b=local", "--json"]);
    let locals: Vec<_> =
        ran.json().iter().map(|line| line["value"]["local"].as_str().unwrap().to_owned()).collect();
    assert_ne!(locals[0], locals[1]);
    for path in locals.iter().chain([&remote]) {
        assert_eq!(fs::read(path).unwrap(), b"abcdefghijkl");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn wrong_usage_is_told_before_anything_is_written() {
    let bench = Bench::new();
    let root = bench.scratch.path().join("root");
    let before = fs::read_dir(&root).unwrap().count() + 1;
    for (verb, words, expected) in [
        ("fetch", &["file", "one", "--on", "a=local,b=local"][..], "put `{host}` into the path"),
        ("put", &["missing", "x", "--on", "a=local"], "cannot read missing"),
        ("put", &[".", "x", "--on", "a=local"], "write -r"),
        ("put", &["-r", "file", "x", "--on", "a=local"], "file is not a folder"),
        ("put", &["file", "x", "--mode", "888", "--on", "a=local"], "octal digits"),
        ("put", &["-r", ".", "x", "--mode", "644", "--on", "a=local"], "cannot be used with"),
    ] {
        let ran = run(&bench, verb, words);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), before);
}

#[test]
fn failure_has_side_path_and_reason() {
    let bench = Bench::new();
    let ran = run(&bench, "fetch", &["missing", "x", "--on", "a=local"]);
    let path = bench.scratch.path().join("root/missing");
    let expected = format!("a: transfer: remote file {path:?}: No such file or directory\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with(&expected), "{ran:?}");
    let ran = run(&bench, "put", &["file", "mod.py", "--no-overwrite", "--on", "a=local", "--json"]);
    let error = &ran.json()[0]["error"];
    assert_eq!((&error["kind"], &error["phase"]), (&json!("file"), &json!("transfer")), "{ran:?}");
}

#[test]
fn names_stay_on_their_line() {
    let bench = Bench::new();
    let ran = run(&bench, "put", &["file", "new\nline\x1b[31m", "--on", "a=local"]);
    assert!(ran.stdout.ends_with(&format!("/new\\x0aline\\x1b[31m: 12 bytes, sha1 {SHA1}\n")), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
}

#[test]
fn folders_go_and_come() {
    let bench = Bench::new();
    bench.scratch.write("root/site/a/b", "x");
    symlink("b", bench.scratch.path().join("root/site/a/link")).unwrap();
    let ran = run(&bench, "put", &["-r", "site", "there", "--on", "a=local"]);
    assert!(ran.stdout.ends_with("/there: 1 byte in 1 file, 2 folders, 1 link\n"), "{ran:?}");
    let ran = run(&bench, "fetch", &["-r", "there", "back-{host}", "--on", "a=local", "--json"]);
    let value = &ran.json()[0]["value"];
    assert_eq!((&value["files"], &value["folders"], &value["links"]), (&json!(1), &json!(2), &json!(1)));
    let back = bench.scratch.path().join("root/back-a/a");
    assert_eq!(fs::read(back.join("link")).unwrap(), b"x");
    assert!(fs::symlink_metadata(back.join("link")).unwrap().is_symlink());
}

#[test]
fn interrupt_takes_the_bars_away_and_tells_of_each_target() {
    let bench = Bench::new();
    bench.scratch.write("root/file", vec![0; 3_000_000]);
    bench.scratch.create_folder("root/out");
    for (verb, remote) in [("put", "out/there"), ("fetch", "out/there-{host}")] {
        let on = ["--on", "a=local,b=local", "--rate", "100000"];
        let words: Vec<_> = ["file", remote].into_iter().chain(on).collect();
        let ran = on_terminal(&bench.verb(verb, &words), Some(" of 2.86 MiB"));
        assert_eq!(ran.code, Some(130), "{verb}: {ran:?}");
        let (_, behind) = ran.stdout.rsplit_once(" left").unwrap();
        let (_, told) = behind.split_once("\x1b[2K").unwrap();
        let expected = "a: transfer: interrupted before it finished\r\nb: transfer: interrupted before it finished\r\n\
                        2 hosts: 2 interrupted in ";
        assert!(told.contains(expected), "{verb}: {told:?}");
        assert_eq!(fs::read_dir(bench.scratch.path().join("root/out")).unwrap().count(), 0, "{verb}");
    }
}

#[test]
fn file_that_is_larger_than_allowed_is_told_in_words() {
    let bench = Bench::new();
    bench.scratch.write("root/file", vec![0; 3_000_000]);
    bench.scratch.create_folder("root/out");
    let limited = |command: &Command, more: &str| {
        let mut shell = Command::new("sh");
        // In blocks of 512 bytes or 1 KiB, depending on the shell.
        shell.args(["-c", &format!("ulimit -f 1000; exec \"$@\"{more}"), "sh"]).arg(command.get_program());
        shell.args(command.get_args()).current_dir(command.get_current_dir().unwrap());
        Ran::of(shell.output().unwrap())
    };
    for (verb, there, side) in [("put", "out/there", "remote"), ("fetch", "out/here", "local")] {
        let ran = limited(&bench.verb(verb, &["file", there, "--on", "a=local"]), "");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        let path = bench.scratch.path().join("root").join(there);
        let expected = format!("a: transfer: {side} file {path:?}: File too large");
        assert!(ran.stderr.starts_with(&expected), "{verb}: {ran:?}");
        assert_eq!(fs::read_dir(bench.scratch.path().join("root/out")).unwrap().count(), 0, "{verb}");
    }
    for words in
        [&["fetch", "file", "-", "--on", "a=local"][..], &["run", "--on", "a=local", "--", "cat", "file"]]
    {
        let ran = limited(&bench.verb(words[0], &words[1..]), " >out/stdout");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let expected = "chopsticks: cannot write the results: File too large (os error 27)\n";
        assert_eq!(ran.stderr, expected, "{words:?}");
    }
}

#[test]
fn terminal_shows_how_far_targets_are() {
    let bench = Bench::new();
    bench.scratch.write("root/file", vec![0; 3_000_000]);
    let put = bench.verb("put", &["file", "there", "--on", "a=local,b=local", "--rate", "10000000"]);
    let ran = on_terminal(&put, None);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains(" of 2.86 MiB") && ran.stdout.contains("all"), "{ran:?}");
    assert!(ran.stdout.contains("2 hosts: 2 ok in "), "{ran:?}");
}

#[test]
fn only_what_differs_is_put() {
    let bench = Bench::new();
    bench.scratch.write("root/site/a", "a");
    bench.scratch.write("root/site/sub/b", "b");
    let to = bench.scratch.path().join("to-{host}");
    let put = |options: &[&str]| {
        let words = ["-r", "site", to.to_str().unwrap(), "--on", "n[1-2]=local"];
        Ran::of(bench.verb("put", &words).args(options).output().unwrap())
    };
    let there = bench.scratch.path().join("to-n1");
    let ran = put(&["--dry-run", "--ordered"]);
    let shown = format!(
        "n1: {}: would be written: 2 bytes in 2 files, 2 folders, 0 links; 0 files the same\n    .\n    a\n    sub\n    sub/b\n",
        there.display()
    );
    assert!(ran.stdout.starts_with(&shown) && !there.exists(), "{ran:?}");
    let ran = put(&["--if-changed"]);
    assert!(ran.stderr.contains("2 ok (2 changed; paths: 8 changed, 0 unchanged) in"), "{ran:?}");
    fs::write(there.join("a"), "x").unwrap();
    let ran = put(&["--if-changed", "--json", "--ordered"]);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let values = lines.iter().map(|line| (&line["value"]["changed"], &line["value"]["changes"]));
    let expected = [(json!(true), json!(["a"])), (json!(false), json!([]))];
    assert!(values.eq(expected.iter().map(|(changed, changes)| (changed, changes))), "{ran:?}");
    let ran = put(&["--if-changed"]);
    assert!(
        ran.stdout.contains(": unchanged; 2 files the same")
            && ran.stderr.contains("(0 changed; paths: 0 changed, 4 unchanged)"),
        "{ran:?}"
    );
}

#[test]
fn parts_of_files_in_folders_are_put() {
    let bench = Bench::new();
    let mut content: Vec<_> =
        (0..300_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    bench.scratch.write("root/there/big", &content);
    content[150_000] ^= 1;
    bench.scratch.write("root/site/big", &content);
    let words = ["-r", "site", "there", "--delta", "--resume", "--on", "n=local"];
    let put = || bench.verb("put", &words);
    let ran = Ran::of(put().output().unwrap());
    assert!(
        ran.stdout
            .contains("there: 300000 bytes in 1 file, 1 folder, 0 links, 4096 bytes sent; 0 files the same"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("1 ok (1 changed; paths: 1 changed, 0 unchanged)"), "{ran:?}");
    assert_eq!(fs::read(bench.scratch.path().join("root/there/big")).unwrap(), content);
    let ran = Ran::of(put().arg("--json").output().unwrap());
    assert_eq!(
        (&ran.json()[0]["value"]["sent"], &ran.json()[0]["value"]["changed"]),
        (&json!(0), &json!(false))
    );
    let ran = run(&bench, "fetch", &["-r", "there", "here", "--delta", "--on", "n=local"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("only put has --delta and --resume"), "{ran:?}");
}

#[test]
fn folders_become_equal_and_differences_are_shown() {
    let bench = Bench::new();
    for (file, content) in [("site/a", "one\n"), ("site/kind/x", "x"), ("there/a", "1\n"), ("there/old", "")]
    {
        bench.scratch.write(format!("root/{file}"), content);
    }
    bench.scratch.write("root/there/kind", "a file");
    bench.scratch.write("root/there/keep.log", "log");
    let there = bench.scratch.path().join("root/there");
    let run = |verb: &str, from: &str, to: &str, options: &[&str]| {
        let words = ["-r", from, to, "--on", "n=local", "--exclude", "*.log"];
        Ran::of(bench.verb(verb, &words).args(options).output().unwrap())
    };
    let to = there.to_str().unwrap();
    let ran = run("put", "site", to, &["--dry-run", "--diff"]);
    let shown = [
        "would fail, with 1 path in the way: 5 bytes in 2 files, 1 folder, 0 links; 0 files the same\n",
        "\n    kind (a file is in the way, and only --delete replaces it)\n",
        "\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+one\n",
    ];
    assert!(shown.iter().all(|text| ran.stdout.contains(text)), "{ran:?}");
    let ran = run("put", "site", to, &["--dry-run", "--delete"]);
    let shown =
        ["\n    kind (would replace the file)\n", "\n    old (would be deleted)", "; 2 would be deleted\n"];
    assert!(shown.iter().all(|text| ran.stdout.contains(text)) && there.join("old").exists(), "{ran:?}");
    let ran = run("put", "site", to, &["--if-changed", "--delete"]);
    assert!(ran.stdout.contains("; 2 deleted\n"), "{ran:?}");
    assert!(ran.stderr.contains("(1 changed; paths: 3 changed, 0 unchanged, 2 deleted)"), "{ran:?}");
    assert!(!there.join("old").exists() && there.join("keep.log").exists() && there.join("kind/x").exists());
    fs::write(there.join("b"), "b").unwrap();
    let site = bench.scratch.path().join("root/site");
    let ran = run("fetch", to, site.to_str().unwrap(), &["--if-changed", "--delete", "--json"]);
    let line: Value = serde_json::from_str(&ran.stdout).unwrap();
    let value = &line["value"];
    assert_eq!(
        (&value["changes"], &value["deleted"], &value["unchanged"]),
        (&json!(["b"]), &json!([]), &json!(2))
    );

    let one = |options: &[&str]| {
        let words = ["site/a", "new/folder/", "--on", "n=local", "--cwd", to];
        Ran::of(bench.verb("put", &words).args(options).output().unwrap())
    };
    assert_eq!(one(&[]).code, Some(1));
    let ran = one(&["--parents", "--json"]);
    let line: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&line["value"]["sent"], ran.code), (&json!(4), Some(0)));
    assert!(there.join("new/folder/a").exists());
    for options in [&["--delete"][..], &["--exclude", "x"], &["-r", "--delta"], &["-r", "--exclude", "a["]] {
        let ran = one(options);
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
}
