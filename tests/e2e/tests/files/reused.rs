//! Files of which only a part is sent: the rest is in the file that they replace, or came before the transfer was interrupted.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    time::Duration,
};

use chopsticks::{Fetch, Put, Tunnel};
use chopsticks_e2e::{newest_and_oldest, tunnel};
use chopsticks_support::Scratch;
use rustix::process::{Pid, Signal, kill_process};

use crate::{names, noise};

const LEN: usize = 2_000_000;

/// The names of the parts of files in a folder.
fn parts(folder: &Path) -> Vec<OsString> {
    names(folder).into_iter().filter(|name| name.as_bytes().starts_with(b".chopsticks-part-")).collect()
}

/// Does something once, when so many bytes have moved.
fn after(bytes: u64, act: impl FnOnce() + Send) -> impl FnMut(chopsticks::Progress) + Send {
    let mut act = Some(act);
    move |progress| {
        if progress.done >= bytes
            && let Some(act) = act.take()
        {
            act();
        }
    }
}

fn kill(pid: u32) {
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).expect("a process has a number"), Signal::KILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_existing_file_does_not_have_is_sent() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let old = noise(LEN);
        let mut new = old.clone();
        new[1_000_000] ^= 1;
        new.splice(300_000..300_000, *b"inserted");
        let (source, target) = (scratch.write("source", &new), scratch.write("target", &old));
        fs::set_permissions(&target, fs::Permissions::from_mode(0o604)).unwrap();
        let tunnel = tunnel(interpreter);
        let put = || Put::new(&source).to(&target).delta();
        let done = tunnel.put_with(put()).await.unwrap();
        assert!((8..50_000).contains(&done.sent), "{interpreter:?}: {}", done.sent);
        assert_eq!(done.size, new.len() as u64);
        assert!(fs::read(&target).unwrap() == new);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o604);
        assert_eq!(tunnel.put_with(put()).await.unwrap().sent, 0);
        // Where there is nothing, or nothing alike, all is sent.
        fs::remove_file(&target).unwrap();
        assert_eq!(tunnel.put_with(put()).await.unwrap().sent, new.len() as u64);
        fs::write(&target, "short").unwrap();
        assert_eq!(tunnel.put_with(put()).await.unwrap().sent, new.len() as u64);
        assert!(fs::read(&target).unwrap() == new);

        // The other way round, blocks count that are in their places.
        let mut grown = new.clone();
        grown[10] ^= 1;
        grown.extend_from_slice(b"appended");
        fs::write(&target, &grown).unwrap();
        let fetched = tunnel.fetch_with(Fetch::new(&target).to(&source).delta()).await.unwrap();
        assert!(fs::read(&source).unwrap() == grown);
        assert!(fetched.sent <= 3 << 16, "{}", fetched.sent);
        assert_eq!(names(scratch.path()), ["source", "target"]);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_goes_on_where_it_stopped() {
    for interpreter in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let content = noise(LEN);
        let (source, target) = (here.write("source", &content), there.write("target", "old"));
        let slow = std::num::NonZeroU64::new(4_000_000).unwrap();
        let tunnel = tunnel(interpreter);
        let interrupted = async |act: &(dyn Fn(u32) + Sync)| {
            let pid = tunnel.connect().await.unwrap().pid;
            let put = Put::new(&source).to(&target).resume().limit(slow);
            tunnel.put_with(put.on_progress(after(1_500_000, || act(pid)))).await.unwrap_err();
            assert_eq!(fs::read(&target).unwrap(), b"old");
        };
        interrupted(&kill).await;
        let left = parts(there.path());
        assert_eq!((left.len(), names(there.path()).len()), (1, 2), "{interpreter:?}");
        let part = there.path().join(&left[0]);
        assert_eq!(fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o600);
        let arrived = fs::metadata(&part).unwrap().len();
        assert!(arrived > 100_000 && content.starts_with(&fs::read(&part).unwrap()));
        // A deadline leaves one as well; the longer one counts.
        // What is missing would take seconds.
        let slower = std::num::NonZeroU64::new(100_000).unwrap();
        let put = Put::new(&source).to(&target).resume().limit(slower).timeout(Duration::from_millis(200));
        let _ = tunnel.put_with(put).await.unwrap_err();
        // Its agent may still be about to give the part its name.
        tunnel.close().await.unwrap();
        let done = tunnel.put_with(Put::new(&source).to(&target).resume()).await.unwrap();
        assert!(fs::read(&target).unwrap() == content);
        assert!(done.sent <= LEN as u64 - arrived + 4096, "{} of {arrived}", done.sent);
        assert_eq!(names(there.path()), ["target"], "{interpreter:?}");

        // A part that is not what it was is not used.
        fs::write(&target, "old").unwrap();
        interrupted(&kill).await;
        let part = there.path().join(&parts(there.path())[0]);
        fs::write(&part, vec![b'x'; 1_000_000]).unwrap();
        let done = tunnel.put_with(Put::new(&source).to(&target).resume()).await.unwrap();
        assert_eq!((done.sent, names(there.path())), (LEN as u64, vec!["target".into()]));
        assert!(fs::read(&target).unwrap() == content);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_fetch_goes_on_where_it_stopped() {
    for interpreter in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let content = noise(LEN);
        let (source, target) = (there.write("source", &content), here.write("target", "old"));
        let slow = std::num::NonZeroU64::new(4_000_000).unwrap();
        let tunnel = tunnel(interpreter);
        let pid = tunnel.connect().await.unwrap().pid;
        let fetch = Fetch::new(&source).to(&target).resume().limit(slow);
        tunnel.fetch_with(fetch.on_progress(after(1_000_000, || kill(pid)))).await.unwrap_err();
        assert_eq!((fs::read(&target).unwrap(), parts(here.path()).len()), (b"old".to_vec(), 1));
        let done = tunnel.fetch_with(Fetch::new(&source).to(&target).resume()).await.unwrap();
        assert!(fs::read(&target).unwrap() == content);
        assert!(done.sent <= LEN as u64 - 800_000, "{interpreter:?}: {}", done.sent);
        assert_eq!(names(here.path()), ["target"]);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_that_is_broken_off_leaves_the_old_file() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let old = noise(LEN);
        // None of it is in the old file, so that it has to be sent.
        let other: Vec<_> = noise(900_000).iter().map(|byte| byte ^ 0x55).collect();
        let new = [&old[..1_000_000], &other[..]].concat();
        let (source, target) = (scratch.write("source", new), scratch.write("target", &old));
        let slow = std::num::NonZeroU64::new(1_000_000).unwrap();
        let check = |what: &str| {
            assert!(fs::read(&target).unwrap() == old, "{interpreter:?}: {what}");
            assert_eq!(names(scratch.path()), ["source", "target"], "{interpreter:?}: {what}");
        };
        let tunnel: Tunnel = tunnel(interpreter);
        let pid = tunnel.connect().await.unwrap().pid;
        let put = || Put::new(&source).to(&target).delta().limit(slow);
        tunnel.put_with(put().on_progress(after(1_000_000, || kill(pid)))).await.unwrap_err();
        check("kill");
        tunnel.put_with(put().timeout(Duration::from_millis(300))).await.unwrap_err();
        // The agent takes away what it has when it hears of it.
        tunnel.close().await.unwrap();
        check("deadline");
        let fetch = || Fetch::new(&source).to(&target).delta().limit(slow);
        let pid = tunnel.connect().await.unwrap().pid;
        tunnel.fetch_with(fetch().on_progress(after(1_000_000, || kill(pid)))).await.unwrap_err();
        check("fetch");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_files_in_a_folder_do_not_have_is_sent() {
    for interpreter in newest_and_oldest() {
        let scratch = Scratch::new();
        let old = noise(LEN);
        let mut new = old.clone();
        new.splice(300_000..300_000, *b"inserted");
        for name in ["from/big", "from/sub/big", "from/sub/linked"] {
            scratch.write(name, &new);
        }
        for name in ["from/same", "to/same", "to/big", "to/sub/big", "outside"] {
            scratch.write(name, &old);
        }
        scratch.write("from/short", "new");
        scratch.write("to/short", "old");
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::set_permissions(to.join("sub/big"), fs::Permissions::from_mode(0o604)).unwrap();
        // Links are replaced and not followed, neither for the content nor for what it is made from.
        std::os::unix::fs::symlink("../../outside", to.join("sub/linked")).unwrap();
        let tunnel = tunnel(interpreter);
        let put = || Put::new(&from).to(&to).delta();
        let done = tunnel.put_dir_with(put()).await.unwrap();
        let whole = new.len() as u64;
        assert_eq!((done.files, done.unchanged, done.size), (4, 1, 3 * whole + 3), "{interpreter:?}");
        assert!((whole..whole + 100_000).contains(&done.sent), "{interpreter:?}: {}", done.sent);
        for name in ["big", "sub/big", "sub/linked"] {
            assert!(fs::read(to.join(name)).unwrap() == new, "{interpreter:?}: {name}");
        }
        assert_eq!(fs::read(to.join("short")).unwrap(), b"new");
        assert!(
            !to.join("sub/linked").is_symlink() && fs::read(scratch.path().join("outside")).unwrap() == old
        );
        assert_eq!(fs::metadata(to.join("sub/big")).unwrap().permissions().mode() & 0o777, 0o604);
        let again = tunnel.put_dir_with(put()).await.unwrap();
        assert_eq!((again.changed, again.sent, again.unchanged), (false, 0, 5), "{interpreter:?}");
        assert_eq!(names(&to.join("sub")), ["big", "linked"]);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_folder_goes_on_where_it_stopped() {
    for interpreter in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let content = noise(LEN);
        here.write("a/first", "first");
        here.write("big/file", &content);
        here.write("last", "last");
        let slow = std::num::NonZeroU64::new(4_000_000).unwrap();
        let tunnel = tunnel(interpreter);
        let to = there.path().join("to");
        let put = || Put::new(here.path()).to(&to).resume();
        let pid = tunnel.connect().await.unwrap().pid;
        let broken = put().limit(slow).on_progress(after(1_500_000, || kill(pid)));
        tunnel.put_dir_with(broken).await.unwrap_err();
        assert_eq!(
            (names(&to), fs::read(to.join("a/first")).unwrap()),
            (vec!["a".into(), "big".into()], b"first".to_vec())
        );
        let left = parts(&to.join("big"));
        assert_eq!((left.len(), names(&to.join("big")).len()), (1, 1), "{interpreter:?}");
        let part = to.join("big").join(&left[0]);
        assert_eq!(fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o600);
        let arrived = fs::metadata(&part).unwrap().len();
        assert!(arrived > 100_000 && content.starts_with(&fs::read(&part).unwrap()));
        // One that is dropped leaves one as well; the longer one counts.
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let dropped = put().limit(slow).on_progress(after(100_000, move || drop(stop)));
        tokio::select! {
            biased;
            _ = stopped => {}
            done = tunnel.put_dir_with(dropped) => panic!("{done:?}"),
        }
        // Its agent may still be about to give the part its name.
        tunnel.close().await.unwrap();
        let done = tunnel.put_dir_with(put()).await.unwrap();
        assert_eq!((done.files, done.unchanged), (2, 1), "{interpreter:?}");
        assert!(done.sent <= LEN as u64 + 4 - arrived + 4096, "{} of {arrived}", done.sent);
        assert!(fs::read(to.join("big/file")).unwrap() == content);
        assert_eq!(
            (names(&to.join("big")), fs::read(to.join("last")).unwrap()),
            (vec!["file".into()], b"last".to_vec())
        );

        // A part that is not what it was is not used.
        fs::write(to.join("big/file"), "old").unwrap();
        let pid = tunnel.connect().await.unwrap().pid;
        let broken = put().limit(slow).on_progress(after(1_500_000, || kill(pid)));
        tunnel.put_dir_with(broken).await.unwrap_err();
        assert_eq!(fs::read(to.join("big/file")).unwrap(), b"old");
        let part = to.join("big").join(&parts(&to.join("big"))[0]);
        fs::write(&part, vec![b'x'; 1_000_000]).unwrap();
        let done = tunnel.put_dir_with(put()).await.unwrap();
        assert_eq!((done.sent, names(&to.join("big"))), (LEN as u64, vec!["file".into()]));
        assert!(fs::read(to.join("big/file")).unwrap() == content);
        tunnel.close().await.unwrap();
    }
}
