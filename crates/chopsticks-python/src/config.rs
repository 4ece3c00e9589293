//! What tunnels have in common: the codebase and the limits.

use std::{path::PathBuf, time::Duration};

use chopsticks::{Codebase, Encode, Stderr, TunnelConfig};
use pyo3::prelude::*;

/// A configuration, shared by the tunnels of one search path.
#[pyclass(frozen, module = "chopsticks._chopsticks")]
pub(crate) struct Config(TunnelConfig);

#[pymethods]
impl Config {
    /// Takes the folders and archives that agents may import from, and how deep tunnels may go.
    #[new]
    fn new(paths: Vec<PathBuf>, depth_limit: u32) -> Self {
        let codebase = paths.iter().fold(Codebase::empty(), |codebase, path| codebase.and_path(path));
        // In a folder of installed packages, one module may lead to thousands.
        let codebase = codebase.max_ahead_time(AHEAD);
        let config = TunnelConfig::default().encode(Encode::ResultNames);
        Self(config.modules(codebase).depth_limit(depth_limit))
    }
}

impl Config {
    /// Returns the configuration of a tunnel whose lines on stderr go to `stderr`.
    pub(crate) fn with_stderr(&self, stderr: Stderr) -> TunnelConfig {
        self.0.clone().stderr(stderr)
    }
}

/// What a first call may take longer than without a look at what it imports.
const AHEAD: Duration = Duration::from_secs(1);
