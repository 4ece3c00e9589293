//! Another user of the controller's host.

use std::{ffi::OsString, io, sync::Arc};

use async_trait::async_trait;
use tokio::process::Command;

use crate::{
    defaults::sealed::Sealed,
    dialogue::{self, Marks},
    driver::{
        AgentCommand, Driver,
        setup::{Setup, setup_methods},
    },
    host::HostName,
    options::AgentOptions,
    process::Link,
    secret::{Secret, SecretKind, Secrets},
};

/// Runs the agent on the controller's own host as another user, by `sudo`.
///
/// Without a [`password`](Self::password), a rule must allow the interpreter without one
/// (`NOPASSWD`), for exactly the path that [`python`](Self::python) names.
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
    secrets: Secrets,
}

impl Sudo {
    /// Creates a driver for `user`, named `USER@localhost`.
    pub fn new(user: impl Into<String>) -> Self {
        let user = user.into();
        Self {
            setup: Setup::new(&format!("{user}@localhost")),
            user,
            program: "sudo".into(),
            secrets: Secrets::new(),
        }
    }

    setup_methods!();

    /// Sets the password for the case that sudo asks for one: usually that of the user who runs this
    /// program.
    ///
    /// It is sent only after sudo has written the prompt that it was given, and once. If sudo asks
    /// again, the connection fails, and the password is not sent again.
    #[must_use]
    pub fn password(mut self, password: Secret) -> Self {
        self.secrets = self.secrets.with(SecretKind::Sudo, password);
        self
    }

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
        let secrets = self.secrets.clone().or(agent.secrets());
        let mut command = Command::new(&self.program);
        let interpreter = agent.python::<Self>(self.setup.interpreter.as_ref());
        if !secrets.may_have(&[SecretKind::Sudo]) {
            command.args(arguments(&self.user, None)).args(agent.argv(&interpreter));
            return agent.spawn(command).await;
        }
        let marks = Marks::new();
        let announcing = agent.announcing(&marks.ready)?;
        command.args(arguments(&self.user, Some(&marks.prompt))).args(announcing.argv(&interpreter));
        let link = agent.spawn(command).await?;
        Ok(dialogue::answer(link, self.host(), secrets, marks, &Arc::default()))
    }
}

/// Returns the arguments with which sudo runs the following command as `user`, here and on other
/// hosts.
///
/// With a prompt, sudo reads a password from stdin, if it needs one. Otherwise it never asks.
pub(super) fn arguments<'a>(user: &'a str, prompt: Option<&'a str>) -> Vec<&'a str> {
    let [silence, home, option] = OPTIONS;
    let mut arguments = match prompt {
        Some(prompt) => vec!["-S", "-p", prompt],
        None => vec![silence],
    };
    arguments.extend([home, option, user, "--"]);
    arguments
}

/// Without a password, sudo does not ask for one. What it runs gets the home folder of the user, who
/// follows.
const OPTIONS: [&str; 3] = ["--non-interactive", "--set-home", "-u"];

impl Sealed for Sudo {
    const KIND: &str = "sudo";
}
