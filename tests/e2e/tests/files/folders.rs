//! Whole folders.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::ErrorKind,
    os::unix::{
        ffi::OsStringExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chopsticks::{Fetch, Put, Side};
use chopsticks_e2e::{newest_and_oldest, tunnel};
use chopsticks_support::{Scratch, interpreters};

use crate::{awkward_names, failure, names, noise};

/// Everything below a folder: kind, permissions, time of modification in seconds (Python 2.7 knows little more), content.
type Listing = BTreeMap<PathBuf, (char, u32, u64, Vec<u8>)>;

fn listing(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full).expect("it is there");
        let mode = metadata.permissions().mode() & 0o7777;
        // Links have neither permissions nor, here, times.
        let (kind, mode, time, content) = if metadata.is_symlink() {
            let to = fs::read_link(&full).expect("it is a link").into_os_string().into_vec();
            ('l', 0, 0, to)
        } else if metadata.is_dir() {
            left.extend(names(&full).iter().map(|name| path.join(name)));
            ('d', mode, seconds(&metadata), Vec::new())
        } else {
            ('f', mode, seconds(&metadata), fs::read(&full).expect("it can be read"))
        };
        listing.insert(path, (kind, mode, time, content));
    }
    listing
}

fn seconds(metadata: &fs::Metadata) -> u64 {
    let time = metadata.modified().expect("it has a time");
    time.duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_secs()
}

fn set(path: &Path, mode: u32, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::open(path).and_then(|file| file.set_modified(time)).expect("it is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// A folder with all kinds of things in it.
fn sample() -> Scratch {
    let scratch = Scratch::new();
    let root = scratch.create_folder("root");
    for name in awkward_names() {
        fs::write(root.join(&name), name.as_encoded_bytes()).expect("a scratch folder is writable");
    }
    scratch.create_folder("root/empty");
    scratch.create_folder("root/deep/er/and/deeper");
    scratch.write("root/deep/er/big", noise(700_001));
    scratch.write("root/deep/er/nothing", "");
    for number in 0..60 {
        scratch.write(format!("root/many/{number}"), noise(number * 13));
    }
    symlink("../../../outside", root.join("deep/out")).expect("a scratch folder is writable");
    symlink(OsString::from_vec(b"\xff\n".to_vec()), root.join("deep/odd"))
        .expect("a scratch folder is writable");
    symlink("er", root.join("deep/folder link")).expect("a scratch folder is writable");
    set(&root.join("deep/er/big"), 0o4750, 1_000_000_000);
    set(&root.join("many"), 0o555, 1_100_000_000);
    set(&root.join("deep/er"), 0o711, 1_200_000_000);
    scratch
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_go_there_and_back_with_all_that_is_in_them() {
    let sample = sample();
    let root = sample.path().join("root");
    let mut expected = listing(&root);
    // Of the permissions the special ones are left behind.
    expected.get_mut(Path::new("deep/er/big")).unwrap().1 = 0o750;
    for python in interpreters() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let (target, back) = (there.path().join("a b\n"), here.path().join("back"));
        let tunnel = tunnel(python);
        // The second time they are there.
        for _ in 0..2 {
            let put = tunnel
                .put_dir_with(Put::new(&root).to(&target).keep_modified())
                .await
                .unwrap_or_else(|error| panic!("{python}: {}", error.report()));
            let got = listing(&target);
            let different: Vec<_> =
                expected.iter().filter(|(path, entry)| got.get(*path) != Some(entry)).collect();
            assert!(different.is_empty(), "{python}: {different:?}");
            assert_eq!(got.len(), expected.len(), "{python}");
            assert_eq!((put.files, put.folders, put.links, put.left_out), (70, 7, 3, 0), "{python}");
            assert_eq!(put.remote, target, "{python}");
            let fetched = tunnel
                .fetch_dir_with(Fetch::new(&target).to(&back).keep_modified())
                .await
                .unwrap_or_else(|error| panic!("{python}: {}", error.report()));
            assert!(listing(&back) == got, "{python}");
            assert_eq!((fetched.local.as_ref(), fetched.size), (Some(&back), put.size), "{python}");
            assert_eq!((fetched.files, fetched.folders, fetched.links), (70, 7, 3), "{python}");
        }
        for folder in [target.join("many"), back.join("many")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        tunnel.close().await.unwrap();
    }
    fs::set_permissions(root.join("many"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn special_files_in_folders_are_left_out_and_counted() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let fifo = here.create_folder("root").join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let put = tunnel.put_dir(here.path().join("root"), there.path().join("x")).await.unwrap();
        let fetched = tunnel.fetch_dir(here.path().join("root"), here.path().join("y")).await.unwrap();
        assert_eq!((put.left_out, put.files, fetched.left_out, fetched.files), (1, 0, 1, 0), "{python}");
        assert!(names(&there.path().join("x")).is_empty() && names(&here.path().join("y")).is_empty());
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_folder_is_told() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let (file, missing) = (here.write("file", "x"), here.path().join("missing"));
        let source = here.create_folder("source");
        let target = there.path().join("target");
        for (path, kind) in [(&file, ErrorKind::NotADirectory), (&missing, ErrorKind::NotFound)] {
            let error = tunnel.put_dir(path, &target).await.unwrap_err();
            assert_eq!(failure(&error), (Side::Local, path.clone(), kind), "{python}");
            let error = tunnel.fetch_dir(path, &target).await.unwrap_err();
            assert_eq!(failure(&error), (Side::Remote, path.clone(), kind), "{python}");
        }
        let error = tunnel.put_dir(&source, &file).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, file.clone(), ErrorKind::NotADirectory), "{python}");
        let error = tunnel.fetch_dir(&source, &file).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Local, file.clone(), ErrorKind::NotADirectory), "{python}");
        assert_eq!(fs::read(&file).unwrap(), b"x");
        assert!(names(there.path()).is_empty(), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_the_target_are_not_followed() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        here.write("source/sub/file", "new");
        for folder in [&here, &there] {
            folder.create_folder("outside");
            symlink("../outside", folder.create_folder("target").join("sub")).unwrap();
            let target = folder.path().join("target");
            let error = if std::ptr::eq(folder, &here) {
                tunnel.fetch_dir(here.path().join("source"), target).await.unwrap_err()
            } else {
                tunnel.put_dir(here.path().join("source"), target).await.unwrap_err()
            };
            assert!(failure(&error).1.ends_with("target/sub"), "{python}");
            assert!(names(&folder.path().join("outside")).is_empty(), "{python}");
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_parts_are_named() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        here.write("source/a", "a");
        let blocked = there.create_folder("target/a");
        let error =
            tunnel.put_dir(here.path().join("source"), there.path().join("target")).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Remote, blocked.clone(), ErrorKind::IsADirectory), "{python}");
        let error =
            tunnel.fetch_dir(here.path().join("source"), there.path().join("target")).await.unwrap_err();
        assert_eq!(failure(&error), (Side::Local, blocked, ErrorKind::IsADirectory), "{python}");
        assert_eq!(names(&there.path().join("target")), ["a"], "{python}");
        tunnel.close().await.unwrap();
    }
}
