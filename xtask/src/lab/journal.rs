//! What a set-up changed on the machine, and how it is undone.
//!
//! A step is written down before it is taken, so that whoever finds the journal of a run that was killed can undo
//! it all. Undoing what was never done, or is undone already, is no error.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use chopsticks_support::{eventually, processes};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::failure::Failure;

/// How long something may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that a set-up left on the machine, outside of its folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trace {
    /// A file.
    File(PathBuf),
    /// A folder with what is in it.
    Folder(PathBuf),
    /// An image of the local engine.
    Image(String),
    /// A network interface.
    Link(String),
    /// Something that is mounted on a folder.
    Mount(PathBuf),
    /// A network namespace, with all that runs in it.
    Namespace(String),
    /// Containers of the podman that keeps its state in a folder.
    Podman(PathBuf),
    /// A process and its descendants: its number, and when it was started, since numbers are used again.
    Process { pid: u32, start: u64 },
    /// A user, and all that runs as this user.
    User(String),
}

/// The list of traces, on disk.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    traces: Vec<Trace>,
}

impl Journal {
    /// Opens the journal at `path`, with what is written in it, and holds it for this process.
    ///
    /// `None` if another process holds it.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Failure> {
        let during = |error| Failure::during(path.display(), error);
        let file = File::options().append(true).read(true).create(true).open(path).map_err(during)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(during(error)),
        }
        let text = fs::read_to_string(path).map_err(during)?;
        let traces = text.lines().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Some(Self { file, traces }))
    }

    /// Writes down what is about to be left.
    pub(super) fn add(&mut self, trace: Trace) -> Result<(), Failure> {
        writeln!(self.file, "{trace}").map_err(|error| Failure::during("journal", error))?;
        self.traces.push(trace);
        Ok(())
    }

    /// Returns what uses that which is written down, though nothing should any more.
    pub(super) fn leftovers(&self) -> Vec<String> {
        self.traces.iter().flat_map(Trace::leftovers).collect()
    }

    /// Undoes everything, the latest first, and fails with all that could not be undone.
    pub(super) fn undo(mut self) -> Result<(), Failure> {
        let failures: Vec<_> = self.traces.drain(..).rev().filter_map(|trace| trace.undo().err()).collect();
        if failures.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("left behind: {}", failures.join(", "))))
    }
}

impl Trace {
    /// Returns the trace of a process that was just started.
    pub(super) fn of_process(pid: u32) -> Self {
        Self::Process { pid, start: processes::start_time(pid).unwrap_or_default() }
    }

    fn undo(&self) -> Result<(), String> {
        match self {
            Self::File(path) => drop(fs::remove_file(path)),
            Self::Image(name) => {
                let mut command = Command::new("docker");
                command.args(["ps", "--all", "--quiet", "--filter", &format!("ancestor={name}")]);
                for container in command::output(&mut command).unwrap_or_default().lines() {
                    quietly("docker", &["rm", "--force", "--volumes", container]);
                }
                quietly("docker", &["image", "rm", "--force", name]);
            }
            Self::Folder(path) => drop(fs::remove_dir_all(path)),
            Self::Link(name) => quietly("ip", &["link", "delete", name]),
            Self::Mount(path) => quietly("umount", &["--lazy", &path.display().to_string()]),
            Self::Namespace(name) => {
                let pids = command::output(Command::new("ip").args(["netns", "pids", name]));
                end(&pids.unwrap_or_default().lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>());
                quietly("ip", &["netns", "delete", name]);
            }
            Self::Podman(folder) => {
                command::succeeds(podman(folder).args(["rm", "--all", "--force"]));
            }
            Self::Process { pid, start } => {
                if processes::start_time(*pid) == Some(*start) {
                    command::kill_tree(*pid);
                    reap(*pid);
                }
            }
            Self::User(name) => {
                end(&processes_of(name));
                // `--force` as well for a user whom a process that ends just now still counts as logged in.
                quietly("userdel", &["--force", name]);
                quietly("groupdel", &[name]);
            }
        }
        if eventually(PATIENCE, || !self.is_there()) { Ok(()) } else { Err(self.to_string()) }
    }

    fn leftovers(&self) -> Vec<String> {
        let lines = |command: &mut Command, what: &str| {
            let text = command::output(command).unwrap_or_default();
            text.lines().map(|line| format!("{what} {line}")).collect()
        };
        match self {
            Self::Image(name) => {
                let mut command = Command::new("docker");
                command.args(["ps", "--all", "--format", "{{.Names}} {{.Status}}", "--filter"]);
                lines(command.arg(format!("ancestor={name}")), "container")
            }
            Self::Podman(folder) => {
                lines(podman(folder).args(["ps", "--all", "--format", "{{.Names}} {{.Status}}"]), "container")
            }
            Self::User(name) => {
                let describe = |pid| format!("process {pid} of {name}: {}", processes::describe(pid));
                processes_of(name).into_iter().map(describe).collect()
            }
            _ => Vec::new(),
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Self::File(path) | Self::Folder(path) => path.exists(),
            Self::Mount(path) => {
                let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
                let path = path.display().to_string();
                mounts.lines().any(|line| line.split(' ').nth(1) == Some(&path))
            }
            Self::Image(name) => command::succeeds(Command::new("docker").args(["image", "inspect", name])),
            Self::Link(name) => Path::new("/sys/class/net").join(name).exists(),
            Self::Namespace(name) => Path::new("/run/netns").join(name).exists(),
            Self::Podman(_) => !self.leftovers().is_empty(),
            Self::Process { pid, start } => {
                processes::is_there(*pid) && processes::start_time(*pid) == Some(*start)
            }
            Self::User(name) => user_id(name).is_some(),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "file {}", path.display()),
            Self::Folder(path) => write!(formatter, "folder {}", path.display()),
            Self::Mount(path) => write!(formatter, "mount {}", path.display()),
            Self::Image(name) => write!(formatter, "image {name}"),
            Self::Link(name) => write!(formatter, "link {name}"),
            Self::Namespace(name) => write!(formatter, "namespace {name}"),
            Self::Podman(folder) => write!(formatter, "podman {}", folder.display()),
            Self::Process { pid, start } => write!(formatter, "process {pid} {start}"),
            Self::User(name) => write!(formatter, "user {name}"),
        }
    }
}

impl FromStr for Trace {
    type Err = Failure;

    fn from_str(line: &str) -> Result<Self, Failure> {
        let unknown = || Failure::new(format!("journal: cannot read {line:?}"));
        let (kind, rest) = line.split_once(' ').ok_or_else(unknown)?;
        Ok(match kind {
            "file" => Self::File(rest.into()),
            "folder" => Self::Folder(rest.into()),
            "mount" => Self::Mount(rest.into()),
            "image" => Self::Image(rest.to_owned()),
            "link" => Self::Link(rest.to_owned()),
            "namespace" => Self::Namespace(rest.to_owned()),
            "podman" => Self::Podman(rest.into()),
            "process" => {
                let numbers = rest.split_once(' ').ok_or_else(unknown)?;
                let pid = numbers.0.parse().map_err(|_| unknown())?;
                Self::Process { pid, start: numbers.1.parse().map_err(|_| unknown())? }
            }
            "user" => Self::User(rest.to_owned()),
            _ => return Err(unknown()),
        })
    }
}

/// Returns podman with the settings and the storage of a lab's folder.
pub(super) fn podman(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", folder.join("containers.conf"));
    command.env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"));
    command
}

/// Returns the number of a user.
pub(super) fn user_id(name: &str) -> Option<u32> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split(':').nth(1)?.parse().ok()
}

/// Returns the processes of a user.
pub(super) fn processes_of(name: &str) -> Vec<u32> {
    user_id(name).map(processes::of_user).unwrap_or_default()
}

/// Removes what is there or not: whether it is gone is looked at afterwards.
fn quietly(program: &str, arguments: &[&str]) {
    command::succeeds(Command::new(program).args(arguments));
}

fn end(pids: &[u32]) {
    for &pid in pids {
        command::kill_tree(pid);
    }
    // Nothing else is to be done with those that do not go: the trace is then still there.
    let _ = processes::wait_until_gone(pids.iter().copied(), PATIENCE);
}

/// Reaps a process if it is a child of this one.
fn reap(pid: u32) {
    let Some(pid) = Pid::from_raw(pid.cast_signed()) else { return };
    let _ = kill_process(pid, Signal::KILL);
    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_read_as_they_were_written() {
        let traces = [
            Trace::File("/etc/sudoers.d/a b".into()),
            Trace::Folder("/run/a b".into()),
            Trace::Mount("/tmp/lab/root/proc".into()),
            Trace::Image("chopsticks-test/python:2.7".to_owned()),
            Trace::Link("bridge".to_owned()),
            Trace::Namespace("one".to_owned()),
            Trace::Podman("/tmp/lab".into()),
            Trace::Process { pid: 17, start: 4711 },
            Trace::User("somebody".to_owned()),
        ];
        for trace in traces {
            assert_eq!(trace.to_string().parse::<Trace>().unwrap(), trace);
        }
        assert!("process 17".parse::<Trace>().is_err());
    }

    #[test]
    fn process_that_was_started_is_ended_and_one_that_took_its_number_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let Trace::Process { pid, start } = Trace::of_process(child.id()) else { unreachable!() };
        let mut journal = Journal::open(&path).unwrap().unwrap();
        journal.add(Trace::Process { pid, start: start + 1 }).unwrap();
        journal.undo().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        fs::remove_file(&path).unwrap();

        let mut journal = Journal::open(&path).unwrap().unwrap();
        journal.add(Trace::Process { pid, start }).unwrap();
        assert!(Journal::open(&path).unwrap().is_none(), "one process holds it");
        drop(journal);
        Journal::open(&path).unwrap().unwrap().undo().unwrap();
        assert!(!processes::is_there(pid));
    }
}
