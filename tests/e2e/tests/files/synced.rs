//! Folders that become equal: what is superfluous is deleted, what is excluded stays, and differences are shown.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use chopsticks::{ErrorKind, Excludes, Fetch, FileKind, Local, Put, Side, Tunnel};
use chopsticks_e2e::{newest_and_oldest, quiet, script, tunnel};
use chopsticks_support::{Scratch, newest};

use crate::{SLOW, failure, names, noise, once};

fn paths(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().expect("it is text")).collect()
}

/// A source, and a target with other and older things.
fn sides(scratch: &Scratch) -> (PathBuf, PathBuf) {
    for file in ["from/a", "from/sub/b", "from/new/c"] {
        scratch.write(file, file);
    }
    scratch.write("to/a", "from/a");
    for file in ["to/old", "to/gone/deep/x", "to/gone/y", "to/sub/keep.log", "to/cache/z"] {
        scratch.write(file, "old");
    }
    scratch.write("outside/file", "outside");
    symlink("../outside", scratch.path().join("to/link")).expect("nothing is there");
    (scratch.path().join("from"), scratch.path().join("to"))
}

fn excludes() -> Excludes {
    Excludes::new(["*.log", "cache/"]).expect("they are patterns")
}

const DELETED: [&str; 6] = ["gone", "gone/deep", "gone/deep/x", "gone/y", "link", "old"];

fn check_deleted(scratch: &Scratch, to: &Path) {
    let left: Vec<_> = names(to).iter().map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(left, ["a", "cache", "new", "sub"]);
    assert!(to.join("sub/keep.log").exists() && to.join("cache/z").exists());
    let outside = fs::read(scratch.path().join("outside/file"));
    assert_eq!(outside.expect("it is there"), b"outside");
}

#[tokio::test]
async fn put_deletes_what_the_source_does_not_have_and_nothing_else() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let (from, to) = sides(&scratch);
        let tunnel = tunnel(interpreter);
        let put = || Put::new(&from).to(&to).if_changed().delete().exclude(excludes());

        let dry = tunnel.put_dir_with(put().dry_run()).await.unwrap();
        assert_eq!(paths(&dry.deleted), DELETED, "{interpreter:?}");
        assert_eq!(paths(&dry.changes), ["new", "new/c", "sub/b"]);
        assert!(to.join("gone/deep/x").exists() && !to.join("new").exists());
        let done = tunnel.put_dir_with(put()).await.unwrap();
        assert_eq!((paths(&done.deleted), paths(&done.changes)), (DELETED.to_vec(), paths(&dry.changes)));
        assert_eq!((done.changed, done.files, done.unchanged), (true, 2, 1));
        check_deleted(&scratch, &to);
        let again = tunnel.put_dir_with(put()).await.unwrap();
        assert_eq!((again.changed, again.deleted.len(), again.unchanged), (false, 0, 3));
        // Without a comparison everything is sent, and the same is deleted.
        fs::write(to.join("old"), "old").unwrap();
        let all = tunnel.put_dir_with(Put::new(&from).to(&to).delete().exclude(excludes())).await.unwrap();
        assert_eq!((paths(&all.deleted), all.files, all.unchanged), (vec!["old"], 3, 0));
        check_deleted(&scratch, &to);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn fetch_compares_deletes_and_excludes_as_put_does() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let (from, to) = sides(&scratch);
        scratch.write("from/noise.log", "not fetched");
        scratch.write("from/sub/cache/x", "not fetched");
        let tunnel = tunnel(interpreter);
        let fetch = || Fetch::new(&from).to(&to).if_changed().delete().exclude(excludes());

        let dry = tunnel.fetch_dir_with(fetch().dry_run()).await.unwrap();
        assert_eq!(
            (paths(&dry.deleted), paths(&dry.changes)),
            (DELETED.to_vec(), vec!["new", "new/c", "sub/b"])
        );
        assert_eq!((dry.files, dry.folders, dry.size, dry.unchanged), (2, 1, 20, 1), "{interpreter:?}");
        assert!(to.join("gone/deep/x").exists() && !to.join("new").exists());
        let kept = fs::metadata(to.join("a")).unwrap().ino();
        let done = tunnel.fetch_dir_with(fetch()).await.unwrap();
        assert_eq!((paths(&done.deleted), done.files, done.unchanged), (DELETED.to_vec(), 2, 1));
        assert_eq!(fs::metadata(to.join("a")).unwrap().ino(), kept);
        assert_eq!(fs::read(to.join("new/c")).unwrap(), b"from/new/c");
        check_deleted(&scratch, &to);
        assert!(!to.join("sub/cache").exists());
        let again = tunnel.fetch_dir_with(fetch()).await.unwrap();
        assert_eq!((again.changed, again.files, again.unchanged), (false, 0, 3));
        // Into a folder that does not exist yet.
        let new = scratch.path().join("new");
        let first = tunnel.fetch_dir_with(Fetch::new(&from).to(&new).exclude(excludes())).await.unwrap();
        assert_eq!((first.files, first.changed), (3, true));
        assert!(!new.join("noise.log").exists() && new.join("sub/b").exists());

        // One file.
        let (source, target) = (from.join("a"), scratch.path().join("one"));
        let fetch = || Fetch::new(&source).to(&target).if_changed();
        assert!(tunnel.fetch_with(fetch().dry_run()).await.unwrap().changed && !target.exists());
        assert!(tunnel.fetch_with(fetch()).await.unwrap().changed);
        let same = tunnel.fetch_with(fetch()).await.unwrap();
        assert_eq!((same.changed, same.sent, same.size), (false, 0, 6));
        fs::write(&target, "FROM/A").unwrap();
        assert!(tunnel.fetch_with(fetch()).await.unwrap().changed);
        let error = tunnel.fetch_with(Fetch::new(&source).if_changed()).await.unwrap_err();
        assert_eq!(failure(&error).0, Side::Local);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_of_another_kind_is_replaced_only_with_delete() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        scratch.write("from/file", "file");
        scratch.write("from/folder/inner", "inner");
        scratch.write("to/file/deep/x", "x");
        scratch.write("to/folder", "a file");
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        let tunnel = tunnel(interpreter);
        let put = || Put::new(&from).to(&to).if_changed();

        let dry = tunnel.put_dir_with(put().dry_run()).await.unwrap();
        let kinds: Vec<_> = dry.obstacles.iter().map(|it| (it.path.to_str().unwrap(), it.kind)).collect();
        assert_eq!(kinds, [("file", FileKind::Folder), ("folder", FileKind::File)]);
        assert_eq!(dry.deleted.len(), 0);
        assert!(tunnel.put_dir_with(put()).await.is_err());
        assert!(to.join("file/deep/x").exists() && to.join("folder").is_file());
        let done = tunnel.put_dir_with(put().delete()).await.unwrap();
        assert_eq!(paths(&done.deleted), ["file", "file/deep", "file/deep/x", "folder"], "{interpreter:?}");
        assert_eq!(fs::read(to.join("file")).unwrap(), b"file");
        assert_eq!(fs::read(to.join("folder/inner")).unwrap(), b"inner");

        // The other way round.
        let back = scratch.path().join("back");
        scratch.write("back/file/deep/x", "x");
        scratch.write("back/folder", "a file");
        let fetch = || Fetch::new(&to).to(&back).if_changed();
        assert!(tunnel.fetch_dir_with(fetch()).await.is_err());
        let done = tunnel.fetch_dir_with(fetch().delete()).await.unwrap();
        assert_eq!(paths(&done.deleted), ["file", "file/deep", "file/deep/x", "folder"]);
        assert_eq!(fs::read(back.join("folder/inner")).unwrap(), b"inner");
        // Special files of the source protect what has their names.
        let made = Command::new("mkfifo").arg(from.join("pipe")).status().unwrap();
        assert!(made.success());
        fs::write(to.join("pipe"), "a file").unwrap();
        let done = tunnel.put_dir_with(put().delete()).await.unwrap();
        assert!(!done.changed && to.join("pipe").is_file());
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_deleted_in_folders_of_the_system() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let from = scratch.path().join("from");
        fs::create_dir(&from).unwrap();
        symlink("/", scratch.path().join("root")).unwrap();
        let home = scratch.path().join("home");
        fs::create_dir(&home).unwrap();
        let tunnel = Tunnel::with_config(
            Local::new().python(interpreter.path()),
            quiet().env("HOME", home.to_str().unwrap()),
        );
        let root = scratch.path().join("root");
        for to in [Path::new("/"), Path::new("/etc"), Path::new("/usr/../usr/bin"), Path::new("~"), &root] {
            for dry in [true, false] {
                let put = Put::new(&from).to(to).delete();
                let error = tunnel.put_dir_with(if dry { put.dry_run() } else { put }).await.unwrap_err();
                assert_eq!(
                    failure(&error).2,
                    io::ErrorKind::PermissionDenied,
                    "{}: {}",
                    to.display(),
                    error.report()
                );
            }
        }
        for to in [Path::new("/"), Path::new("/etc"), &root] {
            let error = tunnel.fetch_dir_with(Fetch::new(&from).to(to).delete()).await.unwrap_err();
            assert_eq!(failure(&error).0, Side::Local, "{}", error.report());
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn differences_of_texts_are_shown_and_binary_content_is_named() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        scratch.write("from/conf", "one\ntwo\n");
        scratch.write("from/new", "new\n");
        scratch.write("from/image", b"\0\x01");
        scratch.write("from/large", vec![b'x'; 2 << 20]);
        scratch.write("to/conf", "one\n2\n");
        scratch.write("to/image", b"\0\x02");
        scratch.write("to/large", "small\n");
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        let tunnel = tunnel(interpreter);
        let dry = tunnel.put_dir_with(Put::new(&from).to(&to).diff().dry_run()).await.unwrap();
        let expected = "--- a/conf\n+++ b/conf\n@@ -1,2 +1,2 @@\n one\n-2\n+two\n\
                        Binary files a/image and b/image differ\n\
                        Files a/large and b/large differ: too large, or not regular files\n\
                        --- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n";
        assert_eq!(dry.diff.as_deref(), Some(expected), "{interpreter:?}");
        let back = tunnel.fetch_dir_with(Fetch::new(&to).to(&from).diff().dry_run()).await.unwrap();
        assert!(back.diff.unwrap().contains("\n-two\n+2\n"));
        let file = tunnel.put_with(Put::new(from.join("conf")).to(to.join("conf")).diff()).await.unwrap();
        assert!(file.diff.unwrap().contains("\n-2\n+two\n") && file.changed);
        let file = tunnel.fetch_with(Fetch::new(to.join("conf")).to(from.join("new")).diff()).await.unwrap();
        assert!(file.diff.unwrap().contains("\n-new\n+one\n+two\n"));
        let same = tunnel.put_with(Put::new(from.join("conf")).to(to.join("conf")).diff()).await.unwrap();
        assert_eq!((same.diff, same.changed), (None, false));
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn equal_times_and_sizes_are_enough_where_times_are_trusted() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        scratch.write("from/a", "one");
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        let tunnel = tunnel(interpreter);
        let put = || Put::new(&from).to(&to).trust_times().keep_modified();
        assert!(tunnel.put_dir_with(put()).await.unwrap().changed);
        assert!(!tunnel.put_dir_with(put()).await.unwrap().changed);
        // The same size and time, and another content: only a comparison of contents finds it.
        let modified = fs::metadata(from.join("a")).unwrap().modified().unwrap();
        fs::write(to.join("a"), "two").unwrap();
        fs::File::options().write(true).open(to.join("a")).unwrap().set_modified(modified).unwrap();
        assert!(!tunnel.put_dir_with(put()).await.unwrap().changed, "{interpreter:?}");
        assert!(tunnel.put_dir_with(Put::new(&from).to(&to).if_changed()).await.unwrap().changed);
        // Another time and the same content.
        fs::File::options().write(true).open(to.join("a")).unwrap().set_modified(modified).unwrap();
        fs::write(from.join("a"), "six").unwrap();
        assert!(tunnel.put_dir_with(put()).await.unwrap().changed);
        assert_eq!(fs::read(to.join("a")).unwrap(), b"six");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn missing_folders_are_made_on_request() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let file = scratch.write("from/a", "one");
        let from = scratch.path().join("from");
        let at = |path: &str| scratch.path().join(path);
        let tunnel = tunnel(interpreter);
        assert!(tunnel.put(&file, at("x/y/a")).await.is_err());
        tunnel.put_with(Put::new(&file).to(at("x/y/b")).parents()).await.unwrap();
        tunnel.put_with(Put::new(&file).to(at("x/z/")).parents()).await.unwrap();
        tunnel.put_dir_with(Put::new(&from).to(at("d/e/f")).parents()).await.unwrap();
        tunnel.fetch_with(Fetch::new(&file).to(at("l/m/a")).parents()).await.unwrap();
        tunnel.fetch_with(Fetch::new(&file).to(at("l/n/")).parents()).await.unwrap();
        tunnel.fetch_dir_with(Fetch::new(&from).to(at("g/h/i/")).parents()).await.unwrap();
        for made in ["x/y/b", "x/z/a", "d/e/f/a", "l/m/a", "l/n/a", "g/h/i/a"] {
            assert_eq!(fs::read(at(made)).unwrap(), b"one", "{made} {interpreter:?}");
        }
        let error = tunnel.put_with(Put::new(&file).to(file.join("x/y")).parents()).await.unwrap_err();
        assert_eq!(failure(&error).0, Side::Remote);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_that_fails_deletes_nothing() {
    let interpreter = newest_and_oldest().remove(0);
    let scratch = Scratch::new();
    scratch.write("from/big", noise(1_000_000));
    scratch.write("to/old", "old");
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    let tunnel = tunnel(interpreter);
    let pid = tunnel.connect().await.unwrap().pid;
    let act = || {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    };
    let put = Put::new(&from).to(&to).delete().limit(SLOW).on_progress(once(act));
    assert!(tunnel.put_dir_with(put).await.unwrap_err().is_disconnected());
    assert_eq!(names(&to), ["old"]);
    // A deadline.
    let put = Put::new(&from).to(&to).delete().limit(SLOW).timeout(std::time::Duration::from_millis(100));
    assert!(tunnel.put_dir_with(put).await.is_err());
    assert!(to.join("old").exists());
    tunnel.close().await.unwrap();
}

/// An interpreter whose module for comparisons answers as is said.
fn liar(scratch: &Scratch, answer: &str) -> Tunnel {
    let text = format!(
        r"import builtins, sys
plain = builtins.compile
LIE = '\ndef folder(*args): return {answer}\n'
def lying(text, name, *args, **more):
    if '_compare' in str(name):
        text = text + (LIE if isinstance(text, str) else LIE.encode())
    return plain(text, name, *args, **more)
builtins.compile = lying
source, sys.argv = sys.argv[-1], ['-c']
exec(source)
"
    );
    let liar = scratch.write("liar.py", text);
    let python = newest().path();
    let program = script(scratch, "liar", &format!("exec {} {} \"$@\"", python.display(), liar.display()));
    Tunnel::with_config(Local::new().python(program), quiet())
}

#[tokio::test]
async fn listing_that_is_none_is_an_error_and_deletes_nothing() {
    let answers = [
        "None, (args[0], [], [])",
        "None, (b\"/\", [None], [(b\"../evil\", 2, 1)])",
        "None, (b\"/\", [None, None], [(b\"../evil\", 2, 1)])",
        "None, (b\"/\", [None, None], [(b\"/etc\", 1, 1)])",
        "None, (b\"/\", [None, None], [(b\"\", 1, 1)])",
        "None, (b\"/\", [(2, -1, 0, 0, True, b\"\")] * 2, [])",
        "None, None",
        "5",
        "None, [[]] * 3",
    ];
    for answer in answers {
        let scratch = Scratch::new();
        scratch.write("to/old", "old");
        let from = scratch.path().join("from");
        fs::create_dir(&from).unwrap();
        let tunnel = liar(&scratch, answer);
        let fetch = Fetch::new(&from).to(scratch.path().join("to")).if_changed().delete();
        let error = tunnel.fetch_dir_with(fetch).await.expect_err(answer);
        assert!(
            matches!(error.kind(), ErrorKind::File { .. } | ErrorKind::Result(_) | ErrorKind::Raised(_)),
            "{answer}: {}",
            error.report()
        );
        assert!(scratch.path().join("to/old").exists(), "{answer}");
        tunnel.close().await.unwrap();
    }
}
