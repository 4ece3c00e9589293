//! What tunnels have in common: the codebase and the limits.

use std::{path::PathBuf, time::Duration};

use chopsticks::{Codebase, Stderr, TunnelConfig, text::harmless_line};
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
        Self(TunnelConfig::default().modules(codebase).depth_limit(depth_limit))
    }
}

impl Config {
    /// Returns the configuration of a tunnel whose lines on stderr go to `sink`, or nowhere.
    pub(crate) fn with_stderr(&self, sink: Option<Py<PyAny>>) -> TunnelConfig {
        let stderr = match sink {
            None => Stderr::off(),
            Some(sink) => Stderr::callback(move |host, line| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let line = harmless_line(line).into_owned();
                // While the interpreter ends, nobody is there to be told.
                Python::try_attach(|py| {
                    if let Err(error) = sink.bind(py).call1((host, line)) {
                        error.write_unraisable(py, Some(sink.bind(py)));
                    }
                });
            }),
        };
        self.0.clone().stderr(stderr)
    }
}

/// What a first call may take longer than without a look at what it imports.
const AHEAD: Duration = Duration::from_secs(1);
