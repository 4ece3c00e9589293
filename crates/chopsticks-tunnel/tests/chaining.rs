//! Operations whose options are chained and that are awaited.

use std::{fs, time::Duration};

use chopsticks_support::{Scratch, python3};
use chopsticks_tunnel::{Call, ErrorKind, Ignored, Local, Phase, Put, Tunnel};
use futures::future::join_all;

fn tunnel() -> Tunnel {
    Tunnel::new(Local::new().python(python3().path()))
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_a_call_are_chained() {
    let tunnel = tunnel();
    assert_eq!(tunnel.call::<i64>("builtins:int", ("ff",)).kwarg("base", 16).await.unwrap(), 255);
    let joined: String = tunnel.call("os.path:join", ("/srv",)).arg("www").arg("x").await.unwrap();
    assert_eq!(joined, "/srv/www/x");
    let numbers = futures::stream::iter(1..=4);
    assert_eq!(tunnel.call::<u64>("builtins:sum", ()).input(numbers).await.unwrap(), 10);
    let refused = futures::stream::iter([Ok(1), Err(std::io::Error::other("no more"))]);
    let error = tunnel.call::<u64>("builtins:sum", ()).try_input(refused).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Raised(_)) && error.to_string().contains("no more"), "{error}");

    let call = tunnel.call::<Ignored>("time:sleep", (600,)).timeout(Duration::from_millis(10));
    let error = call.await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error}");
    // The tunnel goes on, and so do the calls that exist as values.
    let call = Call::new("builtins:int").args(("11",)).kwarg("base", 2);
    assert_eq!(tunnel.call_with(call).await.unwrap().decode::<i64>().unwrap(), 3);
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn call_begins_when_it_is_polled_and_its_options_are_settled_then() {
    let tunnel = tunnel();
    drop(tunnel.call::<Ignored>("os:getpid", ()).kwarg("bad", 1));
    assert!(!tunnel.give_way(), "nothing has connected");

    let mut call = tunnel.call::<u32>("os:getpid", ());
    assert!(format!("{call:?}").contains("os:getpid"), "{call:?}");
    assert!(futures::poll!(&mut call).is_pending());
    let call = call.timeout(Duration::ZERO).kwarg("bad", 1);
    assert_eq!(format!("{call:?}"), "TunnelCall((begun))");
    let first = call.await.unwrap();
    // They are futures, for those who combine them.
    let all = join_all((0..4).map(|_| tunnel.call::<u32>("os:getpid", ()))).await;
    assert!(all.into_iter().all(|pid| pid.unwrap() == first));
    let task = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.call::<u32>("os:getpid", ()).await }
    });
    assert_eq!(task.await.unwrap().unwrap(), first);
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_call_is_cancelled() {
    let tunnel = tunnel();
    let mut call = tunnel.call::<Ignored>("time:sleep", (600,));
    assert!(futures::poll!(&mut call).is_pending());
    tunnel.connect().await.unwrap();
    drop(call);
    // Without the call, the agent ends at once, and is not killed.
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_transfers_are_chained() {
    let (scratch, tunnel) = (Scratch::new(), tunnel());
    let path = |name: &str| scratch.path().join(name);
    fs::write(path("source"), "content").unwrap();
    let mut seen = 0;
    let progress = |progress: chopsticks_tunnel::Progress| seen = progress.done;
    let put = tunnel.put(path("source"), path("target")).mode(0o640).on_progress(progress);
    assert!(put.await.unwrap().changed);
    assert_eq!(seen, 7);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(path("target")).unwrap().permissions().mode() & 0o777, 0o640);
    let again = tunnel.put(path("source"), path("target")).if_changed().await.unwrap();
    assert!(!again.changed);
    assert!(tunnel.put(path("source"), path("new")).dry_run().await.unwrap().changed);
    assert!(!path("new").exists());
    let error = tunnel.put(path("source"), path("target")).no_overwrite().await.unwrap_err();
    assert_eq!(error.phase(), Phase::Transfer);

    let error = tunnel.fetch(path("target"), path("back")).max_size(3).await.unwrap_err();
    assert_eq!(error.phase(), Phase::Transfer);
    assert!(!path("back").exists());
    tunnel.fetch(path("target"), path("back")).keep_mode().no_sync().await.unwrap();
    assert_eq!(fs::read(path("back")).unwrap(), b"content");

    fs::create_dir(path("folder")).unwrap();
    fs::write(path("folder/file"), "x").unwrap();
    assert_eq!(tunnel.put_dir(path("folder"), path("there")).sync().await.unwrap().files, 1);
    let same = tunnel.put_dir(path("folder"), path("there")).if_changed().await.unwrap();
    assert_eq!((same.changed, same.unchanged), (false, 1));
    let error = tunnel.fetch_dir(path("there"), path("here")).max_size(0).await.unwrap_err();
    assert_eq!(error.phase(), Phase::Transfer);
    assert_eq!(tunnel.fetch_dir(path("there"), path("here")).await.unwrap().files, 1);

    // A value that was put together elsewhere does the same.
    assert_eq!(tunnel.put_with(Put::bytes("abc").to(path("bytes"))).await.unwrap().size, 3);
    tunnel.close().await.unwrap();
}
