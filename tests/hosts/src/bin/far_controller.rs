//! A controller to be killed: makes one call, and says how it ended.
//!
//! `far_controller PLACE FUNCTION ARGUMENT`

use std::process::ExitCode;

use chopsticks_hosts::{Place, Setup, watch::canary};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, place, function, argument] = args.as_slice() else { return ExitCode::from(2) };
    let place = Place::named(place);
    let tunnel = place.tunnel(&Setup::new(&canary("controller")));
    match tunnel.call::<Option<i64>>(function.as_str(), (argument,)).await {
        Ok(value) => emit(&format!("ok {value:?}")),
        Err(error) => emit(&error.report()),
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the test reads what it prints")]
fn emit(line: &str) {
    println!("{line}");
}
