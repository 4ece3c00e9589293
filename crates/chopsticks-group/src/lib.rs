//! Many hosts at once: groups, results by host, limits, queues without a barrier, and pools.
//!
//! A [`Member`] is anything with a name that can be connected. A [`Group`] runs one operation on all of its targets in parallel and returns
//! the outcome of each, whatever happens to the others. A [`Queue`] gives each target a line of
//! operations of its own, and a [`Pool`] distributes items over its targets.
//!
//! ```
//! use chopsticks_group::{Group, Member};
//!
//! #[derive(Clone)]
//! struct Host(&'static str);
//!
//! impl Member for Host {
//!     type Name = &'static str;
//!     type Error = std::fmt::Error;
//!
//!     fn name(&self) -> &'static str {
//!         self.0
//!     }
//!
//!     async fn connect(&self) -> Result<(), std::fmt::Error> {
//!         Ok(())
//!     }
//!
//!     async fn close(&self) -> Result<(), std::fmt::Error> {
//!         Ok(())
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let group = Group::new([Host("web1"), Host("web2")])? | Host("db1");
//! let lengths = group.run(|host| async move { Ok(host.0.len()) }).await;
//! assert_eq!(lengths["web1"], Ok(4));
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! * [`Member`]: the trait of the members of a group.
//! * [`Group`], [`GroupResult`], [`Outcome`], [`Failure`], [`Streams`]: one operation on many targets.
//! * [`Limits`], [`Batch`], [`Budget`]: how many targets run at once, in which batches, and when an operation stops.
//! * [`Queue`], [`AsyncResult`], [`Timeline`]: a line of operations for each target.
//! * [`Pool`], [`PoolRun`], [`PoolOutcome`]: many items, each of which goes to the next free
//!   target.
//!
//! This crate knows no processes, connections or encodings: an operation is a future that the caller provides. Everything runs in the task that
//! awaits it. There is no task and no thread for a target, and dropping the awaited future cancels everything.

mod admission;
mod failure;
mod group;
mod limits;
mod member;
mod pool;
mod queue;
mod result;
mod run;
mod schedule;
mod spread;
mod streams;
mod timeline;
mod turns;

pub use failure::{Failure, NotStarted, Outcome, Stage};
pub use group::{DuplicateNames, Group};
pub use limits::{Batch, Budget, InvalidLimit, Limits, Scope};
pub use member::Member;
pub use pool::{Feed, Pool, PoolOutcome, PoolRun, Step};
pub use queue::{AsyncResult, NotCompleted, Queue};
pub use result::{Failures, GroupResult};
pub use run::Run;
pub use streams::Streams;
pub use timeline::{Span, Timeline};
