//! The knobs of a tunnel.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chopsticks_driver::{AgentOptions, Encode};
use chopsticks_transport::TransportConfig;

use crate::{module::ModuleSource, serving::Common, stderr::Stderr};

/// Deadlines, limits and helpers of a tunnel.
///
/// Every phase of a connection has a deadline, so nothing waits for ever on a host that does not answer; only calls have none
/// unless [`call_timeout`](Self::call_timeout) or [`Call::timeout`](crate::Call::timeout) sets one.
#[derive(Clone)]
pub struct TunnelConfig {
    pub(crate) spawn_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) call_timeout: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) import_timeout: Duration,
    pub(crate) transport: TransportConfig,
    pub(crate) stderr: Stderr,
    pub(crate) modules: Option<Arc<dyn ModuleSource>>,
    /// Those of this configuration that read modules at once.
    pub(crate) common: Arc<Common>,
    pub(crate) options: AgentOptions,
    depth_limit: Option<u32>,
}

impl TunnelConfig {
    /// Sets how long the driver may take to start the interpreter. Default: 30 s.
    #[must_use]
    pub fn spawn_timeout(mut self, timeout: Duration) -> Self {
        self.spawn_timeout = timeout;
        self
    }

    /// Sets how long the agent may take to answer once the driver's program was started: the login on the other host, the start of a
    /// container, and the start of the interpreter count in. Default: 60 s.
    ///
    /// A busy SSH server that drops connections before they log in is tried again within that time. Waiting for other tunnels of this
    /// process to connect to the same server does not count.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets how long a call may take that sets no deadline of its own. Default: none.
    #[must_use]
    pub fn call_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.call_timeout = timeout.into();
        self
    }

    /// Sets how long the agent may take to end what it started and itself; after that it is killed. Default: 5 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Sets how long a cancelled call may take to end. Default: 5 s.
    ///
    /// A function that sits in a system call cannot be ended on every thread, and one may ignore that it is interrupted.
    /// After this time such a call is abandoned: it keeps its thread on the host until it ends by itself or the tunnel is
    /// closed, what it starts is ended, and other calls are not affected. Only if the agent does not answer a ping within
    /// the same time either (at least 5 s), as when a C function keeps the interpreter to itself, the connection is torn
    /// down, and the next use makes another.
    #[must_use]
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.transport = self.transport.cancel_grace(grace);
        self
    }

    /// Sets how many abandoned calls and transfers the host may have at once. Default: 128; an agent has 256 threads for
    /// calls.
    ///
    /// When so many are, new ones fail with [`ErrorKind::TooManyAbandoned`](crate::ErrorKind::TooManyAbandoned) while
    /// others are under way. As soon as none are, the connection ends, and the next use makes another.
    #[must_use]
    pub fn max_abandoned(mut self, count: usize) -> Self {
        self.transport = self.transport.max_abandoned_requests(count);
        self
    }

    /// Sets the largest message in either direction, in bytes: arguments of a call, or its result. Default: 1 GiB.
    ///
    /// A larger one fails its call, and the tunnel stays usable. Messages are held in memory whole.
    #[must_use]
    pub fn max_message_len(mut self, bytes: usize) -> Self {
        self.transport = self.transport.max_message_len(bytes);
        self
    }

    /// Sets the largest result of a call, in bytes as it is sent, if that is to be less than [`max_message_len`](Self::max_message_len). By
    /// default it is not.
    ///
    /// A larger one fails its call with [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and the tunnel stays usable. The agent refuses to send it, and
    /// what comes all the same is dropped once it is too long. [`Reply::graph`](crate::Reply::graph) takes up to 18 times the length of a result.
    #[must_use]
    pub fn max_result_len(mut self, bytes: usize) -> Self {
        self.transport = self.transport.max_reply_len(bytes);
        self
    }

    /// Sends a probe when nothing was heard for `interval`, and takes the connection for lost when no answer comes within
    /// `timeout`. Default: no probes.
    ///
    /// An agent cannot answer while a C function keeps the interpreter to itself, so be generous.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.transport = self.transport.keepalive(interval, timeout);
        self
    }

    /// Sets where the agent's stderr goes. Default: [`Stderr::console`].
    #[must_use]
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// Sets what answers the agent's imports. Default: nothing, agents have only their own host's modules.
    #[must_use]
    pub fn modules(mut self, source: impl ModuleSource) -> Self {
        self.modules = Some(Arc::new(source));
        self.common = Arc::default();
        self
    }

    /// Sets how long the [`ModuleSource`] may take for one answer, such as a module that an agent imports, and how long a script may take to be
    /// read. After that the import fails, or the call that needs it. Default: 30 s.
    ///
    /// A source that hangs keeps its thread; the tunnels of one configuration and its clones have four.
    #[must_use]
    pub fn import_timeout(mut self, timeout: Duration) -> Self {
        self.import_timeout = timeout;
        self
    }

    /// Sets the working directory of agents, unless their driver sets one. One that is not there fails the connection.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<String>) -> Self {
        self.options = self.options.current_dir(folder);
        self
    }

    /// Sets an environment variable of agents: see [`AgentOptions`].
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options = self.options.env(name, value);
        self
    }

    /// Lets agents send values of this kind in a plain form, where they would refuse to send them. Can be set for several kinds. Default: none.
    ///
    /// ```
    /// use chopsticks_tunnel::{Encode, TunnelConfig};
    ///
    /// let config = TunnelConfig::default().encode(Encode::Objects).encode(Encode::Names);
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn encode(mut self, what: Encode) -> Self {
        self.options = self.options.encode(what);
        self
    }

    /// Adds a folder of the far side to its `sys.path`.
    #[must_use]
    pub fn python_path(mut self, folder: impl Into<String>) -> Self {
        self.options = self.options.python_path(folder);
        self
    }

    /// Makes the `site-packages` of the far side importable. By default only its standard library is.
    #[must_use]
    pub fn with_site_packages(mut self) -> Self {
        self.options = self.options.with_site_packages();
        self
    }

    /// Makes the packages importable that the far side's user has installed for itself (`pip install --user`).
    #[must_use]
    pub fn with_user_site(mut self) -> Self {
        self.options = self.options.with_user_site();
        self
    }

    /// Makes what is in the folders and archives of the variable `PYTHONPATH` importable: see
    /// [`AgentOptions::with_search_path`](crate::AgentOptions::with_search_path).
    #[must_use]
    pub fn with_search_path(mut self) -> Self {
        self.options = self.options.with_search_path();
        self
    }

    /// Sets how deep code on the far side may open tunnels of its own, with the Python package `chopsticks`. Default: 2, or what
    /// [`set_default_depth_limit`](Self::set_default_depth_limit) said.
    ///
    /// The controller's own tunnels are at depth 1, also those through another; a tunnel that code on an agent opens is one deeper than that agent. So with 1,
    /// or 0, code on agents opens none. One that would be deeper raises `DepthLimitExceeded` there, before a process is started. Code can set another limit for the tunnels
    /// that it opens: it is no defence against code that means harm.
    #[must_use]
    pub fn depth_limit(mut self, depth: u32) -> Self {
        self.depth_limit = Some(depth);
        self
    }

    /// Sets the depth limit of all tunnels of this program that set none of their own.
    pub fn set_default_depth_limit(depth: u32) {
        DEFAULT_DEPTH_LIMIT.store(depth, Ordering::Relaxed);
    }

    pub(crate) fn without_options(self) -> Self {
        Self { options: AgentOptions::new(), ..self }
    }

    pub(crate) fn depth_limit_in_force(&self) -> u32 {
        self.depth_limit.unwrap_or_else(|| DEFAULT_DEPTH_LIMIT.load(Ordering::Relaxed))
    }
}

impl Default for TunnelConfig {
    fn default() -> Self {
        Self {
            spawn_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(60),
            call_timeout: None,
            close_timeout: Duration::from_secs(5),
            import_timeout: Duration::from_secs(30),
            transport: TransportConfig::default(),
            stderr: Stderr::console(),
            modules: None,
            common: Arc::default(),
            options: AgentOptions::new(),
            depth_limit: None,
        }
    }
}

impl fmt::Debug for TunnelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelConfig")
            .field("spawn_timeout", &self.spawn_timeout)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("close_timeout", &self.close_timeout)
            .field("import_timeout", &self.import_timeout)
            .field("transport", &self.transport)
            .field("stderr", &self.stderr)
            .field("modules", &self.modules)
            .field("options", &self.options)
            .field("depth_limit", &self.depth_limit_in_force())
            .finish()
    }
}

/// Enough for an agent on a host that opens others there, and too little for a function that opens an agent in which it calls itself.
static DEFAULT_DEPTH_LIMIT: AtomicU32 = AtomicU32::new(2);
