//! Runs the test suites, and tells which ones could not be run.
//!
//! A suite is an entry of [`suites::SUITES`]. Nothing is skipped in silence: a suite whose requirement is
//! missing stands in the closing table with the reason and the way to get it, and with `--strict` it is a
//! failure. A suite whose runner found no test has failed.

mod pypi;
mod python;
mod suites;
mod summary;

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use tempfile::TempDir;

use crate::command::{self, Ending};
use crate::failure::Failure;
use crate::interrupt;
use crate::lab::Lab;
use crate::report::{self, Outcome, Strictness};
use crate::workspace::Workspace;

use self::suites::SUITES;
use self::summary::{Counts, Dialect, Scanner, Told};

/// How long a runner may print nothing before it is ended: longer than the slowest crate compiles on a slow
/// machine, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// At most this many failed tests of a run are repeated: more of them are a fault and no bad luck.
const MOST_REPEATED: usize = 5;

/// A set of tests with one requirement.
struct Suite {
    name: &'static str,
    about: &'static str,
    /// Finds what the suite needs, and says what to run.
    plan: fn(&Workspace, &Options) -> Result<Plan, Obstacle>,
}

/// What the suites with test hosts can be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Leave the hosts as they are.
    pub(crate) keep: bool,
    /// Fetch official images as well.
    pub(crate) official: bool,
    /// Run only the tests with one of these in their names.
    pub(crate) filters: Vec<String>,
}

/// What a suite runs.
struct Plan {
    runs: Vec<Run>,
    /// What to say of it in the table, such as the interpreters that were found.
    note: String,
    /// What is left out because something is not installed, if anything: what, and how to get it.
    left_out: Option<String>,
    at_once: AtOnce,
    /// Where the runs leave what nobody needs.
    scratch: Option<TempDir>,
    /// The hosts that the runs use.
    lab: Option<Lab>,
}

/// How many runs of a suite go side by side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AtOnce {
    One,
    /// For runners that wait about as long as they work.
    OnePerCore,
    /// For runners that mostly wait. Their lines are told apart by the label.
    TwoPerCore,
}

/// One call of a test runner.
struct Run {
    /// What tells it from the other runs of the suite; empty if there are none.
    label: String,
    command: Command,
    dialect: Dialect,
    /// Makes the command that runs a single test again, for a runner that does not repeat tests itself.
    again: Option<Again>,
}

/// Makes the command that runs the test of a name.
type Again = Box<dyn Fn(&str) -> Command + Send>;

/// How one call of a test runner went.
struct Finished {
    /// The label as a prefix.
    label: String,
    counts: Counts,
    closing_lines: Vec<String>,
    /// What was wrong, if anything.
    trouble: Option<String>,
    /// The tests that failed and passed when they were repeated.
    flaky: Vec<String>,
    /// The failed tests, and how to repeat them.
    to_repeat: Option<(Vec<String>, Again)>,
}

/// Why a suite has nothing to run.
enum Obstacle {
    /// Something is not installed: what, and how to get it.
    Missing(String),
    /// Something is wrong with the workspace itself.
    Broken(String),
}

/// How a suite went.
struct Report {
    name: &'static str,
    outcome: Outcome,
    counts: Counts,
    remark: String,
    /// The runners' own closing lines.
    closing_lines: Vec<String>,
    /// The tests that failed and passed when they were repeated.
    flaky: Vec<String>,
}

/// Runs the suites of these names, or all if there is no name.
pub(crate) fn run(
    workspace: &Workspace,
    strictness: Strictness,
    names: &[String],
    options: &Options,
) -> Result<(), Failure> {
    let chosen =
        SUITES.iter().filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name));
    let mut reports = Vec::new();
    for suite in chosen {
        println!("\n== {}: {}", suite.name, suite.about);
        reports.push(run_suite(workspace, suite, options)?);
        interrupt::check()?;
    }
    let all_fine = reports.iter().all(|report| report.outcome.is_fine(strictness));
    conclude(&reports, strictness);
    if all_fine { Ok(()) } else { Err(Failure::Reported) }
}

/// The names that `cargo xtask test` takes.
pub(crate) fn suite_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SUITES.iter().map(|suite| suite.name))
}

/// The part of the help that lists the suites.
pub(crate) fn suites_help() -> String {
    report::help("Suites", SUITES.iter().map(|suite| (suite.name, suite.about)))
}

fn run_suite(workspace: &Workspace, suite: &Suite, options: &Options) -> Result<Report, Failure> {
    let report = |outcome, remark| Report {
        name: suite.name,
        outcome,
        counts: Counts::default(),
        remark,
        closing_lines: Vec::new(),
        flaky: Vec::new(),
    };
    let plan = match (suite.plan)(workspace, options) {
        Ok(plan) => plan,
        Err(Obstacle::Missing(what)) => return Ok(report(Outcome::NotRun, what)),
        Err(Obstacle::Broken(what)) => {
            return Ok(Report { counts: Counts::one_failure(), ..report(Outcome::Failed, what) });
        }
    };
    let mut report = report(Outcome::Ran, String::new());
    let mut troubles = Vec::new();
    for result in perform_all(plan.runs, plan.at_once) {
        let Finished { label, counts, closing_lines, trouble, flaky, .. } = repeat_alone(result?)?;
        report.closing_lines.extend(closing_lines.into_iter().map(|line| format!("{label}{line}")));
        report.flaky.extend(flaky.into_iter().map(|name| format!("{label}{name}")));
        report.counts += counts;
        troubles.extend(trouble.map(|trouble| format!("{label}{trouble}")));
    }
    drop(plan.scratch);
    if let Some(lab) = plan.lab {
        troubles.extend(end_lab(lab, options));
    }
    if !troubles.is_empty() {
        report.outcome = Outcome::Failed;
        report.remark = troubles.join("; ");
    } else if let Some(left_out) = plan.left_out {
        report.outcome = Outcome::RanInPart;
        report.remark = format!("{left_out}; {}", plan.note);
    } else {
        report.remark = plan.note;
    }
    Ok(report)
}

/// Looks for what the tests left, takes the hosts down unless they are to be kept, and returns what was wrong.
fn end_lab(lab: Lab, options: &Options) -> Vec<String> {
    let mut troubles = lab.leftovers();
    if options.keep && !interrupt::came() {
        lab.keep();
    } else if let Err(Failure::Message(message)) = lab.take_down() {
        troubles.push(message);
    }
    troubles
}

/// Calls the runners, some of them side by side, and returns how they went in the order given.
fn perform_all(runs: Vec<Run>, at_once: AtOnce) -> Vec<Result<Finished, Failure>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = match at_once {
        AtOnce::One => 1,
        AtOnce::OnePerCore => cores,
        AtOnce::TwoPerCore => 2 * cores,
    };
    let queue = Mutex::new(runs.into_iter().enumerate());
    let finished = Mutex::new(Vec::new());
    let work = || {
        // The queue and the list are whole whatever happens to a thread that holds them.
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((number, run)) = next() {
            let result = perform(run, at_once);
            finished.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let mut finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    finished.sort_by_key(|(number, _)| *number);
    finished.into_iter().map(|(_, result)| result).collect()
}

fn perform(run: Run, at_once: AtOnce) -> Result<Finished, Failure> {
    let Run { label, mut command, dialect, again } = run;
    let label = if label.is_empty() { label } else { format!("{label}: ") };
    let prefix = if at_once == AtOnce::One { "" } else { &label };
    let mut scanner = Scanner::new(dialect);
    let ending = command::watch(&mut command, prefix, PATIENCE, |line| scanner.feed(line))?;
    let Told { mut counts, closing_lines, failed, flaky } = scanner.finish();
    let ended_by_itself = matches!(ending, Ending::Exited(_));
    let trouble = match ending {
        Ending::Interrupted => Some("interrupted".to_owned()),
        Ending::Silent => Some(format!("ended after {} s of silence", PATIENCE.as_secs())),
        Ending::Exited(status) if !status.success() => Some(status.to_string()),
        Ending::Exited(_) if counts.failed > 0 => {
            Some("the runner counted failures and reported success".to_owned())
        }
        Ending::Exited(_) if counts.passed == 0 => Some("no test was run".to_owned()),
        Ending::Exited(_) => None,
    };
    if trouble.is_some() {
        // The runner may have failed before it counted a test; the total must not look like a success.
        counts.failed = counts.failed.max(1);
    }
    // A run that did not end, or has failures without a name, cannot be made good.
    let are_named = ended_by_itself && counts.failed == failed.len() as u64;
    let to_repeat = again.filter(|_| are_named && (1..=MOST_REPEATED).contains(&failed.len()));
    let to_repeat = to_repeat.map(|again| (failed, again));
    Ok(Finished { label, counts, closing_lines, trouble, flaky, to_repeat })
}

/// Runs each failed test once more, after all others and alone. If all pass then, the run has passed, and they are flaky.
fn repeat_alone(mut finished: Finished) -> Result<Finished, Failure> {
    let Some((failed, again)) = finished.to_repeat.take() else { return Ok(finished) };
    println!("\n{}{} failed, and each is repeated alone", finished.label, failed.len());
    for name in failed {
        interrupt::check()?;
        let mut scanner = Scanner::new(Dialect::Unittest);
        let ending = command::watch(&mut again(&name), "", PATIENCE, |line| scanner.feed(line))?;
        let told = scanner.finish();
        let passed = matches!(ending, Ending::Exited(status) if status.success());
        finished.closing_lines.extend(told.closing_lines.into_iter().map(|line| format!("{name}: {line}")));
        if !passed || told.counts != (Counts { passed: 1, ..Counts::default() }) {
            return Ok(finished);
        }
        finished.flaky.push(name);
    }
    let flaky = finished.flaky.len() as u64;
    finished.counts = Counts { passed: finished.counts.passed + flaky, failed: 0, ..finished.counts };
    finished.trouble = None;
    Ok(finished)
}

/// Prints the table, the runners' closing lines, and the total as the very last line.
fn conclude(reports: &[Report], strictness: Strictness) {
    println!("\n== result");
    for line in table(reports) {
        println!("{line}");
    }
    for name in reports.iter().flat_map(|report| &report.flaky) {
        println!("flaky: {name}");
    }
    if reports.iter().any(|report| matches!(report.outcome, Outcome::NotRun | Outcome::RanInPart)) {
        println!("{}", strictness.verdict_on_what_was_not_run());
    }
    println!();
    for line in reports.iter().flat_map(|report| &report.closing_lines) {
        println!("{line}");
    }
    let mut total = Counts::default();
    for report in reports {
        total += report.counts;
    }
    println!("{total}");
    // Nothing can be done about a stdout that is closed.
    let _ = io::stdout().flush();
}

fn table(reports: &[Report]) -> Vec<String> {
    let rows = reports.iter().map(|report| {
        let mut cells = Vec::new();
        if report.counts != Counts::default() {
            cells.push(report.counts.to_string());
        }
        if !report.remark.is_empty() {
            cells.push(report.remark.clone());
        }
        (report.name, report.outcome, cells.join("; "))
    });
    report::table("suite", rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Run { label: String::new(), command, dialect: Dialect::CargoTest, again: None }
    }

    /// A plan is made by a plain function, so the script is handed over by name.
    fn report(plan: fn(&Workspace, &Options) -> Result<Plan, Obstacle>) -> Report {
        let suite = Suite { name: "made-up", about: "a test of the tests", plan };
        run_suite(&Workspace::locate().unwrap(), &suite, &Options::default()).unwrap()
    }

    fn plan(script: &str) -> Result<Plan, Obstacle> {
        Ok(Plan { note: "as planned".to_owned(), ..Plan::of(vec![shell(script)]) })
    }

    #[test]
    fn suite_that_passes_is_counted_and_quoted() {
        let report = report(|_, _| plan("echo 'test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured'"));
        assert_eq!(report.outcome, Outcome::Ran);
        assert_eq!(report.counts, Counts { passed: 5, failed: 0, skipped: 1 });
        assert_eq!(report.closing_lines, ["test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured"]);
        assert_eq!(report.remark, "as planned");
    }

    #[test]
    fn half_that_is_left_out_stands_in_the_table() {
        fn half() -> Result<Plan, Obstacle> {
            let left_out = Some("the other half was not run: get it".to_owned());
            Ok(Plan { left_out, ..plan("echo 'test result: ok. 5 passed; 0 failed; 0 ignored'")? })
        }
        let report = report(|_, _| half());
        assert_eq!(report.outcome, Outcome::RanInPart);
        assert_eq!(report.remark, "the other half was not run: get it; as planned");
        assert_eq!(report.counts.passed, 5);
    }

    #[test]
    fn suite_without_tests_has_failed() {
        let report = report(|_, _| plan("echo 'test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured'"));
        assert_eq!(report.outcome, Outcome::Failed);
        assert_eq!(report.remark, "no test was run");
        assert_eq!(report.counts.failed, 1);
    }

    #[test]
    fn runner_that_fails_before_its_first_test_counts_as_a_failure() {
        let report = report(|_, _| plan("echo 'error: could not compile' >&2; exit 101"));
        assert_eq!(report.outcome, Outcome::Failed);
        assert_eq!(report.counts, Counts { passed: 0, failed: 1, skipped: 0 });
        assert!(report.remark.contains("101"), "{}", report.remark);
    }

    #[test]
    fn runner_that_hides_its_failures_has_failed() {
        let report = report(|_, _| plan("echo 'test result: FAILED. 5 passed; 2 failed; 0 ignored'"));
        assert_eq!(report.outcome, Outcome::Failed);
        assert_eq!(report.counts.failed, 2);
    }

    /// A runner of three tests, of which one fails, and the command that repeats it.
    fn with_a_failure(again: &'static str) -> Result<Plan, Obstacle> {
        let script =
            "echo 'ERROR: test_x (test_a.A)'; echo 'Ran 3 tests in 0.1s'; echo 'FAILED (errors=1)'; exit 1";
        let again: Again = Box::new(move |name| {
            assert_eq!(name, "test_a.A.test_x");
            shell(again).command
        });
        let run =
            Run { dialect: Dialect::Unittest, again: Some(again), label: "a".to_owned(), ..shell(script) };
        Ok(Plan::of(vec![run]))
    }

    #[test]
    fn failed_test_that_passes_alone_is_flaky_and_named() {
        let report = report(|_, _| with_a_failure("echo 'Ran 1 test in 0.1s'; echo OK"));
        assert_eq!(report.outcome, Outcome::Ran);
        assert_eq!(report.counts, Counts { passed: 3, failed: 0, skipped: 0 });
        assert_eq!(report.flaky, ["a: test_a.A.test_x"]);
        assert_eq!(report.closing_lines.last().unwrap(), "a: test_a.A.test_x: OK");
    }

    #[test]
    fn failed_test_that_fails_again_or_does_not_run_has_failed() {
        let again =
            report(|_, _| with_a_failure("echo 'Ran 1 test in 0.1s'; echo 'FAILED (errors=1)'; exit 1"));
        let nothing = report(|_, _| with_a_failure("echo 'Ran 0 tests in 0.1s'; echo OK"));
        let skipped = report(|_, _| with_a_failure("echo 'Ran 1 test in 0.1s'; echo 'OK (skipped=1)'"));
        for report in [again, nothing, skipped] {
            assert_eq!(report.outcome, Outcome::Failed);
            assert_eq!(report.counts, Counts { passed: 2, failed: 1, skipped: 0 });
        }
    }

    #[test]
    fn many_failures_are_not_repeated() {
        let report = report(|_, _| {
            let script = "for n in 1 2 3 4 5 6; do echo \"FAIL: test_$n (test_a.A)\"; done; echo 'Ran 9 tests in 0.1s';
                echo 'FAILED (failures=6)'; exit 1";
            let again: Again = Box::new(|name| panic!("{name} is repeated"));
            Ok(Plan::of(vec![Run { dialect: Dialect::Unittest, again: Some(again), ..shell(script) }]))
        });
        assert_eq!((report.outcome, report.counts.failed), (Outcome::Failed, 6));
    }

    #[test]
    fn runs_side_by_side_are_reported_in_order() {
        let report = report(|_, _| {
            let run = |label: &str, script: &str| Run { label: label.to_owned(), ..shell(script) };
            let runs = vec![
                run("slow", "sleep 0.1; echo 'test result: ok. 1 passed; 0 failed; 0 ignored'"),
                run("broken", "exit 3"),
                run("quick", "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'"),
            ];
            Ok(Plan { at_once: AtOnce::TwoPerCore, ..Plan::of(runs) })
        });
        assert_eq!(report.counts, Counts { passed: 3, failed: 1, skipped: 0 });
        assert_eq!(report.remark, "broken: exit status: 3");
        let starts: Vec<_> =
            report.closing_lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(starts, ["slow", "quick"]);
    }

    #[test]
    fn obstacles_are_told_apart() {
        let missing = report(|_, _| Err(Obstacle::Missing("get it".to_owned())));
        assert_eq!((missing.outcome, missing.counts), (Outcome::NotRun, Counts::default()));
        let broken = report(|_, _| Err(Obstacle::Broken("mend it".to_owned())));
        assert_eq!((broken.outcome, broken.counts), (Outcome::Failed, Counts::one_failure()));
    }

    #[test]
    fn table_has_a_row_for_each_suite() {
        let reports = [
            report(|_, _| plan("echo 'test result: ok. 5 passed; 0 failed; 0 ignored'")),
            report(|_, _| Err(Obstacle::Missing("it is not installed: install it".to_owned()))),
        ];
        assert_eq!(
            table(&reports),
            [
                "suite    outcome  remarks",
                "made-up  ran      5 passed, 0 failed, 0 skipped; as planned",
                "made-up  NOT RUN  it is not installed: install it",
            ]
        );
    }

    #[test]
    fn names_of_suites_are_unique() {
        let mut names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUITES.len());
    }
}
