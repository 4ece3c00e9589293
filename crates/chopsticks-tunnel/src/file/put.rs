//! Writing files to hosts.

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
use chopsticks_files::{BLOCK_LEN, Excludes, Feed, Piece, Source, Summary, Watcher, nanoseconds};
use chopsticks_pencode::marshal::EncodeError;
use chopsticks_protocol::{self as protocol, Done, operation};
use chopsticks_transport::{
    Answer, Format, Operation, Order, Request, RequestOptions, StreamWriter, TransportError,
};
use futures::future::BoxFuture;
use tokio::{
    io::AsyncRead,
    time::{Instant, timeout},
};

use crate::{
    auto::Task,
    error::{Error, ErrorKind, Phase},
    file::{
        Comparing, FILE_MODE, Progress, TEMPORARY_MODE, Transferred,
        base::Reuse,
        compare::Plan,
        reply::{self, Decoded as _},
    },
    pending::{Pending, pending},
    side::Side,
    tunnel::Tunnel,
};

/// A file to write to a host: its content, its path there, and options.
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
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<String>,
    pub(super) modified: Option<SystemTime>,
    pub(super) keep_modified: bool,
    pub(super) overwrite: bool,
    pub(super) parents: bool,
    pub(super) reuse: Reuse,
    pub(super) comparing: Comparing,
    pub(super) sync: Option<bool>,
    pub(super) limit: Option<NonZeroU64>,
    pub(super) timeout: Option<Duration>,
    pub(super) watcher: Watcher<'a>,
}

impl<'a> Put<'a> {
    /// Creates a transfer of the file at a local path.
    ///
    /// The path must be a regular file that does not change while it is read. Files of size 0, such
    /// as those in `/proc`, are read to their end, because their content appears only when they are
    /// read.
    pub fn new(local: impl AsRef<Path>) -> Self {
        Self::of(Source::Path(local.as_ref().to_owned()))
    }

    /// Creates a transfer of bytes.
    pub fn bytes(content: impl Into<Bytes>) -> Self {
        Self::of(Source::Bytes(content.into()))
    }

    /// Creates a transfer of everything that a reader yields. An error of the reader fails the
    /// transfer.
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
            parents: false,
            reuse: Reuse::default(),
            comparing: Comparing::default(),
            sync: None,
            limit: None,
            timeout: None,
            watcher: Watcher::default(),
        }
    }

    /// Sets the path on the host. A relative path starts at the agent's working folder, and a
    /// leading `~` is a home folder there. If the path leads to a folder, the file goes into it
    /// under its local name. By default the file gets a new name in the host's folder for temporary
    /// files.
    #[must_use]
    pub fn to(mut self, remote: impl AsRef<Path>) -> Self {
        self.remote = Some(remote.as_ref().to_owned());
        self
    }

    /// Sets the permission bits, independently of the host's umask. By default a replaced file
    /// keeps its own, and a new file gets those of the local file, or `0o644` if the content is not
    /// from a file, as far as the host's umask allows. A temporary file gets `0o600`.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the owner, as `user`, `user:group` or `:group`, with names of the host or numbers. By
    /// default a replaced file keeps its own, and a new file belongs to the agent's user.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Sets the time of modification. By default it is the time of the transfer.
    #[must_use]
    pub fn modified(mut self, time: SystemTime) -> Self {
        self.modified = Some(time);
        self
    }

    /// Keeps the time of modification of the local file.
    #[must_use]
    pub fn keep_modified(mut self) -> Self {
        self.keep_modified = true;
        self
    }

    /// Makes an existing file an error. By default it is replaced.
    #[must_use]
    pub fn no_overwrite(mut self) -> Self {
        self.overwrite = false;
        self
    }

    /// Makes missing folders of the path on the host. If the path ends with `/`, it is the folder
    /// itself that is made, and the file goes into it. By default a missing folder is an error.
    #[must_use]
    pub fn parents(mut self) -> Self {
        self.parents = true;
        self
    }

    /// Waits until the file is on the host's disk (fsync) before it becomes visible. This is the
    /// default, except for the files of a folder.
    #[must_use]
    pub fn sync(mut self) -> Self {
        self.sync = Some(true);
        self
    }

    /// Does not wait for the host's disk. This is faster, but a crash of the machine may lose the
    /// file. It is the default for the files of a folder.
    #[must_use]
    pub fn no_sync(mut self) -> Self {
        self.sync = Some(false);
        self
    }

    /// Sets the maximum number of bytes per second, on average from the beginning. Default: no
    /// limit.
    #[must_use]
    pub fn limit(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.limit = Some(bytes_per_second);
        self
    }

    /// Sets the deadline of the transfer, including the time to connect. When it passes, the
    /// transfer is cancelled. Default: none.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets a function that is called after each piece, with the amount that has been sent.
    #[must_use]
    pub fn on_progress(mut self, watcher: impl FnMut(Progress) + Send + 'a) -> Self {
        self.watcher = Watcher::new(watcher);
        self
    }

    /// Refuses an empty path, such as that of a variable that is not set. The agent would treat it
    /// as a path that was left out.
    pub(super) fn named(&self) -> Result<(), ErrorKind> {
        if self.remote.as_deref().is_none_or(|path| !path.as_os_str().is_empty()) {
            return Ok(());
        }
        let source = Arc::new(io::Error::new(io::ErrorKind::InvalidInput, "the path is empty"));
        Err(ErrorKind::File { side: Side::Remote, path: PathBuf::new(), source })
    }

    pub(super) fn payload(&self, local: &Local, folder: bool, base: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
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
            parents: self.parents,
            base,
            part: self.reuse.resume && self.remote.is_some(),
        };
        put.encode()
    }
}

/// A file or folder that is written to a host, made by [`Tunnel::put`] and [`Tunnel::put_dir`]. Await it
/// for the result, after setting further options.
///
/// It begins when it is first polled. Options that are set after that have no effect.
///
/// ```no_run
/// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
/// let file = tunnel.put("app.conf", "/etc/app.conf").mode(0o640).owner("root:app").if_changed().await?;
/// println!("{}", if file.changed { "changed" } else { "the same" });
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping it cancels the transfer: see [`Tunnel::put_with`] and [`Tunnel::put_dir_with`].
#[must_use = "nothing is written unless the transfer is awaited or polled"]
pub struct TunnelPut<'a, T = Transferred>(Pending<'a, Put<'a>, T>);

pending! {
    TunnelPut<T>, Put:
    mode(mode: u32);
    owner(owner: impl Into<String>);
    modified(time: SystemTime);
    keep_modified();
    no_overwrite();
    if_changed();
    dry_run();
    trust_times();
    delete();
    exclude(excludes: Excludes);
    diff();
    delta();
    resume();
    parents();
    sync();
    no_sync();
    limit(bytes_per_second: NonZeroU64);
    timeout(timeout: Duration);
    on_progress(watcher: impl FnMut(Progress) + Send + 'a);
}

impl<'a, T> TunnelPut<'a, T> {
    pub(super) fn new(
        put: Put<'a>,
        begin: impl FnOnce(Put<'a>) -> BoxFuture<'a, Result<T, Error>> + Send + 'a,
    ) -> Self {
        Self(Pending::new(put, begin))
    }
}

/// What is known here of a file when the host is informed of it.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// Empty if the source has no name.
    name: OsString,
    mode: Option<u32>,
    modified: Option<SystemTime>,
}

impl Tunnel {
    /// Writes a local file to a path on the host, and replaces an existing file.
    ///
    /// The file appears on the host completely or not at all: see [`put_with`](Self::put_with),
    /// which also has other sources. Options are set on the returned [`TunnelPut`], before it is
    /// awaited.
    ///
    /// # Errors
    ///
    /// As [`put_with`](Self::put_with).
    ///
    /// # Cancel safety
    ///
    /// As [`put_with`](Self::put_with).
    pub fn put<'a>(&'a self, local: impl AsRef<Path>, remote: impl AsRef<Path>) -> TunnelPut<'a> {
        TunnelPut::new(Put::new(local).to(remote), move |put| Box::pin(self.put_with(put)))
    }

    /// Writes a file to the host.
    ///
    /// The content is streamed: only some megabytes are in memory at a time, whatever the size of
    /// the file. It is written to the target's folder under no visible name, flushed, compared by
    /// checksum, and renamed. A failure before that leaves the target as it was. Symbolic links are
    /// followed. A file that can be written but not replaced, such as a mount point or a device, is
    /// [written in place](Transferred::in_place). Calls and other transfers on the tunnel go on
    /// meanwhile and share the connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::File`] names the side, the path and the reason: the source cannot be read or
    /// has changed, or the target cannot be written. Other errors are those of calls.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the transfer. The target is then as it was or, if all of its
    /// content had arrived, replaced.
    pub async fn put_with(&self, put: Put<'_>) -> Result<Transferred, Error> {
        let remote = put.remote.as_deref().unwrap_or(Path::new(""));
        let entry = self.begin_entry("put", remote.to_string_lossy());
        let result = self.in_time(put.timeout, self.put_now(put)).await;
        if let Some(entry) = entry {
            entry.end_file(&result);
        }
        result
    }

    async fn put_now(&self, mut put: Put<'_>) -> Result<Transferred, Error> {
        put.named().map_err(|kind| self.error(Phase::Transfer, kind))?;
        let mut diff = None;
        if let Some(compared) = self.compare_put(&mut put).await? {
            if !compared.changed || Plan::is_dry(&put.comparing) {
                return Ok(compared);
            }
            diff = compared.diff;
        }
        let (local, name) = (put.source.path(), put.source.name());
        let failed = |source| {
            let kind = ErrorKind::File { side: Side::Local, path: local.clone(), source: Arc::new(source) };
            self.error(Phase::Transfer, kind)
        };
        let reused = self.remote_base(&mut put).await?;
        let source = std::mem::replace(&mut put.source, Source::Bytes(Bytes::new()));
        let (feed, base) = match (reused, source) {
            (Some((base, signature)), Source::Path(path)) => (Feed::of_delta(path, signature).await, base),
            (_, source) => (source.open(Pace::block_len(put.limit)).await, Vec::new()),
        };
        let feed = feed.map_err(failed)?;
        let payload = put
            .payload(&Local { name, mode: feed.mode, modified: feed.modified }, false, base)
            .map_err(|error| self.error(Phase::Transfer, ErrorKind::Argument(Arc::new(error))))?;
        let connection = self.connection_for(Task::Any).await?;
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
        let mut sent = 0;
        let (pace, watcher) = (Pace::new(put.limit), &mut put.watcher);
        let sending = Sending { feed, writer, pace, watcher, sent: &mut sent };
        let (reply, summary) = match sending.run(request).await {
            Sent::Answered(reply, summary) => (reply, summary),
            Sent::Unreadable(error) => return Err(failed(error)),
            Sent::Failed(error) => return Err(connection.failure(Phase::Transfer, &error).await),
        };
        let done: Done = reply::read(&reply).map_err(|kind| self.error(Phase::Transfer, kind))?;
        match summary.filter(|summary| reply::matches(&done, summary)) {
            Some(Summary { size, .. }) => {
                let sha1 = summary.map(|summary| summary.hex()).unwrap_or_default();
                let (remote, in_place) = (done.remote(), done.in_place);
                Ok(Transferred { local: None, remote, size, sha1, in_place, changed: true, diff, sent })
            }
            None => Err(self.error(Phase::Transfer, reply::differs(done.remote()))),
        }
    }
}

/// A transfer that is under way.
struct Sending<'a, 'b> {
    feed: Feed<'a>,
    writer: StreamWriter,
    pace: Pace,
    watcher: &'b mut Watcher<'a>,
    /// The bytes of content that were sent.
    sent: &'b mut u64,
}

enum Sent {
    /// With a summary of what was sent, if it was sent completely.
    Answered(Answer, Option<Summary>),
    /// The source failed.
    Unreadable(io::Error),
    /// There is no answer: the connection ended, or the answer is too long.
    Failed(TransportError),
}

impl Sending<'_, '_> {
    /// Sends everything. If the answer arrives earlier, it is a failure.
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

    /// Returns a summary of what was sent, or `None` if the agent has stopped the transfer. Its
    /// answer contains the reason.
    async fn send(mut self) -> io::Result<Option<Summary>> {
        let total = self.feed.expected;
        let mut done = 0;
        if self.writer.send(self.feed.begin()).await.is_err() {
            return Ok(None);
        }
        loop {
            match self.feed.next().await? {
                Piece::Block { header, data, len } => {
                    let is_copy = data.is_empty();
                    if self.writer.send(header).await.is_err() || self.writer.send(data).await.is_err() {
                        return Ok(None);
                    }
                    done += len as u64;
                    *self.sent += if is_copy { 0 } else { len as u64 };
                    self.watcher.tell(done, total);
                    self.pace.wait(*self.sent).await;
                }
                Piece::End(summary, end) => {
                    let is_sent = self.writer.send(end).await.is_ok() && self.writer.finish().is_ok();
                    return Ok(is_sent.then_some(summary));
                }
            }
        }
    }
}

fn answered(reply: Result<Answer, TransportError>, summary: Option<Summary>) -> Sent {
    reply.map_or_else(Sent::Failed, |reply| Sent::Answered(reply, summary))
}

/// Limits the number of bytes per second.
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

    /// Returns a size of pieces that is small enough to send some of them in each second.
    pub(super) fn block_len(limit: Option<NonZeroU64>) -> usize {
        let slow = limit.map_or(u64::MAX, |limit| limit.get() / 8 + 512);
        usize::try_from(slow).unwrap_or(usize::MAX).min(BLOCK_LEN)
    }
}

/// How long an agent may take to clean up after a source that failed.
pub(super) const ABORT_GRACE: Duration = Duration::from_secs(5);
