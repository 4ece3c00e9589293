//! The error of a source of modules.

use thiserror::Error;

/// Error for a question that a [`ModuleSource`](crate::ModuleSource) could not answer.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{message}")]
pub struct ModuleError {
    message: String,
    files: Vec<String>,
}

impl ModuleError {
    /// Creates an error with the text that the host's `ImportError` shows.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), files: Vec::new() }
    }

    /// Creates an error with the text of another one and of all its sources.
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { message: chopsticks_text::chain(error), files: Vec::new() }
    }

    /// Sets the names of the module's files if the module exists only in compiled form. A host that
    /// can load none of them reports the module as missing, as Python itself does.
    #[must_use]
    pub fn files(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.files = names.into_iter().collect();
        self
    }

    /// Returns the names of the module's files if the module exists only in compiled form.
    pub fn compiled_files(&self) -> &[String] {
        &self.files
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fmt, io};

    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read x")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn text_has_all_sources() {
        let error = ModuleError::from_error(&Outer(io::Error::other("gone")));
        assert_eq!(error.to_string(), "cannot read x: gone");
    }
}
