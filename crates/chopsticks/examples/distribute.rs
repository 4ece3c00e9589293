//! Writes files to several hosts, by a group and by a queue, and draws what each host did in `queue.svg`.
//!
//! ```console
//! $ cargo run -p chopsticks --example distribute -- /srv/files a.txt b.txt c.txt --on www1 www2 www3
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{env, error::Error, fs, path::Path, time::Instant};

use chopsticks::{Group, Queue, TunnelConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().ok_or("a folder on the hosts, files, `--on` and hosts are wanted")?;
    let files: Vec<String> = args.by_ref().take_while(|arg| arg != "--on").collect();
    let group = Group::parse(args, TunnelConfig::default())?;
    group.connect().await.raise_failures()?;

    // With a group, each file waits until the slowest host has the one before.
    let begin = Instant::now();
    for file in &files {
        group.put(file, Path::new(&folder).join(file)).await.raise_failures()?;
    }
    println!("group: {:.1?}", begin.elapsed());

    // With a queue, no host waits for another.
    let begin = Instant::now();
    let queue = Queue::new();
    let results: Vec<_> =
        files.iter().map(|file| queue.put(&group, file, Path::new(&folder).join(file))).collect();
    queue.run().await;
    println!("queue: {:.1?}", begin.elapsed());
    for result in results {
        result.value()?.as_ref().clone().raise_failures()?;
    }
    fs::write("queue.svg", queue.timeline().to_svg())?;
    Ok(())
}
