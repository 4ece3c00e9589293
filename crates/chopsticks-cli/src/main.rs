//! The program `chopsticks`: calls Python functions, runs programs and transfers files on many
//! targets at once.

mod again;
mod answer;
mod args;
mod argument;
mod bars;
mod call;
mod config;
mod containers;
mod done;
mod facts;
mod fetch;
mod fleet;
mod folder;
mod function;
mod generate;
mod help;
mod hosts;
mod input;
mod items;
mod log;
mod map;
mod natural;
mod outcome;
mod output;
mod pieces;
mod ping;
mod put;
mod render;
mod run;
mod secrets;
mod shell;
mod signals;
mod stdin;
mod target;
mod walk;
mod work;

use std::process::ExitCode;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    // A copy of this program may be the agent of a target.
    chopsticks::init();
    let Args { command, .. } = config::parse();
    match command {
        Command::Call(args) => call::run(args),
        Command::Completions(args) => generate::completions(&args),
        Command::Containers(args) => containers::run(&args),
        Command::Facts(args) => facts::run(args),
        Command::Fetch(args) => fetch::run(args),
        Command::Hosts(args) => hosts::run(&args),
        Command::Man(args) => generate::man(&args),
        Command::Map(args) => map::run(args),
        Command::Ping(args) => ping::run(args),
        Command::Put(args) => put::run(args),
        Command::Run(args) => run::run(args),
        Command::Shell(args) => shell::run(args),
    }
}
