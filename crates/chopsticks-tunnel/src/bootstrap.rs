//! How an agent comes into being: the command that starts it, and the bytes that it is sent first.

use std::{borrow::Cow, env, io, path::Path};

use bytes::Bytes;
use chopsticks_driver::{AgentCommand, Hint};
use chopsticks_function::Start;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};

use self::{
    elf::{Elf, Libc},
    question::Question,
};
use crate::{
    agent::Agent,
    programs::{Programs, Refusal},
};

pub(crate) mod elf;
pub(crate) mod program;
pub(crate) mod question;
mod stage;

/// How far away an agent is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// As a child of this process, on the same files.
    Here,
    /// Where a copy of a program is sent faster than it is compressed.
    Near,
    /// On another host.
    Far,
}

/// The one place that knows what kind of agent a connection has.
///
/// The keeper passes the command to the driver, and sends the preamble in front of `START`. From then
/// on, every agent speaks the same protocol.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    agent: Agent,
    command: AgentCommand,
    preamble: Bytes,
    /// What is asked before there is a preamble.
    question: Option<Question>,
    /// The C library that the program needs, for hints.
    libc: Option<Libc>,
}

impl Bootstrap {
    /// Returns the bootstrap of an agent. An agent in Rust is one of `programs`. `place` says how far
    /// away it is started.
    ///
    /// # Errors
    ///
    /// For an agent in Rust: this program would not become an agent, or its file cannot be read.
    pub(crate) async fn new(agent: Agent, programs: &Programs, place: Place) -> io::Result<Self> {
        match agent {
            Agent::Native if programs.are_many() => Ok(Self::asking(programs, place == Place::Far)),
            Agent::Native if place == Place::Here && Path::new(PROGRAM).exists() => Self::here(),
            Agent::Native => Self::native(place == Place::Far).await,
            // A tunnel that starts either has resolved it.
            Agent::Auto | Agent::Python => Ok(Self::python()),
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
            question: None,
            libc: None,
        }
    }

    /// Returns the bootstrap of this program itself.
    fn here() -> io::Result<Self> {
        let start = Start::of_this_program().ok_or_else(|| io::Error::other(NOT_READY))?;
        let token = stage::token();
        let mut argv = vec![PROGRAM.to_owned()];
        argv.extend_from_slice(start.arguments());
        if let Some(last) = argv.last_mut() {
            last.push_str(&token);
        }
        // By this mark the agent finds what it has started, as in `stage`.
        let mut mark = env::var_os(MARK).unwrap_or_default();
        mark.push(format!(":{token}"));
        let command = AgentCommand::program(argv).env(MARK, mark).env("CHOPSTICKS_FILE", "");
        let preamble = Bytes::from_static(&[program::END_OF_PADDING]);
        Ok(Self { agent: Agent::Native, command, preamble, question: None, libc: None })
    }

    /// Returns the bootstrap of a copy of this program.
    async fn native(is_far: bool) -> io::Result<Self> {
        let start = Start::of_this_program().ok_or_else(|| io::Error::other(NOT_READY))?;
        type Ready = (Bytes, Option<Libc>);
        // A cache: the program is the same for all connections, which share the bytes.
        static PREAMBLES: [OnceCell<Ready>; 2] = [OnceCell::const_new(), OnceCell::const_new()];
        let read = || async {
            let read = move || -> io::Result<Ready> {
                let program = program::read()?;
                let libc = Elf::new(&program).and_then(|elf| elf.libc());
                Ok((program::preamble(program, env::consts::ARCH, start.arguments(), is_far)?, libc))
            };
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
        };
        let (preamble, libc) = PREAMBLES[usize::from(is_far)].get_or_try_init(read).await?.clone();
        let command = AgentCommand::program(stage::argv(&stage::token()));
        Ok(Self { agent: Agent::Native, command, preamble, question: None, libc })
    }

    /// Returns the bootstrap of the program that fits the host, which is asked first.
    fn asking(programs: &Programs, is_far: bool) -> Self {
        let token = stage::token();
        let command = AgentCommand::program(stage::asking_argv(&token));
        let question = Some(Question::new(programs.clone(), token, is_far));
        Self { agent: Agent::Native, command, preamble: Bytes::new(), question, libc: None }
    }

    /// Returns the command that starts the agent, on the host of this process.
    pub(crate) fn command(&self) -> AgentCommand {
        self.command.clone()
    }

    /// Returns the bytes that are sent in front of `START`.
    pub(crate) fn preamble(&self) -> Bytes {
        self.preamble.clone()
    }

    /// Returns the pipes of a program that was started, as the transport uses them.
    pub(crate) fn pipes(&self, stdin: Input, stdout: Output) -> (Input, Output) {
        match &self.question {
            None => (stdin, stdout),
            Some(question) => {
                let (stdin, stdout) = question.ask(stdin, stdout);
                (Box::new(stdin), Box::new(stdout))
            }
        }
    }

    /// Returns why the host got no program, if it was asked and none fits.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.question.as_ref()?.refusal()
    }

    /// Returns the program that could not be started, for errors.
    pub(crate) fn program(&self) -> Cow<'static, str> {
        match self.agent {
            Agent::Native => "sh".into(),
            Agent::Auto | Agent::Python => "the interpreter".into(),
        }
    }

    /// Returns the advice for a program that no agent answered from, where the table of hints knows
    /// only of interpreters.
    pub(crate) fn hint(&self, hint: Hint) -> Hint {
        match (self.agent, hint.cause(), &self.libc) {
            (Agent::Native, "python-missing", _) => Hint::new(
                "shell-missing",
                "the host has no `sh`, or has not found a program that leads there",
            ),
            (Agent::Native, cause @ ("libc-missing" | "libc-too-old"), Some(libc)) => Hint::new(
                cause.to_owned(),
                format!("the program needs {libc}, which the host does not have: {STATIC}"),
            ),
            _ => hint,
        }
    }
}

/// The pipes of a program that a driver has started.
type Input = Box<dyn AsyncWrite + Send + Unpin>;
type Output = Box<dyn AsyncRead + Send + Unpin>;

const NOT_READY: &str = "a copy of this program would not become an agent: call `chopsticks::init()` at the \
                         beginning of `main`, or put `#[chopsticks::main]` above it; a program of tests needs \
                         `chopsticks::tests!()`";
/// What to do about a C library.
const STATIC: &str = "build it with `-C target-feature=+crt-static`, or for a musl target";
/// This program, whatever has become of its file.
const PROGRAM: &str = "/proc/self/exe";
/// The variable with the tokens of the agents that have led to a process.
const MARK: &str = "CHOPSTICKS_AGENT";
