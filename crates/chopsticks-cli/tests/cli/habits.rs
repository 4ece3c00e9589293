//! `put` and `fetch` beside `cp`: each row of the table in `docs/files.md` about habits.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use chopsticks_support::{Scratch, python3};

use crate::bench::{Bench, Ran};

/// What a row expects of the program.
enum Expected {
    /// The result of `cp`, with `-r` for folders.
    AsCp,
    /// These paths, in place of what `cp` leaves.
    Paths(&'static [&'static str]),
    /// Nothing is written, and the error has this text.
    Refused(&'static str),
}

use Expected::{AsCp, Paths, Refused};

/// What is there, the words of `put` or `cp`, and what is expected.
type Row = (&'static [&'static str], &'static [&'static str], Expected);

const INTO: &[&str] = &[
    "there",
    "there/site",
    "there/site/a",
    "there/site/empty",
    "there/site/link",
    "there/site/sub",
    "there/site/sub/b",
];
const CONTENT: &[&str] = &["there", "there/a", "there/empty", "there/link", "there/sub", "there/sub/b"];

/// `folder/` is a folder and `name>to` a link; anything else is a file.
const ROWS: &[Row] = &[
    // Folders.
    (&[], &["-r", "site", "there"], AsCp),
    (&[], &["-r", "site/", "there"], AsCp),
    (&["there/"], &["-r", "site/.", "there"], AsCp),
    (&["there/"], &["-r", "site", "there/"], AsCp),
    (&["there/"], &["-r", "site", "there/."], AsCp),
    (&["there/in/"], &["-r", "site", "there/in/.."], AsCp),
    (&["there/"], &["-r", "site", "there"], Paths(CONTENT)),
    (&["there/"], &["-r", "site/", "there/"], Paths(CONTENT)),
    (&["t/", "there>t"], &["-r", "site/.", "there"], AsCp),
    (&[], &["-r", "site", "there/"], Refused("No such file or directory")),
    (&[], &["-r", "site", "there/", "--parents"], Paths(INTO)),
    (&["there/site/"], &["-r", "site", "there/site/"], Refused("ambiguous")),
    (&["there"], &["-r", "site", "there"], AsCp),
    (&[], &["-r", "site", "no/there"], AsCp),
    (
        &[],
        &["-r", "site/.", "no/there", "--parents"],
        Paths(&[
            "no",
            "no/there",
            "no/there/a",
            "no/there/empty",
            "no/there/link",
            "no/there/sub",
            "no/there/sub/b",
        ]),
    ),
    (
        &["there/sub"],
        &["-r", "site/.", "there"],
        Paths(&["there", "there/a", "there/empty", "there/link", "there/sub"]),
    ),
    (
        &["o/", "there/", "there/sub>../o"],
        &["-r", "site/.", "there"],
        Paths(&["o", "there", "there/a", "there/empty", "there/link", "there/sub"]),
    ),
    (
        &["there>t"],
        &["-r", "site", "there"],
        Paths(&["t", "t/a", "t/empty", "t/link", "t/sub", "t/sub/b", "there"]),
    ),
    (&["l>site"], &["-r", "l/", "there"], AsCp),
    (
        &["l>site"],
        &["-r", "l", "there"],
        Paths(&["l", "there", "there/a", "there/empty", "there/link", "there/sub", "there/sub/b"]),
    ),
    (&[], &["-r", "site/sub/..", "there"], AsCp),
    (&[], &["-r", "file", "there"], Refused("file is not a folder: leave out -r")),
    (&[], &["site", "there"], Refused("site is a folder: write -r")),
    // Files.
    (&[], &["file", "there"], AsCp),
    (&["there"], &["file", "there"], AsCp),
    (&["there/"], &["file", "there"], AsCp),
    (&["there/"], &["file", "there/"], AsCp),
    (&[], &["file", "there/"], AsCp),
    (&["there"], &["file", "there/"], AsCp),
    (&["there"], &["file", "there/x"], AsCp),
    (&[], &["file", "no/there"], AsCp),
    (&[], &["file/", "there"], AsCp),
    (&[], &["file", "no/there", "--parents"], Paths(&["no", "no/there"])),
    (&[], &["file", "no/there/", "--parents"], Paths(&["no", "no/there", "no/there/file"])),
    (&["t/"], &["site/a", "t/.."], AsCp),
    (&["t/"], &["file", "t/../there"], AsCp),
    (&["t/"], &["file", "t/."], AsCp),
    (&["l>file"], &["l", "there"], AsCp),
    (&["t/", "there>t"], &["file", "there"], AsCp),
    (&["there>t"], &["file", "there"], Paths(&["t", "there"])),
    (&["there/file/"], &["file", "there"], AsCp),
    // Names.
    (&["a b:\n"], &["a b:\n", "c: d\n"], AsCp),
    (&["a b:\n/x: y\n"], &["-r", "a b:\n", "c: d\n"], AsCp),
    (&[], &["file", "x:there"], AsCp),
    (&[], &["file", "local1:there"], Refused("begins with the name of a target")),
    (&[], &["file", "root@local1:/there"], Refused("begins with the name of a target")),
    (&[], &["file", "./local1:there"], AsCp),
    (&[], &["file", "*"], AsCp),
    (&[], &["file", "-"], AsCp),
];

fn make(folder: &Path, entries: &[&str]) {
    for (name, content) in [("file", "f"), ("site/a", "a"), ("site/sub/b", "b")] {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), content).unwrap();
    }
    fs::create_dir(folder.join("site/empty")).unwrap();
    symlink("sub", folder.join("site/link")).unwrap();
    for entry in entries {
        if let Some((name, to)) = entry.split_once('>') {
            symlink(to, folder.join(name)).unwrap();
            continue;
        }
        let path = folder.join(entry);
        if entry.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "old").unwrap();
        }
    }
}

/// Everything below a folder but what each row begins with: paths, and what they contain.
fn tree(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if name == "site" || name == "file" {
                continue;
            }
            let kind = path.symlink_metadata().unwrap().file_type();
            let content = if kind.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if kind.is_dir() {
                waiting.push(path);
                "folder".to_owned()
            } else {
                fs::read_to_string(&path).unwrap()
            };
            found.push((name, content));
        }
    }
    found.sort();
    found
}

#[test]
fn put_does_what_cp_does_or_what_the_table_says() {
    let bench = Bench::new();
    for (entries, words, expected) in ROWS {
        let [ours, theirs] = [Scratch::new(), Scratch::new()];
        make(ours.path(), entries);
        make(theirs.path(), entries);
        let before = tree(ours.path());
        let mut command = bench.verb("put", words);
        let ran = Ran::of(command.args(["--on", "local1=local"]).current_dir(ours.path()).output().unwrap());
        let found = tree(ours.path());
        let row = format!("{words:?} with {entries:?}: {ran:?}");
        match expected {
            AsCp => {
                let mut cp = Command::new("cp");
                let cp = cp.args(*words).current_dir(theirs.path()).stderr(Stdio::null());
                let copied = cp.status().unwrap().success();
                assert_eq!(ran.code == Some(0), copied, "{row}");
                assert_eq!(found, tree(theirs.path()), "{row}");
            }
            Paths(paths) => {
                let found: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
                assert_eq!(found, *paths, "{row}");
            }
            Refused(text) => {
                assert!(ran.code != Some(0) && ran.stderr.contains(text), "{row}");
                assert_eq!(found, before, "{row}");
            }
        }
        // A rehearsal knows what happens.
        let rehearsed = Scratch::new();
        make(rehearsed.path(), entries);
        let mut command = bench.verb("put", words);
        let dry = command
            .args(["--dry-run", "--on", "local1=local"])
            .current_dir(rehearsed.path())
            .output()
            .unwrap();
        let dry = Ran::of(dry);
        let would_fail = dry.code != Some(0) || dry.stdout.contains("would fail");
        assert_eq!(would_fail, ran.code != Some(0), "{row}: {dry:?}");
        assert_eq!(tree(rehearsed.path()), before, "{row}: {dry:?}");
    }
}

#[test]
fn fetch_has_the_same_habits() {
    let bench = Bench::new();
    for (entries, words, expected) in ROWS {
        // Here the target's path is that of the source, and messages about a local source have no counterpart.
        if words.contains(&"file/") || matches!(expected, Refused(text) if !text.contains("ambiguous")) {
            continue;
        }
        let [ours, theirs] = [Scratch::new(), Scratch::new()];
        make(ours.path(), entries);
        make(theirs.path(), entries);
        let mut command = bench.verb("fetch", words);
        let ran = Ran::of(command.args(["--on", "local1=local"]).current_dir(ours.path()).output().unwrap());
        // stdout is not a file here.
        if words.last() == Some(&"-") {
            assert_eq!(ran.stdout, "f", "{ran:?}");
            continue;
        }
        let found = tree(ours.path());
        let row = format!("{words:?} with {entries:?}: {ran:?}");
        match expected {
            AsCp => {
                let cp = Command::new("cp").args(*words).current_dir(theirs.path()).output().unwrap();
                assert_eq!(ran.code == Some(0), cp.status.success(), "{row}");
                assert_eq!(found, tree(theirs.path()), "{row}");
            }
            Paths(paths) => {
                let found: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
                assert_eq!(found, *paths, "{row}");
            }
            Refused(text) => assert!(ran.code == Some(2) && ran.stderr.contains(text), "{row}"),
        }
    }
}

#[test]
fn home_folders_are_those_of_each_side() {
    let bench = Bench::new();
    let scratch = Scratch::new();
    make(scratch.path(), &[]);
    scratch.create_folder("home");
    let home = scratch.path().join("home");
    let run = |verb: &str, words: &[&str]| {
        let mut command = bench.verb(verb, words);
        command.env("HOME", &home).args(["--on", "local1=local"]).current_dir(scratch.path());
        Ran::of(command.output().unwrap())
    };
    for (verb, words, there) in [
        ("put", &["file", "~"][..], "file"),
        ("put", &["file", "~/"], "file"),
        ("put", &["file", "~/x"], "x"),
        ("put", &["-r", "site", "~"], "site/sub/b"),
        ("put", &["-r", "site/sub", "~/"], "sub/b"),
        ("put", &["~/x", "~/y"], "y"),
        ("fetch", &["~/x", "~/got-{host}"], "got-local1"),
        ("fetch", &["-r", "~/site", "~/new/", "--parents"], "new/site/a"),
        ("fetch", &["-r", "~/site/", "~/{host}"], "local1/a"),
    ] {
        let ran = run(verb, words);
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        assert!(home.join(there).exists(), "{words:?}: {ran:?}");
    }
    for dry in [&[][..], &["--dry-run"]] {
        let ran = run("put", &[&["file", "~nobody-of-this-name/x"], dry].concat());
        assert!(ran.code == Some(1) && ran.stderr.contains("there is no "), "{ran:?}");
    }
    assert_eq!(run("fetch", &["site", "x"]).code, Some(1));
    let ran = run("fetch", &["site", "x"]);
    assert!(ran.stderr.contains("Is a directory: write -r to fetch all that is in it"), "{ran:?}");
    let ran = run("fetch", &["-r", "file", "x"]);
    assert!(ran.stderr.contains("Not a directory: leave out -r to fetch a file"), "{ran:?}");
}

#[test]
fn stdin_and_stdout_are_dashes() {
    let scratch = Scratch::new();
    make(scratch.path(), &["there/"]);
    let shell = |line: &str| {
        let line = line.replace("chopsticks", concat!("'", env!("CARGO_BIN_EXE_chopsticks"), "'"));
        let line =
            line.replace("ON", &format!("--on local1=local --python '{}'", python3().path().display()));
        Ran::of(Command::new("sh").args(["-c", &line]).current_dir(scratch.path()).output().unwrap())
    };
    let ran = shell("echo hello | chopsticks put - new ON && chopsticks fetch new - ON | tr a-z A-Z");
    assert_eq!((ran.code, ran.stdout.lines().last()), (Some(0), Some("HELLO")), "{ran:?}");
    for (line, expected) in [
        ("echo x | chopsticks put - there ON", "Is a directory"),
        ("echo x | chopsticks put -r - there ON", "a folder cannot be read from stdin"),
        ("chopsticks fetch -r site - ON", "stdout gets the content of a file, and nothing else"),
    ] {
        let ran = shell(line);
        assert!(ran.code != Some(0) && ran.stderr.contains(expected), "{ran:?}");
    }
    let ran = shell("echo dash > ./-; chopsticks put ./- copy ON && cat copy");
    assert!(ran.stdout.ends_with("dash\n"), "{ran:?}");
}
