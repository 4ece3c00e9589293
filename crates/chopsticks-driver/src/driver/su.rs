//! Another user, by `su` or `doas`.

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

pub use self::doas::Doas;

mod doas;

/// Runs the agent as another user on the controller's own host, by `su`.
///
/// `su` runs one line in the user's login shell, and only root needs no password for it.
///
/// ```
/// use chopsticks_driver::Su;
///
/// let database = Su::new("postgres");
/// // `www-data` has no login shell.
/// let web = Su::new("www-data").shell("/bin/sh").name("web").python("/usr/bin/python3.11");
/// # let _ = (database, web);
/// ```
#[derive(Clone, Debug)]
pub struct Su {
    setup: Setup,
    user: String,
    shell: Option<String>,
    login: bool,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Su {
    /// Creates a driver for `user`, named `USER@localhost`.
    pub fn new(user: impl Into<String>) -> Self {
        let user = user.into();
        Self {
            setup: Setup::new(&format!("{user}@localhost")),
            user,
            shell: None,
            login: false,
            args: Quiet::default(),
            program: "su".into(),
        }
    }

    setup_methods!();
    program_methods!("su");

    /// Sets the shell to run in place of the user's login shell. Only root may set it for a user
    /// whose login shell is not in `/etc/shells`.
    #[must_use]
    pub fn shell(mut self, shell: impl Into<String>) -> Self {
        self.shell = Some(shell.into());
        self
    }

    /// Starts a login shell, in the home folder of the user, with the environment of a login.
    #[must_use]
    pub fn login(mut self) -> Self {
        self.login = true;
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = Vec::new();
        if self.login {
            arguments.push("-l".into());
        }
        arguments.extend(pair("-s", self.shell.as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments.extend([self.user.clone().into(), "-c".into()]);
        arguments.push(agent.shell_line(&[], &agent.python::<Self>(self.setup.interpreter.as_ref()))?);
        Ok(arguments)
    }
}

impl Default for Su {
    fn default() -> Self {
        Self::new("root")
    }
}

drive_by_program!(Su);

impl Sealed for Su {
    const KIND: &str = "su";
}
