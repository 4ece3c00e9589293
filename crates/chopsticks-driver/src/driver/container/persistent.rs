//! Containers that outlive their tunnels.

use std::{ffi::OsString, io};

use tokio::process::Command;

use super::{Engine, NewContainer};
use crate::{driver::AgentCommand, process::Link};

impl<E: Engine> NewContainer<E> {
    /// Starts the agent in the container of this name, which is created if there is none.
    pub(super) async fn open_persistent(&self, agent: &AgentCommand) -> io::Result<Link> {
        let Some(name) = &self.container_name else {
            let text = "a container that outlives its tunnel needs a name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        match self.is_running(agent, name).await? {
            Some(true) => {}
            Some(false) => drop(agent.output(self.command(["start".into(), name.into()])).await?),
            None => {
                let created = agent.output(self.command(self.creation(agent))).await?;
                // Another tunnel may have created it in the meantime.
                if !created.status.success() && self.is_running(agent, name).await?.is_none() {
                    // Once more, so that the connection fails with the words of the engine.
                    return agent.spawn(self.command(self.creation(agent))).await;
                }
            }
        }
        let mut arguments: Vec<OsString> = vec!["exec".into(), "-i".into()];
        for (option, value) in [("--user", &self.user), ("--workdir", &self.workdir)] {
            if let Some(value) = value {
                arguments.extend([option.into(), value.into()]);
            }
        }
        arguments.push(name.into());
        arguments.extend(agent.argv(&self.interpreter(agent)));
        agent.spawn(self.command(arguments)).await
    }

    /// Returns whether the container runs, or `None` if there is none.
    async fn is_running(&self, agent: &AgentCommand, name: &str) -> io::Result<Option<bool>> {
        let words = ["container", "inspect", "--format", "{{.State.Running}}", name];
        let output = agent.output(self.command(words.map(OsString::from))).await?;
        let is_running = String::from_utf8_lossy(&output.stdout).trim() == "true";
        Ok(output.status.success().then_some(is_running))
    }

    /// Returns the arguments that create the container.
    fn creation(&self, agent: &AgentCommand) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["run".into(), "--detach".into()];
        self.add_settings(&mut arguments);
        // An image for agents has a Python, and need not have `sleep`.
        let waiting = AgentCommand::new(["-c", "import signal\nwhile 1: signal.pause()"]);
        arguments.extend(waiting.argv(&self.interpreter(agent)));
        arguments
    }

    fn command(&self, arguments: impl IntoIterator<Item = OsString>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command
    }
}
