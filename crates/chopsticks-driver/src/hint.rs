//! The known error messages of the programs that drivers run, and what to do about them.

use std::{borrow::Cow, fmt, process::ExitStatus};

use self::programs::{LOST, PROGRAMS};

mod programs;

/// A known cause of a failure, and what to do about it.
///
/// [`fmt::Display`] writes the advice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hint {
    cause: Cow<'static, str>,
    advice: Cow<'static, str>,
}

impl Hint {
    /// Creates a hint. `cause` is a short fixed name for programs, such as `host-key-unknown`.
    /// `advice` is for people: one sentence in lower case, without a full stop.
    pub fn new(cause: impl Into<Cow<'static, str>>, advice: impl Into<Cow<'static, str>>) -> Self {
        Self { cause: cause.into(), advice: advice.into() }
    }

    /// Returns the short fixed name of the cause. The pages on drivers list the known causes.
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advice)
    }
}

/// The facts that are known when no agent has answered.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Symptoms<'a> {
    /// The exit status of the program that the driver started, if it has ended.
    pub status: Option<ExitStatus>,
    /// The last lines of its stderr.
    pub stderr: &'a str,
    /// The beginning of its output to stdout.
    pub noise: &'a str,
}

impl<'a> Symptoms<'a> {
    /// Creates symptoms from the exit status of the program, the last lines of its stderr, and the
    /// beginning of its output to stdout.
    pub fn new(status: Option<ExitStatus>, stderr: &'a str, noise: &'a str) -> Self {
        Self { status, stderr, noise }
    }
}

/// The cause of a failure to create a container because another one has its name.
pub const NAME_IN_USE: &str = "name-in-use";

/// Returns the cause of a connection that no agent answered, if it is known.
pub fn of_failed_start(symptoms: &Symptoms<'_>) -> Option<Hint> {
    let said = |rule: &&Rule| rule.line(symptoms.stderr).or_else(|| rule.line(symptoms.noise)).is_some();
    if let Some(rule) = PROGRAMS.iter().chain(START).find(said) {
        return Some(rule.hint());
    }
    let is_silent = symptoms.stderr.trim().is_empty() && symptoms.noise.trim().is_empty();
    match symptoms.status?.code()? {
        127 => Some(Hint::new(NO_PYTHON.0, NO_PYTHON.1)),
        // Whatever ran, it took no notice of what it was asked to run.
        0 => Some(Hint::new(NOT_RUN.0, NOT_RUN.1)),
        1 if is_silent => Some(Hint::new(NOT_RUN.0, NOT_RUN.1)),
        _ => None,
    }
}

/// Returns whether a program that was given a password is known to have failed for another reason.
pub(crate) fn has_other_cause_than_password(stderr: &str) -> bool {
    let said = START.iter().find(|rule| rule.line(stderr).is_some());
    said.is_some_and(|rule| !rule.0.starts_with("sudo-password"))
}

/// Returns why a program could not be started, here or by the agent of the tunnel called `parent`,
/// if the cause is known.
pub fn of_failed_spawn(error: &std::io::Error, parent: Option<&str>) -> Option<Hint> {
    use rustix::{io::Errno, process};
    let Some(number) = Errno::from_io_error(error) else {
        // That of `missing_folder`; the system's own has a number.
        let is_folder = error.kind() == std::io::ErrorKind::NotADirectory;
        return is_folder.then(|| Hint::new(NO_FOLDER.0, NO_FOLDER.1));
    };
    match number {
        Errno::MFILE => {
            let limit = process::getrlimit(process::Resource::Nofile).current;
            let limit = limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
            let advice = match parent {
                Some(parent) => {
                    format!("the agent of {parent} cannot open more files: connect to fewer hosts through it")
                }
                None => format!(
                    "this process can open {limit} files: raise `ulimit -n`, or connect to fewer hosts at once"
                ),
            };
            Some(Hint::new("out-of-files", advice))
        }
        Errno::NFILE => Some(Hint::new("out-of-files", "the system is out of open files")),
        Errno::AGAIN => {
            Some(Hint::new("out-of-processes", "this user cannot start more processes: see `ulimit -u`"))
        }
        Errno::NOENT => {
            let place = parent.map_or("here".to_owned(), |parent| format!("on {parent}"));
            let advice = format!("the program does not exist {place}: install it, or give its path");
            Some(Hint::new("program-missing", advice))
        }
        Errno::ACCESS => Some(Hint::new("program-not-runnable", "this user may not run the program")),
        _ => None,
    }
}

/// Returns why an agent was lost, if the cause is known.
pub fn of_loss(stderr: &str) -> Option<Hint> {
    LOST.iter().chain(LOSS).find(|rule| rule.line(stderr).is_some()).map(Rule::hint)
}

/// Returns the most informative line of a program's stderr: a known one, or else the last.
pub fn telling_line(stderr: &str) -> &str {
    let rules = PROGRAMS.iter().chain(START).chain(LOST).chain(LOSS);
    let known = { rules }.find_map(|rule| rule.line(stderr));
    let last = || stderr.lines().rev().find(|line| !is_idle(line));
    known.or_else(last).unwrap_or_default().trim()
}

/// Returns whether an SSH server, or one on the way to it, has closed the connection before it
/// examined the client, as servers do that have too many such connections.
pub fn is_refusal_for_load(line: &str) -> bool {
    REFUSALS.iter().any(|text| line.starts_with(text))
        && REFUSAL_ENDS.iter().any(|text| line.trim_end().ends_with(text))
}

/// Returns whether a program failed only because of a server's load, so that a later attempt may
/// succeed.
///
/// If a jump host cannot be reached, the ssh behind it sees its connection end as if a server had
/// closed it.
pub fn has_failed_for_load(stderr: &str) -> bool {
    let is_lasting = |rule: &Rule| LASTING.contains(&rule.0) && rule.line(stderr).is_some();
    stderr.lines().any(is_refusal_for_load) && !START.iter().any(is_lasting)
}

/// Returns whether a line appears with every failure of its program and carries no information.
fn is_idle(line: &str) -> bool {
    let line = line.trim();
    line.is_empty()
        || line.starts_with("Run 'docker ")
        || line.starts_with("See 'docker ")
        || line.starts_with("sudo: error initializing audit plugin")
        || line.starts_with("Attempted to remove disk file system under")
        || line.trim_matches(['^', '~']).is_empty()
}

/// A cause: its name, what to do about it, and the texts by which it is recognised in a line. One
/// of the texts is enough. `*` matches anything.
struct Rule(&'static str, &'static str, &'static [&'static str]);

impl Rule {
    fn hint(&self) -> Hint {
        Hint::new(self.0, self.1)
    }

    /// Returns the last line with one of the texts.
    fn line<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.lines().rev().find(|line| self.2.iter().any(|pattern| contains(line, pattern)))
    }
}

fn contains(line: &str, pattern: &str) -> bool {
    let mut rest = Some(line);
    for part in pattern.split('*') {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
    }
    rest.is_some()
}

/// How the lines begin that ssh prints for it. Before version 8 the function that does so had another name.
const REFUSALS: [&str; 3] =
    ["kex_exchange_identification: ", "ssh_exchange_identification: ", "banner exchange: "];
/// How they end; the last one if ssh notices it while it writes.
const REFUSAL_ENDS: [&str; 3] =
    ["Connection closed by remote host", "Connection reset by peer", "Broken pipe"];

const NO_PYTHON: (&str, &str) = (
    "python-missing",
    "the host does not have this interpreter: name another one, or `auto` to search for one",
);

const NO_FOLDER: (&str, &str) = ("folder-missing", "the working directory cannot be entered");

const NOT_RUN: (&str, &str) = (
    "not-run",
    "a program other than the interpreter ran: a forced command, a login shell that does not run commands, or a wrapper",
);

/// Causes that persist at the next attempt. Only causes whose texts end an attempt are listed:
/// warnings may precede any other text.
const LASTING: &[&str] = &[
    "host-key-unknown",
    "too-many-keys",
    "password-wrong",
    "password-missing",
    "passphrase-wrong",
    "prompt-unknown",
    "permission-denied",
    "name-unknown",
    "jump-failed",
    "refused",
    "no-route",
    "timed-out",
    "algorithms-differ",
];

/// Ordered from the special to the general, since the first match counts.
const START: &[Rule] = &[
    // the first stage of an agent in Rust
    Rule(
        "machine-differs",
        "the program was built for another kind of machine: build one for this kind by `cargo chopsticks agents`, and name its folder by `Programs::folder`",
        &["chopsticks: the host is * the program for"],
    ),
    Rule(
        "libc-too-old",
        "the host's C library is older than the one that the program was built with: build it with `-C target-feature=+crt-static`, or for a musl target",
        &["version `GLIBC_*' not found"],
    ),
    Rule(
        "libc-missing",
        "the host does not have the C library that the program was built with: build it with `-C target-feature=+crt-static`, or for a musl target",
        &[
            "/proc/self/fd/4: not found",
            "/proc/self/fd/4: cannot execute: required file not found",
            "/proc/self/fd/4: No such file",
        ],
    ),
    Rule(
        "no-place",
        "every folder that was tried is full, read-only, or forbids programs (`noexec`): set `TMPDIR` on the host",
        &[
            "chopsticks: no folder that programs can be started from",
            "chopsticks: the program cannot be stored",
        ],
    ),
    // ssh
    Rule(
        "host-key-changed",
        "the host's key differs from the one in known_hosts: if you know why, remove the old key with `ssh-keygen -R HOST`",
        &["REMOTE HOST IDENTIFICATION HAS CHANGED", "REVOKED HOST KEY DETECTED"],
    ),
    Rule(
        "host-key-unknown",
        "known_hosts does not have the host's key: add it, or connect once by hand and check it",
        &["Host key verification failed", "host key is known for * and you have requested strict checking"],
    ),
    Rule(
        "too-many-keys",
        "ssh offers more keys than the server tries: set `IdentitiesOnly=yes` and an identity file",
        &["Too many authentication failures"],
    ),
    Rule(
        "key-unprotected",
        "other users can read the private key, so ssh does not use it: protect it with `chmod 600`",
        &["UNPROTECTED PRIVATE KEY FILE"],
    ),
    Rule(
        "password-wrong",
        "check the password and the name of the user: it was tried once, and is not tried again",
        &[
            "chopsticks: the password was given, and refused",
            "chopsticks: ssh asks again: the password *was refused",
            "chopsticks: the password was refused by",
            "chopsticks: the password of the jump host was refused by",
        ],
    ),
    Rule(
        "password-missing",
        "give the password, or a key that the server accepts; a jump host has a password of its own",
        &["chopsticks: the password * is asked for", "chopsticks: the password is asked for"],
    ),
    Rule(
        "prompt-unknown",
        "only passwords and passphrases are answered: log in with a key, or once by hand to see the question",
        &["chopsticks: ssh asks for something else"],
    ),
    Rule(
        "passphrase-wrong",
        "check the passphrase, or add the key to an agent by `ssh-add`",
        &["chopsticks: a passphrase was given"],
    ),
    Rule(
        "askpass-blocked",
        "ssh cannot run the helper that gives it the password: set `TMPDIR` to a folder that programs can be started from",
        &["ssh_askpass: exec"],
    ),
    Rule(
        "permission-denied",
        "the server accepted none of the keys for this user: add one, or give the password",
        &["Permission denied (*)", "No more authentication methods"],
    ),
    Rule(
        "account-closed",
        "the user may not log in there",
        &["Your account has expired", "password has expired", "This account is currently not available"],
    ),
    Rule(
        "no-commands",
        "the user's login shell does not run commands",
        &["allows sftp connections only", "Interactive git shell is not enabled", "unrecognized command"],
    ),
    Rule(
        "name-unknown",
        "the name of the host cannot be resolved: check its spelling",
        &["Could not resolve hostname"],
    ),
    Rule(
        "jump-failed",
        "the jump host could not reach the host",
        &["stdio forwarding failed", "administratively prohibited"],
    ),
    Rule(
        "refused",
        "the host is up, but no server listens on that port",
        &["connect to * port *: Connection refused", "connect to host * port *: Connection refused"],
    ),
    Rule(
        "no-route",
        "there is no network route to the host",
        &["No route to host", "Network is unreachable"],
    ),
    Rule(
        "timed-out",
        "the host did not answer: it is down, or a firewall drops the packets",
        &[
            "connect to * port *: *timed out",
            "Connection timed out during banner exchange",
            "Timeout, server * not responding",
        ],
    ),
    Rule(
        "server-busy",
        "the server closes connections before they log in: there are too many at once (`MaxStartups`), or the server blocks this host",
        &[
            "_exchange_identification: *Connection closed",
            "_exchange_identification: *Connection reset",
            "banner exchange: *Broken pipe",
            "Exceeded MaxStartups",
            "Not allowed at this time",
        ],
    ),
    Rule(
        "algorithms-differ",
        "the server and this ssh have no algorithm in common: see `ssh -Q` and `KexAlgorithms`",
        &["Unable to negotiate with"],
    ),
    Rule(
        "ssh-config",
        "ssh does not accept its configuration",
        &[
            "Bad configuration option",
            "Can't open user config file",
            "Bad owner or permissions on",
            "keyword * extra arguments",
            "terminating, * bad configuration options",
        ],
    ),
    // sudo
    Rule(
        "sudo-password-wrong",
        "check the password of sudo, which is usually that of the user who logs in: it was tried once, and is not tried again",
        &[
            "chopsticks: sudo asks again",
            "chopsticks: the password of sudo was refused by",
            "sudo: * incorrect password attempt",
            "sudo: * incorrect authentication attempt",
            "sudo: Incorrect authentication attempt",
            "sudo: Maximum * incorrect authentication attempts",
            "sudo-rs: Maximum * incorrect authentication attempts",
        ],
    ),
    Rule(
        "sudo-password",
        "sudo requires a password: give it, or allow the exact path of the interpreter with `NOPASSWD:`",
        &[
            "sudo: a password is required",
            "sudo: a terminal is required",
            "sudo: interactive authentication is required",
            "sudo-rs: interactive authentication is required",
            "sudo: Authentication required",
            "sudo: no password was provided",
            "chopsticks: the password of sudo is",
        ],
    ),
    Rule(
        "sudo-tty",
        "sudo requires a terminal: set `Defaults !requiretty` for this user",
        &["you must have a tty to run sudo"],
    ),
    Rule(
        "sudo-not-allowed",
        "no sudo rule allows this",
        &[
            "is not in the sudoers file",
            "is not allowed to execute",
            "may not run sudo",
            "sudo: I'm sorry",
            "sudo-rs: I'm sorry",
        ],
    ),
    Rule(
        "user-unknown",
        "the user does not exist on the host",
        &[
            "sudo: unknown user",
            "sudo: user * not found",
            "sudo-rs: user * not found",
            "su: user * does not exist",
            "unable to find user",
            "no users found",
            "no matching entries in passwd file",
        ],
    ),
    Rule(
        "sudo-missing",
        "sudo is not installed on the host",
        &["sudo: not found", "sudo: command not found", "command not found: sudo", "Unknown command: sudo"],
    ),
    // containers
    Rule(
        "engine-denied",
        "this user may not use the engine's socket: add the user to the group `docker`, or run the engine rootless",
        &[
            "permission denied while trying to connect to the Docker daemon",
            "connect to the docker API * permission denied",
        ],
    ),
    Rule(
        "engine-down",
        "the engine is not running, or `DOCKER_HOST` or the context names another one",
        &[
            "Cannot connect to the Docker daemon",
            "failed to connect to the docker API",
            "unable to connect to Podman",
            "error during connect:",
        ],
    ),
    Rule(
        NAME_IN_USE,
        "a container of this name already exists: choose another name, close the tunnel that uses it, or remove it if a crash has left it behind",
        &["container name * is already in use", "name * is in use: container already exists"],
    ),
    Rule(
        "container-missing",
        "there is no container of this name",
        &["No such container", "no container with name or ID"],
    ),
    Rule(
        "container-stopped",
        "the container is not running",
        &[
            "Container * is not running",
            "can only create exec sessions on running containers",
            "container * is paused",
        ],
    ),
    Rule(
        "image-missing",
        "the engine does not have the image and cannot pull it: check its spelling, and the registry",
        &[
            "No such image",
            "Unable to find image",
            "pull access denied",
            "manifest unknown",
            "manifest for * not found",
            "did not resolve to an alias",
            "error getting image",
            "Error response from daemon: Get ",
            "initializing source docker://",
            "image not known",
        ],
    ),
    Rule(
        "network-missing",
        "the engine does not have this network",
        &["network * not found", "unable to find network with name"],
    ),
    Rule(
        "init-missing",
        "the engine finds no init program: install catatonit or tini, or switch it off",
        &["container-init binary not found", "catatonit", "docker-init\": executable file not found"],
    ),
    // interpreters
    Rule(
        "python-missing",
        "the host has no Python that the agent supports: 2.7, or 3.4 and later",
        &["chopsticks: no Python"],
    ),
    Rule(
        NO_PYTHON.0,
        NO_PYTHON.1,
        &[
            "executable file not found in $PATH",
            "exec * failed: No such file or directory",
            "stat *python*: no such file or directory",
            "command not found",
            "Command not found",
            "exec: *: not found",
            "exec: line *: not found",
            "no such file or directory: *python",
            "Unknown command: *",
            "execve(): *: No such file or directory",
        ],
    ),
    Rule(
        "python-not-runnable",
        "the file that is named as the interpreter cannot be run there",
        &[
            "exec: *: permission denied",
            "python*: Permission denied",
            "exec * failed: Permission denied",
            "permission denied: *python",
            "xec format error",
        ],
    ),
    Rule(
        "python-incomplete",
        "the Python there is built without zlib, which the agent needs",
        &["No module named zlib", "No module named 'zlib'"],
    ),
    Rule(
        NO_FOLDER.0,
        NO_FOLDER.1,
        &[
            "FileNotFoundError: ",
            "NotADirectoryError: ",
            "PermissionError: ",
            "OSError: [Errno 2]",
            "OSError: [Errno 13]",
            "OSError: [Errno 20]",
            "Cannot chdir to",
            "chdir to cwd (",
        ],
    ),
    // anything
    Rule(
        "input-taken",
        "the input of the agent does not arrive unchanged: a login script there reads stdin, or a wrapper changes it",
        &["zlib.error: Error"],
    ),
    Rule(
        "login-script",
        "a login script there requires a terminal: it has to check for one first",
        &["open terminal failed: not a terminal"],
    ),
    Rule("no-space", "a disk there is full", &["No space left on device"]),
    Rule(
        "out-of-processes",
        "the user cannot start more processes there, or memory is short",
        &["fork: retry", "Cannot allocate memory", "can't start new thread", "fork failed"],
    ),
    Rule(
        "no-terminal",
        "the driver must not request a terminal: leave out `-t` and the like",
        &["the input device is not a TTY"],
    ),
];

const LOSS: &[Rule] = &[
    Rule(
        "link-dead",
        "the host has not answered ssh for a while: it is down, or the network is",
        &["Timeout, server * not responding"],
    ),
    Rule(
        "link-broken",
        "the connection was cut on the way, or by the server",
        &[
            "client_loop: send disconnect",
            "Connection to * closed by remote host",
            "Connection reset by * port",
            "Read from remote host *:",
        ],
    ),
    Rule("engine-down", "the engine has stopped", &["error waiting for container"]),
];

#[cfg(test)]
mod tests;
