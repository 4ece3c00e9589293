//! Finding the containers that tunnels have created, and removing those that are no longer used.

use std::{ffi::OsStr, io, time::Duration};

use tokio::process::Command;

use super::{Engine, NewContainer, controller::ControllerId};
use crate::driver::AgentCommand;

/// A container that a tunnel has created. The tunnel may still exist or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerInfo {
    id: String,
    name: String,
    status: String,
    controller: String,
}

impl ContainerInfo {
    /// Returns the container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the container's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the state that the engine reports, such as `Up 3 minutes`.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Returns whether the controller that created the container ran on this host since its last
    /// boot, and has ended.
    ///
    /// For a controller on another host, or in a container of its own, this cannot be determined
    /// here, and the result is `false`.
    pub fn is_orphan(&self) -> bool {
        self.controller.parse().is_ok_and(|controller: ControllerId| controller.is_gone())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, '\t').map(str::to_owned);
        let (id, name, status, labels) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // Docker prints `a=1,b=2`, and Podman `map[a:1 b:2]`.
        let (_, value) = labels.split_once(CONTROLLER_LABEL)?;
        let value = value.get(1..)?;
        let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !"-.".contains(c));
        let controller = value[..end.unwrap_or(value.len())].to_owned();
        Some(Self { id, name, status, controller })
    }
}

impl<E: Engine> NewContainer<E> {
    /// Lists the containers that tunnels have created, including those in use.
    ///
    /// # Errors
    ///
    /// If the engine's program cannot be run, or fails. The text is then its output.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the engine's program.
    pub async fn containers(&self) -> io::Result<Vec<ContainerInfo>> {
        let filter = format!("label={CONTROLLER_LABEL}");
        let format = "{{.ID}}\t{{.Names}}\t{{.Status}}\t{{.Labels}}";
        let arguments = ["ps", "--all", "--no-trunc", "--filter", &filter, "--format", format];
        let list = run(&AgentCommand::here(), &self.program, &arguments).await?;
        Ok(list.lines().filter_map(ContainerInfo::parse).collect())
    }

    /// Lists the containers that tunnels have created and whose controller has ended: those of
    /// [`containers`](Self::containers) with [`ContainerInfo::is_orphan`].
    ///
    /// # Errors
    ///
    /// As [`containers`](Self::containers).
    ///
    /// # Cancel safety
    ///
    /// As [`containers`](Self::containers).
    pub async fn leftovers(&self) -> io::Result<Vec<ContainerInfo>> {
        let mut containers = self.containers().await?;
        containers.retain(ContainerInfo::is_orphan);
        Ok(containers)
    }

    /// Ends the processes in a container, and removes it. A container that no longer exists is not
    /// an error.
    ///
    /// # Errors
    ///
    /// As [`containers`](Self::containers).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the engine's program. The container may still be removed.
    pub async fn remove(&self, container: &ContainerInfo) -> io::Result<()> {
        let arguments: Vec<_> = E::REMOVE.iter().copied().chain([container.id()]).collect();
        match run(&AgentCommand::here(), &self.program, &arguments).await {
            Err(error) if error.to_string().to_lowercase().contains("no such container") => Ok(()),
            result => result.map(drop),
        }
    }
}

/// Runs the engine's program on the host where `agent` is started, and returns its output.
pub(super) async fn run(agent: &AgentCommand, program: &OsStr, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {TIMEOUT:?}"));
    let output = tokio::time::timeout(TIMEOUT, agent.output(command)).await.map_err(|_| late())??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let text = stderr.trim_end().lines().next_back().unwrap_or_default();
    Err(io::Error::other(format!("{} failed, {}: {text}", program.display(), output.status)))
}

/// The label with the [`ControllerId`] of the controller.
pub(super) const CONTROLLER_LABEL: &str = "chopsticks.controller";
/// Listing and removing are quick, unless the engine hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_ways_to_print_labels_are_read() {
        for labels in [
            "chopsticks.controller=b-0.1.2.3,chopsticks.connection=f",
            "maintainer=x,chopsticks.controller=b-0.1.2.3",
            "map[chopsticks.connection:f chopsticks.controller:b-0.1.2.3 x:y]",
        ] {
            let container = ContainerInfo::parse(&format!("id\tname\tUp 3 minutes\t{labels}")).unwrap();
            assert_eq!(
                (container.id(), container.name(), container.status()),
                ("id", "name", "Up 3 minutes")
            );
            assert_eq!(container.controller, "b-0.1.2.3", "{labels}");
        }
        assert_eq!(ContainerInfo::parse("id\tname\tUp\tmaintainer=x"), None);
    }
}
