//! What a lab needs of the machine.

use std::env;
use std::path::PathBuf;

/// Programs, and the package of Debian that has each.
pub(crate) type Programs = &'static [(&'static str, &'static str)];

/// Returns the program's path; `/usr/sbin` counts even where `PATH` has it not.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Returns a sentence about what is not there and how to get it, or `None` if all is there.
pub(crate) fn missing(programs: Programs) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it sets up users, addresses and containers, for which it has to be root".to_owned());
    }
    let missing: Vec<_> = programs.iter().filter(|(program, _)| find(program).is_none()).collect();
    if missing.is_empty() {
        return None;
    }
    let names: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    let (names, packages) = (names.join(", "), packages.join(" "));
    Some(format!("there is no {names}: apt-get install --no-install-recommends {packages}"))
}
