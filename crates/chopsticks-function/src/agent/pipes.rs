//! The pipes to the controller.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read as _},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::fcntl_dupfd_cloexec,
    stdio,
};

/// What comes from the controller.
#[derive(Debug)]
pub(crate) struct Reader {
    input: File,
    buffer: Vec<u8>,
    /// Whether the bytes that follow the program have not ended yet.
    is_padding: bool,
}

impl Reader {
    fn new(input: File) -> Self {
        Self { input, buffer: vec![0; BUFFER_LEN], is_padding: true }
    }

    /// Waits for bytes, or for their end, at most so long. Returns whether there are some.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let mut polled = [PollFd::new(&self.input, PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        !matches!(poll(&mut polled, Some(&time)), Ok(0))
    }

    /// Waits for bytes, and returns them; none at the end.
    pub(crate) fn read(&mut self) -> io::Result<&[u8]> {
        loop {
            let len = match self.input.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            };
            if len == 0 || !self.is_padding {
                return Ok(&self.buffer[..len]);
            }
            // Whatever `head` has read of the padding is missing.
            let Some(start) = self.buffer[..len].iter().position(|byte| *byte != 0) else { continue };
            if self.buffer[start] != END_OF_PADDING {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "what follows the program was lost on the way",
                ));
            }
            self.is_padding = false;
            if start + 1 < len {
                return Ok(&self.buffer[start + 1..len]);
            }
        }
    }
}

/// Moves stdin and stdout out of the reach of functions and of the programs that they start.
///
/// Functions have an empty stdin. What they write to stdout goes where stderr goes.
pub(crate) fn take() -> io::Result<(Reader, File)> {
    let (input, output) = take_bare()?;
    Ok((Reader::new(input), output))
}

/// As [`take`], for pipes to the agent itself.
pub(crate) fn take_bare() -> io::Result<(File, File)> {
    let input = fcntl_dupfd_cloexec(stdio::stdin(), LOWEST)?;
    let output = fcntl_dupfd_cloexec(stdio::stdout(), LOWEST)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    stdio::dup2_stdin(&null)?;
    stdio::dup2_stdout(stdio::stderr())?;
    Ok((File::from(input), File::from(output)))
}

/// The byte that follows the padding. The padding consists of zeros.
const END_OF_PADDING: u8 = b'>';
/// What a pipe holds by default, several times. Only what is used takes memory.
const BUFFER_LEN: usize = 256 << 10;
/// The lowest descriptor for the pipes: above those that shell scripts use.
const LOWEST: i32 = 10;
