//! Tunnels as the targets of groups and queues.

use chopsticks_tunnel::{Error, HostName, Phase, Tunnel};

/// A tunnel in a group or a queue.
#[derive(Clone)]
pub(crate) struct Member(pub(crate) Tunnel);

impl chopsticks_group::Member for Member {
    type Name = HostName;
    type Error = Error;

    fn name(&self) -> HostName {
        self.0.host().clone()
    }

    async fn connect(&self) -> Result<(), Error> {
        self.0.connect().await.map(drop)
    }

    async fn close(&self) -> Result<(), Error> {
        self.0.close().await
    }

    fn key(&self) -> Option<String> {
        self.0.destination()
    }

    async fn connected(&self) {
        self.0.connected().await;
    }

    fn room(&self) -> Option<impl Send + 'static> {
        self.0.room()
    }

    async fn more_room(&self) {
        self.0.more_room().await;
    }

    fn give_way(&self) -> bool {
        self.0.give_way()
    }

    fn is_unreachable(error: &Error) -> bool {
        matches!(error.phase(), Phase::Handshake | Phase::Spawn)
    }
}
