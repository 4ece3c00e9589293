//! Checks all that is known without running tests.
//!
//! A step is an entry of [`STEPS`]. All steps are taken even if one fails, so that one run tells everything.

use std::fs;
use std::process::Command;

use clap::builder::PossibleValuesParser;

use crate::failure::Failure;
use crate::report::{self, Outcome, Strictness};
use crate::workspace::Workspace;
use crate::{agent_size, command, joined, layers, package, tidy};

/// Something to be checked.
struct Step {
    name: &'static str,
    about: &'static str,
    /// A tool that the toolchain does not bring.
    tool: Option<Tool>,
    run: fn(&Workspace) -> Result<(), Failure>,
}

/// A program that a step needs.
struct Tool {
    /// What succeeds where the tool is installed.
    probe: &'static [&'static str],
    /// How to get it.
    installation: &'static str,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", about: "Rust code is formatted", tool: None, run: fmt },
    Step { name: "clippy", about: "no lint of the compiler or of clippy", tool: None, run: clippy },
    Step { name: "layers", about: "crates depend on what lies below them", tool: None, run: layers::run },
    Step { name: "tidy", about: "file sizes, openings, links, operation codes", tool: None, run: tidy::run },
    Step {
        name: "agent-size",
        about: "the packed agent is within its budget",
        tool: None,
        run: |_| agent_size::run(),
    },
    Step {
        name: "features",
        about: "every feature alone, and none",
        tool: Some(Tool {
            // It shows its version only as a subcommand of cargo.
            probe: &["cargo", "hack", "--version"],
            installation: "pip install -r .ci/tools.txt, or cargo install --locked cargo-hack",
        }),
        run: features,
    },
    Step {
        name: "package",
        about: "what is published can be packed, and says what a registry shows",
        tool: None,
        run: package::run,
    },
    Step { name: "docs", about: "documentation without warnings, private items too", tool: None, run: docs },
    Step {
        name: "book",
        about: "the book builds",
        tool: Some(Tool {
            probe: &["mdbook", "--version"],
            installation: "apt-get install mdbook from Debian 13 on, .ci/interpreters, or cargo install mdbook",
        }),
        run: book,
    },
    Step {
        name: "deny",
        about: "licenses, sources and bans of dependencies",
        tool: Some(Tool {
            probe: &["cargo", "deny", "--version"],
            installation: "cargo install --locked cargo-deny",
        }),
        run: deny,
    },
    Step {
        name: "typos",
        about: "words are spelled right",
        tool: Some(Tool {
            probe: &["typos", "--version"],
            installation: "pip install -r .ci/tools.txt, or cargo install --locked typos-cli",
        }),
        run: typos,
    },
    Step {
        name: "ruff",
        about: "lints of Python files",
        tool: Some(Tool { probe: &["ruff", "--version"], installation: "pip install ruff" }),
        run: ruff,
    },
    Step {
        name: "mypy",
        about: "types of the Python package",
        tool: Some(Tool { probe: &["mypy", "--version"], installation: "pip install -r .ci/tools.txt" }),
        run: mypy,
    },
];

/// Takes the steps of these names, or all if there is no name.
pub(crate) fn run(workspace: &Workspace, strictness: Strictness, names: &[String]) -> Result<(), Failure> {
    let chosen = STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name));
    let mut rows = Vec::new();
    for step in chosen {
        println!("\n== {}: {}", step.name, step.about);
        let (outcome, remark) = take(workspace, step);
        rows.push((step.name, outcome, remark));
    }
    let all_fine = rows.iter().all(|(_, outcome, _)| outcome.is_fine(strictness));
    let some_not_run = rows.iter().any(|(_, outcome, _)| *outcome == Outcome::NotRun);
    println!("\n== result");
    for line in report::table("step", rows) {
        println!("{line}");
    }
    if some_not_run {
        println!("{}", strictness.verdict_on_what_was_not_run());
    }
    if all_fine { Ok(()) } else { Err(Failure::Reported) }
}

/// The names that `cargo xtask check` takes.
pub(crate) fn step_names() -> PossibleValuesParser {
    PossibleValuesParser::new(STEPS.iter().map(|step| step.name))
}

/// The part of the help that lists the steps.
pub(crate) fn steps_help() -> String {
    report::help("Steps", STEPS.iter().map(|step| (step.name, step.about)))
}

fn take(workspace: &Workspace, step: &Step) -> (Outcome, String) {
    if let Some(Tool { probe: [program, arguments @ ..], installation }) = &step.tool
        && !command::succeeds(Command::new(program).args(arguments.iter()))
    {
        return (Outcome::NotRun, format!("{program} {} fails: {installation}", arguments.join(" ")));
    }
    match (step.run)(workspace) {
        Ok(()) => (Outcome::Ran, String::new()),
        Err(Failure::Reported) => (Outcome::Failed, String::new()),
        Err(Failure::Message(message)) => (Outcome::Failed, message),
    }
}

fn fmt(workspace: &Workspace) -> Result<(), Failure> {
    command::run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    // The fuzz targets are a workspace of their own.
    let fuzz = "tests/fuzz/Cargo.toml";
    if !fs::exists(workspace.root().join(fuzz)).unwrap_or_default() {
        return Ok(());
    }
    command::run(&mut workspace.cargo(["fmt", "--manifest-path", fuzz, "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<(), Failure> {
    let mut command = workspace.cargo(["clippy", "--workspace", "--all-targets", "--locked"]);
    command::run(command.args(["--", "-D", "warnings"]))
}

fn docs(workspace: &Workspace) -> Result<(), Failure> {
    let mut command = workspace.cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    command::run(command.arg("--locked").env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// Its links are checked by `tidy`.
fn book(workspace: &Workspace) -> Result<(), Failure> {
    let mut command = workspace.program("mdbook");
    command::run(command.args(["build", "docs", "--dest-dir"]).arg(workspace.root().join("target/book")))
}

fn deny(workspace: &Workspace) -> Result<(), Failure> {
    command::run(&mut workspace.cargo(["deny", "--locked", "check", "bans", "licenses", "sources"]))
}

/// Only the crates that are published have features; the others would be built for nothing. All features, which are the
/// default, are what clippy has seen.
fn features(workspace: &Workspace) -> Result<(), Failure> {
    let mut command = workspace.cargo(["hack", "check", "--workspace", "--ignore-private", "--locked"]);
    command::run(command.args(["--each-feature", "--exclude-all-features", "--exclude-features", "default"]))
}

fn typos(workspace: &Workspace) -> Result<(), Failure> {
    command::run(workspace.program("typos").arg("--format=brief"))
}

fn ruff(workspace: &Workspace) -> Result<(), Failure> {
    let joined = joined::run(workspace);
    command::run(workspace.program("ruff").args(["check", "--no-cache"]).args([
        "agent",
        "crates/chopsticks-python",
        "tests/python",
        "tests/python-api",
    ]))?;
    joined
}

fn mypy(workspace: &Workspace) -> Result<(), Failure> {
    let mut command = workspace.program("mypy");
    command.current_dir(workspace.root().join("crates/chopsticks-python"));
    command::run(command.args(["--cache-dir", "/dev/null"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(step: &Step) -> (Outcome, String) {
        take(&Workspace::locate().unwrap(), step)
    }

    #[test]
    fn step_without_its_tool_says_how_to_get_it() {
        let tool = Tool { probe: &["/nonexistent/tool", "--version"], installation: "install it" };
        let step = Step { name: "made-up", about: "", tool: Some(tool), run: |_| Ok(()) };
        let remark = "/nonexistent/tool --version fails: install it".to_owned();
        assert_eq!(outcome(&step), (Outcome::NotRun, remark));
    }

    #[test]
    fn failure_of_a_step_stands_in_the_table() {
        let step = Step { name: "made-up", about: "", tool: None, run: |_| Err(Failure::new("reason")) };
        assert_eq!(outcome(&step), (Outcome::Failed, "reason".to_owned()));
    }
}
