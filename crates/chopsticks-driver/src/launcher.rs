//! Where programs are started that drivers compose, if not here.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fmt, io,
    process::{Command, ExitStatus, Output},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::process::Link;

/// Starts programs elsewhere than here, such as on the far side of a tunnel.
///
/// Of a command its program, arguments, environment and working directory count.
#[async_trait]
pub trait Launcher: fmt::Debug + Send + Sync {
    /// Starts a program. Its streams can be used at once; if it cannot be started, waiting for it tells why.
    ///
    /// # Errors
    ///
    /// Why no program can be started there.
    async fn spawn(&self, command: &Command) -> io::Result<Link>;

    /// Runs a program to its end, with nothing on its stdin.
    ///
    /// # Errors
    ///
    /// Why it could not be started, or what became of it.
    async fn output(&self, command: &Command) -> io::Result<Output>;

    /// Returns what is known of the programs there.
    ///
    /// # Errors
    ///
    /// Why no program can be started there.
    async fn known(&self) -> io::Result<Arc<Known>>;
}

/// A program that a [`Launcher`] started.
#[async_trait]
pub trait Program: fmt::Debug + Send {
    /// Waits for the end of the program.
    ///
    /// # Errors
    ///
    /// What became of it otherwise.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    async fn wait(&mut self) -> io::Result<ExitStatus>;

    /// Returns why there never was such a program, or why nothing is known of it any more, if so; for one that was waited for.
    async fn failure(&mut self) -> Option<io::Error>;

    /// Has the program ended, by force if need be.
    fn stop(&mut self);
}

/// What was found out about programs, so that they are asked once.
#[derive(Debug, Default)]
pub struct Known(Mutex<HashMap<OsString, bool>>);

impl Known {
    pub(crate) fn get(&self, program: &OsStr) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(program).copied()
    }

    pub(crate) fn set(&self, program: &OsStr, answer: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(program.to_owned(), answer);
    }
}
