//! The answers of agents to transfers: `docs/wire.md`, section 8.

use std::{ffi::OsString, io, os::unix::ffi::OsStringExt as _, path::PathBuf, sync::Arc};

use chopsticks_files::Summary;
use chopsticks_pencode::marshal::DecodeError;
use chopsticks_protocol::{Done, DoneFolder, Failure};
use chopsticks_text::harmless;
use chopsticks_transport::{Answer, AnswerKind, Format};

use crate::{error::ErrorKind, side::Side};

/// The answer of an agent to a completed transfer.
pub(super) trait Decoded: Sized {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError>;

    /// The absolute path on the host.
    fn remote(&self) -> PathBuf;
}

impl Decoded for Done {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(payload)
    }

    fn remote(&self) -> PathBuf {
        path(&self.path)
    }
}

impl Decoded for DoneFolder {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(payload)
    }

    fn remote(&self) -> PathBuf {
        path(&self.path)
    }
}

/// Returns whether a completed file has the content that is known here.
pub(super) fn matches(done: &Done, summary: &Summary) -> bool {
    done.size == summary.size && *done.sha1 == summary.sha1
}

/// Decodes an answer.
pub(super) fn read<T: Decoded>(reply: &Answer) -> Result<T, ErrorKind> {
    let unreadable = |error| ErrorKind::Result(Arc::new(error));
    if reply.kind == AnswerKind::Reply {
        return T::decode(&reply.payload).map_err(unreadable);
    }
    if reply.format == Format::None {
        return Err(failure(PathBuf::new(), io::Error::other("the agent has given up")));
    }
    let Failure { errno, message, path: name } = Failure::decode(&reply.payload).map_err(unreadable)?;
    let kind = if errno == 0 { io::ErrorKind::Other } else { io::Error::from_raw_os_error(errno).kind() };
    Err(failure(path(&name), io::Error::new(kind, harmless(&message).into_owned())))
}

/// Returns the error if the two sides do not agree on what was transferred.
pub(super) fn differs(path: PathBuf) -> ErrorKind {
    failure(path, io::Error::new(io::ErrorKind::InvalidData, "the checksums differ"))
}

/// Creates an error of the host's side.
pub(super) fn failure(path: PathBuf, source: io::Error) -> ErrorKind {
    ErrorKind::File { side: Side::Remote, path, source: Arc::new(source) }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}
