//! `--ask-password` and its kin, with an `ssh` of our own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use chopsticks_support::python3;

use crate::bench::{Bench, Ran};

/// Makes an `ssh` and a `sudo` that ask, and note the answers. Returns a `PATH` with them.
fn programs(bench: &Bench) -> String {
    let folder = bench.scratch.path().display();
    let ssh = format!(
        "#!/bin/sh\nif [ \"$1\" = -V ]; then echo 'OpenSSH_9.2p1, OpenSSL 3' >&2; exit; fi\n\
         for argument; do last=$argument; done\n\
         \"$SSH_ASKPASS\" \"me@web's password: \" >>{folder}/answers || exit 255\nexec sh -c \"$last\"\n"
    );
    let sudo = format!(
        "#!/bin/sh\nprintf %s \"$3\" >&2\nIFS= read -r answer; echo \"sudo $answer\" >>{folder}/answers\n\
         while [ \"$1\" != -- ]; do shift; done; shift\nexec \"$@\"\n"
    );
    for (name, text) in [("ssh", ssh), ("sudo", sudo)] {
        let path = bench.scratch.write(format!("bin/{name}"), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{folder}/bin:{}", std::env::var("PATH").unwrap())
}

fn answers(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(bench.scratch.path().join("answers")).unwrap_or_default();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Runs a program on a terminal, on which each of `typed` is entered when the text before the comma has appeared.
fn on_terminal(command: &Command, typed: &[(&str, &str)]) -> Ran {
    let script = "
import os, pty, sys, termios
count = int(sys.argv[1]); typed, command = sys.argv[2:2 + 2 * count], sys.argv[2 + 2 * count:]
pid, terminal = pty.fork()
if not pid:
    os.execvp(command[0], command)
shown = b''
while 1:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    shown += data
    if typed and shown.endswith(typed[0].encode()):
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            pass
        os.write(terminal, typed[1].encode() + b'\\n')
        del typed[:2]
os.write(1, shown)
sys.exit(os.waitpid(pid, 0)[1] >> 8)
";
    let mut python = Command::new(python3().path());
    python.args(["-c", script, &typed.len().to_string()]);
    python.args(typed.iter().flat_map(|(prompt, text)| [prompt, text])).arg(command.get_program());
    python.args(command.get_args()).env("NO_COLOR", "1").current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            python.env(name, value);
        }
    }
    Ran::of(python.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn passwords_are_asked_for_once_and_not_shown() {
    let bench = Bench::new();
    let path = programs(&bench);
    let words = ["--on", "web[1-5]?sudo", "--ask-password", "--ask-sudo-password", "mod:same", "1"];
    let mut command = bench.verb("call", &words);
    command.env("PATH", &path);
    let typed = [("Password: ", "of-ssh-7"), ("Password of sudo [that of ssh]: ", "of-sudo-8")];
    let ran = on_terminal(&command, &typed);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.matches("Password: ").count(), 1, "{ran:?}");
    assert!(ran.stdout.contains("web5") && !ran.stdout.contains("of-s"), "{ran:?}");
    let expected: Vec<_> = ["of-ssh-7"; 5].into_iter().chain(["sudo of-sudo-8"; 5]).collect();
    assert_eq!(answers(&bench), expected);
}

#[test]
fn empty_password_of_sudo_is_that_of_ssh() {
    let bench = Bench::new();
    let path = programs(&bench);
    let words = [
        "--on",
        "web1?sudo",
        "--password-command",
        "echo same; echo other",
        "--ask-sudo-password",
        "mod:same",
    ];
    let mut command = bench.verb("call", &words);
    command.env("PATH", &path);
    let ran = on_terminal(&command, &[("Password of sudo [that of ssh]: ", "")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(answers(&bench), ["same", "sudo same"]);
}

#[test]
fn commands_that_print_no_password_are_usage_errors() {
    let bench = Bench::new();
    for (command, message) in [
        ("exit 3", "the command of --password-command has failed: exit status: 3"),
        ("true", "the command of --password-command has printed no password"),
        ("echo; echo late", "the command of --password-command has printed no password"),
    ] {
        let words = ["--on", "local", "--password-command", command, "mod:same"];
        let ran = Ran::of(bench.verb("call", &words).output().unwrap());
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(message), "{ran:?}");
    }
    let both = ["--on", "local", "--password-command", "echo x", "--ask-password", "mod:same"];
    assert_eq!(Ran::of(bench.verb("call", &both).output().unwrap()).code, Some(2));
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let bench = Bench::new();
    let words = ["--on", "local", "--ask-password", "mod:same"];
    let program = bench.verb("call", &words);
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(program.get_program()).args(program.get_args());
    command.current_dir(program.get_current_dir().unwrap()).stdin(Stdio::piped());
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("a password can only be entered on a terminal"), "{ran:?}");
}

/// The program's memory is closed to others, and its children keep nothing of the secret.
#[test]
fn secret_is_in_no_process_that_others_can_look_into_nor_in_what_is_written() {
    let bench = Bench::new();
    let path = programs(&bench);
    let secret = bench.canary();
    bench.scratch.write("secret", &secret);
    let command = format!("cat {}/secret", bench.scratch.path().display());
    let log = bench.scratch.path().join("log");
    let code = "import os\ndef look(text):\n    found = []\n    for pid in filter(str.isdigit, os.listdir('/proc')):\n        \
                for name in ('cmdline', 'environ'):\n            try:\n                data = open('/proc/%s/%s' % (pid, name), 'rb').read()\n            \
                except (IOError, OSError):\n                continue\n            if text.encode() in data:\n                found.append(pid + name)\n    \
                return found\n\ndef whole():\n    return look(open(os.environ['WHERE']).read())\n";
    bench.scratch.write("root/looking.py", code);
    let place = format!("WHERE={}/secret", bench.scratch.path().display());
    let words = [
        "-vv",
        "--on",
        "web1?sudo",
        "--env",
        &place,
        "--log",
        log.to_str().unwrap(),
        "--password-command",
        &command,
        "--sudo-password-command",
        &command,
        "looking:whole",
    ];
    let mut program = bench.verb("call", &words);
    let ran = Ran::of(program.env("PATH", &path).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.trim_end().ends_with("[]"), "{ran:?}");
    assert_eq!(answers(&bench), [secret.clone(), format!("sudo {secret}")]);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("looking:whole"), "{log}");
    for text in [ran.stdout, ran.stderr, log] {
        assert!(!text.contains(&secret), "{text}");
    }
}
