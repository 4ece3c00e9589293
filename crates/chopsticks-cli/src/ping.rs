//! `chopsticks ping`.

use std::{process::ExitCode, time::Instant};

use chopsticks::{Agent, Error, Tunnel, functions::facts::nothing};

use crate::{
    answer::{Answer, Pong},
    args::{self, PingArgs},
    fleet::{Fleet, Stopped},
};

/// Connects to all targets and measures their response times.
pub(crate) fn run(args: PingArgs) -> ExitCode {
    let targets = args::checked("ping", || args.fleet.targets());
    Fleet::new(args.fleet, targets).run(move |tunnel, _| async move {
        let begun = Instant::now();
        // A call, and not `connect` alone: it has the deadline.
        let is_native = match tunnel.agent() {
            Agent::Python => false,
            _ => tunnel.connect().await?.python.is_none(),
        };
        once(&tunnel, is_native).await?;
        let connect_ms = ms(begun);
        let mut latency_ms = f64::INFINITY;
        for _ in 0..ROUND_TRIPS {
            let begun = Instant::now();
            once(&tunnel, is_native).await?;
            latency_ms = latency_ms.min(ms(begun));
        }
        let agent = tunnel.connect().await?;
        Ok::<_, Stopped>(Answer::Pong(Pong { agent, connect_ms, latency_ms }))
    })
}

/// Calls a function that does almost nothing.
async fn once(tunnel: &Tunnel, is_native: bool) -> Result<(), Error> {
    if is_native {
        return tunnel.invoke(nothing::with()).await;
    }
    tunnel.call::<f64>(NOTHING, ()).await.map(drop)
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// A function that every host has and that does almost nothing.
const NOTHING: &str = "time:time";
/// Enough for one call without a disturbance.
const ROUND_TRIPS: usize = 3;
