//! The program `chopsticks`: calls a Python function of a codebase on many targets at once.

mod args;
mod argument;
mod call;
mod function;
mod outcome;
mod output;
mod signals;
mod target;
mod walk;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let Args { command } = Args::parse();
    match command {
        Command::Call(args) => call::run(args),
    }
}
