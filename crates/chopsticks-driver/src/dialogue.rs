//! What is said over the pipes of a program before its agent runs: prompts, and the answers to them.
//!
//! sudo reads a password from stdin, where the agent gets its code. The agent's bytes are held back
//! until the agent reports on stderr that it runs. So a program that asks gets the secret and nothing
//! else, and one that does not ask gets nothing.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    sync::{mpsc, oneshot, watch},
};

use crate::{
    hint,
    host::HostName,
    process::{Link, LinkParts},
    secret::{Refusal, SecretKind, SecretRequest, Secrets, Try},
};

/// The texts by which the prompt of a program and the start of the agent are recognised. No host
/// knows them before the program is started.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    pub(crate) prompt: String,
    pub(crate) ready: String,
}

/// What is known about the start of a program.
#[derive(Debug)]
pub(crate) struct Progress {
    stage: watch::Sender<Stage>,
    /// The end of what was said on stderr.
    tail: Mutex<Vec<u8>>,
    /// Lines that are added to stderr when it ends before the agent runs.
    notes: Mutex<String>,
    /// Further ones for a login that is denied.
    notes_if_denied: Mutex<String>,
}

/// How far a program has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// It may ask for something.
    Begun,
    /// It has logged in: it writes to stdout, or what it runs asks for something.
    LoggedIn,
    /// Its stderr has ended, and it has not logged in.
    Ended,
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

impl Marks {
    pub(crate) fn new() -> Self {
        let nonce =
            || format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        Self {
            prompt: format!("chopsticks-asks-{}:", nonce()),
            ready: format!("chopsticks-runs-{};", nonce()),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Begun),
            tail: Mutex::default(),
            notes: Mutex::default(),
            notes_if_denied: Mutex::default(),
        }
    }
}

impl Progress {
    pub(crate) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Returns the end of what was said on stderr.
    pub(crate) fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&tail).into_owned()
    }

    /// Adds a line to stderr, for the case that the agent does not run.
    pub(crate) fn note(&self, message: &str) {
        add(&self.notes, message);
    }

    /// Adds a line to stderr, for the case that ssh reports that the login was denied.
    pub(crate) fn note_if_denied(&self, message: &str) {
        add(&self.notes_if_denied, message);
    }

    /// Returns whether ssh has reported that the server does not let the user in.
    pub(crate) fn is_denied(&self) -> bool {
        let tail = self.tail();
        DENIALS.iter().any(|text| tail.contains(text))
    }

    /// Takes the lines that are to be added.
    fn take_notes(&self) -> String {
        let take = |notes: &Mutex<String>| {
            std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let mut notes = take(&self.notes);
        if self.is_denied() {
            notes.push_str(&take(&self.notes_if_denied));
        }
        let is_within_line =
            self.tail.lock().is_ok_and(|tail| tail.last().is_some_and(|byte| *byte != b'\n'));
        if is_within_line && !notes.is_empty() {
            notes.insert(0, '\n');
        }
        notes
    }

    /// Forgets what was said on stderr.
    fn forget(&self) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn reach(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let is_new = *current == Stage::Begun;
            if is_new {
                *current = stage;
            }
            is_new
        });
    }

    fn heard(&self, text: &[u8]) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(text);
        let surplus = tail.len().saturating_sub(TAIL_LEN);
        tail.drain(..surplus);
    }
}

/// Follows what the program of a link says until its agent runs.
pub(crate) fn follow(link: Link, progress: &Arc<Progress>) -> Link {
    let LinkParts { stdin, stdout, stderr, process, clean_up, .. } = link.into_parts();
    let stdout = Watched { inner: stdout, progress: Some(progress.clone()) };
    let stderr = Heard::new(stderr, progress.clone(), None);
    Link::of_parts(stdin, Box::new(stdout), Box::new(stderr), process, clean_up)
}

/// Answers the prompt of a program that reads a secret from stdin, and holds the agent's bytes back
/// until the agent runs.
pub(crate) fn answer(
    link: Link,
    host: HostName,
    secrets: Secrets,
    marks: Marks,
    progress: &Arc<Progress>,
) -> Link {
    let LinkParts { stdin, stdout, stderr, process, clean_up, .. } = link.into_parts();
    let (heard, hearing) = mpsc::channel(MAX_MARKS);
    let (release, released) = oneshot::channel();
    let scanner = Scanner::new(marks, heard);
    let talk = Talk { host, secrets, progress: progress.clone(), hearing, stdin, release };
    // It ends when stderr is dropped.
    tokio::spawn(talk.hold());
    let stdout = Watched { inner: stdout, progress: Some(progress.clone()) };
    let stderr = Heard::new(stderr, progress.clone(), Some(scanner));
    let stdin = Gate::Held(released);
    Link::of_parts(Box::new(stdin), Box::new(stdout), Box::new(stderr), process, clean_up)
}

/// Something that was recognised on stderr.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mark {
    Prompt,
    Ready,
}

/// Owns stdin until the agent runs.
struct Talk {
    host: HostName,
    secrets: Secrets,
    progress: Arc<Progress>,
    hearing: mpsc::Receiver<Mark>,
    stdin: Writer,
    release: oneshot::Sender<Writer>,
}

impl Talk {
    /// Answers the first prompt, and hands stdin over to the agent. Stdin is closed if there is no
    /// answer or another prompt, so that the program gives up.
    async fn hold(mut self) {
        let mut tried: Option<Try> = None;
        let mut is_closed = false;
        loop {
            let mark = tokio::select! {
                biased;
                mark = self.hearing.recv() => mark,
                // The connection ends, and stderr says why.
                () = self.release.closed(), if !is_closed => {
                    is_closed = true;
                    self.stdin = Box::new(tokio::io::sink());
                    continue;
                }
                never = let_others_try(&mut tried) => match never {},
            };
            match (mark, tried.take()) {
                (Some(Mark::Prompt), None) => match self.secret().await {
                    Ok(found) => {
                        self.progress.forget();
                        if self.stdin.write_all(&found.line("")).await.is_err()
                            || self.stdin.flush().await.is_err()
                        {
                            return;
                        }
                        tried = Some(found);
                    }
                    Err(refusal) => return self.progress.note(&refusal.message(SecretKind::Sudo)),
                },
                (Some(Mark::Prompt), Some(refused)) => {
                    refused.reject();
                    return self.progress.note("sudo asks again: the password was refused");
                }
                (Some(Mark::Ready), tried) => {
                    if let Some(tried) = tried {
                        tried.accept();
                    }
                    // If the connection has ended, so does stdin.
                    let _ = self.release.send(self.stdin);
                    return;
                }
                (None, tried) => {
                    // What was said since is about the password, unless something else is known to have gone wrong.
                    let said = self.progress.tail();
                    if let Some(refused) = tried
                        && !said.trim().is_empty()
                        && !hint::has_other_cause_than_password(&said)
                    {
                        refused.reject();
                    }
                    return;
                }
            }
        }
    }

    async fn secret(&mut self) -> Result<Try, Refusal> {
        let host = self.host.clone();
        let prompt = format!("password of sudo on {host}");
        let request = SecretRequest { host, kind: SecretKind::Sudo, prompt };
        tokio::select! {
            found = self.secrets.find(&request) => found,
            () = self.release.closed() => Err(Refusal::Missing),
        }
    }
}

/// Never completes.
pub(crate) async fn let_others_try(tried: &mut Option<Try>) -> std::convert::Infallible {
    match tried {
        Some(tried) => tried.let_others_try().await,
        None => std::future::pending().await,
    }
}

/// The stdin of an agent.
enum Gate {
    Held(oneshot::Receiver<Writer>),
    Open(Writer),
    Closed,
}

impl Gate {
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&mut Writer>> {
        if let Self::Held(released) = self {
            *self = match ready!(Pin::new(released).poll(context)) {
                Ok(stdin) => Self::Open(stdin),
                Err(_) => Self::Closed,
            };
        }
        match self {
            Self::Open(stdin) => Poll::Ready(Ok(stdin)),
            Self::Held(_) | Self::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(ready!(self.poll_open(context))?).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Open(stdin) => Pin::new(stdin).poll_flush(context),
            // Nothing was written.
            Self::Held(_) | Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Open(stdin) => Pin::new(stdin).poll_shutdown(context),
            Self::Held(_) | Self::Closed => {
                *self = Self::Closed;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(ready!(self.poll_open(context))?).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// A stdout that notes its first bytes: what writes there has logged in.
struct Watched {
    inner: Reader,
    progress: Option<Arc<Progress>>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if buffer.filled().len() > before
            && let Some(progress) = self.progress.take()
        {
            progress.reach(Stage::LoggedIn);
        }
        Poll::Ready(Ok(()))
    }
}

/// A stderr without the marks.
struct Heard {
    inner: Reader,
    progress: Arc<Progress>,
    scanner: Option<Scanner>,
    /// Text that was not read yet, and how much of it was.
    text: Vec<u8>,
    read: usize,
    /// Whether the agent runs, or everything was said.
    is_over: bool,
}

impl Heard {
    fn new(inner: Reader, progress: Arc<Progress>, scanner: Option<Scanner>) -> Self {
        Self { inner, progress, scanner, text: Vec::new(), read: 0, is_over: false }
    }

    fn take(&mut self, bytes: &[u8]) {
        let begin = self.text.len();
        match &mut self.scanner {
            Some(scanner) => scanner.push(bytes, &mut self.text, &self.progress),
            None => self.text.extend_from_slice(bytes),
        }
        self.progress.heard(&self.text[begin..]);
        self.is_over = match &self.scanner {
            Some(scanner) => scanner.is_ready,
            None => *self.progress.stage.borrow() == Stage::LoggedIn,
        };
        if self.is_over {
            self.scanner = None;
        }
    }

    /// Adds what there is to say about a program that has ended before its agent ran.
    fn end(&mut self) {
        if let Some(scanner) = &mut self.scanner {
            let begin = self.text.len();
            self.text.append(&mut scanner.carry);
            self.progress.heard(&self.text[begin..]);
        }
        if *self.progress.stage.borrow() != Stage::LoggedIn || self.scanner.is_some() {
            self.text.extend_from_slice(self.progress.take_notes().as_bytes());
        }
        self.scanner = None;
        self.is_over = true;
        self.progress.reach(Stage::Ended);
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.read < self.text.len() {
                let count = buffer.remaining().min(self.text.len() - self.read);
                buffer.put_slice(&self.text[self.read..self.read + count]);
                self.read += count;
                return Poll::Ready(Ok(()));
            }
            self.text.clear();
            self.read = 0;
            if self.is_over {
                return Pin::new(&mut self.inner).poll_read(context, buffer);
            }
            let mut chunk = [0; CHUNK_LEN];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut chunk))?;
            match chunk.filled() {
                [] => self.end(),
                bytes => self.take(bytes),
            }
        }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.progress.reach(Stage::Ended);
    }
}

/// Looks for the marks in a text that arrives in any pieces.
struct Scanner {
    marks: Marks,
    heard: mpsc::Sender<Mark>,
    /// What may be the beginning of a mark.
    carry: Vec<u8>,
    is_ready: bool,
}

impl Scanner {
    fn new(marks: Marks, heard: mpsc::Sender<Mark>) -> Self {
        Self { marks, heard, carry: Vec::new(), is_ready: false }
    }

    /// Adds what is not part of a mark to `out`.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>, progress: &Progress) {
        let mut text = std::mem::take(&mut self.carry);
        text.extend_from_slice(bytes);
        let mut rest = &text[..];
        while !self.is_ready {
            let prompt = find(rest, self.marks.prompt.as_bytes()).map(|at| (at, Mark::Prompt));
            let ready = find(rest, self.marks.ready.as_bytes()).map(|at| (at, Mark::Ready));
            let Some((at, mark)) = prompt.into_iter().chain(ready).min_by_key(|(at, _)| *at) else { break };
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + self.len(mark)..];
            self.is_ready = mark == Mark::Ready;
            progress.reach(Stage::LoggedIn);
            // A second prompt already ends the dialogue, so that further ones have no effect.
            let _ = self.heard.try_send(mark);
        }
        let kept = if self.is_ready { 0 } else { self.begun(rest) };
        out.extend_from_slice(&rest[..rest.len() - kept]);
        self.carry = rest[rest.len() - kept..].to_vec();
    }

    fn len(&self, mark: Mark) -> usize {
        match mark {
            Mark::Prompt => self.marks.prompt.len(),
            Mark::Ready => self.marks.ready.len(),
        }
    }

    /// Returns the length of the longest end of `text` that a mark begins with.
    fn begun(&self, text: &[u8]) -> usize {
        let marks = [self.marks.prompt.as_bytes(), self.marks.ready.as_bytes()];
        let is_begun = |len: &usize| marks.iter().any(|mark| mark.starts_with(&text[text.len() - len..]));
        let longest = marks[0].len().max(marks[1].len()) - 1;
        (1..=longest.min(text.len())).rev().find(is_begun).unwrap_or_default()
    }
}

fn add(notes: &Mutex<String>, message: &str) {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    notes.push_str("chopsticks: ");
    notes.push_str(message);
    notes.push('\n');
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// What ssh prints when no method of authentication is left.
const DENIALS: [&str; 2] = ["Permission denied (", "Too many authentication failures"];
const CHUNK_LEN: usize = 4 << 10;
/// Errors are explained by the last lines.
const TAIL_LEN: usize = 8 << 10;
/// A prompt, another one, and the start of the agent. More have no effect.
const MAX_MARKS: usize = 4;

#[cfg(test)]
mod tests;
