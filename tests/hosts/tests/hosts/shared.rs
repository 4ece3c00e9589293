//! Tunnels that share a connection of ssh.

use std::fs;
use std::process::{Command, Stdio};

use chopsticks::{Target, Tunnel};
use chopsticks_hosts::check::{config, fails, tunnel};
use chopsticks_hosts::lab::{self, ssh};
use chopsticks_hosts::watch::{appeared, canary, childless, eventually, gone};
use chopsticks_support::processes;
use futures::future::join_all;

/// The master connections that this process has started.
fn masters() -> Vec<u32> {
    let is_master = |pid: &u32| processes::describe(*pid).contains("ControlMaster=yes");
    processes::children().into_iter().filter(is_master).collect()
}

/// The folder of a master connection's socket.
fn folder(master: u32) -> String {
    let words = processes::describe(master);
    let socket = words.split(' ').skip_while(|word| *word != "-S").nth(1).expect("it has a socket");
    socket.trim_end_matches("/s").to_owned()
}

async fn all_work(tunnels: &[Tunnel]) {
    let answers = join_all(tunnels.iter().map(|tunnel| tunnel.call::<i64>("far:add", (1, 2)))).await;
    let failed: Vec<_> = answers.into_iter().filter_map(|answer| Some(answer.err()?.report())).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn tunnels_to_one_host_log_in_once_for_ten_and_leave_nothing() {
    let tunnels: Vec<_> =
        (0..12).map(|n| tunnel(ssh("default").shared().name(format!("shared-{n}")))).collect();
    all_work(&tunnels).await;
    let all = masters();
    assert_eq!(all.len(), 2);
    let folders: Vec<_> = all.iter().map(|master| folder(*master)).collect();
    for folder in &folders {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
    // Whichever tunnel goes first takes none of the others along.
    let (first, others) = tunnels.split_first().unwrap();
    first.close().await.unwrap();
    all_work(others).await;
    first.call::<i64>("far:add", (1, 2)).await.unwrap();
    assert_eq!(masters(), all);
    assert!(join_all(tunnels.iter().map(Tunnel::close)).await.into_iter().all(|closed| closed.is_ok()));
    drop(tunnels);
    childless().await;
    assert!(eventually(|| folders.iter().all(|folder| fs::metadata(folder).is_err())).await);
}

#[tokio::test]
async fn server_that_allows_few_sessions_does_no_harm() {
    let tunnels: Vec<_> = (0..5).map(|n| tunnel(ssh("few").shared().name(format!("few-{n}")))).collect();
    all_work(&tunnels).await;
    assert_eq!(masters().len(), 1);
    join_all(tunnels.iter().map(Tunnel::close)).await;
    drop(tunnels);
    childless().await;
}

/// A tunnel whose master connection is lost connects again, by a new one.
#[tokio::test]
async fn lost_master_connection_is_replaced() {
    let tunnels: Vec<_> = (0..3).map(|n| tunnel(ssh("plain").shared().name(format!("lost-{n}")))).collect();
    all_work(&tunnels).await;
    let [master] = masters()[..] else { panic!("{:?}", masters()) };
    let folder = folder(master);
    lab::run("kill", ["-KILL", &master.to_string()]);
    let gone = eventually(|| !processes::runs(master)).await;
    assert!(gone);
    // Each call that finds the connection lost fails once.
    for tunnel in &tunnels {
        if tunnel.call::<i64>("far:add", (1, 2)).await.is_err() {
            tunnel.call::<i64>("far:add", (1, 2)).await.unwrap_or_else(|error| panic!("{}", error.report()));
        }
    }
    join_all(tunnels.iter().map(Tunnel::close)).await;
    drop(tunnels);
    childless().await;
    assert!(eventually(|| fs::metadata(&folder).is_err()).await);
}

#[tokio::test]
async fn killed_controller_leaves_no_master_connection() {
    let mark = canary("shared");
    let config_file = lab::folder().join("ssh/config").display().to_string();
    let text = format!("target=ssh://plain?shared&config={config_file}");
    let mut controller = Command::new(lab::controller())
        .args([&text, "far:hang", &mark])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    appeared(&mark, 4).await;
    let pids = processes::children_of(controller.id());
    let is_master = |pid: &&u32| processes::describe(**pid).contains("ControlMaster=yes");
    let master = *pids.iter().find(is_master).expect("it has a master connection");
    let folder = folder(master);
    controller.kill().unwrap();
    controller.wait().unwrap();
    gone(&mark).await;
    gone(&folder).await;
    assert!(eventually(|| fs::metadata(&folder).is_err()).await);
}

/// One login, and what ssh says of it.
#[tokio::test]
async fn login_that_fails_is_told_as_without_sharing() {
    let report = "wrong-key: handshake: no agent answered, exit status 255: chopsticks-bash@127.0.0.1: Permission denied \
                  (publickey*). (*)";
    fails(ssh("wrong-key").shared(), "permission-denied", report).await;
    fails(ssh("refused").shared(), "refused", "refused: *Connection refused (*)").await;
    fails(ssh("forced").shared(), "not-run", "forced: *").await;
    let tunnels: Vec<_> = (0..4).map(|n| tunnel(ssh("wrong-key").shared().name(format!("w-{n}")))).collect();
    let results = join_all(tunnels.iter().map(Tunnel::connect)).await;
    for error in results.into_iter().map(Result::unwrap_err) {
        assert_eq!(
            error.hint().map(chopsticks::Hint::cause),
            Some("permission-denied"),
            "{}",
            error.report()
        );
    }
    drop(tunnels);
    childless().await;
}

#[tokio::test]
async fn target_is_shared_if_it_says_so() {
    let config_file = lab::folder().join("ssh/config").display().to_string();
    let texts = ["a", "b"].map(|name| format!("{name}=plain?shared&config={config_file}"));
    let targets: Vec<Target> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let tunnels = Target::tunnels(&targets, &config());
    all_work(&tunnels).await;
    assert_eq!(masters().len(), 1);
    join_all(tunnels.iter().map(Tunnel::close)).await;
    drop(tunnels);
    childless().await;
}
