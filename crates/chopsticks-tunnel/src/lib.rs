//! Tunnels: start a Python agent through a driver, and call functions in it.
//!
//! A [`Tunnel`] is one host: it knows how to start a Python interpreter there (its [`Driver`]), sends the agent to it,
//! and calls functions in it. It connects when it is first used, and again after its connection was
//! closed or lost.
//!
//! ```no_run
//! use chopsticks_tunnel::{Local, Tunnel};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let tunnel = Tunnel::new(Local::new());
//! let joined: String = tunnel.call("os.path:join", ("/srv", "www")).await?;
//! assert_eq!(joined, "/srv/www");
//! tunnel.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! * [`Tunnel`], [`Call`], [`Args`], [`Function`], [`Reply`]: calling.
//! * [`Local`], [`Ssh`], [`Sudo`], [`Docker`], [`Podman`], [`Command`]: starting an interpreter, here and elsewhere; [`Target`] names them
//!   all in a text.
//! * [`Route`], [`Via`]: starting it from the far side of another tunnel.
//! * [`Driver`], [`Link`], [`AgentCommand`]: for drivers of your own.
//! * [`TunnelConfig`], [`Stderr`]: deadlines, limits, where output goes, and the [`ModuleSource`] that
//!   answers what agents import.
//! * [`RemoteCommand`], [`TunnelCommand`], [`Child`], [`Stdio`]: programs on hosts.
//! * [`Put`], [`Fetch`], [`Transferred`]: files, to hosts and from them.
//! * [`Error`], [`ErrorKind`], [`Phase`], [`Hint`]: what went wrong, on which host, in which phase.
//!
//! The drivers, and what goes with them, are those of `chopsticks-driver`. Groups and queues are not here, and neither is where modules come from.

mod args;
mod call;
mod config;
mod connection;
mod error;
mod file;
mod keeper;
mod library;
mod module;
mod name;
mod program;
mod reader;
mod relay;
mod room;
mod route;
mod serving;
mod start;
mod stderr;
mod target;
mod tunnel;

pub use args::Args;
pub use chopsticks_driver::{
    AgentCommand, AgentOptions, Attached, Command, Container, ContainerInfo, Docker, DockerEngine,
    DockerExec, Driver, Encode, Engine, Hint, HostName, Interpreter, InvalidHostName, InvalidTarget, Known,
    Launcher, Link, Local, Podman, PodmanEngine, PodmanExec, Program, Ssh, Sudo, Symptoms,
};

pub use call::{Call, Function, Ignored, Reply};
pub use config::TunnelConfig;
pub use error::{Error, ErrorKind, Phase, RemoteException};
pub use file::{Fetch, Progress, Put, Side, Transferred, TransferredFolder};
pub use module::{
    ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource, ResourceEntry, ResourceKind,
};
pub use name::OsName;
pub use program::{Child, ChildStderr, ChildStdin, ChildStdout, RemoteCommand, Stdio, TunnelCommand};
pub use room::Room;
pub use route::{Route, Via};
pub use stderr::Stderr;
pub use target::Target;
pub use tunnel::{AgentInfo, Tunnel};
