//! Ssh: login shells, what servers and users set up, and what goes wrong.

use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chopsticks::{Stderr, Target, Tunnel};
use chopsticks_hosts::check::{config, fails, failure, matches, tunnel, works};
use chopsticks_hosts::lab::{self, ssh};
use chopsticks_hosts::watch::childless;
use futures::future::join_all;

#[tokio::test]
async fn every_login_shell_runs_the_agent() {
    for shell in ["sh", "dash", "bash", "zsh", "fish", "tcsh", "busybox"] {
        works(ssh(&format!("shell-{shell}"))).await;
        let odd = ssh(&format!("shell-{shell}"))
            .python("auto")
            .current_dir("/usr")
            .env("A", "it's \"$HOME\" `!`\\ *");
        let tunnel = tunnel(odd);
        let answer: (String, String) = tunnel.call("far:folder_and_variable", ("A",)).await.unwrap();
        assert_eq!(answer, ("/usr".to_owned(), "it's \"$HOME\" `!`\\ *".to_owned()), "{shell}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn noise_of_rc_files_is_skipped() {
    for shell in ["bash", "zsh", "fish", "tcsh"] {
        works(ssh(&format!("noisy-{shell}"))).await;
    }
}

#[tokio::test]
async fn banner_of_the_server_comes_with_stderr() {
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let ear = Arc::clone(&heard);
    let sink = move |_: &str, line: &[u8]| ear.lock().unwrap().extend_from_slice(line);
    let tunnel = Tunnel::with_config(ssh("banner"), config().stderr(Stderr::callback(sink)));
    tunnel.call::<i64>("far:add", (1, 2)).await.unwrap();
    tunnel.close().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard.lock().unwrap()), "All that is done here is recorded.");
}

#[tokio::test]
async fn logins_that_fail_are_told_with_their_cause() {
    let table = [
        (
            "unknown-key",
            "host-key-unknown",
            "unknown-key: handshake: no agent answered, exit status 255: Host key verification failed. \
             (known_hosts does not have the host's key: add it, or connect once by hand and check it)",
        ),
        (
            "changed-key",
            "host-key-changed",
            "changed-key: handshake: no agent answered, exit status 255: *HAS CHANGED*(*)",
        ),
        (
            "wrong-key",
            "permission-denied",
            "wrong-key: handshake: no agent answered, exit status 255: chopsticks-bash@127.0.0.1: Permission denied \
             (publickey*). (*)",
        ),
        (
            "unknown-user",
            "permission-denied",
            "unknown-user: handshake: no agent answered, exit status 255: *Permission denied*",
        ),
        (
            "refused",
            "refused",
            "refused: handshake: no agent answered, exit status 255: *connect to * port 1: Connection \
             refused (the host is up, but no server listens on that port)",
        ),
        (
            "unresolved",
            "name-unknown",
            "unresolved: handshake: no agent answered, exit status 255: ssh: Could not resolve hostname \
             host.invalid: * (the name of the host cannot be resolved: check its spelling)",
        ),
        (
            "nobody",
            "no-route",
            "nobody: handshake: no agent answered, exit status 255: *No route to host (there is no \
             network route to the host)",
        ),
    ];
    for (alias, cause, report) in table {
        fails(ssh(alias), cause, report).await;
    }
    let nowhere = chopsticks::Ssh::new("host").config_file("/nowhere/config");
    fails(
        nowhere,
        "ssh-config",
        "host: handshake: no agent answered, exit status 255: Can't open user config file*",
    )
    .await;
}

#[tokio::test]
async fn host_that_never_answers_fails_within_the_connect_timeout() {
    let driver = ssh("dropped").connect_timeout(Duration::from_secs(2));
    let report = "dropped: handshake: no agent answered, exit status 255: *timed out* (the host did not \
                  answer: it is down, or a firewall drops the packets)";
    tokio::time::timeout(Duration::from_secs(30), fails(driver, "timed-out", report))
        .await
        .expect("it has a deadline");
    let driver = ssh("dropped");
    let tunnel = Tunnel::with_config(driver, config().handshake_timeout(Duration::from_secs(1)));
    let error = tunnel.connect().await.unwrap_err();
    assert!(error.is_timeout(), "{}", error.report());
    assert!(matches(&error.report(), "dropped: handshake: timed out after 1s*"), "{}", error.report());
    drop(tunnel);
    childless().await;
}

#[tokio::test]
async fn accounts_that_run_something_else_are_told() {
    fails(
        ssh("forced"),
        "not-run",
        "forced: handshake: no agent answered, exit status 0; stdout began with \"this account is for backups\" \
         (a program other than the interpreter ran: *)",
    )
    .await;
    fails(
        ssh("nologin"),
        "account-closed",
        "nologin: handshake: no agent answered, exit status 1*currently not available*",
    )
    .await;
}

#[tokio::test]
async fn interpreters_are_found_where_they_are() {
    // The first has one on its `PATH` whose name tells its version; the last has only one of a fixed path.
    for (alias, python, executable) in [
        ("odd", "auto", "path/odd/python3."),
        ("old", "python2", "bin/python2"),
        ("empty", "auto", "/usr/bin/python3"),
    ] {
        let tunnel = tunnel(ssh(alias).python(python));
        let agent = tunnel.connect().await.unwrap_or_else(|error| panic!("{}", error.report()));
        assert!(agent.executable.contains(executable), "{alias}: {}", agent.executable);
        tunnel.close().await.unwrap();
    }
    fails(
        ssh("empty").python("python3"),
        "python-missing",
        "empty: handshake: no agent answered, exit status 127: *python3: not found (*)",
    )
    .await;
    let error = failure(ssh("stub").python("python3")).await;
    let report = "stub: handshake: no agent answered, exit status 9: python3 is not installed here";
    assert_eq!(error.report(), report);
}

#[tokio::test]
async fn hosts_behind_a_bastion_are_reached() {
    works(ssh("within")).await;
    works(ssh("within-directly").jump("bastion")).await;
    let error = failure(ssh("within-directly").connect_timeout(Duration::from_secs(2))).await;
    assert_eq!(error.host().as_str(), "within-directly");
}

#[tokio::test]
async fn slow_link_is_only_slow() {
    works(ssh("far")).await;
}

#[tokio::test]
async fn target_strings_lead_there() {
    let config_file = lab::folder().join("ssh/config").display().to_string();
    let texts = [
        format!("plain?config={config_file}"),
        format!("ssh://chopsticks-zsh@plain?config={config_file}&python=auto"),
        format!("name=ssh://sudo?config={config_file}&sudo=chopsticks-other"),
        "sudo:chopsticks-other".to_owned(),
    ];
    for text in texts {
        let target: Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let tunnel = target.tunnel(config());
        let sum = tunnel.call::<i64>("far:add", (1, 2)).await;
        assert_eq!(sum.unwrap_or_else(|error| panic!("{text}: {}", error.report())), 3);
        tunnel.close().await.unwrap();
    }
}

/// A server takes ten sessions over one connection; what is above makes connections of its own.
#[tokio::test]
async fn users_own_master_connection_is_shared_and_outlived() {
    let tunnels: Vec<_> = (0..14).map(|n| tunnel(ssh("mux").name(format!("mux-{n}")))).collect();
    let answers = join_all(tunnels.iter().map(|tunnel| tunnel.call::<i64>("far:add", (1, 2)))).await;
    let failed: Vec<_> = answers.into_iter().filter_map(|answer| Some(answer.err()?.report())).collect();
    let closed = join_all(tunnels.iter().map(Tunnel::close)).await;
    let config_file = lab::folder().join("ssh/config").display().to_string();
    lab::output("ssh", ["-F", &config_file, "-O", "exit", "mux"]);
    assert!(failed.is_empty(), "{failed:?}");
    assert!(closed.into_iter().all(|closed| closed.is_ok()));
    drop(tunnels);
    childless().await;
}

#[tokio::test]
async fn dead_master_connection_does_no_harm() {
    drop(UnixListener::bind(lab::folder().join("ssh/mux-dead.socket")).unwrap());
    works(ssh("mux-dead")).await;
    let config_file = lab::folder().join("ssh/config").display().to_string();
    lab::output("ssh", ["-F", &config_file, "-O", "exit", "mux-dead"]);
}
