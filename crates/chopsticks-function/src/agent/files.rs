//! Transfers of files and folders, in both directions.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chopsticks_files::{
    Attributes, BLOCK_LEN, Counts, Manner, Wish,
    blocking::{receive_file, receive_folder, resolve, resolve_folder, send_file, send_folder},
    is_part, nanoseconds, time,
};
use chopsticks_protocol::{Done, DoneFolder, Fetch, Put};

use super::{
    channel::Channel,
    compare::open_base,
    users::{absolute, owner},
};

/// The path that a transfer is about, and the error that occurred there.
type Problem = (PathBuf, io::Error);

/// Receives a file or a folder.
pub(crate) fn put(channel: &Channel, payload: &[u8]) {
    let done = match Put::decode(payload) {
        Ok(put) if put.folder => put_folder(channel, &put),
        Ok(put) => put_file(channel, &put),
        Err(error) => Err((PathBuf::new(), io::Error::other(error))),
    };
    answer(channel, done);
}

/// Sends a file or a folder.
pub(crate) fn fetch(channel: &Channel, payload: &[u8]) {
    let done = match Fetch::decode(payload) {
        Ok(fetch) if fetch.folder => fetch_folder(channel, &fetch),
        Ok(fetch) => fetch_file(channel, &fetch),
        Err(error) => Err((PathBuf::new(), io::Error::other(error))),
    };
    answer(channel, done);
}

fn answer(channel: &Channel, done: Result<Option<Vec<u8>>, Problem>) {
    match done {
        Ok(Some(payload)) => channel.reply(payload),
        Ok(None) => channel.give_up(),
        Err(_) if channel.is_stopped() => channel.give_up(),
        // A stream that was broken off is not wanted either.
        Err((_, error)) if error.kind() == io::ErrorKind::Interrupted => channel.give_up(),
        Err((path, error)) => channel.fail(&error, path.as_os_str().as_bytes()),
    }
}

fn put_file(channel: &Channel, put: &Put) -> Result<Option<Vec<u8>>, Problem> {
    let full = target(put)?;
    let path = at(&full, resolve(&full, &OsString::from_vec(put.name.clone())))?;
    let owner = at(&path, owner(put.owner.as_deref()))?;
    let wish = Wish { replace: put.replace, owner, has_mode: put.mode.is_some(), keeps_part: put.part };
    let base = match put.base.is_empty() {
        true => None,
        false => Some(at(&path_of(&put.base), open_base(&path_of(&put.base)))?),
    };
    let attributes =
        Attributes { mode: put.mode, default: put.default, modified: put.modified.and_then(time) };
    let received = receive_file(&mut &*channel, &path, wish, attributes, put.sync, base.as_ref());
    let (summary, in_place) = at(&path, received)?;
    let base = path_of(&put.base);
    if base.file_name().is_some_and(is_part) {
        // What it was kept for is complete.
        let _ = std::fs::remove_file(base);
    }
    let path = path.into_os_string().into_vec();
    let done = Done { path, size: summary.size, sha1: summary.sha1.to_vec(), in_place, ..Done::default() };
    encoded(done.encode())
}

fn put_folder(channel: &Channel, put: &Put) -> Result<Option<Vec<u8>>, Problem> {
    let full = target(put)?;
    let root = at(&full, resolve_folder(&full))?;
    let owner = at(&root, owner(put.owner.as_deref()))?;
    let manner = Manner {
        owner,
        keep_modified: put.keep,
        replace: put.replace,
        sync: put.sync,
        keeps_parts: put.part,
    };
    let counts = receive_folder(&mut &*channel, &root, manner)?;
    encoded(summary(root, &counts).encode())
}

/// Returns the path that is to be written, and makes the folders on the way if this is wanted.
fn target(put: &Put) -> Result<PathBuf, Problem> {
    let given = path_of(&put.path);
    if put.path.is_empty() {
        return Ok(given);
    }
    let full = at(&given, absolute(&given))?;
    if put.parents {
        // A path that ends with a slash is that of a folder, into which the file goes.
        let folder = if !put.folder && put.path.ends_with(b"/") { Some(&*full) } else { full.parent() };
        if let Some(folder) = folder {
            at(folder, std::fs::create_dir_all(folder))?;
        }
    }
    Ok(full)
}

fn fetch_file(channel: &Channel, fetch: &Fetch) -> Result<Option<Vec<u8>>, Problem> {
    let given = path_of(&fetch.path);
    let path = at(&given, absolute(&given))?;
    let mut output = Output::new(channel, fetch.limit);
    let Some(sent) = at(&path, send_file(&path, output.block_len(), &mut |bytes| output.give(bytes)))? else {
        return Ok(None);
    };
    channel.finish();
    let done = Done {
        path: path.into_os_string().into_vec(),
        size: sent.summary.size,
        sha1: sent.summary.sha1.to_vec(),
        in_place: false,
        mode: Some(sent.mode),
        modified: Some(sent.modified.map_or(0, nanoseconds)),
    };
    encoded(done.encode())
}

fn fetch_folder(channel: &Channel, fetch: &Fetch) -> Result<Option<Vec<u8>>, Problem> {
    let given = path_of(&fetch.path);
    let root = at(&given, absolute(&given))?;
    let mut output = Output::new(channel, fetch.limit);
    let left_out = fetch.skip.iter().map(|path| path_of(path)).collect();
    let Some(counts) = send_folder(&root, output.block_len(), left_out, &mut |bytes| output.give(bytes))?
    else {
        return Ok(None);
    };
    channel.finish();
    encoded(summary(root, &counts).encode())
}

fn summary(root: PathBuf, counts: &Counts) -> DoneFolder {
    let Counts { files, folders, links, left_out, size, .. } = *counts;
    DoneFolder { path: root.into_os_string().into_vec(), files, folders, links, left_out, size }
}

fn encoded<E: std::error::Error + Send + Sync + 'static>(
    payload: Result<Vec<u8>, E>,
) -> Result<Option<Vec<u8>>, Problem> {
    payload.map(Some).map_err(|error| (PathBuf::new(), io::Error::other(error)))
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, Problem> {
    result.map_err(|error| (path.to_owned(), error))
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// What goes to the controller, at most a number of bytes per second.
struct Output<'a> {
    channel: &'a Channel,
    limit: Option<u64>,
    sent: u64,
    begun: Instant,
}

impl<'a> Output<'a> {
    fn new(channel: &'a Channel, limit: i64) -> Self {
        let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0);
        Self { channel, limit, sent: 0, begun: Instant::now() }
    }

    /// Returns a size of blocks that is small enough to send some of them in each second.
    fn block_len(&self) -> usize {
        let slow = self.limit.map_or(u64::MAX, |limit| limit / 8 + 512);
        usize::try_from(slow).unwrap_or(usize::MAX).min(BLOCK_LEN)
    }

    /// Sends bytes. Returns whether more are wanted.
    fn give(&mut self, bytes: Bytes) -> bool {
        self.sent += bytes.len() as u64;
        if self.channel.write(bytes).is_err() {
            return false;
        }
        while let Some(limit) = self.limit
            && !self.channel.is_stopped()
        {
            let due = Duration::try_from_secs_f64(self.sent as f64 / limit as f64).unwrap_or(Duration::MAX);
            let early = due.saturating_sub(self.begun.elapsed());
            if early.is_zero() {
                break;
            }
            self.channel.pause(early);
        }
        true
    }
}
