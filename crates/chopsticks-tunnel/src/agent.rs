//! The kinds of agents.

use std::fmt;

/// The kind of agent that a tunnel starts on its host.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Agent {
    /// A copy of this program, which runs its functions in Rust:
    /// [`Tunnel::invoke`](crate::Tunnel::invoke).
    ///
    /// The host needs a POSIX `sh`, but neither Python nor Rust. Such an agent does nothing else yet:
    /// no calls of Python functions, no transfers of files, no programs, no tunnels through it.
    Native,
    /// The agent in Python, which does everything but run functions in Rust.
    #[default]
    Python,
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Python => "python",
        })
    }
}
