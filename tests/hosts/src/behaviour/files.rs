//! What transfers do, whatever driver is behind them: each under the place's own Python and under a 2.7.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, Cursor, Read as _};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use chopsticks::{Error, ErrorKind, Fetch, Put, Side};
use chopsticks_support::Scratch;
use serde_bytes::ByteBuf;
use tokio::io::{AsyncRead, ReadBuf};

use super::Subject;
use crate::place::Place;

/// Runs a test under the interpreter that the driver takes by itself, and under a Python 2.7.
async fn under_both(place: Place, test: impl AsyncFn(&Subject)) {
    let subject = Subject::new(place, |_| ());
    assert_eq!(subject.connect().await.python.map(|(major, ..)| major), Some(3));
    test(&subject).await;
    let (place, python) = subject.close().await.with_python2();
    let subject = Subject::new(place, |setup| setup.python = Some(python));
    assert_eq!(subject.connect().await.python.map(|(major, ..)| major), Some(2));
    test(&subject).await;
    subject.close().await;
}

impl Subject {
    /// Makes a folder there.
    async fn folder(&self) -> String {
        self.call("tempfile:mkdtemp", ()).await
    }

    async fn remove(&self, folder: &str) {
        self.call::<()>("far:remove", (folder,)).await;
    }

    /// Everything in a folder there, by name.
    async fn names(&self, folder: &str) -> Vec<OsString> {
        let names: Vec<ByteBuf> = self.call("far:names", (folder,)).await;
        let mut names: Vec<_> = names.into_iter().map(|name| OsString::from_vec(name.into_vec())).collect();
        names.sort();
        names
    }

    /// The content of a file there.
    async fn content(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let mut content = Vec::new();
        done(self.tunnel.fetch_with(Fetch::new(path.as_ref()).writer(&mut content)).await);
        content
    }
}

fn done<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// The side, the path and the reason of a failed transfer.
fn failure<T>(result: Result<T, Error>) -> (Side, PathBuf, io::ErrorKind) {
    let error = result.err().expect("the transfer fails");
    match error.kind() {
        ErrorKind::File { side, path, source } => (*side, path.clone(), source.kind()),
        _ => panic!("{}", error.report()),
    }
}

fn noise(len: u32) -> Vec<u8> {
    (0..len).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Names that shells, terminals and codecs trip over.
fn awkward_names() -> [OsString; 7] {
    let names: [&[u8]; 7] = [
        b"with space",
        b"it's \"quoted\" $HOME `x` \\",
        b"new\nline\ttab\x1b[31m",
        "Überblick-日本".as_bytes(),
        b"not utf-8 \xff\xfe\xe9",
        b"-rf",
        // A few file systems of containers take a few bytes less than 255.
        &[b'n'; 240],
    ];
    names.map(|name| OsString::from_vec(name.to_vec()))
}

/// To a temporary file, and to one with mode and time, and back.
pub async fn files_go_there_and_back(place: Place) {
    under_both(place, async |subject| {
        let content = noise(3_000_000);
        let put = done(subject.tunnel.put_with(Put::bytes(content.clone())).await);
        assert!(put.remote.is_absolute() && put.size == 3_000_000, "{put:?}");
        let mut back = Vec::new();
        let fetched = done(subject.tunnel.fetch_with(Fetch::new(&put.remote).writer(&mut back)).await);
        assert_eq!(fetched.sha1, put.sha1);
        assert!(back == content, "other bytes came back");
        subject.call::<()>("os:unlink", (put.remote.to_str(),)).await;

        let (scratch, folder) = (Scratch::new(), subject.folder().await);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        for name in awkward_names() {
            let (there, here) = (Path::new(&folder).join(&name), scratch.path().join(&name));
            let bytes = name.as_encoded_bytes().to_vec();
            // The second time it replaces.
            for mode in [0o600, 0o751] {
                done(
                    subject
                        .tunnel
                        .put_with(Put::bytes(bytes.clone()).to(&there).mode(mode).modified(time))
                        .await,
                );
            }
            done(subject.tunnel.fetch_with(Fetch::new(&there).to(&here).keep_mode().keep_modified()).await);
            assert_eq!(fs::read(&here).expect("it came back"), bytes);
            let metadata = fs::metadata(&here).expect("it came back");
            assert_eq!(metadata.permissions().mode() & 0o7777, 0o751);
            assert_eq!(metadata.modified().expect("it has a time"), time);
        }
        let mut expected = awkward_names();
        expected.sort();
        assert_eq!(subject.names(&folder).await, expected);
        subject.remove(&folder).await;
    })
    .await;
}

/// With folders in them, empty ones, links, modes, and names that are awkward at every level.
pub async fn folders_go_there_and_back_whatever_the_names(place: Place) {
    under_both(place, async |subject| {
        let scratch = Scratch::new();
        let tree = scratch.create_folder("tree");
        for name in awkward_names() {
            let inner = tree.join(&name);
            fs::create_dir(&inner).expect("a scratch folder is writable");
            for name in awkward_names() {
                fs::write(inner.join(&name), name.as_encoded_bytes()).expect("a scratch folder is writable");
            }
            fs::set_permissions(inner.join("-rf"), Permissions::from_mode(0o740)).expect("it is ours");
        }
        scratch.create_folder("tree/empty");
        symlink("nowhere 'at all'", tree.join("link")).expect("a scratch folder is writable");

        let folder = subject.folder().await;
        let there = format!("{folder}/tree");
        let put = done(subject.tunnel.put_dir(&tree, &there).await);
        assert_eq!((put.files, put.folders, put.links, put.left_out), (49, 9, 1, 0), "{put:?}");
        let back = scratch.path().join("back");
        let fetched = done(subject.tunnel.fetch_dir(&there, &back).await);
        assert_eq!((fetched.files, fetched.folders, fetched.links), (49, 9, 1), "{fetched:?}");
        for outer in awkward_names() {
            for name in awkward_names() {
                let content = fs::read(back.join(&outer).join(&name)).expect("it came back");
                assert_eq!(content, name.as_encoded_bytes());
            }
            let metadata = fs::metadata(back.join(&outer).join("-rf")).expect("it came back");
            assert_eq!(metadata.permissions().mode() & 0o7777, 0o740);
        }
        assert!(back.join("empty").is_dir());
        assert_eq!(fs::read_link(back.join("link")).expect("it came back"), Path::new("nowhere 'at all'"));
        subject.remove(&folder).await;
    })
    .await;
}

/// What is missing or in the way, at either end, a source that breaks off, and a transfer that is dropped.
pub async fn failed_transfer_leaves_what_was_there(place: Place) {
    under_both(place, async |subject| {
        let (scratch, folder) = (Scratch::new(), subject.folder().await);
        let (kept, tunnel) = (scratch.write("kept", "kept"), &subject.tunnel);
        let (target, missing) = (Path::new(&folder).join("target"), Path::new(&folder).join("none"));
        done(tunnel.put_with(Put::bytes("old").to(&target)).await);

        let expected = |path: &Path, kind| (Side::Remote, path.to_owned(), kind);
        let absent = io::ErrorKind::NotFound;
        assert_eq!(failure(tunnel.fetch(&missing, &kept).await), expected(&missing, absent));
        let nowhere = missing.join("x");
        assert_eq!(failure(tunnel.put(&kept, &nowhere).await), expected(&nowhere, absent));
        let in_the_way = failure(tunnel.put_with(Put::bytes("x").to(&folder)).await);
        assert_eq!(in_the_way, expected(Path::new(&folder), io::ErrorKind::IsADirectory));
        let there = failure(tunnel.put_with(Put::new(&kept).to(&target).no_overwrite()).await);
        assert_eq!(there, expected(&target, io::ErrorKind::AlreadyExists));
        assert_eq!(failure(tunnel.put(scratch.path().join("none"), &target).await).0, Side::Local);

        let broken = Broken(Cursor::new(noise(2_000_000)));
        assert_eq!(failure(tunnel.put_with(Put::reader(broken).to(&target)).await).0, Side::Local);
        let (never, _open) = tokio::io::duplex(64);
        let late = Put::reader(never).to(&target).timeout(Duration::from_millis(300));
        assert!(tunnel.put_with(late).await.expect_err("nothing comes").is_timeout());

        assert_eq!(subject.content(&target).await, b"old");
        assert_eq!(subject.names(&folder).await, ["target"]);
        assert_eq!(fs::read(&kept).expect("it is there"), b"kept");
        assert_eq!(fs::read_dir(scratch.path()).expect("it is there").count(), 1);
        subject.remove(&folder).await;
    })
    .await;
}

/// In the middle of a transfer, in both directions.
pub async fn killed_agent_leaves_what_was_there(place: Place) {
    under_both(place, async |subject| {
        let (scratch, folder) = (Scratch::new(), subject.folder().await);
        let (source, kept) = (scratch.write("source", noise(2_000_000)), scratch.write("kept", "kept"));
        let (big, target) = (Path::new(&folder).join("big"), Path::new(&folder).join("target"));
        done(subject.tunnel.put(&source, &big).await);
        done(subject.tunnel.put_with(Put::bytes("old").to(&target)).await);
        // Slow enough that the agent is killed in time on any machine.
        let slow = NonZeroU64::new(50_000).expect("it is not 0");

        let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let tell = |_| {
            let _ = began.send(());
        };
        let fetch = subject.tunnel.fetch_with(Fetch::new(&big).to(&kept).limit(slow).on_progress(tell));
        let die = async {
            begun.recv().await;
            drop(subject.tunnel.call::<()>("far:die", (9,)).await);
        };
        let error = tokio::join!(fetch, die).0.expect_err("the agent is killed");
        assert!(error.is_disconnected(), "{}", error.report());
        assert_eq!(fs::read(&kept).expect("it is there"), b"kept");
        assert_eq!(fs::read_dir(scratch.path()).expect("it is there").count(), 2);

        // Some places go with their agent, and what was in them.
        let is_kept = subject.call::<bool>("os.path:exists", (&folder,)).await;
        assert!(is_kept || subject.place.may_end_with_agent());
        if is_kept {
            while begun.try_recv().is_ok() {}
            let tell = |_| {
                let _ = began.send(());
            };
            let put = subject.tunnel.put_with(Put::new(&source).to(&target).limit(slow).on_progress(tell));
            let die = async {
                begun.recv().await;
                drop(subject.tunnel.call::<()>("far:die", (9,)).await);
            };
            let error = tokio::join!(put, die).0.expect_err("the agent is killed");
            assert!(error.is_disconnected(), "{}", error.report());
            if !subject.call::<bool>("os.path:exists", (&folder,)).await {
                assert!(subject.place.may_end_with_agent());
                return;
            }
            assert_eq!(subject.content(&target).await, b"old");
            let mut names = subject.names(&folder).await;
            if !subject.call::<bool>("far:has_nameless", (&folder,)).await {
                // There the file has a name while it is written, which SIGKILL leaves.
                names.retain(|name| {
                    !(name.as_encoded_bytes().starts_with(b".chopsticks-") && name.len() == 28)
                });
            }
            assert_eq!(names, ["big", "target"]);
            subject.remove(&folder).await;
        }
    })
    .await;
}

/// Yields some bytes, and then breaks off.
struct Broken(Cursor<Vec<u8>>);

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.0.read(buffer.initialize_unfilled())?;
        buffer.advance(len);
        Poll::Ready(if len > 0 { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) })
    }
}
