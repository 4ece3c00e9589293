//! What [`engine`](super::engine) and [`outward`](super::outward) test with Docker, with podman, which may be absent.

use chopsticks::{Hint, Podman};
use chopsticks_hosts::check::{fails, tunnel};
use chopsticks_hosts::lab;
use chopsticks_hosts::watch::canary;

use super::engine::{containers, killed, targeted};
use super::outward::{lost_client, pool};

fn podman(name: &str) -> Podman {
    Podman::new(name).image(lab::newest_image()).network("none")
}

#[tokio::test]
async fn name_in_use_is_told_and_leaves_the_other_alone() {
    let name = canary("twice");
    let first = tunnel(podman(&name));
    first.connect().await.unwrap();
    let error = tunnel(podman(&name)).connect().await.unwrap_err();
    assert_eq!(error.hint().map(Hint::cause), Some("name-in-use"), "{}", error.report());
    assert_eq!(first.call::<i64>("far:add", (1, 2)).await.unwrap(), 3);
    first.close().await.unwrap();
    assert!(!containers("podman").contains(&name), "it is removed");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_its_cause() {
    let start = |name: &str| format!("{name}: handshake: no agent answered, exit status ");
    let name = canary("missing");
    let missing = podman(&name).image("chopsticks-test/nothing:1");
    fails(missing, "image-missing", &(start(&name) + "125: *")).await;
    fails(podman(&name).python("python9"), "python-missing", &(start(&name) + "127: *python9*(*)")).await;
    fails(Podman::attach(&name), "container-missing", &(start(&name) + "125: *")).await;
    assert!(!containers("podman").contains(&name));
}

#[tokio::test]
async fn container_that_is_killed_fails_the_call_and_the_next_one_makes_another() {
    let name = canary("killed");
    killed("podman", &name, tunnel(podman(&name))).await;
}

#[tokio::test]
async fn target_string_leads_there() {
    let name = canary("target");
    targeted(&format!("podman://{}?name={name}&network=none", lab::newest_image()), &name).await;
}

#[tokio::test]
async fn pool_of_containers_is_driven_by_one_queue() {
    pool("podman").await;
}

#[tokio::test]
async fn container_whose_client_was_killed_is_removed() {
    lost_client("podman").await;
}
