//! How an agent comes into being: the command that starts it, and the bytes that it is sent first.

use bytes::Bytes;
use chopsticks_driver::AgentCommand;

/// The one place that knows what kind of agent a connection has.
///
/// Whoever starts a connection passes the command to the driver, and sends the preamble in front of
/// `START`. From then on, every agent speaks the same protocol.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    command: AgentCommand,
    preamble: Bytes,
}

impl Bootstrap {
    /// Returns the bootstrap of the agent in Python.
    pub(crate) fn python() -> Self {
        Self {
            // No user site, no site: user code finds the standard library and the codebase, and the start costs half.
            // No variables of Python: a `PYTHONPATH` would come before both.
            command: AgentCommand::new(["-s", "-S", "-E", "-c", chopsticks_agent::FIRST_STAGE]),
            preamble: Bytes::from_static(chopsticks_agent::PACKED),
        }
    }

    /// Returns the command that starts the agent, on the host of this process.
    pub(crate) fn command(&self) -> AgentCommand {
        self.command.clone()
    }

    /// Returns the bytes that are sent in front of `START`.
    pub(crate) fn preamble(&self) -> Bytes {
        self.preamble.clone()
    }
}
