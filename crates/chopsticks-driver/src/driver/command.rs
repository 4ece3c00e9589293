//! Any program that starts an interpreter.

use std::{ffi::OsString, io, path::Path};

use async_trait::async_trait;

use crate::{
    driver::{
        AgentCommand, Driver,
        setup::{Setup, setup_methods},
    },
    host::HostName,
    options::AgentOptions,
    process::Link,
    quiet::Quiet,
};

/// Runs the agent by any program that starts another one and passes its three streams through
/// unchanged.
///
/// The arguments are those of the program, up to the interpreter, which [`python`](Self::python)
/// sets:
///
/// ```
/// use chopsticks_driver::Command;
///
/// let node = Command::new("srun").args(["--unbuffered", "--input=all", "-n1"]).python("python3").name("node");
/// let pod = Command::new("kubectl").args(["exec", "-i", "web-0", "--"]).python("auto").name("web-0");
/// # let _ = (node, pod);
/// ```
///
/// For a program that takes one line for a shell, write `{}` in the place of that line:
///
/// ```
/// # use chopsticks_driver::Command;
/// let postgres = Command::new("su").args(["postgres", "-c", "{}"]).python("python3");
/// # let _ = postgres;
/// ```
///
/// Without [`python`](Self::python), either the arguments end in an interpreter, or `{}` stands for
/// `python3`.
#[derive(Clone, Debug)]
pub struct Command {
    setup: Setup,
    program: OsString,
    args: Quiet<Vec<OsString>>,
}

impl Command {
    /// Creates a driver that runs `program`. Its name is that of the program, without folders.
    pub fn new(program: impl Into<OsString>) -> Self {
        let program = program.into();
        let name = Path::new(&program).file_name().unwrap_or(&program).to_string_lossy();
        Self { setup: Setup::new(&name), program, args: Quiet::default() }
    }

    setup_methods!();

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Returns whether one of the arguments is the place of a shell line.
    pub(crate) fn has_place(&self) -> bool {
        self.args.iter().any(|argument| argument == PLACE)
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments = self.args.0.clone();
        if self.has_place() {
            let interpreter = self.setup.interpreter.clone().unwrap_or_else(|| "python3".into());
            let line = agent.shell_line(&[], &interpreter)?;
            let places = arguments.iter_mut().filter(|argument| *argument == PLACE);
            places.for_each(|place| place.clone_from(&line));
            return Ok(arguments);
        }
        match &self.setup.interpreter {
            Some(interpreter) => arguments.extend(agent.argv(interpreter)),
            None => arguments.extend_from_slice(agent.arguments()),
        }
        Ok(arguments)
    }
}

#[async_trait]
impl Driver for Command {
    fn host(&self) -> HostName {
        self.setup.name.clone()
    }

    fn options(&self) -> AgentOptions {
        self.setup.options.clone()
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(self.arguments(agent)?);
        agent.spawn(command).await
    }
}

/// The argument that stands for the shell line.
const PLACE: &str = "{}";

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(command: &Command) -> Vec<String> {
        let arguments =
            command.arguments(&AgentCommand::new(["-s", "-S", "-E", "-c", "import sys"])).unwrap();
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn interpreter_goes_behind_the_arguments_or_is_among_them() {
        assert_eq!(arguments(&Command::new("nice").arg("python2"))[..4], ["python2", "-s", "-S", "-E"]);
        assert_eq!(arguments(&Command::new("nice").python("p3"))[..4], ["p3", "-s", "-S", "-E"]);
    }

    #[test]
    fn braces_stand_for_one_line_of_shell() {
        let arguments = arguments(&Command::new("su").args(["db", "-c", "{}"]));
        assert_eq!(arguments.len(), 3);
        assert!(arguments[2].starts_with("exec python3 -s -S -E -c 'import sys"), "{arguments:?}");
    }
}
