//! Other users, roots, namespaces and containers: as targets, and what goes wrong.

use chopsticks::{Chroot, Doas, Incus, Kubectl, Lxc, Machine, Nsenter, Nspawn, Su, Target, Tunnel};
use chopsticks_hosts::check::{config, fails, tunnel, works};
use chopsticks_hosts::lab;
use chopsticks_hosts::watch::childless;

/// What `far:user` returns by way of a target.
async fn user(text: &str) -> u32 {
    let target: Target = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let tunnel = target.tunnel(config());
    let user = tunnel.call("far:user", ()).await.unwrap_or_else(|error| panic!("{text}: {}", error.report()));
    tunnel.close().await.unwrap_or_else(|error| panic!("{text}: {}", error.report()));
    drop(tunnel);
    childless().await;
    user
}

#[tokio::test]
async fn su_and_doas_become_the_user_that_sudo_becomes() {
    let by_sudo = user("sudo:chopsticks-other").await;
    assert_ne!(by_sudo, 0);
    for text in [
        "su:chopsticks-other",
        "su:chopsticks-other?login",
        "su:chopsticks-other?shell=/bin/bash",
        "doas:chopsticks-other",
        "local/su:chopsticks-other",
        "su:root/doas:chopsticks-other",
    ] {
        assert_eq!(user(text).await, by_sudo, "{text}");
    }
}

/// Those that only a login shell of the user's own could refuse.
#[tokio::test]
async fn su_runs_in_every_login_shell() {
    for shell in ["sh", "dash", "bash", "zsh", "fish", "tcsh", "busybox"] {
        works(Su::new(format!("chopsticks-{shell}"))).await;
    }
    works(Su::new("chopsticks-nologin").shell("/bin/sh")).await;
}

#[tokio::test]
async fn su_and_doas_tell_what_they_miss() {
    let nologin = "chopsticks-nologin@localhost: handshake: no agent answered, exit status 1; *This account is currently \
                   not available.* (the user may not log in there)";
    fails(Su::new("chopsticks-nologin"), "account-closed", nologin).await;
    let unknown = "nobody-of-this-name@localhost: handshake: no agent answered, exit status 1: su: user \
                   nobody-of-this-name does not exist*";
    fails(Su::new("nobody-of-this-name"), "user-unknown", unknown).await;
    let missing = "*: no agent answered, exit status 127: *nowhere9*";
    fails(Su::new("chopsticks-other").python("/nowhere9"), "python-missing", missing).await;
    let doas = "chopsticks-*@localhost: handshake: no agent answered, exit status 1: doas: *";
    fails(Doas::new("chopsticks-password"), "doas-password", doas).await;
    fails(Doas::new("chopsticks-bash"), "doas-not-allowed", doas).await;
    fails(Doas::new("chopsticks-other").python("/nowhere9"), "python-missing", doas).await;
    fails(Doas::new("nobody-of-this-name"), "user-unknown", "*: doas: unknown user (*)").await;
}

#[tokio::test]
async fn roots_and_namespaces_tell_what_they_miss() {
    fails(Chroot::new("/nowhere"), "root-missing", "/nowhere: *cannot change root directory*").await;
    fails(Chroot::new(lab::chroot()).python("nowhere9"), "python-missing", "*exit status 127: *nowhere9*")
        .await;
    fails(Chroot::new(lab::chroot()).user("nobody-of-this-name"), "user-unknown", "*invalid user*").await;
    fails(Nsenter::process(999_999_999), "process-missing", "pid-999999999: *No such file*").await;
    fails(Nsenter::network("nowhere"), "network-missing", "nowhere: *No such file*").await;
    let network = Nsenter::network("chopsticks-bastion").python("nowhere9");
    fails(network, "python-missing", "*failed to execute nowhere9*").await;
}

/// By one who is not root, on another host.
#[tokio::test]
async fn what_only_root_may_do_is_told() {
    let config_file = lab::folder().join("ssh/config");
    // Only root looks for `chroot` where it is.
    for last in ["nsenter:1".to_owned(), format!("nspawn://{}", lab::root())] {
        let text = format!("ssh://plain?config={}/{last}", config_file.display());
        let target: Target = text.parse().unwrap();
        let error = target.tunnel(config()).connect().await.unwrap_err();
        assert_eq!(error.hint().map(chopsticks::Hint::cause), Some("not-root"), "{}", error.report());
    }
    childless().await;
}

#[tokio::test]
async fn containers_tell_what_they_miss() {
    let nspawn = |root: &str| Nspawn::folder(root).unregistered();
    fails(nspawn("/nowhere"), "root-missing", "/nowhere: *Failed to resolve path*").await;
    fails(Nspawn::machine("nowhere").unregistered(), "image-missing", "nowhere: *No image for machine*")
        .await;
    let reading = nspawn(&lab::root()).args(["--read-only", "--machine=chx-missing"]);
    fails(reading.clone().python("nowhere9"), "python-missing", "*execv(nowhere9) failed*").await;
    fails(reading.user("nobody-of-this-name"), "user-unknown", "*Failed to resolve user*").await;
    let lxc = |name: &str| Lxc::new(name).path(lab::folder().join("lxc").display().to_string());
    fails(lxc("chopsticks-stopped"), "container-stopped", "chopsticks-stopped: *").await;
    fails(lxc("chopsticks-lxc").python("nowhere9"), "python-missing", "*Failed to exec \"nowhere9\"*").await;
    works(lxc("chopsticks-lxc").uid(1000)).await;
    let systemd_run = Machine::new("nowhere");
    fails(systemd_run, "machine-missing", "nowhere: *Failed to connect to bus*").await;
}

/// The root cannot be changed by two at once, unless each has a copy of it.
#[tokio::test]
async fn root_in_use_is_told_and_a_copy_of_it_is_free() {
    let folder = tempfile::tempdir_in(lab::folder()).unwrap();
    let root = folder.path().join("root").display().to_string();
    let copied = lab::output("cp", ["-a", "--one-file-system", &lab::root(), &root]);
    assert!(copied.status.success());
    let first = tunnel(Nspawn::folder(&root).unregistered());
    first.call::<i64>("far:add", (1, 2)).await.unwrap_or_else(|error| panic!("{}", error.report()));
    fails_beside(&first, Nspawn::folder(&root).unregistered().name("second")).await;
    let copy = tunnel(Nspawn::folder(&root).unregistered().ephemeral().name("copy"));
    let sum: i64 = copy.call("far:add", (1, 2)).await.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(sum, 3);
    copy.close().await.unwrap();
    first.close().await.unwrap();
    works(Nspawn::folder(&root).unregistered()).await;
}

async fn fails_beside(first: &Tunnel, second: Nspawn) {
    let error = tunnel(second).connect().await.expect_err("the root is in use");
    assert_eq!(error.hint().map(chopsticks::Hint::cause), Some("root-busy"), "{}", error.report());
    first.call::<i64>("far:add", (1, 2)).await.unwrap_or_else(|error| panic!("{}", error.report()));
}

/// `kubectl` takes the arguments of the real one, as far as the driver uses them.
#[tokio::test]
async fn kubectl_stand_in_tells_what_it_misses() {
    let pod = |name: &str| Kubectl::new(name).namespace("shop").program(lab::stand_in("kubectl"));
    works(pod("web-0").container("log").context("test").kubeconfig("/dev/null").args(["--quiet"])).await;
    works(pod("deploy/web")).await;
    fails(pod("web-1"), "pod-missing", "web-1: *pods \"web-1\" not found (*)").await;
    fails(pod("web-0").container("db"), "container-missing", "*container db is not valid*").await;
    fails(pod("web-0").context("prod"), "context-missing", "*context was not found*").await;
    fails(pod("web-0").namespace("secret"), "kubectl-denied", "*Forbidden*").await;
    fails(pod("web-0").python("nowhere9"), "python-missing", "*executable file not found*").await;
}

#[tokio::test]
async fn incus_stand_in_tells_what_it_misses() {
    let instance = |name: &str| Incus::new(name).program(lab::stand_in("incus"));
    works(instance("far:web").project("default").uid(0)).await;
    fails(instance("db"), "container-missing", "db: *Error: Instance not found (*)").await;
    fails(instance("web").project("shop"), "container-missing", "web: *Error: Instance not found (*)").await;
    fails(instance("stopped"), "container-stopped", "stopped: *Error: Instance is not running (*)").await;
    fails(instance("web").python("nowhere9"), "python-missing", "web: *Error: Command not found (*)").await;
}
