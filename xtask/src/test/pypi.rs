//! The suite `pypi`: fetches wheels, and runs the tests that use them.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::suites::has_nextest;
use super::{Dialect, Obstacle, Options, Plan, Run};
use crate::command;
use crate::workspace::Workspace;

/// The package with the tests, and with the files of what they need.
pub(super) const PACKAGE: &str = "chopsticks-pypi";
const REQUIREMENTS: &str = "tests/pypi/requirements";

/// A file of pinned requirements, and for which Python its wheels are taken. Their extension modules are never used, so one build
/// does for all machines.
struct Set {
    name: &'static str,
    python: &'static str,
    abi: &'static str,
}

const SETS: &[Set] = &[
    Set { name: "python-2.7", python: "2.7", abi: "cp27mu" },
    Set { name: "python-3.6", python: "3.6", abi: "cp36m" },
    Set { name: "python-3.7", python: "3.11", abi: "cp311" },
];

/// Wheels are for one of these, or for any machine.
const PLATFORMS: &[&str] =
    &["manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "any"];

pub(super) fn plan(workspace: &Workspace, _: &Options) -> Result<Plan, Obstacle> {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.root().join("target"), PathBuf::from);
    let folder = workspace.root().join(target).join("pypi");
    for set in SETS {
        fetch(workspace, set, &folder.join(set.name))?;
    }
    let (mut command, dialect) = if has_nextest(workspace) {
        let run = ["nextest", "run", "--locked", "--no-fail-fast", "--package", PACKAGE];
        (workspace.cargo(run), Dialect::Nextest)
    } else {
        let test = ["test", "--locked", "--no-fail-fast", "--package", PACKAGE, "--tests"];
        (workspace.cargo(test), Dialect::CargoTest)
    };
    command.env("CHOPSTICKS_WHEELS", &folder);
    Ok(Plan::of(vec![Run { label: String::new(), command, dialect, again: None }]))
}

/// Downloads the wheels of a set, unless they are there.
fn fetch(workspace: &Workspace, set: &Set, folder: &Path) -> Result<(), Obstacle> {
    let file = format!("{REQUIREMENTS}/{}.txt", set.name);
    let broken = |error: io::Error| Obstacle::Broken(format!("{file}: {error}"));
    let wanted = fs::read_to_string(workspace.root().join(&file)).map_err(broken)?;
    // Written last, so that a download that was broken off is begun again.
    let mark = folder.join("complete");
    if fs::read_to_string(&mark).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(broken(error)),
        _ => fs::create_dir_all(folder).map_err(broken)?,
    }
    let downloaded = command::run(&mut download(workspace, set, &file, folder));
    downloaded.map_err(|_| {
        Obstacle::Missing(format!(
            "the wheels of {file} cannot be downloaded: needs `python3 -m pip` and PyPI"
        ))
    })?;
    fs::write(mark, wanted).map_err(broken)
}

fn download(workspace: &Workspace, set: &Set, file: &str, folder: &Path) -> Command {
    let mut pip = workspace.program("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
    pip.args(["--no-deps", "--only-binary=:all:", "--requirement", file, "--dest"]).arg(folder);
    pip.args(["--implementation", "cp", "--python-version", set.python, "--abi", set.abi, "--abi", "none"]);
    for platform in PLATFORMS {
        pip.args(["--platform", platform]);
    }
    pip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_requirements_has_its_set_and_pins_by_hash() {
        let workspace = Workspace::locate().unwrap();
        let mut names: Vec<_> = fs::read_dir(workspace.root().join(REQUIREMENTS))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, SETS.iter().map(|set| format!("{}.txt", set.name)).collect::<Vec<_>>());
        for name in names {
            let text = fs::read_to_string(workspace.root().join(REQUIREMENTS).join(&name)).unwrap();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                assert!(line.contains("==") && line.contains(" --hash=sha256:"), "{name}: {line}");
            }
        }
    }
}
