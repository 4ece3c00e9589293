//! What agents answer to transfers: `docs/wire.md`, section 8.

use std::{ffi::OsString, io, os::unix::ffi::OsStringExt as _, path::PathBuf, sync::Arc};

use chopsticks_files::Summary;
use chopsticks_pencode::marshal;
use chopsticks_text::harmless;
use chopsticks_transport::{Format, Outcome, Reply};
use serde::{Deserialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use crate::{error::ErrorKind, file::Side};

/// The payload of the `REPLY` to `PUT` and to `FETCH`.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    path: ByteBuf,
    size: u64,
    sha1: ByteBuf,
    /// Of a file that was put.
    #[serde(default)]
    pub(super) in_place: bool,
    /// Of a file that was fetched.
    #[serde(default)]
    pub(super) mode: Option<u32>,
    /// Nanoseconds since 1970.
    #[serde(default)]
    pub(super) modified: Option<i64>,
}

/// The payload of `FAIL`.
#[derive(Debug, Deserialize)]
struct Failed {
    errno: i32,
    message: String,
    path: ByteBuf,
}

/// The payload of the `REPLY` to a transfer of a folder.
#[derive(Debug, Deserialize)]
pub(super) struct DoneFolder {
    path: ByteBuf,
    pub(super) files: u64,
    pub(super) folders: u64,
    pub(super) links: u64,
    pub(super) left_out: u64,
    pub(super) size: u64,
}

impl DoneFolder {
    pub(super) fn path(&self) -> PathBuf {
        path(&self.path)
    }
}

impl Done {
    pub(super) fn path(&self) -> PathBuf {
        path(&self.path)
    }

    /// Whether it speaks of the same content.
    pub(super) fn matches(&self, summary: &Summary) -> bool {
        self.size == summary.size && *self.sha1 == summary.sha1
    }
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, ErrorKind> {
    let unreadable = |error| ErrorKind::Result(Arc::new(error));
    if reply.outcome == Outcome::Reply {
        return marshal::from_slice(&reply.payload).map_err(unreadable);
    }
    if reply.format == Format::None {
        return Err(failure(PathBuf::new(), io::Error::other("the agent has given up")));
    }
    let Failed { errno, message, path: name } = marshal::from_slice(&reply.payload).map_err(unreadable)?;
    let kind = if errno == 0 { io::ErrorKind::Other } else { io::Error::from_raw_os_error(errno).kind() };
    Err(failure(path(&name), io::Error::new(kind, harmless(&message).into_owned())))
}

/// The two sides do not agree on what was transferred.
pub(super) fn differs(path: PathBuf) -> ErrorKind {
    failure(path, io::Error::new(io::ErrorKind::InvalidData, "the checksums differ"))
}

/// An error of the host's side.
pub(super) fn failure(path: PathBuf, source: io::Error) -> ErrorKind {
    ErrorKind::File { side: Side::Remote, path, source: Arc::new(source) }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}
