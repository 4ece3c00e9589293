//! `chopsticks run`.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use chopsticks::{RemoteCommand, Stdio, Tunnel, TunnelCommand, text::shown_len};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, DuplexStream, duplex},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use crate::{
    answer::{Answer, Ran},
    args::{self, RunArgs},
    bars::FEW,
    fleet::{Fleet, Printer, Stopped},
    folder::Folder,
    outcome::Failure,
    output::Stream,
    stdin::Stdin,
    work::resume,
};

/// Runs the program on all targets.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    let targets = args::checked("run", || args.check());
    let input = args::checked("run", || Stdin::choose(args.stdin(), targets.len()));
    let (words, is_template, hosts) = (args.command, args.template, targets.hosts.clone());
    let is_live = !args.fleet.json;
    let is_single = targets.len() == 1;
    // In a file, lines of several targets come whole, as whoever looks for words in it expects. Those of very many could not be followed.
    let is_counted = targets.len() > FEW;
    let is_raw = args.raw;
    let folder = args.output_dir.as_deref();
    let folder =
        folder.map(|path| args::checked("run", || Folder::create(path, &targets.targets))).map(Arc::new);
    let form = |is_terminal: bool| match is_terminal {
        // What a program writes may be meant to mislead a terminal.
        false if is_raw => Form::Raw,
        _ if !is_single && (is_counted || !is_terminal) => Form::WholeLines,
        _ => Form::Lines,
    };
    let forms = (form(io::stdout().is_terminal()), form(io::stderr().is_terminal()));
    let fleet = Fleet::new(args.fleet, targets).raw(is_raw);
    let fleet = if is_single { fleet.passing_status_on() } else { fleet };
    fleet.run(move |tunnel, printer| {
        let filled = words.iter().map(|word| match word.to_str().filter(|_| is_template) {
            Some(template) => OsString::from(hosts.fill(tunnel.host(), template)),
            None => word.clone(),
        });
        let command = tunnel.command_with(filled.collect::<RemoteCommand>());
        let command = match input.reader() {
            Some(reader) => command.stdin(Stdio::reader(reader)),
            None => command,
        };
        let folder = folder.clone();
        async move {
            if let Some(folder) = &folder {
                return file(&tunnel, command, folder).await;
            }
            match is_live {
                true => show(&tunnel, command, &printer, forms).await,
                false => collect(command).await,
            }
        }
    })
}

/// How a stream of the program is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// In lines with the name of the host, also when they have not ended.
    Lines,
    /// In lines with the name of the host, when they have ended.
    WholeLines,
    /// As it is.
    Raw,
}

/// Prints the output of the program as it arrives. Text for streams that are written in whole lines
/// is printed when its lines are complete.
async fn show(
    tunnel: &Tunnel,
    command: TunnelCommand<'_>,
    printer: &Printer,
    forms: (Form, Form),
) -> Result<Answer, Stopped> {
    let ((stdout, stdout_end), (stderr, stderr_end)) = (duplex(BUFFER_LEN), duplex(BUFFER_LEN));
    let command = command.stdout(Stdio::writer(stdout_end)).stderr(Stdio::writer(stderr_end));
    let running = async { Ok(command.status().await?) };
    let (status, (), ()) = tokio::try_join!(
        running,
        print(tunnel, stdout, Stream::Stdout, printer, forms.0),
        print(tunnel, stderr, Stream::Stderr, printer, forms.1),
    )?;
    Ok(Answer::Ran(Ran { status, stdout: Vec::new(), stderr: Vec::new() }))
}

/// Writes the output of the program to files as it arrives.
async fn file(tunnel: &Tunnel, command: TunnelCommand<'_>, folder: &Arc<Folder>) -> Result<Answer, Stopped> {
    let host = tunnel.host();
    let failed = |error: io::Error| {
        Stopped::Failure(Failure::of_call("file", format!("the output cannot be written: {error}")))
    };
    folder.begin(host).map_err(failed)?;
    let ((stdout, stdout_end), (stderr, stderr_end)) = (duplex(BUFFER_LEN), duplex(BUFFER_LEN));
    let command = command.stdout(Stdio::writer(stdout_end)).stderr(Stdio::writer(stderr_end));
    let running = async { command.status().await.map_err(Stopped::from) };
    let copy = async |mut output: DuplexStream, stream| {
        let mut buffer = vec![0; BUFFER_LEN];
        // The stream is in memory, and has no errors.
        while let Ok(len @ 1..) = output.read(&mut buffer).await {
            let (folder, host, bytes) = (folder.clone(), host.clone(), buffer[..len].to_vec());
            let written = spawn_blocking(move || folder.write(&host, stream, &bytes)).await;
            written.unwrap_or_else(resume).map_err(failed)?;
        }
        Ok::<_, Stopped>(())
    };
    let ended = tokio::try_join!(running, copy(stdout, Stream::Stdout), copy(stderr, Stream::Stderr));
    folder.end(host);
    let (status, (), ()) = ended?;
    Ok(Answer::Ran(Ran { status, stdout: Vec::new(), stderr: Vec::new() }))
}

/// Prints one stream to its end.
async fn print(
    tunnel: &Tunnel,
    mut output: impl AsyncRead + Unpin,
    stream: Stream,
    printer: &Printer,
    form: Form,
) -> Result<(), Stopped> {
    let (mut lines, mut buffer) = (Lines::default(), vec![0; BUFFER_LEN]);
    if form == Form::Raw {
        // The stream is in memory, and has no errors.
        while let Ok(len @ 1..) = output.read(&mut buffer).await {
            printer.pass(stream, buffer[..len].to_vec()).await?;
        }
        return Ok(());
    }
    // When the begin of a line is shown that has not ended.
    let mut due = None;
    loop {
        let waiting = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let text = tokio::select! {
            // The stream is in memory, and has no errors.
            read = output.read(&mut buffer) => match read {
                Ok(len @ 1..) => lines.take(&buffer[..len]),
                _ => break,
            },
            () = waiting => {
                due = None;
                lines.unfinished()
            }
        };
        if form == Form::WholeLines || !lines.has_unfinished() {
            due = None;
        } else {
            due.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        if !text.is_empty() {
            printer.text(tunnel, stream, text).await?;
        }
    }
    match lines.finish() {
        Some(rest) => printer.text(tunnel, stream, rest).await,
        None => Ok(()),
    }
}

/// Collects the output of the program.
async fn collect(command: TunnelCommand<'_>) -> Result<Answer, Stopped> {
    let (stdout, stdout_end) = duplex(BUFFER_LEN);
    let (stderr, stderr_end) = duplex(BUFFER_LEN);
    let command = command.stdout(Stdio::writer(stdout_end)).stderr(Stdio::writer(stderr_end));
    let running = async { Ok(command.status().await?) };
    let (status, stdout, stderr) = tokio::try_join!(running, keep(stdout), keep(stderr))?;
    Ok(Answer::Ran(Ran { status, stdout, stderr }))
}

/// Reads one stream to its end.
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

/// Assembles lines from pieces.
#[derive(Debug, Default)]
struct Lines {
    /// The beginning of an unfinished line, or the part that follows it.
    pending: Vec<u8>,
    /// Whether the beginning of the line was shown before.
    is_open: bool,
}

impl Lines {
    /// Returns the lines that are complete, each with its newline. A long line is returned in
    /// pieces.
    fn take(&mut self, data: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(data);
        let end = self.pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut rest = self.pending.split_off(end);
        std::mem::swap(&mut rest, &mut self.pending);
        if end > 0 {
            self.is_open = false;
        }
        if self.pending.len() > MAX_LINE_LEN {
            rest.append(&mut self.unfinished());
        }
        rest
    }

    /// Returns whether a line is unfinished, and more of it can be shown.
    fn has_unfinished(&self) -> bool {
        shown_len(&self.pending) > 0
    }

    /// Returns the received part of an unfinished line.
    fn unfinished(&mut self) -> Vec<u8> {
        let len = match shown_len(&self.pending) {
            // Carriage returns without end.
            0 if self.pending.len() > MAX_LINE_LEN => self.pending.len(),
            len => len,
        };
        let rest = self.pending.split_off(len);
        self.is_open |= len > 0;
        std::mem::replace(&mut self.pending, rest)
    }

    /// Returns the rest of an unfinished last line, with a newline.
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.pending.is_empty() && !self.is_open {
            return None;
        }
        self.pending.push(b'\n');
        Some(self.pending)
    }
}

/// A longer line is shown in pieces, so that a program that never writes a newline needs bounded
/// memory.
const MAX_LINE_LEN: usize = 64 << 10;
/// How long to wait for the end of a line before its beginning is shown: less than people notice,
/// and more than a program needs to write a line in pieces.
const PATIENCE: Duration = Duration::from_millis(100);
/// The limit of each stream of a target in its JSON object. Much more than anyone reads.
const MAX_OUTPUT_LEN: u64 = 128 << 20;
/// The limit of the bytes that are under way from a target to stdout or stderr.
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
    fn line_that_does_not_end_can_be_shown() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\nPass"), b"one\n");
        assert!(lines.has_unfinished());
        assert_eq!(lines.unfinished(), b"Pass");
        assert_eq!(lines.take(b"word \xc3"), b"");
        assert_eq!(lines.unfinished(), b"word ");
        assert!(!lines.has_unfinished());
        assert_eq!(lines.take(b"\xa9\r"), b"");
        assert_eq!(lines.unfinished(), "é".as_bytes());
        assert_eq!(lines.take(b"\nx"), b"\r\n");
        assert_eq!(lines.unfinished(), b"x");
        assert_eq!(lines.finish().unwrap(), b"\n");
    }

    #[test]
    fn endless_line_is_cut() {
        let mut lines = Lines::default();
        let mut len = 0;
        for _ in 0..100 {
            let taken = lines.take(&[b'x'; 10_000]);
            assert!(taken.len() <= MAX_LINE_LEN + 10_000);
            len += taken.iter().filter(|&&byte| byte == b'x').count();
        }
        assert_eq!(len + lines.pending.len(), 1_000_000);
    }
}
