//! Follows a log of a host, and counts its lines by pattern until Ctrl-C.
//!
//! ```console
//! $ cargo run -p chopsticks --example follow -- web1 /var/log/syslog error warning
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{env, error::Error};

use chopsticks::{Codebase, Embedded, Items, Target, Tunnel, TunnelConfig};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

/// The module that runs on the host.
const FOLLOW: &str = include_str!("python/follow.py");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(target), Some(path)) = (args.next(), args.next()) else {
        return Err("usage: follow TARGET PATH PATTERN...".into());
    };
    let patterns: Vec<_> = args.collect();
    let tunnel = target.parse::<Target>()?.tunnel(config());
    let mut counts = vec![0; patterns.len()];
    // Whoever wants to stop drops the stream: the file there is closed, and nothing is left behind.
    let lines = follow(&tunnel, &path, false).take_until(Box::pin(tokio::signal::ctrl_c()));
    let result = count(lines, &patterns, &mut counts).await;
    for (pattern, count) in patterns.iter().zip(&counts) {
        println!("{count:8} {pattern}");
    }
    tunnel.close().await?;
    Ok(result?)
}

/// Where the module comes from.
pub(crate) fn config() -> TunnelConfig {
    TunnelConfig::default().modules(Codebase::source(Embedded::new().module("follow", FOLLOW)))
}

/// The lines that are added to a file of a host, as they come.
pub(crate) fn follow(tunnel: &Tunnel, path: &str, from_start: bool) -> Items<String> {
    tunnel.stream("follow:lines", (path, from_start))
}

/// Counts the lines that have each of the patterns.
pub(crate) async fn count(
    lines: impl Stream<Item = Result<String, chopsticks::Error>>,
    patterns: &[String],
    counts: &mut [u64],
) -> Result<(), chopsticks::Error> {
    let mut lines = std::pin::pin!(lines);
    while let Some(line) = lines.try_next().await? {
        for (pattern, count) in patterns.iter().zip(&mut *counts) {
            *count += u64::from(line.contains(pattern.as_str()));
        }
    }
    Ok(())
}
