//! Drivers: how the interpreter of a tunnel is started.

use std::{
    ffi::OsString,
    fmt, io,
    process::{Command as StdCommand, Output},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use chopsticks::{
    AgentCommand, Command, Docker, Driver as Drives, HostName, Link, Local, Podman, Ssh, Sudo,
    agent::FIRST_STAGE,
    driver::{Known, Launcher},
};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{engine::engine, errors::broken, program};

/// A driver.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Driver(pub(crate) Arc<dyn Drives>);

#[pymethods]
impl Driver {
    /// A process on this host.
    #[staticmethod]
    fn local(host: &str, python: OsString) -> Self {
        Self(Arc::new(Local::new().name(host).python(python)))
    }

    /// A process of another user on this host.
    #[staticmethod]
    fn sudo(host: &str, user: String, python: OsString) -> Self {
        Self(Arc::new(Sudo::new(user).name(host).python(python)))
    }

    /// Another host.
    #[staticmethod]
    fn ssh(
        host: String,
        user: Option<String>,
        port: Option<u16>,
        sudo: bool,
        config_file: Option<OsString>,
        python: OsString,
    ) -> Self {
        let mut driver = Ssh::new(host).python(python);
        if let Some(user) = user {
            driver = driver.user(user);
        }
        if let Some(port) = port {
            driver = driver.port(port);
        }
        if sudo {
            driver = driver.sudo();
        }
        if let Some(file) = config_file {
            driver = driver.config_file(file);
        }
        Self(Arc::new(driver))
    }

    /// A container of its own, by Docker or Podman.
    #[staticmethod]
    fn container(
        engine: &str,
        program: OsString,
        host: String,
        image: String,
        rm: bool,
        args: Vec<OsString>,
        python: OsString,
    ) -> PyResult<Self> {
        Ok(Self(match engine {
            "docker" => {
                let driver = Docker::new(host).image(image).program(program).args(args).python(python);
                Arc::new(if rm { driver } else { driver.keep() })
            }
            "podman" => {
                let driver = Podman::new(host).image(image).program(program).args(args).python(python);
                Arc::new(if rm { driver } else { driver.keep() })
            }
            engine => return Err(PyValueError::new_err(format!("unknown engine {engine:?}"))),
        }))
    }

    /// Any program that runs an interpreter, which goes behind its arguments, or in a line for a shell in place of `{}`.
    #[staticmethod]
    fn command(host: &str, words: Vec<OsString>, python: OsString) -> PyResult<Self> {
        let mut words = words.into_iter();
        let program = words.next().ok_or_else(|| PyValueError::new_err("a command has at least one word"))?;
        Ok(Self(Arc::new(Command::new(program).args(words).python(python).name(host))))
    }

    /// What reaches a place by a program of its own, such as `kubectl`, in a manner that `settings` describes.
    #[staticmethod]
    fn program(
        kind: &str,
        host: &str,
        place: String,
        settings: Vec<(String, String)>,
        args: Vec<OsString>,
        program: Option<OsString>,
        python: OsString,
    ) -> PyResult<Self> {
        let words = program::Words { args, program, python };
        program::driver(kind, host, place, settings, words).map(Self)
    }

    /// What `words()` returns, asked for at each connection: the whole command.
    #[staticmethod]
    fn argv(host: &str, words: Py<PyAny>) -> Self {
        Self(Arc::new(Argv { host: HostName::lossy(host), words: Arc::new(words) }))
    }

    /// Returns the words of the command that the driver would run.
    fn words(&self, py: Python<'_>) -> PyResult<Vec<OsString>> {
        let seen = Arc::new(Seen::default());
        let agent = AgentCommand::new(arguments()).by(seen.clone());
        let driver = self.0.clone();
        let error = engine(py)?.wait(py, async move { driver.open(&agent).await.err() })?;
        let words = seen.words.lock().unwrap_or_else(PoisonError::into_inner).take();
        words.ok_or_else(|| broken(error.map_or_else(|| "no command".to_owned(), |error| error.to_string())))
    }
}

/// Returns the arguments of every interpreter.
pub(crate) fn arguments() -> Vec<&'static str> {
    vec!["-s", "-S", "-E", "-c", FIRST_STAGE]
}

/// A command that Python composes.
struct Argv {
    host: HostName,
    words: Arc<Py<PyAny>>,
}

impl fmt::Debug for Argv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argv").field("host", &self.host).finish_non_exhaustive()
    }
}

#[async_trait]
impl Drives for Argv {
    fn host(&self) -> HostName {
        self.host.clone()
    }

    async fn open(&self, agent: &AgentCommand) -> io::Result<Link> {
        let words = self.words.clone();
        // On a thread for that: it is a user's code, which may take its time.
        let words = tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| words.bind(py).call0()?.extract::<Vec<OsString>>())
        });
        let words: Vec<OsString> = match words.await.map_err(io::Error::other)? {
            Some(words) => words.map_err(|error: PyErr| io::Error::other(error.to_string()))?,
            None => return Err(io::Error::other("Python is ending")),
        };
        let [program, arguments @ ..] = words.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cmd_args() returned no words"));
        };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments);
        agent.spawn(command).await
    }
}

/// Starts nothing, and keeps what was to be started.
#[derive(Debug, Default)]
struct Seen {
    words: Mutex<Option<Vec<OsString>>>,
    known: Arc<Known>,
}

#[async_trait]
impl Launcher for Seen {
    async fn spawn(&self, command: &StdCommand) -> io::Result<Link> {
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words = words.map(ToOwned::to_owned).collect();
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
        Err(io::Error::other("nothing was started"))
    }

    async fn output(&self, command: &StdCommand) -> io::Result<Output> {
        let mut again = tokio::process::Command::new(command.get_program());
        again.args(command.get_args()).stdin(std::process::Stdio::null()).kill_on_drop(true);
        again.output().await
    }

    async fn known(&self) -> io::Result<Arc<Known>> {
        Ok(self.known.clone())
    }
}
