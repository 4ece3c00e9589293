//! The destination of text that code on a host writes to `sys.stdout`.

use std::fmt;

use crate::stderr::Stderr;

/// What to do with the text that code on a host writes to Python's `sys.stdout`, for example by
/// `print`.
///
/// The agent's own stdout carries its messages, so the agent puts another file in the place of
/// `sys.stdout`, which sends each line as a message. The lines of a call are passed on before its
/// result. File descriptor 1, to which programs and C libraries write, is `/dev/null`.
///
/// Lines may contain any bytes. An unfinished line is sent when the code flushes, and at the end of
/// its call. A host that prints faster than the lines are passed on waits for a moment, and then
/// leaves lines out. A `tracing` event of level warn says how many.
#[derive(Clone)]
pub struct Stdout(Option<Stderr>);

impl Stdout {
    /// Passes the text to where [`TunnelConfig::stderr`](crate::TunnelConfig::stderr) leads. This is
    /// the default.
    ///
    /// On the console and in events it is marked as by [`console`](Self::console) and
    /// [`tracing`](Self::tracing). The callback of [`Stderr::callback`] or [`Stderr::writer`] gets it
    /// too, without a mark. With [`Stderr::off`] it is dropped.
    pub fn with_stderr() -> Self {
        Self(None)
    }

    /// Writes `[host stdout] line` to the controller's **stderr**, or to the console of the
    /// [`Context`](crate::Context), like [`Stderr::console`].
    ///
    /// The controller's stdout is for the results of the program.
    pub fn console() -> Self {
        Self(Some(Stderr::console_of_stdout()))
    }

    /// Drops the text. The host does not send it.
    pub fn off() -> Self {
        Self(Some(Stderr::off()))
    }

    /// Emits each line as a `tracing` event, like [`Stderr::tracing`], with the target
    /// `chopsticks::stdout`.
    pub fn tracing() -> Self {
        Self(Some(Stderr::tracing_of_stdout()))
    }

    /// Calls `sink` with the host's name and each line, like [`Stderr::callback`].
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use chopsticks_tunnel::{Stdout, TunnelConfig};
    ///
    /// let printed = Arc::new(Mutex::new(Vec::new()));
    /// let stdout = Stdout::callback({
    ///     let printed = printed.clone();
    ///     move |_, line| printed.lock().unwrap().push(line.to_vec())
    /// });
    /// let config = TunnelConfig::default().stdout(stdout);
    /// # let _ = config;
    /// ```
    pub fn callback(sink: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        Self(Some(Stderr::callback(sink)))
    }

    /// Calls `sink` with the host's name and text as it arrives, like [`Stderr::writer`].
    pub fn writer(joins_lines: bool, sink: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        Self(Some(Stderr::writer(joins_lines, sink)))
    }

    /// Returns where it goes, next to a stderr.
    pub(crate) fn beside(&self, stderr: &Stderr) -> Stderr {
        self.0.clone().unwrap_or_else(|| stderr.for_stdout())
    }
}

impl Default for Stdout {
    fn default() -> Self {
        Self::with_stderr()
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Stdout::with_stderr()"),
            Some(sink) => f.write_str(&format!("{sink:?}").replace("Stderr", "Stdout")),
        }
    }
}
