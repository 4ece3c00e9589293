//! Works on a group of local agents, under whatever limits it was started with, and prints a line for each thing it did.
//!
//! `crowd PYTHON FOLDER HOW COUNT`, where `HOW` is `group`, `queue`, or `none`: a group for which no descriptors are left.

use std::{fs::File, path::Path, time::Duration};

use chopsticks::{Codebase, Function, Group, GroupResult, Local, Queue, Stderr, Tunnel, TunnelConfig};
use chopsticks_support::{eventually, processes};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, python, folder, how, count] = args.as_slice() else { std::process::exit(2) };
    let config = TunnelConfig::default().modules(Codebase::folder(folder)).stderr(Stderr::off());
    let local = |n| Local::new().name(format!("host-{n}")).python(python);
    let tunnels = (0..count.parse().unwrap_or(2)).map(|n| Tunnel::with_config(local(n), config.clone()));
    let group = Group::new(tunnels).expect("the names differ");
    let before = processes::open_descriptors();
    match how.as_str() {
        "group" => work(&group, Path::new(folder)).await,
        "queue" => queue(&group, Path::new(folder)).await,
        _ => {
            let mut held = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                held.push(file);
            }
            tell("call", &group.call::<u32>("os:getpid", ()).await);
            drop(held);
            tell("call again", &group.call::<u32>("os:getpid", ()).await);
        }
    }
    tell("close", &group.close().await);
    let is_clean = eventually(Duration::from_secs(20), || {
        processes::children().is_empty() && processes::open_descriptors() <= before
    });
    emit(&format!("clean: {is_clean}"));
}

async fn work(group: &Group, folder: &Path) {
    tell("connect", &group.connect().await);
    tell("call", &group.call::<u32>("lazy:run", ()).await);
    let pids = group.call::<u32>("os:getpid", ()).await;
    tell("call again", &pids);
    // Some stay connected, and are the same agents then.
    let kept = group.call::<u32>("os:getpid", ()).await;
    let kept = kept.successful().filter(|(host, pid)| matches!(&pids[*host], Ok(before) if before == *pid));
    emit(&format!("kept: {}", if kept.count() == group.len() { "all" } else { "some" }));
    let put = group.put_with(|tunnel| {
        chopsticks::Put::new(folder.join("lazy.py")).to(folder.join(format!("{}.put", tunnel.host())))
    });
    tell("put", &put.await);
    let template = format!("{}/{{host}}.fetched", folder.display());
    tell("fetch", &group.fetch(folder.join("lazy.py"), &template).await.expect("the paths differ"));
}

async fn queue(group: &Group, folder: &Path) {
    let count = "import sys\ndef f():\n    sys.count = getattr(sys, 'count', 0) + 1\n    return sys.count";
    let queue = Queue::new();
    let counts: Vec<_> =
        (0..3).map(|_| queue.call::<u32, _>(group, Function::source(count, "f"), ())).collect();
    let template = format!("{}/{{host}}.queued", folder.display());
    let fetched = queue.fetch(group, folder.join("lazy.py"), &template).expect("the paths differ");
    queue.run().await;
    // A line is not interrupted: its operations have one agent.
    for (number, counts) in (1..).zip(counts) {
        let counts = counts.value().expect("the queue is empty");
        assert!(counts.successful().all(|(_, count)| *count == number), "{counts:?}");
        tell("call", &counts);
    }
    tell("fetch", &fetched.value().expect("the queue is empty"));
}

/// Prints how many have succeeded, and each failure.
fn tell<V>(what: &str, result: &GroupResult<V>) {
    emit(&format!("{what}: {}", result.successful().count()));
    for (host, failure) in result.failures() {
        let text = failure.operation().map_or_else(|| failure.to_string(), chopsticks::Error::report);
        emit(&format!("{what}: {host} failed: {text}"));
    }
}

#[expect(clippy::print_stdout, reason = "the test reads what it prints")]
fn emit(line: &str) {
    println!("{line}");
}
