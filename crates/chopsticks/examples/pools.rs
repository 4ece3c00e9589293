//! An instant cluster: several hosts with a pool of containers on each, which work off one list of tasks.
//!
//! ```console
//! $ cargo run -p chopsticks --example pools -- python:3.13-slim 4 host1 host2 host3
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{collections::BTreeMap, env, error::Error};

use chopsticks::{Codebase, Docker, Group, HostName, Pool, Target, Tunnel, TunnelConfig, Via};
use futures::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let image =
        args.next().ok_or("an image, how many containers each host is to run, and hosts are wanted")?;
    let count: usize = args.next().unwrap_or_default().parse()?;
    let code = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python");
    let config = TunnelConfig::default().modules(Codebase::folder(code));

    let mut workers = Vec::new();
    for host in args {
        let host = host.parse::<Target>()?.tunnel(config.clone());
        for number in 1..=count {
            // Started by the agent on the host, and called from here.
            let container = Docker::of_image(&image).name(format!("{}-{number}", host.host())).via(&host);
            workers.push(Tunnel::with_config(container, config.clone()));
        }
    }
    let group = Group::new(workers)?;

    // Whoever has done a task takes the next one.
    let limits = (1..=100).map(|n: u32| n * 1000);
    let mut done = Pool::new(&group).map::<u64>("primes:count", limits);
    let mut counts: BTreeMap<HostName, usize> = BTreeMap::new();
    while let Some(task) = done.next().await {
        let found = task.outcome?;
        if let Some(worker) = task.host {
            println!("{worker}: {found} primes below {}", (task.index + 1) * 1000);
            *counts.entry(worker).or_default() += 1;
        }
    }
    for (worker, count) in counts {
        println!("{worker}: {count} tasks");
    }
    group.close().await.raise_failures()?;
    Ok(())
}
