//! `chopsticks run`.

use std::process::ExitCode;

use chopsticks::{
    Error, Tunnel,
    helpers::{self, OutputStream, RemoteCommand},
};

use crate::{
    answer::{Answer, Ran},
    args::{self, RunArgs},
    fleet::{Fleet, Printer, Stopped},
    outcome::Failure,
    output::Stream,
};

/// Runs the program on all targets.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let targets = args::checked("run", || args.fleet.targets());
    let command = RemoteCommand::from(args.command);
    let is_live = !args.fleet.json;
    Fleet::new(args.fleet, targets).run(move |tunnel, printer| {
        let command = command.clone();
        async move {
            match is_live {
                true => show(&tunnel, command, &printer).await,
                false => collect(&tunnel, command).await,
            }
        }
    })
}

/// Prints the lines of the program as they come.
async fn show(tunnel: &Tunnel, command: RemoteCommand, printer: &Printer) -> Result<Answer, Stopped> {
    let mut running = helpers::start(tunnel, command);
    let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
    while let Some(chunk) = running.next().await.map_err(unstarted)? {
        let (stream, lines) = match chunk.stream {
            OutputStream::Stdout => (Stream::Stdout, &mut stdout),
            OutputStream::Stderr => (Stream::Stderr, &mut stderr),
        };
        let whole = lines.take(&chunk.data);
        if !whole.is_empty() {
            printer.lines(tunnel, stream, whole).await?;
        }
    }
    for (stream, lines) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
        if let Some(rest) = lines.finish() {
            printer.lines(tunnel, stream, rest).await?;
        }
    }
    Ok(Answer::Ran(Ran {
        status: running.wait().await.map_err(unstarted)?,
        stdout: Vec::new(),
        stderr: Vec::new(),
    }))
}

/// Keeps what the program writes.
async fn collect(tunnel: &Tunnel, command: RemoteCommand) -> Result<Answer, Stopped> {
    let mut running = helpers::start(tunnel, command);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(chunk) = running.next().await.map_err(unstarted)? {
        match chunk.stream {
            OutputStream::Stdout => stdout.extend_from_slice(&chunk.data),
            OutputStream::Stderr => stderr.extend_from_slice(&chunk.data),
        }
        if stdout.len() + stderr.len() > MAX_OUTPUT_LEN {
            let message = format!("the output is over the limit of {} MiB", MAX_OUTPUT_LEN >> 20);
            return Err(Stopped::Failure(Failure::of_call("too-large", message)));
        }
    }
    Ok(Answer::Ran(Ran { status: running.wait().await.map_err(unstarted)?, stdout, stderr }))
}

/// A program that cannot be started is told by the system's words: where in our code that was noticed helps nobody.
fn unstarted(error: Error) -> Stopped {
    let is_of_system = error.remote().is_some_and(|raised| UNSTARTED.contains(&raised.type_name.as_str()));
    let mut failure = Failure::from(error);
    if is_of_system {
        failure.traceback = None;
    }
    Stopped::Failure(failure)
}

/// Puts pieces together to lines.
#[derive(Debug, Default)]
struct Lines {
    /// The begin of a line that has not ended.
    pending: Vec<u8>,
}

impl Lines {
    /// Returns the lines that have ended by now, each with its newline. A long one comes in pieces.
    fn take(&mut self, data: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(data);
        let end = self.pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut rest = self.pending.split_off(end);
        std::mem::swap(&mut rest, &mut self.pending);
        if self.pending.len() > MAX_LINE_LEN {
            rest.append(&mut self.pending);
            rest.push(b'\n');
        }
        rest
    }

    /// Returns a last line that has not ended.
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.pending.is_empty() {
            return None;
        }
        self.pending.push(b'\n');
        Some(self.pending)
    }
}

/// What `subprocess` raises for a program or folder that is not there, may not be used, or is none.
const UNSTARTED: &[&str] = &["FileNotFoundError", "NotADirectoryError", "OSError", "PermissionError"];
/// A longer line is cut, so that a program that never writes a newline costs bounded memory.
const MAX_LINE_LEN: usize = 64 << 10;
/// What is kept of a target for its JSON object. Much more than anyone reads.
const MAX_OUTPUT_LEN: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"on"), b"");
        assert_eq!(lines.take(b"e\ntwo\nthr"), b"one\ntwo\n");
        assert_eq!(lines.take(b"ee"), b"");
        assert_eq!(lines.finish().unwrap(), b"three\n");
        assert_eq!(Lines::default().finish(), None);
    }

    #[test]
    fn endless_line_is_cut() {
        let mut lines = Lines::default();
        let mut len = 0;
        for _ in 0..100 {
            let taken = lines.take(&[b'x'; 10_000]);
            assert!(taken.len() <= MAX_LINE_LEN + 10_001);
            len += taken.iter().filter(|&&byte| byte == b'x').count();
        }
        assert_eq!(len + lines.pending.len(), 1_000_000);
    }
}
