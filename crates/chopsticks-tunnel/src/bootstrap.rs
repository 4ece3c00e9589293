//! How an agent comes into being: the command that starts it, and the bytes that it is sent first.

use std::{borrow::Cow, io};

use bytes::Bytes;
use chopsticks_driver::{AgentCommand, Hint};
use chopsticks_function::Start;
use tokio::sync::OnceCell;

use crate::agent::Agent;

mod program;
mod stage;

/// The one place that knows what kind of agent a connection has.
///
/// The keeper passes the command to the driver, and sends the preamble in front of `START`. From then
/// on, every agent speaks the same protocol.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    agent: Agent,
    command: AgentCommand,
    preamble: Bytes,
}

impl Bootstrap {
    /// Returns the bootstrap of an agent. `is_far` says that the link to the host may be slower than
    /// compressing what is sent.
    ///
    /// # Errors
    ///
    /// For an agent in Rust: this program would not become an agent, or its file cannot be read.
    pub(crate) async fn new(agent: Agent, is_far: bool) -> io::Result<Self> {
        match agent {
            Agent::Native => Self::native(is_far).await,
            Agent::Python => Ok(Self::python()),
        }
    }

    /// Returns the bootstrap of the agent in Python.
    pub(crate) fn python() -> Self {
        Self {
            agent: Agent::Python,
            // No user site, no site: user code finds the standard library and the codebase, and the start costs half.
            // No variables of Python: a `PYTHONPATH` would come before both.
            command: AgentCommand::new(["-s", "-S", "-E", "-c", chopsticks_agent::FIRST_STAGE]),
            preamble: Bytes::from_static(chopsticks_agent::PACKED),
        }
    }

    /// Returns the bootstrap of a copy of this program.
    async fn native(is_far: bool) -> io::Result<Self> {
        let start = Start::of_this_program().ok_or_else(|| io::Error::other(NOT_READY))?;
        // A cache: the program is the same for all connections, which share the bytes.
        static PREAMBLES: [OnceCell<Bytes>; 2] = [OnceCell::const_new(), OnceCell::const_new()];
        let read = || async {
            let read = move || program::preamble(start.arguments(), is_far);
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
        };
        let preamble = PREAMBLES[usize::from(is_far)].get_or_try_init(read).await?.clone();
        let command = AgentCommand::program(stage::argv(&stage::token()));
        Ok(Self { agent: Agent::Native, command, preamble })
    }

    /// Returns the command that starts the agent, on the host of this process.
    pub(crate) fn command(&self) -> AgentCommand {
        self.command.clone()
    }

    /// Returns the bytes that are sent in front of `START`.
    pub(crate) fn preamble(&self) -> Bytes {
        self.preamble.clone()
    }

    /// Returns the program that could not be started, for errors.
    pub(crate) fn program(&self) -> Cow<'static, str> {
        match self.agent {
            Agent::Native => "sh".into(),
            Agent::Python => "the interpreter".into(),
        }
    }

    /// Returns the advice for a program that no agent answered from, where the table of hints knows
    /// only of interpreters.
    pub(crate) fn hint(&self, hint: Hint) -> Hint {
        match (self.agent, hint.cause()) {
            (Agent::Native, "python-missing") => Hint::new(
                "shell-missing",
                "the host has no `sh`, or has not found a program that leads there",
            ),
            _ => hint,
        }
    }
}

const NOT_READY: &str = "a copy of this program would not become an agent: call `chopsticks::init()` at the \
                         beginning of `main`, or put `#[chopsticks::main]` above it; a program of tests needs \
                         `chopsticks::tests!()`";
