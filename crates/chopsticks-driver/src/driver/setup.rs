//! The common settings of all drivers: the name, the interpreter, the options of the agent.

use crate::{host::HostName, interpreter::Interpreter, options::AgentOptions};

/// The settings that every driver has.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) name: HostName,
    pub(crate) interpreter: Option<Interpreter>,
    pub(crate) options: AgentOptions,
}

impl Setup {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: HostName::lossy(name), interpreter: None, options: AgentOptions::new() }
    }
}

/// The setters of a driver's field `setup`.
macro_rules! setup_methods {
    () => {
        /// Sets the tunnel's name, the key of its results.
        #[must_use]
        pub fn name(mut self, name: impl AsRef<str>) -> Self {
            self.setup.name = $crate::host::HostName::lossy(name.as_ref());
            self
        }

        /// Sets the interpreter of this driver.
        #[must_use]
        pub fn python(mut self, interpreter: impl Into<$crate::interpreter::Interpreter>) -> Self {
            self.setup.interpreter = Some(interpreter.into());
            self
        }

        pub(crate) fn or_python(mut self, interpreter: &$crate::interpreter::Interpreter) -> Self {
            self.setup.interpreter.get_or_insert_with(|| interpreter.clone());
            self
        }

        /// Sets the working directory of the agent. If it does not exist, the connection fails.
        #[must_use]
        pub fn current_dir(mut self, folder: impl Into<String>) -> Self {
            self.setup.options = self.setup.options.current_dir(folder);
            self
        }

        /// Sets an environment variable of the agent, in addition to the existing ones: see
        /// [`AgentOptions`](crate::AgentOptions).
        #[must_use]
        pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.setup.options = self.setup.options.env(name, value);
            self
        }

        /// Makes the `site-packages` of the far side importable. By default only its standard
        /// library is importable.
        #[must_use]
        pub fn with_site_packages(mut self) -> Self {
            self.setup.options = self.setup.options.with_site_packages();
            self
        }

        /// Makes the packages importable that the far side's user has installed
        /// (`pip install --user`).
        #[must_use]
        pub fn with_user_site(mut self) -> Self {
            self.setup.options = self.setup.options.with_user_site();
            self
        }

        /// Makes the folders and archives of the variable `PYTHONPATH` importable: see
        /// [`AgentOptions::with_search_path`](crate::AgentOptions::with_search_path).
        #[must_use]
        pub fn with_search_path(mut self) -> Self {
            self.setup.options = self.setup.options.with_search_path();
            self
        }
    };
}
pub(crate) use setup_methods;
