//! Made-up histories of pools.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

type Pool = Spread<u64, u64, &'static str>;

fn rules(per_host: usize, order: Order) -> Rules {
    Rules { per_host, attempts: 3, ahead: 3, order, failures: None, buffered: usize::MAX }
}

fn pool(hosts: usize, rules: Rules) -> Pool {
    let mut pool = Pool::new(rules);
    for _ in 0..hosts {
        let host = pool.add();
        pool.ready(host);
    }
    pool
}

/// Gives items until none is wanted, and returns the slots that got them.
fn give(pool: &mut Pool, left: &mut u64) -> Vec<(usize, u64)> {
    let mut given = Vec::new();
    loop {
        match pool.want() {
            Want::Again => given.push(pool.give_again().unwrap()),
            Want::Input if *left == 0 => pool.end_of_input(),
            Want::Input => {
                *left -= 1;
                let (next, _) = pool.counts();
                given.extend(pool.give(next, 10));
            }
            Want::Nothing => return given,
        }
    }
}

const MS: Duration = Duration::from_millis(1);

fn done(pool: &mut Pool, slot: usize) {
    pool.done(slot, Ok(7), 0, MS, Some(2 * MS));
}

#[test]
fn each_slot_gets_one_item_until_its_pace_is_known() {
    let mut pool = pool(2, rules(2, Order::AsTheyFinish));
    let mut left = 100;
    assert_eq!(give(&mut pool, &mut left), [(0, 0), (1, 1), (2, 2), (3, 3)]);
    done(&mut pool, 0);
    assert_eq!(give(&mut pool, &mut left), [(0, 4)]);
    done(&mut pool, 0);
    // One is performed, and as many are sent ahead as are allowed.
    assert_eq!(give(&mut pool, &mut left), [(0, 5), (0, 6), (0, 7), (0, 8)]);
}

#[test]
fn as_many_are_sent_ahead_as_fill_the_time_of_a_round_trip() {
    let ahead = |took: Duration, trip: Duration| {
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.learn(took, Some(took + trip)));
        pace.ahead(500)
    };
    let second = Duration::from_secs(1);
    assert_eq!(ahead(Duration::ZERO, MS), 500);
    assert_eq!(ahead(MS, 20 * MS), 30);
    assert_eq!(ahead(100 * MS, 20 * MS), 1);
    assert_eq!(ahead(second, 20 * MS), 1);
    // One more than is performed would be held for longer than the way of another is long.
    assert_eq!(ahead(10 * second, 20 * MS), 0);
    assert_eq!(ahead(100 * MS, second), 5);
}

#[test]
fn slow_items_are_not_sent_ahead() {
    let mut pool = pool(1, rules(1, Order::AsTheyFinish));
    let mut left = 100;
    for n in 0..4 {
        assert_eq!(give(&mut pool, &mut left), [(0, n)]);
        pool.done(0, Ok(7), 0, Duration::from_secs(60), Some(Duration::from_millis(60_100)));
    }
    // Nor large ones, however fast they are.
    let mut pool = self::pool(1, rules(1, Order::AsTheyFinish));
    for _ in 0..4 {
        assert_eq!(pool.want(), Want::Input);
        pool.give(0, BYTES_AHEAD).unwrap();
        assert_eq!(pool.want(), Want::Nothing);
        done(&mut pool, 0);
    }
}

#[test]
fn items_of_a_lost_host_go_to_another_one_and_are_sent_alone() {
    let mut pool = pool(2, rules(1, Order::AsTheyWereRead { window: 100 }));
    let mut left = 100;
    for _ in 0..2 {
        give(&mut pool, &mut left);
        done(&mut pool, 0);
    }
    give(&mut pool, &mut left);
    assert_eq!((pool.len_of(0), pool.len_of(1)), (4, 1));
    assert_eq!(pool.lost(0, "gone"), Verdict::Again);
    // The other host has an item that nobody doubts, and the lost one is not connected.
    assert_eq!(give(&mut pool, &mut left), []);
    done(&mut pool, 1);
    assert_eq!(give(&mut pool, &mut left), [(1, 3)]);
    assert_eq!(give(&mut pool, &mut left), []);
    // The host that is back gets an item that it has not had.
    pool.ready(0);
    assert_eq!(give(&mut pool, &mut left), [(0, 7)]);
    for next in 4..7 {
        done(&mut pool, 1);
        assert_eq!(give(&mut pool, &mut left)[0], (1, next));
    }
    while let Some(settled) = pool.pop() {
        assert_eq!(settled.attempts, if settled.index < 3 { 1 } else { 2 }, "{}", settled.index);
        assert!(settled.outcome.is_ok());
    }
}

#[test]
fn only_host_gets_its_items_once_more_and_is_out_after_three_losses() {
    let mut pool = pool(1, Rules { attempts: 9, ..rules(1, Order::AsTheyFinish) });
    let mut left = 1;
    for verdict in [Verdict::Again, Verdict::Again, Verdict::Out] {
        assert_eq!(give(&mut pool, &mut left), [(0, 0)]);
        assert_eq!(pool.lost(0, "gone"), verdict);
        pool.ready(0);
    }
    assert_eq!(give(&mut pool, &mut left), []);
    let settled = pool.pop().unwrap();
    assert_eq!((settled.attempts, settled.host), (3, Some(0)));
    assert_eq!(settled.outcome, Err(Failure::Operation("gone")));
    assert!(pool.is_over());
}

#[test]
fn items_without_any_host_have_an_outcome_each() {
    let mut pool = pool(0, rules(1, Order::AsTheyWereRead { window: 2 }));
    let mut left = 5;
    for index in 0..5 {
        give(&mut pool, &mut left);
        let settled = pool.pop().unwrap();
        assert_eq!((settled.index, settled.host, settled.attempts), (index, None, 0));
        assert_eq!(settled.outcome, Err(Failure::NotStarted(NotStarted::NoTargets)));
    }
    give(&mut pool, &mut left);
    assert!(pool.is_over());
}

#[test]
fn failure_over_the_limit_stops_what_has_not_begun() {
    let mut pool = pool(2, Rules { failures: Some(1), ..rules(1, Order::AsTheyFinish) });
    let mut left = 100;
    give(&mut pool, &mut left);
    pool.done(0, Err("bad"), 0, MS, None);
    assert_eq!(give(&mut pool, &mut left), [(0, 2)]);
    pool.lost(1, "gone");
    pool.done(0, Err("bad"), 0, MS, None);
    assert_eq!(give(&mut pool, &mut left), []);
    let outcomes: BTreeMap<_, _> = std::iter::from_fn(|| pool.pop()).map(|s| (s.index, s.outcome)).collect();
    assert_eq!(outcomes.len(), 3);
    assert_eq!(outcomes[&1], Err(Failure::NotStarted(NotStarted::Failures)));
    assert!(pool.is_over());
}

#[test]
fn deadline_concerns_the_first_item_of_a_slot_alone() {
    let mut pool = pool(1, rules(1, Order::AsTheyWereRead { window: 100 }));
    let mut left = 6;
    for _ in 0..2 {
        give(&mut pool, &mut left);
        done(&mut pool, 0);
    }
    assert_eq!(give(&mut pool, &mut left).len(), 4);
    pool.late(0, MS);
    for index in 3..6 {
        assert_eq!(give(&mut pool, &mut left), [(0, index)]);
        done(&mut pool, 0);
    }
    let outcomes: Vec<_> = std::iter::from_fn(|| pool.pop()).collect();
    let late = Failure::Timeout { after: MS, stage: Stage::Running };
    for settled in outcomes {
        assert_eq!(settled.outcome, if settled.index == 2 { Err(late.clone()) } else { Ok(7) });
    }
}

/// A first item that takes long, and what is behind it.
#[test]
fn outcomes_that_wait_for_their_turn_are_bounded_in_bytes() {
    let order = Order::AsTheyWereRead { window: 1_000_000 };
    let mut pool = pool(4, Rules { ahead: 500, buffered: 64 << 20, ..rules(1, order) });
    let mut left = 1024;
    // The size of a result is not known from the first on.
    give(&mut pool, &mut left);
    for _ in 0..2000 {
        for slot in 1..4 {
            if pool.len_of(slot) > 0 {
                pool.done(slot, Ok(7), 1 << 20, Duration::from_micros(1), Some(MS));
            }
        }
        give(&mut pool, &mut left);
    }
    assert!(pool.pop().is_none());
    assert!((64 << 20..=67 << 20).contains(&pool.buffered), "{}", pool.buffered);
    assert_eq!((pool.want(), pool.len_of(0)), (Want::Nothing, 1));
    // Nothing is lost by that.
    let mut count = 0;
    while !pool.is_over() {
        for slot in 0..4 {
            if pool.len_of(slot) > 0 {
                pool.done(slot, Ok(7), 1 << 20, Duration::from_micros(1), Some(MS));
            }
        }
        count += std::iter::from_fn(|| pool.pop()).count();
        give(&mut pool, &mut left);
    }
    assert_eq!((count, pool.buffered), (1024, 0));
}

/// However large its result is, each slot has an item.
#[test]
fn results_larger_than_all_that_may_wait_idle_no_slot() {
    let mut pool = pool(3, Rules { buffered: 10, ..rules(1, Order::AsTheyFinish) });
    let mut left = 9;
    while left > 0 {
        give(&mut pool, &mut left);
        for slot in 0..3 {
            assert_eq!(pool.len_of(slot), 1);
            pool.done(slot, Ok(7), 1 << 30, MS, Some(2 * MS));
        }
        assert_eq!(pool.want(), Want::Nothing);
        while pool.pop().is_some() {}
    }
}

/// An event at a pool; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Event {
    Add,
    Done(usize),
    Failed(usize),
    Late(usize),
    Lost(usize),
    Pop,
    Ready(usize),
    Remove(usize),
    Unfit,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Add),
        20 => any::<usize>().prop_map(Event::Done),
        2 => any::<usize>().prop_map(Event::Failed),
        2 => any::<usize>().prop_map(Event::Late),
        3 => any::<usize>().prop_map(Event::Lost),
        8 => Just(Event::Pop),
        6 => any::<usize>().prop_map(Event::Ready),
        1 => any::<usize>().prop_map(Event::Remove),
        1 => Just(Event::Unfit),
    ]
}

/// What a pool was seen to do.
#[derive(Default)]
struct Seen {
    /// How many times each item may have been performed, or was.
    performed: HashMap<u64, u32>,
    outcomes: Vec<u64>,
}

proptest! {
    #[test]
    fn any_history_gives_each_item_one_outcome(
        events in proptest::collection::vec(event(), 0..200),
        hosts in 0_usize..4,
        per_host in 1_usize..3,
        attempts in 1_u32..4,
        window in proptest::option::of(1_usize..20),
        buffered in prop_oneof![Just(1_usize), Just(25), Just(usize::MAX)],
        total in 0_u64..60,
    ) {
        let order = window.map_or(Order::AsTheyFinish, |window| Order::AsTheyWereRead { window });
        let ahead = if attempts == 1 { 0 } else { 5 };
        let mut pool = Pool::new(Rules { per_host, attempts, ahead, order, failures: None, buffered });
        (0..hosts).for_each(|_| { pool.add(); });
        let (mut left, mut added, mut seen) = (total, hosts, Seen::default());
        // At the end every host that is left performs what there is.
        let end = std::iter::repeat_n(None, 2000);
        for event in events.into_iter().map(Some).chain(end) {
            give(&mut pool, &mut left);
            let slots = pool.slots.len();
            // Whoever has an item that may have been performed has no other.
            for slot in &pool.slots {
                prop_assert!(slot.line.len() <= ahead + 1);
                prop_assert!(slot.line.len() == 1 || slot.line.iter().all(|item| item.attempts == 0));
            }
            if let Some(window) = window {
                prop_assert!(pool.read - pool.turn <= window as u64);
            }
            // What waits, and one result of each slot.
            prop_assert!(pool.buffered <= buffered.saturating_add(10 * slots + 10 * (ahead + 1)));
            let index_at = |pool: &Pool, slot: usize| pool.slots[slot].line.front().map(|item| item.index);
            let mut count = |index: u64| *seen.performed.entry(index).or_default() += 1;
            match event {
                Some(Event::Add) => { pool.add(); added += 1; }
                Some(Event::Ready(host)) if added > 0 => pool.ready(host % added),
                Some(Event::Remove(host)) if added > 0 => pool.remove(host % added),
                Some(Event::Done(slot)) if slots > 0 => {
                    if let Some(index) = index_at(&pool, slot % slots) {
                        count(index);
                        pool.done(slot % slots, Ok(7), 10, MS, Some(2 * MS));
                    }
                }
                Some(Event::Failed(slot)) if slots > 0 => {
                    if let Some(index) = index_at(&pool, slot % slots) {
                        count(index);
                        pool.failed(slot % slots, "failed");
                    }
                }
                Some(Event::Late(slot)) if slots > 0 => {
                    pool.slots[slot % slots].line.iter().for_each(|item| count(item.index));
                    pool.late(slot % slots, MS);
                }
                Some(Event::Lost(host)) if added > 0 => {
                    for slot in pool.slots_of(host % added) {
                        pool.slots[*slot].line.iter().for_each(|item| count(item.index));
                    }
                    pool.lost(host % added, "lost");
                }
                Some(Event::Unfit) if pool.want() == Want::Input && left > 0 => {
                    left -= 1;
                    pool.refuse("unfit");
                }
                Some(Event::Pop) => seen.outcomes.extend(pool.pop().map(|settled| settled.index)),
                Some(_) => {}
                None => {
                    (0..added).for_each(|host| pool.ready(host));
                    for slot in 0..pool.slots.len() {
                        if let Some(index) = index_at(&pool, slot) {
                            count(index);
                            done(&mut pool, slot);
                        }
                    }
                    while let Some(settled) = pool.pop() {
                        prop_assert!(settled.attempts <= attempts);
                        seen.outcomes.push(settled.index);
                    }
                    if pool.is_over() {
                        break;
                    }
                }
            }
        }
        prop_assert!(pool.is_over(), "{pool:?}");
        if window.is_some() {
            prop_assert!(seen.outcomes.is_sorted());
        }
        seen.outcomes.sort_unstable();
        prop_assert_eq!(seen.outcomes, (0..total).collect::<Vec<_>>());
        prop_assert!(seen.performed.values().all(|times| *times <= attempts));
    }
}
