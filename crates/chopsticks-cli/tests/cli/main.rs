//! Runs the program against agents on this host.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agents;
mod bench;
mod call;
mod document;
mod facts;
mod files;
mod generate;
mod group;
mod habits;
mod hosts;
mod map;
mod memory;
mod native;
mod passwords;
mod run;
mod running;
mod shell;
mod targets;
