//! Many tunnels at once: servers that are busy, and much output.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chopsticks::{Group, Limits, Local, Pool, Stderr, Tunnel, Via as _};
use chopsticks_hosts::check::{config, tunnel};
use chopsticks_hosts::lab::ssh;
use chopsticks_hosts::watch::childless;
use chopsticks_support::processes;
use futures::{StreamExt as _, future::join_all};

/// Calls a function on each, and fails with all that failed.
async fn call_all(tunnels: &[Tunnel]) {
    let answers = join_all(tunnels.iter().map(|tunnel| tunnel.call::<i64>("far:add", (1, 2)))).await;
    let failed: Vec<_> = answers.into_iter().filter_map(|answer| Some(answer.err()?.report())).collect();
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), tunnels.len());
}

async fn close_all(tunnels: Vec<Tunnel>) {
    for closed in join_all(tunnels.iter().map(Tunnel::close)).await {
        closed.unwrap_or_else(|error| panic!("{}", error.report()));
    }
    drop(tunnels);
    childless().await;
}

/// The server drops half of what comes while three are logging in, and all while five are.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_tunnels_connect_to_a_server_that_drops_connections() {
    let tunnels: Vec<_> = (0..50).map(|n| tunnel(ssh("strict").name(format!("strict-{n}")))).collect();
    call_all(&tunnels).await;
    close_all(tunnels).await;
}

/// Some behind a server that drops connections, which must not hold up the others, and one that is none.
#[tokio::test(flavor = "multi_thread")]
async fn group_of_hundreds_has_an_outcome_for_each_and_leaves_nothing() {
    let before = processes::open_descriptors();
    let name = |alias: &str, count: usize| -> Vec<Tunnel> {
        (0..count).map(|n| tunnel(ssh(alias).name(format!("{alias}-{n}")))).collect()
    };
    let lost = tunnel(ssh("plain").name("lost").python("/nonexistent/python"));
    let tunnels = name("plain", 120).into_iter().chain(name("strict", 20)).chain([lost]);
    let limits = Limits::default().max_connecting(64).max_connecting_per_key(40);
    let group = Group::new(tunnels).expect("the names differ").limits(limits);
    let sums = group.call::<i64>("far:add", (1, 2)).await;
    assert_eq!(sums.len(), 141);
    assert!(sums.successful().all(|(_, sum)| *sum == 3));
    let failed: Vec<_> = sums.failures().map(|(host, failure)| format!("{host}: {failure}")).collect();
    assert!(failed.len() == 1 && failed[0].starts_with("lost: "), "{failed:?}");

    // Nobody has connected again: each calls the same agent.
    let well = group.succeeded(&sums);
    let (first, second) = (well.call::<u32>("os:getpid", ()).await, well.call::<u32>("os:getpid", ()).await);
    assert!(first.iter().zip(&second).all(|(first, second)| first.1.as_ref().ok() == second.1.as_ref().ok()));
    assert_eq!(first.successful().count(), 140);
    group.close().await.raise_failures().unwrap_or_else(|failures| panic!("{failures}"));
    childless().await;
    assert!(processes::open_descriptors() <= before + 8, "{before}, now {}", processes::open_descriptors());
}

/// Some by ssh, one of which dies, and one through another tunnel.
#[tokio::test(flavor = "multi_thread")]
async fn pool_spreads_items_over_ssh_and_loses_none() {
    let tunnels: Vec<_> = (0..4).map(|n| tunnel(ssh("plain").name(format!("plain-{n}")))).collect();
    let bastion = tunnel(Local::new().name("bastion"));
    let inner = Tunnel::with_config(ssh("plain").name("inner").via(&bastion), config());
    let group = Group::new(tunnels.iter().cloned().chain([inner])).expect("the names differ");
    let infos = group.connect().await.raise_failures().unwrap_or_else(|failures| panic!("{failures}"));
    assert_eq!(infos.len(), 5);
    let lost: u32 = tunnels[0].call("os:getpid", ()).await.unwrap();
    let mut run =
        Pool::new(&group).per_host(2).map::<i64>("builtins:abs", (0..5000).map(|n: i64| -n)).ordered();
    let mut values = Vec::new();
    while let Some(done) = run.next().await {
        values.push(done.outcome.unwrap_or_else(|failure| panic!("{failure}")));
        if values.len() == 100 {
            let pid = rustix::process::Pid::from_raw(i32::try_from(lost).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
    assert_eq!(values, (0..5000).collect::<Vec<i64>>());
    drop(run);
    group.close().await.raise_failures().unwrap_or_else(|failures| panic!("{failures}"));
    bastion.close().await.unwrap();
    drop((group, tunnels, bastion));
    childless().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_hundred_hosts_are_not_mixed() {
    let heard: Arc<Mutex<HashMap<String, Vec<String>>>> = Arc::default();
    let ear = Arc::clone(&heard);
    let sink = move |host: &str, line: &[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        ear.lock().unwrap().entry(host.to_owned()).or_default().push(line);
    };
    let config = config().stderr(Stderr::callback(sink));
    let tunnels: Vec<_> = (0..100)
        .map(|n| Tunnel::with_config(ssh("plain").name(format!("host-{n}")), config.clone()))
        .collect();
    call_all(&tunnels).await;
    let writes = tunnels.iter().enumerate().map(|(n, tunnel)| {
        tunnel.call::<u32>("far:write_stderr", (100, format!("mark-{n}-{}", "x".repeat(200))))
    });
    for answer in join_all(writes).await {
        answer.unwrap_or_else(|error| panic!("{}", error.report()));
    }
    close_all(tunnels).await;
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 100);
    for (host, lines) in heard.iter() {
        let mark = format!("{}-{}", host.replace("host", "mark"), "x".repeat(200));
        assert_eq!(lines.len(), 103, "{host}");
        for (number, line) in lines.iter().take(100).enumerate() {
            assert_eq!(*line, format!("{mark} line {number}"));
        }
        assert!(lines.iter().all(|line| line.starts_with(&mark)), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_megabytes_of_stderr_come_while_a_result_returns() {
    let count = Arc::new(Mutex::new((0_u64, 0_u64)));
    let ear = Arc::clone(&count);
    let line = "0123456789".repeat(12);
    let expected = line.clone();
    let sink = move |_: &str, line: &[u8]| {
        let mut count = ear.lock().unwrap();
        count.0 += line.len() as u64 + 1;
        count.1 += u64::from(line != expected.as_bytes());
    };
    let tunnel = Tunnel::with_config(ssh("plain"), config().stderr(Stderr::callback(sink)));
    let flood = tunnel.call::<serde_bytes::ByteBuf>("far:flood_stderr", (100, &line));
    let other = tunnel.call::<i64>("far:add", (1, 2));
    let (result, other) = tokio::join!(flood, other);
    assert_eq!((result.unwrap().len(), other.unwrap()), (2 << 20, 3));
    tunnel.close().await.unwrap();
    let (bytes, wrong) = *count.lock().unwrap();
    // The last line has no end of its own, and is cut where the hundred megabytes are.
    assert!(bytes.abs_diff(100 << 20) <= 1 && wrong <= 1, "{bytes} bytes, {wrong} other lines");
}
