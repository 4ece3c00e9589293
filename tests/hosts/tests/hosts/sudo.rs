//! Sudo, here and behind ssh: rules that allow, that want a password, that want a terminal.

use chopsticks::Sudo;
use chopsticks_hosts::check::{fails, tunnel, works};
use chopsticks_hosts::lab::ssh;

#[tokio::test]
async fn terminal_that_sudo_makes_for_itself_leaves_bytes_alone() {
    let tunnel = tunnel(ssh("pty").sudo_user("chopsticks-other"));
    let bytes: Vec<u8> = (0..=255).chain(*b"\r\n\x03\x04\x1a\n").collect();
    let echo: serde_bytes::ByteBuf =
        tunnel.call("far:echo", (serde_bytes::Bytes::new(&bytes),)).await.unwrap();
    assert_eq!(echo.into_vec(), bytes);
    tunnel.close().await.unwrap();
}

#[tokio::test]
async fn agent_runs_as_the_other_user() {
    let own: u32 = tunnel(ssh("sudo")).call("far:user", ()).await.unwrap();
    let other: u32 = tunnel(ssh("sudo").sudo_user("chopsticks-other")).call("far:user", ()).await.unwrap();
    let local: u32 = tunnel(Sudo::new("chopsticks-other")).call("far:user", ()).await.unwrap();
    assert!(own != other && other == local && other != 0, "{own} {other} {local}");
    works(Sudo::new("root")).await;
}

#[tokio::test]
async fn what_rules_do_not_allow_is_told_with_its_cause() {
    let password = "*: handshake: no agent answered, exit status 1: sudo: a password is required (sudo \
                    requires a password: give it, or allow the exact path of the interpreter with `NOPASSWD:`)";
    fails(
        ssh("password").sudo_user("chopsticks-other"),
        "sudo-password",
        &password.replacen('*', "password", 1),
    )
    .await;
    fails(ssh("sudo").sudo(), "sudo-password", &password.replacen('*', "sudo", 1)).await;
    fails(
        ssh("tty").sudo_user("chopsticks-other"),
        "sudo-tty",
        "tty: handshake: no agent answered, exit status 1: sudo: sorry, you must have a tty to run sudo \
         (sudo requires a terminal: set `Defaults !requiretty` for this user)",
    )
    .await;
    fails(
        Sudo::new("nobody-of-this-name"),
        "user-unknown",
        "nobody-of-this-name@localhost: handshake: no agent answered, exit status 1: sudo: unknown user \
         nobody-of-this-name (the user does not exist on the host)",
    )
    .await;
}
