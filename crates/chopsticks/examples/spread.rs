//! Counts the words of many files on several hosts: each file goes to the host that is free next.
//!
//! ```console
//! $ cargo run -p chopsticks --example spread -- host1,host2,host3 *.txt
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{env, error::Error, fs};

use chopsticks::{Codebase, Embedded, Group, Pool, TunnelConfig};
use futures::{StreamExt as _, stream};

/// The module that runs on the hosts.
const WORDS: &str = "def count(text):\n    return len(text.split())\n";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let hosts = args.next().ok_or("usage: spread HOST,… FILE…")?;
    let files: Vec<_> = args.collect();
    let config = TunnelConfig::default().modules(Codebase::source(Embedded::new().module("words", WORDS)));
    let group = Group::parse(hosts.split(','), config)?;

    // A file is read when there is a host for it.
    let paths = files.clone();
    let texts = stream::iter(paths).map(|path| fs::read_to_string(path).unwrap_or_default());
    let mut counts = Pool::new(&group).map_stream::<u64>("words:count", texts);
    let mut total = 0;
    while let Some(done) = counts.next().await {
        let file = usize::try_from(done.index).map(|index| files[index].as_str())?;
        match (done.outcome, done.host) {
            (Ok(count), Some(host)) => {
                println!("{count:8} {file} ({host})");
                total += count;
            }
            (Ok(_), None) => {}
            (Err(failure), _) => println!("{file}: {failure}"),
        }
    }
    println!("{total:8} words");
    group.close().await.raise_failures()?;
    Ok(())
}
