//! Lines of operations.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::hosts::{Host, Log, Trouble};
use chopsticks_group::{AsyncResult, Failure, Group, Limits, Member as _, NotStarted, Outcome, Queue, Stage};
use tokio::time::{Instant, sleep, timeout};

fn work(
    queue: &Queue<Host>,
    host: &Host,
    what: &'static str,
    seconds: u64,
) -> AsyncResult<Outcome<&'static str, Trouble>> {
    queue.push(host, what, move |host| async move { host.work(what, seconds).await })
}

#[tokio::test(start_paused = true)]
async fn each_host_works_its_line_and_waits_for_no_other() {
    let log = Log::default();
    let (fast, slow) = (Host::new(&log, "fast"), Host::new(&log, "slow"));
    let queue = Queue::new();
    let results = [
        work(&queue, &slow, "1", 50),
        work(&queue, &fast, "1", 5),
        work(&queue, &fast, "2", 5),
        work(&queue, &slow, "2", 1),
    ];
    assert!(queue.len() == 4 && results[0].value().is_err());
    let start = Instant::now();
    queue.run().await;
    assert_eq!(start.elapsed().as_secs(), 52);
    assert!(queue.is_empty());
    for (result, name) in results.into_iter().zip(["slow", "fast", "fast", "slow"]) {
        assert_eq!(*result.value().unwrap(), Ok(name));
        assert_eq!(*result.await, Ok(name));
    }
    let events = log.events();
    let ends: Vec<_> =
        events.iter().filter(|event| event.ends_with("ends")).map(|e| e.trim_end_matches(" ends")).collect();
    assert_eq!(ends, ["fast 1", "fast 2", "slow 1", "slow 2"]);
}

#[tokio::test(start_paused = true)]
async fn operation_on_a_group_has_one_result() {
    let log = Log::default();
    let group = Group::new(["a", "b"].map(|name| Host::new(&log, name))).unwrap();
    let queue = Queue::new();
    let first = queue.each(&group, "first", |host| async move { host.work("first", 1).await });
    let none = queue.each(&Group::default(), "none", |host| async move { host.connect().await });
    assert!(none.value().unwrap().is_empty());
    queue.run().await;
    let results = first.value().unwrap();
    assert_eq!(results.iter().map(|(name, _)| *name).collect::<String>(), "ab");
    assert_eq!(results["b"], Ok("b"));
}

#[tokio::test(start_paused = true)]
async fn unreachable_host_fails_its_line_and_no_other() {
    let log = Log::default();
    let (up, down) = (Host::new(&log, "up"), Host::new(&log, "down").unreachable());
    let queue = Queue::new();
    let lost = [work(&queue, &down, "1", 1), work(&queue, &down, "2", 1)];
    let broken = queue.push(&up, "0", |host| async move { Err::<(), _>(Trouble::Broken(host.name)) });
    let done = work(&queue, &up, "1", 1);
    queue.run().await;
    for lost in lost {
        assert_eq!(*lost.value().unwrap(), Err(Failure::Operation(Trouble::Unreachable("down"))));
    }
    assert_eq!(*broken.value().unwrap(), Err(Failure::Operation(Trouble::Broken("up"))));
    assert_eq!(*done.value().unwrap(), Ok("up"));
}

#[tokio::test(start_paused = true)]
async fn callbacks_may_add_operations() {
    let log = Log::default();
    let host = Host::new(&log, "a");
    let queue = Queue::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let first = work(&queue, &host, "1", 1);
    let (again, other, record) = (queue.clone(), Host::new(&log, "b"), seen.clone());
    first.with_callback(move |outcome| {
        record.lock().unwrap().push(*outcome.as_ref().unwrap());
        let record = record.clone();
        work(&again, &other, "2", 1)
            .with_callback(move |outcome| record.lock().unwrap().push(*outcome.as_ref().unwrap()));
    });
    queue.run().await;
    assert_eq!(*seen.lock().unwrap(), ["a", "b"]);
    // One that is given late is called at once.
    let late = seen.clone();
    first.with_callback(move |_| late.lock().unwrap().push("late"));
    assert_eq!(seen.lock().unwrap().last(), Some(&"late"));
}

#[tokio::test(start_paused = true)]
async fn callback_of_a_lost_host_may_try_again() {
    let log = Log::default();
    let down = Host::new(&log, "down").unreachable();
    let queue = Queue::new();
    let lost = work(&queue, &down, "1", 1);
    let behind = work(&queue, &down, "2", 1);
    let again = queue.clone();
    let retried = Arc::new(Mutex::new(None));
    let slot = retried.clone();
    lost.with_callback(move |_| {
        let up = Host::new(&Log::default(), "down");
        *slot.lock().unwrap() = Some(work(&again, &up, "again", 1));
    });
    queue.run().await;
    assert!(behind.value().unwrap().is_err());
    let retried = retried.lock().unwrap().take().unwrap();
    assert_eq!(*retried.value().unwrap(), Ok("down"));
}

#[tokio::test(start_paused = true)]
async fn operations_of_other_tasks_are_taken_up_while_it_runs() {
    let log = Log::default();
    let queue = Queue::new();
    let long = work(&queue, &Host::new(&log, "a"), "1", 10);
    let (other, host) = (queue.clone(), Host::new(&log, "b"));
    let added = tokio::spawn(async move {
        sleep(Duration::from_secs(5)).await;
        (work(&other, &host, "2", 1).await, Instant::now())
    });
    let start = Instant::now();
    queue.run().await;
    let (outcome, at) = added.await.unwrap();
    assert_eq!((*outcome).clone(), Ok("b"));
    assert_eq!((at - start).as_secs(), 7);
    assert!(long.value().is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropped_run_drops_what_runs_and_keeps_the_rest() {
    let log = Log::default();
    let host = Host::new(&log, "a");
    let queue = Queue::new();
    let (first, second) = (work(&queue, &host, "1", 10), work(&queue, &host, "2", 1));
    assert!(timeout(Duration::from_secs(3), queue.run()).await.is_err());
    assert_eq!(*first.value().unwrap(), Err(Failure::Dropped));
    assert!(log.running() == 0 && second.value().is_err() && queue.len() == 1);
    queue.run().await;
    assert_eq!(*second.value().unwrap(), Ok("a"));
}

#[tokio::test(start_paused = true)]
async fn dropped_queue_leaves_no_one_waiting() {
    let log = Log::default();
    let queue = Queue::new();
    let result = work(&queue, &Host::new(&log, "a"), "1", 10);
    drop(queue);
    assert_eq!(*result.await, Err(Failure::Dropped));
}

#[tokio::test(start_paused = true)]
async fn deadline_tells_whether_it_found_the_host_connecting() {
    let log = Log::default();
    let queue = Queue::with_limits(Limits::default().target_timeout(Duration::from_millis(500)));
    let results = [work(&queue, &Host::new(&log, "a"), "1", 60), {
        let connected = Host::new(&log, "b");
        connected.connect().await.unwrap();
        work(&queue, &connected, "1", 60)
    }];
    queue.run().await;
    let stages = results.map(|result| match &*result.value().unwrap() {
        Err(Failure::Timeout { stage, .. }) => *stage,
        other => panic!("{other:?}"),
    });
    assert_eq!(stages, [Stage::Connecting, Stage::Running]);
}

#[tokio::test(start_paused = true)]
async fn deadlines_hold_for_each_operation_and_for_the_whole() {
    let log = Log::default();
    let limits = Limits::default().target_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(8));
    let queue = Queue::with_limits(limits);
    let (a, b) = (Host::new(&log, "a"), Host::new(&log, "b"));
    let results = [
        work(&queue, &a, "1", 60),
        work(&queue, &a, "2", 60),
        work(&queue, &a, "3", 1),
        work(&queue, &b, "1", 1),
    ];
    let start = Instant::now();
    queue.run().await;
    assert_eq!(start.elapsed().as_secs(), 8);
    let [first, second, third, other] = results.map(|result| (*result.value().unwrap()).clone());
    assert_eq!(first, Err(Failure::Timeout { after: Duration::from_secs(5), stage: Stage::Running }));
    assert!(matches!(second, Err(Failure::Timeout { after, .. }) if after.as_secs() == 3), "{second:?}");
    assert_eq!(third, Err(Failure::NotStarted(NotStarted::Timeout)));
    assert_eq!(other, Ok("b"));
}

#[tokio::test(start_paused = true)]
async fn limits_are_kept_among_lines() {
    let log = Log::default();
    let queue = Queue::with_limits(Limits::default().max_running(2).max_connecting(1));
    for name in ["a", "b", "c", "d"] {
        for what in ["1", "2"] {
            work(&queue, &Host::new(&log, name), what, 5);
        }
    }
    queue.run().await;
    assert_eq!(log.most(), (2, 1));
    assert_eq!(log.events().len(), 16);
}

#[tokio::test(start_paused = true)]
async fn timeline_tells_what_each_host_did() {
    let log = Log::default();
    let (a, b) = (Host::new(&log, "a"), Host::new(&log, "b"));
    let queue = Queue::new();
    assert!(queue.timeline().is_empty());
    work(&queue, &a, "1", 4);
    work(&queue, &a, "2", 2);
    work(&queue, &b, "1", 1);
    queue.run().await;
    let timeline = queue.timeline();
    let [(_, spans), (name, _)] = timeline.rows() else { panic!("two rows are expected: {timeline:?}") };
    let times: Vec<_> =
        spans.iter().map(|span| (span.start.as_secs(), span.end.unwrap().as_secs())).collect();
    assert_eq!((times, *name), (vec![(0, 5), (5, 7)], "b"));
    assert_eq!(timeline.len().as_secs(), 7);
    assert_eq!(timeline.to_svg().matches("<g>").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_lines_cost_no_search() {
    let log = Log::default();
    let hosts: Vec<_> =
        (0..5000).map(|n: u32| Host::new(&log, Box::leak(Box::new(n.to_string()))).key("one")).collect();
    let queue = Queue::with_limits(Limits::default().max_running_per_key(3));
    for host in &hosts {
        queue.push(host, "x", |host| async move { Ok::<_, Trouble>(host.name) });
    }
    queue.run().await;
    assert_eq!(queue.timeline().rows().len(), 5000);
}
