//! Slurm: jobs, and allocations whose nodes are a group.

use std::process::{Command, Stdio};

use chopsticks::{Group, Slurm, Target, Tunnel};
use chopsticks_hosts::check::{config, fails, failure};
use chopsticks_hosts::lab;
use chopsticks_hosts::watch::{appeared, canary, childless, eventually, gone};
use chopsticks_support::processes;
use futures::future::join_all;

/// Waits until the cluster has no job of this name.
async fn job_is_gone(name: &str) {
    let is_gone = || {
        lab::run("squeue", ["--noheader", "--states=all", "--format=%T", "--name", name])
            .lines()
            .all(|state| !["PENDING", "RUNNING", "COMPLETING"].contains(&state))
    };
    assert!(eventually(is_gone).await, "{}", lab::run("squeue", ["--name", name]));
}

fn named(name: &str) -> Slurm {
    Slurm::new().partition("test").args(["--job-name".to_owned(), name.to_owned()])
}

#[tokio::test]
async fn nodes_of_an_allocation_are_a_group_and_the_allocation_ends_with_it() {
    let job = canary("allocation");
    let tunnels: Vec<Tunnel> = named(&job)
        .cpus(2)
        .time("10")
        .nodes(3)
        .into_iter()
        .map(|node| Tunnel::with_config(node, config()))
        .collect();
    assert_eq!(tunnels[2].host().as_str(), "slurm-3");
    let group = Group::new(tunnels).unwrap();
    let result = group.call::<(String, String)>("far:folder_and_variable", ("SLURMD_NODENAME",)).await;
    let mut nodes: Vec<_> = result.raise_failures().unwrap().into_iter().map(|(_, pair)| pair.1).collect();
    nodes.sort();
    assert_eq!(nodes, ["node-1", "node-2", "node-3"]);
    let running = lab::run("squeue", ["--noheader", "--format=%T %D %l", "--name", &job]);
    assert_eq!(running, "RUNNING 3 10:00");
    group.close().await;
    job_is_gone(&job).await;
    // The next call allocates again.
    let sum = group.call::<i64>("far:add", (1, 2)).await;
    assert_eq!(sum.raise_failures().unwrap().into_iter().map(|(_, sum)| sum).sum::<i64>(), 9);
    drop(group);
    job_is_gone(&job).await;
    childless().await;
}

#[tokio::test]
async fn targets_with_one_text_are_nodes_of_one_allocation() {
    let job = canary("targets");
    let text = |name: &str| format!("{name}=slurm:test?nodes=2&arg=--job-name={job}");
    let targets: Vec<Target> = ["a", "b"].map(|name| text(name).parse().unwrap()).to_vec();
    let tunnels = Target::tunnels(&targets, &config());
    let call = |tunnel: Tunnel| async move {
        tunnel.call::<(String, String)>("far:folder_and_variable", ("SLURMD_NODENAME",)).await
    };
    let names = join_all(tunnels.iter().cloned().map(call)).await;
    let mut names: Vec<_> = names.into_iter().map(|name| name.unwrap().1).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 2, "{names:?}");
    let third: Target = text("c").parse().unwrap();
    let error = third.tunnel(config()).connect().await.unwrap_err();
    assert!(
        error.report().contains("all 2 nodes of the allocation have a tunnel already"),
        "{}",
        error.report()
    );
    join_all(tunnels.iter().map(Tunnel::close)).await;
    job_is_gone(&job).await;
    childless().await;
}

/// One that runs, and one that waits for nodes.
#[tokio::test]
async fn killed_controller_leaves_no_allocation() {
    for partition in ["test", "alone"] {
        let (job, mark) = (canary("killed"), canary("slurm"));
        let blocker = (partition == "alone").then(|| {
            let tunnel = Tunnel::with_config(Slurm::new().partition("alone").name("blocker"), config());
            (tunnel, canary("blocker"))
        });
        if let Some((tunnel, _)) = &blocker {
            tunnel.connect().await.unwrap_or_else(|error| panic!("{}", error.report()));
        }
        let mut controller = Command::new(lab::controller())
            .args([&format!("target=slurm:{partition}?nodes=1&arg=--job-name={job}"), "far:hang", &mark])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if blocker.is_some() {
            let waits = || lab::run("squeue", ["--noheader", "--format=%T", "--name", &job]) == "PENDING";
            assert!(eventually(waits).await);
        } else {
            appeared(&mark, 4).await;
        }
        controller.kill().unwrap();
        controller.wait().unwrap();
        gone(&mark).await;
        job_is_gone(&job).await;
        gone(&job).await;
        if let Some((tunnel, _)) = blocker {
            tunnel.close().await.unwrap();
        }
    }
}

/// srun reads nothing before the cluster has room, so it does not notice.
#[tokio::test]
async fn queued_job_of_a_killed_controller_starts_and_ends_at_once() {
    let (job, mark) = (canary("queued"), canary("slurm"));
    let blocker = Tunnel::with_config(Slurm::new().partition("alone").name("blocker"), config());
    blocker.connect().await.unwrap_or_else(|error| panic!("{}", error.report()));
    let mut controller = Command::new(lab::controller())
        .args([&format!("target=slurm:alone?arg=--job-name={job}"), "far:hang", &mark])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let state = || lab::run("squeue", ["--noheader", "--format=%T", "--name", &job]);
    assert!(eventually(|| state() == "PENDING").await);
    controller.kill().unwrap();
    controller.wait().unwrap();
    gone(&mark).await;
    assert_eq!((state().as_str(), processes::with_argument(&job).is_empty()), ("PENDING", false));
    blocker.close().await.unwrap();
    job_is_gone(&job).await;
    gone(&job).await;
    let ran = lab::run("scontrol", ["--oneliner", "show", "job"]);
    let ran = ran.lines().find(|line| line.contains(&job)).expect("the cluster knows jobs that have ended");
    assert!(ran.contains(" NodeList=node-4") && !ran.contains("CANCELLED"), "{ran}");
    childless().await;
}

/// Before the cluster has room, and after an administrator has cancelled it.
#[tokio::test]
async fn dropped_or_cancelled_allocation_is_gone() {
    let job = canary("cancelled");
    let node = || Tunnel::with_config(named(&job).nodes(1).remove(0), config());
    let tunnel = node();
    tunnel.connect().await.unwrap_or_else(|error| panic!("{}", error.report()));
    let mark = canary("slurm");
    {
        let call = tunnel.call::<()>("far:hang", (&mark,));
        let cancelled = async {
            appeared(&mark, 4).await;
            lab::run("scancel", ["--name", &job]);
        };
        let (result, ()) = tokio::join!(call, cancelled);
        let error = result.unwrap_err();
        assert!(error.is_disconnected(), "{}", error.report());
    }
    gone(&mark).await;
    job_is_gone(&job).await;
    assert_eq!(tunnel.call::<i64>("far:add", (1, 2)).await.unwrap(), 3);
    drop(tunnel);
    job_is_gone(&job).await;
    childless().await;
}

#[tokio::test]
async fn slurm_tells_what_it_misses() {
    let unknown = "slurm*: no agent answered, exit status 1: *artition*";
    fails(Slurm::new().partition("nowhere"), "partition-unknown", unknown).await;
    fails(Slurm::new().partition("nowhere").nodes(2).remove(0), "partition-unknown", unknown).await;
    let error = failure(Slurm::new().partition("test").args(["--mem=999999999M"]).nodes(2).remove(0)).await;
    assert_eq!(error.hint().map(chopsticks::Hint::cause), Some("nodes-unavailable"), "{}", error.report());
    fails(Slurm::new().partition("test").python("nowhere9"), "python-missing", "*nowhere9*").await;
}
