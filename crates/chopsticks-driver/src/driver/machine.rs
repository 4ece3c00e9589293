//! Containers of systemd: new ones by `systemd-nspawn`, running ones by `systemd-run`.

use std::{
    ffi::{OsStr, OsString},
    io,
};

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand,
        program::{drive_by_program, joined, program_methods},
        setup::{Setup, setup_methods},
    },
    quiet::Quiet,
};

pub use self::nspawn::Nspawn;

mod nspawn;

/// Runs the agent in a running machine of systemd, as `machinectl list` shows them, by
/// `systemd-run`.
///
/// systemd in the machine starts the agent as a transient service with the controller's pipes.
/// (`machinectl shell` would put a terminal in between, which changes bytes.) Only root may do this
/// without being asked.
///
/// ```
/// use chopsticks_driver::Machine;
///
/// let web = Machine::new("web").user("www-data");
/// # let _ = web;
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    setup: Setup,
    machine: String,
    user: Option<String>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Machine {
    /// Creates a driver for a running machine, whose name is also the tunnel's.
    pub fn new(machine: impl Into<String>) -> Self {
        let machine = machine.into();
        Self {
            setup: Setup::new(&machine),
            machine,
            user: None,
            args: Quiet::default(),
            program: "systemd-run".into(),
        }
    }

    setup_methods!();
    program_methods!("systemd-run");

    /// Sets the user in the machine. Default: root.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = RUN.map(OsString::from).to_vec();
        arguments.push(format!("--machine={}", self.machine).into());
        arguments.extend(joined("--uid", self.user.as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments.push("--".into());
        let argv = agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref()));
        arguments.extend(argv.iter().map(|word| without_variables(word)));
        Ok(arguments)
    }
}

drive_by_program!(Machine);

impl Sealed for Machine {
    const KIND: &str = "machine";
}

/// Returns a word from which systemd makes `word`: it replaces variables in the words of a service.
fn without_variables(word: &OsStr) -> OsString {
    // What the agent is started with is text; a path of an interpreter need not be.
    word.to_str().map_or_else(|| word.to_owned(), |word| word.replace('$', "$$").into())
}

/// A service that is gone when it has ended, and gets the pipes of the command.
const RUN: [&str; 4] = ["--quiet", "--pipe", "--wait", "--collect"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_takes_two_dollars_for_one() {
        assert_eq!(without_variables(OsStr::new("$0 \"${p}\" 100%")), "$$0 \"$${p}\" 100%");
    }
}
