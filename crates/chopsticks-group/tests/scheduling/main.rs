//! Groups, queues and pools of made-up hosts, in made-up time.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

mod group;
mod hosts;
mod pool;
mod queue;
mod room;
