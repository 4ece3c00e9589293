//! Test hosts: what a suite sets up on this machine, and takes down again.
//!
//! Everything is below one folder, or is written down in a [`journal`] there before it is done. A lab is taken
//! down when the suite is over, when its set-up fails and when it is interrupted; what a killed run left is taken
//! down by the next one. The tests find the folder in the variable [`LAB_VARIABLE`].

pub(crate) mod containers;
pub(crate) mod hosts;
mod image;
mod journal;
mod network;
mod python;
mod requirement;
mod root;
mod slurm;
mod sshd;
mod user;

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chopsticks_support::{LAB_VARIABLE, eventually, processes};

use crate::failure::Failure;
use crate::{command, interrupt};

use self::journal::{Journal, Trace};

pub(crate) use self::requirement::{Programs, missing};

/// How long what is ending may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The journal's name in the folder.
const JOURNAL: &str = "journal";

/// A folder, and a list of what was done outside of it.
#[derive(Debug)]
pub(crate) struct Lab {
    folder: PathBuf,
    /// `None` once it was taken down.
    journal: Option<Journal>,
}

impl Lab {
    /// Makes an empty lab called `name`, after taking down what a killed run left of it.
    ///
    /// From here on signals do not end the program, since the lab would stay.
    pub(crate) fn new(name: &str) -> Result<Self, Failure> {
        interrupt::catch()?;
        let folder = env::temp_dir().join(format!("chopsticks-{name}"));
        if let Some(remains) = Self::find(&folder)? {
            println!("{}: an earlier run left it; it is taken down", folder.display());
            remains.take_down()?;
        }
        let during = |error| Failure::during(folder.display(), error);
        // Users of the lab look into it.
        DirBuilder::new().mode(0o755).create(&folder).map_err(during)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).map_err(during)?;
        Self::find(&folder)?.ok_or_else(|| Failure::new(format!("{}: went away", folder.display())))
    }

    /// Opens a lab that is there already.
    fn find(folder: &Path) -> Result<Option<Self>, Failure> {
        let Ok(metadata) = fs::symlink_metadata(folder) else { return Ok(None) };
        // Others may write into the folder for temporary files too, and a journal is a list of things to remove.
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(Failure::new(format!("{}: is not a folder of ours", folder.display())));
        }
        match Journal::open(&folder.join(JOURNAL))? {
            Some(journal) => Ok(Some(Self { folder: folder.to_owned(), journal: Some(journal) })),
            None => Err(Failure::new(format!("{}: another run is under way", folder.display()))),
        }
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of something in the folder.
    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Lets a command of a test runner find the lab, and the programs that the tests run find their settings.
    pub(crate) fn announce(&self, command: &mut Command) {
        command.env(LAB_VARIABLE, &self.folder);
        let settings = [
            ("CONTAINERS_CONF", "containers.conf"),
            ("CONTAINERS_STORAGE_CONF", "storage.conf"),
            ("SLURM_CONF", "slurm.conf"),
        ];
        for (variable, file) in settings {
            let path = self.path(file);
            if path.is_file() {
                command.env(variable, path);
            }
        }
    }

    /// Writes down what is about to be left outside of the folder.
    fn leave(&mut self, trace: Trace) -> Result<(), Failure> {
        self.journal.as_mut().ok_or_else(|| Failure::new("the lab was taken down"))?.add(trace)
    }

    /// Creates a folder that everybody may look into.
    fn create_folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(|error| Failure::during(path.display(), error))?;
        Ok(path)
    }

    /// Writes a file that everybody may read, and run if `mode` says so.
    fn write(&self, name: &str, mode: u32, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        write_file(&path, mode, text)?;
        Ok(path)
    }

    /// Runs a command that ends by itself, and fails with what it said if it fails.
    fn run(&self, command: &mut Command) -> Result<String, Failure> {
        interrupt::check()?;
        command::output(command)
    }

    /// Starts a server that stays until the lab is taken down; what it says is in `log/NAME`.
    fn start(&mut self, name: &str, command: &mut Command) -> Result<u32, Failure> {
        interrupt::check()?;
        let log = self.create_folder("log")?.join(name);
        let file = File::create(&log).map_err(|error| Failure::during(log.display(), error))?;
        let copy = file.try_clone().map_err(|error| Failure::during(log.display(), error))?;
        // In a group of its own, so that Ctrl-C does not end it before what uses it.
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0).spawn();
        let child = child.map_err(|error| Failure::during(command::show(command), error))?;
        self.leave(Trace::of_process(child.id()))?;
        Ok(child.id())
    }

    /// Takes everything down, and fails if something is left.
    pub(crate) fn take_down(mut self) -> Result<(), Failure> {
        self.undo()
    }

    /// Leaves everything as it is: the next run takes it down.
    pub(crate) fn keep(mut self) {
        self.journal = None;
        println!("kept: export {LAB_VARIABLE}={}", self.folder.display());
    }

    /// Returns what tests have left of their own: processes and containers.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let look = || {
            left = self.journal.iter().flat_map(Journal::leftovers).collect();
            // Whatever runs on this side inherited the variable from its test. A shell may have it from somebody who uses hosts
            // that were kept.
            let folder = self.folder.to_string_lossy();
            let begin = processes::start_time(std::process::id());
            let started = processes::with_environment(LAB_VARIABLE, &folder);
            for pid in started.into_iter().filter(|&pid| processes::start_time(pid) > begin) {
                left.push(format!("process {pid}: {}", processes::describe(pid)));
            }
            left.is_empty()
        };
        let _ = eventually(PATIENCE, look);
        left.into_iter().map(|what| format!("the tests left {what}")).collect()
    }

    fn undo(&mut self) -> Result<(), Failure> {
        let Some(journal) = self.journal.take() else { return Ok(()) };
        let undone = journal.undo();
        unmount_below(&self.folder);
        fs::remove_dir_all(&self.folder).map_err(|error| Failure::during(self.folder.display(), error))?;
        undone
    }
}

impl Drop for Lab {
    /// A set-up that failed: whatever comes of it, the failure is what is reported.
    fn drop(&mut self) {
        if let Err(Failure::Message(message)) = self.undo() {
            eprintln!("{message}");
        }
    }
}

fn write_file(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let during = |error| Failure::during(path.display(), error);
    fs::write(path, text).map_err(during)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(during)
}

/// Unmounts what container engines left mounted, innermost first.
fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut points: Vec<_> =
        mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new).collect();
    points.retain(|point| point.starts_with(folder) && *point != folder);
    for point in points.iter().rev() {
        command::succeeds(Command::new("umount").arg(point));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lab_that_was_left_is_taken_down_by_the_next_and_one_in_use_is_not_touched() {
        let name = format!("lab-of-a-test-{}", std::process::id());
        let mut lab = Lab::new(&name).unwrap();
        let folder = lab.folder().to_owned();
        let pid = lab.start("sleep", Command::new("sleep").arg("1000")).unwrap();
        let failure = Lab::new(&name).unwrap_err();
        assert!(matches!(failure, Failure::Message(text) if text.ends_with("another run is under way")));
        lab.keep();
        assert!(chopsticks_support::processes::is_there(pid) && folder.is_dir());
        let lab = Lab::new(&name).unwrap();
        assert!(!chopsticks_support::processes::is_there(pid));
        lab.take_down().unwrap();
        assert!(!folder.exists());
    }
}
