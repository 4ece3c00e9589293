//! Transfers that succeed.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    sync::{Arc, Mutex},
};

use chopsticks::{Fetch, Put};
use chopsticks_e2e::{newest_and_oldest, tunnel};
use chopsticks_support::{Scratch, interpreters, newest};
use futures::future::join_all;

use crate::{awkward_names, failure, names, noise};

#[tokio::test(flavor = "multi_thread")]
async fn files_of_any_size_arrive_under_every_python() {
    for python in interpreters() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        for size in [0, 1, 4095, 4097, 131_067, 131_068, 131_069, 262_140, 262_141, 5_000_011] {
            let content = noise(size);
            let source = here.write("source", &content);
            let target = there.path().join("target");
            let put = tunnel
                .put(&source, &target)
                .await
                .unwrap_or_else(|error| panic!("{python}: {size}: {}", error.report()));
            assert!(fs::read(&target).unwrap() == content, "{python}: {size}");
            assert_eq!((put.size, &put.local, &put.remote), (size as u64, &None, &target), "{python}");
            assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o644, "{python}");
            let back = here.path().join("back");
            let fetched = tunnel
                .fetch(&target, &back)
                .await
                .unwrap_or_else(|error| panic!("{python}: {size}: {}", error.report()));
            assert!(fs::read(&back).unwrap() == content, "{python}: {size}");
            assert_eq!(fetched.sha1, put.sha1, "{python}");
            assert_eq!((fetched.size, fetched.local, &fetched.remote), (size as u64, Some(back), &target));
        }
        assert_eq!(names(there.path()), ["target"], "{python}");
        assert_eq!(names(here.path()), ["back", "source"], "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checksum_is_the_known_one() {
    for python in interpreters() {
        let there = Scratch::new();
        let tunnel = tunnel(python);
        let put = Put::bytes("abcdefghijkl").to(there.path().join("x"));
        let sha1 = tunnel.put_with(put).await.unwrap().sha1;
        assert_eq!(sha1, "eb4608cebfcfd4df81410cbd06507ea6af978d9c", "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_bytes() {
    for python in interpreters() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        for name in awkward_names() {
            let (source, target) = (here.path().join(&name), there.path().join(&name));
            fs::write(&source, name.as_encoded_bytes()).unwrap();
            // The second time it replaces.
            for _ in 0..2 {
                let put = tunnel
                    .put(&source, &target)
                    .await
                    .unwrap_or_else(|error| panic!("{python}: {}", error.report()));
                assert_eq!(put.remote, target, "{python}");
            }
            fs::remove_file(&source).unwrap();
            for _ in 0..2 {
                tunnel
                    .fetch(&target, &source)
                    .await
                    .unwrap_or_else(|error| panic!("{python}: {}", error.report()));
            }
            assert_eq!(fs::read(&source).unwrap(), name.as_encoded_bytes(), "{python}");
        }
        let mut expected = awkward_names();
        expected.sort();
        assert_eq!(names(there.path()), expected, "{python}");
        assert_eq!(names(here.path()), expected, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_temporary_files_are_made_for_paths_that_are_left_out() {
    for python in newest_and_oldest() {
        let tunnel = tunnel(python);
        let put = tunnel.put_with(Put::bytes("secret")).await.unwrap();
        assert!(put.remote.is_absolute(), "{python}: {:?}", put.remote);
        assert_eq!(fs::metadata(&put.remote).unwrap().permissions().mode() & 0o7777, 0o600, "{python}");
        let fetched = tunnel.fetch_with(Fetch::new(&put.remote)).await.unwrap();
        let local = fetched.local.unwrap();
        assert!(local.is_absolute() && local != put.remote, "{python}: {local:?}");
        assert_eq!(fs::read(&local).unwrap(), b"secret", "{python}");
        assert_eq!(fs::metadata(&local).unwrap().permissions().mode() & 0o7777, 0o600, "{python}");
        fs::remove_file(put.remote).unwrap();
        fs::remove_file(local).unwrap();
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_path_is_refused_and_not_taken_for_one_that_was_left_out() {
    let tunnel = tunnel(newest());
    let folder = Scratch::new();
    for error in [
        tunnel.put_with(Put::bytes("x").to("")).await.unwrap_err(),
        tunnel.put_dir(folder.path(), "").await.unwrap_err(),
        tunnel.fetch_with(Fetch::new("/etc/passwd").to("")).await.unwrap_err(),
        tunnel.fetch_dir(folder.path(), "").await.unwrap_err(),
    ] {
        assert_eq!(failure(&error).2, std::io::ErrorKind::InvalidInput, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_comes_from_readers_and_goes_to_writers() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let (tunnel, target) = (tunnel(python), there.path().join("x"));
        let content = noise(1_000_003);
        let put = tunnel.put_with(Put::reader(&content[..]).to(&target)).await.unwrap();
        assert!(fs::read(&target).unwrap() == content, "{python}");
        assert_eq!(put.size, 1_000_003, "{python}");
        let mut written = Vec::new();
        let fetched = tunnel.fetch_with(Fetch::new(&target).writer(&mut written)).await.unwrap();
        assert!(written == content, "{python}");
        assert_eq!((fetched.local, fetched.sha1), (None, put.sha1), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_whose_content_is_made_when_they_are_read_come_whole() {
    for python in newest_and_oldest() {
        let (tunnel, there) = (tunnel(python), Scratch::new());
        let mut content = Vec::new();
        tunnel.fetch_with(Fetch::new("/proc/self/status").writer(&mut content)).await.unwrap();
        assert!(String::from_utf8(content).unwrap().contains("\nThreads:"), "{python}");
        tunnel.put("/proc/self/status", there.path().join("status")).await.unwrap();
        let status = fs::read_to_string(there.path().join("status")).unwrap();
        assert!(status.contains("\nThreads:"), "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_sysfs_come_whole_although_they_promise_a_page() {
    // It does not change, as others do.
    let path = "/sys/kernel/cpu_byteorder";
    let content = fs::read(path).unwrap();
    assert!(fs::metadata(path).unwrap().len() > content.len() as u64);
    for python in newest_and_oldest() {
        let (tunnel, here) = (tunnel(python), Scratch::new());
        let copies = [here.path().join("fetched file"), here.path().join("put file")];
        let copied = [tunnel.fetch(path, &copies[0]).await, tunnel.put(path, &copies[1]).await];
        for (copied, copy) in copied.into_iter().zip(copies) {
            let copied = copied.unwrap_or_else(|error| panic!("{python}: {}", error.report()));
            assert_eq!((copied.size, fs::read(copy).unwrap()), (content.len() as u64, content.clone()));
        }
        let folders = [here.path().join("fetched"), here.path().join("put")];
        tunnel.fetch_dir("/sys/kernel/cgroup", &folders[0]).await.unwrap();
        tunnel.put_dir("/sys/kernel/cgroup", &folders[1]).await.unwrap();
        for folder in folders {
            let features = fs::read(folder.join("features")).unwrap();
            assert_eq!(features, fs::read("/sys/kernel/cgroup/features").unwrap(), "{python}: {folder:?}");
        }
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_followed_at_both_ends() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        for folder in [&here, &there] {
            folder.write("file", "old");
            symlink("file", folder.path().join("link")).unwrap();
        }
        here.write("file", "new");
        tunnel.put(here.path().join("link"), there.path().join("link")).await.unwrap();
        assert!(there.path().join("link").is_symlink(), "{python}");
        assert_eq!(fs::read(there.path().join("file")).unwrap(), b"new", "{python}");
        there.write("file", "newer");
        tunnel.fetch(there.path().join("link"), here.path().join("link")).await.unwrap();
        assert!(here.path().join("link").is_symlink(), "{python}");
        assert_eq!(fs::read(here.path().join("file")).unwrap(), b"newer", "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_come_as_zeros() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let source = here.path().join("sparse");
        fs::File::create(&source).unwrap().set_len(3_000_000).unwrap();
        assert_eq!(fs::metadata(&source).unwrap().blocks(), 0);
        tunnel.put(&source, there.path().join("x")).await.unwrap();
        tunnel.fetch(there.path().join("x"), here.path().join("back")).await.unwrap();
        assert!(fs::read(here.path().join("back")).unwrap() == vec![0; 3_000_000], "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_and_calls_overlap_on_one_tunnel() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = &tunnel(python);
        let content = &noise(8_000_000);
        let (here, there) = (here.path(), there.path());
        let transfers = (0..4).map(|number| async move {
            let (target, back) = (there.join(format!("{number}")), here.join(format!("{number}")));
            tunnel.put_with(Put::reader(&content[..]).to(&target)).await.unwrap();
            tunnel.fetch(&target, &back).await.unwrap();
            assert!(&fs::read(&back).unwrap() == content);
        });
        let calls = async {
            for number in 0..200 {
                assert_eq!(tunnel.call::<i32>("operator:neg", (number,)).await.unwrap(), -number);
            }
        };
        tokio::join!(join_all(transfers), calls);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_to_the_end() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let source = here.write("source", noise(1_000_000));
        let told = Arc::new(Mutex::new(Vec::new()));
        let record = || {
            let told = told.clone();
            move |progress| told.lock().unwrap().push(progress)
        };
        let target = there.path().join("x");
        tunnel.put_with(Put::new(source).to(&target).on_progress(record())).await.unwrap();
        tunnel.fetch_with(Fetch::new(target).to(here.path().join("y")).on_progress(record())).await.unwrap();
        tunnel.close().await.unwrap();
        let told = told.lock().unwrap();
        assert!(told.iter().all(|progress| progress.total == Some(1_000_000)), "{python}");
        assert_eq!(told.iter().filter(|progress| progress.done == 1_000_000).count(), 2, "{python}");
    }
}
