//! Running system containers: LXC, Incus and LXD.

use std::{ffi::OsString, io};

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand,
        program::{drive_by_program, joined, program_methods},
        setup::{Setup, setup_methods},
    },
    quiet::Quiet,
};

pub use self::incus::Incus;

mod incus;

/// Runs the agent in a running container of LXC, by `lxc-attach`.
///
/// The environment of the controller is passed on, as `lxc-attach` does; `args(["--clear-env"])`
/// prevents this.
///
/// ```
/// use chopsticks_driver::Lxc;
///
/// let web = Lxc::new("web");
/// let other = Lxc::new("db").path("/srv/lxc").args(["--clear-env"]);
/// # let _ = (web, other);
/// ```
#[derive(Clone, Debug)]
pub struct Lxc {
    setup: Setup,
    container: String,
    path: Option<String>,
    uid: Option<u32>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Lxc {
    /// Creates a driver for a running container, whose name is also the tunnel's.
    pub fn new(container: impl Into<String>) -> Self {
        let container = container.into();
        Self {
            setup: Setup::new(&container),
            container,
            path: None,
            uid: None,
            args: Quiet::default(),
            program: "lxc-attach".into(),
        }
    }

    setup_methods!();
    program_methods!("lxc-attach");

    /// Sets the folder with the containers. Default: that of the host's LXC, usually
    /// `/var/lib/lxc`.
    #[must_use]
    pub fn path(mut self, folder: impl Into<String>) -> Self {
        self.path = Some(folder.into());
        self
    }

    /// Sets the number of the user in the container. Default: 0, which is root.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = vec![format!("--name={}", self.container).into()];
        arguments.extend(joined("--lxcpath", self.path.as_ref()));
        arguments.extend(joined("--uid", self.uid.map(|uid| uid.to_string()).as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments.push("--".into());
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

drive_by_program!(Lxc);

impl Sealed for Lxc {
    const KIND: &str = "lxc";
}
