//! A fleet that asks for a password, as its operator meets it: the program, an inventory, batches, the failed ones again, and the record.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use chopsticks_hosts::lab;
use chopsticks_hosts::watch::{canary, eventually, gone};
use chopsticks_support::{Scratch, processes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How many hosts there are: `CHOPSTICKS_FLEET`, or 40. Each login costs both sides a tenth of a second of work.
fn host_count() -> usize {
    env::var("CHOPSTICKS_FLEET").map_or(40, |count| count.parse().expect("a number of hosts, from 33 on"))
}

const BATCH: usize = 10;
/// Those that fail the first time.
const BROKEN: [usize; 3] = [7, 19, 33];

/// What runs on the hosts. All share this machine's files.
const OPS: &str = r#"
import errno, os, time

def note(folder, text):
    fd = os.open(os.path.join(folder, 'notes'), os.O_WRONLY | os.O_APPEND)
    os.write(fd, (text + '\n').encode())
    os.close(fd)

def restart(number, folder, broken):
    """Restarts a service, which fails the first time where it is broken."""
    note(folder, 'begin %d' % number)
    try:
        if number in broken:
            try:
                os.mkdir(os.path.join(folder, 'broken-%d' % number))
                raise RuntimeError('the service does not start')
            except OSError as e:
                if e.errno != errno.EEXIST:
                    raise
        return number
    finally:
        note(folder, 'end %d' % number)
"#;

/// The folder of an operator.
struct Operator {
    scratch: Scratch,
    secret: String,
}

impl Operator {
    fn new() -> Self {
        let scratch = Scratch::new();
        let secret = fs::read_to_string(lab::folder().join("password")).expect("the lab has passwords");
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        scratch.write("code/ops.py", OPS);
        scratch.create_folder("shared");
        let notes = scratch.write("shared/notes", "");
        fs::set_permissions(notes, fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(scratch.path().join("shared"), fs::Permissions::from_mode(0o777)).unwrap();
        // The operator's `ssh_config` is that of the lab.
        let ssh = format!("#!/bin/sh\nexec /usr/bin/ssh -F {}/ssh/config \"$@\"\n", lab::folder().display());
        let ssh = scratch.write("bin/ssh", ssh);
        fs::set_permissions(ssh, fs::Permissions::from_mode(0o755)).unwrap();
        let port = lab::run(&scratch.path().join("bin/ssh").display().to_string(), ["-G", "login-password"]);
        let port = port.lines().find_map(|line| line.strip_prefix("port ")).expect("the lab has this host");
        let hosts: String =
            (1..=host_count()).map(|number| format!("web{number} number={number}\n")).collect();
        let vars = format!(
            "[web:vars]\nansible_host=127.0.0.1\nansible_port={port}\nansible_user=chopsticks-login-group\n"
        );
        scratch.write("hosts.ini", format!("[web]\n{hosts}\n{vars}"));
        Self { scratch, secret }
    }

    fn command(&self, verb: &str, words: &[&str]) -> Command {
        let program = lab::controller().with_file_name("chopsticks");
        assert!(program.exists(), "{} is not built: cargo build -p chopsticks-cli", program.display());
        let mut command = Command::new(program);
        let password = format!("cat {}/password", lab::folder().display());
        command.args([verb, "--no-config", "--password-command", &password]).args(words);
        let path = env::var("PATH").expect("there is a PATH");
        command.env("PATH", format!("{}/bin:{path}", self.scratch.path().display()));
        command.current_dir(self.scratch.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program, and looks meanwhile whether the secret can be seen.
    async fn run(&self, verb: &str, words: &[&str]) -> (Option<i32>, String, String) {
        let child = self.command(verb, words).spawn().unwrap();
        let pid = child.id();
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        while !ended.is_finished() {
            self.is_nowhere();
            tokio::task::yield_now().await;
        }
        let Output { status, stdout, stderr } = ended.await.unwrap();
        let texts = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(texts.iter().all(|text| !text.contains(&self.secret)), "the output has it");
        assert!(!processes::runs(pid));
        let [stdout, stderr] = texts;
        (status.code(), stdout, stderr)
    }

    /// No process has the secret in its arguments or its environment.
    fn is_nowhere(&self) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                let Ok(text) = fs::read(entry.path().join(file)) else { continue };
                let has = text.windows(self.secret.len()).any(|window| window == self.secret.as_bytes());
                assert!(!has, "{}/{file}: {}", entry.path().display(), String::from_utf8_lossy(&text));
            }
        }
    }

    /// No file below a folder has the secret.
    fn is_not_below(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.symlink_metadata().is_ok_and(|there| there.is_dir()) {
                self.is_not_below(&path);
            } else if path.is_file() {
                let text = fs::read(&path).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&text).contains(&self.secret), "{}", path.display());
            }
        }
    }

    fn notes(&self) -> Vec<(String, usize)> {
        let notes = fs::read_to_string(self.scratch.path().join("shared/notes")).unwrap();
        let parsed = notes.lines().filter_map(|line| line.split_once(' '));
        parsed.map(|(what, number)| (what.to_owned(), number.parse().unwrap())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_with_a_password_is_restarted_in_batches_and_the_failed_ones_again() {
    let operator = Operator::new();
    let hosts = host_count();
    let range = format!("login-group-[1-{hosts}]");
    let (code, stdout, stderr) = operator.run("ping", &["--on", &range]).await;
    assert_eq!((code, stdout.lines().count()), (Some(0), hosts), "{stderr}");
    assert!(stderr.contains(&format!("{hosts} hosts: {hosts} ok in ")), "{stderr}");

    let (folder, batch) = (format!("folder={}/shared", operator.scratch.path().display()), BATCH.to_string());
    let broken = format!("broken={BROKEN:?}");
    let call =
        ["ops:restart", "--root", "code", "--inventory", "hosts.ini", "--log", "log", "--kw-var", "number"];
    let call = [&call[..], &["--kw", &folder, "--kw", &broken]].concat();
    let first = ["--on", "@web", "--sort", "--batch", &batch, "--failed", "failed"];
    let (code, stdout, stderr) = operator.run("call", &[&call[..], &first].concat()).await;
    assert_eq!((code, stdout.lines().count()), (Some(1), hosts - BROKEN.len()), "{stderr}");
    assert!(stderr.contains("RuntimeError: the service does not start"), "{stderr}");
    // No host has begun before all of the batch in front were done.
    let notes = operator.notes();
    assert_eq!(notes.len(), 2 * hosts);
    for (position, (_, number)) in notes.iter().enumerate() {
        assert_eq!((number - 1) / BATCH, position / (2 * BATCH), "{notes:?}");
    }
    let failed = fs::read_to_string(operator.scratch.path().join("failed")).unwrap();
    assert_eq!(failed.lines().count(), BROKEN.len(), "{failed}");

    let (code, stdout, stderr) =
        operator.run("call", &[&call[..], &["--on", "@failed", "--sort"]].concat()).await;
    let expected: String = BROKEN.map(|number| format!("web{number}: {number}\n")).concat();
    assert_eq!((code, stdout), (Some(0), expected), "{stderr}");

    let log = fs::read_to_string(operator.scratch.path().join("log")).unwrap();
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&record["operation"], &record["what"]),
            (&"call".into(), &"ops:restart".into()),
            "{line}"
        );
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        outcomes.entry(text("host")).or_default().push(text("outcome"));
    }
    assert_eq!(outcomes.len(), hosts);
    for number in 1..=hosts {
        let expected: &[&str] = if BROKEN.contains(&number) { &["failed", "ok"] } else { &["ok"] };
        assert_eq!(outcomes[&format!("web{number}")], expected, "web{number}");
    }
    operator.is_not_below(operator.scratch.path());
    operator.is_not_below(&lab::folder().join("log"));
}

/// A control that knows no secret dumps one, with the same limits.
#[tokio::test(flavor = "multi_thread")]
async fn program_that_knows_a_password_dumps_no_core() {
    let operator = Operator::new();
    let mark = canary("core");
    let program = operator.command("run", &["--on", "login-group-1", "--", "sh", "-c", "sleep 1000", &mark]);
    let aborted = async |command: Command, mark: &str, count: usize| {
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(command.get_program());
        limited.args(command.get_args()).current_dir(operator.scratch.path());
        for (name, value) in command.get_envs() {
            limited.env(name, value.unwrap_or_default());
        }
        let mut child = limited.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        assert!(eventually(|| processes::with_argument(mark).len() >= count).await);
        kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
        status.core_dumped()
    };
    // The program, and what it runs.
    assert!(!aborted(program, &mark, 2).await);
    gone(&mark).await;
    let mark = canary("control");
    let mut control = Command::new("/usr/bin/python3");
    control.args(["-c", "import time; time.sleep(1000)", &mark]);
    assert!(aborted(control, &mark, 1).await, "this machine dumps no cores: /proc/sys/kernel/core_pattern");
    gone(&mark).await;
    operator.is_not_below(operator.scratch.path());
}
