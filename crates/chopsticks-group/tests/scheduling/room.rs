//! Hosts that cannot all be connected at once.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use chopsticks_group::{Batch, Budget, Group, Limits, Member, NotStarted, Queue, Scope};
use thiserror::Error;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// Where hosts are connected, and how many at most.
struct House {
    places: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    connected: BTreeSet<usize>,
    used: BTreeSet<usize>,
    promised: usize,
    /// How often a host has connected.
    connections: usize,
}

#[derive(Clone)]
struct Guest {
    number: usize,
    house: Arc<House>,
}

struct Promise(Arc<House>);

#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("no room")]
struct Full;

impl House {
    fn with_places(places: usize) -> Arc<Self> {
        Arc::new(Self { places, state: Mutex::default(), changed: Notify::new() })
    }

    fn guests(self: &Arc<Self>, numbers: impl IntoIterator<Item = usize>) -> Group<Guest> {
        let guests = numbers.into_iter().map(|number| Guest { number, house: self.clone() });
        Group::new(guests).expect("numbers differ")
    }

    fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    fn leave(&self, number: usize) -> bool {
        let left = self.state.lock().unwrap().connected.remove(&number);
        self.changed.notify_waiters();
        left
    }
}

impl Guest {
    async fn work(self) -> Result<usize, Full> {
        self.connect().await?;
        self.house.state.lock().unwrap().used.insert(self.number);
        sleep(Duration::from_secs(60)).await;
        self.house.state.lock().unwrap().used.remove(&self.number);
        Ok(self.number)
    }
}

impl Member for Guest {
    type Name = usize;
    type Error = Full;

    fn name(&self) -> usize {
        self.number
    }

    async fn connect(&self) -> Result<(), Full> {
        sleep(Duration::from_millis(10)).await;
        let mut state = self.house.state.lock().unwrap();
        if state.connected.contains(&self.number) {
            return Ok(());
        }
        if state.connected.len() >= self.house.places {
            return Err(Full);
        }
        state.connected.insert(self.number);
        state.connections += 1;
        Ok(())
    }

    async fn close(&self) -> Result<(), Full> {
        self.house.leave(self.number);
        Ok(())
    }

    async fn connected(&self) {
        loop {
            if self.house.state.lock().unwrap().connected.contains(&self.number) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn room(&self) -> Option<impl Send + 'static> {
        let mut state = self.house.state.lock().unwrap();
        let is_enough = state.connected.contains(&self.number)
            || state.connected.len() + state.promised < self.house.places;
        is_enough.then(|| {
            state.promised += 1;
            Promise(self.house.clone())
        })
    }

    async fn more_room(&self) {
        self.house.changed.notified().await;
    }

    fn give_way(&self) -> bool {
        let is_used = self.house.state.lock().unwrap().used.contains(&self.number);
        assert!(!is_used, "host {} is at work", self.number);
        self.house.leave(self.number)
    }

    fn is_unreachable(_: &Full) -> bool {
        true
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().promised -= 1;
        self.0.changed.notify_waiters();
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_give_way_when_they_are_done_and_all_have_their_turn() {
    let house = House::with_places(3);
    let group = house.guests(0..40);
    for _ in 0..2 {
        let results = group.run(Guest::work).await;
        assert_eq!(results.failures().count(), 0, "{results:?}");
        assert!(results.successful().all(|(name, value)| name == value));
    }
    assert_eq!(group.close().await.failures().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_gives_way_while_there_is_room() {
    let house = House::with_places(40);
    let group = house.guests(0..40);
    for _ in 0..3 {
        assert_eq!(group.run(Guest::work).await.successful().count(), 40);
    }
    assert_eq!(house.connections(), 40);
}

#[tokio::test(start_paused = true)]
async fn only_as_many_give_way_as_are_needed() {
    let house = House::with_places(38);
    let group = house.guests(0..40);
    assert_eq!(group.run(Guest::work).await.successful().count(), 40);
    assert_eq!(house.connections(), 40);
    assert_eq!(house.state.lock().unwrap().connected.len(), 38);
}

#[tokio::test(start_paused = true)]
async fn without_any_room_hosts_try_and_say_so_all_together() {
    let house = House::with_places(3);
    let others = house.guests(100..103);
    assert_eq!(others.run(Guest::work).await.successful().count(), 3);
    let begun = Instant::now();
    let results = house.guests(0..40).run(Guest::work).await;
    assert_eq!(results.failures().count(), 40, "{results:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "each has waited by itself");

    let queue = Queue::new();
    let (first, second) = (
        queue.each(&house.guests(0..40), "work", Guest::work),
        queue.each(&house.guests(0..40), "work", Guest::work),
    );
    queue.run().await;
    assert_eq!(first.value().unwrap().failures().count(), 40);
    assert_eq!(second.value().unwrap().failures().count(), 40);
}

#[tokio::test(start_paused = true)]
async fn room_that_others_leave_is_taken() {
    let house = House::with_places(3);
    let others = house.guests(100..103);
    assert_eq!(others.connect().await.successful().count(), 3);
    let group = house.guests(0..10);
    let (results, _) = tokio::join!(group.run(Guest::work), async {
        sleep(Duration::from_secs(2)).await;
        others.close().await
    });
    assert_eq!(results.successful().count(), 10, "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_budgets_hold_for_those_that_wait_for_room() {
    let house = House::with_places(1);
    let limits = Limits::default().timeout(Duration::from_secs(90));
    let results = house.guests(0..4).limits(limits).run(Guest::work).await;
    let left: Vec<_> = results.failures().map(|(name, failure)| (*name, failure.to_string())).collect();
    assert_eq!(left.len(), 3, "{results:?}");
    assert!(left[2].1.contains("not started before the deadline"), "{left:?}");
    house.guests(0..4).close().await;

    let limits = Limits::default().max_failures(Budget::Count(0), Scope::All).batch(Batch::Percent(100.0));
    let results = house.guests(0..4).limits(limits).run(|_| async { Err::<(), _>(Full) }).await;
    let not_started = chopsticks_group::Failure::NotStarted(NotStarted::Failures);
    assert_eq!(results.failures().filter(|(_, failure)| **failure == not_started).count(), 3, "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn lines_of_a_queue_are_done_to_their_end_before_their_host_gives_way() {
    let house = House::with_places(3);
    let group = house.guests(0..20);
    let queue = Queue::new();
    let results: Vec<_> = (0..3).map(|_| queue.each(&group, "work", Guest::work)).collect();
    queue.run().await;
    for result in results {
        assert_eq!(result.value().unwrap().successful().count(), 20);
    }
    assert_eq!(house.connections(), 20);
}

#[tokio::test(start_paused = true)]
async fn queue_whose_run_is_dropped_keeps_the_lines_that_wait_for_room() {
    let house = House::with_places(1);
    let group = house.guests(0..3);
    let queue = Queue::new();
    let result = queue.each(&group, "work", Guest::work);
    assert!(tokio::time::timeout(Duration::from_secs(30), queue.run()).await.is_err());
    assert_eq!(queue.len(), 2);
    house.state.lock().unwrap().used.clear();
    group.close().await;
    queue.run().await;
    assert_eq!(result.value().unwrap().successful().count(), 2);
}
