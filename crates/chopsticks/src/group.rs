//! Operations on many tunnels.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    process::{ExitStatus, Output},
    task::{Context, Poll},
};

use chopsticks_function::{Invocation, StreamInvocation};
use chopsticks_group::Limits;
use chopsticks_inventory::{Host, Selection};
use chopsticks_tunnel::{
    AgentInfo, Args, Call, Command, Error, Fetch, Function, HostName, InvalidTarget, Local, Put,
    RemoteCommand, Reply, Route, Ssh, Sudo, Target, Transferred, TransferredFolder, Tunnel, TunnelConfig,
};
#[cfg(feature = "containers")]
use chopsticks_tunnel::{Docker, DockerExec, Podman, PodmanExec};
use futures::Stream;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::{
    member::Member,
    template::{self, SharedPath},
};

/// The outcome of each host, by name, in the order of the group.
pub type GroupResult<V> = chopsticks_group::GroupResult<HostName, V, Error>;

/// The outcome of an operation on one host: its value, or the reason why it has none.
pub type Outcome<V> = chopsticks_group::Outcome<V, Error>;

/// Error for hosts that have failed: which, and how.
pub type Failures = chopsticks_group::Failures<HostName, Error>;

/// Error for tunnels with the same name, which would be the same key in the results.
pub type DuplicateNames = chopsticks_group::DuplicateNames<HostName>;

/// Tunnels on which one operation runs in parallel.
///
/// Creating a group connects nothing; its tunnels connect when they are used. A result has an entry
/// for each host. Hosts that are unreachable, hang or fail do not affect the entries of other
/// hosts.
///
/// Groups are sets by the names of their hosts: `|` and `+` are [`union`](Self::union), `&` is
/// [`intersection`](Self::intersection), `-` is [`difference`](Self::difference), `^` is
/// [`symmetric_difference`](Self::symmetric_difference). A tunnel or driver counts as a group of
/// one. If a host is in both groups, its tunnel comes from the left group. The limits come from the
/// left group too. A group is cheap to clone.
///
/// ```no_run
/// use chopsticks::{Group, Local};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let group = Group::new([Local::new().name("a"), Local::new().name("b")])?;
/// let times = group.call::<f64>("time:time", ()).await;
/// for (host, time) in times.successful() {
///     println!("{host}: {time}");
/// }
/// times.raise_failures()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Group {
    inner: chopsticks_group::Group<Member>,
}

/// Error for texts that do not form a group.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum InvalidGroup {
    /// Several hosts have the same name.
    #[error(transparent)]
    DuplicateNames(#[from] DuplicateNames),
    /// A text is not a valid target.
    #[error(transparent)]
    Target(#[from] InvalidTarget),
}

impl From<InvalidGroup> for Error {
    fn from(error: InvalidGroup) -> Self {
        Self::other(error)
    }
}

/// An operation that runs on the tunnels of a [`Group`]: a stream of host names and outcomes, each
/// as its host finishes.
///
/// # Cancel safety
///
/// No outcome is lost if the future of a next outcome is dropped. Dropping the stream cancels the
/// operations that are running, like dropping their own futures, and starts no others.
#[must_use = "nothing runs unless it is polled"]
pub struct Run<'a, V> {
    inner: chopsticks_group::Run<'a, Member, V>,
}

/// The items of a function's results on the tunnels of a [`Group`]: a stream of host names and
/// items, as they arrive. Created by [`Group::stream`].
///
/// # Cancel safety
///
/// No item is lost if the future of a next item is dropped. Dropping the stream cancels the calls on all hosts.
#[must_use = "nothing is called unless the stream is polled"]
pub struct GroupItems<V> {
    inner: chopsticks_group::Streams<'static, Member, V>,
}

impl Group {
    /// Creates a group of tunnels or of drivers. All have to be of the same type;
    /// [`with`](Self::with) adds others.
    ///
    /// [`parse`](Self::parse) creates a group from texts, such as names of hosts.
    ///
    /// # Errors
    ///
    /// [`DuplicateNames`] if several hosts have the same name.
    pub fn new(tunnels: impl IntoIterator<Item = impl Into<Tunnel>>) -> Result<Self, DuplicateNames> {
        let members = tunnels.into_iter().map(|tunnel| Member(tunnel.into()));
        Ok(Self { inner: chopsticks_group::Group::new(members)? })
    }

    /// Creates a group of [`Target`]s written as texts: host names, which are reached by SSH, and
    /// all other forms of targets.
    ///
    /// To mix them with tunnels and drivers, use [`with`](Self::with).
    ///
    /// # Errors
    ///
    /// [`InvalidGroup`] if a text is not a valid target, or if several hosts have the same name.
    pub fn parse(
        targets: impl IntoIterator<Item = impl AsRef<str>>,
        config: TunnelConfig,
    ) -> Result<Self, InvalidGroup> {
        let mut parsed = Vec::new();
        for text in targets {
            parsed.push(text.as_ref().parse::<Target>()?);
        }
        Ok(Self::new(Target::tunnels(&parsed, &config))?)
    }

    /// Creates a group of the hosts that were [selected](crate::select).
    ///
    /// The variables of a host are those of `selection.get(tunnel.host().as_str())`, so that an
    /// operation can differ from host to host:
    ///
    /// ```no_run
    /// use chopsticks::{Group, Inventory, Selector, TunnelConfig, inventory::Variables, select};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let selector = Selector::new().inventory(Inventory::read("hosts.ini")?);
    /// let selection = select(&selector, ["@web"])?;
    /// let group = Group::selected(&selection, TunnelConfig::default())?;
    /// let variables = |name: &str| selection.get(name).map(|host| host.variables().clone());
    /// let restarted = group.run(|tunnel| {
    ///     let variables: Variables = variables(tunnel.host().as_str()).unwrap_or_default();
    ///     async move { tunnel.call::<bool>("ops:restart", (variables.get("service"),)).await }
    /// });
    /// restarted.await.raise_failures()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidGroup`] if a text is not a valid target, or if several hosts have the same name. A
    /// selection of [`select`](crate::select) has neither.
    pub fn selected(selection: &Selection, config: TunnelConfig) -> Result<Self, InvalidGroup> {
        Self::parse(selection.hosts().iter().map(Host::target), config)
    }

    /// Returns a group of the hosts of this group, followed by others: a tunnel, a driver, or a
    /// group.
    ///
    /// Unlike [`union`](Self::union), it does not allow a host in both.
    ///
    /// ```
    /// use chopsticks::{Docker, Group, Local, Tunnel, TunnelConfig};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let here = Tunnel::new(Local::new().name("here"));
    /// let web = Group::parse(["web1", "web2"], TunnelConfig::default())?;
    /// let group = web.with(Docker::of_image("python").name("clean"))?.with(&here)?;
    /// assert_eq!(group.to_string(), "web1, web2, clean, here");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DuplicateNames`] if a host is in both.
    pub fn with(&self, others: impl Into<Self>) -> Result<Self, DuplicateNames> {
        let others = others.into();
        // All hosts, with the limits of this group, once their names are known to differ.
        Self::new(self.tunnels().chain(others.tunnels()))?;
        Ok(self.union(others))
    }

    /// Sets the limits of each operation on the group: how many hosts run at once, batches,
    /// deadlines, and how many hosts may fail before the operation stops.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { inner: self.inner.limits(limits) }
    }

    /// Returns the number of hosts.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns whether the group has no hosts.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Returns the tunnels in order.
    pub fn tunnels(&self) -> impl Iterator<Item = &Tunnel> {
        self.inner.targets().iter().map(|member| &member.0)
    }

    /// Returns the names of the hosts in order.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.tunnels().map(Tunnel::host)
    }

    /// Connects all hosts, and returns the descriptions of their agents.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Tunnel::connect`].
    pub async fn connect(&self) -> GroupResult<AgentInfo> {
        self.run(|tunnel| async move { tunnel.connect().await }).await
    }

    /// Calls `function` with positional arguments on all hosts.
    ///
    /// `args` is the same as for [`Tunnel::call`]. It is encoded once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the running calls, as with [`Tunnel::call`].
    pub async fn call<R: DeserializeOwned + Send>(
        &self,
        function: impl Into<Function>,
        args: impl Args,
    ) -> GroupResult<R> {
        let call = Call::new(function).args(args);
        self.call_with(call).await.and_then(|_, reply| reply.decode())
    }

    /// Makes a call on all hosts and returns the results, still encoded.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`call`](Self::call).
    pub async fn call_with(&self, call: Call) -> GroupResult<Reply> {
        self.each_call(call).join().await
    }

    /// Makes a call on all hosts and returns each result, still encoded, as it arrives.
    pub fn each_call(&self, call: Call) -> Run<'static, Reply> {
        self.each(move |tunnel| {
            let call = call.clone();
            async move { tunnel.call_with(call).await }
        })
    }

    /// Calls `function` on all hosts and returns the items of its results, with their hosts, as
    /// they arrive: see [`Tunnel::stream`].
    ///
    /// An error of a host arrives in its place among the items of that host, and does not affect
    /// the other hosts. Each host is at most one window ahead of the controller, and then pauses.
    /// So if items are not taken, all hosts pause. A host that cannot be connected has that failure
    /// as its only item. Of the group's limits, those for connecting apply.
    ///
    /// ```no_run
    /// # async fn example(group: chopsticks::Group) {
    /// use futures::StreamExt;
    ///
    /// let mut lines = group.stream::<String>("logs:follow", ("/var/log/syslog",));
    /// while let Some((host, line)) = lines.next().await {
    ///     match line {
    ///         Ok(line) => println!("{host}: {line}"),
    ///         Err(failure) => eprintln!("{host}: {failure}"),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream closes the generators on all hosts, as with [`Tunnel::stream`].
    pub fn stream<V: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Into<Function>,
        args: impl Args,
    ) -> GroupItems<V> {
        self.stream_with(Call::new(function).args(args))
    }

    /// Makes a call on all hosts and returns the items of its results: see [`stream`](Self::stream).
    ///
    /// The deadlines of the call apply to each host, once it is connected. A stream can be read once, so the call should have no
    /// [input](Call::input).
    pub fn stream_with<V: DeserializeOwned + Send + 'static>(&self, call: Call) -> GroupItems<V> {
        GroupItems { inner: self.inner.streams(move |member: Member| member.0.stream_with(call.clone())) }
    }

    /// Calls a function of this program on all hosts, which need an [`Agent::Native`](crate::Agent::Native): see
    /// [`Tunnel::invoke`].
    ///
    /// The arguments are encoded once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the running calls, as with [`Tunnel::invoke`].
    pub async fn invoke<T: Send + 'static>(&self, invocation: Invocation<T>) -> GroupResult<T> {
        self.each_invoke(invocation).join().await
    }

    /// Calls a function of this program on all hosts, and returns each result as it arrives.
    pub fn each_invoke<T: Send + 'static>(&self, invocation: Invocation<T>) -> Run<'static, T> {
        self.each(move |tunnel| {
            let invocation = invocation.clone();
            async move { tunnel.invoke(invocation).await }
        })
    }

    /// Calls a function of this program on all hosts, and returns the items that it yields, with their
    /// hosts, as they arrive: see [`Tunnel::invoke_stream`], and [`stream`](Self::stream) for failures
    /// and the pace.
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream cancels the calls on all hosts, as with [`Tunnel::invoke_stream`].
    pub fn invoke_stream<T: Send + 'static>(&self, invocation: StreamInvocation<T>) -> GroupItems<T> {
        let streams = move |member: Member| member.0.invoke_stream(invocation.clone());
        GroupItems { inner: self.inner.streams(streams) }
    }

    /// Runs a program on all hosts, and returns the status and the output of each: see
    /// [`TunnelCommand::output`](crate::TunnelCommand::output).
    ///
    /// ```no_run
    /// # async fn example(group: chopsticks::Group) {
    /// use chopsticks::RemoteCommand;
    ///
    /// let outputs = group.output(RemoteCommand::new("uname").arg("-r")).await;
    /// for (host, output) in outputs.successful() {
    ///     println!("{host}: {}", String::from_utf8_lossy(&output.stdout));
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the programs.
    pub async fn output(&self, command: RemoteCommand) -> GroupResult<Output> {
        self.each_output(command).join().await
    }

    /// Runs a program on all hosts, and returns the status and the output of each as it ends.
    pub fn each_output(&self, command: RemoteCommand) -> Run<'static, Output> {
        self.each(move |tunnel| tunnel.command_with(command.clone()).output())
    }

    /// Runs a program on all hosts, drops its output, and returns the status of each.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the programs.
    pub async fn status(&self, command: RemoteCommand) -> GroupResult<ExitStatus> {
        self.run(move |tunnel| tunnel.command_with(command.clone()).status()).await
    }

    /// Writes a local file to a path on all hosts, and replaces existing files: see
    /// [`Tunnel::put`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Tunnel::put`].
    pub async fn put(&self, local: impl AsRef<Path>, remote: impl AsRef<Path>) -> GroupResult<Transferred> {
        let (local, remote) = (local.as_ref(), remote.as_ref());
        self.put_with(|_| Put::new(local).to(remote)).await
    }

    /// Writes a file to all hosts. `put` is called for each host.
    ///
    /// ```no_run
    /// # async fn example(group: chopsticks::Group) {
    /// use chopsticks::Put;
    ///
    /// // To a temporary file, whose name is in the result.
    /// let put = group.put_with(|tunnel| Put::bytes(format!("{}\n", tunnel.host())).mode(0o600)).await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Tunnel::put`].
    pub async fn put_with<'a>(
        &self,
        mut put: impl FnMut(&Tunnel) -> Put<'a> + Send,
    ) -> GroupResult<Transferred> {
        self.run(|tunnel| {
            let put = put(&tunnel);
            async move { tunnel.put_with(put).await }
        })
        .await
    }

    /// Writes a local folder with everything in it to a path on all hosts: see [`Tunnel::put_dir`].
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Tunnel::put_dir`].
    pub async fn put_dir(
        &self,
        local: impl AsRef<Path>,
        remote: impl AsRef<Path>,
    ) -> GroupResult<TransferredFolder> {
        let (local, remote) = (local.as_ref(), remote.as_ref());
        self.run(|tunnel| async move { tunnel.put_dir(local, remote).await }).await
    }

    /// Reads a folder of each host into a local folder of its own: see [`Tunnel::fetch_dir`].
    ///
    /// `local` is the same as for [`fetch`](Self::fetch).
    ///
    /// # Errors
    ///
    /// [`SharedPath`], before anything is read, if the folders of two hosts would have the same
    /// path.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Tunnel::fetch_dir`].
    pub async fn fetch_dir(
        &self,
        remote: impl AsRef<Path>,
        local: &str,
    ) -> Result<GroupResult<TransferredFolder>, SharedPath> {
        let (paths, remote) = (&self.host_paths(local)?, remote.as_ref());
        let fetch = |tunnel: Tunnel| async move { tunnel.fetch_dir(remote, &paths[tunnel.host()]).await };
        Ok(self.run(fetch).await)
    }

    /// Reads a file of each host into a local file of its own, and replaces existing files: see
    /// [`Tunnel::fetch`].
    ///
    /// Each `{host}` in `local` stands for the name of the host. Characters that would lead out of
    /// a folder, such as `/`, are escaped there as in URLs.
    ///
    /// # Errors
    ///
    /// [`SharedPath`], before anything is read, if the files of two hosts would have the same path.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Tunnel::fetch`].
    pub async fn fetch(
        &self,
        remote: impl AsRef<Path>,
        local: &str,
    ) -> Result<GroupResult<Transferred>, SharedPath> {
        let (paths, remote) = (self.host_paths(local)?, remote.as_ref());
        Ok(self.fetch_with(|tunnel| Fetch::new(remote).to(&paths[tunnel.host()])).await)
    }

    /// Reads a file of all hosts. `fetch` is called for each host. Without a path, each file goes
    /// to a temporary file.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Tunnel::fetch`].
    pub async fn fetch_with<'a>(
        &self,
        mut fetch: impl FnMut(&Tunnel) -> Fetch<'a> + Send,
    ) -> GroupResult<Transferred> {
        self.run(|tunnel| {
            let fetch = fetch(&tunnel);
            async move { tunnel.fetch_with(fetch).await }
        })
        .await
    }

    /// Runs an operation on all tunnels and returns the outcomes in the order of the group.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the running operations.
    pub async fn run<V, F>(&self, operation: impl FnMut(Tunnel) -> F + Send) -> GroupResult<V>
    where
        F: Future<Output = Result<V, Error>> + Send,
        V: Send,
    {
        self.each(operation).join().await
    }

    /// Runs an operation on all tunnels and returns each outcome as it arrives.
    pub fn each<'a, V, F>(&self, mut operation: impl FnMut(Tunnel) -> F + Send + 'a) -> Run<'a, V>
    where
        F: Future<Output = Result<V, Error>> + Send + 'a,
    {
        Run { inner: self.inner.each(move |member: Member| operation(member.0)) }
    }

    /// Returns a group of the hosts on which `predicate` returns a true value, in the sense of
    /// Python.
    ///
    /// # Errors
    ///
    /// [`Failures`] if the call failed on a host.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`call`](Self::call).
    pub async fn filter(&self, predicate: impl Into<Function>) -> Result<Self, Failures> {
        self.sieve(predicate.into(), true).await
    }

    /// Returns a group of the hosts on which `predicate` returns a false value, in the sense of
    /// Python.
    ///
    /// # Errors
    ///
    /// The errors of [`filter`](Self::filter).
    ///
    /// # Cancel safety
    ///
    /// The same as for [`call`](Self::call).
    pub async fn exclude(&self, predicate: impl Into<Function>) -> Result<Self, Failures> {
        self.sieve(predicate.into(), false).await
    }

    /// Returns a group of the tunnels for which `keep` is true.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(&Tunnel) -> bool) -> Self {
        Self { inner: self.inner.retain(|member| keep(&member.0)) }
    }

    /// Returns a group of the hosts that have failed in `result`, so that they can be tried again.
    #[must_use]
    pub fn failed<V>(&self, result: &GroupResult<V>) -> Self {
        Self { inner: self.inner.failed(result) }
    }

    /// Returns a group of the hosts that have succeeded in `result`.
    #[must_use]
    pub fn succeeded<V>(&self, result: &GroupResult<V>) -> Self {
        Self { inner: self.inner.succeeded(result) }
    }

    /// Closes all tunnels. The group can be used again, and then connects again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the closing of tunnels for which it has begun.
    pub async fn close(&self) -> GroupResult<()> {
        self.inner.close().await
    }

    /// Runs `body` with the group, and closes the group at the end, whatever the outcome.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the tunnels are closed in the background when their last handle is
    /// dropped.
    pub async fn scope<V>(self, body: impl AsyncFnOnce(&Self) -> V) -> V {
        let value = body(&self).await;
        // What could not be closed in order was ended by force; the value matters more.
        let _ = self.close().await;
        value
    }

    /// Returns the hosts of this group, followed by the hosts of `other` that are not in this
    /// group.
    #[must_use]
    pub fn union(&self, other: impl Into<Self>) -> Self {
        Self { inner: self.inner.union(other.into().inner) }
    }

    /// Returns the hosts of this group that are also in `other`.
    #[must_use]
    pub fn intersection(&self, other: impl Into<Self>) -> Self {
        Self { inner: self.inner.intersection(other.into().inner) }
    }

    /// Returns the hosts of this group that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: impl Into<Self>) -> Self {
        Self { inner: self.inner.difference(other.into().inner) }
    }

    /// Returns the hosts that are in only one of the two groups.
    #[must_use]
    pub fn symmetric_difference(&self, other: impl Into<Self>) -> Self {
        Self { inner: self.inner.symmetric_difference(other.into().inner) }
    }

    pub(crate) fn inner(&self) -> &chopsticks_group::Group<Member> {
        &self.inner
    }

    /// Returns the local path of each host.
    fn host_paths(&self, template: &str) -> Result<HashMap<HostName, PathBuf>, SharedPath> {
        let paths = template::host_paths(template, self.hosts())?;
        Ok(self.hosts().cloned().zip(paths).collect())
    }

    async fn sieve(&self, predicate: Function, wanted: bool) -> Result<Self, Failures> {
        let replies = self.call_with(Call::new(predicate)).await;
        let answers = replies.and_then(|_, reply| Ok(reply.graph()?.root().is_truthy()));
        let answers = answers.raise_failures()?;
        let mut answers = answers.into_iter();
        Ok(self.retain(|_| answers.next().is_some_and(|(_, answer)| answer == wanted)))
    }
}

impl<V> Run<'_, V> {
    /// Runs to the end and returns the outcomes in the order of the group.
    ///
    /// # Cancel safety
    ///
    /// The same as for dropping the stream.
    pub async fn join(self) -> GroupResult<V> {
        self.inner.join().await
    }
}

impl<V> Stream for Run<'_, V> {
    type Item = (HostName, Outcome<V>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().inner).poll_next(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<V: Send + 'static> Stream for GroupItems<V> {
    type Item = (HostName, Outcome<V>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().inner).poll_next(context)
    }
}

impl<V> fmt::Debug for GroupItems<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Creates a group of one.
impl From<Tunnel> for Group {
    fn from(tunnel: Tunnel) -> Self {
        Self { inner: Member(tunnel).into() }
    }
}

/// Creates a group of one.
impl From<&Tunnel> for Group {
    fn from(tunnel: &Tunnel) -> Self {
        tunnel.clone().into()
    }
}

/// Implements the conversion of drivers into a group of one host.
macro_rules! group_of_one {
    ($($driver:ty),*) => {$(
        /// Creates a group of one.
        impl From<$driver> for Group {
            fn from(driver: $driver) -> Self {
                Tunnel::from(driver).into()
            }
        }
    )*};
}

group_of_one!(Command, Local, Route, Ssh, Sudo);
#[cfg(feature = "containers")]
group_of_one!(Docker, DockerExec, Podman, PodmanExec);

/// Yields the tunnels in order.
impl IntoIterator for Group {
    type Item = Tunnel;
    type IntoIter = std::vec::IntoIter<Tunnel>;

    fn into_iter(self) -> Self::IntoIter {
        self.tunnels().cloned().collect::<Vec<_>>().into_iter()
    }
}

/// Yields the tunnels in order.
impl<'a> IntoIterator for &'a Group {
    type Item = &'a Tunnel;
    type IntoIter = std::vec::IntoIter<&'a Tunnel>;

    fn into_iter(self) -> Self::IntoIter {
        self.tunnels().collect::<Vec<_>>().into_iter()
    }
}

impl From<&Group> for Group {
    fn from(group: &Group) -> Self {
        group.clone()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<V> fmt::Debug for Run<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Implements an operator by the method of the same meaning.
macro_rules! operator {
    ($($operator:ident, $function:ident, $method:ident, $text:literal;)*) => {$(
        #[doc = $text]
        impl<O: Into<Group>> std::ops::$operator<O> for Group {
            type Output = Group;

            fn $function(self, other: O) -> Group {
                self.$method(other)
            }
        }

        #[doc = $text]
        impl<O: Into<Group>> std::ops::$operator<O> for &Group {
            type Output = Group;

            fn $function(self, other: O) -> Group {
                self.$method(other)
            }
        }
    )*};
}

operator! {
    Add, add, union, "[`Group::union`].";
    BitAnd, bitand, intersection, "[`Group::intersection`].";
    BitOr, bitor, union, "[`Group::union`].";
    BitXor, bitxor, symmetric_difference, "[`Group::symmetric_difference`].";
    Sub, sub, difference, "[`Group::difference`].";
}
