//! What the tunnels of a program share.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write},
    sync::{Arc, LazyLock},
};

use chopsticks_driver::{
    DefaultPythons, HasDefaultPython, Interpreter,
    pacing::{Gates, MAX_CONNECTING},
};
use tokio::sync::Semaphore;

use crate::{serving::TURNS, stderr::Console};

/// What several tunnels share: the defaults of settings that they do not set themselves, the turns
/// at connecting to servers, and the console.
///
/// Each [`TunnelConfig`](crate::TunnelConfig) has a context. All configurations share one,
/// [`Context::shared`], unless [`TunnelConfig::context`](crate::TunnelConfig::context) sets another.
/// Tunnels with different contexts do not affect each other: parts of a program, such as two
/// libraries, can have defaults of their own.
///
/// A context does not change once it is in use. Only the limit of open files stays common to the
/// whole process, since the operating system sets it: see [`Tunnel::room`](crate::Tunnel::room).
///
/// ```
/// use std::sync::Arc;
///
/// use chopsticks_tunnel::{Context, Local, Ssh, Tunnel, TunnelConfig};
///
/// let context = Arc::new(Context::new().default_python::<Ssh>("auto").max_connecting(4));
/// let config = TunnelConfig::default().context(context.clone());
/// let web = Tunnel::with_config(Ssh::new("web1"), config);
///
/// // The same context with other settings.
/// let config = TunnelConfig::default().context(context).depth_limit(1);
/// # let _ = (web, config);
/// ```
pub struct Context {
    pub(crate) console: Console,
    pub(crate) depth_limit: u32,
    pub(crate) gates: Gates,
    pub(crate) pythons: Arc<DefaultPythons>,
    /// The turns at reading modules.
    pub(crate) reading: Semaphore,
    max_connecting: usize,
    reading_threads: usize,
}

impl Context {
    /// Creates a context with the defaults of the library.
    pub fn new() -> Self {
        Self {
            console: Console::new(io::stderr(), !io::stderr().is_terminal()),
            depth_limit: DEPTH_LIMIT,
            gates: Gates::new(MAX_CONNECTING),
            pythons: Arc::default(),
            reading: Semaphore::new(READING_THREADS),
            max_connecting: MAX_CONNECTING,
            reading_threads: READING_THREADS,
        }
    }

    /// Returns the context of all configurations that do not set another one. It has the defaults of
    /// [`new`](Self::new).
    pub fn shared() -> Arc<Self> {
        SHARED.clone()
    }

    /// Sets the interpreter of drivers of type `D` that do not set their own. Default:
    /// `/usr/bin/python3`, and `python3` in containers. New and running containers of one engine
    /// share a default.
    ///
    /// ```
    /// use chopsticks_tunnel::{Context, Docker, Local};
    ///
    /// let context = Context::new()
    ///     .default_python::<Local>("/opt/python3.13/bin/python3")
    ///     .default_python::<Docker>("auto");
    /// # let _ = context;
    /// ```
    #[must_use]
    pub fn default_python<D: HasDefaultPython>(mut self, interpreter: impl Into<Interpreter>) -> Self {
        Arc::make_mut(&mut self.pythons).set::<D>(interpreter);
        self
    }

    /// Sets the depth limit of tunnels that do not set their own:
    /// [`TunnelConfig::depth_limit`](crate::TunnelConfig::depth_limit). Default: 2.
    #[must_use]
    pub fn depth_limit(mut self, depth: u32) -> Self {
        self.depth_limit = depth;
        self
    }

    /// Sets how many tunnels may connect to one server at the same time. 0 counts as 1. Default: 64.
    ///
    /// This applies to servers that may refuse many connections at once, as SSH servers do. The
    /// first 10 connect together. The number grows to the limit while all of them succeed, and
    /// becomes less when the server refuses one. How many tunnels are connected is not limited.
    #[must_use]
    pub fn max_connecting(mut self, count: usize) -> Self {
        self.gates = Gates::new(count);
        self.max_connecting = count.max(1);
        self
    }

    /// Sets how many threads read modules at the same time, for all tunnels together. 0 counts as 1.
    /// Default: 16. The tunnels of one configuration and its clones use at most 4 of them.
    #[must_use]
    pub fn reading_threads(mut self, count: usize) -> Self {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        self.reading = Semaphore::new(count);
        self.reading_threads = count;
        self
    }

    /// Sets where [`Stderr::console`](crate::Stderr::console) and
    /// [`Stdout::console`](crate::Stdout::console) write. Default: the stderr of this process.
    ///
    /// Lines of several hosts are written whole, as to a stderr that is not a terminal. An error of
    /// the writer is ignored.
    ///
    /// ```
    /// use chopsticks_tunnel::{Context, TunnelConfig};
    ///
    /// let log = tempfile::tempfile()?;
    /// let config = TunnelConfig::default().context(Context::new().console(log));
    /// # let _ = config;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn console(mut self, writer: impl Write + Send + 'static) -> Self {
        self.console = Console::new(writer, true);
        self
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("depth_limit", &self.depth_limit)
            .field("max_connecting", &self.max_connecting)
            .field("reading_threads", &self.reading_threads)
            .field("default_pythons", &self.pythons)
            .finish_non_exhaustive()
    }
}

/// Nothing of it can be set, so that no part of a program changes the defaults of another one.
static SHARED: LazyLock<Arc<Context>> = LazyLock::new(Arc::default);

/// Enough for an agent on a host that opens others there, and too low for a function that opens an
/// agent in which it calls itself.
const DEPTH_LIMIT: u32 = 2;
/// Reading modules is short work, which does not justify a thread for each of a thousand
/// connections that begin together. There are more than those of one configuration, so that a
/// source that hangs does not hold up others.
const READING_THREADS: usize = 4 * TURNS;
