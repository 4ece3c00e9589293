//! What the tests of all verbs share.

use std::{
    fs,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use chopsticks_support::{Scratch, eventually, python3};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far more than anything here takes on a machine that is busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

const MODULE: &str = r#"
import os, subprocess, sys, time

def same(*args, **kwargs):
    return (args, kwargs) if kwargs else args

def text():
    return 'one\n  two\n'

def fail(message='no'):
    raise ValueError(message)

def say(*lines):
    for line in lines:
        sys.stderr.write(line + '\n')
    sys.stderr.flush()
    return len(lines)

def values():
    cycle = [1]
    cycle.append(cycle)
    return {
        'bytes': b'\x00\xff', 'set': set([1]), 'frozen': frozenset([2]), 'tuple': (1, None), 'big': 1 << 64,
        'nan': float('nan'), 'keys': {1: True}, 'dollar': {'$x': 1}, 'cycle': cycle, 'float': 0.5,
    }

def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value

def explosion(levels):
    value = ['x']
    for _ in range(levels):
        value = [value, value]
    return value

def child(canary, ready):
    """Never returns, and neither does its child, which can be told by its argument."""
    process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)', canary])
    open(ready, 'a').write('%d %d\n' % (os.getpid(), process.pid))
    while True:
        time.sleep(1000)

def stubborn(ready):
    """Cannot be interrupted."""
    open(ready, 'a').write('%d\n' % os.getpid())
    while True:
        try:
            while True:
                time.sleep(1000)
        except BaseException:
            pass

def never_on_b(marker):
    """Returns at once where it comes first, and never elsewhere."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except OSError:
        time.sleep(1000)
    return 'first'
"#;

/// A codebase, and the program that calls its functions.
pub(crate) struct Bench {
    pub(crate) scratch: Scratch,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        scratch.write("root/mod.py", MODULE);
        Self { scratch }
    }

    /// The program's verb `call` with the arguments of `line`, in the folder of the codebase.
    pub(crate) fn command(&self, line: &str) -> Command {
        let words: Vec<_> = line.split_whitespace().collect();
        self.verb("call", &words)
    }

    /// The program with a verb and its arguments, in the folder of the codebase.
    pub(crate) fn verb(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chopsticks"));
        command.arg(verb).arg("--python").arg(python3().path()).args(words);
        command.current_dir(self.scratch.path().join("root")).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::of(self.command(line).output().unwrap())
    }

    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A file that does not exist yet, in which functions tell their processes.
    pub(crate) fn ready(&self) -> String {
        self.scratch.path().join("ready").to_str().unwrap().to_owned()
    }

    /// Waits until `count` functions run, and returns all processes that they told.
    pub(crate) fn wait_until_ready(&self, count: usize) -> Vec<u32> {
        let mut text = String::new();
        let is_ready = eventually(DEADLINE, || {
            text = fs::read_to_string(self.ready()).unwrap_or_default();
            text.ends_with('\n') && text.lines().count() == count
        });
        assert!(is_ready, "the functions never ran: {text:?}");
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// An argument that no other process has.
    pub(crate) fn canary(&self) -> String {
        format!("canary-{}", self.scratch.path().file_name().unwrap().to_str().unwrap())
    }
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The lines of stdout by host; each must be a JSON object.
    pub(crate) fn json(&self) -> Vec<Value> {
        let mut lines: Vec<Value> =
            self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.sort_by_key(|line| line["host"].to_string());
        lines
    }

    pub(crate) fn sorted_stdout(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.stdout.lines().collect();
        lines.sort_unstable();
        lines
    }
}

/// Runs the program on a terminal, and presses Ctrl-C once `interrupt` stands there. stdout has what a terminal got.
pub(crate) fn on_terminal(command: &Command, interrupt: Option<&str>) -> Ran {
    let script = "
import os, pty, sys
awaited, command = sys.argv[1].encode(), sys.argv[2:]
pid, terminal = pty.fork()
if not pid:
    os.execv(command[0], command)
shown = b''
while 1:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    shown += data
    if awaited and awaited in shown:
        os.write(terminal, b'\\x03')
        awaited = b''
os.write(1, shown)
sys.exit(os.waitpid(pid, 0)[1] >> 8)
";
    let mut python = Command::new(python3().path());
    python.args(["-c", script, interrupt.unwrap_or_default()]).arg(command.get_program());
    // Nothing is drawn on a terminal of no kind.
    python.env("TERM", "xterm");
    python.args(command.get_args()).env("NO_COLOR", "1").current_dir(command.get_current_dir().unwrap());
    Ran::of(python.output().unwrap())
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for the end of a program that was started; kills it after the deadline.
pub(crate) fn finish(mut child: Child) -> Ran {
    if !eventually(DEADLINE, || child.try_wait().unwrap().is_some()) {
        child.kill().unwrap();
        panic!("the program did not end: {:?}", Ran::of(child.wait_with_output().unwrap()));
    }
    Ran::of(child.wait_with_output().unwrap())
}
