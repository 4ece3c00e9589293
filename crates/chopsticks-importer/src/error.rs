//! Errors of a codebase.

use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::{listing::Compiled, name::ModuleName};

/// A part of a codebase could not be read, or may not be served.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum CodebaseError {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// A symbolic link on the way to a file or folder leads out of its root.
    #[error(
        "{} is a link that leads out of the root {}: to follow it, set Codebase::links, or give the program --links anywhere",
        path.display(),
        root.display()
    )]
    Outside {
        /// The link, or a path behind one. The error does not reveal whether the link's destination
        /// exists.
        path: PathBuf,
        /// The root below which it was found.
        root: PathBuf,
    },
    /// A pattern excludes the requested data.
    #[error("{} is excluded by the pattern {pattern:?}: to serve it anyway, give it to Codebase::include, or the program --include", path.display())]
    Excluded {
        /// The file or folder, which need not exist.
        path: PathBuf,
        /// The pattern.
        pattern: String,
    },
    /// A module that exists only in compiled form.
    #[error("{module} cannot be sent: {} is {what}: {advice}", path.display())]
    Compiled {
        /// The module's name.
        module: String,
        /// The compiled file.
        path: PathBuf,
        /// The names of all compiled files of this module, one for each system that they were built
        /// for.
        files: Vec<String>,
        /// What the file is.
        what: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// A pattern for files is invalid.
    #[error("the pattern {pattern:?} is not valid: {message}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file is over the limit.
    #[error("{} is larger than max_file_len, {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A root is neither a folder nor, if it was given as one, an archive.
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

    pub(crate) fn compiled(module: &ModuleName, path: PathBuf, kind: Compiled, files: &[String]) -> Self {
        let (what, advice) = match kind {
            Compiled::ByteCode => ("byte code", "add its source to the codebase"),
            Compiled::Extension => (
                "an extension module",
                "install its package on the host and make it importable (with_site_packages, --site-packages), add a \
                 pure Python version to the codebase, or unpack its package on the host (Codebase::unpack, --unpack)",
            ),
        };
        Self::Compiled { module: module.to_string(), path, files: files.to_vec(), what, advice }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn each_kind_says_what_and_why() {
        let read = CodebaseError::read("/x/y.py", io::Error::other("gone"));
        assert_eq!(read.to_string(), "cannot read /x/y.py: gone");
        assert_eq!(read.source().map(ToString::to_string).as_deref(), Some("gone"));
        let outside = CodebaseError::Outside { path: "/code/a.py".into(), root: "/code".into() };
        assert_eq!(
            outside.to_string(),
            "/code/a.py is a link that leads out of the root /code: to follow it, set Codebase::links, or give the \
             program --links anywhere"
        );
        let folder = CodebaseError::NotAFolder { root: "/code".into() };
        assert_eq!(folder.to_string(), "the codebase root /code is not a folder");
        let excluded = CodebaseError::Excluded { path: "/x/a.pem".into(), pattern: "*.pem".into() };
        let text = "/x/a.pem is excluded by the pattern \"*.pem\": to serve it anyway, give it to Codebase::include, or the program --include";
        assert_eq!(excluded.to_string(), text);
        let large = CodebaseError::TooLarge { path: "/x/a".into(), limit: 7 };
        assert_eq!(large.to_string(), "/x/a is larger than max_file_len, 7 bytes");
        let pattern = CodebaseError::Pattern { pattern: "[".into(), message: "open".into() };
        assert_eq!(pattern.to_string(), "the pattern \"[\" is not valid: open");
    }

    #[test]
    fn compiled_modules_say_what_to_do() {
        let text = |kind, path: &str| {
            CodebaseError::compiled(&"a.b".parse().unwrap(), path.into(), kind, &[]).to_string()
        };
        let extension = text(Compiled::Extension, "/x/a/b.so");
        assert!(
            extension.starts_with("a.b cannot be sent: /x/a/b.so is an extension module: install"),
            "{extension}"
        );
        assert!(extension.contains("with_site_packages") && extension.contains("pure Python"));
        let byte_code = text(Compiled::ByteCode, "/x/a/b.pyc");
        assert_eq!(byte_code, "a.b cannot be sent: /x/a/b.pyc is byte code: add its source to the codebase");
    }
}
