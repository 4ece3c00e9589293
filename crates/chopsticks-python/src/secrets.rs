//! Passwords, which programs on the way to a host ask for.

use std::sync::Arc;

use chopsticks::{Secret, SecretKind, SecretRequest, Secrets as Inner};
use pyo3::{prelude::*, types::PyString};

/// The secrets of some tunnels, which share what hosts have said to them.
#[pyclass(frozen, module = "chopsticks._chopsticks", weakref)]
pub(crate) struct Secrets(Inner);

#[pymethods]
impl Secrets {
    /// Takes the password that ssh logs in with, and that of sudo: text, or a function that is called with the name of the host and
    /// returns text, or nothing.
    #[new]
    fn new(password: Option<Bound<'_, PyAny>>, sudo_password: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let given = [(SecretKind::Password, password), (SecretKind::Sudo, sudo_password)];
        let (mut fixed, mut asked) = (Vec::new(), Vec::new());
        for (kind, secret) in given {
            match secret {
                None => {}
                Some(secret) if secret.is_instance_of::<PyString>() => {
                    fixed.push((kind, Secret::new(secret.extract::<String>()?)));
                }
                Some(function) => asked.push((kind, function.unbind())),
            }
        }
        let mut secrets = Inner::new();
        if !asked.is_empty() {
            let asked = Arc::new(asked);
            secrets = Inner::callback(move |request| {
                let (_, function) = asked.iter().find(|(kind, _)| *kind == request.kind)?;
                Python::try_attach(|py| ask(py, function, request))?
            });
        }
        Ok(Self(fixed.into_iter().fold(secrets, |secrets, (kind, secret)| secrets.with(kind, secret))))
    }
}

impl Secrets {
    /// Returns the secrets, which share what hosts say to them.
    pub(crate) fn inner(&self) -> Inner {
        self.0.clone()
    }
}

/// Calls a function for a secret. What it raises is reported, and the host gets none.
fn ask(py: Python<'_>, function: &Py<PyAny>, request: &SecretRequest) -> Option<Secret> {
    let answer = function.bind(py).call1((request.host.as_str(),));
    match answer.and_then(|answer| answer.extract::<Option<String>>()) {
        Ok(text) => text.map(Secret::new),
        Err(error) => {
            error.write_unraisable(py, Some(function.bind(py)));
            None
        }
    }
}
