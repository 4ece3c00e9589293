//! Files and folders that are only sent when they differ.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use chopsticks::{ErrorKind, Fetch, Put};
use chopsticks_e2e::{newest_and_oldest, tunnel};
use chopsticks_support::Scratch;

#[tokio::test]
async fn equal_file_is_not_written_again() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let (from, to) = (scratch.path().join("a.conf"), scratch.path().join("to"));
        fs::write(&from, "one").unwrap();
        fs::create_dir(&to).unwrap();
        let tunnel = tunnel(interpreter);
        let put = || Put::new(&from).to(&to).if_changed();

        let first = tunnel.put_with(put()).await.unwrap();
        assert_eq!((first.changed, &first.remote), (true, &to.join("a.conf")));
        let node = || fs::metadata(to.join("a.conf")).unwrap().ino();
        let before = node();
        let again = tunnel.put_with(put()).await.unwrap();
        assert_eq!((again.changed, &again.remote, again.size), (false, &first.remote, 3));
        assert_eq!((again.sha1, node()), (first.sha1, before), "{interpreter:?}");

        // The size is the same, and the content differs.
        fs::write(to.join("a.conf"), "two").unwrap();
        let dry = tunnel.put_with(put().dry_run()).await.unwrap();
        assert_eq!((dry.changed, fs::read_to_string(to.join("a.conf")).unwrap()), (true, "two".to_owned()));
        assert!(tunnel.put_with(put()).await.unwrap().changed);
        assert_eq!(fs::read_to_string(to.join("a.conf")).unwrap(), "one");

        let bytes = || Put::bytes("one").to(to.join("a.conf")).if_changed();
        assert!(!tunnel.put_with(bytes()).await.unwrap().changed);
        // What else is asked for is compared, too.
        assert!(tunnel.put_with(bytes().mode(0o604)).await.unwrap().changed);
        assert!(!tunnel.put_with(bytes().mode(0o604)).await.unwrap().changed);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert!(tunnel.put_with(bytes().modified(time)).await.unwrap().changed);
        assert!(!tunnel.put_with(bytes().modified(time)).await.unwrap().changed);
        let owner = format!("{}:{}", fs::metadata(&to).unwrap().uid(), fs::metadata(&to).unwrap().gid());
        assert!(!tunnel.put_with(bytes().owner(owner)).await.unwrap().changed);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn only_what_differs_in_a_folder_is_sent() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        for file in ["from/a", "from/sub/b", "from/sub/c", "from/sub.d"] {
            scratch.write(file, file);
        }
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        symlink("a", from.join("link")).unwrap();
        fs::create_dir(from.join("empty")).unwrap();
        let tunnel = tunnel(interpreter);
        let put = || Put::new(&from).to(&to).if_changed();

        let dry = tunnel.put_dir_with(put().dry_run()).await.unwrap();
        assert_eq!((dry.changed, dry.files, dry.links, dry.folders, dry.unchanged), (true, 4, 1, 3, 0));
        assert!(!to.exists());
        let first = tunnel.put_dir_with(put()).await.unwrap();
        assert_eq!((first.changed, first.files, first.links, first.unchanged), (true, 4, 1, 0));
        assert_eq!(first.changes[0], PathBuf::new());
        let again = tunnel.put_dir_with(put()).await.unwrap();
        assert_eq!((again.changed, again.files, again.unchanged, again.size), (false, 0, 5, 0));
        assert_eq!((&again.remote, again.changes.len()), (&to, 0), "{interpreter:?}");

        fs::write(to.join("sub/b"), "FROM/SUB/B").unwrap();
        fs::remove_file(to.join("link")).unwrap();
        symlink("b", to.join("link")).unwrap();
        fs::remove_dir(to.join("empty")).unwrap();
        let kept = fs::metadata(to.join("sub/c")).unwrap().ino();
        let last = tunnel.put_dir_with(put()).await.unwrap();
        let changes: Vec<_> = last.changes.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(changes, ["empty", "link", "sub/b"]);
        assert_eq!((last.files, last.links, last.unchanged, last.size), (1, 1, 3, 10));
        assert_eq!(fs::read_to_string(to.join("sub/b")).unwrap(), "from/sub/b");
        assert_eq!(fs::metadata(to.join("sub/c")).unwrap().ino(), kept);
        assert!(to.join("empty").is_dir());
        assert_eq!(fs::read_link(to.join("link")).unwrap().to_str(), Some("a"));

        // With times, those are compared as well.
        assert!(tunnel.put_dir_with(put().keep_modified()).await.unwrap().changed);
        assert!(!tunnel.put_dir_with(put().keep_modified()).await.unwrap().changed);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn dry_run_fails_where_the_transfer_would() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        for (folder, file) in [("from", "a"), ("there/a", "x"), ("from/sub", "b")] {
            scratch.write(format!("{folder}/{file}"), folder);
        }
        let at = |path: &str| scratch.path().join(path);
        let tunnel = tunnel(interpreter);
        let dry = |to: &str| Put::new(at("from/a")).to(at(to)).dry_run();
        for (put, fails) in [
            (dry("there"), true),
            (dry("there/x"), false),
            (dry("there/a/x/"), true),
            (dry("from/a/x"), true),
            (dry("no/x"), true),
            (dry("no/x").parents(), false),
            (dry("no/"), true),
            (dry("no/").parents(), false),
            (dry("from/a/no/x").parents(), true),
            (dry("there/a/x").no_overwrite(), true),
            (Put::bytes("x").to(at("there")).dry_run(), true),
            (Put::bytes("x").to("~no-such-user/x").dry_run(), true),
        ] {
            let text = format!("{interpreter:?}: {put:?}");
            let done = tunnel.put_with(put).await;
            assert_eq!(done.is_err(), fails, "{text}: {done:?}");
        }
        for (to, parents, fails) in
            [("from/a", false, true), ("no/x", false, true), ("no/x", true, false), ("there", false, false)]
        {
            let put = Put::new(at("from")).to(at(to)).dry_run();
            let put = if parents { put.parents() } else { put };
            assert_eq!(tunnel.put_dir_with(put).await.is_err(), fails, "{interpreter:?}: {to}");
            let fetch = Fetch::new(at("from/a")).to(at(to)).dry_run();
            let fetch = if parents { fetch.parents() } else { fetch };
            let fails = fails && to != "from/a" || to == "there";
            assert_eq!(tunnel.fetch_with(fetch).await.is_err(), fails, "{interpreter:?}: {to}");
        }
        assert!(!at("no").exists());
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_compared_is_told_or_sent() {
    let interpreter = newest_and_oldest().remove(0);
    let scratch = Scratch::new();
    let tunnel = tunnel(interpreter);
    let to = scratch.path().join("to");
    let error = tunnel.put_with(Put::reader(&b"x"[..]).to(&to).if_changed()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::File { .. }) && error.to_string().contains("cannot be compared")
    );
    assert!(!to.exists());
    let error = tunnel.put_with(Put::new("/nonexistent").to(&to).if_changed()).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent"), "{error}");
    // A new temporary file is like no other.
    let temporary = tunnel.put_with(Put::bytes("x").if_changed()).await.unwrap();
    assert!(temporary.changed);
    fs::remove_file(temporary.remote).unwrap();
    // A folder in the way of a file is the error of the transfer.
    scratch.write("from/a", "x");
    fs::create_dir_all(to.join("a")).unwrap();
    let put = Put::new(scratch.path().join("from")).to(&to).if_changed();
    assert!(tunnel.put_dir_with(put).await.is_err());
    // One that cannot be read is written, if that is possible.
    let hidden = scratch.path().join("hidden");
    fs::write(&hidden, "x").unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o200)).unwrap();
    let put = tunnel.put_with(Put::bytes("y").to(&hidden).if_changed()).await.unwrap();
    assert!(put.changed);
    tunnel.close().await.unwrap();
}
