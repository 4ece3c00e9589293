//! Queues: a line of operations for each host.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use chopsticks_function::Invocation;
use chopsticks_group::{AsyncResult, Limits, Timeline};
use chopsticks_tunnel::{
    AgentInfo, Args, Call, Error, Function, HostName, RemoteCommand, Reply, Transferred, Tunnel,
};
use serde::de::DeserializeOwned;

use crate::{
    group::{Group, GroupResult, Outcome},
    member::Member,
    template::{self, SharedPath},
};

/// Operations on hosts. Each host performs its own operations in the order in which they were
/// added, and never waits for another host.
///
/// A [`Group`] runs one operation on all hosts and waits for the slowest one. A queue keeps every
/// host busy until its line is empty. Adding an operation starts nothing; [`run`](Self::run) does.
/// Results can be awaited, looked at, or given a callback, which may add further operations.
///
/// The target of an operation is a [`Tunnel`], whose result is an [`Outcome`], or a [`Group`],
/// whose result is a [`GroupResult`]. Hosts are identified by their names. A failure affects only
/// its own operation, but if a host cannot be reached, all operations that wait in its line fail
/// too. A queue is cheap to clone, and clones are handles of the same queue.
///
/// ```no_run
/// use chopsticks::{Group, Local, Queue};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let group = Group::new([Local::new().name("a"), Local::new().name("b")])?;
/// let queue = Queue::new();
/// queue.call::<(), _>(&group, "time:sleep", (0.5,));
/// let times = queue.call::<f64, _>(&group, "time:time", ());
/// queue.run().await;
/// println!("{:?}", times.value()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Queue {
    inner: chopsticks_group::Queue<Member>,
}

/// The target of an operation of a [`Queue`]: `&Tunnel` or `&Group`.
pub trait QueueTarget: sealed::Sealed {
    /// The result of an operation that returns a `V` on each host.
    type Output<V>;

    #[doc(hidden)]
    fn hosts(&self) -> Vec<HostName>;

    #[doc(hidden)]
    fn push<V, F>(
        self,
        queue: &Queue,
        label: &str,
        operation: impl Fn(Tunnel) -> F + Clone + Send + 'static,
    ) -> AsyncResult<Self::Output<V>>
    where
        V: Send + Sync + 'static,
        F: Future<Output = Result<V, Error>> + Send + 'static;
}

impl Queue {
    /// Creates a queue with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a queue.
    ///
    /// [`Limits::target_timeout`] applies to each operation, and [`Limits::timeout`] to each
    /// [`run`](Self::run). Batches and failure budgets are ignored.
    pub fn with_limits(limits: Limits) -> Self {
        Self { inner: chopsticks_group::Queue::with_limits(limits) }
    }

    /// Adds connecting. The result is the description of the agent.
    pub fn connect<T: QueueTarget>(&self, target: T) -> AsyncResult<T::Output<AgentInfo>> {
        self.push(target, "connect", |tunnel| async move { tunnel.connect().await })
    }

    /// Adds a call of `function` with positional arguments, which are encoded immediately.
    pub fn call<R: DeserializeOwned + Send + Sync + 'static, T: QueueTarget>(
        &self,
        target: T,
        function: impl Into<Function>,
        args: impl Args,
    ) -> AsyncResult<T::Output<R>> {
        let call = Call::new(function).args(args);
        let label = call.function().to_string();
        self.push(target, &label, move |tunnel| {
            let call = call.clone();
            async move { tunnel.call_with(call).await?.decode() }
        })
    }

    /// Adds a call. The result is still encoded.
    pub fn call_with<T: QueueTarget>(&self, target: T, call: Call) -> AsyncResult<T::Output<Reply>> {
        let label = call.function().to_string();
        self.push(target, &label, move |tunnel| {
            let call = call.clone();
            async move { tunnel.call_with(call).await }
        })
    }

    /// Adds a call of a function of this program: see [`Tunnel::invoke`]. Its arguments have been
    /// encoded already.
    pub fn invoke<R: Send + Sync + 'static, T: QueueTarget>(
        &self,
        target: T,
        invocation: Invocation<R>,
    ) -> AsyncResult<T::Output<R>> {
        let label = invocation.name();
        self.push(target, label, move |tunnel| {
            let invocation = invocation.clone();
            async move { tunnel.invoke(invocation).await }
        })
    }

    /// Adds a program. The result is its status and its output: see
    /// [`TunnelCommand::output`](crate::TunnelCommand::output).
    pub fn output<T: QueueTarget>(
        &self,
        target: T,
        command: RemoteCommand,
    ) -> AsyncResult<T::Output<std::process::Output>> {
        let label = command.get_program().to_string_lossy().into_owned();
        self.push(target, &label, move |tunnel| tunnel.command_with(command.clone()).output())
    }

    /// Adds writing a local file to a path on the host: see [`Tunnel::put`].
    ///
    /// For other sources and options, [`push`](Self::push) an operation that uses
    /// [`Tunnel::put_with`].
    pub fn put<T: QueueTarget>(
        &self,
        target: T,
        local: impl AsRef<Path>,
        remote: impl AsRef<Path>,
    ) -> AsyncResult<T::Output<Transferred>> {
        let (local, remote) = (local.as_ref().to_owned(), remote.as_ref().to_owned());
        let label = format!("put {}", remote.display());
        self.push(target, &label, move |tunnel| {
            let (local, remote) = (local.clone(), remote.clone());
            async move { tunnel.put(local, remote).await }
        })
    }

    /// Adds reading a file of the host into a local file: see [`Tunnel::fetch`] and
    /// [`Group::fetch`].
    ///
    /// # Errors
    ///
    /// [`SharedPath`] if the files of two hosts would have the same path. Nothing is added in this
    /// case.
    pub fn fetch<T: QueueTarget>(
        &self,
        target: T,
        remote: impl AsRef<Path>,
        local: &str,
    ) -> Result<AsyncResult<T::Output<Transferred>>, SharedPath> {
        let remote = remote.as_ref().to_owned();
        let hosts = target.hosts();
        let paths = template::host_paths(local, hosts.iter())?;
        let paths: Arc<HashMap<HostName, PathBuf>> = Arc::new(hosts.into_iter().zip(paths).collect());
        let label = format!("fetch {}", remote.display());
        Ok(self.push(target, &label, move |tunnel| {
            let (remote, local) = (remote.clone(), paths[tunnel.host()].clone());
            async move { tunnel.fetch(remote, local).await }
        }))
    }

    /// Adds an operation of your own. `label` is its name in the [`timeline`](Self::timeline).
    pub fn push<V, F, T: QueueTarget>(
        &self,
        target: T,
        label: &str,
        operation: impl Fn(Tunnel) -> F + Clone + Send + 'static,
    ) -> AsyncResult<T::Output<V>>
    where
        V: Send + Sync + 'static,
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        target.push(self, label, operation)
    }

    /// Runs all operations, including those that are added in the meantime, until every line is
    /// empty.
    ///
    /// The tunnels stay connected. If another call is already running the queue, this one waits for
    /// it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the running operations, like dropping their own futures. Their
    /// results are [`Failure::Dropped`](crate::Failure::Dropped). Operations that have not started
    /// stay in the queue.
    pub async fn run(&self) {
        self.inner.run().await;
    }

    /// Returns the number of operations that have not started.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns whether every operation has started.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Returns what each host has done so far, and when. [`Timeline::to_svg`] draws it.
    pub fn timeline(&self) -> Timeline<HostName> {
        self.inner.timeline()
    }
}

impl QueueTarget for &Tunnel {
    type Output<V> = Outcome<V>;

    fn hosts(&self) -> Vec<HostName> {
        vec![self.host().clone()]
    }

    fn push<V, F>(
        self,
        queue: &Queue,
        label: &str,
        operation: impl Fn(Tunnel) -> F + Clone + Send + 'static,
    ) -> AsyncResult<Outcome<V>>
    where
        V: Send + Sync + 'static,
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        queue.inner.push(&Member(self.clone()), label, move |member| operation(member.0))
    }
}

impl QueueTarget for &Group {
    type Output<V> = GroupResult<V>;

    fn hosts(&self) -> Vec<HostName> {
        Group::hosts(self).cloned().collect()
    }

    fn push<V, F>(
        self,
        queue: &Queue,
        label: &str,
        operation: impl Fn(Tunnel) -> F + Clone + Send + 'static,
    ) -> AsyncResult<GroupResult<V>>
    where
        V: Send + Sync + 'static,
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        queue.inner.each(self.inner(), label, move |member: Member| operation(member.0))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to implement the trait")]
    pub trait Sealed {}

    impl Sealed for &crate::Tunnel {}
    impl Sealed for &crate::Group {}
}
