//! Shows what goes wrong in the far places, and how it is told.
//!
//! `cargo run -p chopsticks --example failures`

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::Duration;

use chopsticks::{Call, Codebase, ErrorKind, Function, Local, Stderr, Tunnel, TunnelConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let codebase = Codebase::folder(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python"));
    let config = TunnelConfig::default().modules(codebase).stderr(Stderr::off());
    let tunnel = Tunnel::with_config(Local::new().name("here"), config.clone());

    // An exception is data: its type, its text, and the traceback with the files of the codebase.
    show(tunnel.call::<u32>("primes:largest", (1,)).await);
    // A name that is not there comes with those like it.
    show(tunnel.call::<u32>("primes:larges", (10,)).await);
    // A function that never returns is interrupted when its time is up, and what it started ends.
    show(tunnel.call_with(Call::new("time:sleep").args((1000,)).timeout(Duration::from_millis(200))).await);
    // A result that is no plain data is refused, with the place where it is.
    let clock =
        Function::source("import datetime\ndef now(): return {'when': [datetime.date.today()]}", "now");
    show(tunnel.call::<String>(clock, ()).await);
    // The result is something else than what was asked for.
    show(tunnel.call::<Vec<u8>>("os:getcwd", ()).await);
    // The agent dies in mid-call; the next call connects again.
    show(tunnel.call::<()>("os:_exit", (7,)).await);
    show(tunnel.call::<u32>("primes:count", (100,)).await);

    // No interpreter, and a program that is none.
    for program in ["/nowhere/python3", "/bin/false"] {
        let tunnel = Tunnel::with_config(Local::new().name("there").python(program), config.clone());
        show(tunnel.call::<u32>("os:getpid", ()).await);
    }
}

fn show<T: std::fmt::Debug>(result: Result<T, chopsticks::Error>) {
    match result {
        Ok(value) => println!("ok: {value:?}"),
        Err(error) => {
            println!("{}", error.report());
            if let ErrorKind::Raised(exception) = error.kind() {
                println!("{}", exception.traceback);
            }
        }
    }
}
