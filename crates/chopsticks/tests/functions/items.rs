//! Functions in Rust that yield items while they run.

use std::{
    fs,
    io::{self, BufRead as _},
    path::{Path, PathBuf},
    pin::Pin,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chopsticks::{Agent, ErrorKind, Group, Local, Phase, Tunnel, Via as _, function};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use crate::{CountError, appears, config, pid, tunnel};

#[function]
pub(crate) fn count(end: u64) -> impl Iterator<Item = u64> {
    0..end
}

#[function]
fn pieces(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.split(' ').map(|piece| piece.as_bytes().to_vec())
}

#[function]
fn lines(path: PathBuf) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    Ok(io::BufReader::new(fs::File::open(path)?).lines())
}

#[function]
fn boxed(is_long: bool) -> Box<dyn Iterator<Item = u8>> {
    if is_long { Box::new(0..3) } else { Box::new(std::iter::empty()) }
}

#[function]
fn squares(end: u32) -> impl Stream<Item = u32> {
    stream::iter(0..end).then(|number| async move { number * number })
}

#[function]
async fn later(end: u32) -> Pin<Box<dyn Stream<Item = Result<u32, CountError>> + Send>> {
    std::future::ready(()).await;
    let number = |number| match number {
        2 => Err(CountError::NotAFolder("/two".into())),
        _ => Ok(number),
    };
    stream::iter(0..end).map(number).boxed()
}

/// Makes a file when it is dropped.
struct Mark(PathBuf);

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::write(&self.0, "dropped");
    }
}

#[function]
fn endless(dropped: PathBuf) -> impl Iterator<Item = u64> {
    let mark = Mark(dropped);
    (0..).inspect(move |_| {
        let _ = &mark;
    })
}

/// Yields one item, and is never ready again.
#[function]
fn pending(dropped: PathBuf) -> impl Stream<Item = u8> {
    let mark = Mark(dropped);
    stream::iter([1]).chain(stream::once(async move {
        let _mark = mark;
        std::future::pending().await
    }))
}

#[function]
fn panics_at(place: u64) -> impl Iterator<Item = u64> {
    (0..).inspect(move |number| assert!(*number < place, "it is at {place}"))
}

/// How many items [`blocks`] has made.
static MADE: AtomicU64 = AtomicU64::new(0);

#[function]
fn blocks(number: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..number).map(|_| {
        MADE.fetch_add(1, Ordering::SeqCst);
        vec![7; BLOCK_LEN]
    })
}

#[function]
fn made() -> u64 {
    MADE.load(Ordering::SeqCst)
}

/// Returns the most memory that the agent has had, in KiB.
#[function]
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(u64::MAX)
}

/// Yields numbers, and ends the agent when a file is there.
#[function]
fn dies(number: u64, file: PathBuf) -> impl Iterator<Item = u64> {
    (0..=number).inspect(move |item| {
        if *item == number {
            while !file.exists() {
                std::thread::yield_now();
            }
            process::abort();
        }
    })
}

/// Yields one item, and never the second, whatever is asked of it.
#[function]
fn stuck() -> impl Iterator<Item = u32> {
    [process::id()].into_iter().chain(std::iter::from_fn(|| {
        loop {
            std::thread::park();
        }
    }))
}

#[function]
fn large(len: usize) -> impl Iterator<Item = Vec<u8>> {
    [1, len].into_iter().map(|len| vec![0; len])
}

const BLOCK_LEN: usize = 64 << 10;

#[tokio::test]
async fn items_arrive_in_order() {
    let tunnel = tunnel();
    let numbers: Vec<_> = tunnel.invoke_stream(count::with(200_000)).try_collect().await.unwrap();
    assert_eq!(numbers, (0..200_000).collect::<Vec<_>>());
    let none: Vec<_> = tunnel.invoke_stream(count::with(0)).try_collect().await.unwrap();
    assert!(none.is_empty());
    let bytes: Vec<_> = tunnel.invoke_stream(pieces::with("ab c")).try_collect().await.unwrap();
    assert_eq!(bytes, [b"ab".to_vec(), b"c".to_vec()]);
    let boxed: Vec<_> = tunnel.invoke_stream(boxed::with(true)).try_collect().await.unwrap();
    assert_eq!(boxed, [0, 1, 2]);
    let squares: Vec<_> = tunnel.invoke_stream(squares::with(4)).try_collect().await.unwrap();
    assert_eq!(squares, [0, 1, 4, 9]);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn error_and_panic_arrive_in_their_places() {
    let scratch = tempfile::tempdir().unwrap();
    let tunnel = tunnel();
    let missing = scratch.path().join("missing");
    let error = tunnel.invoke_stream(lines::with(missing)).try_next().await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    assert_eq!(error.items(), Some(0));

    let file = scratch.path().join("lines");
    fs::write(&file, b"one\ntwo\n\xff\nfour\n").unwrap();
    let found: Vec<_> = tunnel.invoke_stream(lines::with(file)).collect().await;
    let [Ok(one), Ok(two), Err(error)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((one.as_str(), two.as_str(), error.items()), ("one", "two", Some(2)));
    assert!(error.to_string().contains("valid UTF-8"), "{error}");

    let found: Vec<_> = tunnel.invoke_stream(later::with(9)).collect().await;
    let [Ok(0), Ok(1), Err(error)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(error.returned::<CountError>(), Some(CountError::NotAFolder("/two".into())));

    let found: Vec<_> = tunnel.invoke_stream(panics_at::with(50_000)).collect().await;
    assert_eq!(found.len(), 50_001);
    assert!(found[..50_000].iter().enumerate().all(|(at, item)| *item.as_ref().unwrap() == at as u64));
    let error = found[50_000].as_ref().unwrap_err();
    assert_eq!((error.items(), error.remote().unwrap().type_name.as_str()), (Some(50_000), "panic"));
    assert!(error.to_string().contains("it is at 50000"), "{error}");
    assert!(tunnel.invoke(pid::with()).await.is_ok());
}

#[tokio::test]
async fn dropped_stream_drops_its_iterator() {
    let scratch = tempfile::tempdir().unwrap();
    let tunnel = tunnel();
    let there = tunnel.invoke(pid::with()).await.unwrap();
    for number in [1, 100_000] {
        let dropped = scratch.path().join(format!("dropped-{number}"));
        let mut items = tunnel.invoke_stream(endless::with(dropped.clone()));
        for wanted in 0..number {
            assert_eq!(items.try_next().await.unwrap(), Some(wanted));
        }
        assert!(!dropped.exists());
        drop(items);
        appears(&dropped).await;
    }
    let dropped = scratch.path().join("dropped-future");
    let mut items = tunnel.invoke_stream(pending::with(dropped.clone()));
    assert_eq!(items.try_next().await.unwrap(), Some(1));
    drop(items);
    appears(&dropped).await;
    assert_eq!(tunnel.invoke(pid::with()).await.unwrap(), there);
}

#[tokio::test]
async fn slow_consumer_sets_the_pace() {
    let tunnel = tunnel();
    let before = tunnel.invoke(peak::with()).await.unwrap();
    let mut items = tunnel.invoke_stream(blocks::with(4_000));
    // A window, and what waits to be sent.
    let ahead = ((4 << 20) + (768 << 10)) / BLOCK_LEN as u64;
    let mut taken = 0;
    while let Some(block) = items.try_next().await.unwrap() {
        assert_eq!(block.len(), BLOCK_LEN);
        taken += 1;
        if taken % 200 == 1 {
            // Another call, while the stream stands still.
            let made = tunnel.invoke(made::with()).await.unwrap();
            assert!(made - taken <= ahead, "{made} made, and {taken} taken");
        }
    }
    assert_eq!(taken, 4_000);
    let after = tunnel.invoke(peak::with()).await.unwrap();
    assert!(after - before < 16 << 10, "{before} KiB became {after} KiB for 250 MiB");
}

#[tokio::test]
async fn lost_connection_tells_how_many_items_came() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, tunnel) = (scratch.path().join("go"), tunnel());
    let mut items = tunnel.invoke_stream(dies::with(3, file.clone()));
    for wanted in 0..3 {
        // Each is sent at once, and not when there are more.
        assert_eq!(items.try_next().await.unwrap(), Some(wanted));
    }
    fs::write(&file, "").unwrap();
    let error = items.try_next().await.unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    assert_eq!(error.items(), Some(3));
    assert!(items.try_next().await.unwrap().is_none());
    assert!(tunnel.invoke(pid::with()).await.is_ok());
}

#[tokio::test]
async fn deadlines_end_streams() {
    let scratch = tempfile::tempdir().unwrap();
    let tunnel = tunnel();
    tunnel.connect().await.unwrap();
    let short = Duration::from_millis(50);
    for invocation in ["whole", "item"].map(|name| (name, pending::with(scratch.path().join(name)))) {
        let (name, invocation) = invocation;
        let invocation = match name {
            "whole" => invocation.timeout(short),
            _ => invocation.item_timeout(short),
        };
        let found: Vec<_> = tunnel.invoke_stream(invocation).collect().await;
        let [Ok(1), Err(error)] = &found[..] else { panic!("{found:?}") };
        assert!(error.is_timeout() && error.phase() == Phase::Call, "{error}");
        assert_eq!(error.items(), Some(1));
        appears(&scratch.path().join(name)).await;
    }
}

#[tokio::test]
async fn groups_and_inner_tunnels_stream() {
    let hosts = ["a", "b"].map(|name| Tunnel::with_config(Local::new().name(name), config()));
    let group = Group::new(&hosts).unwrap();
    let mut sums = [0, 0];
    let mut items = group.invoke_stream(count::with(1_000));
    while let Some((host, item)) = items.next().await {
        sums[usize::from(host.as_str() == "b")] += item.unwrap();
    }
    assert_eq!(sums, [499_500, 499_500]);
    let inner = Tunnel::with_config(Local::new().name("inner").via(&hosts[0]), config());
    let numbers: Vec<_> = inner.invoke_stream(count::with(1_000)).try_collect().await.unwrap();
    assert_eq!(numbers.len(), 1_000);
}

#[tokio::test]
async fn closing_a_tunnel_ends_its_streams() {
    let scratch = tempfile::tempdir().unwrap();
    let (dropped, tunnel) = (scratch.path().join("dropped"), tunnel());
    // This one waits for room, so it can be dropped.
    let mut paused = tunnel.invoke_stream(endless::with(dropped.clone()));
    assert_eq!(paused.try_next().await.unwrap(), Some(0));
    // This one cannot.
    let mut stuck = tunnel.invoke_stream(stuck::with());
    let there = stuck.try_next().await.unwrap().unwrap();
    tunnel.close().await.unwrap();
    assert!(dropped.exists());
    assert!(!Path::new(&format!("/proc/{there}")).exists());
    assert!(stuck.try_next().await.is_err());
}

#[tokio::test]
async fn items_that_cannot_be_sent_fail_in_their_places() {
    let small = Tunnel::with_config(Local::new(), config().max_result_len(1 << 20));
    let found: Vec<_> = small.invoke_stream(large::with(2 << 20)).collect().await;
    let [Ok(_), Err(error)] = &found[..] else { panic!("{found:?}") };
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
    assert!(small.invoke(pid::with()).await.is_ok());

    let python = Tunnel::new(Local::new().python(chopsticks_support::python3().path()));
    let error = python.invoke_stream(count::with(1)).try_next().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongAgent { agent: Agent::Python }), "{error}");
}

#[tokio::test]
async fn auto_starts_the_agent_that_yields_items() {
    let auto = || {
        let driver = Local::new().python(chopsticks_support::python3().path());
        Tunnel::with_config(driver, config().agent(Agent::Auto))
    };
    // Whichever agent is first, and while the other one is in use.
    let python_first = auto();
    let id: u32 = python_first.call("os:getpid", ()).await.unwrap();
    let mut numbers = python_first.invoke_stream(count::with(1_000));
    assert_eq!(numbers.try_next().await.unwrap(), Some(0));
    assert_eq!(python_first.call::<u32>("os:getpid", ()).await.unwrap(), id);
    assert_eq!(numbers.try_collect::<Vec<_>>().await.unwrap().len(), 999);
    python_first.close().await.unwrap();

    let native_first = auto();
    let numbers: Vec<_> = native_first.invoke_stream(count::with(1_000)).try_collect().await.unwrap();
    assert_eq!(numbers.len(), 1_000);
    assert!(native_first.call::<u32>("os:getpid", ()).await.is_ok());
    native_first.close().await.unwrap();

    let none = Local::new().python("/nonexistent/python");
    let none = Tunnel::with_config(none, config().agent(Agent::Auto));
    assert_eq!(none.invoke_stream(count::with(3)).try_collect::<Vec<_>>().await.unwrap().len(), 3);
    none.close().await.unwrap();
}
