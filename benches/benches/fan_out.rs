//! Groups and queues of targets that do nothing: what the scheduling of an operation costs, and how it grows.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::fmt;
use std::hint::black_box;

use chopsticks_group::{Group, Limits, Member, Queue};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

criterion_group!(benches, groups, queues);
criterion_main!(benches);

#[derive(Clone)]
struct Host {
    name: usize,
    key: Option<usize>,
}

impl Member for Host {
    type Name = usize;
    type Error = fmt::Error;

    fn name(&self) -> usize {
        self.name
    }

    async fn connect(&self) -> Result<(), fmt::Error> {
        Ok(())
    }

    async fn close(&self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn key(&self) -> Option<String> {
        self.key.map(|key| key.to_string())
    }
}

/// One operation on a group. It waits once, as those that use a network do.
fn groups(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("group");
    let runtime = runtime();
    for count in COUNTS {
        benches.throughput(Throughput::Elements(count as u64));
        let plain = group(count, None);
        benches.bench_with_input(BenchmarkId::new("unlimited", count), &plain, |bencher, group| {
            bencher.iter(|| runtime.block_on(run(group)));
        });
        let limits = Limits::default().max_running(100).max_running_per_key(5);
        let limited = group(count, Some(10)).limits(limits);
        benches.bench_with_input(BenchmarkId::new("by key", count), &limited, |bencher, group| {
            bencher.iter(|| runtime.block_on(run(group)));
        });
    }
}

/// Three operations for each target, by a queue.
fn queues(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("queue");
    let runtime = runtime();
    for count in COUNTS {
        benches.throughput(Throughput::Elements(3 * count as u64));
        let group = group(count, None);
        benches.bench_with_input(BenchmarkId::from_parameter(count), &group, |bencher, group| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let queue = Queue::new();
                    let results = [(); 3].map(|()| queue.each(group, "work", work));
                    queue.run().await;
                    black_box(results.map(|result| result.value().unwrap().len()))
                })
            });
        });
    }
}

async fn run(group: &Group<Host>) -> usize {
    group.run(work).await.len()
}

async fn work(host: Host) -> Result<usize, fmt::Error> {
    tokio::task::yield_now().await;
    Ok(host.name)
}

/// `count` targets, with so many different keys.
fn group(count: usize, keys: Option<usize>) -> Group<Host> {
    Group::new((0..count).map(|name| Host { name, key: keys.map(|keys| name % keys) })).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
