//! The times that several hosts have.
//!
//! ```console
//! $ cargo run -p chopsticks --example times -- www1 www2 www3
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{env, error::Error};

use chopsticks::{Group, TunnelConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::parse(env::args().skip(1), TunnelConfig::default())?;
    let times = group.call::<f64>("time:time", ()).await;
    for (host, time) in times.successful() {
        println!("{host} {time}");
    }
    times.raise_failures()?;
    Ok(())
}
