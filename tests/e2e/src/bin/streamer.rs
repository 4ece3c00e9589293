//! A controller to be killed: feeds a function without end, and takes what that yields.
//!
//! `streamer PYTHON FOLDER FUNCTION ARGUMENT`

use chopsticks::{Call, Codebase, Local, Stderr, Tunnel, TunnelConfig};
use futures::{StreamExt as _, stream};
use serde_bytes::ByteBuf;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, python, folder, function, argument] = args.as_slice() else { std::process::exit(2) };
    let config = TunnelConfig::default().modules(Codebase::folder(folder)).stderr(Stderr::off());
    let tunnel = Tunnel::with_config(Local::new().python(python), config);
    let input = stream::iter((1..).map(|n| ByteBuf::from(vec![0; n % 10_000])));
    let call = Call::new(function.as_str()).args((argument,)).input(input);
    let mut items = tunnel.stream_with::<ByteBuf>(call);
    let mut count = 0;
    while let Some(item) = items.next().await {
        match item {
            Ok(_) if count == 0 => emit("streaming"),
            Ok(_) => {}
            Err(error) => emit(&error.report()),
        }
        count += 1;
    }
}

#[expect(clippy::print_stdout, reason = "the test reads what it prints")]
fn emit(line: &str) {
    println!("{line}");
}
