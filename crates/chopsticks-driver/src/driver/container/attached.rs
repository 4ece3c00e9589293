//! Running containers.

use std::{ffi::OsString, io, marker::PhantomData};

use async_trait::async_trait;
use tokio::process::Command;

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand, Driver,
        container::Engine,
        setup::{Setup, setup_methods},
    },
    host::HostName,
    options::AgentOptions,
    process::Link,
    quiet::Quiet,
};

/// Runs the agent in a running container, beside its other processes:
/// [`NewContainer::attach`](super::NewContainer::attach).
///
/// When the connection ends, the container stays, and the processes that the agent has started
/// there end.
#[derive(Clone, Debug)]
pub struct Attached<E: Engine> {
    setup: Setup,
    container: String,
    user: Option<String>,
    workdir: Option<String>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
    engine: PhantomData<E>,
}

impl<E: Engine> Attached<E> {
    pub(super) fn new(container: impl Into<String>) -> Self {
        let container = container.into();
        Self {
            setup: Setup::new(&container),
            container,
            user: None,
            workdir: None,
            args: Quiet::default(),
            program: E::PROGRAM.into(),
            engine: PhantomData,
        }
    }

    setup_methods!();

    /// Sets the user in the container: a name, a number, or `user:group`. Default: the container's
    /// user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the folder in which the interpreter is started, by the engine's option `-w`.
    #[must_use]
    pub fn workdir(mut self, folder: impl Into<String>) -> Self {
        self.workdir = Some(folder.into());
        self
    }

    /// Adds arguments of the engine's `exec`, such as `--privileged`.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the program to run in place of the engine's own. It has to accept the same arguments.
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["exec".into(), "-i".into()];
        for (option, value) in [("--user", &self.user), ("--workdir", &self.workdir)] {
            if let Some(value) = value {
                arguments.extend([option.into(), value.into()]);
            }
        }
        arguments.extend(self.args.iter().cloned());
        arguments.push(self.container.clone().into());
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        arguments
    }
}

impl<E: Engine> Sealed for Attached<E> {
    const KIND: &str = E::PROGRAM;
    // In the official images it is in `/usr/local/bin`.
    const PRESET: &str = "python3";
}

#[async_trait]
impl<E: Engine> Driver for Attached<E> {
    fn host(&self) -> HostName {
        self.setup.name.clone()
    }

    fn options(&self) -> AgentOptions {
        self.setup.options.clone()
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let mut command = Command::new(&self.program);
        command.args(self.arguments(agent));
        agent.spawn(command).await
    }
}
