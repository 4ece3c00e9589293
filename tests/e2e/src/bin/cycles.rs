//! Connects and closes over and over, and fails if descriptors or processes are left: `cycles PYTHON COUNT`

use chopsticks::{Error, Local};
use chopsticks_e2e::quiet;
use chopsticks_support::processes;

#[tokio::main]
async fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().collect();
    let [_, python, count] = args.as_slice() else { return Err("wrong arguments".to_owned()) };
    let count: u32 = count.parse().map_err(|_| "the count is no number".to_owned())?;
    // What the runtime opens once is open after the first.
    cycle(python, 0).await.map_err(|error| error.report())?;
    let before = processes::open_descriptors();
    for n in 0..count {
        cycle(python, n).await.map_err(|error| error.report())?;
    }
    let (after, children) = (processes::open_descriptors(), processes::children());
    if after > before || !children.is_empty() {
        return Err(format!("{before} descriptors before, {after} after; children left: {children:?}"));
    }
    Ok(())
}

/// One connection; some end by being closed, others by being killed, or before there was an agent.
async fn cycle(python: &str, n: u32) -> Result<(), Error> {
    let program = if n % 10 == 7 { "/bin/true" } else { python };
    let tunnel = chopsticks::Tunnel::with_config(Local::new().python(program), quiet());
    match n % 10 {
        7 => drop(tunnel.connect().await),
        8 => drop(tunnel.call::<()>("os:_exit", (1,)).await),
        _ => {
            tunnel.call::<i32>("operator:neg", (1,)).await?;
        }
    }
    tunnel.close().await
}
