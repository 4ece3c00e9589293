//! What `cargo xtask` has set up.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chopsticks::Ssh;
use chopsticks_support::LAB_VARIABLE;

/// Returns the folder of the lab.
///
/// # Panics
///
/// If there is none: these tests do not run by themselves.
pub fn folder() -> PathBuf {
    let folder = env::var_os(LAB_VARIABLE).map(PathBuf::from);
    folder
        .unwrap_or_else(|| panic!("{LAB_VARIABLE} is not set: run `cargo xtask test-hosts` or `test-docker`"))
}

/// Returns a driver for a host of the lab, by its name in the lab's `ssh_config`.
pub fn ssh(alias: &str) -> Ssh {
    Ssh::new(alias).config_file(folder().join("ssh/config"))
}

/// Returns the folder of the modules that agents import.
pub fn code() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// Returns the path of a program that stands in for one that no package of Debian has.
pub fn stand_in(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-ins").join(name)
}

/// Returns the root folder with interpreters.
pub fn root() -> String {
    folder().join("root").display().to_string()
}

/// Returns the same root folder with `/proc`.
pub fn chroot() -> String {
    folder().join("chroot").display().to_string()
}

/// Returns the program that makes a call until it is killed: `far_controller PLACE FUNCTION ARGUMENT`.
///
/// # Panics
///
/// If the tests are not run by cargo-nextest.
pub fn controller() -> PathBuf {
    let path = env::var_os("NEXTEST_BIN_EXE_far_controller").map(PathBuf::from);
    path.expect("cargo-nextest says where the programs of a package are")
}

/// Returns the images that were made for the tests, oldest Python first.
///
/// # Panics
///
/// If the lab has none.
pub fn images() -> Vec<String> {
    let text = fs::read_to_string(folder().join("images")).expect("the lab has images");
    text.lines().map(str::to_owned).collect()
}

/// Returns the image with the newest Python.
///
/// # Panics
///
/// If the lab has none.
pub fn newest_image() -> String {
    images().into_iter().rfind(|image| image.starts_with("chopsticks-test/")).expect("the lab has images")
}

/// Runs a program to its end, for what a test needs besides.
///
/// # Panics
///
/// If it cannot be run, or fails.
pub fn run<const N: usize>(program: &str, arguments: [&str; N]) -> String {
    let output = output(program, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs a program to its end, whatever that is.
///
/// # Panics
///
/// If it cannot be run.
pub fn output<const N: usize>(program: &str, arguments: [&str; N]) -> Output {
    Command::new(program).args(arguments).output().expect("the program is there")
}

/// The link to one of the hosts `cut-1`, `cut-2`…, cut while this lives.
#[derive(Debug)]
pub struct Cut {
    namespace: String,
}

impl Cut {
    /// Loses every packet from and to the host.
    pub fn new(alias: &str) -> Self {
        let namespace = format!("chopsticks-{alias}");
        for chain in ["INPUT", "OUTPUT"] {
            run("ip", ["netns", "exec", &namespace, "iptables", "-A", chain, "-j", "DROP"]);
        }
        Self { namespace }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        output("ip", ["netns", "exec", &self.namespace, "iptables", "-F"]);
    }
}
