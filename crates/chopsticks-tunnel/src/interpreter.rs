//! Which Python to run.

use std::ffi::{OsStr, OsString};

/// The Python interpreter that a driver starts.
///
/// A path, or a name that is looked up on the far side's `PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interpreter(OsString);

impl Interpreter {
    /// Python 3 where distributions put it: `/usr/bin/python3`. The default.
    pub fn python3() -> Self {
        Self("/usr/bin/python3".into())
    }

    /// Python 2 where distributions put it: `/usr/bin/python2`.
    pub fn python2() -> Self {
        Self("/usr/bin/python2".into())
    }

    /// Returns the path or name.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

impl Default for Interpreter {
    fn default() -> Self {
        Self::python3()
    }
}

impl<T: Into<OsString>> From<T> for Interpreter {
    fn from(path: T) -> Self {
        Self(path.into())
    }
}
