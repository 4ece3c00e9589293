//! The compiled half of the Python package `chopsticks`, the module `chopsticks._chopsticks`.
//!
//! It gives Python the tunnels, groups and queues of the crate `chopsticks`, and has no API of its own: what users see is in `python/chopsticks`. The
//! `engine` runs the futures of the Rust side for threads of Python, the `reader` makes objects of what hosts return, and the other modules are as thin as they can be.

use std::os::fd::RawFd;

use pyo3::{prelude::*, types::PyBytes};

mod config;
mod core;
mod driver;
mod engine;
mod errors;
mod limits;
mod operation;
mod pool;
mod program;
mod queue;
mod reader;
mod search;
mod secrets;
mod stderr;
mod stream;
mod taking;

/// The module.
#[pymodule(gil_used = true)]
mod _chopsticks {
    #[pymodule_export]
    use super::{
        config::Config,
        core::{Core, Task, close_all, run_all, start_all},
        driver::Driver,
        forget_engine,
        limits::Limits,
        loads,
        operation::Operation,
        pdecode,
        pool::PoolRun,
        queue::Queue,
        resume_engine,
        search::Search,
        secrets::Secrets,
        stderr::{Lines, next_line, stop_lines, write_unraisable},
        stop_engine,
        stream::{Feed, Stream},
    };
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("PYTHON_ARGS", super::driver::arguments())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Reads a value in `marshal`, as results are read.
#[pyfunction]
fn loads<'py>(data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    reader::loads(data.py(), data.as_bytes()).map_err(errors::value_error)
}

/// Reads a value in pencode, as results are read.
#[pyfunction]
fn pdecode<'py>(data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    reader::pdecode(data.py(), data.as_bytes()).map_err(errors::value_error)
}

/// Has all threads come out of the engine: the process is about to fork, or to end.
#[pyfunction]
fn stop_engine(py: Python<'_>) {
    if let Some(engine) = engine::current() {
        engine.stop(py);
    }
}

/// Lets threads into the engine again.
#[pyfunction]
fn resume_engine() {
    if let Some(engine) = engine::current() {
        engine.resume();
    }
}

/// Forgets the engine in a forked child, and returns the descriptors there that lead to the parent's agents.
#[pyfunction]
fn forget_engine() -> Vec<RawFd> {
    engine::forget();
    chopsticks::driver::forked::forget()
}
