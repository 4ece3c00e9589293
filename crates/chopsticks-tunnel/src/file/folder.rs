//! Transfers of folders.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chopsticks_agent::Part;
use chopsticks_files::{
    Bases, Destination, Input, Manner, Meter, Problem, Skip, Source, Stopped, TreePiece as Piece, TreeSink,
    Watcher, read_tree, receive_folder, remove_entries,
};
use chopsticks_protocol::{DoneFolder, operation};
use chopsticks_transport::{
    Answer, Format, Operation, Order as When, Request, RequestOptions, StreamWriter, TransportError,
};
use futures::FutureExt as _;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    auto::Task,
    connection::{Connection, Session},
    error::{Error, ErrorKind, Phase},
    file::{
        Fetch, Put, TransferredFolder, TunnelFetch, TunnelPut,
        compare::{Plan, blocking, forget},
        fetch::make_parents,
        put::{ABORT_GRACE, Local, Pace},
        reply::{self, Decoded as _},
    },
    side::Side,
    tunnel::Tunnel,
};

impl Tunnel {
    /// Writes a local folder with everything in it to a path on the host.
    ///
    /// See [`put_dir_with`](Self::put_dir_with). Options are set on the returned [`TunnelPut`], before
    /// it is awaited.
    ///
    /// # Errors
    ///
    /// As [`put_dir_with`](Self::put_dir_with).
    ///
    /// # Cancel safety
    ///
    /// As [`put_dir_with`](Self::put_dir_with).
    pub fn put_dir<'a>(
        &'a self,
        local: impl AsRef<Path>,
        remote: impl AsRef<Path>,
    ) -> TunnelPut<'a, TransferredFolder> {
        TunnelPut::new(Put::new(local).to(remote), move |put| Box::pin(self.put_dir_with(put)))
    }

    /// Writes a folder to the host.
    ///
    /// The content goes into the existing folder, or a new one, whose parent has to exist. New
    /// files and folders get the permission bits of their sources, without set-user-ID,
    /// set-group-ID and the sticky bit, as far as the umask allows. Existing ones keep theirs.
    /// Links are sent as links, whatever they point to. FIFOs, sockets and devices are left out.
    /// Names are bytes. [`Put::mode`] and [`Put::modified`] do not apply.
    ///
    /// Each file appears completely or not at all, as with [`put_with`](Self::put_with). If the
    /// transfer fails, the files that have already arrived stay.
    ///
    /// # Errors
    ///
    /// As [`put_with`](Self::put_with).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the transfer. Files that had arrived completely stay.
    pub async fn put_dir_with(&self, put: Put<'_>) -> Result<TransferredFolder, Error> {
        let remote = put.remote.as_deref().unwrap_or(Path::new(""));
        let entry = self.begin_entry("put-dir", remote.to_string_lossy());
        let result = self.in_time(put.timeout, self.put_dir_now(put)).await;
        if let Some(entry) = entry {
            entry.end_folder(&result);
        }
        result
    }

    /// Reads a folder of the host with everything in it into a local folder.
    ///
    /// See [`fetch_dir_with`](Self::fetch_dir_with). Options are set on the returned
    /// [`TunnelFetch`], before it is awaited.
    ///
    /// # Errors
    ///
    /// As [`fetch_dir_with`](Self::fetch_dir_with).
    ///
    /// # Cancel safety
    ///
    /// As [`fetch_dir_with`](Self::fetch_dir_with).
    pub fn fetch_dir<'a>(
        &'a self,
        remote: impl AsRef<Path>,
        local: impl AsRef<Path>,
    ) -> TunnelFetch<'a, TransferredFolder> {
        TunnelFetch::new(Fetch::new(remote).to(local), move |fetch| Box::pin(self.fetch_dir_with(fetch)))
    }

    /// Reads a folder of the host.
    ///
    /// This works like [`put_dir_with`](Self::put_dir_with), in the other direction;
    /// [`Fetch::mode`] does not apply. Nothing is written outside the target, whatever names the
    /// host sends, and links in it are not followed. [`Fetch::max_size`] limits the content of all
    /// files together. Folders can be nested 256 deep.
    ///
    /// # Errors
    ///
    /// As [`fetch_with`](Self::fetch_with).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the transfer. Files that had arrived completely stay.
    pub async fn fetch_dir_with(&self, fetch: Fetch<'_>) -> Result<TransferredFolder, Error> {
        let entry = self.begin_entry("fetch-dir", fetch.remote.to_string_lossy());
        let result = self.in_time(fetch.timeout, self.fetch_dir_now(fetch)).await;
        if let Some(entry) = entry {
            entry.end_folder(&result);
        }
        result
    }

    async fn put_dir_now(&self, mut put: Put<'_>) -> Result<TransferredFolder, Error> {
        let transfer = |kind| self.error(Phase::Transfer, kind);
        put.named().map_err(transfer)?;
        let Source::Path(root) = &put.source else {
            return Err(self.local(&put.source.path(), io::ErrorKind::NotADirectory.into()));
        };
        let (root, block_len) = (root.clone(), Pace::block_len(put.limit));
        if put.reuse.is_on() {
            put = put.if_changed();
        }
        let payload = put
            .payload(&Local::default(), true, Vec::new())
            .map_err(|error| transfer(ErrorKind::Argument(Arc::new(error))))?;
        let mut plan = self.plan_put(&mut put, &root).await?;
        if Plan::is_dry(&put.comparing) {
            return Ok(plan.unwrap_or_default().result());
        }
        let mut skip = Skip { excludes: put.comparing.excludes.clone(), ..Skip::default() };
        if let Some(plan) = &mut plan {
            let folder = plan.remote().to_owned();
            if plan.sends_nothing(&put.comparing) {
                self.remove_remote(&folder, &mut plan.last).await?;
                return Ok(plan.take().result());
            }
            self.remove_remote(&folder, &mut plan.first).await?;
            skip.same = std::mem::take(&mut plan.same);
        }
        let (folder, reusable) = plan.as_mut().map_or_else(Default::default, |plan| {
            (plan.remote().to_owned(), std::mem::take(&mut plan.reusable))
        });
        let (bases, questions) = Bases::new(reusable);
        let mut receiver = read_tree(root, block_len, skip, Some(bases));
        // A folder that is not there is told before the host is asked.
        let first = receiver.recv().await;
        if let Some(Err((path, error))) = first {
            return Err(self.local(&path, error));
        }

        let connection = self.connection_for(Task::Any).await?;
        let session = self.transferring_folders(&connection).await?;
        let options = RequestOptions::new().order(When::AfterNotices).with_writer();
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
        let sending =
            Sending { writer, pace: Pace::new(put.limit), watcher: &mut put.watcher, sent: &mut sent };
        let answering = self.answer_bases(folder, put.reuse, questions);
        let done = tokio::select! {
            biased;
            done = sending.run(first, receiver, request) => done,
            never = answering.then(|()| std::future::pending()) => never,
        };
        match done {
            Ok(Ok(reply)) => {
                let done = reply::read::<DoneFolder>(&reply).map_err(transfer)?;
                let folder = TransferredFolder { sent, ..transferred(None, &done) };
                let Some(mut plan) = plan else { return Ok(folder) };
                self.remove_remote(&done.remote(), &mut plan.last).await?;
                Ok(plan.complete(folder))
            }
            Ok(Err(error)) => Err(connection.failure(Phase::Transfer, &error).await),
            Err((path, error)) => Err(self.local(&path, error)),
        }
    }

    async fn fetch_dir_now(&self, mut fetch: Fetch<'_>) -> Result<TransferredFolder, Error> {
        let transfer = |kind| self.error(Phase::Transfer, kind);
        let destination = std::mem::replace(&mut fetch.destination, Destination::Path(None));
        let name = destination.name();
        let destination = destination.resolve_folder().map_err(|error| self.local(&name, error))?;
        let Some(local) = destination.path() else {
            return Err(self.local(&name, io::ErrorKind::NotADirectory.into()));
        };
        let mut plan = self.plan_fetch(&mut fetch, &local).await?;
        if Plan::is_dry(&fetch.comparing) {
            return Ok(plan.unwrap_or_default().result());
        }
        let mut skip = Vec::new();
        if let Some(plan) = &mut plan {
            if plan.sends_nothing(&fetch.comparing) {
                self.remove_local(&local, &mut plan.last).await?;
                return Ok(plan.take().result());
            }
            self.remove_local(&local, &mut plan.first).await?;
            skip.extend(std::mem::take(&mut plan.same));
            skip.append(&mut plan.left_out);
        }
        if fetch.parents {
            let made = make_parents(Some(trimmed(&local))).await;
            made.map_err(|error| self.local(&local, error))?;
        }
        let payload = fetch
            .payload(true, skip, None)
            .map_err(|error| transfer(ErrorKind::Argument(Arc::new(error))))?;
        let manner = Manner {
            owner: fetch.owner,
            keep_modified: fetch.keep_modified,
            replace: fetch.overwrite,
            sync: fetch.sync.unwrap_or(false),
            keeps_parts: false,
        };

        let connection = self.connection_for(Task::Any).await?;
        let session = self.transferring_folders(&connection).await?;
        let options = RequestOptions::new().order(When::AfterNotices).with_reader();
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
        let sink = TreeSink::open(local.clone(), manner);
        let meter = Meter::new(fetch.max_size, &mut fetch.watcher);
        let received = receive_folder(Input::new(reader), meter, &sink).await;
        // What was not finished is gone when the thread is.
        if let Err((path, error)) = sink.end().await {
            return Err(self.local(&path, error));
        }
        if let Err(Stopped::Malformed(problem)) = received {
            let kind = ErrorKind::File { side: Side::Remote, path: fetch.remote, source: Arc::new(problem) };
            return Err(transfer(kind));
        }
        let reply = match request.await {
            Ok(reply) => reply,
            Err(error) => return Err(connection.failure(Phase::Transfer, &error).await),
        };
        let done = reply::read::<DoneFolder>(&reply).map_err(transfer)?;
        match received {
            Ok(()) => {
                let Some(mut plan) = plan else { return Ok(transferred(Some(local), &done)) };
                self.remove_local(&local, &mut plan.last).await?;
                Ok(plan.complete(transferred(Some(local), &done)))
            }
            Err(_) => Err(transfer(reply::differs(done.remote()))),
        }
    }

    async fn remove_local(&self, root: &Path, removed: &mut Vec<(PathBuf, bool)>) -> Result<(), Error> {
        if removed.is_empty() {
            return Ok(());
        }
        let (folder, entries) = (root.to_owned(), removed.clone());
        let stayed = blocking(move || remove_entries(&folder, &entries)).await;
        forget(removed, &stayed.map_err(|(path, error)| self.local(&path, error))?);
        Ok(())
    }

    async fn transferring_folders(&self, connection: &Connection) -> Result<Arc<Session>, Error> {
        let session = self.transferring(connection).await?;
        session.extend(Part::Folders).await;
        Ok(session)
    }
}

/// Returns the path without a `/` at its end: the folder itself is made by the transfer.
fn trimmed(path: &Path) -> PathBuf {
    path.components().collect()
}

fn transferred(local: Option<PathBuf>, done: &DoneFolder) -> TransferredFolder {
    let DoneFolder { files, folders, links, left_out, size, .. } = *done;
    TransferredFolder {
        local,
        remote: done.remote(),
        files,
        folders,
        links,
        left_out,
        size,
        changed: true,
        unchanged: 0,
        changes: Vec::new(),
        deleted: Vec::new(),
        obstacles: Vec::new(),
        diff: None,
        sent: size,
    }
}

/// A folder that is being sent to a host.
struct Sending<'a, 'b> {
    writer: StreamWriter,
    pace: Pace,
    watcher: &'b mut Watcher<'a>,
    /// The bytes of content that were sent.
    sent: &'b mut u64,
}

impl Sending<'_, '_> {
    /// Sends everything. If the answer arrives earlier, it is a failure.
    async fn run(
        self,
        first: Option<Result<Piece, Problem>>,
        rest: mpsc::Receiver<Result<Piece, Problem>>,
        mut request: Request,
    ) -> Result<Result<Answer, TransportError>, Problem> {
        let sent = tokio::select! {
            biased;
            reply = &mut request => return Ok(reply),
            sent = self.send(first, rest) => sent,
        };
        if let Err(problem) = sent {
            // The agent has nothing half finished left when it answers. One that does not is cancelled by the drop.
            let _ = timeout(ABORT_GRACE, request).await;
            return Err(problem);
        }
        Ok(request.await)
    }

    async fn send(
        mut self,
        first: Option<Result<Piece, Problem>>,
        mut rest: mpsc::Receiver<Result<Piece, Problem>>,
    ) -> Result<(), Problem> {
        let mut next = first;
        while let Some(piece) = next {
            let (bytes, content) = piece?;
            if self.writer.send(bytes).await.is_err() {
                // The agent will explain.
                return Ok(());
            }
            *self.sent += content;
            self.watcher.tell(*self.sent, None);
            self.pace.wait(*self.sent).await;
            next = rest.recv().await;
        }
        let _ = self.writer.finish();
        Ok(())
    }
}
