//! The command line.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use crate::{
    argument::{Argument, Keyword},
    function::FunctionName,
    target::{self, Target},
};

/// Runs your own Python code elsewhere; nothing is installed there but Python.
#[derive(Debug, Parser)]
#[command(name = "chopsticks", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Call(CallArgs),
}

/// Call a Python function of your codebase on targets, all of them in parallel.
#[derive(Debug, clap::Args)]
#[command(after_long_help = CALL_HELP)]
pub(crate) struct CallArgs {
    /// The function: `module:name`, `module:Class.method` or `module.name`.
    ///
    /// The module is looked for in the standard library of the target's Python, and then in the codebase.
    #[arg(value_name = "FUNCTION")]
    pub(crate) function: FunctionName,

    /// The positional arguments: JSON where they are JSON, else text.
    ///
    /// `5` is an integer, `[1, 2]` a list, `true` is True, `null` is None, `web` and `"5"` are text. What begins with `-` and is
    /// no number goes after `--`, behind all options.
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub(crate) args: Vec<Argument>,

    /// A keyword argument; the value as ARG. Can be repeated.
    #[arg(long = "kw", value_name = "NAME=VALUE")]
    pub(crate) kwargs: Vec<Keyword>,

    /// Where to call it, separated by commas. Can be repeated.
    ///
    /// A target is `local` (a subprocess on this host, named localhost) or `NAME=local`. No two may have the same name.
    #[arg(long = "on", value_name = "TARGET", required = true, value_delimiter = ',')]
    pub(crate) targets: Vec<Target>,

    /// A folder with Python modules, from which targets import. Can be repeated: the first that has a module wins.
    #[arg(long = "root", value_name = "DIR", default_value = ".")]
    pub(crate) roots: Vec<PathBuf>,

    /// How long each target may take, from connecting to the result; after that its call is cancelled.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// The Python to run. By default `/usr/bin/python3`.
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,

    /// Let targets import from their Python's site-packages too, and not from its standard library alone.
    #[arg(long)]
    pub(crate) site_packages: bool,

    /// Print one JSON object for each target in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

impl CallArgs {
    /// Checks what one option alone cannot tell; ends the program with a usage error.
    pub(crate) fn check(&self) {
        if let Err(message) = self.checked() {
            let mut command = Args::command();
            command.build();
            // The subcommand's own usage is the one that helps.
            let call = command.find_subcommand_mut("call").expect("the subcommand is defined above");
            call.error(ErrorKind::ValueValidation, message).exit();
        }
    }

    fn checked(&self) -> Result<(), String> {
        target::check_names(&self.targets)?;
        let mut names = BTreeSet::new();
        if let Some(keyword) = self.kwargs.iter().find(|keyword| !names.insert(&keyword.name)) {
            return Err(format!("the keyword argument '{}' is given twice", keyword.name));
        }
        if let Some(root) = self.roots.iter().find(|root| !root.is_dir()) {
            return Err(format!("the root '{}' is not a folder", root.display()));
        }
        Ok(())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "a number of seconds is wanted, such as 30 or 0.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err("a number of seconds above 0 is wanted".to_owned()),
    }
}

/// Lines of at most 78 columns, so that they are not broken again on a usual terminal.
const CALL_HELP: &str = "\
Output:
  Results go to stdout: a line or a block for each target as it finishes. Values
  are shown as Python would print them; text of several lines is shown as it is.
  Errors and a summary go to stderr, and so do the lines that targets write to
  their stderr, as `[host] line`. Colours are used on a terminal, unless NO_COLOR
  is set.

JSON:
  With --json, stdout has one object for each target, in one line, as it finishes,
  and nothing else:
    {\"host\": …, \"ok\": true, \"value\": …, \"ms\": 31.4}
    {\"host\": …, \"ok\": false, \"error\": {…}, \"ms\": 31.4}
  An error has \"kind\", \"phase\", \"message\" and \"traceback\" (null if there is none).
  What JSON lacks is written so:
    tuple                  an array, as a list
    bytes                  {\"$bytes\": \"aGVsbG8=\"} (base64)
    set                    {\"$set\": […]}
    frozenset              {\"$frozenset\": […]}
    dict with a key that is no text or begins with $
                           {\"$dict\": [[key, value], …]}
    integer over 64 bits   {\"$int\": \"18446744073709551616\"}
    nan, inf, -inf         {\"$float\": \"nan\"}
    container in itself    {\"$ref\": \"/a/0\"}: a JSON pointer, from the value,
                           to the container; \"\" is the value itself
  An object that is in several places is written in each; a target fails if that
  would make more than 256 MiB of copies.

Exit status:
  0    all well
  1    a target failed
  2    wrong usage
  130  Ctrl-C (SIGINT): calls are cancelled, what they started is ended, and targets
       that were not done are told as interrupted; a second one exits at once
  143  SIGTERM: the same
  141  stdout was closed: the same, quietly

Examples:
  chopsticks call os:getpid --on local
  chopsticks call deploy:restart web --kw force=true --on a=local,b=local
  chopsticks call report:load -5 --root ops --timeout 2.5 --json --on local";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<CallArgs, clap::Error> {
        let words = ["chopsticks", "call"].into_iter().chain(line.split_whitespace());
        let Command::Call(args) = Args::try_parse_from(words)?.command;
        Ok(args)
    }

    fn usage_error(line: &str) -> String {
        match parse(line) {
            Ok(args) => args.checked().expect_err("it is wrong"),
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
        let hosts: Vec<_> = args.targets.iter().map(|target| target.host().to_string()).collect();
        assert_eq!(hosts, ["a", "b", "localhost"]);
        assert_eq!(args.checked(), Ok(()));
        assert_eq!(args.roots, [PathBuf::from(".")]);
        assert_eq!((args.timeout, args.python, args.json), (None, None, false));
    }

    #[test]
    fn numbers_below_zero_are_arguments_and_options_may_follow() {
        let args = parse("m:f -5 -1.5e3 --on local x --json").unwrap();
        let expected = ["-5", "-1.5e3", "x"].map(|text| text.parse::<Argument>().unwrap());
        assert_eq!(args.args, expected);
        assert!(args.json);
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
            ("m:f --on web1", "NAME=local"),
            ("m:f --on local,", "a target is empty"),
            ("m:f --on local,local", "a=local,b=local"),
            ("f --on local", "module:name"),
            ("m:f --on local --timeout soon", "a number of seconds"),
            ("m:f --on local --timeout 0", "above 0"),
            ("m:f --on local --timeout nan", "above 0"),
            ("m:f --on local --timeout -1", "above 0"),
            ("m:f --on local --kw x", "NAME=VALUE"),
            ("m:f --on local --kw x=1 --kw x=2", "'x' is given twice"),
            ("m:f --on local --root /nonexistent", "'/nonexistent' is not a folder"),
            ("m:f -x --on local", "-x"),
        ] {
            let message = usage_error(line);
            assert!(message.contains(expected), "{line}: {message}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(parse("m:f --on local --timeout 0.25").unwrap().timeout, Some(Duration::from_millis(250)));
    }
}
