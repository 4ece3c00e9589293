//! Nodes of a cluster that Slurm manages.

use std::{ffi::OsString, io, sync::Arc};

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand,
        program::{drive_by_program, joined, program_methods},
        setup::{Setup, setup_methods},
    },
    quiet::Quiet,
};

use self::allocation::Allocation;
pub use self::node::SlurmNode;

mod allocation;
mod node;

/// Runs the agent as a job of its own on a cluster, by `srun`, or on each node of an allocation.
///
/// The job ends with the connection. It begins when the cluster has room for it, which counts
/// towards the tunnel's `handshake_timeout`, and for an allocation towards its `spawn_timeout`.
///
/// ```
/// use chopsticks_driver::Slurm;
///
/// let job = Slurm::new().partition("debug").cpus(4).time("10");
/// // The drivers of four tunnels, which share an allocation of four nodes.
/// let nodes = Slurm::new().partition("debug").time("1:00:00").name("node").nodes(4);
/// assert_eq!(nodes.len(), 4);
/// # let _ = job;
/// ```
#[derive(Clone, Debug)]
pub struct Slurm {
    setup: Setup,
    partition: Option<String>,
    time: Option<String>,
    cpus: Option<u32>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Slurm {
    /// Creates a driver for a job in the cluster's default partition. The tunnel is named `slurm`.
    pub fn new() -> Self {
        Self {
            setup: Setup::new("slurm"),
            partition: None,
            time: None,
            cpus: None,
            args: Quiet::default(),
            program: "srun".into(),
        }
    }

    setup_methods!();
    program_methods!("srun");

    /// Sets the partition of the cluster.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = Some(partition.into());
        self
    }

    /// Sets how long the job may run, as Slurm writes it: minutes, or `HH:MM:SS`, or `DAYS-HH`.
    /// Default: the limit of the partition.
    #[must_use]
    pub fn time(mut self, limit: impl Into<String>) -> Self {
        self.time = Some(limit.into());
        self
    }

    /// Sets the number of processors of the job, on each node. Default: 1.
    #[must_use]
    pub fn cpus(mut self, count: u32) -> Self {
        self.cpus = Some(count);
        self
    }

    /// Returns drivers for the nodes of one allocation of `count` nodes, by `salloc`. They are named
    /// after this driver, as in `slurm-1`.
    ///
    /// The allocation is requested when the first of their tunnels connects. It ends when the last
    /// of them is closed or dropped, and when the controller dies in any way. Each tunnel has a node
    /// of its own. The program that [`program`](Self::program) sets is not used, and the arguments
    /// of [`args`](Self::args) are those of `salloc`.
    pub fn nodes(self, count: u32) -> Vec<SlurmNode> {
        let allocation = Arc::new(Allocation::new(&self, count));
        let node = |number: u32| {
            let mut setup = self.setup.clone();
            setup.name = crate::HostName::lossy(&format!("{}-{number}", self.setup.name));
            SlurmNode::new(setup, self.cpus, allocation.clone())
        };
        (1..=count).map(node).collect()
    }

    /// Returns a driver for one of `count` nodes of an allocation, which it shares with all others
    /// that were created with the same settings and the same `place`.
    pub(crate) fn node(self, count: u32, place: &str) -> SlurmNode {
        let allocation = Allocation::shared(&self, count, place);
        SlurmNode::new(self.setup, self.cpus, allocation)
    }

    /// Returns the arguments for a job, or an allocation.
    fn request(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--quiet".into()];
        arguments.extend(joined("--partition", self.partition.as_ref()));
        arguments.extend(joined("--time", self.time.as_ref()));
        arguments.extend(joined("--cpus-per-task", self.cpus.map(|count| count.to_string()).as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = STEP.map(OsString::from).to_vec();
        arguments.extend(self.request());
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

impl Default for Slurm {
    fn default() -> Self {
        Self::new()
    }
}

drive_by_program!(Slurm);

impl Sealed for Slurm {
    const KIND: &str = "slurm";
}

/// One task, which gets all input. Without `--unbuffered`, srun would wait for whole lines.
const STEP: [&str; 4] = ["--unbuffered", "--input=all", "--nodes=1", "--ntasks=1"];
