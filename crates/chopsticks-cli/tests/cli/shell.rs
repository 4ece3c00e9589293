//! `chopsticks shell`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use chopsticks_support::{eventually, interpreters, processes, python3};

use crate::bench::{Bench, DEADLINE, Ran, finish};

/// Runs a script on targets.
fn script(bench: &Bench, on: &str, text: &str) -> Ran {
    let mut command = bench.verb("shell", &["--on", on]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    finish(child)
}

/// Types on a terminal: each text once the one in front of it has been shown.
fn typed(command: &Command, steps: &[(&str, &str)]) -> Ran {
    let script = "
import os, pty, signal, sys
signal.alarm(60)
command, steps = sys.argv[1].split('\\x1f'), sys.argv[2:]
pid, terminal = pty.fork()
if not pid:
    os.execv(command[0], command)
shown, seen = b'', 0
steps = [(steps[n].encode(), steps[n + 1].encode()) for n in range(0, len(steps), 2)]
while 1:
    while steps and steps[0][0] in shown[seen:]:
        seen += shown[seen:].index(steps[0][0]) + len(steps[0][0])
        os.write(terminal, steps.pop(0)[1])
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    shown += data
os.write(1, shown)
sys.exit(100 if steps else os.waitpid(pid, 0)[1] >> 8)
";
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
    let mut python = Command::new(python3().path());
    python.args(["-c", script, &words.join("\x1f")]);
    for (awaited, text) in steps {
        python.args([awaited, text]);
    }
    python.env("NO_COLOR", "1").env("TERM", "xterm").current_dir(command.get_current_dir().unwrap());
    Ran::of(python.output().unwrap())
}

#[test]
fn names_stay_and_equal_answers_are_shown_once_under_every_python() {
    let bench = Bench::new();
    for python in interpreters() {
        let on = format!("web[1-3]=local?python={}", python.path().display());
        let text = "import mod\nx = 20\ndef double(n):\n    return n * 2\n\n\ndouble(x) + 2\nprint('one'); 'two'\nmod.text()\n";
        let ran = script(&bench, &on, text);
        assert_eq!(
            ran.stdout,
            "3 hosts (web[1-3]): 42\n3 hosts (web[1-3]):\n    one\n    'two'\n3 hosts (web[1-3]): 'one\\n  two\\n'\n",
            "{python:?} {}",
            ran.stderr
        );
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{python:?}");
    }
}

#[test]
fn differing_answers_and_exceptions_name_their_targets_and_end_a_script() {
    let bench = Bench::new();
    let text = "import os\nn = int(os.environ['N'])\nn\n10 // (n - 1)\n'not reached'\n";
    let ran = script(&bench, "a=local?env=N=1,b=local?env=N=2,c=local?env=N=2", text);
    assert_eq!(ran.stdout, "2 hosts (b, c): 2\na: 1\n2 hosts (b, c): 10\n");
    assert!(
        ran.stderr.starts_with("a: ZeroDivisionError: ") && ran.stderr.lines().count() == 1,
        "{}",
        ran.stderr
    );
    assert_eq!(ran.code, Some(1));
    let ran = script(&bench, "local", "x = 1\nif x\n");
    assert!(ran.code == Some(1) && ran.stderr.contains("SyntaxError: "), "{ran:?}");
}

#[test]
fn lost_target_is_named_and_left_out() {
    let bench = Bench::new();
    let text = "import os\nif os.environ['N'] == '1': os._exit(3)\n\n'there'\n";
    let ran = script(&bench, "a=local?env=N=1,b=local?env=N=2,c=exec:false python3", text);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("c: ") && ran.stderr.contains("left out, 2 of 3 left"), "{}", ran.stderr);
    assert!(ran.stderr.contains("a: ") && ran.stderr.contains("left out, 1 of 3 left"), "{}", ran.stderr);
    let ran = script(&bench, "exec:false python3", "1\n");
    assert!(ran.code == Some(1) && ran.stderr.contains("left out, 0 of 1 left"), "{ran:?}");
}

#[test]
fn prompt_keeps_names_over_ctrl_c_and_completes_them() {
    let bench = Bench::new();
    let canary = bench.canary();
    // The typed line is shown too.
    let child = format!(
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)', \
         '{canary}']); print('u' + 'p'); p.wait()\r"
    );
    let ran = typed(
        &bench.verb("shell", &["--on", "local", "--history", "-"]),
        &[
            (">>> ", "answer = 40\r"),
            (">>> ", "def f(n):\r"),
            ("... ", "    return n + 2\r"),
            ("... ", "\r"),
            (">>> ", "f(ans\t)\r"),
            ("42", ""),
            (">>> ", "1/0\r"),
            ("ZeroDivisionError", ""),
            (">>> ", "half a line\x03"),
            (">>> ", &child),
            ("up", "\x03"),
            ("interrupted", ""),
            (">>> ", "f(answer) * 2\r"),
            ("84", ""),
            (">>> ", "\x04"),
        ],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(!ran.stdout.contains("Traceback"), "{}", ran.stdout);
    assert!(eventually(DEADLINE, || processes::with_argument(&canary).is_empty()));
}

#[test]
fn history_is_for_its_owner_alone() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let bench = Bench::new();
    let history = bench.scratch.path().join("history");
    let command = bench.verb("shell", &["--on", "a=local,b=local", "--history", history.to_str().unwrap()]);
    let ran = typed(
        &command,
        &[("2>>> ", "6 * 7\r"), ("42", ""), ("2>>> ", " 'secret'\r"), ("secret", ""), ("2>>> ", "exit()\r")],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    let text = fs::read_to_string(&history).unwrap();
    assert!(text.contains("6 * 7") && !text.contains("secret"), "{text}");
    assert_eq!(fs::metadata(&history).unwrap().permissions().mode() & 0o077, 0);
}
