//! Functions in Rust that run on other hosts, and the agent that runs them there.
//!
//! [`function`](macro@function) lets a function of a program be called on hosts. The program itself
//! is sent there: it begins with [`init`], which turns the copy into an agent. A host needs neither
//! Rust nor Python, only a POSIX `sh`, and nothing stays behind there. `chopsticks` sends the
//! program and makes the calls. A library of functions needs this crate alone.
//!
//! ```
//! use std::{io, path::PathBuf};
//!
//! use chopsticks_function::{Invocation, function};
//!
//! /// Returns the number of entries in a folder.
//! #[function]
//! fn count(folder: PathBuf) -> io::Result<usize> {
//!     Ok(folder.read_dir()?.count())
//! }
//!
//! fn main() {
//!     chopsticks_function::init();
//!     // The function is an ordinary one here.
//!     assert!(count("/".into()).is_ok());
//!     // This is what a tunnel, a group or a queue of `chopsticks` runs on hosts.
//!     let invocation: Invocation<usize> = count::with("/".into());
//!     assert!(invocation.name().ends_with("::count"));
//! }
//! ```
//!
//! # Layout
//!
//! * [`function`](macro@function), [`closure`] and [`main`](macro@main) are the macros.
//! * [`Invocation`] is a function with its arguments, and [`StreamInvocation`] one that yields items.
//! * [`init`] and [`tests`] turn a process into an agent.
//! * [`facts`] contains a function that describes its host.
//! * [`is_cancelled`] is for functions that take long.
//! * [`Catalog`] lists the functions of a program, to compare a program for another kind of machine
//!   with this one.
//! * [`Start`] is what the controller needs to know to start a copy of this program.
//!
//! # Features
//!
//! `agent`, which is on by default, contains the agent. Without it a process never becomes an
//! agent.
//!
//! # What the compiler refuses
//!
//! Arguments of other types, and values that serde cannot encode:
//!
//! ```compile_fail
//! # use chopsticks_function::function;
//! # use std::path::PathBuf;
//! # #[function]
//! # fn count(folder: PathBuf) -> u64 { 0 }
//! // `count` takes a `PathBuf`.
//! let invocation = count::with(7);
//! ```
//!
//! ```compile_fail
//! # use chopsticks_function::function;
//! // An open file cannot be sent.
//! #[function]
//! fn read(file: std::fs::File) {}
//! ```
//!
//! Functions that cannot run elsewhere, such as generic ones, are refused with a message.
//!
//! # Functions of other crates
//!
//! The functions of a crate are part of a program only if the program refers to that crate:
//! `use my_functions as _;` is enough.
//!
//! The crate knows nothing about tunnels and processes on the controller's side, and has no
//! asynchronous runtime.

// A library of functions has the registry, and leaves the running to a program with the agent.
#![cfg_attr(not(feature = "agent"), allow(dead_code, reason = "only the agent runs functions"))]

extern crate self as chopsticks_function;

#[cfg(feature = "agent")]
mod agent;
mod answer;
mod call;
mod catalog;
pub mod facts;
mod invocation;
mod registry;
mod start;

pub use chopsticks_function_macros::{closure, function, main};

pub use self::{
    call::is_cancelled,
    catalog::Catalog,
    invocation::{Encoded, Invocation, StreamInvocation},
    start::{Start, init},
};

/// For the code that the macros write.
#[doc(hidden)]
pub mod __private {
    pub use inventory::submit;
    pub use serde_bytes::{ByteBuf, Bytes};

    pub use crate::{
        answer::{
            Answer, ByDebug, ByDisplay, BySerialize, Fallible, Returned, Sink, Success, arguments, block_on,
            bytes, cancelled, items, items_of_stream, value,
        },
        invocation::{invocation, read_bytes, read_value, sent, stream_invocation},
        registry::{Body, Entry, TestAgent},
    };
}

/// Lets a test binary become an agent. Write it once in each test binary, in its root or in any
/// module.
///
/// The test runner provides the `main` of a test binary, so [`init`] cannot be called there. The
/// macro defines a test named `chopsticks_agent` instead, which is ignored in ordinary runs. A copy
/// of the program is started with this test alone.
///
/// ```
/// chopsticks_function::tests!();
/// ```
#[macro_export]
macro_rules! tests {
    () => {
        #[test]
        #[ignore = "becomes the agent of other tests"]
        fn chopsticks_agent() {
            $crate::init();
        }

        $crate::__private::submit! {
            $crate::__private::TestAgent {
                path: ::core::concat!(::core::module_path!(), "::chopsticks_agent"),
            }
        }
    };
}
