//! One operation on many hosts.

use std::{num::NonZeroUsize, time::Duration};

use crate::hosts::{Host, Log, Trouble};
use chopsticks_group::{
    Batch, Budget, Failure, Group, GroupResult, Limits, Member as _, NotStarted, Scope, Stage,
};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn group(log: &Log) -> Group<Host> {
    Group::new(NAMES.map(|name| Host::new(log, name))).unwrap()
}

fn names(group: &Group<Host>) -> String {
    group.names().collect()
}

async fn work(
    group: &Group<Host>,
    seconds: impl Fn(&str) -> u64 + Send + Sync,
) -> GroupResult<&'static str, &'static str, Trouble> {
    let work = |host: Host| {
        let seconds = seconds(host.name);
        async move { if seconds == 0 { Err(Trouble::Broken(host.name)) } else { host.work("x", seconds).await } }
    };
    group.run(work).await
}

#[tokio::test(start_paused = true)]
async fn every_host_has_its_outcome_in_the_order_of_the_group() {
    let log = Log::default();
    let hosts = NAMES.map(|name| Host::new(&log, name));
    let hosts = hosts.map(|host| if host.name == "c" { host.unreachable() } else { host });
    let group = Group::new(hosts).unwrap();
    let start = Instant::now();
    let results = work(&group, |name| match name {
        "a" => 9,
        "e" => 0,
        _ => 2,
    })
    .await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(results.iter().map(|(name, _)| *name).collect::<String>(), "abcdef");
    assert_eq!(results["a"], Ok("a"));
    assert_eq!(results["c"], Err(Failure::Operation(Trouble::Unreachable("c"))));
    assert_eq!(results.get("g"), None);
    assert_eq!(results.successful().map(|(name, _)| *name).collect::<String>(), "abdf");
    let expected = "2/6 hosts had failures\n  c: no route\n  e: it broke";
    assert_eq!(results.clone().raise_failures().unwrap_err().to_string(), expected);
    assert_eq!(names(&group.failed(&results)), "ce");
    assert_eq!(names(&group.succeeded(&results)), "abdf");
    let lengths = results.map(str::len);
    assert_eq!(lengths.folded(), [(&1, vec![&"a", &"b", &"d", &"f"])]);
    assert_eq!(lengths.into_sorted_map().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn outcomes_come_as_they_finish() {
    let log = Log::default();
    let group = group(&log);
    let run = group
        .each(|host| async move { host.work("x", 20 - u64::from(host.name.as_bytes()[0] - b'a')).await });
    let order: String = run.map(|(name, outcome)| outcome.map_or("!", |_| name)).collect().await;
    assert_eq!(order, "fedcba");
}

#[tokio::test(start_paused = true)]
async fn none_all_and_one() {
    let empty = Group::<Host>::default();
    let results = work(&empty, |_| 1).await;
    assert!(results.is_empty() && results.raise_failures().unwrap().is_empty());
    let log = Log::default();
    let results = work(&group(&log), |_| 0).await;
    assert_eq!(results.failures().count(), 6);
    let one = Group::from(Host::new(&log, "x"));
    assert_eq!(work(&one, |_| 1).await.raise_failures().unwrap(), [("x", "x")]);
}

#[tokio::test(start_paused = true)]
async fn limits_on_running_and_connecting_are_kept() {
    let log = Log::default();
    let group = group(&log).limits(Limits::default().max_running(4).max_connecting(2));
    let start = Instant::now();
    assert_eq!(work(&group, |_| 10).await.failures().count(), 0);
    assert_eq!(log.most(), (4, 2));
    // Two connect at a time, for a second; the last two wait for the first two.
    assert_eq!(start.elapsed().as_secs(), 22);
}

#[tokio::test(start_paused = true)]
async fn one_key_does_not_hold_up_another() {
    let log = Log::default();
    let hosts = NAMES.map(|name| Host::new(&log, name).key(if name < "e" { "bastion" } else { "other" }));
    let group = Group::new(hosts).unwrap().limits(Limits::default().max_running_per_key(1));
    let start = Instant::now();
    let order: Vec<_> =
        group.each(|host| async move { host.work("x", 9).await }).map(|(name, _)| name).collect().await;
    assert_eq!(start.elapsed().as_secs(), 40);
    assert_eq!(log.most().0, 2);
    assert_eq!(order.iter().filter(|name| **name < "e").copied().collect::<String>(), "abcd");
    assert!(order[..4].contains(&"e") && order[..4].contains(&"f"), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_stop_what_has_not_started() {
    let log = Log::default();
    let batch = Batch::Count(NonZeroUsize::new(2).unwrap());
    let limits = Limits::default().batch(batch).max_failures(Budget::Count(1), Scope::All);
    let results = work(&group(&log).limits(limits), |name| u64::from(name != "b" && name != "c")).await;
    let not_started = Err(Failure::NotStarted(NotStarted::Failures));
    assert_eq!((&results["a"], &results["d"]), (&Ok("a"), &Ok("d")));
    assert_eq!((&results["e"], &results["f"]), (&not_started, &not_started));
}

#[tokio::test(start_paused = true)]
async fn hanging_host_is_dropped_at_its_deadline_and_the_others_are_on_time() {
    let log = Log::default();
    let group = group(&log).limits(Limits::default().target_timeout(Duration::from_secs(30)));
    let results = work(&group, |name| if name == "b" { 1000 } else { 1 }).await;
    assert_eq!(results["b"], Err(Failure::Timeout { after: Duration::from_secs(30), stage: Stage::Running }));
    assert_eq!(results.successful().count(), 5);
    assert_eq!(log.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn deadline_tells_whether_it_found_the_host_connecting() {
    let after = Duration::from_millis(500);
    for limits in [Limits::default().target_timeout(after), Limits::default().timeout(after)] {
        let group = group(&Log::default()).limits(limits);
        group.targets()[1].connect().await.unwrap();
        let results = work(&group, |_| 60).await;
        assert_eq!(results["a"], Err(Failure::Timeout { after, stage: Stage::Connecting }));
        assert_eq!(results["b"], Err(Failure::Timeout { after, stage: Stage::Running }));
        let texts = ["a", "b"].map(|name| results[name].as_ref().unwrap_err().to_string());
        let expected = ["not connected", "cancelled"];
        assert_eq!(texts, expected.map(|what| format!("{what} after 500.0ms, when the deadline passed")));
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_of_the_whole_tells_who_ran_and_who_waited() {
    let log = Log::default();
    let group = group(&log).limits(Limits::default().timeout(Duration::from_secs(7)).max_running(2));
    let results = work(&group, |name| if name < "c" { 2 } else { 60 }).await;
    assert_eq!(results.successful().count(), 2);
    assert!(
        matches!(results["c"], Err(Failure::Timeout { after, .. }) if after.as_secs() == 4),
        "{results:?}"
    );
    assert_eq!(results["e"], Err(Failure::NotStarted(NotStarted::Timeout)));
    assert!(results.failures().all(|(_, failure)| failure.is_timeout()));
    assert_eq!(log.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_run_drops_what_runs_and_starts_nothing() {
    let log = Log::default();
    let group = group(&log).limits(Limits::default().max_running(2));
    let run = group.run(|host| async move { host.work("x", 5).await });
    assert!(tokio::time::timeout(Duration::from_secs(3), run).await.is_err());
    assert_eq!(log.running(), 0);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(log.events(), ["a x begins", "b x begins"]);
}

#[test]
fn sets_are_by_name_and_keep_the_left_order() {
    let log = Log::default();
    let of = |names: &[&'static str]| Group::new(names.iter().map(|name| Host::new(&log, name))).unwrap();
    let (left, right) = (of(&["c", "a", "b"]), of(&["d", "b", "a"]));
    assert_eq!(names(&(&left | &right)), "cabd");
    assert_eq!(names(&(&left + &right)), "cabd");
    assert_eq!(names(&(&left & &right)), "ab");
    assert_eq!(names(&(&left - &right)), "c");
    assert_eq!(names(&(&left ^ &right)), "cd");
    assert_eq!(names(&(left.clone() | Host::new(&log, "x") | &Host::new(&log, "a"))), "cabx");
    assert_eq!(names(&left.retain(|host| host.name > "a")), "cb");
    assert!(left.contains(&"a") && !left.contains(&"d"));
}

#[test]
fn names_that_repeat_are_refused_all_at_once() {
    let log = Log::default();
    let hosts = ["b", "a", "b", "c", "a", "b"].map(|name| Host::new(&log, name));
    let error = Group::new(hosts).unwrap_err();
    assert_eq!(error.to_string(), "targets have the same name: 'a' (2 times), 'b' (3 times)");
    assert_eq!(error.names(), [("a", 2), ("b", 3)]);
}

#[test]
fn group_prints_as_a_person_would_write_it() {
    let log = Log::default();
    assert_eq!(group(&log).to_string(), "a, b, c, d, e, f");
    assert_eq!(format!("{:?}", group(&log)), r#"Group["a", "b", "c", "d", "e", "f"]"#);
    let many: Vec<_> =
        (b'a'..=b'l').map(|c| Host::new(&log, Box::leak(Box::new(char::from(c).to_string())))).collect();
    assert_eq!(Group::new(many).unwrap().to_string(), "a, b, c, d, e, f, g, h, i and 3 more");
    assert_eq!(Group::<Host>::default().to_string(), "no host");
}
