//! Calls a function of a folder of Python code in three agents at once.
//!
//! `cargo run -p chopsticks --example ten_lines`

#![expect(clippy::print_stdout, reason = "an example prints")]

use chopsticks::{Codebase, Error, Local, Tunnel, TunnelConfig};
use futures::future::try_join_all;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let codebase = Codebase::folder(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python"));
    let config = TunnelConfig::default().modules(codebase);
    let tunnels =
        ["one", "two", "three"].map(|name| Tunnel::with_config(Local::new().name(name), config.clone()));
    let results = try_join_all(tunnels.iter().map(|tunnel| tunnel.call("primes:count", (20_000,)))).await?;
    for (tunnel, count) in tunnels.iter().zip::<Vec<u32>>(results) {
        println!("{}: {count} primes", tunnel.host());
    }
    Ok(())
}
