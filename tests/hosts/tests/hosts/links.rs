//! Links that are cut, and servers and clients that are killed, while a call is under way.

use std::time::Duration;

use chopsticks::{Error, Hint, Tunnel};
use chopsticks_hosts::check::{matches, tunnel};
use chopsticks_hosts::lab::{self, Cut, ssh};
use chopsticks_hosts::watch::{PATIENCE, appeared, canary, eventually, gone};
use chopsticks_support::processes;

/// Begins a call that never ends by itself.
async fn hang(tunnel: &Tunnel, canary: &str) -> tokio::task::JoinHandle<Result<(), Error>> {
    let (tunnel, name) = (tunnel.clone(), canary.to_owned());
    let call = tokio::spawn(async move { tunnel.call::<()>("far:hang", (name,)).await });
    appeared(canary, 4).await;
    call
}

/// Waits for the call to fail.
async fn failed(call: tokio::task::JoinHandle<Result<(), Error>>) -> Error {
    let result = tokio::time::timeout(PATIENCE, call).await.expect("the call ends");
    result.expect("the call does not panic").expect_err("the call was disturbed")
}

#[tokio::test(flavor = "multi_thread")]
async fn link_that_is_cut_is_noticed_by_keepalive_and_connects_again_when_healed() {
    let tunnel =
        tunnel(ssh("cut-1").keepalive(Duration::from_secs(1), 3).connect_timeout(Duration::from_secs(2)));
    let canary = canary("cut");
    let call = hang(&tunnel, &canary).await;
    let cut = Cut::new("cut-1");
    // Three probes of a second each; without them it takes a quarter of an hour.
    let error = failed(call).await;
    assert_eq!(error.hint().map(Hint::cause), Some("link-dead"), "{}", error.report());
    let report = "cut-1: call of far:hang: the connection was lost, exit status 255: Timeout, server * not \
                  responding. (the host has not answered ssh for a while: it is down, or the network is)";
    assert!(matches(&error.report(), report), "{}", error.report());
    let error = tunnel.call::<i64>("far:add", (1, 2)).await.unwrap_err();
    assert!(
        matches(&error.report(), "cut-1: handshake: no agent answered, exit status 255: *"),
        "{}",
        error.report()
    );
    drop(cut);
    // What the first one started, its agent ends as soon as it hears that the connection is gone.
    assert_eq!(tunnel.call::<i64>("far:add", (1, 2)).await.unwrap(), 3);
    gone(&canary).await;
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn link_that_heals_in_time_loses_nothing() {
    let tunnel = tunnel(ssh("cut-2").keepalive(Duration::from_secs(2), 60));
    let pid: u32 = tunnel.call("far:pid", ()).await.unwrap();
    let cut = Cut::new("cut-2");
    let call = tokio::spawn({
        let tunnel = tunnel.clone();
        async move { tunnel.call::<i64>("far:add", (20, 22)).await }
    });
    // Long enough for packets to be lost and sent again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!call.is_finished());
    drop(cut);
    let answer = tokio::time::timeout(PATIENCE, call).await.expect("the call ends").unwrap();
    assert_eq!(answer.unwrap(), 42);
    assert_eq!(tunnel.call::<u32>("far:pid", ()).await.unwrap(), pid);
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn server_whose_session_is_killed_fails_the_call_and_leaves_nothing() {
    let tunnel = tunnel(ssh("cut-3"));
    let canary = canary("session");
    let call = hang(&tunnel, &canary).await;
    let pids = lab::run("ip", ["netns", "pids", "chopsticks-cut-3"]);
    let sessions: Vec<_> = pids
        .lines()
        .filter(|pid| {
            let line = processes::describe(pid.parse().unwrap());
            line.starts_with("sshd: chopsticks-bash@")
        })
        .collect();
    assert_eq!(sessions.len(), 1, "{pids}");
    lab::run("kill", ["-9", sessions[0]]);
    let error = failed(call).await;
    assert!(error.is_disconnected(), "{}", error.report());
    assert!(
        matches(&error.report(), "cut-3: call of far:hang: the connection was lost, exit status 255*"),
        "{}",
        error.report()
    );
    gone(&canary).await;
    assert_eq!(tunnel.call::<i64>("far:add", (1, 2)).await.unwrap(), 3);
    tunnel.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn link_that_is_cut_while_the_tunnel_closes_holds_nobody_up() {
    let tunnel = Tunnel::with_config(
        ssh("cut-4"),
        chopsticks_hosts::check::config().close_timeout(Duration::from_secs(1)),
    );
    tunnel.call::<i64>("far:add", (1, 2)).await.unwrap();
    let _cut = Cut::new("cut-4");
    let closed = tokio::time::timeout(PATIENCE, tunnel.close()).await.expect("it ends");
    if let Err(error) = closed {
        assert!(matches(&error.report(), "cut-4: close: timed out after 1s*"), "{}", error.report());
    }
    assert!(eventually(|| processes::children().is_empty()).await);
}
