//! Agents in Rust from a folder of programs.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use std::{fs, path::Path};

use chopsticks::{
    Agent, AgentProgram, Command, Error, Libc, Programs, Stderr, Tunnel, TunnelConfig, function,
};
use chopsticks_e2e::functions::program;
use chopsticks_support::Scratch;

chopsticks::tests!();

#[function]
fn only_here() -> u8 {
    1
}

const FUNCTIONS: &str = env!("CARGO_BIN_EXE_only_functions");
const STALE: &str = env!("CARGO_BIN_EXE_stale_functions");
/// Where an ELF file says what kind of machine it is for, and aarch64.
const MACHINE: usize = 0x12;
const AARCH64: u8 = 183;

fn tunnel(folder: &Path, driver: Command) -> Tunnel {
    let config = TunnelConfig::default().agent(Agent::Native).stderr(Stderr::off());
    Tunnel::with_config(driver, config.programs(Programs::folder(folder)))
}

fn here() -> Command {
    Command::new("sh").args(["-c", "{}"]).name("here")
}

/// A host that says it is another kind of machine.
fn machine(scratch: &Scratch, name: &str) -> Command {
    scratch.write("arch", format!("{name}\n"));
    let path = scratch.path().join("arch");
    let script =
        format!("exec sh -c \"$(printf %s \"$0\" | sed s:/proc/sys/kernel/arch:{}:g)\"", path.display());
    Command::new("sh").args(["-c", &script, "{}"]).name(name)
}

/// Copies a program into a folder, changed for another kind of machine.
fn place(from: &str, folder: &Path, name: &str, machine: Option<u8>) {
    let mut file = fs::read(from).unwrap();
    if let Some(machine) = machine {
        file[MACHINE] = machine;
    }
    fs::write(folder.join(name), file).unwrap();
}

fn cause(error: &Error) -> Option<&str> {
    error.hint().map(|hint| hint.cause())
}

#[tokio::test]
async fn program_of_the_folder_is_sent_and_runs_the_function() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("README"), "not a program").unwrap();
    place(STALE, scratch.path(), "a-stale", None);
    place(STALE, scratch.path(), "b-other", Some(AARCH64));
    place(FUNCTIONS, scratch.path(), "c-fitting", None);
    let tunnel = tunnel(scratch.path(), here());
    let (pid, len) = tunnel.invoke(program::with()).await.unwrap();
    assert_ne!(pid, std::process::id());
    let fitting = AgentProgram::read(scratch.path().join("c-fitting")).unwrap();
    assert_eq!(len, fitting.len_sent());
    // It has nothing of this program.
    let error = tunnel.invoke(only_here::with()).await.unwrap_err();
    assert!(error.to_string().contains("has no function programs::only_here"), "{error}");
    assert_eq!(tunnel.invoke(program::with()).await.unwrap().0, pid);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn program_from_another_source_is_refused_before_it_is_sent() {
    let scratch = Scratch::new();
    place(STALE, scratch.path(), "stale", None);
    let error = tunnel(scratch.path(), here()).invoke(program::with()).await.unwrap_err();
    assert_eq!(cause(&error), Some("program-stale"), "{error}");
    assert!(error.to_string().contains("stale was built from another source: its e2e::program"), "{error}");
}

#[tokio::test]
async fn host_gets_the_program_for_its_machine_or_none() {
    let scratch = Scratch::new();
    let folder = Scratch::new();
    // There is only this program, which fits the machine as it is.
    let (pid, _) = tunnel(folder.path(), here()).invoke(program::with()).await.unwrap();
    assert_ne!(pid, std::process::id());
    place(FUNCTIONS, folder.path(), "one", None);
    let other = tunnel(folder.path(), machine(&scratch, "aarch64"));
    let error = other.invoke(program::with()).await.unwrap_err();
    assert_eq!(cause(&error), Some("program-missing"), "{error}");
    let text = error.to_string();
    assert!(text.contains("fits the host, which is aarch64 with glibc"), "{text}");
    assert!(text.contains("it has one (x86_64, glibc 2."), "{text}");
    assert!(error.hint().unwrap().to_string().contains("--target aarch64-unknown-linux-musl"));
}

#[tokio::test]
async fn host_that_answers_nothing_is_reported_as_usual() {
    let scratch = Scratch::new();
    place(FUNCTIONS, scratch.path(), "one", None);
    let silent = Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"]).name("silent");
    let error = tunnel(scratch.path(), silent).invoke(program::with()).await.unwrap_err();
    assert!(error.to_string().contains("no such luck"), "{error}");
    let error = tunnel(&scratch.path().join("missing"), here()).invoke(program::with()).await.unwrap_err();
    assert!(error.to_string().contains("cannot read the folder"), "{error}");
}

#[test]
fn program_says_what_it_is() {
    let program = AgentProgram::read(FUNCTIONS).unwrap();
    assert_eq!(program.architecture(), std::env::consts::ARCH);
    assert!(matches!(program.libc(), Libc::Glibc(2, _) | Libc::Static), "{:?}", program.libc());
    // Beside those of the library.
    let own: Vec<_> = program.functions().names().filter(|name| name.starts_with("e2e::")).collect();
    assert_eq!(own, ["e2e::program", "e2e::starts"]);
    let error = AgentProgram::read("/bin/sh").unwrap_err();
    assert!(error.to_string().contains("has no functions"), "{error}");
}
