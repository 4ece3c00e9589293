//! The state of content that is being received, and why receiving has stopped.

use std::io;

/// Why reading has stopped.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "either side or the way between them fails")]
pub enum Stopped {
    /// The stream broke off. The agent's answer contains the reason.
    Broken,
    /// The data is not in the format of an agent, or is too long.
    Malformed(io::Error),
    /// The destination failed.
    Unwritable(io::Error),
}

/// The state of the content of one file that is being received.
#[derive(Debug)]
pub(crate) struct Coming {
    /// The announced size; 0 if it was not known.
    announced: u64,
    pub(crate) came: u64,
}

impl Coming {
    /// Creates the state at the beginning of a content whose announced size is known, or 0.
    pub(crate) fn new(announced: u64) -> Self {
        Self { announced, came: 0 }
    }

    /// Returns the announced size, if it was known.
    pub(crate) fn announced(&self) -> Option<u64> {
        (self.announced > 0).then_some(self.announced)
    }

    /// Refuses content beyond the announced size as soon as it arrives.
    pub(crate) fn add(&mut self, len: usize) -> Result<(), Stopped> {
        self.came += len as u64;
        match self.announced() {
            Some(announced) if self.came > announced => {
                Err(malformed(&format!("more than the {announced} bytes that were announced")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn end(&self) -> Result<(), Stopped> {
        match self.announced() {
            Some(announced) if self.came != announced => {
                Err(malformed(&format!("{} bytes came in place of {announced}", self.came)))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn malformed(problem: &str) -> Stopped {
    Stopped::Malformed(io::Error::new(io::ErrorKind::InvalidData, problem))
}
