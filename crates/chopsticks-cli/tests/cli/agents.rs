//! `cargo chopsticks agents`, with a script in place of cargo.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
};

use chopsticks_support::Scratch;

/// A program with the mark of a function, as `#[function]` leaves it. Nothing runs it.
fn program(scratch: &Scratch) -> String {
    let mut file = fs::read("/proc/self/exe").unwrap();
    let mark = format!("chopsticks-function/1 {:016x} {:016x} demo::count\n", 1, 2);
    // Into the first segment, behind the heads.
    file[0x400..0x400 + mark.len()].copy_from_slice(mark.as_bytes());
    let path = scratch.path().join("count");
    fs::write(&path, file).unwrap();
    path.display().to_string()
}

/// Runs the subcommand. `cargo` is what the script in place of cargo does.
fn agents(scratch: &Scratch, cargo: &str, words: &[&str], flags: Option<&str>) -> Output {
    let script = scratch.path().join("cargo");
    fs::write(&script, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" \"$RUSTFLAGS\" >>words\n{cargo}\n"))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-chopsticks"));
    command.args(["chopsticks", "agents"]).args(words).current_dir(scratch.path()).env("CARGO", script);
    command.env_remove("RUSTFLAGS").envs(flags.map(|flags| ("RUSTFLAGS", flags)));
    command.output().unwrap()
}

fn built(executable: &str) -> String {
    format!(r#"echo '{{"reason":"compiler-artifact","executable":"{executable}"}}'"#)
}

#[test]
fn programs_with_functions_are_collected_and_others_are_left_out() {
    let scratch = Scratch::new();
    let program = program(&scratch);
    let cargo = format!("echo '{{\"executable\":null}}'; {}; {}", built("/bin/sh"), built(&program));
    let targets = ["--target", "x86_64-unknown-linux-gnu", "--target", "aarch64-unknown-linux-musl"];
    let words = [&targets[..], &["--bin", "count", "--", "--offline"]].concat();
    let output = agents(&scratch, &cargo, &words, None);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let line = "agents/count-x86_64-unknown-linux-gnu: ";
    assert!(lines[0].starts_with(line) && lines[0].contains(", 1 function, "), "{text}");
    for name in ["count-x86_64-unknown-linux-gnu", "count-aarch64-unknown-linux-musl"] {
        assert_eq!(fs::read(scratch.path().join("agents").join(name)).unwrap(), fs::read(&program).unwrap());
    }
    assert_eq!(fs::read_dir(scratch.path().join("agents")).unwrap().count(), 2);
    let words = fs::read_to_string(scratch.path().join("words")).unwrap();
    let (gnu, musl) = words.split_at(words.rfind("build\n").unwrap());
    let flags = r#"target.x86_64-unknown-linux-gnu.rustflags=["-C", "target-feature=+crt-static"]"#;
    assert!(gnu.contains(flags) && gnu.contains("--profile\nrelease\n--bin\ncount\n"), "{gnu}");
    assert!(gnu.contains("\n--offline\n"), "{gnu}");
    assert!(!musl.contains("crt-static"), "{musl}");
}

#[test]
fn flags_of_the_environment_are_kept() {
    let scratch = Scratch::new();
    let cargo = built(&program(&scratch));
    let words = ["--target", "x86_64-unknown-linux-gnu"];
    assert!(agents(&scratch, &cargo, &words, Some("-C opt-level=1")).status.success());
    let words = fs::read_to_string(scratch.path().join("words")).unwrap();
    assert!(words.ends_with("\n-C opt-level=1 -C target-feature=+crt-static\n"), "{words}");
}

#[test]
fn what_goes_wrong_is_said() {
    let target = ["--target", "x86_64-unknown-linux-gnu"];
    for (cargo, text) in [
        ("exit 101".to_owned(), "rustup target add x86_64-unknown-linux-gnu"),
        (built("/bin/sh"), "has no functions"),
        (String::new(), "the package has no binary"),
    ] {
        let scratch = Scratch::new();
        let output = agents(&scratch, &cargo, &target, None);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(text), "{said}");
        assert!(!scratch.path().join("agents").exists());
    }
    let scratch = Scratch::new();
    assert_eq!(agents(&scratch, "", &[], None).status.code(), Some(2));
}

/// There are two programs, and the README's first command does not name one.
#[test]
fn cargo_runs_the_main_program_where_none_is_named() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let told = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(r#""default_run":"chopsticks""#), "{told}");
}
