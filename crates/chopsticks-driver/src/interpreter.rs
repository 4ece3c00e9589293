//! The Python to run.

use std::{ffi::OsString, fmt, path::Path};

/// The Python interpreter that a driver starts.
///
/// A path, a name that is looked up on the far side's `PATH`, or [`auto`](Self::auto). The text
/// `auto` means the latter; write `./auto` for a program of this name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interpreter(Kind);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Auto,
    Program(OsString),
}

impl Interpreter {
    /// Returns Python 3 at the path of most distributions: `/usr/bin/python3`. This is the default
    /// of most drivers.
    pub fn python3() -> Self {
        Self(Kind::Program("/usr/bin/python3".into()))
    }

    /// Returns Python 2 at the path of most distributions: `/usr/bin/python2`.
    pub fn python2() -> Self {
        Self(Kind::Program("/usr/bin/python2".into()))
    }

    /// Returns an interpreter that is searched on the far side: the first Python that runs and is
    /// new enough.
    ///
    /// The candidates are, in this order: `python3`, `python3.30` down to `python3.4`,
    /// `/usr/bin/python3`, `/usr/local/bin/python3`, `/usr/libexec/platform-python`, `python`,
    /// `python2`, `python2.7`, `/usr/bin/python2`. If none of them runs, the error lists what was
    /// tried. The search needs a POSIX `sh` there, and costs the start of one more interpreter.
    pub fn auto() -> Self {
        Self(Kind::Auto)
    }

    /// Returns the program to run, with arguments that make it behave like an interpreter with
    /// `arguments`.
    pub(crate) fn argv(&self, arguments: &[OsString]) -> Vec<OsString> {
        let mut argv = match &self.0 {
            Kind::Auto => ["sh", "-c", &search(), CHECK].map(OsString::from).to_vec(),
            Kind::Program(program) => vec![program.clone()],
        };
        argv.extend_from_slice(arguments);
        argv
    }
}

impl Default for Interpreter {
    fn default() -> Self {
        Self::python3()
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Auto => f.write_str("auto"),
            Kind::Program(program) => Path::new(program).display().fmt(f),
        }
    }
}

impl<T: Into<OsString>> From<T> for Interpreter {
    fn from(path: T) -> Self {
        let path = path.into();
        if path == "auto" { Self::auto() } else { Self(Kind::Program(path)) }
    }
}

/// Returns the shell program that searches an interpreter. Its `$0` is [`CHECK`], and its other
/// arguments are those of the interpreter.
///
/// It is one line without single quotes, backslashes and `!`, so that any login shell passes it on
/// in single quotes. Each candidate is run, because there are wrappers without an interpreter
/// behind them.
fn search() -> String {
    let versions: String = (OLDEST..=NEWEST).rev().map(|minor| format!("python3.{minor} ")).collect();
    let all = format!("python3 python3.{NEWEST}..python3.{OLDEST} {OTHERS}");
    search_among(&format!("python3 {versions}{OTHERS}"), &all)
}

fn search_among(candidates: &str, described: &str) -> String {
    format!(
        "f=;for p in {candidates};do \
         if command -v $p >/dev/null 2>&1;then $p -s -S -E -c \"$0\" </dev/null >/dev/null 2>&1;r=$?;\
         if [ $r = 0 ];then exec $p \"$@\";fi;f=\"$f $p (exit status $r)\";fi;done;\
         echo \"chopsticks: no Python 2.7 or 3.4 and later was found: tried {described}${{f:+; these are there but do not fit:$f}}\" >&2;exit 127"
    )
}

/// Succeeds in an interpreter that the agent supports.
const CHECK: &str = "import sys;v=sys.version_info;sys.exit(v<(2,7)or(3,)<v<(3,4))";
const OLDEST: u8 = 4;
/// Beyond the versions of the next years. Each version costs a search along the `PATH`.
const NEWEST: u8 = 30;
const OTHERS: &str = "/usr/bin/python3 /usr/local/bin/python3 /usr/libexec/platform-python python python2 python2.7 \
                      /usr/bin/python2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_survives_single_quotes_in_any_shell() {
        assert!(!search().contains(['\'', '\\', '!', '\n']), "{}", search());
        assert!(!CHECK.contains(['\'', '\\', '!', '\n']));
    }

    #[test]
    fn all_that_was_tried_is_told_when_nothing_runs() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &search_among("nowhere9 false", "nowhere9 false"), CHECK, "-c", "pass"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(127));
        let expected = "chopsticks: no Python 2.7 or 3.4 and later was found: tried nowhere9 false; \
                        these are there but do not fit: false (exit status 1)\n";
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }

    #[test]
    fn text_auto_is_the_search() {
        assert_eq!(Interpreter::from("auto"), Interpreter::auto());
        assert_eq!(Interpreter::from("./auto").to_string(), "./auto");
    }
}
