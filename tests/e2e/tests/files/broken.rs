//! Transfers that fail: the target is as it was, and nothing else is there.

use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    num::NonZeroU64,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::Duration,
};

use chopsticks::{Fetch, Function, Local, Put, Side, Tunnel};
use chopsticks_e2e::{PATIENCE, newest_and_oldest, quiet, script, tunnel};
use chopsticks_support::{Interpreter, Scratch, eventually, interpreters, newest};

use crate::{SIZE, SLOW, failure, names, noise, once};

const FOUR: NonZeroU64 = NonZeroU64::new(4).unwrap();

#[tokio::test(flavor = "multi_thread")]
async fn missing_source_is_told_and_nothing_is_touched() {
    for python in interpreters() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let (missing, target) = (here.path().join("missing"), there.write("target", "old"));
        let error = tunnel.put(&missing, &target).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Local, missing, ErrorKind::NotFound), "{python}");
        let (missing, local) = (there.path().join("missing"), here.write("local", "old"));
        let error = tunnel.fetch(&missing, &local).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, missing.clone(), ErrorKind::NotFound), "{python}");
        let expected = format!("{python}: transfer: remote file {missing:?}: No such file or directory");
        assert_eq!(error.report(), expected);
        assert_eq!((fs::read(target).unwrap(), fs::read(local).unwrap()), (b"old".to_vec(), b"old".to_vec()));
        assert_eq!((names(here.path()), names(there.path())), (vec!["local".into()], vec!["target".into()]));
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_that_is_missing_or_in_the_way_is_told() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let source = here.write("source", "new");
        let (folder, nowhere) = (there.create_folder("folder"), there.path().join("no/where"));
        // What has no name of its own cannot go into a folder.
        let error = tunnel.put_with(Put::bytes("x").to(&folder)).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, folder.clone(), ErrorKind::IsADirectory), "{python}");
        let taken = there.create_folder("folder/source");
        let error = tunnel.put(&source, &folder).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, taken.clone(), ErrorKind::IsADirectory), "{python}");
        let error = tunnel.put(&source, there.path().join("x/")).await.unwrap_err();
        assert_eq!(failure(&error).2, ErrorKind::NotFound, "{python}");
        assert!(error.report().ends_with("The folder does not exist"), "{python}: {}", error.report());
        let error = tunnel.put(&source, &nowhere).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, nowhere.clone(), ErrorKind::NotFound), "{python}");
        assert!(error.report().ends_with("Its folder does not exist"), "{python}: {}", error.report());
        let error = tunnel.fetch(&source, &folder).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Local, taken, ErrorKind::IsADirectory), "{python}");
        let error = tunnel.fetch(&source, there.path().join("x/")).await.unwrap_err();
        assert!(error.report().ends_with("the folder does not exist"), "{python}: {}", error.report());
        let error = tunnel.fetch(&source, &nowhere).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Local, nowhere, ErrorKind::NotFound), "{python}");
        assert!(error.report().ends_with("its folder does not exist"), "{python}: {}", error.report());
        // Nor is a folder a source.
        let error = tunnel.put(&folder, there.path().join("x")).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Local, folder.clone(), ErrorKind::IsADirectory), "{python}");
        let error = tunnel.fetch(&folder, here.path().join("x")).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, folder, ErrorKind::IsADirectory), "{python}");
        assert_eq!((names(here.path()), names(there.path())), (vec!["source".into()], vec!["folder".into()]));
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn special_files_are_refused_without_being_opened() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let tunnel = tunnel(python);
        let (fifo, device) = (there.path().join("fifo"), Path::new("/dev/zero"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for (special, name) in [(fifo.as_path(), "FIFO"), (device, "device")] {
            let local = tunnel.put(special, there.path().join("x")).await.unwrap_err();
            let remote = tunnel.fetch(special, there.path().join("x")).await.unwrap_err();
            for error in [local, remote] {
                assert!(
                    error.report().ends_with(&format!("not a regular file but a {name}"))
                        || error.report().ends_with(&format!("Not a regular file but a {name}")),
                    "{}",
                    error.report()
                );
            }
        }
        assert_eq!(names(there.path()), ["fifo"], "{python}");
        tunnel.close().await.unwrap();
    }
}

/// An interpreter that runs as another user, in a file system of its own where `/mnt` is a megabyte.
fn confined(scratch: &Scratch, python: &Interpreter, user: &str) -> Tunnel {
    let text = format!(
        "exec unshare --mount --map-root-user sh -c 'mount -t tmpfs -o size=1m,mode=777 none /mnt && exec {user} \"$0\" \"$@\"' {} \"$@\"",
        python.path().display()
    );
    let program = script(scratch, "confined", &text);
    Tunnel::with_config(Local::new().name("confined").python(program), quiet())
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_fails_the_transfer_alone() {
    for python in newest_and_oldest() {
        let scratch = Scratch::new();
        let tunnel = confined(&scratch, python, "");
        tunnel
            .put_with(Put::bytes("old").to("/mnt/target"))
            .await
            .unwrap_or_else(|e| panic!("{}", e.report()));
        let error = tunnel.put_with(Put::bytes(noise(3_000_000)).to("/mnt/target")).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, "/mnt/target".into(), ErrorKind::StorageFull), "{python}");
        let list = Function::source("import os\ndef f(p): return [n for n in os.listdir(p)]", "f");
        let left: Vec<String> = tunnel.call(list, ("/mnt",)).await.unwrap();
        assert_eq!(left, ["target"], "{python}");
        let mut content = Vec::new();
        tunnel.fetch_with(Fetch::new("/mnt/target").writer(&mut content)).await.unwrap();
        assert_eq!(content, b"old", "{python}");
        // There is room again.
        tunnel.put_with(Put::bytes(noise(700_000)).to("/mnt/target")).await.unwrap();
        tunnel.close().await.unwrap();
    }
}

#[test]
fn full_disk_here_leaves_the_local_file_alone() {
    let there = Scratch::new();
    let source = there.write("source", noise(3_000_000));
    let text = "mount -t tmpfs -o size=1m none /mnt && echo old > /mnt/x && \"$0\" \"$@\" && ls -A /mnt && cat /mnt/x";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", text, env!("CARGO_BIN_EXE_transfer")])
        .args([newest().path().as_os_str(), "fetch".as_ref(), source.as_os_str(), "/mnt/x".as_ref()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].contains("local file \"/mnt/x\": No space left on device"), "{text}");
    assert_eq!(lines[3..], ["x", "old"], "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permission_is_told() {
    for python in newest_and_oldest() {
        let scratch = Scratch::new();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Without its capabilities root is a user like others, whom files of the real root do not belong to.
        let tunnel = confined(&scratch, python, "setpriv --bounding-set=-all --inh-caps=-all");
        let denied = script(&scratch, "denied", "");
        fs::set_permissions(&denied, fs::Permissions::from_mode(0o000)).unwrap();
        let folder = scratch.create_folder("folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
        let error = tunnel.fetch_with(Fetch::new(&denied).writer(Vec::new())).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, denied, ErrorKind::PermissionDenied), "{python}");
        let target = folder.join("x");
        let error = tunnel.put_with(Put::bytes("x").to(&target)).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, target, ErrorKind::PermissionDenied), "{python}");
        assert!(names(&folder).is_empty(), "{python}");
        tunnel.close().await.unwrap();
        let (tunnel, source) = (self::tunnel(python), scratch.write("source", "x"));
        let error = tunnel.fetch(source, "/proc/x").await.unwrap_err();
        assert_eq!(failure(&error).0, Side::Local, "{python}: {}", error.report());
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn source_that_shrinks_or_changes_is_told_and_one_that_grows_comes_as_it_was() {
    for python in newest_and_oldest() {
        for change in ["shrinks", "grows", "changes"] {
            let (here, there) = (Scratch::new(), Scratch::new());
            let tunnel = tunnel(python);
            // More than is read ahead, so that the change comes while the rest is to be read.
            let (content, limit) = (noise(3 * SIZE), SLOW.saturating_mul(FOUR));
            let (source, remote) = (here.write("source", &content), there.write("source", &content));
            let (local, target) = (here.write("local", "old"), there.write("target", "old"));
            let alter = |path: &Path| {
                let path = path.to_owned();
                once(move || {
                    let file = OpenOptions::new().write(true).open(path).unwrap();
                    match change {
                        "shrinks" => file.set_len(2_700_000).unwrap(),
                        "grows" => file.set_len(3_700_000).unwrap(),
                        _ => std::os::unix::fs::FileExt::write_all_at(&file, b"other", 2_900_000).unwrap(),
                    }
                })
            };
            let put = Put::new(&source).to(&target).limit(limit).on_progress(alter(&source));
            let put = tunnel.put_with(put).await;
            let fetch = Fetch::new(&remote).to(&local).limit(limit).on_progress(alter(&remote));
            let fetched = tunnel.fetch_with(fetch).await;
            let old = if change == "grows" {
                put.unwrap_or_else(|error| panic!("{python}: {}", error.report()));
                fetched.unwrap_or_else(|error| panic!("{python}: {}", error.report()));
                &content[..]
            } else {
                assert_eq!(failure(&put.unwrap_err()), (Side::Local, source, ErrorKind::Other), "{python}");
                assert_eq!(
                    failure(&fetched.unwrap_err()),
                    (Side::Remote, remote, ErrorKind::Other),
                    "{python}"
                );
                b"old"
            };
            for (folder, file, name) in [(&here, &local, "local"), (&there, &target, "target")] {
                assert!(fs::read(file).unwrap() == old, "{python}: {change}");
                assert_eq!(
                    names(folder.path()),
                    if name < "source" { [name, "source"] } else { ["source", name] }
                );
            }
            tunnel.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_that_is_dropped_leaves_nothing_at_both_ends() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let pid = tunnel.connect().await.unwrap().pid;
        let (source, target) = (here.write("source", noise(SIZE)), there.write("target", "old"));
        let local = here.write("local", "old");
        let open = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let before = open();
        let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
        for round in 0..2 {
            // The second time with temporary files that have names, as on file systems that need them.
            let tell = || {
                let began = began.clone();
                move |_| {
                    let _ = began.send(());
                }
            };
            let put = Put::new(&source).to(&target).limit(SLOW).on_progress(tell());
            tokio::select! { done = tunnel.put_with(put) => panic!("{done:?}"), _ = begun.recv() => {} }
            let fetch = Fetch::new(&source).to(&local).limit(SLOW).on_progress(tell());
            tokio::select! { done = tunnel.fetch_with(fetch) => panic!("{done:?}"), _ = begun.recv() => {} }
            while begun.try_recv().is_ok() {}
            let is_clean = || names(here.path()) == ["local", "source"] && names(there.path()) == ["target"];
            assert!(
                eventually(PATIENCE, is_clean),
                "{python}: {:?} {:?}",
                names(here.path()),
                names(there.path())
            );
            assert_eq!(
                (fs::read(&local).unwrap(), fs::read(&target).unwrap()),
                (b"old".into(), b"old".into())
            );
            if round == 0 {
                name_temporaries(&tunnel).await;
            }
        }
        // All on one connection, of which nothing is left open.
        assert_eq!(tunnel.connect().await.unwrap().pid, pid, "{python}");
        // Python 2.7 keeps /dev/urandom.
        assert!(eventually(PATIENCE, || open() <= before + 1), "{python}: {} descriptors", open());
        tunnel.close().await.unwrap();
    }
}

/// Makes the agent do without files that have no name.
async fn name_temporaries(tunnel: &Tunnel) {
    let text = "import sys\ndef f():\n    frame = sys._getframe()\n    while 'linkat' not in frame.f_globals:\n        \
                frame = frame.f_back\n    frame.f_globals['linkat'] = False";
    tunnel.call::<()>(Function::source(text, "f"), ()).await.expect("the agent runs that");
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_with_names_work_as_well_and_go_with_the_agent() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let (tunnel, target) = (tunnel(python), there.path().join("target"));
        tunnel.put_with(Put::bytes("first").to(&target)).await.unwrap();
        name_temporaries(&tunnel).await;
        tunnel.put_with(Put::bytes("second").to(&target)).await.unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"second", "{python}");
        tunnel.put_with(Put::bytes("x").to(&target).no_overwrite()).await.unwrap_err();
        tunnel.put_with(Put::bytes("x").to(there.path().join("new")).no_overwrite()).await.unwrap();
        assert_eq!(names(there.path()), ["new", "target"], "{python}");
        let (never, _open) = tokio::io::duplex(64);
        let put = tunnel.put_with(Put::reader(never).to(&target));
        let seen = async {
            while names(there.path()).len() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tunnel.close().await.unwrap();
        };
        let (put, ()) = tokio::join!(put, seen);
        assert_eq!(put.unwrap_err().kind().name(), "closed", "{python}");
        assert_eq!(names(there.path()), ["new", "target"], "{python}");
    }
}

#[test]
fn five_gibibytes_pass_a_slow_reader_in_bounded_memory() {
    let there = Scratch::new();
    let source = there.path().join("sparse");
    fs::File::create(&source).unwrap().set_len(5 << 30).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_transfer"))
        .args([newest().path().as_os_str(), "drain".as_ref(), source.as_os_str(), "-".as_ref()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "5368709120 13edccc7871c2016fbe8a2a0d808e19a90fbfc63", "{text}");
    let peaks: Vec<u64> = lines[2].split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(peaks.iter().all(|&peak| (1..50_000).contains(&peak)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_the_agent_is_bounded_whatever_is_put() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let (tunnel, target) = (tunnel(python), there.path().join("x"));
        let pid = tunnel.connect().await.unwrap().pid;
        tunnel.put_with(Put::bytes(noise(60_000_000)).to(&target)).await.unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 40_000, "{python}: {peak} KiB");
        tunnel.close().await.unwrap();
    }
}
