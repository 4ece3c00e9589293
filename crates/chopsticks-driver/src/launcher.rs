//! Starting programs on other hosts.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fmt, io,
    process::{Command, ExitStatus, Output},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::process::Link;

/// Starts the programs of drivers on another host, such as the far side of a tunnel.
///
/// Only the program, arguments, environment and working directory of a command are used.
#[async_trait]
pub trait Launcher: fmt::Debug + Send + Sync {
    /// Starts a program. Its streams can be used at once. If it cannot be started, waiting for it
    /// returns the reason.
    ///
    /// # Errors
    ///
    /// The reason why no program can be started there.
    async fn spawn(&self, command: &Command) -> io::Result<Link>;

    /// Runs a program to its end, with an empty stdin.
    ///
    /// # Errors
    ///
    /// The reason why it could not be started, or why its status is not known.
    async fn output(&self, command: &Command) -> io::Result<Output>;

    /// Returns the known properties of the programs there.
    ///
    /// # Errors
    ///
    /// The reason why no program can be started there.
    async fn known(&self) -> io::Result<Arc<Known>>;
}

/// A program that a [`Launcher`] started.
#[async_trait]
pub trait Program: fmt::Debug + Send {
    /// Waits for the end of the program.
    ///
    /// # Errors
    ///
    /// The reason why the status is not known.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: nothing is lost if the future is dropped.
    async fn wait(&mut self) -> io::Result<ExitStatus>;

    /// For a program that was waited for, returns why it never ran, or why nothing is known of it
    /// any more. Returns `None` if its end is known.
    async fn failure(&mut self) -> Option<io::Error>;

    /// Requests the end of the program, by force if necessary.
    fn stop(&mut self);
}

/// The known properties of programs, each of which is determined once.
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
