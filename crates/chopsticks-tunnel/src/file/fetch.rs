//! Reading files from hosts.

use std::{
    io,
    num::NonZeroU64,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chopsticks_files::{
    Attributes, Destination, Excludes, Input, Meter, Stopped, Watcher, Wish, receive_file, time,
};
use chopsticks_pencode::marshal::EncodeError;
use chopsticks_protocol::{self as protocol, Done, operation};
use chopsticks_transport::{Format, Operation, Order, RequestOptions};
use futures::future::BoxFuture;
use serde_bytes::ByteBuf;
use tokio::io::AsyncWrite;

use crate::{
    auto::Task,
    error::{Error, ErrorKind, Phase},
    file::{
        Comparing, FILE_MODE, Progress, TEMPORARY_MODE, Transferred,
        base::{LocalBase, Reuse, local_base},
        compare::{Plan, blocking},
        reply::{self, Decoded as _},
    },
    pending::{Pending, pending},
    side::Side,
    tunnel::Tunnel,
};

/// A file to read from a host: its path there, the destination of its content, and options.
///
/// ```no_run
/// use chopsticks_tunnel::{Fetch, Local, Tunnel};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let tunnel = Tunnel::new(Local::new());
/// let mut content = Vec::new();
/// tunnel.fetch_with(Fetch::new("/etc/hostname").writer(&mut content).max_size(1 << 20)).await?;
/// println!("{}", String::from_utf8_lossy(&content));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Fetch<'a> {
    pub(super) remote: PathBuf,
    pub(super) destination: Destination<'a>,
    mode: Option<u32>,
    keep_mode: bool,
    pub(super) owner: (Option<u32>, Option<u32>),
    pub(super) keep_modified: bool,
    pub(super) overwrite: bool,
    pub(super) sync: Option<bool>,
    pub(super) limit: Option<NonZeroU64>,
    pub(super) max_size: u64,
    pub(super) timeout: Option<Duration>,
    pub(super) watcher: Watcher<'a>,
    pub(super) parents: bool,
    pub(super) reuse: Reuse,
    pub(super) comparing: Comparing,
}

impl<'a> Fetch<'a> {
    /// Creates a transfer of the file at a path on the host. A relative path starts at the agent's
    /// working folder.
    ///
    /// The path must be a regular file that does not change while it is read. Files of size 0, such
    /// as those in `/proc`, are read to their end, because their content appears only when they are
    /// read.
    pub fn new(remote: impl AsRef<Path>) -> Self {
        Self {
            remote: remote.as_ref().to_owned(),
            destination: Destination::Path(None),
            mode: None,
            keep_mode: false,
            owner: (None, None),
            keep_modified: false,
            overwrite: true,
            sync: None,
            limit: None,
            max_size: u64::MAX,
            timeout: None,
            watcher: Watcher::default(),
            parents: false,
            reuse: Reuse::default(),
            comparing: Comparing::default(),
        }
    }

    /// Sets the local path. If it leads to a folder, the file goes into it under its name on the
    /// host. By default the file gets a new name in the folder for temporary files.
    #[must_use]
    pub fn to(mut self, local: impl AsRef<Path>) -> Self {
        self.destination = Destination::Path(Some(local.as_ref().to_owned()));
        self
    }

    /// Writes the content to a writer, such as a `Vec<u8>`, instead of a file. The writer receives
    /// the content as it arrives. It is complete only if the transfer succeeds.
    #[must_use]
    pub fn writer(mut self, writer: impl AsyncWrite + Send + Unpin + 'a) -> Self {
        self.destination = Destination::Writer(Box::new(writer));
        self
    }

    /// Sets the permission bits of the local file, independently of the umask. By default a
    /// replaced file keeps its own, and a new file gets those of the remote file, as far as the
    /// umask allows. A temporary file gets `0o600`.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Keeps the permission bits of the remote file, without set-user-ID, set-group-ID and the
    /// sticky bit.
    #[must_use]
    pub fn keep_mode(mut self) -> Self {
        self.keep_mode = true;
        self
    }

    /// Sets the owner of the local file, as numbers of a user and a group. By default a replaced
    /// file keeps its own, and a new file belongs to the controller's user.
    #[must_use]
    pub fn owner(mut self, user: Option<u32>, group: Option<u32>) -> Self {
        self.owner = (user, group);
        self
    }

    /// Keeps the time of modification of the remote file. By default it is the time of the
    /// transfer.
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

    /// Makes missing folders of the local path. If the path ends with `/`, it is the folder itself
    /// that is made, and the file goes into it. By default a missing folder is an error.
    #[must_use]
    pub fn parents(mut self) -> Self {
        self.parents = true;
        self
    }

    /// Waits until the file is on the local disk (fsync) before it becomes visible. This is the
    /// default, except for the files of a folder.
    #[must_use]
    pub fn sync(mut self) -> Self {
        self.sync = Some(true);
        self
    }

    /// Does not wait for the local disk. This is faster, but a crash of the machine may lose the
    /// file. It is the default for the files of a folder.
    #[must_use]
    pub fn no_sync(mut self) -> Self {
        self.sync = Some(false);
        self
    }

    /// Sets the maximum number of bytes per second that the agent sends, on average from the
    /// beginning. Default: no limit.
    #[must_use]
    pub fn limit(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.limit = Some(bytes_per_second);
        self
    }

    /// Sets the maximum content in bytes. Longer content is an error. Default: no limit.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Sets the deadline of the transfer, including the time to connect. When it passes, the
    /// transfer is cancelled. Default: none.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets a function that is called after each piece, with the amount that has been received.
    #[must_use]
    pub fn on_progress(mut self, watcher: impl FnMut(Progress) + Send + 'a) -> Self {
        self.watcher = Watcher::new(watcher);
        self
    }

    pub(super) fn payload(
        &self,
        folder: bool,
        skip: Vec<PathBuf>,
        base: Option<&mut LocalBase>,
    ) -> Result<Vec<u8>, EncodeError> {
        let limit = self.limit.map_or(0, |limit| i64::try_from(limit.get()).unwrap_or(i64::MAX));
        let path = self.remote.as_os_str().as_bytes().to_vec();
        let skip = skip.into_iter().map(|path| ByteBuf::from(path.into_os_string().into_vec())).collect();
        let (block, digests) =
            base.map_or_else(Default::default, |base| (base.block, std::mem::take(&mut base.digests)));
        protocol::Fetch { path, limit, folder, skip, block, digests }.encode()
    }

    /// Returns the permission bits that the local file is to have, if any, given those on the host.
    pub(super) fn wanted_mode(&self, remote: u32) -> Option<u32> {
        self.mode.map(|mode| mode & 0o7777).or(self.keep_mode.then_some(remote & 0o777))
    }

    fn attributes(&self, done: &Done, is_temporary: bool) -> Attributes {
        let remote = done.mode.map_or(FILE_MODE, |mode| mode & 0o777);
        let default = if is_temporary { TEMPORARY_MODE } else { remote };
        let kept = done.mode.filter(|_| self.keep_mode).map(|mode| mode & 0o777);
        let modified = done.modified.filter(|_| self.keep_modified).and_then(time);
        Attributes { mode: self.mode.or(kept), default, modified }
    }
}

/// A file or folder that is read from a host, made by [`Tunnel::fetch`] and [`Tunnel::fetch_dir`]. Await
/// it for the result, after setting further options.
///
/// It begins when it is first polled. Options that are set after that have no effect.
///
/// ```no_run
/// # async fn example(tunnel: chopsticks_tunnel::Tunnel) -> Result<(), chopsticks_tunnel::Error> {
/// tunnel.fetch("/var/log/app.log", "app.log").max_size(1 << 20).keep_modified().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping it cancels the transfer: see [`Tunnel::fetch_with`] and [`Tunnel::fetch_dir_with`].
#[must_use = "nothing is read unless the transfer is awaited or polled"]
pub struct TunnelFetch<'a, T = Transferred>(Pending<'a, Fetch<'a>, T>);

pending! {
    TunnelFetch<T>, Fetch:
    mode(mode: u32);
    keep_mode();
    owner(user: Option<u32>, group: Option<u32>);
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
    max_size(bytes: u64);
    timeout(timeout: Duration);
    on_progress(watcher: impl FnMut(Progress) + Send + 'a);
}

impl<'a, T> TunnelFetch<'a, T> {
    pub(super) fn new(
        fetch: Fetch<'a>,
        begin: impl FnOnce(Fetch<'a>) -> BoxFuture<'a, Result<T, Error>> + Send + 'a,
    ) -> Self {
        Self(Pending::new(fetch, begin))
    }
}

impl Tunnel {
    /// Reads a file of the host into a local file, and replaces an existing file.
    ///
    /// The local file appears completely or not at all: see [`fetch_with`](Self::fetch_with), which
    /// also has other destinations. Options are set on the returned [`TunnelFetch`], before it is
    /// awaited.
    ///
    /// # Errors
    ///
    /// As [`fetch_with`](Self::fetch_with).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_with`](Self::fetch_with).
    pub fn fetch<'a>(&'a self, remote: impl AsRef<Path>, local: impl AsRef<Path>) -> TunnelFetch<'a> {
        TunnelFetch::new(Fetch::new(remote).to(local), move |fetch| Box::pin(self.fetch_with(fetch)))
    }

    /// Reads a file of the host.
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
    pub async fn fetch_with(&self, fetch: Fetch<'_>) -> Result<Transferred, Error> {
        let entry = self.begin_entry("fetch", fetch.remote.to_string_lossy());
        let result = self.in_time(fetch.timeout, self.fetch_now(fetch)).await;
        if let Some(entry) = entry {
            entry.end_file(&result);
        }
        result
    }

    async fn fetch_now(&self, mut fetch: Fetch<'_>) -> Result<Transferred, Error> {
        let is_temporary = matches!(fetch.destination, Destination::Path(None));
        let destination = std::mem::replace(&mut fetch.destination, Destination::Path(None));
        let file_name = fetch.remote.file_name().unwrap_or_default().to_owned();
        let given = destination.name();
        if fetch.parents && !Plan::is_dry(&fetch.comparing) {
            let made = make_parents(destination.path()).await;
            made.map_err(|error| self.local(&given, error))?;
        }
        let destination = destination.resolve(file_name).await.map_err(|error| self.local(&given, error))?;
        let (local, name) = (destination.path(), destination.name());
        let here = |error| self.local(&name, error);
        let transfer = |kind| self.error(Phase::Transfer, kind);
        let mut diff = None;
        if fetch.comparing.is_on() {
            if local.is_none() || is_temporary {
                let what = "what is new cannot be compared";
                return Err(here(io::Error::new(io::ErrorKind::InvalidInput, what)));
            }
            match self.compare_fetch(&mut fetch, local.as_deref()).await? {
                Some(compared) if !compared.changed || Plan::is_dry(&fetch.comparing) => return Ok(compared),
                None if Plan::is_dry(&fetch.comparing) => {
                    let error = io::Error::new(io::ErrorKind::NotFound, "there is no such regular file");
                    return Err(transfer(reply::failure(fetch.remote, error)));
                }
                compared => diff = compared.and_then(|compared| compared.diff),
            }
        }
        let mut base = local_base(fetch.reuse, local.as_deref().filter(|_| !is_temporary)).await;
        let payload = fetch
            .payload(false, Vec::new(), base.as_mut())
            .map_err(|error| transfer(ErrorKind::Argument(Arc::new(error))))?;
        let has_mode = fetch.mode.is_some() || fetch.keep_mode;
        let keeps_part = fetch.reuse.resume && !is_temporary;
        let wish =
            Wish { replace: fetch.overwrite && !is_temporary, owner: fetch.owner, has_mode, keeps_part };
        let (base, part) = base.map(|base| (base.file, base.part)).unzip();
        let mut sink = destination.open_with(wish, base).await.map_err(here)?;

        let connection = self.connection_for(Task::Any).await?;
        let session = self.transferring(&connection).await?;
        let options = RequestOptions::new().order(Order::AfterNotices).with_reader();
        let mut request = session.handle.request_with(
            Operation::application(operation::FETCH),
            Format::Marshal,
            payload,
            options,
        );
        let reader = match request.reader() {
            Ok(reader) => reader,
            Err(error) => return Err(connection.failure(Phase::Transfer, &error).await),
        };
        let meter = Meter::new(fetch.max_size, &mut fetch.watcher);
        let sha1 = match receive_file(Input::new(reader), meter, &mut sink).await {
            Ok(sha1) => Some(sha1),
            Err(Stopped::Broken) => None,
            Err(Stopped::Malformed(problem)) => {
                sink.abandon().await;
                return Err(transfer(reply::failure(fetch.remote, problem)));
            }
            // The file was given up by whoever wrote it.
            Err(Stopped::Unwritable(error)) => return Err(here(error)),
        };
        let failed = match request.await {
            Err(error) => connection.failure(Phase::Transfer, &error).await,
            Ok(reply) => match (reply::read::<Done>(&reply), sha1) {
                (Ok(done), Some(sha1)) => {
                    let attributes = fetch.attributes(&done, is_temporary);
                    let copied = sink.copied();
                    let (summary, in_place) =
                        sink.finish(sha1, attributes, fetch.sync.unwrap_or(true)).await.map_err(here)?;
                    let (remote, sha1) = (done.remote(), summary.hex());
                    let (size, sent) = (summary.size, summary.size.saturating_sub(copied));
                    if let Some(part) = part.flatten() {
                        // Another transfer may have removed it.
                        let _ = blocking(move || std::fs::remove_file(part)).await;
                    }
                    return Ok(Transferred {
                        local,
                        remote,
                        size,
                        sha1,
                        in_place,
                        changed: true,
                        diff,
                        sent,
                    });
                }
                (Ok(done), None) => transfer(reply::differs(done.remote())),
                (Err(kind), _) => transfer(kind),
            },
        };
        sink.abandon().await;
        Err(failed)
    }

    pub(super) fn local(&self, path: &Path, source: io::Error) -> Error {
        let kind = ErrorKind::File { side: Side::Local, path: path.to_owned(), source: Arc::new(source) };
        self.error(Phase::Transfer, kind)
    }
}

/// Makes the folders that a local path needs.
pub(super) async fn make_parents(path: Option<PathBuf>) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let folder = match path.as_os_str().as_bytes().ends_with(b"/") {
        true => path,
        false => path.parent().map(Path::to_owned).unwrap_or_default(),
    };
    blocking(move || if folder.as_os_str().is_empty() { Ok(()) } else { std::fs::create_dir_all(folder) })
        .await
}
