//! Runs your own Python code elsewhere.
//!
//! A Rust program names a Python function of its own codebase. The source of the function, and
//! everything that it imports, is sent to an agent on demand. The result comes back as data that
//! cannot run code here. The far end needs nothing but Python (2.7, or 3.4 and later), and nothing
//! stays behind there.
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
//! * [`Tunnel`] is one host, on which functions are called.
//! * [`Ssh`], [`Sudo`], [`Docker`], [`Podman`], [`Command`] and [`Local`] are the drivers, which
//!   reach hosts. [`Target`] is any of them, written as a text. Implement [`Driver`] for drivers of
//!   your own. [`Su`], [`Doas`], [`Compose`], [`Kubectl`], [`Lxc`], [`Incus`], [`Nspawn`],
//!   [`Machine`], [`Nsenter`], [`Chroot`] and [`Slurm`] are further drivers. [`Via`] starts any driver from the far side of another tunnel.
//! * [`Function`], [`Args`], [`Call`] and [`Reply`] are the function, its arguments, the call, and
//!   the result. [`Ignored`] is a result that is not needed.
//! * [`Items`] is a stream of the values that a generator yields. [`Call::input`] gives a function a
//!   stream to read.
//! * [`function`](macro@function) makes a Rust function callable on hosts, even without Python
//!   there. [`Tunnel::invoke`], [`Group::invoke`] and [`Queue::invoke`] run an [`Invocation`] of
//!   it, and [`Tunnel::invoke_stream`] runs a [`StreamInvocation`] of one that yields items.
//!   [`init`], [`main`](macro@main) and [`tests!`] let the program become the [`Agent`].
//! * [`RemoteCommand`], [`TunnelCommand`], [`Child`] and [`Stdio`] run programs on hosts, with an
//!   interface like that of [`std::process`].
//! * [`Put`], [`Fetch`] and [`Transferred`] transfer files.
//! * [`TunnelCall`], [`TunnelPut`] and [`TunnelFetch`] are what [`Tunnel::call`], [`Tunnel::put`] and
//!   [`Tunnel::fetch`] return: their options can be set until they are awaited.
//! * [`Codebase`] contains the folders and archives whose modules agents can import. [`Embedded`]
//!   contains modules in the program itself.
//! * [`Group`], [`GroupResult`], [`Queue`] and [`Limits`] are for many hosts at once, with an
//!   outcome for each.
//! * [`select`], [`Selector`] and [`Inventory`] name many hosts: ranges such as `web[01-20]`, files of
//!   groups and variables, inventories of Ansible.
//! * [`Pool`] distributes many items over hosts: each item goes to the next free host.
//! * [`facts`] and [`helpers`] return facts about a host, and the output of programs that must not
//!   fail.
//! * [`AuditLog`] records the operations on hosts in a file.
//! * [`TunnelConfig`] sets the deadlines and limits of tunnels, and [`Context`] what several share.
//! * [`Error`] describes what went wrong, on which host, and in which phase.
//! * [`Graph`] and [`Value`] represent results as a graph, with sharing and cycles.
//! * [`text`] makes text from hosts safe to show on a terminal or in a log.
//! * [`pencode`], [`protocol`], [`transport`], [`driver`], [`files`], [`functions`], [`module`],
//!   [`importer`], [`inventory`], [`tunnel`], [`scheduling`] and [`agent`] contain each layer as a
//!   module.
//!
//! # Features
//!
//! All are on by default. `default-features = false` turns them off.
//!
//! | feature | what it contains | without it |
//! |---|---|---|
//! | `containers` | [`Docker`], [`Podman`] and targets such as `docker://IMAGE` | such a target is invalid |
//! | `groups` | [`Group`], [`Queue`] and [`Pool`] | one call to one [`Tunnel`] at a time, or futures of your own |
//! | `parser` | a parser of Python, which is written in C | the build needs no C compiler; the imports of a module are not sent ahead, but on request, each for a round trip |
//!
//! This crate puts the layers together and has no logic of its own.

// For the macros, which name this crate as its users do.
extern crate self as chopsticks;

pub mod facts;
#[cfg(feature = "groups")]
mod group;
pub mod helpers;
#[cfg(feature = "groups")]
mod member;
#[cfg(feature = "groups")]
mod pool;
#[cfg(feature = "groups")]
mod queue;
mod selection;
mod template;

/// For your implementations of [`Driver`].
pub use async_trait::async_trait;
#[doc(inline)]
pub use chopsticks_agent as agent;
#[doc(inline)]
pub use chopsticks_driver as driver;
#[doc(inline)]
pub use chopsticks_files as files;
#[doc(inline)]
pub use chopsticks_function as functions;
pub use chopsticks_function::{Invocation, StreamInvocation, init, is_cancelled};
pub use chopsticks_function_macros::{
    facade_closure as closure, facade_function as function, facade_main as main,
};
#[cfg(feature = "groups")]
#[doc(inline)]
pub use chopsticks_group as scheduling;
#[cfg(feature = "groups")]
pub use chopsticks_group::{
    AsyncResult, Batch, Budget, Failure, Limits, NotCompleted, NotStarted, Scope, Stage, Timeline,
};
#[doc(inline)]
pub use chopsticks_importer as importer;
#[doc(inline)]
pub use chopsticks_importer::{Codebase, Embedded, Links};
#[doc(inline)]
pub use chopsticks_inventory as inventory;
pub use chopsticks_inventory::{Inventory, Selection, Selector};
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
    Agent, AgentCommand, AgentInfo, AgentOptions, Args, AuditController, AuditLog, AuditRecord, AuditSink,
    Call, Child, ChildStderr, ChildStdin, ChildStdout, Chroot, Command, Context, Doas, Driver, Encode,
    EncodedItems, Error, ErrorKind, Excludes, Fetch, FileKind, Function, Hint, HostName, Ignored, Incus,
    Interpreter, InvalidTarget, Items, Kubectl, Link, Local, LogLevel, LogRecord, Logging, Lxc, Machine,
    Nsenter, Nspawn, Obstacle, OsName, Phase, Progress, Put, RemoteCommand, RemoteException, Reply, Retry,
    Route, Secret, SecretKind, SecretRequest, Secrets, Side, Slurm, SlurmNode, Ssh, Stderr, Stdio, Stdout,
    Su, Sudo, Symptoms, Target, Transferred, TransferredFolder, Tunnel, TunnelCall, TunnelCommand,
    TunnelConfig, TunnelFetch, TunnelPut, UnknownLogLevel, Via,
};
pub use chopsticks_tunnel::{AgentProgram, Libc, Programs};
#[cfg(feature = "containers")]
pub use chopsticks_tunnel::{Compose, ContainerInfo, Docker, DockerExec, Podman, PodmanExec};

#[cfg(feature = "groups")]
pub use crate::{
    group::{DuplicateNames, Failures, Group, GroupItems, GroupResult, InvalidGroup, Outcome, Run},
    pool::{Pool, PoolOutcome, PoolRun},
    queue::{Queue, QueueTarget},
};
pub use crate::{
    selection::select,
    template::{SharedPath, host_paths},
};

/// Lets a test binary become an agent. Write it once in each test binary: see
/// [`functions::tests`](chopsticks_function::tests!).
///
/// ```
/// chopsticks::tests!();
/// ```
#[macro_export]
macro_rules! tests {
    () => {
        $crate::functions::tests!();
    };
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust-functions.md")]
struct RustFunctionsDoctests;

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
#[doc = include_str!("../../../docs/streams.md")]
struct StreamsDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/record.md")]
struct RecordDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/inventory.md")]
struct InventoryDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/groups.md")]
struct GroupsDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/remote-code.md")]
struct RemoteCodeDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/passwords.md")]
struct PasswordsDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/queues.md")]
struct QueuesDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/pools.md")]
struct PoolsDoctests;

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
#[doc = include_str!("../../../docs/drivers/su.md")]
struct SuDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/doas.md")]
struct DoasDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/compose.md")]
struct ComposeDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/kubectl.md")]
struct KubectlDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/lxc.md")]
struct LxcDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/nspawn.md")]
struct NspawnDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/nsenter.md")]
struct NsenterDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/chroot.md")]
struct ChrootDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/slurm.md")]
struct SlurmDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/via.md")]
struct ViaDriverDoctests;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/drivers/writing.md")]
struct WritingDriverDoctests;
