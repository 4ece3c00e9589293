//! A subprocess of the controller.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use tokio::process::Command;

use crate::{
    defaults::sealed::Sealed,
    driver::{AgentCommand, Driver},
    host::HostName,
    interpreter::Interpreter,
    options::AgentOptions,
    process::{Link, missing_folder},
    quiet::Quiet,
};

/// Runs the agent as a subprocess on the controller's own host.
///
/// ```
/// use chopsticks_driver::{Interpreter, Local};
///
/// let worker = Local::new().name("worker-1").python("/opt/python3.13/bin/python3");
/// let old = Local::new().name("old").python(Interpreter::python2());
/// # let _ = (worker, old);
/// ```
#[derive(Clone, Debug)]
pub struct Local {
    name: HostName,
    interpreter: Option<Interpreter>,
    current_dir: Option<PathBuf>,
    env: Quiet<Vec<(OsString, OsString)>>,
    options: AgentOptions,
}

impl Local {
    /// Creates a driver named `localhost`. The default interpreter is `/usr/bin/python3`.
    pub fn new() -> Self {
        Self {
            name: HostName::lossy("localhost"),
            interpreter: None,
            current_dir: None,
            env: Quiet::default(),
            options: AgentOptions::new(),
        }
    }

    /// Sets the tunnel's name, the key of its results.
    #[must_use]
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        self.name = HostName::lossy(name.as_ref());
        self
    }

    /// Sets the interpreter of this driver.
    #[must_use]
    pub fn python(mut self, interpreter: impl Into<Interpreter>) -> Self {
        self.interpreter = Some(interpreter.into());
        self
    }

    /// Sets the working directory of the agent. Default: that of the controller.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.current_dir = Some(folder.as_ref().to_owned());
        self
    }

    /// Sets an environment variable of the agent, in addition to those of the controller. The
    /// interpreter is started with it, and ignores its own variables, such as `PYTHONPATH`.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Makes the interpreter's `site-packages` importable. By default only its standard library is
    /// importable.
    #[must_use]
    pub fn with_site_packages(mut self) -> Self {
        self.options = self.options.with_site_packages();
        self
    }

    /// Makes the packages importable that the far side's user has installed (`pip install --user`).
    #[must_use]
    pub fn with_user_site(mut self) -> Self {
        self.options = self.options.with_user_site();
        self
    }

    /// Makes the folders and archives of the variable `PYTHONPATH` importable: see
    /// [`AgentOptions::with_search_path`](crate::AgentOptions::with_search_path).
    #[must_use]
    pub fn with_search_path(mut self) -> Self {
        self.options = self.options.with_search_path();
        self
    }

    fn options_in(&self, folder: Option<PathBuf>) -> AgentOptions {
        let mut options = self.options.clone();
        if let Some(folder) = folder.as_ref().and_then(|folder| folder.to_str()) {
            options = options.current_dir(folder);
        }
        for (name, value) in self.env.iter() {
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                options = options.env(name, value);
            }
        }
        options
    }

    pub(crate) fn or_python(mut self, interpreter: &Interpreter) -> Self {
        self.interpreter.get_or_insert_with(|| interpreter.clone());
        self
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Driver for Local {
    fn host(&self) -> HostName {
        self.name.clone()
    }

    fn options(&self) -> AgentOptions {
        // Set again by the agent, these go before those of the tunnel's configuration.
        self.options_in(self.current_dir.as_ref().and_then(|folder| std::path::absolute(folder).ok()))
    }

    fn options_elsewhere(&self) -> AgentOptions {
        // A relative folder starts where that agent does.
        self.options_in(self.current_dir.clone())
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let argv = agent.argv(&agent.python::<Self>(self.interpreter.as_ref()));
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.envs(agent.variables());
        // On the far side of a tunnel the agent itself goes there.
        if let Some(folder) = self.current_dir.as_ref().filter(|_| agent.is_here()) {
            if !folder.is_dir() {
                return Err(missing_folder(&folder.display().to_string()));
            }
            command.current_dir(folder);
        }
        agent.spawn(command).await
    }
}

impl Sealed for Local {
    const KIND: &str = "local";
}
