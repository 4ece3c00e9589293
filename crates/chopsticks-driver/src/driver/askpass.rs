//! Answers what `ssh` asks, by a program of ours that ssh runs for it: `SSH_ASKPASS`.
//!
//! The program is a small script for `sh`, in a folder that only the user may enter, with two named
//! pipes beside it. It passes the question to this process, and the answer to ssh. The secret is in
//! no file, no argument and no variable: it goes from this process through a pipe to `head`, whose
//! stdout is a pipe of ssh.
//!
//! Descriptors cannot be inherited, because ssh closes all of them when it starts. The program of this
//! process cannot be the helper, because it may be any program that uses this library. A socket would
//! need a program that can connect to it. ssh's own stdin is that of another ssh if it is started for
//! a jump host.
//!
//! The script opens its pipes in a way that never blocks. If this process is gone, it reads the end of
//! the pipe, and ends ssh, which would send an empty password otherwise.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::unix::pipe,
};

use crate::{
    dialogue::{Progress, Stage, let_others_try},
    driver::prompt::{Question, question},
    host::HostName,
    secret::{SecretKind, SecretRequest, Secrets, Try, shown},
};

/// The folder with the script and its pipes.
#[derive(Debug)]
pub(super) struct Askpass {
    folder: TempDir,
    questions: pipe::Receiver,
    /// Without it the pipe would end with each question.
    _asker: pipe::Sender,
    answers: pipe::Sender,
    /// Takes an answer back that was not read.
    unread: pipe::Receiver,
}

/// What is needed for answers.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) host: HostName,
    /// The process of the ssh that logs in to the host. Any other is one for a jump host.
    pub(super) pid: Option<u32>,
    pub(super) secrets: Secrets,
    pub(super) progress: Arc<Progress>,
}

/// A question of ssh.
#[derive(Debug)]
struct Asked {
    pid: u32,
    hint: String,
    prompt: String,
}

impl Askpass {
    /// Creates the folder.
    pub(super) async fn new() -> io::Result<Self> {
        // The folder for temporary files may be on a slow disk.
        let folder = tokio::task::spawn_blocking(create).await.map_err(io::Error::other)??;
        let open = |name| {
            let path = folder.path().join(name);
            let receiver = pipe::OpenOptions::new().open_receiver(&path)?;
            io::Result::Ok((receiver, pipe::OpenOptions::new().open_sender(&path)?))
        };
        let (questions, asker) = open(QUESTIONS)?;
        let (unread, answers) = open(ANSWERS)?;
        Ok(Self { folder, questions, _asker: asker, answers, unread })
    }

    /// Returns the program that ssh is to run.
    pub(super) fn program(&self) -> PathBuf {
        self.folder.path().join(SCRIPT)
    }

    /// Answers what ssh asks until it has logged in or ended.
    pub(super) async fn answer(self, login: Login) {
        let Self { folder, questions, _asker, mut answers, unread } = self;
        let mut questions = BufReader::new(questions);
        let mut stage = login.progress.stage();
        let mut tried: Option<Try> = None;
        let mut answered = HashSet::new();
        let end = loop {
            let asked = tokio::select! {
                biased;
                end = stage.wait_for(|stage| *stage != Stage::Begun) => {
                    break end.map_or(Stage::Ended, |stage| *stage);
                }
                asked = read(&mut questions) => asked,
                never = let_others_try(&mut tried) => match never {},
            };
            let Ok(asked) = asked else { break Stage::Ended };
            // What was not read must not be the answer to another question.
            let _ = unread.try_read(&mut [0; 4 << 10]);
            let verdict = tokio::select! {
                biased;
                _ = stage.wait_for(|stage| *stage != Stage::Begun) => continue,
                verdict = login.verdict(&asked, &mut answered, &mut tried) => verdict,
            };
            let line = match verdict {
                Verdict::Answer(line) => answers.write_all(&line).await,
                Verdict::No => answers.write_all(b"no\n").await,
                Verdict::End(message) => answers.write_all(format!("{message}\n").as_bytes()).await,
            };
            if line.is_err() {
                break Stage::Ended;
            }
        };
        drop(folder);
        let Some(tried) = tried else { return };
        match end {
            Stage::LoggedIn => tried.accept(),
            _ if login.progress.is_denied() => tried.reject(),
            _ => {}
        }
    }
}

/// What the script does.
enum Verdict {
    /// It passes the rest of the line on.
    Answer(zeroize::Zeroizing<Vec<u8>>),
    /// It refuses, and ssh goes on.
    No,
    /// It ends ssh.
    End(String),
}

impl Login {
    async fn verdict(
        &self,
        asked: &Asked,
        answered: &mut HashSet<(u32, SecretKind, String)>,
        tried: &mut Option<Try>,
    ) -> Verdict {
        let prompt = shown(&asked.prompt);
        let kind = match question(&asked.prompt, &asked.hint, self.pid == Some(asked.pid)) {
            Question::Confirmation => return Verdict::No,
            Question::Other => return Verdict::End(format!("ssh asks for something else: {prompt}")),
            Question::Secret(kind) => kind,
        };
        // A passphrase stays here, and each key may have its own. All else is one question, in whatever words it is
        // asked again.
        let words = if kind == SecretKind::Passphrase { prompt.clone() } else { String::new() };
        if !answered.insert((asked.pid, kind, words)) {
            if let Some(tried) = tried.take() {
                tried.reject();
            }
            return Verdict::End(format!("ssh asks again: the {} was refused", kind.name()));
        }
        let request = SecretRequest { host: self.host.clone(), kind, prompt };
        match self.secrets.find(&request).await {
            Ok(found) => {
                let line = found.line("answer\n");
                self.progress.note_if_denied(match kind {
                    SecretKind::Passphrase => {
                        "a passphrase was given: it is wrong, or the server refused its key"
                    }
                    _ => "the password was given, and refused",
                });
                if kind == SecretKind::Passphrase {
                    found.accept();
                } else if let Some(before) = tried.replace(found) {
                    // A jump host has let ssh through.
                    before.accept();
                }
                Verdict::Answer(line)
            }
            // ssh goes on without this key.
            Err(_) if kind == SecretKind::Passphrase => Verdict::No,
            Err(refusal) => Verdict::End(refusal.message(kind)),
        }
    }
}

async fn read(questions: &mut BufReader<pipe::Receiver>) -> io::Result<Asked> {
    let mut text = Vec::new();
    questions.take(MAX_QUESTION).read_until(0, &mut text).await?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.trim_end_matches('\0').splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default().to_owned();
    Ok(Asked { pid: next().parse().map_err(io::Error::other)?, hint: next(), prompt: next() })
}

fn create() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let folder = builder.prefix("chopsticks-").permissions(fs::Permissions::from_mode(0o700)).tempdir()?;
    for name in [QUESTIONS, ANSWERS] {
        make_pipe(&folder.path().join(name))?;
    }
    let script = folder.path().join(SCRIPT);
    let mut file = fs::File::options().write(true).create_new(true).mode(0o700).open(script)?;
    io::Write::write_all(&mut file, TEXT.as_bytes())?;
    Ok(folder)
}

#[cfg(not(target_vendor = "apple"))]
fn make_pipe(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, Mode, mkfifoat};
    Ok(mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

#[cfg(target_vendor = "apple")]
fn make_pipe(path: &Path) -> io::Result<()> {
    let status = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(path).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("mkfifo failed")) }
}

const SCRIPT: &str = "askpass";
const QUESTIONS: &str = "questions";
const ANSWERS: &str = "answers";
/// More than the script passes on.
const MAX_QUESTION: u64 = 16 << 10;

/// Descriptor 3 writes to the pipe of answers, so that opening it for reading does not wait. Once it is
/// closed, only the controller can write there. `read` takes single bytes from a pipe, and leaves the
/// secret to `head`: in a variable, it could become an argument of a `printf` that is not part of the
/// shell.
const TEXT: &str = r#"#!/bin/sh
# Passes a question of ssh to the program that has started ssh, and the answer back.
if [ "$SSH_ASKPASS_PROMPT" = none ]; then exit 0; fi
d=${0%/*}
exec 3<>"$d/answers" 4<"$d/answers" 3>&-
printf '%s\n%s\n%.1000s\000' "$PPID" "$SSH_ASKPASS_PROMPT" "$1" 1<>"$d/questions"
IFS= read -r verdict <&4 || { verdict='the controller has ended'; rm -rf "$d"; }
case $verdict in
answer) exec head -n 1 <&4 ;;
no) exit 1 ;;
esac
printf 'chopsticks: %s\n' "$verdict" >&2
kill "$PPID"
"#;
