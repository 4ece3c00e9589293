//! Passwords for ssh, sudo and keys, on servers and with rules that ask for them.

use std::fs;

use chopsticks::{Hint, Secret, SecretKind, Secrets, Sudo, Target, Tunnel};
use chopsticks_hosts::check::{config, fails, tunnel, works};
use chopsticks_hosts::lab::{self, ssh};
use chopsticks_support::processes;
use futures::future::join_all;

/// The password of all users who have one.
fn password() -> Secret {
    Secret::new(fs::read_to_string(lab::folder().join("password")).expect("the lab has passwords"))
}

fn wrong() -> Secret {
    Secret::new("not the password")
}

/// How often the log of a server has a text.
fn logged(server: &str, text: &str) -> usize {
    let log =
        fs::read_to_string(lab::folder().join("log").join(format!("sshd-{server}"))).unwrap_or_default();
    log.lines().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn servers_that_ask_for_a_password_are_reached() {
    for alias in ["login-password", "login-interactive", "login-both"] {
        works(ssh(alias).password(password())).await;
    }
}

#[tokio::test]
async fn wrong_password_is_one_failed_login() {
    let report = |alias: &str| {
        format!(
            "{alias}: handshake: no agent answered, *: chopsticks: *refused (check the password and the name of the user: it was tried once, and is not tried again)"
        )
    };
    for (alias, server) in
        [("login-wrong", "chopsticks-pam"), ("login-wrong-password", "chopsticks-password")]
    {
        let failed = || {
            logged(server, "Failed password for chopsticks-login-wrong")
                + logged(server, "PAM: Authentication failure for chopsticks-login-wrong")
        };
        let before = failed();
        let driver = ssh(alias).password(wrong());
        fails(driver.clone(), "password-wrong", &report(alias)).await;
        // The driver remembers it.
        let again = format!("{alias}: handshake: *refused by {alias}, and is not sent again (*");
        fails(driver, "password-wrong", &again).await;
        assert_eq!(failed(), before + 1, "{server}");
    }
}

#[tokio::test]
async fn host_key_that_is_not_known_is_not_accepted_by_a_password() {
    let report =
        "login-unknown-key: handshake: no agent answered, exit status 255: Host key verification failed. *";
    fails(ssh("login-unknown-key").password(password()), "host-key-unknown", report).await;
}

#[tokio::test]
async fn second_question_gets_no_password() {
    let report = "login-expired: handshake: no agent answered, *ssh asks for something else: *assword*";
    fails(ssh("login-expired").password(password()), "prompt-unknown", report).await;
}

#[tokio::test]
async fn jump_hosts_have_passwords_of_their_own() {
    works(ssh("behind-login").jump_password(password())).await;
    works(ssh("login-behind-login").jump_password(password()).password(password())).await;
    let report = "behind-login: handshake: no agent answered, *password of the jump host is asked for, and there is none*";
    fails(ssh("behind-login").password(password()), "password-missing", report).await;
}

#[tokio::test]
async fn key_with_a_passphrase_logs_in() {
    works(ssh("locked").passphrase(Secret::new("passphrase of the lab"))).await;
    let report = "locked: handshake: no agent answered, exit status 255: chopsticks: a passphrase was given*";
    fails(ssh("locked").passphrase(wrong()), "passphrase-wrong", report).await;
    let report = "locked: handshake: no agent answered, exit status 255: *Permission denied (*";
    fails(ssh("locked"), "permission-denied", report).await;
}

#[tokio::test]
async fn sudo_gets_the_password_where_it_asks() {
    for alias in ["asks", "asks-pty", "asks-once"] {
        let driver = ssh(alias).sudo_user("chopsticks-other").sudo_password(password());
        let tunnel = tunnel(driver);
        let own: u32 = tunnel.call("far:user", ()).await.unwrap_or_else(|error| panic!("{}", error.report()));
        let other: u32 = self::tunnel(Sudo::new("chopsticks-other")).call("far:user", ()).await.unwrap();
        assert_eq!(own, other, "{alias}");
        let bytes: Vec<u8> = (0..=255).chain(*b"\r\n\x03\x04\x1a\n").collect();
        let echo: serde_bytes::ByteBuf =
            tunnel.call("far:echo", (serde_bytes::Bytes::new(&bytes),)).await.unwrap();
        assert_eq!(echo.into_vec(), bytes, "{alias}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn sudo_that_does_not_ask_gets_no_password() {
    works(ssh("sudo").sudo_user("chopsticks-other").sudo_password(wrong())).await;
    works(ssh("pty").sudo_user("chopsticks-other").sudo_password(wrong())).await;
    works(Sudo::new("chopsticks-other").password(wrong())).await;
}

#[tokio::test]
async fn login_and_sudo_get_their_passwords_in_one_chain() {
    let driver = ssh("login-interactive").password(password());
    works(driver.sudo_user("chopsticks-other").sudo_password(password())).await;
    // sudo as a target of its own, through a tunnel.
    let config_file = lab::folder().join("ssh/config").display().to_string();
    let target: Target =
        format!("ssh://login-password?config={config_file}/sudo:chopsticks-other").parse().unwrap();
    let secrets = Secrets::new().with(SecretKind::Password, password()).with(SecretKind::Sudo, password());
    let tunnel = target.tunnel(config().secrets(secrets));
    let sum = tunnel.call::<i64>("far:add", (1, 2)).await;
    assert_eq!(sum.unwrap_or_else(|error| panic!("{}", error.report())), 3);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn wrong_password_of_sudo_is_one_error() {
    let report = |alias: &str| {
        format!(
            "{alias}: handshake: no agent answered, exit status 1: * (check the password of sudo, which is usually that of the user who logs in: it was tried once, and is not tried again)"
        )
    };
    for alias in ["asks-wrong", "asks-once"] {
        let driver = ssh(alias).sudo_user("chopsticks-other").sudo_password(wrong());
        fails(driver, "sudo-password-wrong", &report(alias)).await;
    }
    let tty = ssh("asks-tty").sudo_user("chopsticks-other").sudo_password(password());
    fails(tty, "sudo-tty", "asks-tty: handshake: no agent answered, exit status 1: *must have a tty*").await;
    let denied = ssh("asks").sudo_password(password()).sudo();
    fails(
        denied,
        "sudo-not-allowed",
        "asks: handshake: no agent answered, exit status 1: *not allowed to execute*",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_password_lets_a_group_in_and_is_nowhere_to_be_found() {
    let secrets = Secrets::new().with(SecretKind::Password, password());
    let config = config().secrets(secrets);
    let tunnels: Vec<_> =
        (0..20).map(|n| Tunnel::with_config(ssh(&format!("login-group-{n}")), config.clone())).collect();
    let answers = join_all(tunnels.iter().map(|tunnel| tunnel.call::<i64>("far:add", (1, 2)))).await;
    let failed: Vec<_> = answers.into_iter().filter_map(|answer| Some(answer.err()?.report())).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let secret = password();
    assert_eq!(processes::with_argument(secret.expose()), [0_u32; 0]);
    for entry in fs::read_dir(lab::folder().join("log")).unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains(secret.expose()));
    }
    let closed = join_all(tunnels.iter().map(Tunnel::close)).await;
    assert!(closed.into_iter().all(|closed| closed.is_ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_for_a_group_is_one_failed_login() {
    let before = logged("chopsticks-password", "Failed password for chopsticks-login-group");
    let config = config().secrets(Secrets::new().with(SecretKind::Password, wrong()));
    let tunnels: Vec<_> = (0..12)
        .map(|n| Tunnel::with_config(ssh(&format!("login-group-wrong-{n}")), config.clone()))
        .collect();
    let answers = join_all(tunnels.iter().map(Tunnel::connect)).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.hint().map(Hint::cause), Some("password-wrong"), "{}", error.report());
    }
    assert_eq!(logged("chopsticks-password", "Failed password for chopsticks-login-group"), before + 1);
}
