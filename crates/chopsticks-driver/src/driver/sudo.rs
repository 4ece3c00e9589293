//! Another user of the controller's host.

use std::{ffi::OsString, io};

use async_trait::async_trait;
use tokio::process::Command;

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand, Driver,
        setup::{Setup, setup_methods},
    },
    host::HostName,
    options::AgentOptions,
    process::Link,
};

/// Runs the agent on the controller's own host as another user, by `sudo`.
///
/// sudo is never given a password. A rule must allow the interpreter without one (`NOPASSWD`), for
/// exactly the path that [`python`](Self::python) names.
///
/// ```
/// use chopsticks_driver::Sudo;
///
/// let root = Sudo::new("root");
/// let database = Sudo::new("postgres").name("db").python("/usr/bin/python3.11");
/// # let _ = (root, database);
/// ```
#[derive(Clone, Debug)]
pub struct Sudo {
    setup: Setup,
    user: String,
    program: OsString,
}

impl Sudo {
    /// Creates a driver for `user`, named `USER@localhost`.
    pub fn new(user: impl Into<String>) -> Self {
        let user = user.into();
        Self { setup: Setup::new(&format!("{user}@localhost")), user, program: "sudo".into() }
    }

    setup_methods!();

    /// Sets the program to run in place of `sudo`. It has to accept the same arguments.
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }
}

impl Default for Sudo {
    fn default() -> Self {
        Self::new("root")
    }
}

#[async_trait]
impl Driver for Sudo {
    fn host(&self) -> HostName {
        self.setup.name.clone()
    }

    fn options(&self) -> AgentOptions {
        self.setup.options.clone()
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments(&self.user))
            .args(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        agent.spawn(command).await
    }
}

/// Returns the arguments with which sudo runs the following command as `user`, here and on other
/// hosts.
pub(super) fn arguments(user: &str) -> [&str; 5] {
    let [prompt, home, option] = OPTIONS;
    [prompt, home, option, user, "--"]
}

/// sudo is never given a password. What it runs gets the home folder of the user, who follows.
const OPTIONS: [&str; 3] = ["--non-interactive", "--set-home", "-u"];

impl Sealed for Sudo {
    const KIND: &str = "sudo";
}
