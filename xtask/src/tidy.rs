//! Checks the rules that compilers and linters do not: over the files that git tracks.
//!
//! A finding names the file, the line and the rule. Files below a folder called `data` or `corpus` are
//! inputs of tests and exempt, as is what is not text.

pub(crate) mod constants;
mod keys;
mod links;
mod operations;
mod text;

use std::fmt;
use std::fs;

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Checks the workspace.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let files = tracked_files(workspace)?;
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !file.is_test_input()) {
        text::check(file, &mut findings);
        links::check(file, &|path| workspace.root().join(path).exists(), &mut findings);
    }
    links::check_summary(&files, &mut findings);
    operations::check(&files, &mut findings);
    constants::check(&files, &mut findings);
    keys::check(&files, &mut findings);

    findings.sort_by(|left, right| (&left.path, left.line).cmp(&(&right.path, right.line)));
    for finding in &findings {
        eprintln!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    println!("tidy: {} files, {errors} errors, {} warnings", files.len(), findings.len() - errors);
    if errors == 0 { Ok(()) } else { Err(Failure::new(format!("tidy: {errors} errors"))) }
}

/// A text file of the work tree.
#[derive(Debug)]
pub(crate) struct File {
    /// The path from the root of the workspace.
    pub(crate) path: String,
    pub(crate) content: String,
}

impl File {
    pub(crate) fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whether the file is handed to tests as it is.
    fn is_test_input(&self) -> bool {
        let mut folders = self.path.split('/').rev().skip(1);
        folders.any(|folder| folder == "data" || folder == "corpus")
    }

    /// Returns the lines with their numbers, which begin at 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.content.split_terminator('\n'))
    }

    fn error(&self, line: usize, rule: &'static str, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, rule, message: message.into(), severity: Severity::Error }
    }

    fn warning(&self, line: usize, rule: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..self.error(line, rule, message) }
    }
}

/// Something that a rule objects to.
#[derive(Debug)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    message: String,
    severity: Severity,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Severity {
    Error,
    Warning,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Self { path, line, rule, message, .. } = self;
        write!(formatter, "{path}:{line}: {severity}: {rule}: {message}")
    }
}

/// Reads the tracked files; those that are deleted in the work tree or not text are left out.
pub(crate) fn tracked_files(workspace: &Workspace) -> Result<Vec<File>, Failure> {
    let list = command::output(workspace.program("git").args(["ls-files", "-z"]))?;
    let paths = list.split_terminator('\0').map(str::to_owned);
    let read = |path: String| {
        // A link is checked where it leads to: from its own place, relative links in the text lead elsewhere.
        if workspace.root().join(&path).is_symlink() {
            return None;
        }
        let content = String::from_utf8(fs::read(workspace.root().join(&path)).ok()?).ok()?;
        Some(File { path, content })
    };
    Ok(paths.filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_names_file_line_and_rule() {
        let file = File { path: "src/lib.rs".to_owned(), content: String::new() };
        let finding = file.warning(7, "length", "is long");
        assert_eq!(finding.to_string(), "src/lib.rs:7: warning: length: is long");
    }

    #[test]
    fn kind_of_a_file_is_told_from_its_path() {
        let file = |path: &str| File { path: path.to_owned(), content: String::new() };
        assert_eq!(file("a.b/run").extension(), "");
        assert_eq!(file("a/b.rs").extension(), "rs");
        assert!(file("crates/x/tests/data/vector.py").is_test_input());
        assert!(file("tests/fuzz/corpus/decode/1").is_test_input());
        assert!(!file("crates/x/src/data.rs").is_test_input());
    }
}
