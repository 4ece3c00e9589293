//! New containers of systemd.

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

/// Runs the agent in a new container in a folder, by `systemd-nspawn`, which only root may do.
///
/// The container ends with the connection. What the agent has written to the folder stays there,
/// unless [`ephemeral`](Self::ephemeral) is set.
///
/// ```
/// use chopsticks_driver::Nspawn;
///
/// let image = Nspawn::machine("bookworm").ephemeral();
/// let folder = Nspawn::folder("/srv/root").name("build").bind("/srv/cache").args(["--private-network"]);
/// # let _ = (image, folder);
/// ```
#[derive(Clone, Debug)]
pub struct Nspawn {
    setup: Setup,
    /// The root: an option and its value.
    root: (&'static str, String),
    ephemeral: bool,
    registered: bool,
    binds: Vec<String>,
    user: Option<String>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Nspawn {
    /// Creates a driver for the root `folder`, which is also the tunnel's name. Only one container
    /// can use a folder at a time.
    pub fn folder(folder: impl Into<String>) -> Self {
        let folder = folder.into();
        Self::rooted("--directory", folder)
    }

    /// Creates a driver for an image that `machinectl list-images` shows. Its name is also the
    /// tunnel's.
    pub fn machine(name: impl Into<String>) -> Self {
        Self::rooted("--machine", name.into())
    }

    fn rooted(option: &'static str, value: String) -> Self {
        Self {
            setup: Setup::new(&value),
            root: (option, value),
            ephemeral: false,
            registered: true,
            binds: Vec::new(),
            user: None,
            args: Quiet::default(),
            program: "systemd-nspawn".into(),
        }
    }

    setup_methods!();
    program_methods!("systemd-nspawn");

    /// Runs in a copy of the root, which is removed at the end. Several containers can then use the
    /// same root.
    #[must_use]
    pub fn ephemeral(mut self) -> Self {
        self.ephemeral = true;
        self
    }

    /// Does not register the container with systemd: for hosts that systemd did not boot.
    #[must_use]
    pub fn unregistered(mut self) -> Self {
        self.registered = false;
        self
    }

    /// Mounts a file or folder of the host, as in `/srv/cache` or `/srv/data:/data`.
    #[must_use]
    pub fn bind(mut self, bind: impl Into<String>) -> Self {
        self.binds.push(bind.into());
        self
    }

    /// Sets the user in the container. Default: root.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = RUN.map(OsString::from).to_vec();
        let (option, root) = &self.root;
        arguments.push(format!("{option}={root}").into());
        if self.ephemeral {
            arguments.push("--ephemeral".into());
        }
        if !self.registered {
            arguments.extend(["--register=no", "--keep-unit"].map(OsString::from));
        }
        arguments.extend(self.binds.iter().map(|bind| OsString::from(format!("--bind={bind}"))));
        arguments.extend(joined("--user", self.user.as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments.push("--".into());
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

drive_by_program!(Nspawn, exclusive: |driver| !driver.ephemeral);

impl Sealed for Nspawn {
    const KIND: &str = "nspawn";
}

/// The pipes as they are, and an init process, so that signals reach the agent.
const RUN: [&str; 3] = ["--quiet", "--pipe", "--as-pid2"];
