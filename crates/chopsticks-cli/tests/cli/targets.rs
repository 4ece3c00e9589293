//! Where it is done: `--on`, scripts, roots, and what is told on request.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use chopsticks_support::python3;

use crate::bench::{Bench, Ran};

#[test]
fn targets_come_from_files_and_stdin() {
    let bench = Bench::new();
    bench.scratch.write("root/hosts", "# two\na=local\n\nb=local\n");
    let ran = bench.run("mod:same 1 --on @hosts,c=local");
    assert_eq!((ran.code, ran.sorted_stdout()), (Some(0), vec!["a: (1,)", "b: (1,)", "c: (1,)"]), "{ran:?}");

    let mut child = bench
        .command("mod:same 1 --on @-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"x=local\ny=local\n").unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.sorted_stdout(), ["x: (1,)", "y: (1,)"], "{ran:?}");

    bench.scratch.write("root/wrong", "a=local\nb=nfs://x\n");
    let ran = bench.run("mod:same --on @wrong");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("wrong:2: invalid target 'b=nfs://x'"), "{ran:?}");
}

#[test]
fn errors_of_files_with_targets_are_short_and_control_no_terminal() {
    let bench = Bench::new();
    bench.scratch.write("root/wrong", "a=nfs://\u{202e}\u{9b}31m\x1b]0;t\x07\n");
    let ran = bench.run("mod:same --on @wrong");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let shown = r"wrong:1: invalid names 'nfs://\u202e\u009b31m\x1b]0;t\x07': a bracket";
    assert!(ran.stderr.contains(shown), "{ran:?}");

    bench.scratch.write("root/long", format!("{}\n", "h".repeat(1_000_000)));
    let ran = bench.run("mod:same --on @long");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.starts_with("error: long:1: invalid target 'hhh"), "{ran:?}");
    assert!(ran.stderr.contains("expected 1 to 255 bytes") && ran.stderr.len() < 5000, "{ran:?}");
}

#[test]
fn command_is_a_target() {
    let bench = Bench::new();
    let on = format!("job=exec:env A=1,2 {}", python3().path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
    command.args(["call", "os:getenv", "A", "--on", &on]).current_dir(bench.scratch.path());
    let ran = Ran::of(command.output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "job: '1,2'\n"), "{ran:?}");
}

#[test]
fn function_of_a_script_is_called_without_its_main_block() {
    let bench = Bench::new();
    bench.scratch.write("ops/beside.py", "NAME = 'beside'\n");
    bench.scratch.write(
        "ops/my-deploy.py",
        "import beside\ndef restart(what): return [__name__ != '__main__', beside.NAME, what]\n\
         if __name__ == '__main__': raise ValueError('not to be run')\n",
    );
    let ran = bench.run("../ops/my-deploy.py:restart web --on a=local");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "a: [True, 'beside', 'web']\n"), "{ran:?}");
    let ran = bench.run("../ops/none.py:restart --on a=local");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("the script '../ops/none.py' does not exist"), "{ran:?}");
}

#[test]
fn root_can_be_an_archive() {
    let bench = Bench::new();
    let file = bench.scratch.path().join("code.zip");
    let program = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n\
                   \x20   z.writestr('packed.py', 'def f(): return 5')\n    z.writestr('lib/deep.py', 'def f(): return 6')\n";
    let made = python3().command().args(["-c", program]).arg(&file).status().unwrap();
    assert!(made.success() && fs::metadata(&file).unwrap().is_file());
    let ran = bench.run("packed:f --root ../code.zip --on a=local");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "a: 5\n"), "{ran:?}");
    let ran = bench.run("deep:f --root ../code.zip/lib --on a=local");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "a: 6\n"), "{ran:?}");
}

#[test]
fn doings_are_told_on_request() {
    let bench = Bench::new();
    let ran = bench.run("mod:same --on a=local -v");
    assert!(ran.stderr.contains("DEBUG "), "{ran:?}");
    let ran = bench.run("mod:same --on a=local");
    assert!(!ran.stderr.contains("DEBUG"), "{ran:?}");
}
