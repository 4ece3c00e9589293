//! Unfinished lines of targets.

use std::{
    fs::File,
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
};

use chopsticks::{HostName, text::Screen};

use crate::output::Stream;

/// The open lines on stdout and on stderr.
#[derive(Debug)]
pub(super) struct Screens {
    stdout: Screen<Speaker>,
    /// `None` if stderr is the same as stdout.
    stderr: Option<Screen<Speaker>>,
}

/// The text of one target on one stream.
type Speaker = (HostName, Stream);

impl Screens {
    pub(super) fn new() -> Self {
        Self { stdout: Screen::default(), stderr: (!are_one()).then(Screen::default) }
    }

    /// Returns what to write for text of a target.
    pub(super) fn text(&mut self, host: &HostName, stream: Stream, label: &str, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 64);
        self.screen(stream).push(&(host.clone(), stream), label, text, &mut out);
        out
    }

    /// Returns what to write before text that does not belong to a target.
    pub(super) fn end_line(&mut self, stream: Stream) -> Vec<u8> {
        let mut out = Vec::new();
        self.screen(stream).end_line(&mut out);
        out
    }

    fn screen(&mut self, stream: Stream) -> &mut Screen<Speaker> {
        match (stream, &mut self.stderr) {
            (Stream::Printed | Stream::Stderr, Some(stderr)) => stderr,
            (Stream::Printed | Stream::Stderr, None) | (Stream::Stdout, _) => &mut self.stdout,
        }
    }
}

/// Returns whether stdout and stderr are one file, such as a terminal.
fn are_one() -> bool {
    let (stdout, stderr) =
        (io::stdout().as_fd().try_clone_to_owned(), io::stderr().as_fd().try_clone_to_owned());
    let file =
        |descriptor| File::from(descriptor).metadata().map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((stdout.and_then(file), stderr.and_then(file)), (Ok(stdout), Ok(stderr)) if stdout == stderr)
}
