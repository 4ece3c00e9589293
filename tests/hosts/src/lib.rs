//! Tests of chopsticks on real hosts and in real containers, which `cargo xtask` sets up.
//!
//! A [`Place`] is somewhere that a driver leads to. [`behaviour`] is the suite that every place has to pass, and
//! [`behaviours!`] makes tests of it, one for each place and sentence. What is particular to one driver is tested in
//! `tests/hosts` and `tests/docker`. Neither runs without its lab: `cargo xtask test-hosts`, `cargo xtask test-docker`.

pub mod behaviour;
pub mod check;
mod compose;
pub mod lab;
pub mod place;
pub mod watch;

pub use crate::place::{Place, Setup};
