//! Transfers that compare: an agent in Rust answers as one in Python does.

use std::{
    fmt::Debug,
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use chopsticks::{Agent, Error, Excludes, Fetch, Local, Put, Tunnel};
use chopsticks_support::{Scratch, python3};

use super::{config, listed, tunnel, without_python};

/// What happened, without what differs between two runs.
#[derive(Debug, Default, Eq, PartialEq)]
struct Log(Vec<String>);

impl Log {
    fn add(&mut self, scratch: &Scratch, what: &str, done: Result<impl Debug, Error>) {
        let text = match done {
            Ok(done) => format!("{done:?}"),
            // Texts of Rust begin with a small letter.
            Err(error) => error
                .report()
                .to_string()
                .replace("Its folder", "its folder")
                .replace("The folder", "the folder")
                .replace("no user no-such-user", "no such user"),
        };
        let text = text.replace(scratch.path().to_str().unwrap(), "SCRATCH");
        self.0.push(format!("{what}: {text}"));
    }

    /// Adds what is in a folder.
    fn add_folder(&mut self, root: &Path) {
        self.0.push(format!("{:?}", listed(root)));
    }
}

fn python() -> Tunnel {
    Tunnel::with_config(Local::new().python(python3().path()), config(Agent::Python))
}

async fn files(tunnel: &Tunnel) -> Log {
    let (scratch, mut log) = (Scratch::new(), Log::default());
    let at = |path: &str| scratch.path().join(path);
    scratch.write("a.conf", "one");
    fs::create_dir(at("to")).unwrap();
    let put = || Put::new(at("a.conf")).to(at("to")).if_changed();
    log.add(&scratch, "dry", tunnel.put_with(put().dry_run()).await);
    log.add(&scratch, "new", tunnel.put_with(put()).await);
    let node = || fs::metadata(at("to/a.conf")).unwrap().ino();
    let before = node();
    let same = tunnel.put_with(put()).await;
    assert!(same.as_ref().is_ok_and(|same| !same.changed) && node() == before, "{same:?}");
    log.add(&scratch, "same", same);
    scratch.write("to/a.conf", "two");
    log.add(&scratch, "diff", tunnel.put_with(put().diff().dry_run()).await);
    log.add(&scratch, "other", tunnel.put_with(put()).await);
    let bytes = || Put::bytes("one").to(at("to/a.conf")).if_changed();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let owner = |of: &fs::Metadata| format!("{}:{}", of.uid(), of.gid());
    let owner = owner(&fs::metadata(at("to")).unwrap());
    for put in [
        || Put::bytes("one"),
        || Put::bytes("one").mode(0o604),
        || Put::bytes("one").mode(0o604),
        || Put::bytes("three"),
        || Put::bytes(""),
    ] {
        log.add(&scratch, "bytes", tunnel.put_with(put().to(at("to/a.conf")).if_changed()).await);
    }
    for _ in 0..2 {
        log.add(&scratch, "time", tunnel.put_with(bytes().modified(time)).await);
        log.add(&scratch, "owner", tunnel.put_with(bytes().owner(&owner)).await);
    }
    log.add(&scratch, "no owner", tunnel.put_with(bytes().owner("no-such-user").dry_run()).await);
    // What has no size is read all the same.
    log.add(
        &scratch,
        "proc",
        tunnel.put_with(Put::bytes("").to("/proc/version").if_changed().dry_run()).await,
    );
    log.add(&scratch, "missing", tunnel.put_with(Put::bytes("x").to(at("no/x")).if_changed()).await);

    let fetch = || Fetch::new(at("to/a.conf")).to(at("back")).if_changed();
    for _ in 0..2 {
        log.add(&scratch, "fetch", tunnel.fetch_with(fetch()).await);
    }
    scratch.write("back", "two");
    log.add(&scratch, "fetch", tunnel.fetch_with(fetch().diff()).await);
    log.add_folder(&at("to"));
    log
}

async fn rehearsals(tunnel: &Tunnel) -> Log {
    let (scratch, mut log) = (Scratch::new(), Log::default());
    for (folder, file) in [("from", "a"), ("there/a", "x"), ("from/sub", "b")] {
        scratch.write(format!("{folder}/{file}"), folder);
    }
    symlink("nowhere", scratch.path().join("dangling")).unwrap();
    symlink("no/nowhere", scratch.path().join("far")).unwrap();
    let at = |path: &str| scratch.path().join(path);
    for to in [
        "there",
        "there/",
        "there/x",
        "there/a/x",
        "there/a/x/",
        "from/a/x",
        "no/x",
        "no/",
        "from/a/no/x",
        "dangling",
        "far",
        "there/.",
        "there/../no",
    ] {
        for parents in [false, true] {
            for overwrites in [false, true] {
                let with = |put: Put<'static>| {
                    let put = if parents { put.parents() } else { put };
                    if overwrites { put } else { put.no_overwrite() }
                };
                let what = format!("{to} {parents} {overwrites}");
                let file = with(Put::new(at("from/a")).to(at(to)).dry_run());
                log.add(&scratch, &what, tunnel.put_with(file).await);
                let bytes = with(Put::bytes("x").to(at(to)).dry_run());
                log.add(&scratch, &what, tunnel.put_with(bytes).await);
                let folder = with(Put::new(at("from")).to(at(to)).dry_run());
                log.add(&scratch, &what, tunnel.put_dir_with(folder).await);
            }
        }
    }
    log.add(&scratch, "user", tunnel.put_with(Put::bytes("x").to("~no-such-user/x").dry_run()).await);
    log.add(&scratch, "home", tunnel.put_with(Put::bytes("x").to("~/no-such-file-here").dry_run()).await);
    assert!(!at("no").exists());
    log
}

async fn folders(tunnel: &Tunnel) -> Log {
    let (scratch, mut log) = (Scratch::new(), Log::default());
    let at = |path: &str| scratch.path().join(path);
    for file in ["from/a", "from/sub/b", "from/new/c", "from/folder/inner", "from/file", "from/sub.d"] {
        scratch.write(file, file);
    }
    symlink("a", at("from/link")).unwrap();
    symlink("a", at("from/same")).unwrap();
    scratch.write("to/a", "from/a");
    for file in ["to/old", "to/gone/deep/x", "to/gone/y", "to/sub/keep.log", "to/cache/z", "to/file/deep/x"] {
        scratch.write(file, "old");
    }
    scratch.write("to/folder", "a file");
    scratch.write("to/sub/b", "FROM/SUB/B");
    scratch.write("outside/file", "outside");
    symlink("../outside", at("to/link")).unwrap();
    symlink("a", at("to/same")).unwrap();
    symlink("to", at("to.link")).unwrap();
    let excludes = || Excludes::new(["*.log", "cache/"]).unwrap();
    let put = |to: &str| Put::new(at("from")).to(at(to)).if_changed().exclude(excludes());
    log.add(&scratch, "nothing there", tunnel.put_dir_with(put("nowhere").delete().dry_run()).await);
    log.add(&scratch, "dry", tunnel.put_dir_with(put("to").dry_run().diff()).await);
    log.add(&scratch, "dry", tunnel.put_dir_with(put("to/").delete().dry_run()).await);
    log.add(&scratch, "in the way", tunnel.put_dir_with(put("to")).await);
    log.add(&scratch, "put", tunnel.put_dir_with(put("to.link").delete().keep_modified().diff()).await);
    assert_eq!(fs::read(at("outside/file")).unwrap(), b"outside");
    assert!(at("to/sub/keep.log").exists() && at("to/cache/z").exists() && !at("to/gone").exists());
    log.add_folder(&at("to"));
    let again = tunnel.put_dir_with(put("to").delete().trust_times()).await;
    assert!(again.as_ref().is_ok_and(|again| !again.changed && again.unchanged == 8), "{again:?}");
    log.add(&scratch, "again", again);
    log.add(&scratch, "owner", tunnel.put_dir_with(put("to").owner("12345").dry_run()).await);

    scratch.write("to/b", "more");
    let fetch = |to: &str| Fetch::new(at("to")).to(at(to)).if_changed().delete().exclude(excludes());
    log.add(&scratch, "fetch", tunnel.fetch_dir_with(fetch("from").diff()).await);
    log.add(&scratch, "fetch", tunnel.fetch_dir_with(fetch("from")).await);
    log.add(&scratch, "fetch", tunnel.fetch_dir_with(Fetch::new(at("no")).to(at("x")).if_changed()).await);
    log.add_folder(&at("from"));
    for to in ["/", "/etc", "/usr/../usr/bin"] {
        for dry in [true, false] {
            let put = Put::new(at("outside")).to(to).delete();
            let refused = tunnel.put_dir_with(if dry { put.dry_run() } else { put }).await;
            assert!(refused.is_err());
            log.add(&scratch, to, refused);
        }
    }
    log
}

/// Asserts the entries one by one, so that a failure shows one line.
fn assert_equal(native: &Log, python: &Log) {
    for (native, python) in native.0.iter().zip(&python.0) {
        assert_eq!(native, python);
    }
    assert_eq!(native.0.len(), python.0.len());
}

#[tokio::test]
async fn files_are_compared_as_by_python() {
    assert_equal(&files(&tunnel()).await, &files(&python()).await);
}

#[tokio::test]
async fn refusals_of_transfers_are_found_as_by_python() {
    assert_equal(&rehearsals(&tunnel()).await, &rehearsals(&python()).await);
}

#[tokio::test]
async fn folders_are_compared_and_made_equal_as_by_python() {
    assert_equal(&folders(&tunnel()).await, &folders(&python()).await);
}

#[tokio::test]
async fn hosts_without_python_compare_too() -> Result<(), Error> {
    let (scratch, tunnel) = (Scratch::new(), without_python());
    scratch.write("a", "a");
    let put = || Put::new(scratch.path().join("a")).to(scratch.path().join("b")).if_changed();
    assert!(tunnel.put_with(put()).await?.changed);
    assert!(!tunnel.put_with(put()).await?.changed);
    tunnel.close().await
}
