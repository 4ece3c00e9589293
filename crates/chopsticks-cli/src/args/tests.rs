//! Tests of the command line.

use chopsticks::Target;

use super::*;

fn parse(line: &str) -> Result<CallArgs, clap::Error> {
    let words = ["chopsticks", "call"].into_iter().chain(line.split_whitespace());
    match Args::try_parse_from(words)?.command {
        Command::Call(args) => Ok(args),
        other => panic!("{other:?}"),
    }
}

fn usage_error(line: &str) -> String {
    match parse(line) {
        Ok(args) => args.check().expect_err("it is wrong"),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        }
    }
}

#[test]
fn command_line_is_well_defined() {
    Args::command().debug_assert();
}

#[test]
fn targets_come_by_commas_and_by_repetition() {
    let args = parse("m:f --on a=local,b=local --on local").unwrap();
    let hosts: Vec<_> =
        args.check().unwrap().targets.iter().map(|target| target.host().to_string()).collect();
    assert_eq!(hosts, ["a", "b", "localhost"]);
    assert_eq!(args.code.roots, [PathBuf::from(".")]);
    let fleet = args.fleet;
    assert_eq!((fleet.timeout, fleet.agent.python, fleet.json), (None, None, false));
}

#[test]
fn numbers_below_zero_are_arguments_and_options_may_follow() {
    let args = parse("m:f -5 -1.5e3 --on local x --json").unwrap();
    let expected = ["-5", "-1.5e3", "x"].map(|text| text.parse::<Argument>().unwrap());
    assert_eq!(args.args, expected);
    assert!(args.fleet.json);
}

#[test]
fn what_follows_two_hyphens_is_an_argument() {
    let args = parse("m:f --on local -- -x --on").unwrap();
    assert_eq!(args.args, ["-x", "--on"].map(|text| Argument::Text(text.to_owned())));
}

#[test]
fn usage_errors_say_what_is_wanted() {
    for (line, expected) in [
        ("m:f", "--on"),
        ("m:f --on ftp://web1", "`ftp://` is not known"),
        ("m:f --on local,", "it is empty"),
        ("m:f --on @/nonexistent", "cannot read targets from /nonexistent"),
        ("m:f --on local --env x", "NAME=VALUE"),
        ("/nonexistent.py:f --on local", "the script '/nonexistent.py' does not exist"),
        ("m:f --on local,local", "a=local,b=local"),
        ("f --on local", "module:name"),
        ("m:f --on local --timeout soon", "expected a time"),
        ("m:f --on local --timeout 0", "above 0"),
        ("m:f --on local --timeout nan", "above 0"),
        ("m:f --on local --timeout -1", "above 0"),
        ("m:f --on local --max-result 0", "above 0"),
        ("m:f --on local --max-result 64X", "such as 1000000 or 64M"),
        ("m:f --on local --max-result 99999999999G", "above 0"),
        ("m:f --on local --kw x", "NAME=VALUE"),
        ("m:f --on local --kw x=1 --kw x=2", "'x' is given twice"),
        ("m:f --on local --root /nonexistent", "'/nonexistent' is neither a folder nor an archive"),
        ("m:f -x --on local", "-x"),
        ("m:f --on web[1-999999999]", "too many names"),
        ("m:f --on a=local --kw-var x", "the variable 'x' is not set for a"),
        ("m:f --on a=local --kw-var =x", "NAME=VARIABLE"),
        ("m:f --on local --inventory /nonexistent", "/nonexistent: cannot read the file"),
    ] {
        let message = usage_error(line);
        assert!(message.contains(expected), "{line}: {message}");
    }
}

#[test]
fn examples_of_the_help_are_well_formed() {
    let mut count = 0;
    for text in [help::CALL, help::FILES, help::MAP, help::RUN, help::TARGETS] {
        for line in text.lines().filter_map(|line| line.strip_prefix("  chopsticks ")) {
            let words = shlex::split(line).expect("quotes are closed");
            let args = Args::try_parse_from(["chopsticks".to_owned()].into_iter().chain(words));
            assert!(args.is_ok(), "{line}: {args:?}");
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
    for target in help::TARGETS.lines().filter_map(|line| line.strip_prefix("  ")) {
        let target = target.split("  ").next().unwrap();
        // Neither files, which are not there, nor the text behind a target that goes on.
        for target in target.split(", ").filter(|target| !target.is_empty() && !target.starts_with('@')) {
            // One or several.
            if target.contains(['[', '!', '*']) {
                continue;
            }
            let target =
                target.replace(":PORT", ":22").replace("COMMAND…", "srun python3").replace(":PID", ":1");
            assert!(target.parse::<Target>().is_ok(), "{target}");
        }
    }
}

#[test]
fn longest_result_may_have_a_unit() {
    let size = |line: &str| parse(line).unwrap().fleet.max_result;
    assert_eq!(size("m:f --on local"), 64 << 20);
    assert_eq!(size("m:f --on local --max-result 1000"), 1000);
    assert_eq!(size("m:f --on local --max-result 3k"), 3 << 10);
    assert_eq!(size("m:f --on local --max-result 2G"), 2 << 30);
}

#[test]
fn times_are_seconds_or_have_units() {
    let timeout = |text| parse(&format!("m:f --on local --timeout {text}")).unwrap().fleet.timeout.unwrap();
    assert_eq!(timeout("0.25"), Duration::from_millis(250));
    assert_eq!(timeout("250ms"), Duration::from_millis(250));
    assert_eq!(timeout("1m30s"), Duration::from_secs(90));
    assert_eq!(timeout("2h"), Duration::from_secs(7200));
}
