//! Running instances of Incus and LXD.

use std::{ffi::OsString, io};

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand,
        program::{drive_by_program, pair, program_methods},
        setup::{Setup, setup_methods},
    },
    quiet::Quiet,
};

/// Runs the agent in a running instance of Incus, by `incus exec`, or of LXD, by `lxc exec`.
///
/// ```
/// use chopsticks_driver::Incus;
///
/// let web = Incus::new("web");
/// let far = Incus::new("cluster:db").project("shop");
/// let lxd = Incus::lxd("web");
/// # let _ = (web, far, lxd);
/// ```
#[derive(Clone, Debug)]
pub struct Incus {
    setup: Setup,
    instance: String,
    project: Option<String>,
    uid: Option<u32>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Incus {
    /// Creates a driver for a running instance, `NAME` or `REMOTE:NAME`, which is also the tunnel's
    /// name.
    pub fn new(instance: impl Into<String>) -> Self {
        Self::by("incus", instance.into())
    }

    /// Creates a driver for a running instance of LXD.
    pub fn lxd(instance: impl Into<String>) -> Self {
        Self::by("lxc", instance.into())
    }

    fn by(program: &str, instance: String) -> Self {
        Self {
            setup: Setup::new(&instance),
            instance,
            project: None,
            uid: None,
            args: Quiet::default(),
            program: program.into(),
        }
    }

    setup_methods!();
    program_methods!("incus exec");

    /// Sets the project of the instance.
    #[must_use]
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Sets the number of the user in the instance. Default: 0, which is root.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = vec!["exec".into(), "--force-noninteractive".into()];
        arguments.extend(pair("--project", self.project.as_ref()));
        arguments.extend(pair("--user", self.uid.map(|uid| uid.to_string()).as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments.extend([self.instance.clone().into(), "--".into()]);
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

drive_by_program!(Incus);

impl Sealed for Incus {
    const KIND: &str = "incus";
}
