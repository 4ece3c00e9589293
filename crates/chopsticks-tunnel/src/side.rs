//! The two ends of a tunnel.

use std::fmt;

/// A side of a tunnel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a tunnel has two ends")]
pub enum Side {
    /// The controller's.
    Local,
    /// The host's.
    Remote,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Remote => "remote",
        })
    }
}
