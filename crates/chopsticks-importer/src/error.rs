//! Why a codebase could not answer.

use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

/// A part of a codebase could not be read, or may not be served.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum CodebaseError {
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it could not.
        #[source]
        source: Arc<io::Error>,
    },
    /// The way to a module leads out of its root by a symbolic link.
    #[error("{} leads out of the root {}", path.display(), root.display())]
    Outside {
        /// The file or folder that was found.
        path: PathBuf,
        /// The root below which it was found.
        root: PathBuf,
    },
    /// A root is not a folder.
    #[error("the codebase root {} is not a folder", root.display())]
    NotAFolder {
        /// The root as it was given.
        root: PathBuf,
    },
}

impl CodebaseError {
    pub(crate) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read { path: path.into(), source: Arc::new(source) }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn each_kind_says_what_and_why() {
        let read = CodebaseError::read("/x/y.py", io::Error::other("gone"));
        assert_eq!(read.to_string(), "cannot read /x/y.py");
        assert_eq!(read.source().map(ToString::to_string).as_deref(), Some("gone"));
        let outside = CodebaseError::Outside { path: "/etc/a.py".into(), root: "/code".into() };
        assert_eq!(outside.to_string(), "/etc/a.py leads out of the root /code");
        let folder = CodebaseError::NotAFolder { root: "/code".into() };
        assert_eq!(folder.to_string(), "the codebase root /code is not a folder");
    }
}
