//! Many hosts in one process: agents in memory, which speak the real protocol, called as a group.
//!
//! `scale [HOSTS ...]` prints a line of JSON for each number of hosts. Memory and CPU time are those of both ends.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]

use std::{env, fs, time::Instant};

use bytes::Bytes;
use chopsticks::{
    AgentCommand, Driver, Group, HostName, Limits, Link, Tunnel, agent, async_trait,
    transport::{Format, IncomingMessage, Transport, TransportConfig},
};
use futures::StreamExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// A host that is a task of this process.
#[derive(Debug)]
struct Simulated(HostName);

#[async_trait]
impl Driver for Simulated {
    fn host(&self) -> HostName {
        self.0.clone()
    }

    async fn open(&self, _: &AgentCommand) -> std::io::Result<Link> {
        let (controller_in, agent_out) = duplex(PIPE_LEN);
        let (agent_in, controller_out) = duplex(PIPE_LEN);
        tokio::spawn(async move {
            // A controller that goes away ends it.
            let _ = serve(agent_in, agent_out).await;
        });
        Ok(Link::from_streams(controller_out, controller_in, tokio::io::empty()))
    }
}

/// An agent that answers each call with 42.
async fn serve(mut reader: DuplexStream, writer: DuplexStream) -> Result<()> {
    let packed = u64::try_from(agent::PACKED.len())?;
    tokio::io::copy(&mut (&mut reader).take(packed), &mut tokio::io::sink()).await?;
    let (handle, mut incoming, driver) = Transport::agent(reader, writer, TransportConfig::default())?;
    let driver = tokio::spawn(driver);
    handle.send_hello(Format::Marshal, Bytes::from_static(HELLO))?;
    while let Some(message) = incoming.next().await {
        if let IncomingMessage::Request(request) = message {
            request.responder.reply(Format::Marshal, Bytes::from_static(FORTY_TWO))?;
        }
    }
    driver.await??;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let counts: Vec<usize> = env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let counts = if counts.is_empty() { COUNTS.to_vec() } else { counts };
    for count in counts {
        println!("{}", measure(count).await?);
    }
    Ok(())
}

async fn measure(count: usize) -> Result<serde_json::Value> {
    let before = resident();
    let tunnels =
        (0..count).map(|number| Simulated(HostName::lossy(&format!("host-{number}")))).map(Tunnel::new);
    let group = Group::new(tunnels)?.limits(Limits::default());
    let group = std::hint::black_box(group);
    let begin = Instant::now();
    let mut first = None;
    let mut run = group.each(|tunnel| async move { tunnel.call::<u32>("m:f", ()).await });
    while let Some((host, outcome)) = run.next().await {
        first.get_or_insert_with(|| begin.elapsed());
        if !matches!(outcome, Ok(42)) {
            return Err(format!("{host} has not answered").into());
        }
    }
    drop(run);
    let connected = begin.elapsed();
    let memory = resident() - before;
    let (begin, cpu) = (Instant::now(), cpu_time());
    let results = group.call::<u32>("m:f", ()).await;
    let (called, cpu) = (begin.elapsed(), cpu_time() - cpu);
    assert_eq!(results.successful().count(), count, "{results:?}");
    let begin = Instant::now();
    group.close().await.raise_failures()?;
    Ok(json!({
        "hosts": count,
        "first_result_ms": first.unwrap_or_default().as_secs_f64() * 1e3,
        "last_result_ms": connected.as_secs_f64() * 1e3,
        "second_call_ms": called.as_secs_f64() * 1e3,
        "cpu_us_per_call": cpu * 1e6 / count as f64,
        "kib_per_host": memory / count as f64,
        "close_ms": begin.elapsed().as_secs_f64() * 1e3,
    }))
}

/// Memory of this process, in KiB.
fn resident() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// CPU time of this process, in seconds.
fn cpu_time() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Far smaller than a pipe, which is the system's memory and not the process's.
const PIPE_LEN: usize = 8 << 10;
/// `{'python': [3, 11, 2], 'executable': '', 'pid': 1, 'hostname': '', 'platform': ''}` in marshal, behind protocol version 1.
const HELLO: &[u8] = b"\x00\x01{u\x06\0\0\0python[\x03\0\0\0i\x03\0\0\0i\x0b\0\0\0i\x02\0\0\0\
    u\x0a\0\0\0executableu\0\0\0\0u\x03\0\0\0pidi\x01\0\0\0u\x08\0\0\0hostnameu\0\0\0\0\
    u\x08\0\0\0platformu\0\0\0\0\x30";
const FORTY_TWO: &[u8] = b"i\x2a\0\0\0";
