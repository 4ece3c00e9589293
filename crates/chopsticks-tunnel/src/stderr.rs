//! Where the stderr of agents goes.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chopsticks_driver::{HostName, hint};
use chopsticks_text::harmless_line;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
    time::{Instant, timeout},
};

/// What is done with each line that an agent's side writes to stderr.
///
/// Lines may hold any bytes, and [`callback`](Self::callback) passes them on as they are. A line longer than 64 KiB comes in pieces; the last one comes without its newline as it
/// is. Whatever is chosen here, the last lines are kept for the errors of the tunnel.
#[derive(Clone)]
pub struct Stderr(Sink);

#[derive(Clone)]
enum Sink {
    Callback(Arc<Callback>),
    Console,
    Off,
    Tracing,
}

struct Callback {
    has_panicked: AtomicBool,
    sink: Box<Sinking>,
}

type Sinking = dyn Fn(&str, &[u8]) + Send + Sync;

impl Stderr {
    /// Writes `[host] line` to the controller's own stderr. The default.
    ///
    /// Control characters but the tab, bytes that are not UTF-8, and whatever else a terminal misreads are shown as escapes such as
    /// `\x1b`, so that no host can speak for another or take over the terminal: see [`chopsticks_text`].
    pub fn console() -> Self {
        Self(Sink::Console)
    }

    /// Drops the lines.
    pub fn off() -> Self {
        Self(Sink::Off)
    }

    /// Emits each line as a `tracing` event of level info with the field `host`, target `chopsticks::stderr`; what is in it is shown as by
    /// [`console`](Self::console).
    pub fn tracing() -> Self {
        Self(Sink::Tracing)
    }

    /// Calls `sink` with the host's name and each line, without its newline.
    ///
    /// It is called on a task of the runtime: it should not block. When it panics, that line is lost and the next one comes all the same; the first time,
    /// a `tracing` event of level error says so.
    pub fn callback(sink: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        let has_panicked = AtomicBool::new(false);
        Self(Sink::Callback(Arc::new(Callback { has_panicked, sink: Box::new(sink) })))
    }

    /// Passes a line on, or adds it to `console`.
    fn line(&self, host: &HostName, line: &[u8], console: &mut Vec<u8>) {
        match &self.0 {
            Sink::Callback(callback) => callback.call(host, line),
            Sink::Console => {
                console.push(b'[');
                console.extend_from_slice(host.as_str().as_bytes());
                console.extend_from_slice(b"] ");
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                console.extend_from_slice(harmless_line(line).as_bytes());
                console.push(b'\n');
            }
            Sink::Off => {}
            Sink::Tracing => {
                tracing::info!(target: "chopsticks::stderr", host = %host, "{}", harmless_line(line));
            }
        }
    }
}

impl Callback {
    /// Calls it. If it panicked out of the reading, nobody would read on, and whatever the host writes next would fail there.
    fn call(&self, host: &HostName, line: &[u8]) {
        let panicked = catch_unwind(AssertUnwindSafe(|| (self.sink)(host.as_str(), line))).is_err();
        if panicked && !self.has_panicked.swap(true, Ordering::Relaxed) {
            tracing::error!(target: "chopsticks::stderr", %host, "the callback for stderr panicked");
        }
    }
}

impl fmt::Debug for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Sink::Callback(_) => "Stderr::callback(..)",
            Sink::Console => "Stderr::console()",
            Sink::Off => "Stderr::off()",
            Sink::Tracing => "Stderr::tracing()",
        })
    }
}

/// The last lines of an agent's stderr, and how far its reading is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    lines: Arc<Mutex<VecDeque<Vec<u8>>>>,
    /// How often something was read; odd while what was read is passed on.
    steps: Arc<AtomicUsize>,
}

impl Tail {
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn push(&self, line: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line[..line.len().min(TAIL_LINE_LEN)].to_vec());
    }

    pub(crate) fn clear(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        lines.join("\n")
    }
}

/// Which lines are not passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hush {
    Nothing,
    /// What ssh says when a busy server refuses it: it tries again, and the error tells if that was in vain.
    Refusals,
}

/// Reads `stderr` to its end and passes each line on.
pub(crate) async fn pump(
    mut stderr: impl AsyncRead + Unpin,
    host: HostName,
    sink: Stderr,
    tail: Tail,
    hush: Hush,
) {
    let mut console = Vec::new();
    let mut was_refused = false;
    let lines = tail.clone();
    let mut take = |line: &[u8], console: &mut Vec<u8>| {
        lines.push(line);
        if let (Hush::Refusals, Ok(text)) = (hush, std::str::from_utf8(line)) {
            let follows = ["Connection closed by ", "Connection reset by "];
            was_refused = hint::is_refusal_for_load(text)
                || was_refused && follows.iter().any(|beginning| text.starts_with(beginning));
            if was_refused {
                return;
            }
        }
        sink.line(&host, line, console);
    };
    let mut pending = Vec::new();
    let mut buffer = vec![0; 8 << 10];
    // An error ends the stream as its end does: nobody could be told more.
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        tail.step();
        for piece in buffer[..count].split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(line) if pending.is_empty() => take(line, &mut console),
                Some(line) => {
                    pending.extend_from_slice(line);
                    take(&pending, &mut console);
                    pending.clear();
                }
                None => pending.extend_from_slice(piece),
            }
        }
        if pending.len() >= MAX_LINE_LEN {
            take(&pending, &mut console);
            pending.clear();
        }
        print(&mut console).await;
        tail.step();
        if count == buffer.len() && count < MAX_LINE_LEN {
            buffer.resize(MAX_LINE_LEN, 0);
        }
    }
    if !pending.is_empty() {
        take(&pending, &mut console);
        print(&mut console).await;
    }
}

/// Waits until all is passed on that a program has written which has ended.
///
/// Those of many hosts wait for each other where they share a console. A process that left our reach may keep stderr open; its lines are
/// nobody's.
pub(crate) async fn drain(mut pump: JoinHandle<()>, tail: &Tail) {
    let end = Instant::now() + DRAIN;
    let mut quiet = 0;
    while quiet < QUIET_TURNS && Instant::now() < end {
        let before = tail.steps.load(Ordering::Relaxed);
        if timeout(QUIET, &mut pump).await.is_ok() {
            return;
        }
        let is_waiting = before.is_multiple_of(2) && before == tail.steps.load(Ordering::Relaxed);
        quiet = if is_waiting { quiet + 1 } else { 0 };
    }
    pump.abort();
}

/// Writes to the controller's stderr, one host at a time: whole lines, and no more than one thread that a slow console
/// can block.
async fn print(text: &mut Vec<u8>) {
    if !text.is_empty() {
        let _turn = CONSOLE.lock().await;
        let mut stderr = tokio::io::stderr();
        // A console that is gone is no reason to fail a call.
        let _ = stderr.write_all(text).await;
        let _ = stderr.flush().await;
        text.clear();
    }
}

static CONSOLE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A longer line is passed on in pieces, so that a program that never writes a newline costs bounded memory.
const MAX_LINE_LEN: usize = 64 << 10;
/// A Python traceback of usual depth fits.
const TAIL_LINES: usize = 20;
const TAIL_LINE_LEN: usize = 1 << 10;
/// How long a console that stands still is waited for, or a process that left our reach and goes on to write.
const DRAIN: Duration = Duration::from_secs(5);
/// When nothing has come in so many times this long, nothing will. Once is not enough where the machine had no time for us.
const QUIET: Duration = Duration::from_millis(250);
const QUIET_TURNS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &'static [u8]) -> (Vec<Vec<u8>>, String) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Stderr::callback({
            let seen = seen.clone();
            move |host, line| {
                assert_eq!(host, "web1");
                seen.lock().unwrap().push(line.to_vec());
            }
        });
        let tail = Tail::default();
        pump(input, "web1".parse().unwrap(), sink, tail.clone(), Hush::Refusals).await;
        (Arc::try_unwrap(seen).unwrap().into_inner().unwrap(), tail.text())
    }

    #[tokio::test]
    async fn any_bytes_pass_and_a_partial_last_line_is_not_lost() {
        let (seen, tail) = lines(b"one\n\xff\xfe\n\npart").await;
        assert_eq!(seen, [b"one".to_vec(), b"\xff\xfe".to_vec(), b"".to_vec(), b"part".to_vec()]);
        assert_eq!(tail, "one\n\u{fffd}\u{fffd}\n\npart");
    }

    #[test]
    fn console_shows_control_characters() {
        let mut console = Vec::new();
        Stderr::console().line(
            &"web1".parse().unwrap(),
            b"a\x1b[31m\tb\0\r[other] c\xff\x9b\r",
            &mut console,
        );
        Stderr::console().line(&"web1".parse().unwrap(), "\u{9b}2J\u{202e}é".as_bytes(), &mut console);
        let expected = "[web1] a\\x1b[31m\tb\\x00\\x0d[other] c\\xff\\x9b\n[web1] \\u009b2J\\u202eé\n";
        assert_eq!(String::from_utf8(console).unwrap(), expected);
    }

    #[tokio::test]
    async fn panic_of_a_callback_loses_its_line_alone() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Stderr::callback({
            let seen = seen.clone();
            move |_, line| {
                assert!(line != b"bad");
                seen.lock().unwrap().push(line.to_vec());
            }
        });
        let host = "web1".parse().unwrap();
        pump(&b"one\nbad\nbad\ntwo\n"[..], host, sink, Tail::default(), Hush::Nothing).await;
        assert_eq!(*seen.lock().unwrap(), [b"one", b"two"]);
    }

    #[tokio::test]
    async fn endless_line_comes_in_pieces() {
        let (seen, tail) = lines(Box::leak(vec![b'x'; 300 << 10].into_boxed_slice())).await;
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), 300 << 10);
        assert!(seen.iter().all(|piece| piece.len() <= 2 * MAX_LINE_LEN));
        assert!(tail.len() <= TAIL_LINES * (TAIL_LINE_LEN + 1));
    }

    #[tokio::test]
    async fn refusal_by_a_busy_server_is_kept_for_the_error_alone() {
        let text = b"kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 127.0.0.1 port 22\r\nmore\n";
        let (seen, tail) = lines(text).await;
        assert_eq!(seen, [b"more".to_vec()]);
        assert!(tail.starts_with("kex_exchange_identification"));
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let text: String = (0..1000).map(|n| format!("{n}\n")).collect();
        let (_, tail) = lines(Box::leak(text.into_bytes().into_boxed_slice())).await;
        assert!(tail.starts_with("980\n") && tail.ends_with("\n999"));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_wait_are_not_lost_when_the_program_ends_and_an_open_pipe_is_given_up() {
        let seen = Arc::new(Mutex::new(0));
        let sink = Stderr::callback({
            let seen = seen.clone();
            move |_, _| *seen.lock().unwrap() += 1
        });
        let (mut writer, reader) = tokio::io::duplex(16);
        let tail = Tail::default();
        let pumped = tokio::spawn(pump(reader, "web1".parse().unwrap(), sink, tail.clone(), Hush::Nothing));
        let writing = tokio::spawn(async move {
            // In all far longer than the quiet after which it is given up.
            for _ in 0..10 {
                writer.write_all(b"line\n").await.unwrap();
                tokio::time::sleep(QUIET).await;
            }
            // Kept open by someone else.
            writer
        });
        let began = Instant::now();
        drain(pumped, &tail).await;
        assert_eq!(*seen.lock().unwrap(), 10);
        assert!(began.elapsed() < DRAIN, "{:?}", began.elapsed());
        drop(writing.await.unwrap());
    }
}
