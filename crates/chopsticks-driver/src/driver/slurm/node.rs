//! A node of an allocation.

use std::{ffi::OsString, io, sync::Arc};

use async_trait::async_trait;
use tokio::process::Command;

use super::{STEP, allocation::Allocation};
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

/// Runs the agent on a node of an allocation of Slurm: [`Slurm::nodes`](super::Slurm::nodes).
///
/// Which node a tunnel gets is decided when it connects. `slurmd` on the node starts the agent, and
/// `platform.node()` there returns its name.
#[derive(Clone, Debug)]
pub struct SlurmNode {
    setup: Setup,
    cpus: Option<u32>,
    allocation: Arc<Allocation>,
}

impl SlurmNode {
    pub(super) fn new(setup: Setup, cpus: Option<u32>, allocation: Arc<Allocation>) -> Self {
        Self { setup, cpus, allocation }
    }

    setup_methods!();

    /// Returns the allocation.
    #[cfg(test)]
    pub(crate) fn allocation(&self) -> Arc<Allocation> {
        self.allocation.clone()
    }
}

impl Sealed for SlurmNode {
    const KIND: &str = "slurm";
}

#[async_trait]
impl Driver for SlurmNode {
    fn host(&self) -> HostName {
        self.setup.name.clone()
    }

    fn options(&self) -> AgentOptions {
        self.setup.options.clone()
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let lease = match self.allocation.lease(agent).await? {
            Ok(lease) => lease,
            // The connection fails with the status and the messages of `salloc`.
            Err(failed) => return Ok(failed),
        };
        let mut command = Command::new("srun");
        command.args(STEP).args(["--quiet", "--overlap"]);
        command.arg(format!("--jobid={}", lease.job())).arg(format!("--nodelist={}", lease.node()));
        command.args(self.cpus.map(|count| OsString::from(format!("--cpus-per-task={count}"))));
        command.args(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        let link = agent.spawn(command).await?;
        // It holds the node until the connection has ended.
        Ok(link.clean_up(async move { drop(lease) }))
    }
}
