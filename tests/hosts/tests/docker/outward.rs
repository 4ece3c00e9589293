//! Containers that code on a host opens tunnels to itself.

use chopsticks::Local;
use chopsticks_hosts::check::tunnel;
use chopsticks_hosts::lab;
use chopsticks_hosts::watch::{canary, eventually};
use chopsticks_support::Scratch;

#[tokio::test]
async fn pool_of_containers_is_driven_by_one_queue() {
    pool("docker").await;
}

#[tokio::test]
async fn container_whose_client_was_killed_is_removed() {
    lost_client("docker").await;
}

pub(crate) async fn pool(engine: &str) {
    let scratch = Scratch::new();
    let mark = scratch.write("mark", "content").into_os_string().into_string().expect("a plain name");
    let names = [canary("pool"), canary("pool")];
    let tunnel = tunnel(Local::new());
    let (sums, within, sizes): (Vec<u32>, Vec<bool>, Vec<u64>) = tunnel
        .call("outward:pool", (engine, lab::newest_image(), names.as_slice(), mark.as_str()))
        .await
        .unwrap_or_else(|error| panic!("{engine}: {}", error.report()));
    assert_eq!(sums, (0..10).map(|number| 2 * number).collect::<Vec<_>>(), "{engine}");
    assert_eq!(
        (within.as_slice(), sizes.as_slice()),
        ([true, true].as_slice(), [7, 7].as_slice()),
        "{engine}"
    );
    tunnel.close().await.expect("it closes");
    let left = lab::run(engine, ["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!names.iter().any(|name| left.contains(name.as_str())), "{engine}: {left}");
}

pub(crate) async fn lost_client(engine: &str) {
    let name = canary("lost");
    let tunnel = tunnel(Local::new());
    let call = tunnel.call("outward:lose_client", (engine, lab::newest_image(), name.as_str()));
    let said: String = call.await.unwrap_or_else(|error| panic!("{engine}: {}", error.report()));
    assert!(said.contains("was killed by signal 9"), "{said}");
    let is_left = || lab::run(engine, ["ps", "--all", "--format", "{{.Names}}"]).contains(name.as_str());
    assert!(eventually(|| !is_left()).await, "{engine}: {name} is left");
    tunnel.close().await.expect("it closes");
}
