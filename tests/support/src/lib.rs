//! Helpers that the tests share: interpreters found at run time, process watching, scratch folders.
//!
//! Nothing here is about chopsticks itself, so that every crate's tests can use it. Failures panic, as a
//! test wants it, with a text that says what to do; only [`find_interpreters`] returns an error, because the
//! automation in `xtask` uses it too.
//!
//! ```
//! use std::time::Duration;
//!
//! let scratch = chopsticks_support::Scratch::new();
//! scratch.write("ops/__init__.py", "");
//! scratch.write("ops/deploy.py", "def restart():\n    return 'done'\n");
//!
//! for interpreter in chopsticks_support::interpreters() {
//!     println!("{interpreter}");
//! }
//! assert!(chopsticks_support::eventually(Duration::from_secs(5), || scratch.path().exists()));
//! ```
//!
//! What is *not* handled: [`processes`] reads `/proc` and therefore works on Linux alone.

mod interpreter;
pub mod processes;
mod scratch;
mod wait;

pub use crate::interpreter::{
    FindError, INTERPRETERS_VARIABLE, Implementation, Interpreter, find_interpreters, interpreters, newest,
    python2, python3,
};
pub use crate::scratch::Scratch;
pub use crate::wait::eventually;

/// The environment variable that names the folder of the test hosts, as `cargo xtask test-hosts` and `test-docker` set them up.
pub const LAB_VARIABLE: &str = "CHOPSTICKS_LAB";
