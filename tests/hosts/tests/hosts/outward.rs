//! Tunnels that code on a host opens itself, by ssh and sudo.

use chopsticks::Tunnel;
use chopsticks::{Call, Local};
use chopsticks_hosts::check::{config, tunnel};
use chopsticks_hosts::lab::{self, ssh};
use chopsticks_hosts::watch::childless;

#[tokio::test]
async fn host_behind_ssh_opens_a_tunnel_to_another_user() {
    let tunnel = tunnel(ssh("sudo"));
    let (own, other): (u32, u32) = tunnel.call("outward:users", ("chopsticks-other",)).await.unwrap();
    assert!(own != other && own != 0 && other != 0, "{own} {other}");
    let refusal: String = tunnel.call("outward:refusal", ("root",)).await.unwrap();
    assert!(
        refusal.contains("root@localhost: handshake: sudo exited with 1: sudo: a password is required"),
        "{refusal}"
    );
    tunnel.close().await.unwrap();
    drop(tunnel);
    childless().await;
}

#[tokio::test]
async fn ssh_of_the_far_side_reaches_a_host_that_goes_on_from_there() {
    let tunnel = Tunnel::with_config(Local::new(), config().depth_limit(3));
    let file = lab::folder().join("ssh/config").into_os_string().into_string().unwrap();
    let (own, users): (u32, (u32, u32)) =
        tunnel.call("outward:by_ssh", (file, "sudo", "chopsticks-other")).await.unwrap();
    assert_eq!(own, users.0);
    assert!(own != users.1 && own != 0 && users.1 != 0, "{own} {users:?}");
    tunnel.close().await.unwrap();
    drop(tunnel);
    childless().await;
}

#[tokio::test]
async fn server_that_drops_connections_gets_all_of_a_group_in_the_end() {
    let tunnel = Tunnel::with_config(Local::new(), config());
    let file = lab::folder().join("ssh/config").into_os_string().into_string().unwrap();
    let call = Call::new("outward:many_by_ssh").args((file, "strict", 20));
    let (agents, failures): (usize, Vec<String>) = tunnel.call_with(call).await.unwrap().decode().unwrap();
    assert_eq!((agents, failures), (20, Vec::new()));
    tunnel.close().await.unwrap();
}
