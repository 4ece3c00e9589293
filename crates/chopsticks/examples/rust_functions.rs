//! Runs a function of this program on hosts that need neither Python nor Rust.
//!
//! `cargo run -p chopsticks --example rust_functions` uses two copies of itself on this host.
//! `cargo run -p chopsticks --example rust_functions -- web1 web2` uses hosts that `ssh` reaches.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{fs, io, path::PathBuf};

use chopsticks::{Agent, Error, Group, Local, TunnelConfig};

/// Returns the number of entries of a folder.
#[chopsticks::function]
fn count(folder: PathBuf) -> io::Result<usize> {
    Ok(fs::read_dir(folder)?.count())
}

#[chopsticks::main]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = TunnelConfig::default().agent(Agent::Native);
    let hosts: Vec<_> = std::env::args().skip(1).collect();
    let group = match hosts.is_empty() {
        true => Group::new(
            ["a", "b"].map(|name| chopsticks::Tunnel::with_config(Local::new().name(name), config.clone())),
        )?,
        false => Group::parse(hosts, config)?,
    };
    for (host, number) in group.invoke(count::with("/usr/bin".into())).await.raise_failures()? {
        println!("{host}: {number}");
    }
    group.close().await.raise_failures().map(drop)?;
    Ok(())
}
