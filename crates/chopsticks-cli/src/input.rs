//! The source of the content of `put`.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use chopsticks::Put;

/// A path, or an input that can be read only once.
#[derive(Debug)]
pub(crate) enum Input {
    /// The content, for several targets.
    Bytes(Vec<u8>),
    Path(PathBuf),
    /// The unread part of an input, for one target.
    Pipe(Mutex<Option<File>>),
}

impl Input {
    /// Opens an input that can be read only once: stdin, pipes, devices. For several targets it is
    /// read to its end.
    pub(crate) fn open(path: &Path, targets: usize) -> Result<Self, String> {
        Self::try_open(path, targets).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    fn try_open(path: &Path, targets: usize) -> io::Result<Self> {
        let mut file = if is_stdin(path) {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            let metadata = fs::metadata(path)?;
            if metadata.is_file() || metadata.is_dir() {
                return Ok(Self::Path(path.to_owned()));
            }
            File::open(path)?
        };
        if targets == 1 {
            return Ok(Self::Pipe(Mutex::new(Some(file))));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok(Self::Bytes(content))
    }

    /// Returns the content for a transfer.
    pub(crate) fn put(&self) -> Put<'static> {
        match self {
            Self::Bytes(content) => Put::bytes(content.clone()),
            Self::Path(path) => Put::new(path),
            Self::Pipe(file) => match file.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(file) => Put::reader(tokio::fs::File::from_std(file)),
                None => Put::bytes(""),
            },
        }
    }
}

/// Returns whether a path stands for stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdin")
}
