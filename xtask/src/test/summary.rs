//! The closing lines of test runners: found in their output, and counted.

use std::fmt;
use std::ops::AddAssign;

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Counts {
    /// Returns the counts of a suite that failed as a whole.
    pub(super) fn one_failure() -> Self {
        Self { failed: 1, ..Self::default() }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(formatter, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The runner whose output is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; …`, once for each program.
    CargoTest,
    /// `Testing name` and `Success`, for each benchmark that is run once.
    Criterion,
    /// `Done 1234 runs in 5 second(s)`, once for each target.
    LibFuzzer,
    /// `Summary [ 0.2s] 12 tests run: 11 passed (1 slow), 1 failed, 3 skipped`.
    Nextest,
    /// `11 passed, 1 failed, 3 skipped, 2 warnings in 0.20s`.
    Pytest,
    /// `Ran 12 tests in 0.2s`, and below it `OK (skipped=1)` or `FAILED (failures=1, errors=1)`.
    Unittest,
}

/// Reads a runner's output line by line.
#[derive(Debug)]
pub(super) struct Scanner {
    dialect: Dialect,
    counts: Counts,
    closing_lines: Vec<String>,
    /// The number of tests that the unittest runner announced and did not judge yet.
    announced: Option<u64>,
    /// The tests that failed, as far as the runner names them so that they can be run again.
    failed: Vec<String>,
    /// The tests that failed and passed when the runner repeated them.
    flaky: Vec<String>,
}

/// What a runner's output told.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Told {
    pub(super) counts: Counts,
    pub(super) closing_lines: Vec<String>,
    pub(super) failed: Vec<String>,
    pub(super) flaky: Vec<String>,
}

impl Scanner {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            counts: Counts::default(),
            closing_lines: Vec::new(),
            announced: None,
            failed: Vec::new(),
            flaky: Vec::new(),
        }
    }

    /// Takes a line without its end.
    pub(super) fn feed(&mut self, line: &str) {
        let found = match self.dialect {
            Dialect::CargoTest => cargo_test(line),
            Dialect::Criterion => {
                // Hundreds of these; `finish` sums them up.
                self.counts.passed += u64::from(line == "Success");
                None
            }
            Dialect::LibFuzzer => lib_fuzzer(line),
            Dialect::Nextest => {
                self.flaky.extend(nextest_flaky(line));
                nextest(line)
            }
            Dialect::Pytest => pytest(line),
            Dialect::Unittest => {
                self.failed.extend(unittest_failed(line));
                self.unittest(line)
            }
        };
        if let Some(counts) = found {
            self.counts += counts;
            self.closing_lines.push(line.to_owned());
        }
    }

    /// Returns the sum, the lines that told it, and the tests that are named.
    pub(super) fn finish(mut self) -> Told {
        if self.dialect == Dialect::Criterion {
            self.closing_lines.push(format!("{} benchmarks tested", self.counts.passed));
        }
        for names in [&mut self.failed, &mut self.flaky] {
            // Subtests fail one by one, and runners sum up at the end what they have told before.
            names.sort_unstable();
            names.dedup();
        }
        let Self { counts, closing_lines, failed, flaky, .. } = self;
        Told { counts, closing_lines, failed, flaky }
    }

    fn unittest(&mut self, line: &str) -> Option<Counts> {
        if let Some(rest) = line.strip_prefix("Ran ") {
            let (number, rest) = rest.split_once(" test")?;
            self.announced = Some(number.parse().ok().filter(|_| rest.contains(" in "))?);
            self.closing_lines.push(line.to_owned());
            return None;
        }
        let is_verdict = ["OK", "FAILED", "NO TESTS RAN"].iter().any(|word| line.starts_with(word));
        let announced = self.announced.take_if(|_| is_verdict)?;
        let of = |name: &str| -> u64 {
            let details = line.split(['(', ')', ',']).map(str::trim);
            let numbers = details
                .filter_map(|detail| detail.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok());
            numbers.sum()
        };
        let failed = of("failures") + of("errors") + of("unexpected successes");
        let skipped = of("skipped");
        Some(Counts { passed: announced.saturating_sub(failed + skipped), failed, skipped })
    }
}

fn cargo_test(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for (number, word) in numbered_words(numbers.split(';')) {
        match word {
            "passed" => counts.passed += number,
            "failed" => counts.failed += number,
            "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    Some(counts)
}

fn nextest(line: &str) -> Option<Counts> {
    let (_, after_time) = line.strip_prefix("Summary [")?.split_once(']')?;
    let (_, numbers) = after_time.split_once(" run: ")?;
    let mut counts = Counts::default();
    for (number, word) in numbered_words(without_parentheses(numbers).split(',')) {
        match word {
            "passed" => counts.passed += number,
            "skipped" => counts.skipped += number,
            // "failed", "exec failed", "timed out", and whatever it invents.
            _ => counts.failed += number,
        }
    }
    Some(counts)
}

/// Reads `FLAKY 2/2 [   0.012s] (12/312) package::binary module::name`.
fn nextest_flaky(line: &str) -> Option<String> {
    let (_, name) = line.strip_prefix("FLAKY ")?.split_once(']')?;
    let name = name.trim();
    // The place in the run stands before the name where the runner knows it.
    let name = name.strip_prefix('(').and_then(|rest| Some(rest.split_once(')')?.1)).unwrap_or(name);
    Some(name.trim().to_owned())
}

/// Reads the last line, which may be framed by `=`, and ends in the time that it took.
fn pytest(line: &str) -> Option<Counts> {
    let (numbers, time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    if !time.contains('s') || !time.starts_with(|character: char| character.is_ascii_digit()) {
        return None;
    }
    let mut counts = Counts::default();
    let mut is_told = false;
    for part in numbers.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        is_told = true;
        match word {
            "passed" | "xfailed" => counts.passed += number,
            "skipped" => counts.skipped += number,
            "failed" | "error" | "errors" | "xpassed" => counts.failed += number,
            "deselected" | "warning" | "warnings" => {}
            _ => return None,
        }
    }
    is_told.then_some(counts)
}

/// Reads the heading of a report, `FAIL: test_x (module.Class)` or `ERROR: test_x (module.Class.test_x) (n=1)`, and returns
/// `module.Class.test_x`. What has no such name, such as a file that does not load, is no single test.
fn unittest_failed(line: &str) -> Option<String> {
    let heading = line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: "))?;
    let (test, rest) = heading.split_once(" (")?;
    let (place, _) = rest.split_once(')')?;
    let is_class = place.contains('.') && !place.contains([' ', '/']) && !place.starts_with("unittest.");
    let is_test = test.starts_with("test") && is_class;
    let class = place.strip_suffix(test).and_then(|class| class.strip_suffix('.')).unwrap_or(place);
    is_test.then(|| format!("{class}.{test}"))
}

fn lib_fuzzer(line: &str) -> Option<Counts> {
    let (number, _) = line.strip_prefix("Done ")?.split_once(" runs in ")?;
    let runs: u64 = number.parse().ok()?;
    Some(Counts { passed: u64::from(runs > 0), ..Counts::default() })
}

/// Reads parts such as `12 passed` and `1 timed out`.
fn numbered_words<'a>(parts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (u64, &'a str)> {
    parts.filter_map(|part| {
        let (number, word) = part.trim().split_once(' ')?;
        Some((number.parse().ok()?, word.trim()))
    })
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0;
    let is_outside = |character: &char| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => return depth == 0,
        }
        false
    };
    text.chars().filter(is_outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(dialect: Dialect, output: &str) -> (Counts, Vec<String>) {
        let mut scanner = Scanner::new(dialect);
        output.lines().map(str::trim).for_each(|line| scanner.feed(line));
        let told = scanner.finish();
        (told.counts, told.closing_lines)
    }

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn cargo_test_is_summed_over_its_programs() {
        let output = "running 6 tests\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        let (sum, lines) = scan(Dialect::CargoTest, output);
        assert_eq!(sum, counts(6, 2, 1));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn nextest_is_read_with_its_details() {
        for (line, expected) in [
            ("     Summary [   0.012s] 312 tests run: 312 passed, 0 skipped", counts(312, 0, 0)),
            ("     Summary [   0.012s] 1 test run: 1 passed, 0 skipped", counts(1, 0, 0)),
            (
                "Summary [ 61.3s] 9 tests run: 6 passed (1 slow, 2 leaky), 1 failed, 1 exec failed, 1 timed out, 3 skipped",
                counts(6, 3, 3),
            ),
            ("Summary [ 0.3s] 5/9 tests run: 4 passed, 1 failed, 3 skipped", counts(4, 1, 3)),
        ] {
            assert_eq!(scan(Dialect::Nextest, line), (expected, vec![line.trim().to_owned()]));
        }
    }

    #[test]
    fn pytest_is_read_from_its_last_line() {
        for (line, expected) in [
            ("53 passed in 10.32s", counts(53, 0, 0)),
            ("1 failed, 13 passed, 2 skipped, 1 warning in 4.73s", counts(13, 1, 2)),
            ("===== 2 passed, 1 error in 62.10s (0:01:02) =====", counts(2, 1, 0)),
            ("3 deselected in 0.10s", counts(0, 0, 0)),
            ("no tests ran in 0.01s", counts(0, 0, 0)),
            ("it took 3 passed in 4 s", counts(0, 0, 0)),
        ] {
            assert_eq!(scan(Dialect::Pytest, line).0, expected, "{line}");
        }
    }

    #[test]
    fn unittest_is_read_over_two_lines() {
        for (verdict, expected) in [
            ("OK", counts(12, 0, 0)),
            ("OK (skipped=2)", counts(10, 0, 2)),
            ("FAILED (failures=1, errors=2, skipped=3)", counts(6, 3, 3)),
            ("FAILED (unexpected successes=1)", counts(11, 1, 0)),
            ("OK (skipped=1, expected failures=2)", counts(11, 0, 1)),
        ] {
            let output = format!("....\n-----\nRan 12 tests in 0.104s\n\n{verdict}\n");
            assert_eq!(scan(Dialect::Unittest, &output).0, expected, "{verdict}");
        }
    }

    #[test]
    fn tests_that_passed_when_repeated_are_named_once() {
        let mut scanner = Scanner::new(Dialect::Nextest);
        for line in [
            "TRY 1 FAIL [   0.006s] (1/3) chopsticks::calls cancel::ends_at_once",
            "TRY 2 PASS [   0.004s] (2/3) chopsticks::calls cancel::ends_at_once",
            "Summary [   0.045s] 3 tests run: 3 passed (1 flaky), 0 skipped",
            "FLAKY 2/2 [   0.004s] (2/3) chopsticks::calls cancel::ends_at_once",
            "FLAKY 2/2 [   0.004s] chopsticks::calls cancel::ends_at_once",
        ] {
            scanner.feed(line);
        }
        let told = scanner.finish();
        assert_eq!(told.flaky, ["chopsticks::calls cancel::ends_at_once"]);
        assert_eq!((told.counts, told.failed), (counts(3, 0, 0), Vec::new()));
    }

    #[test]
    fn failed_tests_of_unittest_are_named_as_its_command_line_takes_them() {
        for (line, expected) in [
            ("FAIL: test_it_ends (test_end.End)", Some("test_end.End.test_it_ends")),
            ("ERROR: test_it_ends (test_end.End.test_it_ends)", Some("test_end.End.test_it_ends")),
            ("FAIL: test_it_ends (test_end.End.test_it_ends) (n=1)", Some("test_end.End.test_it_ends")),
            ("FAIL: test_it_ends (test_end.End) [x] (n=1)", Some("test_end.End.test_it_ends")),
            ("ERROR: test_end (unittest.loader._FailedTest.test_end)", None),
            ("ERROR: setUpClass (test_end.End)", None),
            ("test_it_ends (test_end.End) ... FAIL", None),
        ] {
            assert_eq!(unittest_failed(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn runners_that_ran_nothing_count_nothing() {
        for (dialect, output) in [
            (Dialect::CargoTest, "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured"),
            (Dialect::Criterion, "Gnuplot not found, using plotters backend"),
            (Dialect::LibFuzzer, "Done 0 runs in 1 second(s)"),
            (Dialect::Nextest, "Summary [ 0.0s] 0 tests run: 0 passed, 0 skipped"),
            (Dialect::Unittest, "Ran 0 tests in 0.000s\n\nNO TESTS RAN"),
            (Dialect::Unittest, "OK"),
        ] {
            assert_eq!(scan(dialect, output).0, Counts::default(), "{output}");
        }
    }

    #[test]
    fn benchmarks_and_fuzz_targets_are_counted() {
        let (sum, lines) = scan(Dialect::Criterion, "Testing a/b\nSuccess\n\nTesting a/c\nSuccess\n");
        assert_eq!((sum, lines), (counts(2, 0, 0), vec!["2 benchmarks tested".to_owned()]));
        let (sum, _) = scan(Dialect::LibFuzzer, "#2 INITED cov: 12\nDone 123456 runs in 6 second(s)\n");
        assert_eq!(sum, counts(1, 0, 0));
    }
}
