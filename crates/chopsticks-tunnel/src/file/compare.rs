//! Comparing local files with those of a host, so that only what differs is transferred.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use chopsticks_files::{
    DIFFERENCE_MAX, Entry, Excludes, FileKind, Source, Summary, check_deletable, difference, digest_bytes,
    digest_file, digest_tree, list_tree, nanoseconds,
};
use chopsticks_text::harmless;
use serde::{Deserialize, de::DeserializeOwned};
use serde_bytes::{ByteBuf, Bytes};
use tokio::task;

use crate::{
    args::Args,
    auto::Task,
    call::Call,
    error::{Error, Phase},
    file::{
        Compares, Comparing, Fetch, Obstacle, Put, Transferred, TransferredFolder, rehearsal::Rehearsal,
        reply,
    },
    tunnel::Tunnel,
};

/// What happens to a folder.
#[derive(Debug, Default)]
pub(super) struct Plan {
    remote: PathBuf,
    local: Option<PathBuf>,
    /// The files and links that are the same on both sides.
    pub(super) same: HashSet<PathBuf>,
    /// The files that may be made from what the host has.
    pub(super) reusable: HashSet<PathBuf>,
    /// Folders and other things of the host that are left out.
    pub(super) left_out: Vec<PathBuf>,
    pub(super) unchanged: u64,
    /// Everything else, in the order of a walk.
    pub(super) changes: Vec<PathBuf>,
    pub(super) obstacles: Vec<Obstacle>,
    /// What is in the way, and what is in it, with whether each is a folder. What is in a folder
    /// comes first.
    pub(super) first: Vec<(PathBuf, bool)>,
    /// What else the source does not have.
    pub(super) last: Vec<(PathBuf, bool)>,
    pub(super) diff: Option<String>,
    /// What would be sent.
    files: u64,
    links: u64,
    folders: u64,
    size: u64,
}

impl Plan {
    /// Returns the result of a transfer that writes nothing.
    pub(super) fn result(self) -> TransferredFolder {
        let nothing = TransferredFolder {
            local: self.local.clone(),
            remote: self.remote.clone(),
            files: self.files,
            folders: self.folders,
            links: self.links,
            left_out: 0,
            size: self.size,
            changed: false,
            unchanged: 0,
            changes: Vec::new(),
            deleted: Vec::new(),
            obstacles: Vec::new(),
            diff: None,
            sent: 0,
        };
        self.complete(nothing)
    }

    /// Adds what was compared to the result of a transfer.
    pub(super) fn complete(self, mut done: TransferredFolder) -> TransferredFolder {
        let removed = self.first.iter().chain(&self.last);
        done.deleted = removed.map(|(path, _)| path.clone()).collect();
        done.deleted.sort_unstable();
        done.changed |= !self.changes.is_empty() || !done.deleted.is_empty();
        (done.unchanged, done.changes) = (self.unchanged, self.changes);
        (done.obstacles, done.diff) = (self.obstacles, self.diff);
        done
    }

    /// Adds an entry of the source that has to be transferred.
    fn add(&mut self, path: &Path, kind: FileKind, size: u64) {
        match kind {
            FileKind::File => {
                self.files += 1;
                self.size += size;
            }
            FileKind::Folder => self.folders += 1,
            FileKind::Link => self.links += 1,
            FileKind::Special => return,
        }
        self.changes.push(path.to_owned());
    }

    /// Decides what is removed, of what only the target has. Entries come in the order of a walk.
    fn remove(&mut self, only: Vec<(PathBuf, bool)>, excluded: &[PathBuf]) {
        let kept: HashSet<&Path> = excluded.iter().flat_map(|path| path.ancestors()).collect();
        let obstacles: HashSet<&Path> = self.obstacles.iter().map(|obstacle| &*obstacle.path).collect();
        for (path, is_folder) in only.into_iter().rev() {
            if path.ancestors().any(|outer| !outer.as_os_str().is_empty() && obstacles.contains(outer)) {
                self.first.push((path, is_folder));
            } else if !is_folder || !kept.contains(&*path) {
                self.last.push((path, is_folder));
            }
        }
    }
}

/// What a host reports of a path: kind, size, time, mode, whether it has the owner, and content.
type State = Option<(u8, u64, i64, u32, bool, ByteBuf)>;

/// What a function of the host returns, or what is wrong with a file.
#[derive(Deserialize)]
struct Answered<T>(Option<(i32, String, ByteBuf)>, Option<T>);

/// The path of a folder on a host, the states of the entries that were named, and all others there.
type Listing = (ByteBuf, Vec<State>, Vec<(ByteBuf, u8, u64)>);

impl Tunnel {
    /// Calls a function of the module that compares. Agents in Rust have this function too.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        function: &'static str,
        args: impl Args,
    ) -> Result<T, Error> {
        self.ask_with(Call::new(function).args(args)).await
    }

    async fn ask_with<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let Answered(problem, answer) = self.call_by(Task::Any, &call).await?.decode()?;
        match (problem, answer) {
            (Some((errno, message, path)), _) => {
                let kind = if errno == 0 {
                    io::ErrorKind::Other
                } else {
                    io::Error::from_raw_os_error(errno).kind()
                };
                let source = io::Error::new(kind, harmless(&message).into_owned());
                Err(self.error(Phase::Transfer, reply::failure(path_of(path), source)))
            }
            (None, Some(answer)) => Ok(answer),
            (None, None) => Err(self.no_listing("an answer without a result")),
        }
    }

    fn no_listing(&self, problem: &str) -> Error {
        let source = io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
        self.error(Phase::Transfer, reply::failure(PathBuf::new(), source))
    }

    /// Compares a file. Returns `None` if it is to be sent without a comparison.
    pub(super) async fn compare_put(&self, put: &mut Put<'_>) -> Result<Option<Transferred>, Error> {
        if !put.comparing.is_on() {
            return Ok(None);
        }
        let (name, local) = (put.source.name(), put.source.path());
        let (summary, modified) = match &put.source {
            Source::Bytes(content) => (digest_bytes(content), None),
            Source::Path(path) => {
                let path = path.clone();
                let digested = blocking(move || digest_file(&path)).await;
                let (summary, modified) = digested.map_err(|error| self.local(&local, error))?;
                (summary, Some(modified))
            }
            _ => {
                let what = "what a reader yields cannot be compared";
                return Err(self.local(&local, io::Error::new(io::ErrorKind::InvalidInput, what)));
            }
        };
        let mut compared = of_file(&summary, put.remote.clone().unwrap_or_default());
        let modified = put.modified.map(nanoseconds).or(modified.filter(|_| put.keep_modified));
        let mut old = None;
        // A new temporary file is the same as no other.
        if let Some(remote) = &put.remote {
            let (path, state) = self.file_state(remote, name.as_bytes(), summary.size, &put.owner).await?;
            let mode = put.mode.map(|mode| mode & 0o7777);
            compared.changed = !matches!(state, Some((2, size, time, bits, true, ref digest))
                if size == summary.size && digest[..] == summary.sha1
                    && mode.is_none_or(|mode| mode == bits)
                    && modified.is_none_or(|modified| is_near(modified, time)));
            old = state.filter(|state| state.0 == 2).map(|state| state.1);
            compared.remote = path;
            if compared.changed && Plan::is_dry(&put.comparing) {
                self.rehearse(Rehearsal::of_file(put, remote, &name)).await?;
            }
        }
        if put.comparing.diffs && compared.changed {
            let new = match &put.source {
                Source::Bytes(content) => Some(content.to_vec()).filter(|new| is_short(new.len() as u64)),
                _ => read_short(local, Links::Followed).await,
            };
            let old = match old {
                Some(_) => self.contents(&compared.remote, &[Path::new("")]).await?.pop(),
                None => Some(Content::None),
            };
            let name = compared.remote.to_string_lossy().into_owned();
            let new = new.map_or(Content::Long, Content::Some);
            compared.diff = Some(blocking(move || shown(&name, old.unwrap_or(Content::Long), new)).await);
        }
        Ok(Some(compared))
    }

    /// Compares a file of the host with the local one at `local`.
    pub(super) async fn compare_fetch(
        &self,
        fetch: &mut Fetch<'_>,
        local: Option<&Path>,
    ) -> Result<Option<Transferred>, Error> {
        let Some(local) = local.filter(|_| fetch.comparing.is_on()) else { return Ok(None) };
        if Plan::is_dry(&fetch.comparing) {
            let rehearsal = Rehearsal::here(fetch, local);
            blocking(move || rehearsal.run()).await.map_err(|error| self.local(local, error))?;
        }
        let path = local.to_owned();
        // One that does not exist, or cannot be read, is not the same.
        let digested = blocking(move || digest_file(&path)).await.ok();
        let size = digested.map_or(0, |(summary, _)| summary.size);
        let (remote, state) = self.file_state(&fetch.remote, b"", size, &None).await?;
        let Some((2, size, time, mode, _, digest)) = state else { return Ok(None) };
        let here = local.to_owned();
        let is_same = digested.is_some_and(|(summary, modified)| {
            summary.size == size
                && digest[..] == summary.sha1
                && (!fetch.keep_modified || is_near(modified, time))
        }) && blocking({
            let wanted = fetch.wanted_mode(mode);
            move || {
                use std::os::unix::fs::PermissionsExt as _;
                let bits = std::fs::metadata(here).map(|there| there.permissions().mode() & 0o7777);
                wanted.is_none_or(|wanted| bits.is_ok_and(|bits| bits == wanted))
            }
        })
        .await;
        let summary = digested.map_or_else(|| digest_bytes(b""), |(summary, _)| summary);
        let mut compared = of_file(&summary, remote);
        (compared.local, compared.changed, compared.size) = (Some(local.to_owned()), !is_same, size);
        if !is_same {
            compared.sha1 = String::new();
        }
        if fetch.comparing.diffs && !is_same {
            let old = match digested {
                Some(_) => {
                    read_short(local.to_owned(), Links::Followed).await.map_or(Content::Long, Content::Some)
                }
                None => Content::None,
            };
            let new = self.contents(&compared.remote, &[Path::new("")]).await?.pop();
            let name = local.to_string_lossy().into_owned();
            compared.diff = Some(blocking(move || shown(&name, old, new.unwrap_or(Content::Long))).await);
        }
        Ok(Some(compared))
    }

    async fn file_state(
        &self,
        remote: &Path,
        name: &[u8],
        size: u64,
        owner: &Option<String>,
    ) -> Result<(PathBuf, State), Error> {
        let args =
            (Bytes::new(remote.as_os_str().as_bytes()), Bytes::new(name), size, None::<i64>, owner.clone());
        let (path, state): (ByteBuf, State) = self.ask("chopsticks._compare:file", args).await?;
        Ok((path_of(path), state))
    }

    /// Plans how a folder is sent. Returns `None` if everything is sent without a comparison.
    pub(super) async fn plan_put(&self, put: &mut Put<'_>, root: &Path) -> Result<Option<Plan>, Error> {
        let comparing = &put.comparing;
        let Some(remote) = put.remote.as_ref().filter(|_| comparing.is_on() || comparing.deletes) else {
            return Ok(None);
        };
        let entries = self.list(root.to_owned(), &comparing.excludes).await?;
        if Plan::is_dry(comparing) {
            self.rehearse(Rehearsal::of_folder(put, remote)).await?;
        }
        let reach = if comparing.deletes { WITHIN_DEVICE } else { NO_SEARCH };
        let sides = Sides { root, remote, owner: &put.owner, keeps_modified: put.keep_modified, reach };
        let (remote, entries, verdicts, others) = self.verdicts(comparing, &sides, entries).await?;
        let mut plan = Plan { remote, ..Plan::default() };
        let mut excluded = Vec::new();
        let mut only = self.others(others, &comparing.excludes, &mut excluded)?;
        for (entry, (verdict, _)) in entries.iter().zip(verdicts) {
            match verdict {
                _ if entry.kind == FileKind::Special => {}
                Verdict::Same if entry.kind == FileKind::Folder => {}
                Verdict::Same => {
                    plan.unchanged += 1;
                    plan.same.insert(entry.path.clone());
                }
                Verdict::Differs(_) | Verdict::Absent => {
                    let has_file = matches!(verdict, Verdict::Differs(FileKind::File));
                    if entry.kind == FileKind::File && put.reuse.applies(entry.size, has_file) {
                        plan.reusable.insert(entry.path.clone());
                    }
                    plan.add(&entry.path, entry.kind, entry.size);
                }
                Verdict::InTheWay(kind) => {
                    plan.add(&entry.path, entry.kind, entry.size);
                    plan.obstacles.push(Obstacle { path: entry.path.clone(), kind });
                }
            }
        }
        if comparing.deletes {
            let in_the_way = plan.obstacles.iter();
            // The outermost folder is never removed.
            let in_the_way = in_the_way.filter(|obstacle| !obstacle.path.as_os_str().is_empty());
            only.extend(in_the_way.map(|it| (it.path.clone(), it.kind, 0)));
            only.sort_unstable_by(|left, right| left.0.cmp(&right.0));
            let only = only.into_iter().map(|(path, kind, _)| (path, kind == FileKind::Folder));
            plan.remove(only.collect(), &excluded);
        }
        if comparing.diffs {
            let is_shown = |path: &&PathBuf| is_file(&entries, path) && !plan.is_blocked(path);
            let files = plan.changes.iter().filter(is_shown).take(DIFFS_MAX);
            let files: Vec<_> = files.map(PathBuf::as_path).collect();
            let old = self.contents(&plan.remote, &files).await?;
            let mut sides = Vec::new();
            for (path, old) in files.iter().zip(old) {
                let new =
                    read_short(root.join(path), Links::Refused).await.map_or(Content::Long, Content::Some);
                sides.push((path.to_string_lossy().into_owned(), old, new));
            }
            plan.diff = Some(blocking(move || shown_all(sides)).await);
        }
        Ok(Some(plan))
    }

    /// Plans how a folder is fetched. Returns `None` if everything is fetched without a comparison.
    pub(super) async fn plan_fetch(
        &self,
        fetch: &mut Fetch<'_>,
        local: &Path,
    ) -> Result<Option<Plan>, Error> {
        let comparing = &fetch.comparing;
        if !comparing.is_on() && !comparing.deletes && comparing.excludes.is_empty() {
            return Ok(None);
        }
        if comparing.deletes {
            let root = local.to_owned();
            blocking(move || check_deletable(&root)).await.map_err(|error| self.local(local, error))?;
        }
        let here = local.to_owned();
        let is_there = blocking(move || here.exists()).await;
        let entries = match is_there {
            true => self.list(local.to_owned(), &comparing.excludes).await?,
            false => Vec::new(),
        };
        let (root, keeps_modified) = (local, fetch.keep_modified);
        let sides = Sides { root, remote: &fetch.remote, owner: &None, keeps_modified, reach: EVERYWHERE };
        let (remote, entries, verdicts, others) = self.verdicts(comparing, &sides, entries).await?;
        let mut plan = Plan { remote, local: Some(local.to_owned()), ..Plan::default() };
        let new = self.others(others, &comparing.excludes, &mut plan.left_out)?;
        let mut incoming: Vec<(&Path, FileKind, u64)> = Vec::new();
        let mut only = Vec::new();
        if !is_there {
            incoming.push((Path::new(""), FileKind::Folder, 0));
        }
        for (entry, (verdict, size)) in entries.iter().zip(&verdicts) {
            match verdict {
                Verdict::Same if entry.kind == FileKind::Folder => {}
                Verdict::Same => {
                    plan.unchanged += 1;
                    plan.same.insert(entry.path.clone());
                }
                Verdict::Absent => only.push((entry.path.clone(), entry.kind == FileKind::Folder)),
                Verdict::Differs(kind) => incoming.push((&entry.path, *kind, *size)),
                // It is not fetched.
                Verdict::InTheWay(FileKind::Special) => {}
                Verdict::InTheWay(kind) => {
                    incoming.push((&entry.path, *kind, *size));
                    plan.obstacles.push(Obstacle { path: entry.path.clone(), kind: entry.kind });
                    only.push((entry.path.clone(), entry.kind == FileKind::Folder));
                }
            }
        }
        incoming.extend(new.iter().map(|(path, kind, size)| (&**path, *kind, *size)));
        incoming.sort_unstable_by_key(|(path, ..)| *path);
        for (path, kind, size) in &incoming {
            plan.add(path, *kind, *size);
        }
        if comparing.deletes {
            plan.remove(only, &[]);
        }
        if comparing.diffs {
            let files = incoming.iter().filter(|(_, kind, _)| *kind == FileKind::File);
            let files = files.filter(|(path, ..)| !plan.is_blocked(path)).take(DIFFS_MAX);
            let paths: Vec<_> = files.map(|(path, ..)| *path).collect();
            let new = self.contents(&plan.remote, &paths).await?;
            let mut sides = Vec::new();
            for (path, new) in paths.iter().zip(new) {
                let here = local.join(path);
                let full = here.clone();
                let is_there = blocking(move || full.symlink_metadata().is_ok()).await;
                let old = read_short(here, Links::Refused).await.map_or(Content::Long, Content::Some);
                let old = if is_there { old } else { Content::None };
                sides.push((path.to_string_lossy().into_owned(), old, new));
            }
            plan.diff = Some(blocking(move || shown_all(sides)).await);
        }
        Ok(Some(plan))
    }

    async fn list(&self, root: PathBuf, excludes: &Excludes) -> Result<Vec<Entry>, Error> {
        let excludes = excludes.clone();
        let listed = blocking(move || list_tree(&root, &excludes)).await;
        listed.map_err(|(path, error)| self.local(&path, error))
    }

    /// Compares the entries of a local folder with those of the host. Also returns what else the
    /// host has.
    async fn verdicts(
        &self,
        comparing: &Comparing,
        sides: &Sides<'_>,
        entries: Vec<Entry>,
    ) -> Result<Verdicts, Error> {
        let trusts = comparing.trusts_times;
        let described: Vec<_> = entries.iter().map(|entry| described(entry, comparing)).collect();
        let remote = Bytes::new(sides.remote.as_os_str().as_bytes());
        let call = Call::new("chopsticks._compare:folder");
        let call = call.args((remote, described, sides.owner.clone(), sides.reach));
        // Both sides read at the same time. With times, it is known only later what has to be read.
        let root = sides.root.to_owned();
        let is_read = comparing.is_on() && !trusts;
        let digests = task::spawn_blocking(move || {
            let digests = digest_tree(&root, &entries, |_| is_read);
            (entries, digests)
        });
        let answer: Result<Listing, Error> = self.ask_with(call).await;
        let (entries, digests) = digests.await.unwrap_or_else(|error| {
            std::panic::resume_unwind(error.into_panic());
        });
        let digests = digests.map_err(|(path, error)| self.local(&path, error))?;
        let (remote, states, others) = answer?;
        if states.len() != entries.len() {
            return Err(self.no_listing("the host lists other files than those that it was asked for"));
        }
        let (entries, digests, states) = match comparing.is_on() && trusts {
            false => (entries, digests, states),
            true => {
                let root = sides.root.to_owned();
                let read = move || {
                    let is_wanted = |position: usize| matches!(&states[position], Some((2, .., content)) if content.len() == SHA1_LEN);
                    let digests = digest_tree(&root, &entries, is_wanted);
                    digests.map(|digests| (entries, digests, states))
                };
                blocking(read).await.map_err(|(path, error)| self.local(&path, error))?
            }
        };
        let verdicts = entries.iter().zip(&digests).zip(&states).map(|((entry, digest), state)| {
            let verdict = verdict(entry, digest.as_ref(), state, sides.keeps_modified && comparing.is_on());
            (verdict, state.as_ref().map_or(0, |state| state.1))
        });
        let verdicts = verdicts.collect();
        Ok((path_of(remote), entries, verdicts, others))
    }

    /// Checks the names that a host lists, and sets those aside that are excluded. Returns the others
    /// with their kinds and sizes.
    fn others(
        &self,
        others: Vec<(ByteBuf, u8, u64)>,
        excludes: &Excludes,
        excluded: &mut Vec<PathBuf>,
    ) -> Result<Vec<(PathBuf, FileKind, u64)>, Error> {
        let mut found = Vec::new();
        for (name, kind, size) in others {
            let path = path_of(name);
            let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
            if !is_plain || path.as_os_str().is_empty() {
                return Err(self.no_listing("the host lists names that lead out of the folder"));
            }
            let kind = kind_of(kind);
            if excluded.last().is_some_and(|outer| path.starts_with(outer)) {
                continue;
            }
            if excludes.matches(&path, kind == FileKind::Folder) {
                excluded.push(path);
            } else {
                found.push((path, kind, size));
            }
        }
        Ok(found)
    }

    /// Removes files of the host, and notes which of them have stayed.
    pub(super) async fn remove_remote(
        &self,
        root: &Path,
        removed: &mut Vec<(PathBuf, bool)>,
    ) -> Result<(), Error> {
        if removed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = removed
            .iter()
            .map(|(path, is_folder)| (Bytes::new(path.as_os_str().as_bytes()), is_folder))
            .collect();
        let args = (Bytes::new(root.as_os_str().as_bytes()), names);
        let stayed: Vec<usize> = self.ask("chopsticks._compare:remove", args).await?;
        forget(removed, &stayed);
        Ok(())
    }

    /// Reads short files of the host.
    async fn contents(&self, root: &Path, paths: &[&Path]) -> Result<Vec<Content>, Error> {
        let names: Vec<_> = paths.iter().map(|path| Bytes::new(path.as_os_str().as_bytes())).collect();
        let args = (Bytes::new(root.as_os_str().as_bytes()), names, DIFFERENCE_MAX, DIFFS_SIZE);
        let found: Vec<(bool, Option<ByteBuf>)> = self.ask("chopsticks._compare:contents", args).await?;
        if found.len() != paths.len() {
            return Err(self.no_listing("the host sends other files than those that it was asked for"));
        }
        let content = |(is_there, content): (bool, Option<ByteBuf>)| match content {
            Some(content) => Content::Some(content.into_vec()),
            None if is_there => Content::Long,
            None => Content::None,
        };
        Ok(found.into_iter().map(content).collect())
    }
}

impl Plan {
    /// Returns whether something of another kind is in the place of a path.
    fn is_blocked(&self, path: &Path) -> bool {
        self.obstacles.iter().any(|obstacle| obstacle.path == path)
    }

    /// Returns the absolute path on the host.
    pub(super) fn remote(&self) -> &Path {
        &self.remote
    }

    /// Returns the plan, and leaves an empty one.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Returns whether nothing has to be transferred.
    pub(super) fn sends_nothing(&self, comparing: &Comparing) -> bool {
        comparing.is_on() && self.changes.is_empty()
    }

    /// Returns whether nothing may be written.
    pub(super) fn is_dry(comparing: &Comparing) -> bool {
        comparing.compares == Compares::Only
    }
}

/// The two sides of a comparison.
struct Sides<'a> {
    root: &'a Path,
    remote: &'a Path,
    owner: &'a Option<String>,
    keeps_modified: bool,
    reach: u8,
}

/// The absolute path on the host, the local entries, how each compares and its size on the host, and
/// what else the host has.
type Verdicts = (PathBuf, Vec<Entry>, Vec<(Verdict, u64)>, Vec<(ByteBuf, u8, u64)>);

/// How an entry of a local folder compares with what the host has at its path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Absent,
    /// With the kind of what the host has.
    Differs(FileKind),
    /// Something of another kind, which a transfer does not replace.
    InTheWay(FileKind),
    Same,
}

fn verdict(entry: &Entry, digest: Option<&Summary>, state: &State, keeps_modified: bool) -> Verdict {
    let Some((kind, size, modified, _, has_owner, content)) = state else { return Verdict::Absent };
    let kind = kind_of(*kind);
    let replaces = |kind| matches!(kind, FileKind::File | FileKind::Link);
    let is_same = match (entry.kind, kind) {
        (FileKind::Folder, FileKind::Folder) | (FileKind::Special, FileKind::Special) => true,
        (FileKind::Link, FileKind::Link) => *has_owner && content[..] == *entry.link.as_os_str().as_bytes(),
        (FileKind::File, FileKind::File) => {
            let is_content_same = match digest {
                _ if content[..] == b"="[..] => true,
                Some(summary) => content[..] == summary.sha1 && summary.size == *size,
                None => false,
            };
            *has_owner && is_content_same && (!keeps_modified || is_near(*modified, entry.modified))
        }
        (here, there) if replaces(here) && replaces(there) => false,
        (_, there) => return Verdict::InTheWay(there),
    };
    if is_same { Verdict::Same } else { Verdict::Differs(kind) }
}

fn kind_of(kind: u8) -> FileKind {
    match kind {
        1 => FileKind::Folder,
        2 => FileKind::File,
        3 => FileKind::Link,
        _ => FileKind::Special,
    }
}

/// An entry as the host reads it: path, kind, size, and the time that makes its content
/// uninteresting.
type Described<'a> = (&'a Bytes, u8, i64, Option<i64>);

fn described<'a>(entry: &'a Entry, comparing: &Comparing) -> Described<'a> {
    let path = Bytes::new(entry.path.as_os_str().as_bytes());
    let kind = match entry.kind {
        FileKind::Folder => 1,
        FileKind::File => 2,
        FileKind::Link => 3,
        FileKind::Special => 4,
    };
    // No file has a size below 0, so no checksum is computed.
    let size = if comparing.is_on() { i64::try_from(entry.size).unwrap_or(i64::MAX) } else { -1 };
    (path, kind, size, Some(entry.modified).filter(|_| comparing.trusts_times))
}

/// The content of a file whose difference is shown.
#[derive(Debug)]
enum Content {
    Long,
    /// There is no file.
    None,
    Some(Vec<u8>),
}

impl Content {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Some(content) => Some(content),
            Self::Long | Self::None => None,
        }
    }
}

fn shown(name: &str, old: Content, new: Content) -> String {
    match (&old, &new) {
        (Content::Long, _) | (_, Content::Long) => {
            format!("Files a/{name} and b/{name} differ: too large, or not regular files\n")
        }
        _ => difference(name.trim_start_matches('/'), old.bytes(), new.bytes()),
    }
}

fn shown_all(sides: Vec<(String, Content, Content)>) -> String {
    let mut text = String::new();
    for (name, old, new) in sides {
        if text.len() > DIFFS_SIZE {
            text.push_str("The difference is too long: the rest is left out\n");
            break;
        }
        text.push_str(&shown(&name, old, new));
    }
    text
}

fn is_file(entries: &[Entry], path: &Path) -> bool {
    entries
        .binary_search_by(|entry| entry.path.as_path().cmp(path))
        .is_ok_and(|position| entries[position].kind == FileKind::File)
}

fn of_file(summary: &Summary, remote: PathBuf) -> Transferred {
    Transferred {
        local: None,
        remote,
        size: summary.size,
        sha1: summary.hex(),
        in_place: false,
        changed: true,
        diff: None,
        sent: 0,
    }
}

/// Returns whether two times are equal. Old Pythons and some file systems have microseconds.
fn is_near(left: i64, right: i64) -> bool {
    left.abs_diff(right) < 2000
}

/// Drops those at the given positions.
pub(super) fn forget(removed: &mut Vec<(PathBuf, bool)>, stayed: &[usize]) {
    let stayed: HashSet<usize> = stayed.iter().copied().collect();
    let mut position = 0;
    removed.retain(|_| {
        position += 1;
        !stayed.contains(&(position - 1))
    });
}

fn is_short(len: u64) -> bool {
    len <= DIFFERENCE_MAX
}

/// Reads a local file whose difference is shown.
async fn read_short(path: PathBuf, links: Links) -> Option<Vec<u8>> {
    blocking(move || {
        let metadata = match links {
            Links::Followed => path.metadata().ok()?,
            Links::Refused => path.symlink_metadata().ok()?,
        };
        if !metadata.is_file() {
            return None;
        }
        let mut content = Vec::new();
        let read = File::open(&path).ok()?.take(DIFFERENCE_MAX + 1).read_to_end(&mut content);
        read.ok().filter(|_| is_short(content.len() as u64))?;
        Some(content)
    })
    .await
}

/// Whether a link leads to the file that is read.
#[derive(Clone, Copy, Debug)]
enum Links {
    Followed,
    Refused,
}

fn path_of(path: ByteBuf) -> PathBuf {
    PathBuf::from(OsString::from_vec(path.into_vec()))
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// How far a host searches a folder for what is not here: not at all, up to what is mounted there,
/// or everywhere.
const NO_SEARCH: u8 = 0;
const WITHIN_DEVICE: u8 = 1;
const EVERYWHERE: u8 = 2;
const SHA1_LEN: usize = 20;
/// How many files a difference shows.
const DIFFS_MAX: usize = 500;
/// The size of all contents that a difference compares, and of its text, in bytes.
const DIFFS_SIZE: usize = 8 << 20;
