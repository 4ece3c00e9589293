//! Files to hosts.

use std::{
    ffi::OsString,
    io,
    num::NonZeroU64,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use chopsticks_files::{BLOCK_LEN, Feed, Piece, Source, Summary, Watcher, nanoseconds};
use chopsticks_pencode::marshal::EncodeError;
use chopsticks_protocol::{self as protocol, Done, operation};
use chopsticks_transport::{
    Format, Operation, Order, Reply, Request, RequestOptions, StreamWriter, TransportError,
};
use tokio::{
    io::AsyncRead,
    time::{Instant, timeout},
};

use crate::{
    error::{Error, ErrorKind, Phase},
    file::{
        FILE_MODE, Progress, Side, TEMPORARY_MODE, Transferred,
        reply::{self, Answer as _},
    },
    tunnel::Tunnel,
};

/// A file to be written to a host: its content, its path there, and how.
///
/// ```no_run
/// use chopsticks_tunnel::{Local, Put, Tunnel};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let tunnel = Tunnel::new(Local::new());
/// let put = Put::bytes("debug = false\n").to("/etc/app.conf").mode(0o640).owner("root:app");
/// let file = tunnel.put_with(put).await?;
/// println!("{} bytes at {}", file.size, file.remote.display());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Put<'a> {
    pub(super) source: Source<'a>,
    pub(super) remote: Option<PathBuf>,
    mode: Option<u32>,
    pub(super) owner: Option<String>,
    modified: Option<SystemTime>,
    pub(super) keep_modified: bool,
    pub(super) overwrite: bool,
    pub(super) sync: Option<bool>,
    pub(super) limit: Option<NonZeroU64>,
    pub(super) timeout: Option<Duration>,
    pub(super) watcher: Watcher<'a>,
}

impl<'a> Put<'a> {
    /// Sends the file at a local path.
    ///
    /// It has to be a regular file, and must not change while it is read. Files of size 0 are read to their end, whatever comes, as
    /// those in `/proc` have their content only then.
    pub fn new(local: impl Into<PathBuf>) -> Self {
        Self::of(Source::Path(local.into()))
    }

    /// Sends bytes.
    pub fn bytes(content: impl Into<Bytes>) -> Self {
        Self::of(Source::Bytes(content.into()))
    }

    /// Sends what a reader yields, to its end. An error of the reader fails the transfer.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'a) -> Self {
        Self::of(Source::Reader(Box::new(reader)))
    }

    fn of(source: Source<'a>) -> Self {
        Self {
            source,
            remote: None,
            mode: None,
            owner: None,
            modified: None,
            keep_modified: false,
            overwrite: true,
            sync: None,
            limit: None,
            timeout: None,
            watcher: Watcher::default(),
        }
    }

    /// Sets the path on the host. A relative one starts at the agent's working folder, and `~` in front is a home folder there. If
    /// the path leads to a folder, the file goes into it under its local name. By default the file gets a fresh name in the host's
    /// folder for temporary files.
    #[must_use]
    pub fn to(mut self, remote: impl Into<PathBuf>) -> Self {
        self.remote = Some(remote.into());
        self
    }

    /// Sets the permission bits, whatever the host's umask. By default a file that is replaced keeps its own, and a new one gets those of
    /// the local file, or `0o644` if there is none, as far as the host's umask allows; a temporary one gets `0o600`.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the owner, as `user`, `user:group` or `:group`, names of the host or numbers. By default a file that is replaced keeps its
    /// own, and a new one is the agent's user's.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Sets the time of modification. By default it is that of the transfer.
    #[must_use]
    pub fn modified(mut self, time: SystemTime) -> Self {
        self.modified = Some(time);
        self
    }

    /// Gives the file the time of modification of the local one.
    #[must_use]
    pub fn keep_modified(mut self) -> Self {
        self.keep_modified = true;
        self
    }

    /// Makes it an error that a file is there already. By default it is replaced.
    #[must_use]
    pub fn no_overwrite(mut self) -> Self {
        self.overwrite = false;
        self
    }

    /// Waits until the file is safely on the host's disk (fsync) before it is visible. That is the default, but for the files of a folder.
    #[must_use]
    pub fn sync(mut self) -> Self {
        self.sync = Some(true);
        self
    }

    /// Does not wait for the host's disk. That is quicker, and a crash of the machine may lose the file. It is the default for the files of a folder.
    #[must_use]
    pub fn no_sync(mut self) -> Self {
        self.sync = Some(false);
        self
    }

    /// Sets the most bytes per second that are sent, on average from the beginning. Default: no limit.
    #[must_use]
    pub fn limit(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.limit = Some(bytes_per_second);
        self
    }

    /// Sets the deadline of the transfer, connecting included. After it the transfer is cancelled. Default: none.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets a function that is told how much has been sent, after each piece of it.
    #[must_use]
    pub fn on_progress(mut self, watcher: impl FnMut(Progress) + Send + 'a) -> Self {
        self.watcher = Watcher::new(watcher);
        self
    }

    /// Refuses an empty path, such as that of a variable that is not set: to the agent it would be one that was left out.
    pub(super) fn named(&self) -> Result<(), ErrorKind> {
        if self.remote.as_deref().is_none_or(|path| !path.as_os_str().is_empty()) {
            return Ok(());
        }
        let source = Arc::new(io::Error::new(io::ErrorKind::InvalidInput, "the path is empty"));
        Err(ErrorKind::File { side: Side::Remote, path: PathBuf::new(), source })
    }

    pub(super) fn payload(&self, local: &Local, folder: bool) -> Result<Vec<u8>, EncodeError> {
        let default = match &self.remote {
            Some(_) => local.mode.map_or(FILE_MODE, |mode| mode & 0o777),
            None => TEMPORARY_MODE,
        };
        let modified = self.modified.or(local.modified.filter(|_| self.keep_modified));
        let put = protocol::Put {
            path: self.remote.as_deref().map_or(Vec::new(), |path| path.as_os_str().as_bytes().to_vec()),
            name: local.name.as_bytes().to_vec(),
            mode: self.mode.map(|mode| mode & 0o7777),
            default,
            owner: self.owner.clone(),
            modified: modified.map(nanoseconds),
            replace: self.overwrite,
            sync: self.sync.unwrap_or(!folder),
            folder,
            keep: self.keep_modified,
        };
        put.encode()
    }
}

/// What is known of a file here when the host is told of it.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// Empty if there is none.
    name: OsString,
    mode: Option<u32>,
    modified: Option<SystemTime>,
}

impl Tunnel {
    /// Writes a local file to a path on the host, and replaces what is there.
    ///
    /// The file appears there whole or not at all: see [`put_with`](Self::put_with), which also takes other
    /// contents and options.
    ///
    /// # Errors
    ///
    /// As [`put_with`](Self::put_with).
    ///
    /// # Cancel safety
    ///
    /// As [`put_with`](Self::put_with).
    pub async fn put(&self, local: impl AsRef<Path>, remote: impl AsRef<Path>) -> Result<Transferred, Error> {
        self.put_with(Put::new(local.as_ref()).to(remote.as_ref())).await
    }

    /// Writes a file to the host.
    ///
    /// The content streams: some megabytes are in memory at a time, whatever its size. It is written out of sight in the target's folder,
    /// flushed, compared by checksum, and renamed. If anything fails before that, the target is as it was. Symbolic links are followed. What
    /// can be written but not replaced, such as a mount point or a device, is [written in place](Transferred::in_place). Calls and other transfers on the tunnel go on meanwhile, and share the connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::File`] names the side, the path and the reason: the source cannot be read or has changed, the target cannot be
    /// written. Otherwise as for calls.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the transfer; the target is then as it was or, if its content had arrived, replaced.
    pub async fn put_with(&self, put: Put<'_>) -> Result<Transferred, Error> {
        self.in_time(put.timeout, self.put_now(put)).await
    }

    async fn put_now(&self, mut put: Put<'_>) -> Result<Transferred, Error> {
        put.named().map_err(|kind| self.error(Phase::Transfer, kind))?;
        let (local, name) = (put.source.path(), put.source.name());
        let failed = |source| {
            let kind = ErrorKind::File { side: Side::Local, path: local.clone(), source: Arc::new(source) };
            self.error(Phase::Transfer, kind)
        };
        let source = std::mem::replace(&mut put.source, Source::Bytes(Bytes::new()));
        let feed = source.open(Pace::block_len(put.limit)).await.map_err(failed)?;
        let payload = put
            .payload(&Local { name, mode: feed.mode, modified: feed.modified }, false)
            .map_err(|error| self.error(Phase::Transfer, ErrorKind::Argument(Arc::new(error))))?;
        let connection = self.connection();
        let session = self.transferring(&connection).await?;
        let options = RequestOptions::new().order(Order::AfterNotices).with_writer();
        let mut request = session.handle.request_with(
            Operation::application(operation::PUT),
            Format::Marshal,
            payload,
            options,
        );
        let writer = match request.writer() {
            Ok(writer) => writer,
            Err(error) => return Err(connection.failure(Phase::Transfer, &error).await),
        };
        let sending = Sending { feed, writer, pace: Pace::new(put.limit), watcher: &mut put.watcher };
        let (reply, summary) = match sending.run(request).await {
            Sent::Answered(reply, summary) => (reply, summary),
            Sent::Unreadable(error) => return Err(failed(error)),
            Sent::Failed(error) => return Err(connection.failure(Phase::Transfer, &error).await),
        };
        let done: Done = reply::read(&reply).map_err(|kind| self.error(Phase::Transfer, kind))?;
        match summary.filter(|summary| reply::matches(&done, summary)) {
            Some(Summary { size, .. }) => {
                let sha1 = summary.map(|summary| summary.hex()).unwrap_or_default();
                Ok(Transferred { local: None, remote: done.remote(), size, sha1, in_place: done.in_place })
            }
            None => Err(self.error(Phase::Transfer, reply::differs(done.remote()))),
        }
    }
}

/// A transfer under way.
struct Sending<'a, 'b> {
    feed: Feed<'a>,
    writer: StreamWriter,
    pace: Pace,
    watcher: &'b mut Watcher<'a>,
}

enum Sent {
    /// With what was sent, if that was all.
    Answered(Reply, Option<Summary>),
    /// The source failed.
    Unreadable(io::Error),
    /// There is no answer: the connection ended, or it is too long.
    Failed(TransportError),
}

impl Sending<'_, '_> {
    /// Sends all, unless the answer comes first: that is then a failure.
    async fn run(self, mut request: Request) -> Sent {
        let sent = tokio::select! {
            biased;
            reply = &mut request => return answered(reply, None),
            sent = self.send() => sent,
        };
        match sent {
            Ok(summary) => answered(request.await, summary),
            Err(error) => {
                // The agent has nothing left of the file when it answers. One that does not is cancelled by the drop.
                let _ = timeout(ABORT_GRACE, request).await;
                Sent::Unreadable(error)
            }
        }
    }

    /// Returns what was sent; `None` if the agent wants no more, which it will explain.
    async fn send(mut self) -> io::Result<Option<Summary>> {
        let total = self.feed.expected;
        let mut done = 0;
        if self.writer.send(self.feed.begin()).await.is_err() {
            return Ok(None);
        }
        loop {
            match self.feed.next().await? {
                Piece::Block { header, data, len } => {
                    if self.writer.send(header).await.is_err() || self.writer.send(data).await.is_err() {
                        return Ok(None);
                    }
                    done += len as u64;
                    self.watcher.tell(done, total);
                    self.pace.wait(done).await;
                }
                Piece::End(summary, end) => {
                    let is_sent = self.writer.send(end).await.is_ok() && self.writer.finish().is_ok();
                    return Ok(is_sent.then_some(summary));
                }
            }
        }
    }
}

fn answered(reply: Result<Reply, TransportError>, summary: Option<Summary>) -> Sent {
    reply.map_or_else(Sent::Failed, |reply| Sent::Answered(reply, summary))
}

/// Keeps to a number of bytes per second.
pub(super) struct Pace {
    limit: Option<NonZeroU64>,
    began: Instant,
}

impl Pace {
    pub(super) fn new(limit: Option<NonZeroU64>) -> Self {
        Self { limit, began: Instant::now() }
    }

    pub(super) async fn wait(&self, done: u64) {
        if let Some(limit) = self.limit {
            let due = Duration::try_from_secs_f64(done as f64 / limit.get() as f64).unwrap_or(Duration::MAX);
            if let Some(due) = self.began.checked_add(due) {
                tokio::time::sleep_until(due).await;
            }
        }
    }

    /// Pieces small enough that they come a few times in a second.
    pub(super) fn block_len(limit: Option<NonZeroU64>) -> usize {
        let slow = limit.map_or(u64::MAX, |limit| limit.get() / 8 + 512);
        usize::try_from(slow).unwrap_or(usize::MAX).min(BLOCK_LEN)
    }
}

/// How long an agent may take to clear up behind a source that failed.
pub(super) const ABORT_GRACE: Duration = Duration::from_secs(5);
