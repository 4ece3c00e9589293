//! Places in files, and the errors and warnings that name them.

use std::{fmt, sync::Arc};

use thiserror::Error;

/// A line of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    file: Arc<str>,
    line: usize,
}

/// Error for a file that cannot be read, or that contains something invalid.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}{reason}", Prefix(.file, *.line))]
pub struct InvalidInventory {
    file: Arc<str>,
    /// 0 for the whole file.
    line: usize,
    reason: String,
}

/// Something in a file that has no effect, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    origin: Origin,
    what: String,
}

/// `file:line: `.
struct Prefix<'a>(&'a str, usize);

impl Origin {
    pub(crate) fn new(file: &Arc<str>, line: usize) -> Self {
        Self { file: file.clone(), line }
    }

    /// Returns the name of the file, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the number of the line. The first one is 1.
    pub fn line(&self) -> usize {
        self.line
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> InvalidInventory {
        InvalidInventory { file: self.file.clone(), line: self.line, reason: reason.into() }
    }

    pub(crate) fn warning(&self, what: impl Into<String>) -> Warning {
        Warning { origin: self.clone(), what: what.into() }
    }
}

impl InvalidInventory {
    pub(crate) fn of_file(file: &str, reason: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, reason: reason.into() }
    }

    /// Returns the number of the line, unless the whole file is concerned.
    pub fn line(&self) -> Option<usize> {
        Some(self.line).filter(|&line| line > 0)
    }
}

impl Warning {
    /// Returns where it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// Writes `file:line`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Writes the place and what it is.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(file, 0) => write!(f, "{file}: "),
            Self(file, line) => write!(f, "{file}:{line}: "),
        }
    }
}
