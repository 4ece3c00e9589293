//! Other roots and namespaces of this host: `chroot`, `nsenter`.

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

pub use self::nsenter::Nsenter;

mod nsenter;

/// Runs the agent in another root folder, by `chroot`, which only root may do.
///
/// The folder has to contain a Python with its libraries. Without `/proc` in it, the agent can find
/// only the processes of its own process group when it ends what a call has started.
///
/// ```
/// use chopsticks_driver::Chroot;
///
/// let build = Chroot::new("/srv/chroot/bookworm").name("build").user("builder");
/// # let _ = build;
/// ```
#[derive(Clone, Debug)]
pub struct Chroot {
    setup: Setup,
    folder: String,
    user: Option<String>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Chroot {
    /// Creates a driver for the root `folder`, which is also the tunnel's name.
    pub fn new(folder: impl Into<String>) -> Self {
        let folder = folder.into();
        Self {
            setup: Setup::new(&folder),
            folder,
            user: None,
            args: Quiet::default(),
            program: "chroot".into(),
        }
    }

    setup_methods!();
    program_methods!("chroot");

    /// Sets the user in the root folder: a name, a number, or `user:group`. Default: the
    /// controller's user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = joined("--userspec", self.user.as_ref()).into_iter().collect();
        arguments.extend(self.args.iter().cloned());
        arguments.extend(["--".into(), self.folder.clone().into()]);
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

drive_by_program!(Chroot);

impl Sealed for Chroot {
    const KIND: &str = "chroot";
}
