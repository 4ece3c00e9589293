//! Automation of the chopsticks workspace: `cargo xtask --help`.
//!
//! One task, one file: [`mod@test`] runs the test suites, [`check`] all that is known without running them,
//! of which [`layers`], [`tidy`] and [`agent_size`] are tasks too. A task prints the commands
//! that it runs, so that they can be repeated by hand, and ends the program with a status other than 0 when
//! something is wrong. It never panics for what it finds in the work tree.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what the program is for")]

mod agent_size;
mod check;
mod command;
mod failure;
mod interrupt;
mod joined;
mod lab;
mod layers;
mod package;
mod report;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::report::Strictness;
use crate::test::Options;
use crate::tidy::constants;
use crate::workspace::Workspace;

/// Automation of the chopsticks workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs every test suite whose requirement is present, and says which ones were not run.
    #[command(after_long_help = test::suites_help())]
    Test {
        /// A suite that cannot be run is a failure.
        #[arg(long)]
        strict: bool,
        /// Run only these suites.
        #[arg(value_name = "SUITE", value_parser = test::suite_names())]
        suites: Vec<String>,
    },
    /// Sets up servers, users and links on this machine, runs the suite `hosts` there, and takes all down.
    TestHosts {
        #[command(flatten)]
        hosts: HostOptions,
    },
    /// Makes images for the local container engine, runs the suite `docker` with them, and removes them.
    TestDocker {
        #[command(flatten)]
        hosts: HostOptions,
        /// Use official images of Python as well, from their registry.
        #[arg(long)]
        official: bool,
    },
    /// Builds the wheel of the Python package, and runs its tests under every Python that it is for.
    TestPython {
        /// Run only tests with one of these in their names.
        #[arg(value_name = "FILTER")]
        filters: Vec<String>,
    },
    /// Checks all that is known without running tests: format, lints, layers, tidiness, docs, licenses.
    #[command(after_long_help = check::steps_help())]
    Check {
        /// A step whose tool is not installed is a failure.
        #[arg(long)]
        strict: bool,
        /// Take only these steps.
        #[arg(value_name = "STEP", value_parser = check::step_names())]
        steps: Vec<String>,
    },
    /// Does what CI does: `check --strict`, then `test --strict`.
    Ci,
    /// Checks which crate may depend on which.
    Layers,
    /// Checks the rules that compilers do not: file sizes, openings, links, operation codes, constants.
    Tidy,
    /// Writes the constants of the Rust crates for the Python package on hosts; `tidy` verifies them.
    Constants,
    /// Prints how large the packed agent is, and fails above its budget.
    AgentSize,
}

/// Options of the tasks with test hosts.
#[derive(clap::Args, Debug)]
struct HostOptions {
    /// Leave all as it is; the next run takes it down.
    #[arg(long)]
    keep: bool,
    /// Run only tests with one of these in their names.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Message(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), Failure> {
    let workspace = Workspace::locate()?;
    match task {
        Task::Test { strict, suites } => {
            test::run(&workspace, Strictness::from_flag(strict), &suites, &Options::default())
        }
        Task::TestHosts { hosts } => test_alone(&workspace, "hosts", hosts, false),
        Task::TestDocker { hosts, official } => test_alone(&workspace, "docker", hosts, official),
        Task::TestPython { filters } => {
            let hosts = HostOptions { keep: false, filters };
            test_alone(&workspace, "python", hosts, false)
        }
        Task::Check { strict, steps } => check::run(&workspace, Strictness::from_flag(strict), &steps),
        Task::Ci => {
            // Both, so that one run tells all; the tests come last because their last line is the total.
            let checks = check::run(&workspace, Strictness::Strict, &[]);
            test::run(&workspace, Strictness::Strict, &[], &Options::default())?;
            checks
        }
        Task::Layers => layers::run(&workspace),
        Task::Tidy => tidy::run(&workspace),
        Task::Constants => write_constants(&workspace),
        Task::AgentSize => agent_size::run(),
    }
}

fn write_constants(workspace: &Workspace) -> Result<(), Failure> {
    let text = constants::text(&tidy::tracked_files(workspace)?).map_err(Failure::new)?;
    let path = workspace.root().join(constants::MODULE);
    std::fs::write(&path, text).map_err(|error| Failure::during(constants::MODULE, error))?;
    println!("{}", constants::MODULE);
    Ok(())
}

/// Runs one suite that has to run: nothing else was asked for.
fn test_alone(workspace: &Workspace, suite: &str, hosts: HostOptions, official: bool) -> Result<(), Failure> {
    let options = Options { keep: hosts.keep, official, filters: hosts.filters };
    test::run(workspace, Strictness::Alone, &[suite.to_owned()], &options)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
