//! One transfer in a process of its own, whose memory, limits and end a test can see to:
//! `transfer PYTHON put|fetch|drain SOURCE TARGET`
//!
//! `drain` reads a file slowly and keeps nothing. It prints the process of the agent once that is there, then the outcome, and the most memory that
//! both took in KiB.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use chopsticks::{Error, Fetch, Local, Transferred, Tunnel};
use chopsticks_e2e::quiet;
use tokio::io::AsyncWrite;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, python, operation, source, target] = args.as_slice() else {
        println!("wrong arguments");
        return;
    };
    let tunnel = Tunnel::with_config(Local::new().python(python.as_str()), quiet());
    let agent = tunnel.connect().await.map_or(0, |agent| agent.pid);
    println!("{agent}");
    match transfer(&tunnel, operation, source, target).await {
        Ok(file) => println!("{} {}", file.size, file.sha1),
        Err(error) => println!("{}", error.report()),
    }
    println!("{} {}", peak("self"), peak(&agent.to_string()));
    let _ = tunnel.close().await;
}

async fn transfer(
    tunnel: &Tunnel,
    operation: &str,
    source: &str,
    target: &str,
) -> Result<Transferred, Error> {
    match operation {
        "put" => tunnel.put(source, target).await,
        "fetch" => tunnel.fetch(source, target).await,
        _ => tunnel.fetch_with(Fetch::new(source).writer(Slow::default())).await,
    }
}

/// The most memory that a process has had, in KiB.
fn peak(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Takes its time over each piece: others are always ahead of it.
#[derive(Default)]
struct Slow {
    turns: u32,
}

impl AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.turns += 1;
        if !self.turns.is_multiple_of(8) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
