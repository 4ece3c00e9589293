//! Pools of made-up hosts.

use std::{
    collections::BTreeMap,
    future::{poll_fn, ready},
    time::Duration,
};

use chopsticks_group::{Failure, Feed, Group, Pool, PoolRun, Stage, Step};
use futures::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use crate::hosts::{Host, Log, Trouble};

/// Items are seconds that they take. The host `slow` takes three times as long.
fn slot(host: Host, items: Feed<u64>) -> impl Stream<Item = Step<u64, Trouble>> {
    stream::unfold((host, items), |(host, mut items)| async move {
        let item = items.next().await?;
        let took = Duration::from_secs(if host.name == "slow" { 3 * item } else { item });
        host.log.event(format!("{} begins {item}", host.name));
        sleep(took).await;
        Some((Step::Done { result: Ok(item), took, len: 8 }, (host, items)))
    })
}

fn items(
    items: impl IntoIterator<Item = u64, IntoIter: Send + 'static>,
) -> impl Stream<Item = Result<(u64, usize), Trouble>> {
    stream::iter(items.into_iter().map(|item| Ok((item, 8))))
}

fn pool(log: &Log, names: &[&'static str]) -> Pool<Host> {
    Pool::new(Group::new(names.iter().map(|name| Host::new(log, name))).unwrap())
}

async fn all<V: Send + 'static>(
    run: PoolRun<Host, u64, V>,
) -> Vec<(u64, Option<&'static str>, Result<V, Failure<Trouble>>)> {
    run.map(|done| (done.index, done.host, done.outcome)).collect().await
}

#[tokio::test(start_paused = true)]
async fn fast_host_gets_more_items() {
    let log = Log::default();
    let begun = Instant::now();
    let done = all(pool(&log, &["fast", "slow"]).map(items([10; 8]), slot)).await;
    let mut counts = BTreeMap::new();
    for (_, host, outcome) in done {
        assert_eq!(outcome, Ok(10));
        *counts.entry(host.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(counts, [("fast", 6), ("slow", 2)].into());
    // One second to connect, and nobody was idle.
    assert_eq!(begun.elapsed(), Duration::from_secs(61));
}

#[tokio::test(start_paused = true)]
async fn hosts_stay_busy_while_nobody_takes_outcomes() {
    let log = Log::default();
    let begun = Instant::now();
    let mut run = pool(&log, &["a", "b"]).map(items([10; 8]), slot);
    poll_fn(|context| run.poll_progress(context)).await;
    assert_eq!((run.items_read(), run.items_under_way()), (8, 0));
    assert_eq!(begun.elapsed(), Duration::from_secs(41));
    assert_eq!(all(run).await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_nobody_takes_are_limited() {
    let log = Log::default();
    let mut run = pool(&log, &["a", "b"]).map(items(std::iter::repeat(0)), slot);
    // It would never end if it did not become idle: the time stands still while anything is to be done.
    let idle = tokio::time::timeout(Duration::from_secs(60), poll_fn(|context| run.poll_progress(context)));
    assert!(idle.await.is_err());
    assert_eq!(run.items_under_way(), 0);
    let read = run.items_read();
    assert!((1024..2200).contains(&read), "{read}");
    // It goes on when they are taken.
    assert_eq!((&mut run).take(5000).filter(|done| ready(done.outcome.is_ok())).count().await, 5000);
}

#[tokio::test(start_paused = true)]
async fn item_that_is_late_is_dropped_and_the_slot_goes_on() {
    let log = Log::default();
    let timeout = Duration::from_secs(5);
    let run = pool(&log, &["a"]).item_timeout(timeout).map(items([1, 100, 2]), slot);
    let late = Err(Failure::Timeout { after: timeout, stage: Stage::Running });
    let expected = vec![(0, Some("a"), Ok(1)), (1, Some("a"), late), (2, Some("a"), Ok(2))];
    assert_eq!(all(run.ordered()).await, expected);
    assert_eq!(log.events(), ["a begins 1", "a begins 100", "a begins 2"]);
}

#[tokio::test(start_paused = true)]
async fn slot_that_ends_without_a_word_drops_its_item() {
    let log = Log::default();
    let run = pool(&log, &["a"]).map(items([1, 2]), |_, _| stream::empty::<Step<u64, Trouble>>());
    let outcomes: Vec<_> = all(run).await.into_iter().map(|(_, _, outcome)| outcome).collect();
    assert_eq!(outcomes, [Err(Failure::Dropped), Err(Failure::Dropped)]);
}

#[tokio::test(start_paused = true)]
async fn host_that_is_lost_each_time_is_left_out() {
    let log = Log::default();
    let mut run = pool(&log, &["a", "b"]).map(items([1; 20]), |host, items| match host.name {
        "b" => stream::iter([Step::Lost(Trouble::Broken("b"))]).left_stream(),
        _ => slot(host, items).right_stream(),
    });
    let mut count = 0;
    while let Some(done) = run.next().await {
        assert_eq!((done.host, done.outcome), (Some("a"), Ok(1)));
        assert!(done.attempts <= 2);
        count += 1;
    }
    assert_eq!(count, 20);
    assert_eq!(run.lost(), [("b", Failure::Operation(Trouble::Broken("b")))]);
}

#[tokio::test(start_paused = true)]
async fn targets_that_cannot_be_reached_are_named() {
    let log = Log::default();
    let group = Group::new([Host::new(&log, "a"), Host::new(&log, "gone").unreachable()]).unwrap();
    let mut run = Pool::new(group).map(items([1; 5]), slot);
    assert_eq!((&mut run).filter(|done| ready(done.outcome.is_ok())).count().await, 5);
    assert_eq!(run.lost(), [("gone", Failure::Operation(Trouble::Unreachable("gone")))]);
}

#[tokio::test(start_paused = true)]
async fn streams_come_with_names_and_failures_at_their_places() {
    let log = Log::default();
    let group =
        Group::new([Host::new(&log, "a"), Host::new(&log, "b"), Host::new(&log, "c").unreachable()]).unwrap();
    let items = group.streams(|host: Host| stream::iter([Ok(host.name), Err(Trouble::Broken(host.name))]));
    let mut items: Vec<_> = items.collect().await;
    items.sort_by_key(|(name, _)| *name);
    let broken = |name| (name, Err(Failure::Operation(Trouble::Broken(name))));
    let unreachable = ("c", Err(Failure::Operation(Trouble::Unreachable("c"))));
    assert_eq!(items, [("a", Ok("a")), broken("a"), ("b", Ok("b")), broken("b"), unreachable]);
}
