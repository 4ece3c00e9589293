//! Docker: every image, what goes wrong with containers, and what a crash leaves.

use std::process::{Command, Stdio};

use chopsticks::{Docker, Hint, Target, Tunnel};
use chopsticks_hosts::check::{config, fails, failure, matches, tunnel};
use chopsticks_hosts::lab;
use chopsticks_hosts::watch::{appeared, canary, childless, eventually, gone};
use chopsticks_support::Scratch;

fn docker(name: &str) -> Docker {
    Docker::new(name).image(lab::newest_image()).network("none")
}

/// The names of the containers that the engine has, running or not.
pub(crate) fn containers(engine: &str) -> String {
    lab::run(engine, ["ps", "--all", "--format", "{{.Names}}"])
}

#[tokio::test]
async fn every_image_runs_the_agent() {
    for image in lab::images() {
        let tunnel = tunnel(Docker::new(canary("image")).image(&image).network("none").python("auto"));
        let agent = tunnel.connect().await.unwrap_or_else(|error| panic!("{image}: {}", error.report()));
        let (major, minor, _) = agent.python.unwrap();
        assert!(image.contains(&format!(":{major}.{minor}")), "{image} has {:?}", agent.python);
        let sum = tunnel.call::<i64>("far:add", (1, 2)).await;
        assert_eq!(sum.unwrap_or_else(|error| panic!("{image}: {}", error.report())), 3);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn name_in_use_is_told_and_leaves_the_other_alone() {
    let name = canary("twice");
    let first = tunnel(docker(&name));
    first.connect().await.unwrap();
    let report = format!(
        "{name}: handshake: no agent answered, exit status 125: *The container name \"/{name}\" is \
         already in use* (a container of this name already exists: *)"
    );
    let error = tunnel(docker(&name)).connect().await.unwrap_err();
    assert_eq!(error.hint().map(Hint::cause), Some("name-in-use"), "{}", error.report());
    assert!(matches(&error.report(), &report), "{}", error.report());
    assert_eq!(first.call::<i64>("far:add", (1, 2)).await.unwrap(), 3);
    first.close().await.unwrap();
    assert!(!containers("docker").contains(&name), "it is removed");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_its_cause() {
    let missing = "chopsticks-test/nothing:1";
    let start = |name: &str| format!("{name}: handshake: no agent answered, exit status ");
    let name = canary("missing");
    fails(
        docker(&name).image(missing).args(["--pull=never"]),
        "image-missing",
        &(start(&name) + "125: *No such image*(*)"),
    )
    .await;
    fails(docker(&name).python("python9"), "python-missing", &(start(&name) + "127: *python9*(*)")).await;
    fails(
        docker(&name).network("nowhere"),
        "network-missing",
        &(start(&name) + "125: *network nowhere not found*(*)"),
    )
    .await;
    fails(
        docker(&name).user("nobody-of-this-name"),
        "user-unknown",
        &(start(&name) + "125: *(the user does not exist on the host)"),
    )
    .await;
    fails(Docker::attach(&name), "container-missing", &(start(&name) + "1: *No such container*(*)")).await;
    // The image of Python 2.7 has no `python3`.
    if let Some(old) = lab::images().into_iter().find(|image| image.ends_with(":2.7")) {
        fails(docker(&name).image(old), "python-missing", &(start(&name) + "127: *python3*(*)")).await;
    }
    assert!(!containers("docker").contains(&name));
}

#[tokio::test]
async fn engine_that_does_not_run_is_told() {
    let scratch = Scratch::new();
    let program =
        scratch.write("docker", "#!/bin/sh\nexec docker --host unix:///nowhere/docker.sock \"$@\"\n");
    lab::run("chmod", ["+x", &program.display().to_string()]);
    let name = canary("down");
    let report = format!(
        "{name}: handshake: no agent answered, exit status 125: *(the engine is not running, or \
         `DOCKER_HOST` or the context names another one)"
    );
    fails(docker(&name).program(program), "engine-down", &report).await;
    let error = failure(docker(&name).program("/nowhere/docker")).await;
    assert_eq!(error.hint().map(Hint::cause), Some("program-missing"), "{}", error.report());
}

#[tokio::test]
async fn container_that_is_killed_fails_the_call_and_the_next_one_makes_another() {
    let name = canary("killed");
    killed("docker", &name, tunnel(docker(&name))).await;
}

/// Kills the container of a tunnel during a call.
pub(crate) async fn killed(engine: &str, name: &str, tunnel: Tunnel) {
    let mark = canary("mark");
    let call = tokio::spawn({
        let (tunnel, mark) = (tunnel.clone(), mark.clone());
        async move { tunnel.call::<()>("far:hang", (mark,)).await }
    });
    appeared(&mark, 4).await;
    lab::run(engine, ["kill", name]);
    let error = call.await.expect("it does not panic").expect_err("its container is gone");
    assert!(error.is_disconnected(), "{}", error.report());
    let report = format!("{name}: call of far:hang: the connection was lost, exit status 137*");
    assert!(matches(&error.report(), &report), "{}", error.report());
    gone(&mark).await;
    assert_eq!(tunnel.call::<i64>("far:add", (1, 2)).await.expect("another is made"), 3);
    tunnel.close().await.expect("it closes");
    assert!(!containers(engine).contains(name), "it is removed");
}

#[tokio::test]
async fn container_that_is_stopped_cannot_be_attached_to() {
    let name = canary("stopped");
    let image = lab::newest_image();
    lab::run("docker", ["create", "--name", &name, "--network", "none", &image, "true"]);
    let report = format!(
        "{name}: handshake: no agent answered, exit status 1: *is not running*(the container is not running)"
    );
    fails(Docker::attach(&name), "container-stopped", &report).await;
    lab::run("docker", ["rm", "--force", &name]);
}

/// The agent is stopped, so that it does not see the end of its stdin; its client and its controller are killed.
#[tokio::test]
async fn what_a_crash_leaves_is_found_by_its_label_and_removed() {
    let mark = canary("crash");
    let mut controller = Command::new(lab::controller())
        .args(["docker_run", "far:stop_itself", &mark])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    appeared(&mark, 2).await;
    let clients = chopsticks_support::processes::children_of(controller.id());
    controller.kill().unwrap();
    controller.wait().unwrap();
    for client in clients {
        lab::output("kill", ["-9", &client.to_string()]);
    }
    let docker = Docker::new("any");
    let name = format!("chx-controller-{}-", controller.id());
    let left = async || {
        let mut found = docker.leftovers().await.unwrap();
        // Other tests have controllers killed as well.
        found.retain(|container| container.name().starts_with(&name));
        found
    };
    let found = left().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].is_orphan(), "{found:?}");
    docker.remove(&found[0]).await.unwrap();
    gone(&mark).await;
    assert!(left().await.is_empty());
}

#[tokio::test]
async fn options_reach_the_engine() {
    let scratch = Scratch::new();
    scratch.write("file", "from outside");
    let name = canary("options");
    let volume = format!("{}:/data:ro", scratch.path().display());
    let driver = docker(&name).volume(volume).user("1000").workdir("/tmp").args(["--hostname=inside"]);
    let tunnel = tunnel(driver);
    assert_eq!(tunnel.connect().await.unwrap().hostname, "inside");
    assert_eq!(tunnel.call::<u32>("far:user", ()).await.unwrap(), 1000);
    assert_eq!(tunnel.call::<Vec<String>>("os:listdir", ("/data",)).await.unwrap(), ["file"]);
    tunnel.close().await.unwrap();
    drop(tunnel);
    childless().await;
    assert!(eventually(|| !containers("docker").contains(&name)).await);
}

#[tokio::test]
async fn target_string_leads_there() {
    let name = canary("target");
    targeted(&format!("docker://{}?name={name}&network=none", lab::newest_image()), &name).await;
}

/// Calls a function on the target of a text.
pub(crate) async fn targeted(text: &str, name: &str) {
    let target: Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let tunnel = target.tunnel(config());
    assert_eq!(tunnel.host().as_str(), name);
    let sum = tunnel.call::<i64>("far:add", (1, 2)).await;
    assert_eq!(sum.unwrap_or_else(|error| panic!("{text}: {}", error.report())), 3);
    tunnel.close().await.expect("it closes");
}
