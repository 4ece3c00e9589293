//! What is run.

use std::{collections::BTreeMap, time::Duration};

use chopsticks_tunnel::Call;
use serde::Serialize;

/// A program to run on a host, with its arguments; or a line for the host's shell.
///
/// Text becomes a line for `/bin/sh`, and an array or a vector a program with arguments, which no shell sees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteCommand {
    words: Words,
    current_dir: Option<String>,
    env: BTreeMap<String, Option<String>>,
    timeout: Option<Duration>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
enum Words {
    Arguments(Vec<String>),
    Line(String),
}

impl RemoteCommand {
    /// Creates a command that runs `program`, a path or a name that the host looks up in its `PATH`.
    pub fn new(program: impl Into<String>) -> Self {
        Self::of(Words::Arguments(vec![program.into()]))
    }

    /// Creates a command that the host's `/bin/sh` runs.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::of(Words::Line(line.into()))
    }

    /// Adds an argument. To a line for the shell it adds a quoted word.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        let argument = argument.into();
        match &mut self.words {
            Words::Arguments(words) => words.push(argument),
            Words::Line(line) => {
                line.push_str(" '");
                line.push_str(&argument.replace('\'', r"'\''"));
                line.push('\'');
            }
        }
        self
    }

    /// Adds arguments, as [`arg`](Self::arg) does.
    #[must_use]
    pub fn args(self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets the working directory. Default: that of the agent.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<String>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    /// Sets an environment variable. By default the program has those of the agent.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// Sets how long it may take, from connecting to its end; after that it is ended. Default: that of the tunnel's calls.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The call of a function of `chopsticks.helpers` with this command.
    pub(super) fn call(&self, function: &str) -> Call {
        self.options(self.bare_call(function).args((&self.words,)))
    }

    /// The call that runs this command and keeps its output for the calls of [`output_call`](Self::output_call) with the same key.
    pub(super) fn execute_call(&self, key: u64) -> Call {
        self.options(self.bare_call("execute").args((key, &self.words)))
    }

    /// The call that fetches output. Its deadline is later than that of the program, for it starts later.
    pub(super) fn output_call(&self, key: u64) -> Call {
        self.bare_call("output").args((key,))
    }

    fn bare_call(&self, function: &str) -> Call {
        let call = Call::new(format!("chopsticks.helpers:{function}"));
        match self.timeout {
            Some(timeout) => call.timeout(timeout),
            None => call,
        }
    }

    fn options(&self, mut call: Call) -> Call {
        if let Some(folder) = &self.current_dir {
            call = call.kwarg("cwd", folder);
        }
        if !self.env.is_empty() {
            call = call.kwarg("env", &self.env);
        }
        call
    }

    fn of(words: Words) -> Self {
        Self { words, current_dir: None, env: BTreeMap::new(), timeout: None }
    }
}

impl From<&str> for RemoteCommand {
    fn from(line: &str) -> Self {
        Self::shell(line)
    }
}

impl From<String> for RemoteCommand {
    fn from(line: String) -> Self {
        Self::shell(line)
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for RemoteCommand {
    fn from(words: [T; N]) -> Self {
        Self::of(Words::Arguments(words.into_iter().map(Into::into).collect()))
    }
}

impl<T: Into<String>> From<Vec<T>> for RemoteCommand {
    fn from(words: Vec<T>) -> Self {
        Self::of(Words::Arguments(words.into_iter().map(Into::into).collect()))
    }
}
