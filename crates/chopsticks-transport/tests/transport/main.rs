//! The transport as its users see it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

mod both_sides;
mod peer;
mod property;
mod scripted;
mod world;
