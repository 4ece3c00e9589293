//! The kinds of agents.

use std::fmt;

/// The kind of agent that a tunnel starts on its host.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Agent {
    /// The kind that an operation needs. A tunnel starts one kind first, and the other one through
    /// it when an operation needs that: with the same login, in the same container, as the same
    /// user.
    ///
    /// What both kinds can do is done by the one that runs. If none runs yet, it is the agent in
    /// Python, and a copy of this program only if the host has no Python.
    Auto,
    /// A copy of this program, which runs its functions in Rust:
    /// [`Tunnel::invoke`](crate::Tunnel::invoke).
    ///
    /// The host needs a POSIX `sh`, but neither Python nor Rust. Such an agent also transfers files
    /// and folders, runs programs, and other tunnels can go through it. It calls no functions in
    /// Python.
    Native,
    /// The agent in Python, which does everything but run functions in Rust.
    #[default]
    Python,
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Python => "python",
        })
    }
}
