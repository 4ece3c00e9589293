//! Tests of the codebase as its users see it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod archives;
mod compiled;
mod data;
mod escape;
mod files;
mod sources;
mod spots;
mod unpack;
