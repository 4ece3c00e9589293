//! Drivers: what programs start an interpreter on a host, and what they say when they fail.
//!
//! A [`Driver`] composes the command that starts an interpreter somewhere, with pipes for its stdin, stdout and stderr. Where that
//! command is started is not its affair: here, or wherever a [`Launcher`] does it.
//!
//! # Layout
//!
//! * [`Local`], [`Ssh`], [`Sudo`], [`Docker`], [`Podman`], [`Command`]: the drivers; [`Address`] names them all in a text.
//! * [`Driver`], [`AgentCommand`], [`Link`]: for drivers of your own.
//! * [`Launcher`], [`Program`], [`Known`]: for starting programs elsewhere.
//! * [`Process`], [`LinkParts`], [`SpawnError`]: the program that was started, its pipes and its end.
//! * [`Interpreter`], [`AgentOptions`], [`HostName`]: what is started, what it sets up, what it is called.
//! * [`hint`]: what the programs say, and what to do about it.
//! * [`pacing`]: turns at connecting to servers that refuse many at once.
//!
//! What is said over the pipes is not known here.

mod driver;
pub mod hint;
mod host;
mod interpreter;
mod launcher;
mod options;
pub mod pacing;
mod process;
mod quiet;
mod quote;
mod target;

pub use driver::{
    AgentCommand, Attached, Command, Container, ContainerInfo, Docker, DockerEngine, DockerExec, Driver,
    Engine, Local, Podman, PodmanEngine, PodmanExec, Ssh, Sudo,
};
pub use hint::{Hint, Symptoms};
pub use host::{HostName, InvalidHostName};
pub use interpreter::Interpreter;
pub use launcher::{Known, Launcher, Program};
pub use options::{AgentOptions, Encode};
pub use process::{CleanUp, Link, LinkParts, Process, SpawnError, missing_folder};
pub use target::{Address, Hop, InvalidTarget};
