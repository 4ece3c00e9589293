//! A hundred hosts, some of which are in trouble.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chopsticks::{
    Call, Command, Error, ErrorKind, Failure, Function, Group, Limits, Local, Phase, Stderr, Target, Tunnel,
    TunnelConfig,
};
use chopsticks_support::{eventually, processes, python3};
use futures::StreamExt as _;

const CODE: &str = "
import os, sys, time

def work(host):
    if host == 'hangs-in-call':
        time.sleep(1000)
    if host == 'dies':
        os.kill(os.getpid(), 9)
    if host == 'floods':
        for _ in range(2000):
            sys.stderr.write('x' * 9999 + '\\n')
    return host
";

/// Hosts that answer.
const WELL: usize = 94;

/// A host that never gets as far as an agent, as `sh` tells it.
fn stranger(name: &str, script: &str, config: TunnelConfig) -> Tunnel {
    Tunnel::with_config(Command::new("sh").args(["-c", script]).name(name), config)
}

/// A hundred hosts, the bad ones among the others; `flood` counts what comes on stderr.
fn hosts(flood: &Arc<AtomicUsize>) -> Group {
    let count = flood.clone();
    let count = move |_: &str, line: &[u8]| {
        count.fetch_add(line.len(), Ordering::Relaxed);
    };
    let config = TunnelConfig::default().stderr(Stderr::off()).handshake_timeout(Duration::from_secs(20));
    let local = |name: &str| Local::new().name(name).python(python3().path());
    let mut tunnels: Vec<_> = (0..WELL)
        .map(|number| Tunnel::with_config(local(&format!("well-{number}")), config.clone()))
        .collect();
    let short = config.clone().handshake_timeout(Duration::from_secs(8));
    let refused = "echo 'ssh: connect to host refuses port 22: Connection refused' >&2; exit 255";
    tunnels.insert(3, stranger("hangs-in-connect", "exec sleep 1000", short));
    tunnels.insert(17, Tunnel::with_config(local("hangs-in-call"), config.clone()));
    tunnels.insert(18, stranger("refuses", refused, config.clone()));
    tunnels.insert(
        50,
        Tunnel::with_config(Local::new().name("lacks-python").python("/nonexistent/python"), config.clone()),
    );
    tunnels.insert(51, Tunnel::with_config(local("dies"), config.clone()));
    tunnels.insert(90, Tunnel::with_config(local("floods"), config.stderr(Stderr::callback(count))));
    Group::new(tunnels).expect("the names differ")
}

fn work(tunnel: Tunnel) -> impl Future<Output = Result<String, Error>> + Send {
    let call = Call::new(Function::source(CODE, "work")).args((tunnel.host().as_str(),));
    async move { tunnel.call_with(call).await?.decode() }
}

#[tokio::test]
async fn trouble_of_some_is_told_and_keeps_nobody_else_from_being_done() {
    let before = processes::children().len();
    let flood = Arc::default();
    let group = hosts(&flood).limits(Limits::default().target_timeout(Duration::from_secs(15)));
    let mut order = Vec::new();
    let mut outcomes = BTreeMap::new();
    let mut run = group.each(work);
    while let Some((host, outcome)) = run.next().await {
        order.push(host.to_string());
        outcomes.insert(host.to_string(), outcome);
    }
    assert_eq!(outcomes.len(), WELL + 6);

    // On time: those that hang, until a deadline passes, are the last ones.
    assert_eq!(order[order.len() - 2..], ["hangs-in-connect", "hangs-in-call"]);
    let values = outcomes.iter().filter_map(|(host, outcome)| Some((host, outcome.as_ref().ok()?)));
    assert!(values.clone().all(|(host, value)| host == value));
    assert_eq!(values.count(), WELL + 1);
    assert_eq!(flood.load(Ordering::Relaxed), 2000 * 9999, "a part of the flood is lost");

    let failure = |host: &str| outcomes[host].as_ref().expect_err("it is in trouble");
    let error = |host: &str| failure(host).operation().expect("its own error").clone();
    assert!(failure("hangs-in-call").is_timeout());
    let hanging = error("hangs-in-connect");
    assert!(hanging.is_timeout() && hanging.phase() == Phase::Handshake, "{hanging}");
    let refusing = error("refuses").to_string();
    assert!(refusing.contains("refuses: ") && refusing.contains("Connection refused"), "{refusing}");
    let lacking = error("lacks-python").report();
    assert!(lacking.contains("/nonexistent/python"), "{lacking}");
    let dead = error("dies");
    assert!(
        matches!(dead.kind(), ErrorKind::Disconnected { .. }) && dead.to_string().contains("SIGKILL"),
        "{dead}"
    );

    group.close().await;
    assert!(
        eventually(Duration::from_secs(20), || processes::children().len() <= before),
        "something is left"
    );
}

#[tokio::test]
async fn those_that_failed_can_be_tried_again_by_themselves() {
    let config = TunnelConfig::default().stderr(Stderr::off());
    let local =
        |name: &str| Tunnel::with_config(Local::new().name(name).python(python3().path()), config.clone());
    let missing: Tunnel =
        "missing=local?python=/nonexistent".parse::<Target>().expect("it is a target").into();
    let group = Group::new([local("a"), missing, local("b")]).expect("the names differ");
    let first = group.run(work).await;
    let again = group.failed(&first);
    assert_eq!(again.to_string(), "missing");
    let second = again.run(work).await;
    assert!(matches!(second["missing"], Err(Failure::Operation(_))));
    let values = group.succeeded(&first).run(work).await.raise_failures().expect("these are well");
    assert_eq!(values.len(), 2);
}
