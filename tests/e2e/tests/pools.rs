//! Pools: many items, each of which goes to a host that is free. And the streams of groups.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chopsticks::{
    Call, Codebase, ErrorKind, Failure, Group, Local, NotStarted, Pool, PoolOutcome, PoolRun, Tunnel,
    TunnelConfig, Via,
};
use chopsticks_e2e::{PATIENCE, canary, local, quiet, resident, wait_for, wait_until_none};
use chopsticks_support::{Scratch, interpreters, newest};
use futures::{StreamExt as _, stream};
use serde_bytes::ByteBuf;

const WORK: &str = r#"import os
import subprocess
import sys
import threading
import time


def square(n):
    return n * n


def odd(n):
    if n % 2:
        raise ValueError('odd: %d' % n)
    return n


def unfit(n):
    return object() if n == 1 else n


def pid(n):
    time.sleep(.001)
    return os.getpid()


def wait(path):
    while not os.path.exists(path):
        time.sleep(.002)
    return path


def once(path, n):
    """Ends the agent the first time."""
    with open('%s-%d' % (path, n), 'a') as file:
        file.write('.')
        file.flush()
        if file.tell() == 1 and n == 5:
            os.kill(os.getpid(), 9)
    return n


def poison(n, path):
    with open('%s-%d' % (path, n), 'a') as file:
        file.write('.')
    if n == 5:
        os.kill(os.getpid(), 9)
    return n


def process(n, mark):
    if n == 3:
        subprocess.Popen(['sh', '-c', 'sleep 600; :', mark]).wait()
    return n


def sleep(n, mark):
    subprocess.Popen(['sh', '-c', 'sleep 600; :', mark]).wait()


def together(n, folder, count):
    """Returns when so many run at once."""
    open(os.path.join(folder, str(n)), 'w').close()
    while len(os.listdir(folder)) < count:
        time.sleep(.002)
    return n


def block(path):
    """Returns a mebibyte once there is a file."""
    wait(path)
    return b'x' * (1 << 20)


def leave(n):
    sys.exit(n)


def count(n):
    for i in range(n):
        yield i
"#;

const LATER: &str = "import asyncio

async def square(n):
    await asyncio.sleep(0.001)
    if n == 3:
        raise ValueError('three')
    return n * n
";

fn code() -> Scratch {
    let code = Scratch::new();
    code.write("work.py", WORK);
    code.write("later.py", LATER);
    code
}

fn config(code: &Scratch) -> TunnelConfig {
    quiet().modules(Codebase::folder(code.path()))
}

/// A group of `count` agents of the newest Python.
fn agents(count: usize, code: &Scratch) -> Group {
    let config = config(code);
    let agent = |n| Tunnel::with_config(local(newest()).name(format!("host{n}")), config.clone());
    Group::new((0..count).map(agent)).expect("the names differ")
}

async fn all<V: Send + 'static>(run: PoolRun<V>) -> Vec<PoolOutcome<V>> {
    tokio::time::timeout(PATIENCE, run.collect()).await.expect("the pool ends")
}

/// The values by the numbers of their items, each of which has come once.
fn values<V: Clone>(outcomes: &[PoolOutcome<V>]) -> BTreeMap<u64, V> {
    let ok = outcomes.iter().filter_map(|done| Some((done.index, done.outcome.as_ref().ok()?.clone())));
    let values: BTreeMap<_, _> = ok.collect();
    assert_eq!(values.len(), outcomes.iter().filter(|done| done.outcome.is_ok()).count());
    values
}

#[tokio::test]
async fn items_are_spread_over_hosts_of_all_versions() {
    let code = code();
    let tunnels = interpreters().iter().map(|python| Tunnel::with_config(local(python), config(&code)));
    let group = Group::new(tunnels).unwrap();
    let hosts = group.len();
    let done = all(Pool::new(&group).map::<u64>("work:square", 0..1000_u64)).await;
    assert_eq!(values(&done), (0..1000).map(|n| (n, n * n)).collect());
    assert!(done.iter().all(|done| done.attempts == 1 && done.host.is_some()));
    // Each has a process of its own, and none of the hosts was left out.
    let done = all(Pool::new(&group).map::<u64>("work:pid", 0..500)).await;
    let mut pids: Vec<_> = values(&done).into_values().collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), hosts);
    group.close().await;
}

#[tokio::test]
async fn failures_are_outcomes_of_their_items_on_all_versions() {
    let code = code();
    for python in interpreters() {
        let pool = Pool::new(Tunnel::with_config(local(python), config(&code)));
        let done = all(pool.map::<u64>("work:odd", 0..100_u64).ordered()).await;
        for (n, done) in done.iter().enumerate() {
            match &done.outcome {
                Ok(value) => assert_eq!((*value, n % 2), (n as u64, 0)),
                Err(Failure::Operation(error)) => {
                    let exception = error.remote().expect("it was raised");
                    assert_eq!(exception.message, format!("odd: {n}"), "{python}");
                    assert!(exception.traceback.contains("in odd"), "{}", exception.traceback);
                }
                Err(failure) => panic!("{failure}"),
            }
        }
        assert_eq!(done.len(), 100);
        // So is a result that cannot be sent, and the end of the interpreter.
        let done = all(pool.map::<u64>("work:unfit", 0..3_u64).ordered()).await;
        assert_eq!(values(&done), [(0, 0), (2, 2)].into());
        let Err(Failure::Operation(error)) = &done[1].outcome else { panic!("{:?}", done[1]) };
        assert!(matches!(error.kind(), ErrorKind::UnfitResult { .. }), "{error}");
        let done = all(pool.map::<Option<u64>>("work:leave", 0..3_u64).ordered()).await;
        assert_eq!(values(&done), [(0, None)].into());
    }
}

#[tokio::test]
async fn function_that_is_missing_fails_each_item() {
    let code = code();
    let done = all(Pool::new(agents(2, &code)).map::<u64>("work:nothing", 0..20)).await;
    assert_eq!(done.len(), 20);
    for done in done {
        let Err(Failure::Operation(error)) = done.outcome else { panic!("{done:?}") };
        assert!(matches!(error.kind(), ErrorKind::NoFunction { .. }), "{error}");
    }
}

#[tokio::test]
async fn argument_that_cannot_be_sent_is_the_failure_of_its_item() {
    let code = code();
    struct Unfit(u64);
    impl serde::Serialize for Unfit {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                2 => Err(serde::ser::Error::custom("two")),
                n => serializer.serialize_u64(n),
            }
        }
    }
    let done = all(Pool::new(agents(1, &code)).map::<u64>("work:square", (0..4).map(Unfit)).ordered()).await;
    assert_eq!(values(&done), [(0, 0), (1, 1), (3, 9)].into());
    let failure = done[2].outcome.as_ref().unwrap_err();
    assert_eq!(failure.to_string().matches("the item cannot be sent").count(), 1, "{failure}");
    assert_eq!((done[2].attempts, &done[2].host), (0, &None));
}

#[tokio::test]
async fn coroutine_functions_are_awaited() {
    let code = code();
    let pool = Pool::new(agents(2, &code)).per_host(3);
    let done = all(pool.map::<u64>("later:square", 0..50_u64).ordered()).await;
    let expected: BTreeMap<_, _> = (0..50).filter(|n| *n != 3).map(|n| (n, n * n)).collect();
    assert_eq!(values(&done), expected);
    let Err(Failure::Operation(error)) = &done[3].outcome else { panic!("{:?}", done[3]) };
    assert_eq!(error.remote().unwrap().message, "three");
}

#[tokio::test]
async fn outcomes_come_in_order_within_a_window() {
    let code = code();
    let marker = code.path().join("marker");
    let read = Arc::new(AtomicU64::new(0));
    let counted = {
        let (read, marker) = (read.clone(), marker.clone());
        (0..).map(move |n| {
            read.fetch_add(1, Ordering::Relaxed);
            if n == 0 { marker.clone() } else { "/".into() }
        })
    };
    let run = Pool::new(agents(2, &code)).map::<String>("work:wait", counted).ordered_within(20);
    let mut run = run.take(100);
    // The first one is not done: nothing comes, and no more than the window is read.
    let waits = futures::poll!(run.next());
    assert!(waits.is_pending());
    let next = run.next();
    tokio::pin!(next);
    while read.load(Ordering::Relaxed) < 20 {
        assert!(futures::poll!(&mut next).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(futures::poll!(&mut next).is_pending());
    assert_eq!(read.load(Ordering::Relaxed), 20);
    fs::write(&marker, "").unwrap();
    assert_eq!(next.await.unwrap().index, 0);
    let rest: Vec<_> = run.map(|done| done.index).collect().await;
    assert_eq!(rest, (1..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn results_behind_a_slow_item_take_bounded_memory() {
    let code = code();
    let marker = code.path().join("marker");
    let paths = [marker.clone()].into_iter().chain(std::iter::repeat_n("/".into(), 400));
    let pool = Pool::new(agents(3, &code)).max_buffered(16 << 20);
    let mut run = pool.map::<ByteBuf>("work:block", paths).ordered_within(1_000_000);
    let before = resident();
    // Until nobody gets an item any more, but for the first.
    while run.items_read() < 10 || run.items_under_way() > 1 {
        assert!(tokio::time::timeout(Duration::from_millis(2), run.next()).await.is_err());
    }
    assert!((17..30).contains(&run.items_read()), "{}", run.items_read());
    assert!(resident() < before + (64 << 20), "{before}, and then {}", resident());
    fs::write(&marker, "").unwrap();
    let mut count = 0;
    while let Some(done) = run.next().await {
        assert_eq!((done.index, done.outcome.unwrap().len()), (count, 1 << 20));
        count += 1;
    }
    assert_eq!(count, 401);
    assert!(resident() < before + (80 << 20), "{before}, and then {}", resident());
}

#[tokio::test]
async fn each_host_performs_several_items_at_a_time() {
    let code = code();
    let folder = Scratch::new();
    let call = Call::new("work:together").args((folder.path(), 6));
    let done =
        all(Pool::new(agents(2, &code)).per_host(3).map_with::<u64>(call, stream::iter(0..6_u64))).await;
    assert_eq!(values(&done).len(), 6);
}

#[tokio::test]
async fn item_of_a_host_that_was_killed_goes_to_another() {
    let code = code();
    let path = code.path().join("tried");
    let items = (0..200_u64).collect::<Vec<_>>();
    let call = Call::new("work:poison").args((&path,));
    let (one, other) = (agents(3, &code), agents(3, &code));
    // The item 5 ends every agent that it comes to, and takes no other item along for good.
    let done = all(Pool::new(&one).map_with::<u64>(call.clone(), stream::iter(items.clone()))).await;
    let values = values(&done);
    assert_eq!(values.len(), 199);
    for done in &done {
        match done.index {
            5 => {
                assert_eq!(done.attempts, 3);
                let Err(Failure::Operation(error)) = &done.outcome else { panic!("{done:?}") };
                assert!(error.is_disconnected(), "{error}");
            }
            _ => assert!(done.attempts <= 2, "{done:?}"),
        }
    }
    assert_eq!(fs::read_to_string(format!("{}-5", path.display())).unwrap(), "...");

    // With one attempt nothing is performed twice.
    let path = code.path().join("single");
    let call = Call::new("work:poison").args((&path,));
    let done = all(Pool::new(&other).attempts(1).map_with::<u64>(call, stream::iter(items))).await;
    assert_eq!(self::values(&done).len(), 199);
    for n in 0..200 {
        assert_eq!(fs::read_to_string(format!("{}-{n}", path.display())).unwrap(), ".", "{n}");
    }
}

#[tokio::test]
async fn agent_that_was_killed_from_outside_loses_no_item() {
    let code = code();
    let group = agents(2, &code);
    let infos = group.connect().await.raise_failures().unwrap();
    let victim = infos[0].1.pid;
    let mut run = Pool::new(&group).map::<u64>("work:pid", 0..1000_u64);
    let mut done = Vec::new();
    while let Some(outcome) = run.next().await {
        done.push(outcome);
        if done.len() == 100 {
            let pid = rustix::process::Pid::from_raw(i32::try_from(victim).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
    assert_eq!(values(&done).len(), 1000);
    assert!(run.lost().is_empty());
    // It was connected again.
    assert!(done[900..].iter().any(|done| done.host.as_ref().is_some_and(|host| host.as_str() == "host0")));
}

#[tokio::test]
async fn hosts_that_cannot_be_reached_are_left_out() {
    let code = code();
    let missing = Tunnel::with_config(Local::new().name("missing").python("/nonexistent/python"), quiet());
    let group = agents(1, &code).with(&missing).unwrap();
    let mut run = Pool::new(&group).map::<u64>("work:square", 0..100_u64);
    let done: Vec<_> = (&mut run).collect().await;
    assert_eq!(values(&done).len(), 100);
    assert_eq!(run.lost()[0].0.as_str(), "missing");

    // Without any host, each item says so.
    for group in [Group::from(&missing), Group::default()] {
        let done = all(Pool::new(group).map::<u64>("work:square", 0..100_u64).ordered()).await;
        assert_eq!(done.len(), 100);
        let no_targets =
            |done: &PoolOutcome<u64>| matches!(done.outcome, Err(Failure::NotStarted(NotStarted::NoTargets)));
        assert!(done.iter().all(no_targets), "{done:?}");
    }
}

#[tokio::test]
async fn deadline_of_an_item_ends_it_and_what_it_started() {
    let code = code();
    let mark = canary("pool-deadline");
    let call = Call::new("work:process").args((&mark,)).timeout(Duration::from_secs(3));
    let done = all(Pool::new(agents(2, &code)).map_with::<u64>(call, stream::iter(0..50_u64))).await;
    assert_eq!(values(&done).len(), 49);
    let late = done.iter().find(|done| done.index == 3).unwrap();
    assert!(matches!(late.outcome, Err(Failure::Timeout { .. })), "{late:?}");
    // The runtime has to go on meanwhile: the cancel may still be on its way.
    tokio::task::spawn_blocking(move || wait_until_none(&mark)).await.unwrap();
}

#[tokio::test]
async fn dropping_the_outcomes_ends_everything() {
    let code = code();
    let mark = canary("pool-drop");
    let group = agents(3, &code);
    let call = Call::new("work:sleep").args((&mark,));
    let mut run = Pool::new(&group).per_host(2).map_with::<u64>(call, stream::iter(0..50_u64));
    assert!(tokio::time::timeout(Duration::from_millis(1), run.next()).await.is_err());
    let begun = tokio::task::spawn_blocking({
        let mark = mark.clone();
        move || wait_for(&mark, 6)
    });
    tokio::select! {
        _ = run.next() => panic!("nothing is done"),
        result = begun => result.unwrap(),
    }
    drop(run);
    tokio::task::spawn_blocking(move || wait_until_none(&mark)).await.unwrap();
    // The tunnels are as usable as before.
    let squares = group.call::<u64>("work:square", (4,)).await;
    assert!(squares.iter().all(|(_, square)| matches!(square, Ok(16))));
}

#[tokio::test]
async fn hosts_come_and_go_while_it_runs() {
    let code = code();
    let group = agents(3, &code);
    let tunnels: Vec<_> = group.tunnels().cloned().collect();
    let pool = Pool::new(&tunnels[0]);
    let mut run = pool.map::<u64>("work:pid", 0_u64..);
    let first = run.next().await.unwrap();
    assert_eq!(first.host.unwrap().as_str(), "host0");
    pool.add(&tunnels[1]);
    pool.add(&tunnels[2]);
    assert_eq!(pool.hosts().len(), 3);
    let from =
        |name: &'static str| move |done: &PoolOutcome<u64>| done.host.as_ref().unwrap().as_str() == name;
    while !from("host2")(&run.next().await.unwrap()) {}
    assert!(pool.remove(tunnels[0].host()) && !pool.remove(tunnels[0].host()));
    // What it has goes on to its outcome, and then it gets nothing.
    let mut others = 0;
    while others < 500 {
        let done = run.next().await.unwrap();
        others = if from("host0")(&done) { 0 } else { others + 1 };
    }
    pool.remove(tunnels[1].host());
    pool.remove(tunnels[2].host());
    loop {
        if let Err(failure) = run.next().await.unwrap().outcome {
            assert!(matches!(failure, Failure::NotStarted(NotStarted::NoTargets)), "{failure}");
            break;
        }
    }
}

#[tokio::test]
async fn failures_over_the_limit_stop_the_run() {
    let code = code();
    let read = Arc::new(AtomicU64::new(0));
    let counter = read.clone();
    let items = (0_u64..).inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let pool = Pool::new(agents(2, &code)).max_failures(3);
    let done = all(pool.map::<u64>("work:odd", items)).await;
    assert!(done.iter().filter(|done| done.outcome.is_err()).count() > 3);
    assert_eq!(done.len() as u64, read.load(Ordering::Relaxed));
}

#[tokio::test]
async fn fifty_hosts_and_two_hops() {
    let code = code();
    let group = agents(50, &code);
    let mut run = Pool::new(&group).map::<u64>("work:pid", 0..5000_u64).recorded();
    let done: Vec<_> = (&mut run).collect().await;
    assert_eq!(values(&done).len(), 5000);
    let timeline = run.timeline();
    assert_eq!(timeline.rows().iter().map(|(_, spans)| spans.len()).sum::<usize>(), 5000);
    assert!(timeline.rows().iter().flat_map(|(_, spans)| spans).all(|span| span.is_success));
    group.close().await;

    let bastion = Tunnel::with_config(local(newest()).name("bastion"), config(&code));
    let inner = |n: usize| {
        let hop = Tunnel::with_config(local(newest()).name(format!("hop{n}")).via(&bastion), config(&code));
        Tunnel::with_config(local(newest()).name(format!("inner{n}")).via(&hop), config(&code))
    };
    let group = Group::new((0..2).map(inner)).unwrap();
    let done = all(Pool::new(&group).map::<u64>("work:square", 0..2000_u64)).await;
    assert_eq!(values(&done), (0..2000).map(|n| (n, n * n)).collect());
}

#[tokio::test]
async fn group_streams_items_of_all_hosts_with_their_names() {
    let code = code();
    let missing = Tunnel::with_config(Local::new().name("missing").python("/nonexistent/python"), quiet());
    let group = agents(3, &code).with(&missing).unwrap();
    let mut items = group.stream::<u64>("work:count", (1000,));
    let mut came: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut failures = Vec::new();
    while let Some((host, item)) = items.next().await {
        match item {
            Ok(item) => came.entry(host.to_string()).or_default().push(item),
            Err(failure) => failures.push((host.to_string(), failure)),
        }
    }
    assert_eq!(came.len(), 3);
    assert!(came.values().all(|items| *items == (0..1000).collect::<Vec<_>>()));
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, "missing");
    // A host's own failure comes among its items.
    let mut items = group.stream::<u64>("work:count", ("many",));
    let mut failed = 0;
    while let Some((_, item)) = items.next().await {
        failed += usize::from(item.is_err());
    }
    assert_eq!(failed, 4);
}
