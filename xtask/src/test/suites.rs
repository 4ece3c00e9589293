//! The table of suites: to add one, add an entry and the function that plans it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use chopsticks_support::{INTERPRETERS_VARIABLE, Interpreter, find_interpreters};
use tempfile::TempDir;

use super::{Again, AtOnce, Dialect, Obstacle, Options, Plan, Run, Suite, pypi, python};
use crate::command;
use crate::failure::Failure;
use crate::lab::{self, Lab, containers, hosts};
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
    Suite { name: "hosts", about: "every driver but containers, on real hosts of this machine", plan: hosts },
    Suite { name: "docker", about: "containers of Docker and podman", plan: docker },
    Suite {
        name: "pypi",
        about: "popular packages of PyPI, used where nothing is installed",
        plan: pypi::plan,
    },
    Suite {
        name: "python",
        about: "the Python package, as a wheel under every Python that it is for",
        plan: python::plan,
    },
    Suite { name: "fuzz", about: "30 seconds over all fuzz targets", plan: fuzz },
];

/// How long the fuzz targets run together.
const FUZZ_SECONDS: usize = 30;

/// The package whose tests need test hosts.
const HOSTS: &str = "chopsticks-hosts";

/// The folder of the fuzz targets, which is a workspace of its own.
const FUZZ: &str = "tests/fuzz";

fn workspace(workspace: &Workspace, _: &Options) -> Result<Plan, Obstacle> {
    // Tests that only root can do are ignored unless they are asked for.
    let is_root = rustix::process::geteuid().is_root();
    let left_out =
        (!is_root).then(|| "the tests that only root can do were not run: run it as root".to_owned());
    if has_nextest(workspace) {
        let mut command = workspace.cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(["--exclude", HOSTS, "--exclude", pypi::PACKAGE]);
        if is_root {
            command.args(["--run-ignored", "all"]);
        }
        let run = |label: &str, command| Run {
            label: label.to_owned(),
            command,
            dialect: Dialect::Nextest,
            again: None,
        };
        // The other tests need what the features contain.
        let mut lean = workspace.cargo(["nextest", "run", "--package", "chopsticks", "--locked"]);
        lean.args(["--no-default-features", "--test", "lean"]);
        let runs = vec![run("all features", command), run("no features", lean)];
        return Ok(Plan { left_out, ..Plan::of(runs) });
    }
    let mut command =
        workspace.cargo(["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    command.args(["--exclude", HOSTS, "--exclude", pypi::PACKAGE]);
    if is_root {
        command.args(["--", "--include-ignored"]);
    }
    let run = Run { label: String::new(), command, dialect: Dialect::CargoTest, again: None };
    Ok(Plan { note: "without cargo-nextest".to_owned(), left_out, ..Plan::of(vec![run]) })
}

fn doctests(workspace: &Workspace, _: &Options) -> Result<Plan, Obstacle> {
    let command = workspace.cargo(["test", "--workspace", "--locked", "--no-fail-fast", "--doc"]);
    Ok(Plan::of(vec![Run { label: String::new(), command, dialect: Dialect::CargoTest, again: None }]))
}

fn agent(workspace: &Workspace, _: &Options) -> Result<Plan, Obstacle> {
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
        let (interpreter, tests) = (interpreter.clone(), folder.join("tests"));
        let label = format!("Python {interpreter}");
        let again: Again = Box::new(move |name| {
            let mut command = interpreter.command();
            command.args(["-m", "unittest", "-v", name]).current_dir(&tests);
            command
        });
        Run { label, command, dialect: Dialect::Unittest, again: Some(again) }
    });
    let note = format!("under {}", list(found));
    Ok(Plan { note, at_once: AtOnce::TwoPerCore, ..Plan::of(runs.collect()) })
}

fn interpreters(_: &Workspace, _: &Options) -> Result<Plan, Obstacle> {
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

fn benches(workspace: &Workspace, _: &Options) -> Result<Plan, Obstacle> {
    // Nothing is measured, so what the tests have built will do, and optimising takes minutes. All of the workspace is
    // chosen, since for one package alone its dependencies would be built once more, with fewer features.
    let mut command = workspace.cargo(["bench", "--workspace", "--bench=*", "--profile=dev", "--locked"]);
    command.args(["--", "--test"]);
    Ok(Plan::of(vec![Run { label: String::new(), command, dialect: Dialect::Criterion, again: None }]))
}

fn fuzz(workspace: &Workspace, _: &Options) -> Result<Plan, Obstacle> {
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
    Run { label: target.to_owned(), command, dialect: Dialect::LibFuzzer, again: None }
}

fn hosts(workspace: &Workspace, options: &Options) -> Result<Plan, Obstacle> {
    let set_up = |lab: &mut Lab| hosts::set_up(lab);
    in_lab(workspace, options, ("hosts", ""), hosts::PROGRAMS, set_up)
}

fn docker(workspace: &Workspace, options: &Options) -> Result<Plan, Obstacle> {
    if let Some(trouble) = lab::missing(containers::PROGRAMS).or_else(containers::engine_trouble) {
        return Err(Obstacle::Missing(trouble));
    }
    let set_up = |lab: &mut Lab| containers::set_up(lab, options.official);
    let half = lab::missing(containers::PODMAN_PROGRAMS);
    // The tests with podman have it in their names.
    let filter = if half.is_some() { " & not test(podman)" } else { "" };
    let plan = in_lab(workspace, options, ("docker", filter), containers::PROGRAMS, set_up)?;
    Ok(Plan { left_out: half.map(|missing| format!("the half with podman was not run: {missing}")), ..plan })
}

/// Sets a lab up, and plans to run the tests of one program of [`HOSTS`] in it, less what the filter leaves out.
fn in_lab(
    workspace: &Workspace,
    options: &Options,
    (name, filter): (&str, &str),
    programs: lab::Programs,
    set_up: impl FnOnce(&mut Lab) -> Result<String, Failure>,
) -> Result<Plan, Obstacle> {
    if let Some(trouble) = lab::missing(programs) {
        return Err(Obstacle::Missing(trouble));
    }
    if !has_nextest(workspace) {
        // Tests look at the processes and the descriptors of their own process, so each needs one.
        return Err(Obstacle::Missing(
            "cargo-nextest is not installed: cargo install cargo-nextest".to_owned(),
        ));
    }
    // What does not compile is known before anything is set up.
    let mut build = workspace.cargo(["nextest", "run", "--workspace", "--locked", "--no-run"]);
    command::run(&mut build).map_err(broken)?;
    let mut lab = Lab::new(name).map_err(broken)?;
    let note = set_up(&mut lab).map_err(broken)?;
    println!("{note}");
    let filter = format!("package({HOSTS}) & binary({name}){filter}");
    let mut command = workspace.cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    // All of the workspace is built, as for the other suites: a choice would build its dependencies once more.
    command.args(["--profile", "hosts", "-E", &filter]).args(&options.filters);
    lab.announce(&mut command);
    let run = Run { label: String::new(), command, dialect: Dialect::Nextest, again: None };
    Ok(Plan { note, lab: Some(lab), ..Plan::of(vec![run]) })
}

pub(super) fn broken(failure: Failure) -> Obstacle {
    Obstacle::Broken(match failure {
        Failure::Message(message) => message,
        Failure::Reported => "it could not be set up".to_owned(),
    })
}

pub(super) fn has_nextest(workspace: &Workspace) -> bool {
    command::succeeds(&mut workspace.cargo(["nextest", "--version"]))
}

/// Looks for interpreters once.
pub(super) fn found() -> Result<&'static [Interpreter], Obstacle> {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let found = find_interpreters().map_err(|error| Obstacle::Broken(error.to_string()))?;
    Ok(FOUND.get_or_init(|| found))
}

pub(super) fn list(interpreters: &[Interpreter]) -> String {
    let names: Vec<_> = interpreters.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Plan {
    pub(super) fn of(runs: Vec<Run>) -> Self {
        Self { runs, note: String::new(), left_out: None, at_once: AtOnce::One, scratch: None, lab: None }
    }
}
