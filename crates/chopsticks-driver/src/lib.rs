//! Drivers start a Python interpreter on a host, and explain why a start failed.
//!
//! A [`Driver`] composes the command that starts an interpreter, with pipes for its stdin, stdout
//! and stderr. It does not decide where the command is started: this is here, or wherever a
//! [`Launcher`] starts it.
//!
//! # Layout
//!
//! * [`Local`] and [`Ssh`] are drivers for hosts. [`Sudo`], [`Su`] and [`Doas`] lead to other users.
//!   [`Docker`], [`Podman`], [`Compose`], [`Kubectl`], [`Lxc`], [`Incus`], [`Nspawn`], [`Machine`],
//!   [`Nsenter`] and [`Chroot`] lead to containers. [`Slurm`] leads to the nodes of a cluster, and
//!   [`Command`] to whatever a program reaches. [`Address`] names any of them in a text.
//! * [`Driver`], [`AgentCommand`] and [`Link`] are for drivers of your own.
//! * [`Launcher`], [`Program`] and [`Known`] start programs on other hosts.
//! * [`Process`], [`LinkParts`] and [`SpawnError`] describe the started program, its pipes and its
//!   end.
//! * [`Interpreter`], [`DefaultPythons`], [`AgentOptions`] and [`HostName`] describe what is started,
//!   its options and its name.
//! * [`Secret`], [`Secrets`], [`SecretKind`] and [`SecretRequest`] are passwords and passphrases, and
//!   where they come from.
//! * [`hint`] contains the known messages of the programs, and what to do about them.
//! * [`forked`] is for controllers that fork.
//! * [`pacing`] makes connections to busy servers take turns.
//!
//! # Features
//!
//! `containers`, which is on by default, contains the drivers of Docker and Podman.
//!
//! The crate knows nothing about the protocol that uses the pipes.

#[cfg(not(unix))]
compile_error!(
    "chopsticks controls hosts from Unix systems only: it needs their processes, pipes and signals. \
     `chopsticks-pencode`, `chopsticks-protocol`, `chopsticks-group` and `chopsticks-text` build elsewhere too"
);

mod defaults;
mod dialogue;
mod driver;
pub mod forked;
pub mod hint;
mod host;
mod interpreter;
mod launcher;
mod options;
pub mod pacing;
mod process;
mod quiet;
mod quote;
mod secret;
mod target;

pub use defaults::{DefaultPythons, HasDefaultPython};
pub use driver::{
    AgentCommand, Chroot, Command, Doas, Driver, Incus, Kubectl, Local, Lxc, Machine, Nsenter, Nspawn, Slurm,
    SlurmNode, Ssh, Su, Sudo,
};
#[cfg(feature = "containers")]
pub use driver::{
    Attached, Compose, ContainerInfo, Docker, DockerEngine, DockerExec, Engine, NewContainer, Podman,
    PodmanEngine, PodmanExec,
};
pub use hint::{Hint, Symptoms};
pub use host::{HostName, InvalidHostName};
pub use interpreter::Interpreter;
pub use launcher::{Known, Launcher, Program};
pub use options::{AgentOptions, Encode};
pub use process::{CleanUp, Link, LinkParts, Process, SpawnError, missing_folder};
pub use secret::{Secret, SecretKind, SecretRequest, Secrets};
pub use target::{Address, Hop, InvalidTarget};
