//! Files of which an agent in Rust gets a part only: the rest is in the file that they replace, or
//! came before the transfer was interrupted.

use std::{
    ffi::OsString,
    fs,
    num::NonZeroU64,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chopsticks::{Error, Fetch, Progress, Put};
use chopsticks_support::Scratch;

use super::{tunnel, without_python};

const LEN: usize = 2_000_000;
const SLOW: NonZeroU64 = NonZeroU64::new(4_000_000).unwrap();

/// Bytes that do not repeat.
fn noise() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..LEN).map(|_| next()).collect()
}

fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Returns the only part of a file in a folder.
fn part(folder: &Path) -> PathBuf {
    let parts: Vec<_> =
        names(folder).into_iter().filter(|name| name.as_bytes().starts_with(b".chopsticks-part-")).collect();
    assert_eq!(parts.len(), 1, "{parts:?}");
    folder.join(&parts[0])
}

/// Kills an agent when so many bytes have moved.
fn kill_after(bytes: u64, pid: u32) -> impl FnMut(Progress) + Send {
    move |progress| {
        if progress.done >= bytes {
            // It may be gone already.
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_existing_file_does_not_have_is_sent() -> Result<(), Error> {
    let (scratch, old) = (Scratch::new(), noise());
    let mut new = old.clone();
    new[1_000_000] ^= 1;
    new.splice(300_000..300_000, *b"inserted");
    let (source, target) = (scratch.write("source", &new), scratch.write("target", &old));
    fs::set_permissions(&target, fs::Permissions::from_mode(0o604)).unwrap();
    let tunnel = tunnel();
    let put = || Put::new(&source).to(&target).delta();
    let done = tunnel.put_with(put()).await?;
    assert!((8..50_000).contains(&done.sent), "{}", done.sent);
    assert!(done.size == new.len() as u64 && fs::read(&target).unwrap() == new);
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o604);
    assert_eq!(tunnel.put_with(put()).await?.sent, 0);
    // Where there is nothing, or nothing alike, all is sent.
    fs::remove_file(&target).unwrap();
    assert_eq!(tunnel.put_with(put()).await?.sent, new.len() as u64);
    fs::write(&target, "short").unwrap();
    assert_eq!(tunnel.put_with(put()).await?.sent, new.len() as u64);
    assert!(fs::read(&target).unwrap() == new);
    // The other way round, the agent sends all of it.
    scratch.write("target", &old);
    let fetched = tunnel.fetch_with(Fetch::new(&target).to(&source).delta()).await?;
    assert!(fetched.sent == LEN as u64 && fs::read(&source).unwrap() == old);
    assert_eq!(names(scratch.path()), ["source", "target"]);
    tunnel.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_files_in_a_folder_do_not_have_is_sent() -> Result<(), Error> {
    let (scratch, old) = (Scratch::new(), noise());
    let mut new = old.clone();
    new.splice(300_000..300_000, *b"inserted");
    for name in ["from/big", "from/sub/big", "from/sub/linked"] {
        scratch.write(name, &new);
    }
    for name in ["from/same", "to/same", "to/big", "to/sub/big", "outside"] {
        scratch.write(name, &old);
    }
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    // Links are replaced and not followed, neither for the content nor for what it is made from.
    symlink("../../outside", to.join("sub/linked")).unwrap();
    let tunnel = without_python();
    let put = || Put::new(&from).to(&to).delta();
    let done = tunnel.put_dir_with(put()).await?;
    let whole = new.len() as u64;
    assert_eq!((done.files, done.unchanged, done.size), (3, 1, 3 * whole));
    assert!((whole..whole + 100_000).contains(&done.sent), "{}", done.sent);
    for name in ["big", "sub/big", "sub/linked"] {
        assert!(fs::read(to.join(name)).unwrap() == new, "{name}");
    }
    assert!(!to.join("sub/linked").is_symlink() && fs::read(scratch.path().join("outside")).unwrap() == old);
    let again = tunnel.put_dir_with(put()).await?;
    assert_eq!((again.changed, again.sent, again.unchanged), (false, 0, 4));
    assert_eq!(names(&to.join("sub")), ["big", "linked"]);
    tunnel.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_goes_on_where_it_stopped() -> Result<(), Error> {
    let (scratch, content) = (Scratch::new(), noise());
    let (source, there) = (scratch.write("source", &content), scratch.path().join("there"));
    let target = scratch.write("there/target", "old");
    let tunnel = tunnel();
    let put = || Put::new(&source).to(&target).resume();
    let pid = tunnel.connect().await?.pid;
    tunnel.put_with(put().limit(SLOW).on_progress(kill_after(1_500_000, pid))).await.unwrap_err();
    let left = part(&there);
    assert_eq!(fs::metadata(&left).unwrap().permissions().mode() & 0o777, 0o600);
    let arrived = fs::metadata(&left).unwrap().len();
    assert!(arrived > 100_000 && content.starts_with(&fs::read(&left).unwrap()));
    let done = tunnel.put_with(put()).await?;
    assert!(fs::read(&target).unwrap() == content);
    assert!(done.sent <= LEN as u64 - arrived + 4096, "{} of {arrived}", done.sent);
    assert_eq!(names(&there), ["target"]);

    // A part that is not what it was is not used, and one whose content proves to be wrong goes.
    fs::write(&target, "old").unwrap();
    let pid = tunnel.connect().await?.pid;
    tunnel.put_with(put().limit(SLOW).on_progress(kill_after(1_500_000, pid))).await.unwrap_err();
    fs::write(part(&there), vec![b'x'; 1_000_000]).unwrap();
    let done = tunnel.put_with(put()).await?;
    assert_eq!((done.sent, names(&there)), (LEN as u64, vec!["target".into()]));
    assert!(fs::read(&target).unwrap() == content);

    // A file of a folder goes on too, and what came before it is not sent again.
    scratch.write("from/a", "first");
    scratch.write("from/big/file", &content);
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    let put = || Put::new(&from).to(&to).resume();
    let pid = tunnel.connect().await?.pid;
    tunnel.put_dir_with(put().limit(SLOW).on_progress(kill_after(1_500_000, pid))).await.unwrap_err();
    let arrived = fs::metadata(part(&to.join("big"))).unwrap().len();
    assert!(arrived > 100_000);
    let done = tunnel.put_dir_with(put()).await?;
    assert_eq!((done.files, done.unchanged), (1, 1));
    assert!(done.sent <= LEN as u64 - arrived + 4096, "{} of {arrived}", done.sent);
    assert!(fs::read(to.join("big/file")).unwrap() == content);
    assert_eq!(names(&to.join("big")), ["file"]);
    tunnel.close().await
}
