//! Services of Docker Compose.

use std::{
    ffi::{OsStr, OsString},
    io,
    sync::LazyLock,
    time::Duration,
};

use async_trait::async_trait;
use tokio::process::Command;

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand, Driver,
        program::pair,
        setup::{Setup, setup_methods},
    },
    hint::{Hint, Symptoms},
    host::HostName,
    launcher::Known,
    options::AgentOptions,
    process::Link,
    quiet::Quiet,
};

/// Runs the agent in a running container of a service, by `docker compose exec`, or by
/// `docker-compose exec` where Docker does not have that.
///
/// When the connection ends, the container stays, and the processes that the agent has started
/// there end.
///
/// ```
/// use chopsticks_driver::Compose;
///
/// let web = Compose::new("web").file("/srv/shop/compose.yaml");
/// let second = Compose::new("worker").project("shop").index(2).name("worker-2");
/// # let _ = (web, second);
/// ```
#[derive(Clone, Debug)]
pub struct Compose {
    setup: Setup,
    service: String,
    project: Option<String>,
    files: Vec<String>,
    index: Option<u32>,
    user: Option<String>,
    workdir: Option<String>,
    args: Quiet<Vec<OsString>>,
    program: Option<OsString>,
}

impl Compose {
    /// Creates a driver for a running service, whose name is also the tunnel's.
    pub fn new(service: impl Into<String>) -> Self {
        let service = service.into();
        Self {
            setup: Setup::new(&service),
            service,
            project: None,
            files: Vec::new(),
            index: None,
            user: None,
            workdir: None,
            args: Quiet::default(),
            program: None,
        }
    }

    setup_methods!();

    /// Sets the name of the project. Default: the one that Compose finds in its file, or else the
    /// name of the folder.
    #[must_use]
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Adds a file of Compose. Default: the one in the working folder, or above it.
    #[must_use]
    pub fn file(mut self, file: impl Into<String>) -> Self {
        self.files.push(file.into());
        self
    }

    /// Sets which of several containers of the service is meant, from 1 on.
    #[must_use]
    pub fn index(mut self, index: u32) -> Self {
        self.index = Some(index);
        self
    }

    /// Sets the user in the container: a name, a number, or `user:group`. Default: the container's
    /// user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the folder in which the interpreter is started.
    #[must_use]
    pub fn workdir(mut self, folder: impl Into<String>) -> Self {
        self.workdir = Some(folder.into());
        self
    }

    /// Adds arguments of `exec`, such as `--privileged`.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the program to run, such as `docker-compose`. It has to accept the arguments of
    /// `docker compose`. Default: `docker compose` if Docker has it, or else `docker-compose`.
    #[must_use]
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = Some(program.into());
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        for file in &self.files {
            arguments.extend(["--file".into(), file.into()]);
        }
        arguments.extend(pair("--project-name", self.project.as_ref()));
        arguments.extend(["exec".into(), "-T".into()]);
        arguments.extend(self.index.map(|index| format!("--index={index}").into()));
        arguments.extend(pair("--user", self.user.as_ref()));
        arguments.extend(pair("--workdir", self.workdir.as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments.push(self.service.clone().into());
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        arguments
    }
}

impl Sealed for Compose {
    const KIND: &str = "compose";
    // Images have it in different folders.
    const PRESET: &str = "python3";
}

#[async_trait]
impl Driver for Compose {
    fn host(&self) -> HostName {
        self.setup.name.clone()
    }

    fn options(&self) -> AgentOptions {
        self.setup.options.clone()
    }

    fn hint(&self, symptoms: &Symptoms<'_>) -> Option<Hint> {
        // The first version of Compose says nothing then.
        let is_silent = symptoms.stderr.trim().is_empty() && symptoms.noise.trim().is_empty();
        let is_failure = symptoms.status.and_then(|status| status.code()) == Some(1);
        let advice = "no container of the service is running, or there is no such service";
        (is_failure && is_silent).then(|| Hint::new("container-stopped", advice))
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let mut command = match &self.program {
            Some(program) => Command::new(program),
            None if docker_has_compose(agent).await? => {
                let mut command = Command::new("docker");
                command.arg("compose");
                command
            }
            None => Command::new("docker-compose"),
        };
        command.args(self.arguments(agent));
        agent.spawn(command).await
    }
}

/// Returns whether `docker compose` exists. This is determined once, here and on the far side of
/// each connection.
async fn docker_has_compose(agent: &AgentCommand) -> io::Result<bool> {
    static HERE: LazyLock<Known> = LazyLock::new(Known::default);
    let there = agent.known().await?;
    let known = there.as_deref().unwrap_or(&*HERE);
    let program = OsStr::new("docker compose");
    if let Some(is_there) = known.get(program) {
        return Ok(is_there);
    }
    let mut command = Command::new("docker");
    command.args(["compose", "version"]);
    let output = tokio::time::timeout(QUESTION_TIMEOUT, agent.output(command)).await;
    let is_there = matches!(output, Ok(Ok(output)) if output.status.success());
    known.set(program, is_there);
    Ok(is_there)
}

const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_compose() {
        let driver = Compose::new("web").file("a").project("p").index(2).user("u").workdir("/w").args(["-x"]);
        let words = driver.arguments(&AgentCommand::program(["PYTHON"]));
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        let expected = "--file a --project-name p exec -T --index=2 --user u --workdir /w -x web PYTHON";
        assert_eq!(words.join(" "), expected);
    }
}
