//! Looks for undefined names in the agent, whose files are compiled into one namespace.
//!
//! A file alone has names that another file defines. So `ruff` reads all of them joined, in an order in
//! which they can be compiled.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use chopsticks_agent::Part;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// The rules: undefined names, names used before their definition or redefined.
const RULES: &str = "F811,F821,F822,F823";

/// What Python 2 has besides, and what the loader of the agent defines.
const BUILTINS: &str = r#"builtins = ["long", "unichr", "unicode", "parts", "core"]"#;

/// The files of the agent, one after the other.
struct Joined {
    text: String,
    /// The path of each file, and the number of the lines before it.
    files: Vec<(String, usize)>,
}

/// Prints each undefined name with its file and line, and fails if there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let joined = Joined::read(workspace)?;
    let arguments = ["check", "--no-cache", "--isolated", "--quiet", "--output-format=concise"];
    println!("$ ruff {} --select={RULES} - (the joined files of agent/python)", arguments.join(" "));
    let failed = |error| Failure::during("ruff", error);
    let mut command = workspace.program("ruff");
    command.args(arguments).args(["--select", RULES, "--config", BUILTINS, "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    // It reads everything before it prints anything.
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(joined.text.as_bytes()).map_err(failed)?;
    drop(stdin);
    let output = child.wait_with_output().map_err(failed)?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        println!("{}", joined.located(line));
    }
    if output.status.success() { Ok(()) } else { Err(Failure::during("ruff", output.status)) }
}

impl Joined {
    fn read(workspace: &Workspace) -> Result<Self, Failure> {
        let mut order = Vec::new();
        // The file that asks for `printing` is there before it, and is not sent again for its sake.
        let first = [Part::Core, Part::Stdout];
        for part in first.into_iter().chain(Part::ALL.into_iter().flat_map(Part::with_requirements)) {
            if !order.contains(&part) {
                order.push(part);
            }
        }
        let mut joined = Self { text: String::new(), files: Vec::new() };
        for part in order {
            let path = format!("agent/python/{}.py", part.name());
            let text = fs::read_to_string(workspace.root().join(&path))
                .map_err(|error| Failure::during(&path, error))?;
            joined.files.push((path, joined.text.lines().count()));
            joined.text.push_str(&text);
        }
        Ok(joined)
    }

    /// Returns a finding of ruff, `-:line:column: text`, with the file and its line in front.
    fn located(&self, finding: &str) -> String {
        let found = finding.strip_prefix("-:").and_then(|rest| rest.split_once(':'));
        let Some((line, rest)) = found else { return finding.to_owned() };
        let Ok(line) = line.parse::<usize>() else { return finding.to_owned() };
        let file = self.files.iter().rev().find(|(_, before)| *before < line);
        file.map_or_else(|| finding.to_owned(), |(path, before)| format!("{path}:{}:{rest}", line - before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read_once_and_the_core_first() {
        let joined = Joined::read(&Workspace::locate().unwrap()).unwrap();
        assert_eq!(joined.files.len(), Part::ALL.len());
        assert_eq!(joined.files[0], ("agent/python/agent.py".to_owned(), 0));
        let at = |name: &str| joined.files.iter().position(|(path, _)| path.ends_with(name)).unwrap();
        assert!(at("/stream.py") < at("/files.py") && at("/files.py") < at("/folders.py"));
    }

    #[test]
    fn finding_is_located_in_its_file() {
        let files = vec![("a.py".to_owned(), 0), ("b.py".to_owned(), 10)];
        let joined = Joined { text: String::new(), files };
        assert_eq!(joined.located("-:10:1: F821 x"), "a.py:10:1: F821 x");
        assert_eq!(joined.located("-:11:1: F821 x"), "b.py:1:1: F821 x");
        assert_eq!(joined.located("All checks passed!"), "All checks passed!");
    }
}
