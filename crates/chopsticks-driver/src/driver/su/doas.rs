//! Another user, by `doas`.

use std::{ffi::OsString, io};

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand,
        program::{drive_by_program, program_methods},
        setup::{Setup, setup_methods},
    },
    quiet::Quiet,
};

/// Runs the agent as another user on the controller's own host, by `doas`.
///
/// doas is never given a password. A rule of `doas.conf` must allow the interpreter without one
/// (`nopass`).
///
/// ```
/// use chopsticks_driver::Doas;
///
/// let root = Doas::new("root");
/// let database = Doas::new("postgres").name("db");
/// # let _ = (root, database);
/// ```
#[derive(Clone, Debug)]
pub struct Doas {
    setup: Setup,
    user: String,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Doas {
    /// Creates a driver for `user`, named `USER@localhost`.
    pub fn new(user: impl Into<String>) -> Self {
        let user = user.into();
        let setup = Setup::new(&format!("{user}@localhost"));
        Self { setup, user, args: Quiet::default(), program: "doas".into() }
    }

    setup_methods!();
    program_methods!("doas");

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = vec!["-n".into(), "-u".into(), self.user.clone().into()];
        arguments.extend(self.args.iter().cloned());
        arguments.push("--".into());
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

impl Default for Doas {
    fn default() -> Self {
        Self::new("root")
    }
}

drive_by_program!(Doas);

impl Sealed for Doas {
    const KIND: &str = "doas";
}
