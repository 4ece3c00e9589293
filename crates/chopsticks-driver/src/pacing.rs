//! Turns at connecting to servers that limit the number of connections before the login.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::Notify;

/// The state of one server: how many simultaneous connections it accepts.
///
/// The limit grows while all connections succeed, and is halved when the server drops one, in the
/// way that senders on a network find their speed.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: Notify,
    /// The maximum of the limit.
    max: f64,
}

#[derive(Debug)]
struct State {
    /// How many connections may be under way at once.
    limit: f64,
    /// Below this value, the limit grows by one for each success; above it, by one for each round.
    threshold: f64,
    inside: usize,
    /// How often the limit was lowered. If several connections that were under way at the time are
    /// dropped, this counts once.
    lowered: u64,
}

/// The gates of all servers, which the tunnels that share this share.
#[derive(Debug)]
pub struct Gates {
    /// The maximum of each limit.
    max: f64,
    /// By destination, and the process that they belong to.
    gates: Mutex<(u32, HashMap<String, Weak<Gate>>)>,
}

/// The right to connect, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Arc<Gate>,
    lowered: u64,
}

impl Gates {
    /// Creates gates that let at most `max` connections to a server begin at once. 0 counts as 1.
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1) as f64, gates: Mutex::new((std::process::id(), HashMap::new())) }
    }

    /// Returns the gate of a server, which all connections to it share.
    pub fn of(&self, destination: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody in a forked child ends the turns of its parent.
        let process = std::process::id();
        if gates.0 != process {
            *gates = (process, HashMap::new());
        }
        let gates = &mut gates.1;
        if let Some(gate) = gates.get(destination).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Gate::new(self.max));
        gates.insert(destination.to_owned(), Arc::downgrade(&gate));
        gate
    }
}

/// At most [`MAX_CONNECTING`] at once.
impl Default for Gates {
    fn default() -> Self {
        Self::new(MAX_CONNECTING)
    }
}

impl Gate {
    fn new(max: f64) -> Self {
        let state = State { limit: FIRST_LIMIT.min(max), threshold: max, inside: 0, lowered: 0 };
        Self { state: Mutex::new(state), changed: Notify::new(), max }
    }

    /// Waits for a turn.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue.
    pub async fn turn(self: &Arc<Self>) -> Turn {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.has_room() {
                    state.inside += 1;
                    return Turn { gate: self.clone(), lowered: state.lowered };
                }
            }
            changed.await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.inside == 0 || (self.inside as f64) < self.limit.floor()
    }
}

impl Turn {
    /// Ends the turn of a connection that the server accepted.
    pub fn came_through(self) {
        let mut state = self.gate.state();
        let step = if state.limit < state.threshold { 1.0 } else { 1.0 / state.limit };
        state.limit = (state.limit + step).min(self.gate.max);
    }

    /// Ends the turn of a connection that the server dropped. Returns whether other connections
    /// were under way at the same time.
    pub fn was_dropped(self) -> bool {
        let mut state = self.gate.state();
        if state.lowered == self.lowered {
            state.limit = (state.limit.min(state.inside as f64) / 2.0).max(1.0);
            state.threshold = state.limit;
            state.lowered += 1;
        }
        state.inside > 1
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.inside -= 1;
        // The limit may have grown too, and given room to more than one.
        for _ in state.inside..(state.limit as usize).max(1) {
            self.gate.changed.notify_one();
        }
    }
}

/// Returns how long to wait after attempt number `attempt`. The time grows with each attempt, and
/// differs for connections that were dropped together.
pub fn backoff(attempt: u32) -> Duration {
    let longest = FIRST_BACKOFF.saturating_mul(1 << attempt.min(10)).min(MAX_BACKOFF);
    // The keys of the standard library's hash maps are random.
    let random = RandomState::new().hash_one(attempt) >> 40;
    longest.mul_f64(0.5 + 0.5 * random as f64 / (1 << 24) as f64)
}

/// OpenSSH servers begin to drop connections when 10 have not logged in, by default.
const FIRST_LIMIT: f64 = 10.0;
/// How many connections to a server begin at once at most, unless [`Gates::new`] sets another number.
/// Beyond this, the controller's own processor is the limit.
pub const MAX_CONNECTING: usize = 64;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn limit_halves_once_for_all_that_were_dropped_together_and_grows_again() {
        let gate = Arc::new(Gate::new(64.0));
        let mut turns = Vec::new();
        for _ in 0..10 {
            turns.push(gate.turn().await);
        }
        assert!(tokio::time::timeout(Duration::ZERO, gate.turn()).await.is_err());
        let alone: Vec<_> = turns.drain(..).map(Turn::was_dropped).collect();
        assert_eq!(alone.iter().filter(|others| !**others).count(), 1, "the last was alone");
        assert_eq!(gate.state().limit, 5.0);
        for _ in 0..5 {
            turns.push(gate.turn().await);
        }
        assert!(tokio::time::timeout(Duration::ZERO, gate.turn()).await.is_err());
        turns.drain(..).for_each(Turn::came_through);
        assert!(gate.state().limit > 5.9 && gate.state().limit < 6.0);
        assert_eq!(gate.state().inside, 0);
    }

    #[tokio::test]
    async fn those_who_wait_go_when_there_is_room() {
        let gate = Arc::new(Gate::new(64.0));
        gate.state().limit = 1.0;
        let first = gate.turn().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move { drop(gate.turn().await) })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(first);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(gate.state().inside, 0);
    }

    #[tokio::test]
    async fn destination_has_one_gate_while_somebody_holds_it() {
        let gates = Gates::default();
        let gate = gates.of("one destination");
        assert!(Arc::ptr_eq(&gate, &gates.of("one destination")));
        assert!(!Arc::ptr_eq(&gate, &gates.of("another destination")));
        assert!(!Arc::ptr_eq(&gate, &Gates::default().of("one destination")));
    }

    #[tokio::test]
    async fn as_many_begin_at_once_as_is_set() {
        for max in [0, 1, 3] {
            let gate = Gates::new(max).of("server");
            let mut turns = Vec::new();
            for _ in 0..max.max(1) {
                turns.push(gate.turn().await);
            }
            assert!(tokio::time::timeout(Duration::ZERO, gate.turn()).await.is_err(), "{max}");
            turns.drain(..).for_each(Turn::came_through);
            assert_eq!(gate.state().limit, max.max(1) as f64);
        }
    }

    #[test]
    fn backoff_grows_and_is_bounded() {
        for attempt in 0..40 {
            let wait = backoff(attempt);
            assert!(wait >= FIRST_BACKOFF / 2 && wait <= MAX_BACKOFF, "{attempt}: {wait:?}");
        }
        assert!(backoff(9) >= MAX_BACKOFF / 2);
    }
}
