//! Made-up hosts that keep a record of what happens on them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chopsticks_group::Member;
use thiserror::Error;
use tokio::{sync::watch, time::sleep};

/// A host: a name, how long it takes to connect, and what all hosts of a test have done.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) key: Option<&'static str>,
    pub(crate) connects_in: Option<Duration>,
    is_connected: Arc<watch::Sender<bool>>,
    pub(crate) log: Log,
}

#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum Trouble {
    #[error("{0}: it broke")]
    Broken(&'static str),
    #[error("{0}: no route")]
    Unreachable(&'static str),
}

/// What has happened, and how many run and connect.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    events: Vec<String>,
    running: usize,
    most_running: usize,
    connecting: usize,
    most_connecting: usize,
}

/// Counts a host among those that run for as long as it lives.
struct Running(Log);

impl Host {
    pub(crate) fn new(log: &Log, name: &'static str) -> Self {
        let is_connected = Arc::new(watch::channel(false).0);
        Self { name, key: None, connects_in: Some(Duration::from_secs(1)), is_connected, log: log.clone() }
    }

    pub(crate) fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// A host that cannot be reached.
    pub(crate) fn unreachable(mut self) -> Self {
        self.connects_in = None;
        self
    }

    /// Works for some seconds, after having connected.
    pub(crate) async fn work(&self, what: &str, seconds: u64) -> Result<&'static str, Trouble> {
        self.log.0.lock().unwrap().running += 1;
        self.log.update();
        let _running = Running(self.log.clone());
        self.connect().await?;
        self.log.event(format!("{} {what} begins", self.name));
        sleep(Duration::from_secs(seconds)).await;
        self.log.event(format!("{} {what} ends", self.name));
        Ok(self.name)
    }
}

impl Member for Host {
    type Name = &'static str;
    type Error = Trouble;

    fn name(&self) -> &'static str {
        self.name
    }

    async fn connect(&self) -> Result<(), Trouble> {
        if *self.is_connected.borrow() {
            return Ok(());
        }
        let Some(after) = self.connects_in else { return Err(Trouble::Unreachable(self.name)) };
        self.log.0.lock().unwrap().connecting += 1;
        self.log.update();
        sleep(after).await;
        self.log.0.lock().unwrap().connecting -= 1;
        self.is_connected.send_replace(true);
        Ok(())
    }

    async fn close(&self) -> Result<(), Trouble> {
        self.is_connected.send_replace(false);
        Ok(())
    }

    fn key(&self) -> Option<String> {
        self.key.map(str::to_owned)
    }

    async fn connected(&self) {
        let _ = self.is_connected.subscribe().wait_for(|is_connected| *is_connected).await;
    }

    fn is_unreachable(error: &Trouble) -> bool {
        matches!(error, Trouble::Unreachable(_))
    }
}

impl Log {
    pub(crate) fn event(&self, text: impl Into<String>) {
        self.0.lock().unwrap().events.push(text.into());
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().events.clone()
    }

    pub(crate) fn running(&self) -> usize {
        self.0.lock().unwrap().running
    }

    /// The most that ran, and the most that connected, at once.
    pub(crate) fn most(&self) -> (usize, usize) {
        let counts = self.0.lock().unwrap();
        (counts.most_running, counts.most_connecting)
    }

    fn update(&self) {
        let mut counts = self.0.lock().unwrap();
        counts.most_running = counts.most_running.max(counts.running);
        counts.most_connecting = counts.most_connecting.max(counts.connecting);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().running -= 1;
    }
}
