//! An instant cluster: several hosts with a pool of containers on each, which work off one list of tasks.
//!
//! ```console
//! $ cargo run -p chopsticks --example pools -- python:3.13-slim 4 host1 host2 host3
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{
    env,
    error::Error,
    sync::{Arc, Mutex},
};

use chopsticks::{Codebase, Docker, Group, Queue, Target, Tunnel, TunnelConfig, Via};

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
    let tasks = Arc::new(Mutex::new((1..=100).map(|n| n * 1000).collect::<Vec<u32>>()));
    let queue = Queue::new();
    let done = queue.push(&group, "primes", move |worker: Tunnel| {
        let tasks = tasks.clone();
        async move {
            let mut count = 0;
            loop {
                let Some(limit) = tasks.lock().expect("nothing panics with it").pop() else {
                    return Ok(count);
                };
                let found: u64 = worker.call("primes:count", (limit,)).await?;
                println!("{}: {found} primes below {limit}", worker.host());
                count += 1;
            }
        }
    });
    queue.run().await;
    for (worker, count) in done.value()?.as_ref().clone().raise_failures()? {
        println!("{worker}: {count} tasks");
    }
    group.close().await.raise_failures()?;
    Ok(())
}
