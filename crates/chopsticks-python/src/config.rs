//! What tunnels have in common: the codebase and the limits.

use chopsticks::{Encode, Stderr, TunnelConfig};
use pyo3::prelude::*;

use crate::search::Search;

/// A configuration, shared by the tunnels of one limit.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Config(TunnelConfig);

#[pymethods]
impl Config {
    /// Takes what agents may import, and how deep tunnels may go.
    #[new]
    fn new(search: &Search, depth_limit: u32) -> Self {
        let config = TunnelConfig::default().encode(Encode::ResultNames);
        Self(config.modules(search.modules()).depth_limit(depth_limit))
    }
}

impl Config {
    /// Returns the configuration of a tunnel whose lines on stderr go to `stderr`.
    pub(crate) fn with_stderr(&self, stderr: Stderr) -> TunnelConfig {
        self.0.clone().stderr(stderr)
    }
}
