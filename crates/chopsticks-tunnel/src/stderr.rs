//! The destination of the stderr of agents.

use std::{
    collections::VecDeque,
    fmt,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chopsticks_driver::{HostName, hint};
use chopsticks_text::{Screen, harmless_line, shown_len};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// What to do with each line that an agent's side writes to stderr.
///
/// Lines may contain any bytes, and [`callback`](Self::callback) passes them on unchanged. A line
/// of more than 64 KiB arrives in pieces. A last line without a newline is passed on as it is. In
/// all cases the last lines are kept for the errors of the tunnel.
#[derive(Clone)]
pub struct Stderr(Sink);

#[derive(Clone)]
enum Sink {
    Callback(Arc<Callback>),
    /// The console of the context.
    Console,
    /// As `Console`, for what was written to stdout.
    ConsoleOfStdout,
    Off,
    Paced(Arc<Callback>, Arc<Room>),
    Text(Arc<Text>),
    Tracing,
    /// As `Tracing`, for what was written to stdout.
    TracingOfStdout,
}

struct Callback {
    has_panicked: AtomicBool,
    sink: Box<Sinking>,
}

type Sinking = dyn Fn(&str, &[u8]) + Send + Sync;

type Room = dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Accepts text in any pieces, on a thread that may block.
struct Text {
    callback: Callback,
    /// The right to block a thread: a slow sink blocks only one.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How many hosts currently write.
    hosts: AtomicUsize,
    /// Whether lines of several hosts are written whole.
    joins_lines: bool,
}

impl Stderr {
    /// Writes `[host] line` to the controller's own stderr, or to the writer that
    /// [`Context::console`](crate::Context::console) sets. This is the default.
    ///
    /// If a line has not ended for 100 ms, the part that has arrived is shown, such as a question
    /// or the progress of a task. If stderr is not a terminal, this is done only while a single
    /// host writes there; lines of several hosts are written whole. A carriage return goes back to
    /// the beginning of the line, where the name of the host is written again.
    ///
    /// Tabs are kept. Other control characters, bytes that are not UTF-8, and everything else that
    /// a terminal misreads are shown as escapes such as `\x1b`, so that no host can imitate another
    /// or take over the terminal: see [`chopsticks_text`].
    pub fn console() -> Self {
        Self(Sink::Console)
    }

    /// Drops the lines.
    pub fn off() -> Self {
        Self(Sink::Off)
    }

    /// Emits each line as a `tracing` event of level info with the field `host` and the target
    /// `chopsticks::stderr`. The text is shown with the escapes of [`console`](Self::console), and
    /// carriage returns are escaped too.
    pub fn tracing() -> Self {
        Self(Sink::Tracing)
    }

    /// Calls `sink` with the host's name and each line, without its newline.
    ///
    /// `sink` is called on a task of the runtime, so it should not block. If it panics, that line
    /// is lost, and the next line arrives all the same. The first panic is reported by a `tracing`
    /// event of level error.
    pub fn callback(sink: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        Self(Sink::Callback(Arc::new(Callback::new(sink))))
    }

    /// Calls `sink` with each line as [`callback`](Self::callback) does, and then awaits `room()`
    /// before it reads more from the host.
    ///
    /// This is for a sink that puts lines into a queue of limited length, which `room` waits for.
    /// Until then the host's program is held up when it writes to stderr, as by a full pipe. `sink`
    /// is called again only after `room` has completed, but up to 64 KiB of lines that arrived
    /// together are passed to it without a pause. `room` should complete after a limited time:
    /// over SSH, a host whose stderr is not read cannot answer calls after a while.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use chopsticks_tunnel::Stderr;
    /// use tokio::sync::Semaphore;
    ///
    /// // As many lines as the consumer adds permits for.
    /// let permits = Arc::new(Semaphore::new(1000));
    /// let (sender, lines) = std::sync::mpsc::channel();
    /// let taken = permits.clone();
    /// let sink = move |_: &str, line: &[u8]| {
    ///     let _ = sender.send(line.to_vec());
    ///     taken.forget_permits(1);
    /// };
    /// let stderr = Stderr::paced(sink, move || {
    ///     let permits = permits.clone();
    ///     async move { drop(permits.acquire().await) }
    /// });
    /// # let _ = (stderr, lines);
    /// ```
    pub fn paced<R>(
        sink: impl Fn(&str, &[u8]) + Send + Sync + 'static,
        room: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        Self(Sink::Paced(Arc::new(Callback::new(sink)), Arc::new(move || Box::pin(room()))))
    }

    /// Calls `sink` with the host's name and text as it arrives, to write it somewhere: whole lines
    /// with their newlines, and the beginning of a line that has not ended for 100 ms. With
    /// `joins_lines`, such a line arrives only when it is complete, unless a single host writes.
    ///
    /// A text does not end within a character, nor between the carriage return and the newline that
    /// end a line. [`chopsticks_text::Screen`] turns such texts into text that can be shown.
    ///
    /// `sink` is called on a thread that may block, and never concurrently. If it panics, that text
    /// is lost, as with [`callback`](Self::callback).
    ///
    /// ```
    /// use std::{io::Write as _, sync::Mutex};
    ///
    /// use chopsticks_text::Screen;
    /// use chopsticks_tunnel::Stderr;
    ///
    /// let screen = Mutex::new(Screen::default());
    /// let stderr = Stderr::writer(false, move |host, text| {
    ///     let (label, mut out) = (format!("{host} |"), Vec::new());
    ///     let mut screen = screen.lock().expect("no writer has panicked");
    ///     screen.push(&host.to_owned(), &label, text, &mut out);
    ///     let _ = std::io::stderr().write_all(&out);
    /// });
    /// # let _ = stderr;
    /// ```
    pub fn writer(joins_lines: bool, sink: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        Self(Sink::Text(Arc::new(Text::new(joins_lines, sink))))
    }

    /// Returns where stdout goes that goes where stderr does, but is marked there if it can be.
    pub(crate) fn for_stdout(&self) -> Self {
        match &self.0 {
            Sink::Console => Self::console_of_stdout(),
            Sink::Tracing => Self::tracing_of_stdout(),
            _ => self.clone(),
        }
    }

    pub(crate) fn console_of_stdout() -> Self {
        Self(Sink::ConsoleOfStdout)
    }

    pub(crate) fn tracing_of_stdout() -> Self {
        Self(Sink::TracingOfStdout)
    }

    /// Returns the same destination. If it is the console, it becomes that of a context.
    pub(crate) fn on(&self, console: &Console) -> Self {
        match &self.0 {
            Sink::Console => Self(Sink::Text(console.stderr.clone())),
            Sink::ConsoleOfStdout => Self(Sink::Text(console.stdout.clone())),
            _ => self.clone(),
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(self.0, Sink::Off)
    }

    /// Passes a line on. Sinks that show unfinished lines receive their text elsewhere.
    fn line(&self, host: &HostName, line: &[u8]) {
        match &self.0 {
            Sink::Callback(callback) | Sink::Paced(callback, _) => callback.call(host, line),
            Sink::Tracing => {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                tracing::info!(target: "chopsticks::stderr", host = %host, "{}", harmless_line(line));
            }
            Sink::TracingOfStdout => {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                tracing::info!(target: "chopsticks::stdout", host = %host, "{}", harmless_line(line));
            }
            // A console has become text.
            Sink::Console | Sink::ConsoleOfStdout | Sink::Off | Sink::Text(_) => {}
        }
    }

    /// Waits until the sink can accept more lines.
    async fn room(&self) {
        if let Sink::Paced(_, room) = &self.0 {
            room().await;
        }
    }
}

impl Callback {
    fn new(sink: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        Self { has_panicked: AtomicBool::new(false), sink: Box::new(sink) }
    }

    /// Calls the sink. A panic must not end the reading, because the host's next output would fail
    /// then.
    fn call(&self, host: &HostName, text: &[u8]) {
        let panicked = catch_unwind(AssertUnwindSafe(|| (self.sink)(host.as_str(), text))).is_err();
        if panicked && !self.has_panicked.swap(true, Ordering::Relaxed) {
            tracing::error!(target: "chopsticks::stderr", %host, "the callback for stderr panicked");
        }
    }
}

impl Text {
    fn new(joins_lines: bool, sink: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        let (callback, turn, hosts) = (Callback::new(sink), Arc::default(), AtomicUsize::new(0));
        Self { callback, turn, hosts, joins_lines }
    }
}

impl fmt::Debug for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Sink::Callback(_) => f.write_str("Stderr::callback(..)"),
            Sink::Console | Sink::ConsoleOfStdout => f.write_str("Stderr::console()"),
            Sink::Off => f.write_str("Stderr::off()"),
            Sink::Paced(..) => f.write_str("Stderr::paced(..)"),
            Sink::Text(_) => f.write_str("Stderr::writer(..)"),
            Sink::Tracing | Sink::TracingOfStdout => f.write_str("Stderr::tracing()"),
        }
    }
}

/// The last lines of an agent's stderr, and the progress of reading it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    lines: Arc<Mutex<VecDeque<Vec<u8>>>>,
    /// How often something was read. The number is odd while that is being passed on.
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

/// Text that is not passed on, or not yet.
#[derive(Default)]
pub(crate) struct Hush {
    /// Whether the messages of ssh about a refusal by a busy server are left out. The tunnel tries
    /// again, and the error contains them if that was in vain.
    pub(crate) refusals: bool,
    pub(crate) messages: Option<Messages>,
}

/// Messages before an agent answers, which the user may have switched off.
pub(crate) struct Messages {
    /// Completes, or is closed, when no more messages follow.
    pub(crate) answered: oneshot::Receiver<()>,
    /// Whether the user has switched them off. Polled only if there are messages.
    pub(crate) is_quiet: Pin<Box<dyn Future<Output = bool> + Send>>,
}

/// Reads `stderr` to its end and passes each line on.
pub(crate) async fn pump(
    mut stderr: impl AsyncRead + Unpin,
    host: HostName,
    sink: Stderr,
    tail: Tail,
    hush: Hush,
) {
    let mut text = Passing::new(host, sink, tail.clone(), hush);
    let mut buffer = vec![0; 8 << 10];
    loop {
        let count = tokio::select! {
            // What was said before an answer is read before that.
            biased;
            read = stderr.read(&mut buffer) => match read {
                Ok(count @ 1..) => count,
                // An error ends the stream as its end does: nobody could be told more.
                _ => break,
            },
            () = text.due() => 0,
        };
        tail.step();
        text.take(&buffer[..count]).await;
        tail.step();
        if count == buffer.len() && count < MAX_LINE_LEN {
            buffer.resize(MAX_LINE_LEN, 0);
        }
    }
    tail.step();
    text.end().await;
    tail.step();
}

/// Text in any pieces, which is passed on as lines.
pub(crate) struct Passing {
    lines: Lines,
    /// The beginning of a line.
    pending: Vec<u8>,
}

impl Passing {
    pub(crate) fn new(host: HostName, sink: Stderr, tail: Tail, hush: Hush) -> Self {
        Self { lines: Lines::new(host, sink, tail, hush), pending: Vec::new() }
    }

    /// Waits until [`take`](Self::take) has something to do without more text.
    pub(crate) async fn due(&mut self) {
        self.lines.due().await;
    }

    /// Passes on what `text` completes. Without text, what is due.
    pub(crate) async fn take(&mut self, text: &[u8]) {
        let Self { lines, pending } = self;
        if text.is_empty() {
            match lines.held {
                Some(_) => lines.let_go().await,
                None => lines.writer.unfinished(pending),
            }
        }
        for piece in text.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(line) if pending.is_empty() => lines.take(line),
                Some(line) => {
                    pending.extend_from_slice(line);
                    lines.take(pending);
                    pending.clear();
                }
                None => pending.extend_from_slice(piece),
            }
        }
        if pending.len() >= MAX_LINE_LEN {
            lines.take(pending);
            pending.clear();
        }
        lines.wait_for(pending);
        lines.writer.flush(&lines.host).await;
        lines.sink.room().await;
    }

    /// Passes on the rest.
    pub(crate) async fn end(&mut self) {
        self.lines.let_go().await;
        if !self.pending.is_empty() {
            self.lines.take(&self.pending);
            self.pending.clear();
        }
        self.lines.writer.flush(&self.lines.host).await;
    }
}

/// Whole lines on their way to their destination.
struct Lines {
    host: HostName,
    sink: Stderr,
    tail: Tail,
    leaves_out_refusals: bool,
    was_refused: bool,
    /// Lines that arrived before the agent's answer.
    held: Option<Held>,
    writer: Writer,
}

/// Lines that may be shown or not, which is not known yet.
struct Held {
    messages: Messages,
    lines: Vec<Vec<u8>>,
    len: usize,
}

impl Lines {
    fn new(host: HostName, sink: Stderr, tail: Tail, hush: Hush) -> Self {
        let writer = Writer::new(&sink);
        // Nobody needs to be asked about what goes nowhere.
        let messages = hush.messages.filter(|_| !matches!(sink.0, Sink::Off));
        let held = messages.map(|messages| Held { messages, lines: Vec::new(), len: 0 });
        Self { host, sink, tail, leaves_out_refusals: hush.refusals, was_refused: false, held, writer }
    }

    fn take(&mut self, line: &[u8]) {
        self.tail.push(line);
        if self.is_refusal(line) {
            self.writer.shown = 0;
            return;
        }
        match &mut self.held {
            Some(held) if held.len + line.len() <= MAX_HELD_LEN => {
                held.len += line.len() + 1;
                held.lines.push(line.to_vec());
            }
            // Nobody's message is as long.
            Some(_) => {
                self.show_held();
                self.show(line);
            }
            None => self.show(line),
        }
    }

    fn show(&mut self, line: &[u8]) {
        self.sink.line(&self.host, line);
        self.writer.line(line);
    }

    fn is_refusal(&mut self, line: &[u8]) -> bool {
        let (true, Ok(text)) = (self.leaves_out_refusals, std::str::from_utf8(line)) else { return false };
        let follows = ["Connection closed by ", "Connection reset by "];
        self.was_refused = hint::is_refusal_for_load(text)
            || self.was_refused && follows.iter().any(|beginning| text.starts_with(beginning));
        self.was_refused
    }

    /// Sets when the received part of a line is written.
    fn wait_for(&mut self, pending: &[u8]) {
        if self.held.is_none() {
            self.writer.wait_for(pending);
        }
    }

    /// Waits until it is known whether the held lines are shown, and after that until the beginning
    /// of a line is due.
    async fn due(&mut self) {
        match &mut self.held {
            // That nobody is left to tell is an answer too.
            Some(held) => drop((&mut held.messages.answered).await),
            None => self.writer.patience().await,
        }
    }

    /// Shows the held lines, unless the user has switched them off.
    async fn let_go(&mut self) {
        if let Some(held) = &mut self.held
            && (held.lines.is_empty() || held.messages.is_quiet.as_mut().await)
        {
            self.held = None;
        }
        self.show_held();
    }

    fn show_held(&mut self) {
        for line in self.held.take().map(|held| held.lines).unwrap_or_default() {
            self.show(&line);
        }
    }
}

/// The text of a host that is to be written, if the sink accepts text.
struct Writer {
    to: Option<Arc<Text>>,
    out: Vec<u8>,
    /// How much of the unfinished line has been written.
    shown: usize,
    /// When more of it is written.
    due: Option<Instant>,
}

impl Writer {
    fn new(sink: &Stderr) -> Self {
        let to = match &sink.0 {
            Sink::Text(text) => Some(text.clone()),
            _ => None,
        };
        if let Some(text) = &to {
            text.hosts.fetch_add(1, Ordering::Relaxed);
        }
        Self { to, out: Vec::new(), shown: 0, due: None }
    }

    /// Adds the rest of a line that has ended.
    fn line(&mut self, line: &[u8]) {
        if self.to.is_some() {
            self.out.extend_from_slice(&line[self.shown..]);
            self.out.push(b'\n');
        }
        self.shown = 0;
    }

    /// Sets when the received part of a line is written, unless the line ends before.
    fn wait_for(&mut self, pending: &[u8]) {
        let is_early = |text: &Arc<Text>| !text.joins_lines || text.hosts.load(Ordering::Relaxed) == 1;
        if shown_len(pending) <= self.shown || !self.to.as_ref().is_some_and(is_early) {
            self.due = None;
        } else {
            self.due.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
    }

    async fn patience(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Adds the received part of an unfinished line.
    fn unfinished(&mut self, pending: &[u8]) {
        let end = shown_len(pending).max(self.shown);
        self.out.extend_from_slice(&pending[self.shown..end]);
        (self.shown, self.due) = (end, None);
    }

    /// Writes, one host at a time.
    async fn flush(&mut self, host: &HostName) {
        let Some(to) = self.to.as_ref().filter(|_| !self.out.is_empty()) else { return };
        let (to, host, out) = (to.clone(), host.clone(), std::mem::take(&mut self.out));
        let turn = to.turn.clone().lock_owned().await;
        let write = move || {
            to.callback.call(&host, &out);
            drop(turn);
        };
        // Without a runtime, there is nobody to show it to.
        let _ = tokio::task::spawn_blocking(write).await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(text) = &self.to {
            text.hosts.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Waits until all output of a program that has ended is passed on.
///
/// The outputs of many hosts wait for each other if they share a console. A process that left our
/// reach may keep stderr open; its lines are not waited for.
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

/// Where the output of all hosts of a context is shown, by default the controller's own stderr.
pub(crate) struct Console {
    stderr: Arc<Text>,
    stdout: Arc<Text>,
}

impl Console {
    /// `joins_lines` says that lines of several hosts are written whole.
    pub(crate) fn new(writer: impl Write + Send + 'static, joins_lines: bool) -> Self {
        let shown = Arc::new(Mutex::new(Shown { screen: Screen::default(), writer }));
        let text = |mark: &'static str| {
            let shown = shown.clone();
            let sink = move |host: &str, text: &[u8]| {
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.push(host, mark, text);
            };
            Arc::new(Text::new(joins_lines, sink))
        };
        Self { stderr: text(""), stdout: text(" stdout") }
    }
}

/// What is on a console: lines of hosts and their streams.
struct Shown<W> {
    screen: Screen<(String, &'static str)>,
    writer: W,
}

impl<W: Write> Shown<W> {
    /// Writes text, with a mark behind the name of the host.
    fn push(&mut self, host: &str, mark: &'static str, text: &[u8]) {
        let mut out = Vec::with_capacity(text.len() + 64);
        self.screen.push(&(host.to_owned(), mark), &format!("[{host}{mark}]"), text, &mut out);
        // A console that is gone is no reason to fail a call.
        let _ = self.writer.write_all(&out).and_then(|()| self.writer.flush());
    }
}

/// How long to wait for the end of a line before its beginning is shown: less than people notice,
/// and more than a program needs to write a line in pieces.
const PATIENCE: Duration = Duration::from_millis(100);
/// A longer line is passed on in pieces, so that a program that never writes a newline needs
/// bounded memory.
const MAX_LINE_LEN: usize = 64 << 10;
/// How much is held back before the agent answers. Banners have a few lines.
const MAX_HELD_LEN: usize = 64 << 10;
/// Enough for a Python traceback of usual depth.
const TAIL_LINES: usize = 20;
const TAIL_LINE_LEN: usize = 1 << 10;
/// How long to wait for a console that does not accept output, or for a process that left our reach
/// and continues to write.
const DRAIN: Duration = Duration::from_secs(5);
/// After several such periods without output, no more output is expected. One is not enough if the
/// machine was busy.
const QUIET: Duration = Duration::from_millis(250);
const QUIET_TURNS: u32 = 2;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

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
        pump(input, "web1".parse().unwrap(), sink, tail.clone(), Hush { refusals: true, messages: None })
            .await;
        (Arc::try_unwrap(seen).unwrap().into_inner().unwrap(), tail.text())
    }

    #[tokio::test]
    async fn any_bytes_pass_and_a_partial_last_line_is_not_lost() {
        let (seen, tail) = lines(b"one\n\xff\xfe\n\npart").await;
        assert_eq!(seen, [b"one".to_vec(), b"\xff\xfe".to_vec(), b"".to_vec(), b"part".to_vec()]);
        assert_eq!(tail, "one\n\u{fffd}\u{fffd}\n\npart");
    }

    /// What a writer is given, piece by piece, of what is written with pauses.
    async fn pieces(joins_lines: bool, hosts: usize, parts: &[&'static [u8]]) -> Vec<String> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Stderr::writer(joins_lines, {
            let seen = seen.clone();
            move |_, text| seen.lock().unwrap().push(String::from_utf8(text.to_vec()).unwrap())
        });
        let others: Vec<_> = (1..hosts).map(|_| Writer::new(&sink)).collect();
        let (mut writer, reader) = tokio::io::duplex(1 << 10);
        let pumped =
            tokio::spawn(pump(reader, "web1".parse().unwrap(), sink, Tail::default(), Hush::default()));
        for part in parts {
            writer.write_all(part).await.unwrap();
            tokio::time::sleep(2 * PATIENCE).await;
        }
        drop(writer);
        pumped.await.unwrap();
        drop(others);
        Arc::try_unwrap(seen).unwrap().into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn line_that_does_not_end_is_written_as_it_comes() {
        let parts: [&[u8]; 5] = [b"one\nPass", b"word: ", b"\n", b"caf\xc3", b"\xa9\r"];
        let expected = ["one\n", "Pass", "word: ", "\n", "caf", "é", "\r\n"];
        assert_eq!(pieces(false, 2, &parts).await, expected);
        assert_eq!(pieces(true, 1, &parts).await, expected);
        // Lines of several hosts in a file.
        assert_eq!(pieces(true, 2, &parts).await, ["one\n", "Password: \n", "café\r\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_comes_step_by_step_and_the_end_of_a_line_in_one_piece() {
        let parts: [&[u8]; 4] = [b"\r10 %", b"\r20 %", b"\rdone\r", b"\nnext\r\n"];
        assert_eq!(pieces(false, 1, &parts).await, ["\r10 %", "\r20 %", "\rdone", "\r\nnext\r\n"]);
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
        pump(&b"one\nbad\nbad\ntwo\n"[..], host, sink, Tail::default(), Hush::default()).await;
        assert_eq!(*seen.lock().unwrap(), [b"one", b"two"]);
    }

    #[tokio::test(start_paused = true)]
    async fn sink_without_room_holds_up_the_program() {
        let (seen, room) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tokio::sync::Semaphore::new(0)));
        let sink = Stderr::paced(
            {
                let seen = seen.clone();
                move |_, line| seen.lock().unwrap().push(line.to_vec())
            },
            {
                let room = room.clone();
                move || {
                    let room = room.clone();
                    async move { room.acquire().await.unwrap().forget() }
                }
            },
        );
        let (mut writer, reader) = tokio::io::duplex(4);
        let pumped =
            tokio::spawn(pump(reader, "web1".parse().unwrap(), sink, Tail::default(), Hush::default()));
        writer.write_all(b"a\nb\n").await.unwrap();
        writer.write_all(b"c\nd\n").await.unwrap();
        // What has been read, and what the pipe holds.
        assert!(timeout(QUIET, writer.write_all(b"e\n")).await.is_err());
        assert_eq!(*seen.lock().unwrap(), [b"a", b"b"]);
        room.add_permits(10);
        writer.write_all(b"e\n").await.unwrap();
        drop(writer);
        pumped.await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [b"a", b"b", b"c", b"d", b"e"]);
    }

    #[tokio::test]
    async fn endless_line_comes_in_pieces() {
        let (seen, tail) = lines(Box::leak(vec![b'x'; 300 << 10].into_boxed_slice())).await;
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), 300 << 10);
        assert!(seen.iter().all(|piece| piece.len() <= 2 * MAX_LINE_LEN));
        assert!(tail.len() <= TAIL_LINES * (TAIL_LINE_LEN + 1));
    }

    /// What is shown of what comes before the agent answers, and the tail.
    async fn messages(is_quiet: bool, is_answered: bool) -> (Vec<String>, String) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Stderr::callback({
            let seen = seen.clone();
            move |_, line| seen.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap())
        });
        let (answer, answered) = oneshot::channel();
        let messages = Messages { answered, is_quiet: Box::pin(std::future::ready(is_quiet)) };
        let hush = Hush { refusals: true, messages: Some(messages) };
        let (mut writer, reader) = tokio::io::duplex(1 << 10);
        let tail = Tail::default();
        let pumped = tokio::spawn(pump(reader, "web1".parse().unwrap(), sink, tail.clone(), hush));
        writer.write_all(b"Warning: Permanently added 'web1'\nbanner\n").await.unwrap();
        if is_answered {
            answer.send(()).unwrap();
            tokio::time::sleep(PATIENCE).await;
            assert_eq!(seen.lock().unwrap().is_empty(), is_quiet);
            writer.write_all(b"user\n").await.unwrap();
        }
        drop(writer);
        pumped.await.unwrap();
        (Arc::try_unwrap(seen).unwrap().into_inner().unwrap(), tail.text())
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_user_does_not_want_to_see_is_kept_for_the_error_alone() {
        let said = "Warning: Permanently added 'web1'\nbanner";
        let both: Vec<_> = said.lines().map(str::to_owned).collect();
        assert_eq!(messages(true, false).await, (vec![], said.to_owned()));
        assert_eq!(messages(false, false).await, (both.clone(), said.to_owned()));
        assert_eq!(messages(true, true).await, (vec!["user".to_owned()], format!("{said}\nuser")));
        let all = both.into_iter().chain(["user".to_owned()]).collect();
        assert_eq!(messages(false, true).await, (all, format!("{said}\nuser")));
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
        let pumped = tokio::spawn(pump(reader, "web1".parse().unwrap(), sink, tail.clone(), Hush::default()));
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
