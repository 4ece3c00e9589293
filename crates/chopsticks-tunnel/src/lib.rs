//! Tunnels: start an agent through a driver, and call functions in it.
//!
//! A [`Tunnel`] is one host. Its [`Driver`] starts a Python interpreter there, to which the tunnel
//! sends the agent and calls; or, with [`Agent::Native`], a copy of this program. A tunnel connects when it is first used, and again after its
//! connection was closed or lost.
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
//! * [`Tunnel`], [`Call`], [`Args`], [`Function`] and [`Reply`] are for calls.
//! * [`Agent`] is the kind of agent, and [`Tunnel::invoke`] is for functions in Rust.
//! * [`Items`] is a stream of the values that a generator yields, or of the results for many items.
//! * [`Local`], [`Ssh`], [`Sudo`], [`Docker`], [`Podman`] and [`Command`] start an interpreter, on
//!   this host or another. So do [`Su`], [`Doas`], [`Compose`], [`Kubectl`], [`Lxc`], [`Incus`],
//!   [`Nspawn`], [`Machine`], [`Nsenter`], [`Chroot`] and [`Slurm`]. [`Target`] names any of them in
//!   a text.
//! * [`Route`] and [`Via`] start it from the far side of another tunnel.
//! * [`Driver`], [`Link`] and [`AgentCommand`] are for drivers of your own.
//! * [`TunnelConfig`] sets deadlines, limits and the [`ModuleSource`] of the modules that agents
//!   import. [`Stderr`], [`Stdout`] and [`Logging`] decide where output goes. [`Context`] holds
//!   defaults and limits that several tunnels share.
//! * [`RemoteCommand`], [`TunnelCommand`], [`Child`] and [`Stdio`] run programs on hosts.
//! * [`Put`], [`Fetch`] and [`Transferred`] transfer files.
//! * [`TunnelCall`], [`TunnelPut`] and [`TunnelFetch`] are operations whose options can be set until
//!   they are awaited.
//! * [`Error`], [`ErrorKind`], [`Phase`] and [`Hint`] describe what went wrong, on which host, and
//!   in which phase.
//!
//! # Features
//!
//! `containers`, the drivers of Docker and Podman, and `groups`, which turns the errors of
//! `chopsticks-group` into [`Error`], are on by default.
//!
//! The drivers and their types come from `chopsticks-driver`. This crate contains no groups and
//! queues, and does not know where modules come from.

mod agent;
mod args;
mod audit;
mod auto;
mod bootstrap;
mod call;
mod calling;
mod config;
mod connection;
mod context;
mod error;
mod file;
mod input;
mod invoke;
mod items;
mod keeper;
mod lease;
mod library;
mod logging;
mod module;
mod name;
mod output;
mod pending;
mod program;
mod programs;
mod reader;
mod recording;
mod relay;
mod retry;
mod room;
mod route;
mod serving;
mod side;
mod span;
mod start;
mod stderr;
mod stdout;
#[cfg(feature = "symbols")]
mod symbols;
mod target;
mod tunnel;
mod type_name;

pub use agent::Agent;
pub use args::Args;
pub use audit::{AuditController, AuditLog, AuditRecord, AuditSink};
pub use chopsticks_driver::{
    AgentCommand, AgentOptions, Chroot, Command, DefaultPythons, Doas, Driver, Encode, HasDefaultPython,
    Hint, HostName, Incus, Interpreter, InvalidHostName, InvalidTarget, Known, Kubectl, Launcher, Link,
    Local, Lxc, Machine, Nsenter, Nspawn, Program, Secret, SecretKind, SecretRequest, Secrets, Slurm,
    SlurmNode, Ssh, Su, Sudo, Symptoms,
};
#[cfg(feature = "containers")]
pub use chopsticks_driver::{
    Attached, Compose, ContainerInfo, Docker, DockerEngine, DockerExec, Engine, NewContainer, Podman,
    PodmanEngine, PodmanExec,
};

pub use bootstrap::elf::Libc;
pub use call::{Call, Function, Ignored, Reply};
pub use calling::TunnelCall;
pub use config::TunnelConfig;
pub use context::Context;
pub use error::{Error, ErrorKind, Phase, RemoteException};
pub use file::{
    Excludes, Fetch, FileKind, Obstacle, Progress, Put, Transferred, TransferredFolder, TunnelFetch,
    TunnelPut,
};
pub use items::{EncodedItems, Items};
pub use logging::{LogLevel, LogRecord, Logging, UnknownLogLevel};
pub use module::{
    ModuleEntry, ModuleEntryKind, ModuleError, ModuleSource, Resource, ResourceEntry, ResourceKind,
};
pub use name::OsName;
pub use program::{Child, ChildStderr, ChildStdin, ChildStdout, RemoteCommand, Stdio, TunnelCommand};
pub use programs::{AgentProgram, Programs};
pub use retry::Retry;
pub use room::Room;
pub use route::{Route, Via};
pub use side::Side;
pub use stderr::Stderr;
pub use stdout::Stdout;
pub use target::Target;
pub use tunnel::{AgentInfo, Tunnel};
