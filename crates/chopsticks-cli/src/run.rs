//! `chopsticks run`.

use std::process::ExitCode;

use chopsticks::{RemoteCommand, Stdio, Tunnel, TunnelCommand};
use tokio::io::{AsyncRead, AsyncReadExt as _, duplex};

use crate::{
    answer::{Answer, Ran},
    args::{self, RunArgs},
    fleet::{Fleet, Printer, Stopped},
    outcome::Failure,
    output::Stream,
    stdin::Stdin,
};

/// Runs the program on all targets.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let targets = args::checked("run", || args.fleet.targets());
    let input = args::checked("run", || Stdin::choose(args.stdin(), targets.len()));
    let command: RemoteCommand = args.command.iter().collect();
    let is_live = !args.fleet.json;
    let is_single = targets.len() == 1;
    let fleet = Fleet::new(args.fleet, targets);
    let fleet = if is_single { fleet.passing_status_on() } else { fleet };
    fleet.run(move |tunnel, printer| {
        let command = tunnel.command_with(command.clone());
        let command = match input.reader() {
            Some(reader) => command.stdin(Stdio::reader(reader)),
            None => command,
        };
        async move {
            match is_live {
                true => show(&tunnel, command, &printer).await,
                false => collect(command).await,
            }
        }
    })
}

/// Prints the lines of the program as they come.
async fn show(tunnel: &Tunnel, command: TunnelCommand<'_>, printer: &Printer) -> Result<Answer, Stopped> {
    let ((stdout, stdout_end), (stderr, stderr_end)) = (duplex(BUFFER_LEN), duplex(BUFFER_LEN));
    let command = command.stdout(Stdio::writer(stdout_end)).stderr(Stdio::writer(stderr_end));
    let running = async { Ok(command.status().await?) };
    let (status, (), ()) = tokio::try_join!(
        running,
        print(tunnel, stdout, Stream::Stdout, printer),
        print(tunnel, stderr, Stream::Stderr, printer),
    )?;
    Ok(Answer::Ran(Ran { status, stdout: Vec::new(), stderr: Vec::new() }))
}

/// Prints the lines of one stream, to its end.
async fn print(
    tunnel: &Tunnel,
    mut output: impl AsyncRead + Unpin,
    stream: Stream,
    printer: &Printer,
) -> Result<(), Stopped> {
    let (mut lines, mut buffer) = (Lines::default(), vec![0; BUFFER_LEN]);
    // The stream is in memory, and has no errors.
    while let Ok(len @ 1..) = output.read(&mut buffer).await {
        let whole = lines.take(&buffer[..len]);
        if !whole.is_empty() {
            printer.lines(tunnel, stream, whole).await?;
        }
    }
    match lines.finish() {
        Some(rest) => printer.lines(tunnel, stream, rest).await,
        None => Ok(()),
    }
}

/// Keeps what the program writes.
async fn collect(command: TunnelCommand<'_>) -> Result<Answer, Stopped> {
    let (stdout, stdout_end) = duplex(BUFFER_LEN);
    let (stderr, stderr_end) = duplex(BUFFER_LEN);
    let command = command.stdout(Stdio::writer(stdout_end)).stderr(Stdio::writer(stderr_end));
    let running = async { Ok(command.status().await?) };
    let (status, stdout, stderr) = tokio::try_join!(running, keep(stdout), keep(stderr))?;
    Ok(Answer::Ran(Ran { status, stdout, stderr }))
}

/// Reads one stream, to its end.
async fn keep(output: impl AsyncRead + Unpin) -> Result<Vec<u8>, Stopped> {
    let mut kept = Vec::new();
    // The stream is in memory, and has no errors.
    let _ = output.take(MAX_OUTPUT_LEN + 1).read_to_end(&mut kept).await;
    if kept.len() as u64 > MAX_OUTPUT_LEN {
        let message = format!("the output is over the limit of {} MiB", MAX_OUTPUT_LEN >> 20);
        return Err(Stopped::Failure(Failure::of_call("too-large", message)));
    }
    Ok(kept)
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

/// A longer line is cut, so that a program that never writes a newline costs bounded memory.
const MAX_LINE_LEN: usize = 64 << 10;
/// What is kept of each stream of a target for its JSON object. Much more than anyone reads.
const MAX_OUTPUT_LEN: u64 = 128 << 20;
/// What is under way from a target to stdout or stderr.
const BUFFER_LEN: usize = 128 << 10;

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
