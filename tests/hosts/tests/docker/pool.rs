//! Hosts that each run a pool of containers, driven by one queue.

use chopsticks::{Docker, Group, Local, Queue, Tunnel, Via};
use chopsticks_hosts::check::{config, tunnel};
use chopsticks_hosts::lab;
use chopsticks_hosts::watch::{canary, childless};
use chopsticks_support::Scratch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_of_containers_on_three_hosts_work_through_one_queue() {
    let scratch = Scratch::new();
    let name = canary("pool");
    let hosts: Vec<Tunnel> = (1..=3).map(|host| tunnel(Local::new().name(format!("host{host}")))).collect();
    let pool = |host: &Tunnel| {
        let docker =
            |n| Docker::new(format!("{name}-{}-{n}", host.host())).image(lab::newest_image()).network("none");
        [1, 2].map(|n| Tunnel::with_config(docker(n).via(host), config()))
    };
    let group = Group::new(hosts.iter().flat_map(pool)).unwrap();
    let file = scratch.write("task", "task");

    let queue = Queue::new();
    let connected = queue.connect(&group);
    let versions = queue.call::<String, _>(&group, "far:version", ());
    let written = queue.put(&group, &file, "/tmp/task");
    let sizes = queue.call::<u64, _>(&group, "os.path:getsize", ("/tmp/task",));
    queue.run().await;

    let connected = connected.value().unwrap();
    assert_eq!(connected.successful().count(), 6, "{connected:?}");
    assert_eq!(written.value().unwrap().successful().count(), 6);
    let versions = versions.value().unwrap();
    assert!(versions.successful().all(|(_, version)| version.starts_with("3.")), "{versions:?}");
    let sizes = sizes.value().unwrap();
    assert_eq!(sizes.successful().map(|(_, size)| *size).collect::<Vec<_>>(), [4; 6], "{sizes:?}");
    let ran = lab::run("docker", ["ps", "--format", "{{.Names}}"]);
    assert_eq!(ran.lines().filter(|line| line.contains(&name)).count(), 6, "{ran}");
    // With a host goes its pool.
    for host in hosts {
        host.close().await.unwrap();
    }
    drop(group);
    childless().await;
    let left = lab::run("docker", ["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!left.contains(&name), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn container_of_a_given_name_is_there_again_after_its_parent_was_lost() {
    let name = canary("again");
    let host = tunnel(Local::new());
    let docker = Docker::new(&name).image(lab::newest_image()).network("none");
    let container = Tunnel::with_config(docker.via(&host), config());
    for _ in 0..5 {
        assert_eq!(container.call::<i64>("operator:add", (1, 2)).await.unwrap(), 3);
        // Ends the agent, and with it the client of the engine; the container is on its own for a moment.
        let pid: i64 = host.call("os:getpid", ()).await.unwrap();
        host.call::<()>("os:kill", (pid, 9)).await.unwrap_err();
    }
    assert_eq!(container.call::<i64>("operator:add", (1, 2)).await.unwrap(), 3);
    container.close().await.unwrap();
    host.close().await.unwrap();
    childless().await;
    let left = lab::run("docker", ["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!left.contains(&name), "{left}");
}
