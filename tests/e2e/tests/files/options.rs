//! What can be asked of a transfer.

use std::{
    fs,
    num::NonZeroU64,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    time::{Duration, Instant, SystemTime},
};

use chopsticks::{Fetch, Put};
use chopsticks_e2e::{newest_and_oldest, tunnel};
use chopsticks_support::Scratch;

use crate::{failure, noise};

#[tokio::test(flavor = "multi_thread")]
async fn mode_and_times_are_as_asked() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let (tunnel, target) = (tunnel(python), there.path().join("x"));
        tunnel.put_with(Put::bytes("x").to(&target).mode(0o4751).modified(time)).await.unwrap();
        let metadata = fs::metadata(&target).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o4751, "{python}");
        assert_eq!(metadata.modified().unwrap(), time, "{python}");

        let local = here.path().join("x");
        tunnel.fetch_with(Fetch::new(&target).to(&local).keep_mode().keep_modified()).await.unwrap();
        let metadata = fs::metadata(&local).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o751, "{python}");
        assert_eq!(metadata.modified().unwrap(), time, "{python}");
        tunnel.put_with(Put::new(&local).to(&target).keep_modified()).await.unwrap();
        assert_eq!(fs::metadata(&target).unwrap().modified().unwrap(), time, "{python}");
        tunnel.fetch_with(Fetch::new(&target).to(&local).mode(0o600)).await.unwrap();
        let metadata = fs::metadata(&local).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600, "{python}");
        assert_ne!(metadata.modified().unwrap(), time, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_is_set_by_name_or_number_or_refused() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let (tunnel, target) = (tunnel(python), there.path().join("x"));
        let put = |owner: &str| tunnel.put_with(Put::bytes("x").to(&target).owner(owner));
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        put(&format!("{user}:{group}")).await.unwrap();
        if user == 0 {
            put("nobody:12345").await.unwrap();
            let metadata = fs::metadata(&target).unwrap();
            assert_eq!((metadata.uid() > 0, metadata.gid()), (true, 12345), "{python}");
            put(":0").await.unwrap();
            let metadata = fs::metadata(&target).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (0, 0), "{python}");
        }
        let error = put("no-such-user-here").await.unwrap_err();
        assert!(
            error.report().contains("there is no user no-such-user-here"),
            "{python}: {}",
            error.report()
        );
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_stays_if_asked() {
    for python in newest_and_oldest() {
        let (here, there) = (Scratch::new(), Scratch::new());
        let tunnel = tunnel(python);
        let (target, local) = (there.path().join("x"), here.write("x", "old"));
        let put = |text: &'static str| Put::bytes(text).to(&target).no_overwrite();
        tunnel.put_with(put("first")).await.unwrap();
        let error = tunnel.put_with(put("second")).await.unwrap_err();
        assert_eq!(failure(&error).2, std::io::ErrorKind::AlreadyExists, "{python}");
        assert_eq!(fs::read(&target).unwrap(), b"first", "{python}");
        let error = tunnel.fetch_with(Fetch::new(&target).to(&local).no_overwrite()).await.unwrap_err();
        assert_eq!(failure(&error).2, std::io::ErrorKind::AlreadyExists, "{python}");
        assert_eq!(fs::read(&local).unwrap(), b"old", "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_slows_both_directions() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let (tunnel, target) = (tunnel(python), there.path().join("x"));
        let limit = NonZeroU64::new(1_000_000).unwrap();
        let begin = Instant::now();
        tunnel.put_with(Put::bytes(noise(300_000)).to(&target).limit(limit)).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(290), "{python}: {:?}", begin.elapsed());
        let begin = Instant::now();
        tunnel.fetch_with(Fetch::new(&target).writer(Vec::new()).limit(limit)).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(290), "{python}: {:?}", begin.elapsed());
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_cancels_and_leaves_nothing() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let (tunnel, target) = (tunnel(python), there.path().join("x"));
        // The deadline is for the transfer alone, and what it needs of the agent is there.
        tunnel.put_with(Put::bytes("x").to(&target)).await.unwrap();
        fs::remove_file(&target).unwrap();
        let (never, _open) = tokio::io::duplex(64);
        // The time that a start takes is not part of what is looked at.
        tunnel.connect().await.unwrap();
        let put = Put::reader(never).to(&target).timeout(Duration::from_millis(200));
        let error = tunnel.put_with(put).await.unwrap_err();
        assert!(error.is_timeout(), "{python}: {}", error.report());
        assert_eq!(error.to_string().split(": ").nth(1), Some("transfer"), "{python}");
        // On the same connection.
        assert_eq!(tunnel.call::<u32>("operator:neg", (-3,)).await.unwrap(), 3);
        assert_eq!(fs::read_dir(there.path()).unwrap().count(), 0, "{python}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn size_that_is_too_much_is_refused() {
    for python in newest_and_oldest() {
        let there = Scratch::new();
        let (tunnel, target) = (tunnel(python), there.write("x", noise(100_000)));
        let mut content = Vec::new();
        let fetch = Fetch::new(&target).writer(&mut content).max_size(99_999);
        let error = tunnel.fetch_with(fetch).await.unwrap_err();
        assert_eq!(failure(&error).2, std::io::ErrorKind::FileTooLarge, "{python}");
        tunnel.fetch_with(Fetch::new(&target).writer(&mut content).max_size(100_000)).await.unwrap();
        tunnel.close().await.unwrap();
    }
}
