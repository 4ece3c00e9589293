//! Namespaces of another process.

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

/// Runs the agent in the namespaces of another process, by `nsenter` of util-linux.
///
/// This reaches containers of any kind by the process that runs in them, without their engine.
///
/// ```
/// use chopsticks_driver::Nsenter;
///
/// let container = Nsenter::process(4711).python("auto");
/// // The files of this host, and the network of the process.
/// let network = Nsenter::process(4711).namespace("net");
/// // What `ip netns add blue` has made.
/// let blue = Nsenter::network("blue");
/// # let _ = (container, network, blue);
/// ```
#[derive(Clone, Debug)]
pub struct Nsenter {
    setup: Setup,
    target: Option<u32>,
    namespaces: Vec<String>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Nsenter {
    /// Creates a driver for all namespaces of a process, named after its number.
    pub fn process(pid: u32) -> Self {
        Self { target: Some(pid), ..Self::unnamed(&format!("pid-{pid}")) }
    }

    /// Creates a driver for a network that has a name, as `ip netns` lists them. The agent shares
    /// everything else with the controller.
    pub fn network(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { namespaces: vec![format!("net=/run/netns/{name}")], ..Self::unnamed(&name) }
    }

    fn unnamed(name: &str) -> Self {
        Self {
            setup: Setup::new(name),
            target: None,
            namespaces: Vec::new(),
            args: Quiet::default(),
            program: "nsenter".into(),
        }
    }

    setup_methods!();
    program_methods!("nsenter");

    /// Enters this namespace, and no others than those that are named: `mount`, `uts`, `ipc`, `net`,
    /// `pid`, `user`, `cgroup` or `time`, or with a file, as in `net=/run/netns/blue`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespaces.push(namespace.into());
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(pid) = self.target {
            arguments.extend(["--target".into(), pid.to_string().into()]);
        }
        if self.namespaces.is_empty() {
            arguments.push("--all".into());
        }
        arguments.extend(self.namespaces.iter().map(|name| OsString::from(format!("--{name}"))));
        arguments.extend(self.args.iter().cloned());
        arguments.push("--".into());
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

drive_by_program!(Nsenter);

impl Sealed for Nsenter {
    const KIND: &str = "nsenter";
    // Images have it in different folders.
    const PRESET: &str = "python3";
}
