//! Streams.

use chopsticks::Call;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::Subject;
use crate::place::Place;
use crate::watch::{appeared, gone};

/// Out of a generator, through one, and one that is dropped while it is at work.
pub async fn items_stream_both_ways(place: Place) {
    let subject = Subject::new(place, |_| ());
    let pid: u32 = subject.call("far:pid", ()).await;
    let numbers: Vec<u64> =
        subject.tunnel.stream::<u64>("far:numbers", (50_000,)).try_collect().await.expect("they come");
    assert!(numbers.into_iter().eq(0..50_000));
    let call = Call::new("far:doubles").input(stream::iter(0..50_000_u64));
    let doubles: Vec<u64> = subject.tunnel.stream_with::<u64>(call).try_collect().await.expect("they come");
    assert!(doubles.into_iter().eq((0..50_000).map(|number| number * 2)));
    let canary = subject.canary();
    let mut items = subject.tunnel.stream::<u64>("far:yield_and_hang", (&canary,));
    assert_eq!(items.next().await.expect("an item comes").expect("it is a number"), 1);
    tokio::select! {
        next = items.next() => panic!("it hangs: {next:?}"),
        () = appeared(&canary, 4) => {}
    }
    drop(items);
    gone(&canary).await;
    assert_eq!(subject.call::<u32>("far:pid", ()).await, pid, "the agent is another one");
    subject.close().await;
}
