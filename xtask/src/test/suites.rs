//! The table of suites: to add one, add an entry and the function that plans it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use chopsticks_support::{INTERPRETERS_VARIABLE, Interpreter, find_interpreters};
use tempfile::TempDir;

use super::{AtOnce, Dialect, Obstacle, Plan, Run, Suite};
use crate::command;
use crate::workspace::Workspace;

/// All suites, in the order in which they run.
pub(super) const SUITES: &[Suite] = &[
    Suite { name: "workspace", about: "tests of all crates", plan: workspace },
    Suite { name: "doctests", about: "examples of the documentation", plan: doctests },
    Suite { name: "agent", about: "the agent's own tests, under every Python", plan: agent },
    Suite {
        name: "interpreters",
        about: "requirement of `workspace`: a Python 2.7 and a newer one to test against",
        plan: interpreters,
    },
    Suite { name: "benches", about: "every benchmark once, not measured", plan: benches },
    Suite { name: "fuzz", about: "30 seconds over all fuzz targets", plan: fuzz },
];

/// How long the fuzz targets run together.
const FUZZ_SECONDS: usize = 30;

/// The folder of the fuzz targets, which is a workspace of its own.
const FUZZ: &str = "tests/fuzz";

fn workspace(workspace: &Workspace) -> Result<Plan, Obstacle> {
    if command::succeeds(&mut workspace.cargo(["nextest", "--version"])) {
        let command = workspace.cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
        return Ok(Plan::of(vec![Run { label: String::new(), command, dialect: Dialect::Nextest }]));
    }
    let command =
        workspace.cargo(["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    let run = Run { label: String::new(), command, dialect: Dialect::CargoTest };
    Ok(Plan { note: "without cargo-nextest".to_owned(), ..Plan::of(vec![run]) })
}

fn doctests(workspace: &Workspace) -> Result<Plan, Obstacle> {
    let command = workspace.cargo(["test", "--workspace", "--locked", "--no-fail-fast", "--doc"]);
    Ok(Plan::of(vec![Run { label: String::new(), command, dialect: Dialect::CargoTest }]))
}

fn agent(workspace: &Workspace) -> Result<Plan, Obstacle> {
    let folder = workspace.root().join("agent");
    if !folder.join("tests").is_dir() {
        return Err(Obstacle::Broken("there is no agent/tests".to_owned()));
    }
    let found = found()?;
    if found.is_empty() {
        return Err(Obstacle::Missing(format!(
            "there is no Python: install python3, or name one in {INTERPRETERS_VARIABLE}"
        )));
    }
    let runs = found.iter().map(|interpreter| {
        let mut command = interpreter.command();
        // Verbose, so that a test that hangs is named.
        command.args(["-m", "unittest", "discover", "-v", "-s", "tests"]).current_dir(&folder);
        Run { label: format!("Python {interpreter}"), command, dialect: Dialect::Unittest }
    });
    let note = format!("under {}", list(found));
    Ok(Plan { note, at_once: AtOnce::OnePerCore, ..Plan::of(runs.collect()) })
}

fn interpreters(_: &Workspace) -> Result<Plan, Obstacle> {
    let found = found()?;
    let has_old = found.iter().any(Interpreter::is_python2);
    let has_new = found.iter().any(|interpreter| interpreter.version() >= (3, 8, 0));
    if has_old && has_new {
        return Ok(Plan { note: format!("found {}", list(found)), ..Plan::of(Vec::new()) });
    }
    let lacking = if has_old { "Python 3.8 or later" } else { "Python 2.7" };
    Err(Obstacle::Missing(format!(
        "there is no {lacking} (found {}): install one, with pyenv for instance, or name it in \
         {INTERPRETERS_VARIABLE}; .ci/run shows how Debian gets a 2.7",
        list(found)
    )))
}

fn benches(workspace: &Workspace) -> Result<Plan, Obstacle> {
    // Nothing is measured, so what the tests have built will do, and optimising takes minutes.
    let mut command = workspace.cargo(["bench", "--package=chopsticks-benches", "--profile=dev", "--locked"]);
    command.args(["--", "--test"]);
    Ok(Plan::of(vec![Run { label: String::new(), command, dialect: Dialect::Criterion }]))
}

fn fuzz(workspace: &Workspace) -> Result<Plan, Obstacle> {
    if !command::succeeds(&mut workspace.cargo(["fuzz", "--version"])) {
        return Err(Obstacle::Missing(
            "cargo-fuzz is not installed: cargo install --locked cargo-fuzz".to_owned(),
        ));
    }
    if !command::succeeds(Command::new("c++").arg("--version")) {
        return Err(Obstacle::Missing(
            "libFuzzer needs a C++ compiler: install g++ (or clang) as `c++`".to_owned(),
        ));
    }
    let list = command::output(&mut workspace.cargo(["fuzz", "list", "--fuzz-dir", FUZZ]));
    let list = list.map_err(|_| Obstacle::Broken(format!("cargo fuzz finds no targets in {FUZZ}")))?;
    let targets: Vec<_> = list.lines().map(str::trim).filter(|target| !target.is_empty()).collect();
    let seconds = (FUZZ_SECONDS / targets.len().max(1)).max(1);
    if targets.is_empty() {
        return Err(Obstacle::Broken(format!("there is no target in {FUZZ}")));
    }
    // New inputs go into the first folder; the corpus that is kept must not change under a mere test.
    let scratch = TempDir::with_prefix("xtask-").map_err(|error| Obstacle::Broken(error.to_string()))?;
    let mut runs = Vec::new();
    for target in &targets {
        let found = scratch.path().join(target);
        fs::create_dir_all(&found).map_err(|error| Obstacle::Broken(error.to_string()))?;
        runs.push(fuzz_run(workspace, target, &found, seconds));
    }
    let note = format!("{} targets, {seconds} s each", runs.len());
    Ok(Plan { note, scratch: Some(scratch), ..Plan::of(runs) })
}

fn fuzz_run(workspace: &Workspace, target: &str, found: &Path, seconds: usize) -> Run {
    let mut command = workspace.cargo(["fuzz", "run", "--fuzz-dir", FUZZ, target]);
    command.arg(found);
    let corpus = Path::new(FUZZ).join("corpus").join(target);
    if workspace.root().join(&corpus).is_dir() {
        command.arg(workspace.root().join(corpus));
    }
    // An input that takes longer than the timeout is a finding as well.
    command.args(["--", &format!("-max_total_time={seconds}"), "-timeout=10"]);
    // The instrumentation is a flag of nightly compilers, which a stable one takes when told so.
    command.env("RUSTC_BOOTSTRAP", "1");
    Run { label: target.to_owned(), command, dialect: Dialect::LibFuzzer }
}

/// Looks for interpreters once.
fn found() -> Result<&'static [Interpreter], Obstacle> {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let found = find_interpreters().map_err(|error| Obstacle::Broken(error.to_string()))?;
    Ok(FOUND.get_or_init(|| found))
}

fn list(interpreters: &[Interpreter]) -> String {
    let names: Vec<_> = interpreters.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Plan {
    fn of(runs: Vec<Run>) -> Self {
        Self { runs, note: String::new(), at_once: AtOnce::One, scratch: None }
    }
}
