//! Exceptions, which Python's side makes: it has the classes.

use std::time::Duration;

use chopsticks::{Error, Failure};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    sync::PyOnceLock,
    types::{IntoPyDict as _, PyDict, PyModule},
};

use crate::reader::Refusal;

/// A deadline: the time that was left, of what the user has given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    pub(crate) left: Duration,
    given: Duration,
}

impl Within {
    /// Takes a deadline in seconds: those that are left, and those that were given.
    pub(crate) fn new(timeout: Option<(f64, f64)>) -> PyResult<Option<Self>> {
        let Some((left, given)) = timeout else { return Ok(None) };
        match Duration::try_from_secs_f64(left.max(0.0)) {
            Ok(left) => {
                let given = Duration::try_from_secs_f64(given.max(0.0)).unwrap_or(Duration::MAX);
                Ok(Some(Self { left, given }))
            }
            // As good as never.
            Err(_) if left.is_finite() || left == f64::INFINITY => Ok(None),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    /// Says in a message what was given in place of what was left.
    fn told(within: Option<Self>, message: String) -> String {
        match within {
            Some(Self { left, given }) => message.replacen(&format!("{left:?}"), &format!("{given:?}"), 1),
            None => message,
        }
    }
}

/// What went wrong with an operation.
pub(crate) enum Trouble {
    /// With the deadline that it had.
    Error(Error, Option<Within>),
    /// The deadline passed.
    Late { host: String, what: &'static str, within: Within },
    /// A group or a queue has not come to it, or has dropped it.
    Left { host: String, message: String, is_late: bool },
}

impl Trouble {
    /// Takes what a group or a queue has in place of a result.
    pub(crate) fn of(host: &str, failure: &Failure<Error>, within: Option<Within>) -> Self {
        match failure {
            Failure::Operation(error) => Self::Error(error.clone(), within),
            Failure::Dropped => {
                Self::Left { host: host.to_owned(), message: "cancelled".to_owned(), is_late: false }
            }
            failure => Self::Left {
                host: host.to_owned(),
                message: Within::told(within, failure.to_string()),
                is_late: failure.is_timeout(),
            },
        }
    }

    /// Makes the exception.
    pub(crate) fn exception<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let fields = PyDict::new(py);
        match self {
            Self::Error(error, within) => {
                fields.set_item("host", error.host().as_str())?;
                fields.set_item("phase", error.phase().to_string())?;
                fields.set_item("kind", error.kind().name())?;
                fields.set_item("message", Within::told(*within, message(error)))?;
                fields.set_item("is_timeout", error.is_timeout())?;
                fields.set_item("is_disconnected", error.is_disconnected())?;
                if let Some(remote) = error.remote() {
                    fields.set_item("type_name", &remote.type_name)?;
                    fields.set_item("text", &remote.message)?;
                    fields.set_item("traceback", &remote.traceback)?;
                }
            }
            Self::Late { host, what, within } => {
                fields.set_item("host", host)?;
                fields.set_item("phase", what)?;
                fields.set_item("kind", "timeout")?;
                fields.set_item("message", format!("{what}: timed out after {:?}", within.given))?;
                fields.set_item("is_timeout", true)?;
            }
            Self::Left { host, message, is_late } => {
                fields.set_item("host", host)?;
                fields.set_item("phase", "call")?;
                fields.set_item("kind", if *is_late { "timeout" } else { "dropped" })?;
                fields.set_item("message", message)?;
                fields.set_item("is_timeout", is_late)?;
            }
        }
        module(py)?.getattr("made")?.call((), Some(&fields))
    }

    /// Makes the exception, to be raised.
    pub(crate) fn raised(&self, py: Python<'_>) -> PyErr {
        match self.exception(py) {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error, None)
    }
}

/// The error that a result cannot be decoded.
pub(crate) fn unfit(py: Python<'_>, host: &str, message: String) -> PyErr {
    let message = format!("the result cannot be decoded: {message}");
    let fields = [("host", host), ("kind", "unfit-result"), ("phase", "call"), ("message", &message)];
    let make = || {
        let fields = fields.into_py_dict(py)?;
        module(py)?.getattr("made")?.call((), Some(&fields))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// The error of a buffer that is not a value.
pub(crate) fn value_error(refusal: Refusal) -> PyErr {
    match refusal {
        Refusal::Unfit(why) => PyValueError::new_err(why),
        Refusal::Raised(error) => error,
    }
}

/// The error for what cannot be.
pub(crate) fn broken(message: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(message.to_string())
}

/// The report without the host, which the exception has in front.
fn message(error: &Error) -> String {
    let report = error.report();
    match report.strip_prefix(error.host().as_str()).and_then(|rest| rest.strip_prefix(": ")) {
        Some(rest) => rest.to_owned(),
        None => report,
    }
}

fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("chopsticks._errors").map(Bound::unbind))?;
    Ok(module.bind(py))
}
