//! Many hosts at once: groups, results by host, limits, and queues without a barrier.
//!
//! What is reached is anything with a name: a [`Target`]. A [`Group`] runs one operation on all of its targets in parallel and returns
//! each one's outcome, whatever happens to the others. A [`Queue`] gives each target a line of operations of its own.
//!
//! ```
//! use chopsticks_group::{Group, Target};
//!
//! #[derive(Clone)]
//! struct Host(&'static str);
//!
//! impl Target for Host {
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
//! * [`Target`]: what a group is made of.
//! * [`Group`], [`GroupResult`], [`Outcome`], [`Failure`]: one operation on many targets.
//! * [`Limits`], [`Batch`], [`Budget`]: how many at once, in which portions, and when to stop.
//! * [`Queue`], [`AsyncResult`], [`Timeline`]: a line of operations for each target.
//!
//! No processes, no connections, no encoding: an operation is a future that somebody else makes. Everything runs in the task that awaits
//! it: there is no task and no thread for a target, and dropping what was awaited cancels it all.

mod admission;
mod failure;
mod group;
mod limits;
mod queue;
mod result;
mod run;
mod schedule;
mod target;
mod timeline;
mod turns;

pub use failure::{Failure, NotStarted, Outcome, Stage};
pub use group::{DuplicateNames, Group};
pub use limits::{Batch, Budget, InvalidLimit, Limits, Scope};
pub use queue::{AsyncResult, NotCompleted, Queue};
pub use result::{Failures, GroupResult};
pub use run::Run;
pub use target::Target;
pub use timeline::{Span, Timeline};
