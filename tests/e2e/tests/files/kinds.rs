//! What becomes of a file, for each kind of thing in its place, at both ends.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use chopsticks::{Error, Fetch, Put, Transferred, Tunnel};
use chopsticks_e2e::{newest_and_oldest, tunnel};
use chopsticks_support::{Scratch, newest};

use crate::{failure, names};

/// Which end writes.
#[derive(Clone, Copy, Debug)]
enum Writer {
    Controller,
    Host,
}

impl Writer {
    const BOTH: [Self; 2] = [Self::Controller, Self::Host];

    async fn copy(self, tunnel: &Tunnel, from: &Path, to: &Path) -> Result<Transferred, Error> {
        match self {
            Self::Controller => tunnel.fetch(from, to).await,
            Self::Host => tunnel.put(from, to).await,
        }
    }

    async fn copy_folder(self, tunnel: &Tunnel, from: &Path, to: &Path) {
        let copied = match self {
            Self::Controller => tunnel.fetch_dir(from, to).await,
            Self::Host => tunnel.put_dir(from, to).await,
        };
        copied.unwrap_or_else(|error| panic!("{}", error.report()));
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a test under the newest and the oldest Python, with either end as the writer.
async fn everywhere(test: impl AsyncFn(Writer, &Tunnel)) {
    for python in newest_and_oldest() {
        let tunnel = tunnel(python);
        for writer in Writer::BOTH {
            test(writer, &tunnel).await;
        }
        tunnel.close().await.expect("it closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_file_is_as_open_as_its_source_and_one_that_is_replaced_stays_as_it_was() {
    everywhere(async |writer, tunnel| {
        let scratch = Scratch::new();
        let (source, target) = (scratch.write("source", "new"), scratch.path().join("target"));
        for bits in [0o600, 0o755, 0o640] {
            set_mode(&source, bits);
            writer.copy(tunnel, &source, &target).await.unwrap();
            assert_eq!(mode(&target), bits, "{writer:?}");
            fs::remove_file(&target).unwrap();
        }
        for bits in [0o600, 0o444, 0o755] {
            fs::write(&target, "old").unwrap();
            set_mode(&target, bits);
            if is_root() {
                std::os::unix::fs::chown(&target, Some(4711), Some(50)).unwrap();
            }
            let copied = writer.copy(tunnel, &source, &target).await.unwrap();
            let metadata = fs::metadata(&target).unwrap();
            assert!(!copied.in_place && fs::read(&target).unwrap() == b"new");
            assert_eq!(mode(&target), bits, "{writer:?}");
            assert!(!is_root() || (metadata.uid(), metadata.gid()) == (4711, 50), "{writer:?}");
            fs::remove_file(&target).unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_goes_into_a_folder_under_its_name() {
    everywhere(async |writer, tunnel| {
        let scratch = Scratch::new();
        let (source, folder) = (scratch.write("source", "new"), scratch.create_folder("folder"));
        symlink("folder", scratch.path().join("link")).unwrap();
        for given in [folder.clone(), scratch.path().join("folder/"), scratch.path().join("link")] {
            let copied = writer.copy(tunnel, &source, &given).await.unwrap();
            let path = copied.local.unwrap_or(copied.remote);
            assert_eq!(fs::canonicalize(path).unwrap(), fs::canonicalize(folder.join("source")).unwrap());
            assert_eq!(names(&folder), ["source"], "{writer:?}");
            fs::remove_file(folder.join("source")).unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_and_pipes_are_written_into_and_stay_what_they_are() {
    everywhere(async |writer, tunnel| {
        let scratch = Scratch::new();
        let source = scratch.write("source", vec![7; 300_000]);
        let (link, fifo) = (scratch.path().join("link"), scratch.path().join("fifo"));
        symlink("/dev/null", &link).unwrap();
        for path in [Path::new("/dev/null"), &link] {
            assert!(writer.copy(tunnel, &source, path).await.unwrap().in_place, "{writer:?}");
        }
        assert!(link.is_symlink() && fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let reader = std::thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        assert!(writer.copy(tunnel, &source, &fifo).await.unwrap().in_place, "{writer:?}");
        assert!(reader.join().unwrap() == [7; 300_000], "{writer:?}");
        assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
        for error in [
            tunnel.put_with(Put::new(&source).to(&link).mode(0o600)).await.unwrap_err(),
            tunnel.fetch_with(Fetch::new(&source).to(&link).mode(0o600)).await.unwrap_err(),
        ] {
            assert_eq!(failure(&error).2, ErrorKind::InvalidInput);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_to_a_pipe_that_is_not_read_can_be_cancelled() {
    everywhere(async |writer, tunnel| {
        let scratch = Scratch::new();
        let (source, fifo) = (scratch.write("source", "new"), scratch.path().join("fifo"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let pid = tunnel.connect().await.unwrap().pid;
        let late = std::time::Duration::from_millis(300);
        let error = match writer {
            Writer::Controller => tunnel.fetch_with(Fetch::new(&source).to(&fifo).timeout(late)).await,
            Writer::Host => tunnel.put_with(Put::new(&source).to(&fifo).timeout(late)).await,
        };
        assert!(error.unwrap_err().is_timeout(), "{writer:?}");
        assert_eq!(tunnel.connect().await.unwrap().pid, pid, "{writer:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_that_is_there_keeps_what_it_has() {
    everywhere(async |writer, tunnel| {
        let scratch = Scratch::new();
        scratch.write("source/sub/file", "x");
        scratch.create_folder("source/new");
        for (name, bits) in [("source", 0o700), ("source/sub", 0o777), ("source/new", 0o750)] {
            set_mode(&scratch.path().join(name), bits);
        }
        let (source, target) = (scratch.path().join("source"), scratch.create_folder("target"));
        let sub = scratch.create_folder("target/sub");
        if is_root() {
            std::os::unix::fs::chown(&target, Some(4711), Some(50)).unwrap();
        }
        set_mode(&target, 0o3775);
        set_mode(&sub, 0o2711);
        for _ in 0..2 {
            writer.copy_folder(tunnel, &source, &target).await;
            assert_eq!((mode(&target), mode(&sub)), (0o3775, 0o2711), "{writer:?}");
            // The group's bit comes from the folder around it.
            assert_eq!(mode(&target.join("new")), 0o2750, "{writer:?}");
            let metadata = fs::metadata(&target).unwrap();
            assert!(!is_root() || (metadata.uid(), metadata.gid()) == (4711, 50), "{writer:?}");
        }
        set_mode(&scratch.path().join("source/sub"), 0o755);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "only root has files of others; `cargo xtask test` runs it as root"]
async fn traps_in_folders_where_all_may_write_are_refused() {
    everywhere(async |writer, tunnel| {
        let scratch = Scratch::new();
        let (source, secret) = (scratch.write("source", "new"), scratch.write("secret", "secret"));
        let shared = scratch.create_folder("shared");
        set_mode(&shared, 0o1777);
        symlink(&secret, shared.join("link")).unwrap();
        fs::write(shared.join("file"), "theirs").unwrap();
        for name in ["link", "file"] {
            std::os::unix::fs::lchown(shared.join(name), Some(4711), Some(4711)).unwrap();
            let error = writer.copy(tunnel, &source, &shared.join(name)).await.unwrap_err();
            assert_eq!(failure(&error).2, ErrorKind::PermissionDenied, "{writer:?}: {name}");
        }
        assert_eq!((fs::read(&secret).unwrap(), names(&shared).len()), (b"secret".to_vec(), 2));
    })
    .await;
}

#[test]
fn mount_point_here_is_written_into() {
    let (there, here) = (Scratch::new(), Scratch::new());
    let (source, outside) = (there.write("source", "new"), here.write("outside", "old"));
    let target = here.write("target", "old");
    let text = "mount --bind \"$1\" \"$2\" && shift && shift && exec \"$@\"";
    let words: [PathBuf; 7] = [
        "sh".into(),
        outside.clone(),
        target.clone(),
        env!("CARGO_BIN_EXE_transfer").into(),
        newest().path().into(),
        "fetch".into(),
        source,
    ];
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", text])
        .args(words)
        .arg(&target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((fs::read(outside).unwrap(), fs::read(target).unwrap()), (b"new".to_vec(), b"old".to_vec()));
    assert_eq!(names(here.path()), ["outside", "target"]);
}
