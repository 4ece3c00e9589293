//! Runs your own Python code elsewhere.
//!
//! A Rust program names a Python function of its own codebase. The function's source, and all that it imports, travels to
//! an agent on demand, and the result comes back as data that cannot run code here. Nothing is installed at the far end but
//! Python, 2.7 or 3.4 and later, and nothing stays behind.
//!
//! ```no_run
//! use chopsticks::{Codebase, Local, Tunnel, TunnelConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = TunnelConfig::default().modules(Codebase::folder("python"));
//! let tunnel = Tunnel::with_config(Local::new(), config);
//!
//! // Calls load(5) of python/report.py.
//! let load: f64 = tunnel.call("report:load", (5,)).await?;
//! println!("load: {load}");
//! tunnel.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! * [`Tunnel`]: one host, on which functions are called.
//! * [`Ssh`], [`Sudo`], [`Docker`], [`Podman`], [`Command`], [`Local`]: the drivers, by which hosts are reached; [`Target`] is any of them,
//!   written as a text. [`Driver`] is for your own, and [`Via`] starts any of them from the far side of another tunnel.
//! * [`Function`], [`Args`], [`Call`], [`Reply`]: what is called, with what, and what comes back; [`Ignored`] is a result that
//!   is not needed.
//! * [`RemoteCommand`], [`TunnelCommand`], [`Child`], [`Stdio`]: programs on hosts, in the vocabulary of [`std::process`].
//! * [`Put`], [`Fetch`], [`Transferred`]: files, to hosts and from them.
//! * [`Codebase`]: the folders and archives whose modules agents can import; [`Embedded`] has modules in the program itself.
//! * [`Group`], [`GroupResult`], [`Queue`], [`Limits`]: many hosts at once, and each one's outcome.
//! * [`facts`], [`helpers`]: what is known of a host, and the output of programs that must not fail.
//! * [`Error`]: what went wrong, on which host, in which phase.
//! * [`Graph`], [`Value`]: results as a graph that keeps sharing and cycles.
//! * [`text`]: what hosts say, as it may be shown on a terminal or in a log.
//! * [`pencode`], [`protocol`], [`transport`], [`driver`], [`files`], [`module`], [`importer`], [`tunnel`], [`scheduling`], [`agent`]: each layer as a module.
//!
//! This crate composes the layers and has no logic of its own.

pub mod facts;
mod group;
pub mod helpers;
mod member;
mod queue;
mod template;

/// For implementations of [`Driver`].
pub use async_trait::async_trait;
#[doc(inline)]
pub use chopsticks_agent as agent;
#[doc(inline)]
pub use chopsticks_driver as driver;
#[doc(inline)]
pub use chopsticks_files as files;
#[doc(inline)]
pub use chopsticks_group as scheduling;
pub use chopsticks_group::{
    AsyncResult, Batch, Budget, Failure, Limits, NotCompleted, NotStarted, Scope, Stage, Timeline,
};
#[doc(inline)]
pub use chopsticks_importer as importer;
#[doc(inline)]
pub use chopsticks_importer::{Codebase, Embedded, Links};
#[doc(inline)]
pub use chopsticks_module as module;
#[doc(inline)]
pub use chopsticks_pencode as pencode;
pub use chopsticks_pencode::{Graph, Value};
#[doc(inline)]
pub use chopsticks_protocol as protocol;
#[doc(inline)]
pub use chopsticks_text as text;
#[doc(inline)]
pub use chopsticks_transport as transport;
#[doc(inline)]
pub use chopsticks_tunnel as tunnel;
pub use chopsticks_tunnel::{
    AgentCommand, AgentInfo, AgentOptions, Args, Call, Child, ChildStderr, ChildStdin, ChildStdout, Command,
    ContainerInfo, Docker, DockerExec, Driver, Encode, Error, ErrorKind, Fetch, Function, Hint, HostName,
    Ignored, Interpreter, InvalidTarget, Link, Local, OsName, Phase, Podman, PodmanExec, Progress, Put,
    RemoteCommand, RemoteException, Reply, Route, Side, Ssh, Stderr, Stdio, Sudo, Symptoms, Target,
    Transferred, TransferredFolder, Tunnel, TunnelCommand, TunnelConfig, Via,
};

pub use crate::{
    group::{DuplicateNames, Failures, Group, GroupResult, InvalidGroup, Outcome, Run},
    queue::{Queue, QueueTarget},
    template::{SharedPath, host_paths},
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/codebases.md")]
struct CodebasesDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/configuration.md")]
struct ConfigurationDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/errors.md")]
struct ErrorsDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/getting-started.md")]
struct GettingStartedDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/introduction.md")]
struct IntroductionDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/output.md")]
struct OutputDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/far-side.md")]
struct FarSideDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/files.md")]
struct FilesDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/groups.md")]
struct GroupsDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/remote-code.md")]
struct RemoteCodeDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/queues.md")]
struct QueuesDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/facts.md")]
struct FactsDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/overview.md")]
struct OverviewDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/local.md")]
struct LocalDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/ssh.md")]
struct SshDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/sudo.md")]
struct SudoDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/containers.md")]
struct ContainersDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/via.md")]
struct ViaDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/writing.md")]
struct WritingDriverDoctests;
