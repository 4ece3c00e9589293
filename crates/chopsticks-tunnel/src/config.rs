//! The configuration of a tunnel.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use chopsticks_driver::{AgentOptions, Encode, Interpreter, Secrets};
use chopsticks_transport::TransportConfig;

use crate::{
    agent::Agent,
    audit::{Audit, AuditSink},
    context::Context,
    logging::Logging,
    module::ModuleSource,
    programs::Programs,
    retry::Retry,
    serving::Common,
    stderr::Stderr,
    stdout::Stdout,
};

/// The deadlines, limits and helpers of a tunnel.
///
/// Every phase of a connection has a deadline, so nothing waits for ever on a host that does not
/// answer. Only calls have no deadline, unless [`call_timeout`](Self::call_timeout) or
/// [`Call::timeout`](crate::Call::timeout) sets one.
#[derive(Clone)]
pub struct TunnelConfig {
    pub(crate) spawn_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) call_timeout: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) import_timeout: Duration,
    pub(crate) transport: TransportConfig,
    pub(crate) stderr: Stderr,
    pub(crate) stdout: Stdout,
    pub(crate) logging: Option<Logging>,
    pub(crate) modules: Option<Arc<dyn ModuleSource>>,
    /// Shared by the tunnels of this configuration, which read modules together.
    pub(crate) common: Arc<Common>,
    pub(crate) options: AgentOptions,
    pub(crate) agent: Agent,
    pub(crate) programs: Programs,
    /// Whether the agent is the second one of a tunnel, which is started through the first.
    pub(crate) is_second: bool,
    /// The interpreter that the driver has named, once it was used.
    pub(crate) interpreter: Arc<OnceLock<Interpreter>>,
    pub(crate) audit: Audit,
    pub(crate) context: Arc<Context>,
    pub(crate) secrets: Secrets,
    pub(crate) connect_retry: Retry,
    depth_limit: Option<u32>,
}

impl TunnelConfig {
    /// Sets the kind of agent. Default: [`Agent::Python`].
    ///
    /// ```
    /// use chopsticks_tunnel::{Agent, TunnelConfig};
    ///
    /// let config = TunnelConfig::default().agent(Agent::Native);
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn agent(mut self, agent: Agent) -> Self {
        self.agent = agent;
        self
    }

    /// Sets the programs that agents in Rust are started from. Default: [`Programs::current`].
    #[must_use]
    pub fn programs(mut self, programs: Programs) -> Self {
        self.programs = programs;
        self
    }

    /// Sets how long the driver may take to start the interpreter. Default: 30 s.
    #[must_use]
    pub fn spawn_timeout(mut self, timeout: Duration) -> Self {
        self.spawn_timeout = timeout;
        self
    }

    /// Sets how long the agent may take to answer once the driver's program was started. This
    /// includes the login on the other host, and the start of a container and of the interpreter.
    /// Default: 60 s.
    ///
    /// If a busy SSH server drops a connection before the login, the tunnel tries again within this
    /// time. Waiting for other tunnels of this process to connect to the same server does not
    /// count.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets how long a call may take that does not set a deadline itself. Default: no limit.
    #[must_use]
    pub fn call_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.call_timeout = timeout.into();
        self
    }

    /// Sets how long the agent may take to end the processes that it started, and itself. After
    /// that it is killed. Default: 5 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Sets how long a cancelled call may take to end. Default: 5 s.
    ///
    /// Not every Python can end a function that is stuck in a system call on any thread, and a
    /// function may ignore the interrupt. After this time such a call is abandoned: it keeps its
    /// thread on the host until it ends by itself or the tunnel is closed, the processes that it
    /// starts are ended, and other calls are not affected. The connection is torn down only if the
    /// agent does not answer a ping within the same time either (at least 5 s), for example because
    /// a C function does not release the interpreter. The next use of the tunnel then connects
    /// again.
    #[must_use]
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.transport = self.transport.cancel_grace(grace);
        self
    }

    /// Sets how many abandoned calls and transfers the host may have at once. Default: 128. An
    /// agent has 256 threads for calls.
    ///
    /// At this limit, new calls fail with
    /// [`ErrorKind::TooManyAbandoned`](crate::ErrorKind::TooManyAbandoned) while others are under
    /// way. As soon as no other call is under way, the connection ends, and the next use of the
    /// tunnel connects again.
    #[must_use]
    pub fn max_abandoned(mut self, count: usize) -> Self {
        self.transport = self.transport.max_abandoned_requests(count);
        self
    }

    /// Sets the maximum length of a message in either direction, in bytes: the arguments of a call,
    /// or its result. Default: 1 GiB.
    ///
    /// A longer message fails only its call, and the tunnel stays usable. Each message is held in
    /// memory as a whole.
    #[must_use]
    pub fn max_message_len(mut self, bytes: usize) -> Self {
        self.transport = self.transport.max_message_len(bytes);
        self
    }

    /// Sets the maximum length of an encoded result, in bytes, if it is less than
    /// [`max_message_len`](Self::max_message_len). Default: the same.
    ///
    /// A longer result fails its call with [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and
    /// the tunnel stays usable. The agent does not send such a result. If one arrives all the same,
    /// it is dropped once it is too long. [`Reply::graph`](crate::Reply::graph) takes up to 18
    /// times the length of a result.
    #[must_use]
    pub fn max_result_len(mut self, bytes: usize) -> Self {
        self.transport = self.transport.max_reply_len(bytes);
        self
    }

    /// Sends a probe when nothing was received for `interval`, and treats the connection as lost
    /// when no answer arrives within `timeout`. Default: no probes.
    ///
    /// An agent cannot answer while a C function does not release the interpreter, so choose a
    /// generous timeout.
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

    /// Sets where the text goes that code on the host writes to `sys.stdout`, for example by `print`.
    /// Default: [`Stdout::with_stderr`], which is the console, like stderr.
    #[must_use]
    pub fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets from which level on records of Python's `logging` on the host arrive, and where they
    /// go. A [`LogLevel`](crate::LogLevel) alone makes them `tracing` events: [`Logging::tracing`].
    /// By default none arrive: they go where the handlers of the code on the host write.
    ///
    /// ```
    /// use chopsticks_tunnel::{LogLevel, TunnelConfig};
    ///
    /// let config = TunnelConfig::default().logging(LogLevel::Info);
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn logging(mut self, logging: impl Into<Logging>) -> Self {
        self.logging = Some(logging.into());
        self
    }

    /// Sets the source of the modules that the agent imports. Default: no source; agents have only
    /// the modules of their own host.
    #[must_use]
    pub fn modules(mut self, source: impl ModuleSource) -> Self {
        self.modules = Some(Arc::new(source));
        self.common = Arc::default();
        self
    }

    /// Sets how long the [`ModuleSource`] may take for one answer, such as a module that an agent
    /// imports, and how long reading a script may take. After that the import fails, or the call
    /// that needs it. Default: 30 s.
    ///
    /// A source that hangs keeps its thread. The tunnels of a configuration and its clones have
    /// four threads.
    #[must_use]
    pub fn import_timeout(mut self, timeout: Duration) -> Self {
        self.import_timeout = timeout;
        self
    }

    /// Sets where a [record](crate::AuditRecord) of each operation goes, when it has ended or was
    /// cancelled: calls, streams, programs and transfers. By default there are no records.
    ///
    /// The comparison of [`Put::if_changed`](crate::Put::if_changed) is a part of its transfer, and
    /// connecting is a part of the first operation. A program that was started by
    /// [`TunnelCommand::spawn`](crate::TunnelCommand::spawn) has a record when
    /// [`Child::wait`](crate::Child::wait) returns, or when the child is dropped.
    #[must_use]
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Audit(Some(Arc::new(sink)));
        self
    }

    /// Sets where passwords and passphrases come from that ssh and sudo ask for. Those that a driver
    /// sets come first. Default: there are none, and no program asks.
    ///
    /// The tunnels of this configuration and its clones share what is known about the secrets: see
    /// [`Secrets`].
    ///
    /// ```
    /// use chopsticks_tunnel::{Secret, SecretKind, Secrets, TunnelConfig};
    ///
    /// let secrets = Secrets::new().with(SecretKind::Password, Secret::new("correct horse"));
    /// let config = TunnelConfig::default().secrets(secrets);
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Sets how often a tunnel tries to connect again. Default: never.
    ///
    /// [`handshake_timeout`](Self::handshake_timeout) applies to each attempt, and the deadline of a
    /// call to all of them together. Regardless of this setting, a tunnel tries again if the server
    /// refused it because of its load.
    #[must_use]
    pub fn connect_retry(mut self, retry: Retry) -> Self {
        self.connect_retry = retry;
        self
    }

    /// Sets the working directory of agents whose driver does not set one. If it does not exist,
    /// the connection fails.
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

    /// Allows agents to send values of this kind in a plain form, where they would refuse them
    /// otherwise. Can be set for several kinds. Default: none.
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

    /// Makes the `site-packages` of the far side importable. By default only its standard library
    /// is importable.
    #[must_use]
    pub fn with_site_packages(mut self) -> Self {
        self.options = self.options.with_site_packages();
        self
    }

    /// Makes the packages importable that the far side's user has installed (`pip install --user`).
    #[must_use]
    pub fn with_user_site(mut self) -> Self {
        self.options = self.options.with_user_site();
        self
    }

    /// Makes the folders and archives of the variable `PYTHONPATH` importable: see
    /// [`AgentOptions::with_search_path`](crate::AgentOptions::with_search_path).
    #[must_use]
    pub fn with_search_path(mut self) -> Self {
        self.options = self.options.with_search_path();
        self
    }

    /// Sets how deep the tunnels may be that code on the far side opens with the Python package
    /// `chopsticks`. Default: 2, unless [`Context::depth_limit`] sets another limit.
    ///
    /// The controller's own tunnels are at depth 1, including those through another tunnel. A
    /// tunnel that code on an agent opens is one deeper than that agent. So with a limit of 1 or 0,
    /// code on agents cannot open tunnels. Opening a deeper tunnel raises `DepthLimitExceeded`
    /// there, before a process is started. Code can set another limit for the tunnels that it
    /// opens, so this is no protection against malicious code.
    #[must_use]
    pub fn depth_limit(mut self, depth: u32) -> Self {
        self.depth_limit = Some(depth);
        self
    }

    /// Sets what the tunnels of this configuration share with others: a [`Context`], or an `Arc` of
    /// one that several configurations share. Default: [`Context::shared`].
    #[must_use]
    pub fn context(mut self, context: impl Into<Arc<Context>>) -> Self {
        self.context = context.into();
        self
    }

    pub(crate) fn without_options(self) -> Self {
        Self { options: AgentOptions::new(), ..self }
    }

    pub(crate) fn depth_limit_in_force(&self) -> u32 {
        self.depth_limit.unwrap_or(self.context.depth_limit)
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
            stdout: Stdout::with_stderr(),
            logging: None,
            modules: None,
            common: Arc::default(),
            options: AgentOptions::new(),
            agent: Agent::default(),
            programs: Programs::default(),
            is_second: false,
            interpreter: Arc::default(),
            audit: Audit::default(),
            context: Context::shared(),
            secrets: Secrets::new(),
            connect_retry: Retry::default(),
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
            .field("stdout", &self.stdout)
            .field("logging", &self.logging)
            .field("modules", &self.modules)
            .field("options", &self.options)
            .field("agent", &self.agent)
            .field("programs", &self.programs)
            .field("audit", &self.audit)
            .field("context", &self.context)
            .field("secrets", &self.secrets)
            .field("connect_retry", &self.connect_retry)
            .field("depth_limit", &self.depth_limit_in_force())
            .finish()
    }
}
