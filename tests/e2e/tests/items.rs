//! Streams: what a generator yields, and what a function reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chopsticks::{Call, ErrorKind, Function, Items};
use chopsticks_e2e::{
    PATIENCE, canary, newest_and_oldest, resident, tunnel, tunnel_with_code, wait_for, wait_until_none,
};
use chopsticks_support::{Scratch, eventually, newest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proptest::{collection::vec, prelude::*};
use serde_bytes::ByteBuf;

const LOGS: &str = r#"import os
import subprocess
import time


def count(n, fail=False):
    for i in range(n):
        yield i
    if fail:
        raise ValueError('no more')


def endless(path):
    try:
        while 1:
            yield 'x' * 1000
    finally:
        time.sleep(.05)
        with open(path, 'w') as f:
            f.write('closed')


def processes(mark):
    process = subprocess.Popen(['sh', '-c', 'sleep 600; :', mark])
    yield process.pid
    process.wait()


def blocks(n, size):
    for _ in range(n):
        yield bytearray(size)


def until(path):
    yield 'before'
    while not os.path.exists(path):
        time.sleep(.01)
    yield 'after'


def double(items, by=2):
    for item in items:
        yield item * by


def total(items):
    return sum(items)


def first(items):
    for item in items:
        return item


def careful(items):
    try:
        for item in items:
            yield item
    except EnvironmentError as e:
        yield str(e)


def die():
    yield 1
    yield 2
    time.sleep(.1)
    os.kill(os.getpid(), 9)


def memory():
    with open('/proc/self/status') as f:
        for line in f:
            if line.startswith('VmRSS'):
                return int(line.split()[1]) * 1024


def threads():
    return len(os.listdir('/proc/self/task'))
"#;

/// What tests share: the folder of the module, and one for files.
fn logs() -> Scratch {
    let code = Scratch::new();
    code.write("logs.py", LOGS);
    code
}

async fn all<T: serde::de::DeserializeOwned>(items: Items<T>) -> Result<Vec<T>, chopsticks::Error> {
    tokio::time::timeout(PATIENCE, items.try_collect()).await.expect("the stream ends")
}

/// Waits for the next item of a stream that has one.
async fn next<T: serde::de::DeserializeOwned>(items: &mut Items<T>) -> Result<T, chopsticks::Error> {
    tokio::time::timeout(PATIENCE, items.next()).await.expect("an item comes").expect("there is another")
}

#[tokio::test]
async fn items_come_in_order_and_then_the_end() {
    let code = logs();
    for interpreter in newest_and_oldest() {
        let tunnel = tunnel_with_code(interpreter, &code);
        for count in [0, 1, 100_000] {
            let items = all(tunnel.stream::<u64>("logs:count", (count,))).await.unwrap();
            assert!(items.into_iter().eq(0..count), "{count}");
        }
        let mut items = tunnel.stream::<u64>("logs:count", (1,));
        assert_eq!(next(&mut items).await.unwrap(), 0);
        assert!(items.next().await.is_none() && items.next().await.is_none());
        let blocks = all(tunnel.stream::<ByteBuf>("logs:blocks", (20, 1 << 20))).await.unwrap();
        assert_eq!(blocks.iter().map(|block| block.len()).sum::<usize>(), 20 << 20);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn item_comes_when_it_is_yielded() {
    let code = logs();
    let tunnel = tunnel_with_code(newest(), &code);
    let path = code.path().join("go");
    let mut items = tunnel.stream::<String>("logs:until", (path.to_str().unwrap(),));
    assert_eq!(next(&mut items).await.unwrap(), "before");
    code.write("go", "");
    assert_eq!(next(&mut items).await.unwrap(), "after");
    assert!(items.next().await.is_none());
}

#[tokio::test]
async fn exception_comes_after_the_items_before_it() {
    let code = logs();
    for interpreter in newest_and_oldest() {
        let tunnel = tunnel_with_code(interpreter, &code);
        let mut items = tunnel.stream::<u64>("logs:count", (1000, true));
        for number in 0..1000 {
            assert_eq!(next(&mut items).await.unwrap(), number);
        }
        let error = next(&mut items).await.unwrap_err();
        assert_eq!(error.remote().unwrap().type_name, "ValueError");
        assert_eq!(error.items(), Some(1000));
        assert!(
            error.to_string().contains("call of logs:count after 1000 items: ValueError: no more"),
            "{error}"
        );
        assert!(items.next().await.is_none());
        // The tunnel stays usable, whatever was asked for.
        let error = all(tunnel.stream::<u64>("logs:conut", (1,))).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoFunction { .. }), "{error}");
        let error = all(tunnel.stream::<u64>("os:getpid", ())).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::UnfitResult { .. }), "{error}");
        let error = tunnel.call::<Vec<u64>>("logs:count", (1,)).await.unwrap_err();
        assert!(error.to_string().contains("`stream`"), "{error}");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn item_of_another_type_is_an_error_in_its_place() {
    let tunnel = tunnel(newest());
    let mixed = Function::lambda("lambda: iter([1, 'two', 3])");
    let items: Vec<_> = tunnel.stream::<u64>(mixed, ()).collect().await;
    assert_eq!(items.len(), 3);
    assert_eq!(*items[0].as_ref().unwrap(), 1);
    assert!(matches!(items[1].as_ref().unwrap_err().kind(), ErrorKind::Result(_)));
    assert_eq!(items[1].as_ref().unwrap_err().items(), Some(1));
    assert_eq!(*items[2].as_ref().unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_stream_closes_the_generator() {
    let code = logs();
    for interpreter in newest_and_oldest() {
        let tunnel = tunnel_with_code(interpreter, &code);
        for taken in [1, 200] {
            let path = code.path().join("closed");
            let mut items = tunnel.stream::<String>("logs:endless", (path.to_str().unwrap(),));
            for _ in 0..taken {
                next(&mut items).await.unwrap();
            }
            drop(items);
            assert!(eventually(PATIENCE, || path.exists()), "{interpreter}");
            assert_eq!(tunnel.call::<u64>("operator:neg", (-1,)).await.unwrap(), 1);
            std::fs::remove_file(&path).unwrap();
        }
        // Its processes end with it.
        let mark = canary("stream");
        let mut items = tunnel.stream::<u32>("logs:processes", (&mark,));
        next(&mut items).await.unwrap();
        wait_for(&mark, 1);
        drop(items);
        wait_until_none(&mark);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn deadlines_are_of_an_item_and_of_all() {
    let code = logs();
    let tunnel = tunnel_with_code(newest(), &code);
    tunnel.connect().await.unwrap();
    let never = code.path().join("never");
    let call = Call::new("logs:until").args((never.to_str().unwrap(),));
    let mut items = tunnel.stream_with::<String>(call.clone().item_timeout(Duration::from_secs(1)));
    assert_eq!(next(&mut items).await.unwrap(), "before");
    let error = next(&mut items).await.unwrap_err();
    assert!(error.is_timeout() && error.items() == Some(1), "{error}");
    assert!(items.next().await.is_none());
    let mut items = tunnel.stream_with::<String>(call.timeout(Duration::from_secs(1)));
    assert_eq!(next(&mut items).await.unwrap(), "before");
    assert!(next(&mut items).await.unwrap_err().is_timeout());
    // However quickly items come.
    let call = Call::new("logs:endless").args((never.to_str().unwrap(),)).timeout(Duration::from_millis(300));
    let error = tunnel.stream_with::<String>(call).try_for_each(|_| async { Ok(()) }).await.unwrap_err();
    assert!(error.is_timeout() && error.items().unwrap() > 1, "{error}");
    assert_eq!(tunnel.call::<u64>("operator:neg", (-1,)).await.unwrap(), 1);
}

#[tokio::test]
async fn lost_connection_says_how_many_items_had_come() {
    let code = logs();
    let tunnel = tunnel_with_code(newest(), &code);
    let mut items = tunnel.stream::<u64>("logs:die", ());
    assert_eq!((next(&mut items).await.unwrap(), next(&mut items).await.unwrap()), (1, 2));
    let error = next(&mut items).await.unwrap_err();
    assert!(error.is_disconnected() && error.items() == Some(2), "{error:?}");
    assert!(items.next().await.is_none());
    // One that is closed meanwhile, likewise.
    let never = code.path().join("never");
    let mut items = tunnel.stream::<String>("logs:until", (never.to_str().unwrap(),));
    next(&mut items).await.unwrap();
    tunnel.close().await.unwrap();
    let error = next(&mut items).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed) && error.items() == Some(1), "{error:?}");
}

#[tokio::test]
async fn function_reads_a_stream() {
    let code = logs();
    for interpreter in newest_and_oldest() {
        let tunnel = tunnel_with_code(interpreter, &code);
        let sum = Call::new("logs:total").input(stream::iter(0..100_000_u64));
        assert_eq!(tunnel.call_with(sum.clone()).await.unwrap().decode::<u64>().unwrap(), 4_999_950_000);
        // It can be read once.
        let error = tunnel.call_with(sum).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Argument(_)), "{error}");
        let double = Call::new("logs:double").input(stream::iter(0..100_000_u64)).kwarg("by", 3);
        let items = all(tunnel.stream_with::<u64>(double)).await.unwrap();
        assert!(items.into_iter().eq((0..100_000).map(|number| number * 3)));
        // An end there is one here.
        let taken = Arc::new(AtomicU64::new(0));
        let counter = taken.clone();
        let endless = stream::repeat(1_u64).inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let first = tunnel.call_with(Call::new("logs:first").input(endless)).await.unwrap();
        assert_eq!(first.decode::<u64>().unwrap(), 1);
        assert_eq!(Arc::strong_count(&taken), 1, "the stream was dropped");
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn failure_of_a_stream_is_raised_where_it_is_read() {
    let code = logs();
    let tunnel = tunnel_with_code(newest(), &code);
    let failing = || stream::iter([Ok(1), Err(std::io::Error::other("no more")), Ok(2)]);
    let items = all(tunnel.stream_with::<Either>(Call::new("logs:careful").try_input(failing())));
    assert_eq!(items.await.unwrap(), [Either::Number(1), Either::Text("no more".to_owned())]);
    let error = tunnel.call_with(Call::new("builtins:sum").try_input(failing())).await.unwrap_err();
    assert_eq!(error.remote().unwrap().type_name, "OSError", "{error}");
    assert_eq!(error.remote().unwrap().message, "no more", "{error}");
}

#[tokio::test]
async fn stream_that_nobody_polls_holds_up_nobody() {
    let code = logs();
    for step in [1, 100, 1000, 5000, 20_000, 50_000] {
        let tunnel = tunnel_with_code(newest(), &code);
        let mut idle = tunnel.stream::<u64>("logs:count", (3,));
        let _ = tokio::time::timeout(Duration::from_micros(step), idle.next()).await;
        assert_eq!(all(tunnel.stream::<u64>("logs:count", (3,))).await.unwrap(), [0, 1, 2]);
        tunnel.close().await.unwrap();
    }
}

#[tokio::test]
async fn call_that_is_dropped_drops_its_input() {
    let tunnel = tunnel(newest());
    tunnel.connect().await.unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    let counter = taken.clone();
    let slow = stream::unfold(counter, |counter| async move {
        counter.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((1_u64, counter))
    });
    let call = tunnel.call_with(Call::new("builtins:sum").input(slow));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    assert_eq!(Arc::strong_count(&taken), 1);
    assert_eq!(tunnel.call::<u64>("operator:neg", (-1,)).await.unwrap(), 1);
}

#[tokio::test]
async fn slow_reader_costs_a_window_here_and_there() {
    let code = logs();
    let tunnel = tunnel_with_code(newest(), &code);
    let before = tunnel.call::<u64>("logs:memory", ()).await.unwrap();
    let here = resident();
    // 200 MB, of which nothing is taken for a while.
    let mut items = tunnel.stream::<ByteBuf>("logs:blocks", (3200, 64 << 10));
    next(&mut items).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut most = (0, 0);
    let mut count = 1;
    while let Some(item) = items.next().await {
        assert_eq!(item.unwrap().len(), 64 << 10);
        count += 1;
        if count % 400 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let there = tunnel.call::<u64>("logs:memory", ()).await.unwrap();
            most = (most.0.max(resident()), most.1.max(there));
        }
    }
    assert_eq!(count, 3200);
    assert!(most.0 < here + (40 << 20), "{} and then {} here", here, most.0);
    assert!(most.1 < before + (40 << 20), "{} and then {} there", before, most.1);
}

#[tokio::test]
async fn pipeline_takes_bounded_memory_at_both_ends() {
    let code = logs();
    let tunnel = tunnel_with_code(newest(), &code);
    let before = tunnel.call::<u64>("logs:memory", ()).await.unwrap();
    let here = resident();
    // 200 MB there and back.
    let blocks = stream::repeat_with(|| ByteBuf::from(vec![7; 64 << 10])).take(3200);
    let call = Call::new("logs:double").kwarg("by", 1).input(blocks);
    let mut items = tunnel.stream_with::<ByteBuf>(call);
    let mut most = (0, 0);
    let mut count = 0;
    while let Some(item) = items.next().await {
        assert_eq!(item.unwrap().len(), 64 << 10);
        count += 1;
        if count % 800 == 0 {
            let there = tunnel.call::<u64>("logs:memory", ()).await.unwrap();
            most = (most.0.max(resident()), most.1.max(there));
        }
    }
    assert_eq!(count, 3200);
    assert!(most.0 < here + (40 << 20), "{} and then {} here", here, most.0);
    assert!(most.1 < before + (40 << 20), "{} and then {} there", before, most.1);
}

#[tokio::test]
async fn thousands_of_streams_leave_nothing_behind() {
    let code = logs();
    let tunnel = tunnel_with_code(newest(), &code);
    let path = code.path().join("closed");
    let path = path.to_str().unwrap();
    let mut opened = 0;
    while opened < 10_000 {
        let streams = (0..50).map(|number| {
            let (tunnel, dropped) = (tunnel.clone(), number % 10 == 0);
            async move {
                if dropped {
                    let mut items = tunnel.stream::<String>("logs:endless", (path,));
                    next(&mut items).await.unwrap();
                } else {
                    let mut items = tunnel.stream::<u64>("logs:count", (3,));
                    next(&mut items).await.unwrap();
                }
            }
        });
        opened += futures::future::join_all(streams).await.len();
    }
    let mut threads = u64::MAX;
    for _ in 0..100 {
        threads = tunnel.call("logs:threads", ()).await.unwrap();
        if threads < 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(threads < 10, "{threads} threads are left");
    tunnel.close().await.unwrap();
}

/// What may happen to one of several streams.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A new one, in place of the one that is there, with so many items, and an exception behind them.
    Open(u64, bool),
    /// Items are taken, if there are so many.
    Take(u64),
    /// An item is waited for, but not for long.
    Glance,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (prop_oneof![0..5_u64, 0..20_000_u64], any::<bool>())
            .prop_map(|(count, fails)| Step::Open(count, fails)),
        prop_oneof![0..5_u64, 0..20_000_u64].prop_map(Step::Take),
        Just(Step::Glance),
        Just(Step::Drop),
    ]
}

/// A stream of numbers, and how many of them have come.
struct Counted {
    items: Items<u64>,
    came: u64,
    count: u64,
    fails: bool,
}

impl Counted {
    /// Checks what comes next; returns whether there is more.
    fn check(&mut self, next: Option<Result<u64, chopsticks::Error>>) -> bool {
        match next {
            Some(Ok(number)) => {
                assert!(number == self.came && self.came < self.count, "{number} after {}", self.came);
                self.came += 1;
                return true;
            }
            Some(Err(error)) => {
                assert!(self.fails && self.came == self.count, "{error} after {}", self.came);
                assert!(error.is_remote() && error.items() == Some(self.count), "{error}");
                self.fails = false;
            }
            None => assert!(self.came == self.count && !self.fails, "the end after {}", self.came),
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_takes_and_drops_give_a_prefix_in_order(steps in vec((0..4_usize, step()), 1..60)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        runtime.block_on(async {
            let code = logs();
            let tunnel = tunnel_with_code(newest(), &code);
            let mut slots: [Option<Counted>; 4] = Default::default();
            for (slot, step) in steps {
                let slot = &mut slots[slot];
                match (step, &mut *slot) {
                    (Step::Open(count, fails), _) => {
                        let items = tunnel.stream::<u64>("logs:count", (count, fails));
                        *slot = Some(Counted { items, came: 0, count, fails });
                    }
                    (Step::Take(count), Some(stream)) => {
                        for _ in 0..count {
                            let next = tokio::time::timeout(PATIENCE, stream.items.next()).await;
                            if !stream.check(next.expect("it comes or ends")) {
                                break;
                            }
                        }
                    }
                    (Step::Glance, Some(stream)) => {
                        if let Ok(next) = tokio::time::timeout(Duration::from_micros(50), stream.items.next()).await {
                            stream.check(next);
                        }
                    }
                    (Step::Drop, _) => *slot = None,
                    (_, None) => {}
                }
            }
            drop(slots);
            assert_eq!(tunnel.call::<u64>("operator:neg", (-1,)).await.expect("the tunnel works"), 1);
            tunnel.close().await.expect("it closes");
        });
    }
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u64),
    Text(String),
}
