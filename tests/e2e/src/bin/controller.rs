//! A controller to be killed: makes the call that its arguments name on as many agents as they say.
//!
//! `controller PYTHON FOLDER FUNCTION ARGUMENT COUNT`

use chopsticks::{Codebase, Local, Stderr, Tunnel, TunnelConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, python, folder, function, argument, count] = args.as_slice() else { std::process::exit(2) };
    let config = TunnelConfig::default().modules(Codebase::folder(folder)).stderr(Stderr::off());
    let count: usize = count.parse().unwrap_or(1);
    let tunnels: Vec<Tunnel> = (0..count)
        .map(|n| Tunnel::with_config(Local::new().name(format!("agent-{n}")).python(python), config.clone()))
        .collect();
    let calls = tunnels.iter().map(|tunnel| tunnel.call::<Option<u32>>(function.as_str(), (argument,)));
    for result in futures::future::join_all(calls).await {
        match result {
            Ok(value) => emit(&format!("ok {value:?}")),
            Err(error) => emit(&error.report()),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the test reads what it prints")]
fn emit(line: &str) {
    println!("{line}");
}
