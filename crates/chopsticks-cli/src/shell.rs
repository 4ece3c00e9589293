//! `chopsticks shell`: a Python prompt on many targets at once.

use std::{
    env, fs,
    io::{self, IsTerminal as _, Read as _},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use chopsticks::{
    Call, Codebase, Error, Failure as Unfinished, Function, Group, HostName, Stdout, Target, Tunnel,
    TunnelConfig, text::harmless,
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::runtime;

use crate::{
    args::{self, ShellArgs},
    bars::Bars,
    fleet::{CLOSED_STDOUT, FAILED, lock, log},
    output::Output,
    shell::{editor::Editor, fold::Folded},
    signals::{Signal, Signals},
};

mod editor;
mod fold;

/// Opens the session.
pub(crate) fn run(args: ShellArgs) -> ExitCode {
    let chosen = args::checked("shell", || args.check());
    args.color.apply();
    log(args.verbose, Bars::none());
    let mut output = Output::human().labelling(chosen.targets.iter().map(Target::host));
    chosen.warnings.iter().for_each(|warning| output.caution(warning));
    let output = Arc::new(Mutex::new(output));
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            lock(&output).complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let is_prompt = io::stdin().is_terminal();
    let ShellArgs { code, shown, agent, retry, timeout, max_result, history, .. } = args;
    let targets = agent.with_python(chosen.targets);
    let config = TunnelConfig::default().call_timeout(timeout).max_result_len(max_result);
    let config = retry.configure(agent.configure(config));
    let config = code.configure_with(Codebase::default(), config);
    let is_quiet = shown.quiet;
    let config = shown.configure(config, &output, !io::stderr().is_terminal());
    // What one target prints is shown at once, as it is. That of several is folded.
    let config = match targets.len() == 1 && !is_quiet {
        true => {
            let output = Arc::downgrade(&output);
            config.stdout(Stdout::writer(false, move |_: &str, text: &[u8]| {
                if let Some(output) = output.upgrade() {
                    // If it cannot be written, the next answer cannot either.
                    let _ = lock(&output).write(&harmless(text));
                }
            }))
        }
        false => config,
    };
    let tunnels = Target::tunnels(&targets, &config);
    let code = runtime.block_on(async {
        let group = Group::new(tunnels).expect("the names of targets were checked");
        let total = group.len();
        let mut session =
            Session { output, group: group.clone(), sessions: vec![None; total], total, has_failed: false };
        let ended = match is_prompt {
            true => session.prompt(history).await,
            false => session.script().await,
        };
        group.close().await;
        match ended {
            Ok(()) if !is_prompt && session.has_failed => FAILED,
            Ok(()) => 0,
            Err(End::Signal(signal)) => signal.exit_code(),
            Err(End::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => CLOSED_STDOUT,
            Err(End::Output(error)) => {
                lock(&session.output).complain(&format!("cannot write: {error}"));
                FAILED
            }
            Err(End::AllLost) => FAILED,
        }
    });
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Why a session ends early.
#[derive(Debug)]
enum End {
    /// All targets are lost.
    AllLost,
    Output(io::Error),
    Signal(Signal),
}

struct Session {
    output: Arc<Mutex<Output>>,
    /// The targets that are left.
    group: Group,
    /// What identifies the session on each target, in the order of the group.
    sessions: Vec<Option<String>>,
    total: usize,
    has_failed: bool,
}

/// The answer of a target to a block.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
struct Evaluated {
    session: String,
    printed: String,
    value: String,
    error: Option<String>,
}

/// A script in blocks.
#[derive(Debug, Deserialize)]
struct Script {
    blocks: Vec<String>,
    error: Option<String>,
}

/// What came of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Came {
    Failed,
    Interrupted,
    Ok,
}

impl Session {
    /// Reads blocks from a terminal until it ends.
    async fn prompt(&mut self, history: Option<PathBuf>) -> Result<(), End> {
        // The editor takes SIGINT over when it is opened, so the handler of this program comes second.
        let mut editor = match Editor::open(history.or_else(default_history)) {
            Ok(editor) => editor,
            Err(error) => {
                lock(&self.output).complain(&format!("cannot edit lines: {error}"));
                return Err(End::AllLost);
            }
        };
        let mut signals = Signals::new().map_err(End::Output)?;
        self.connect(&mut signals).await?;
        loop {
            let Some(block) = self.read_block(&mut editor, &mut signals).await? else { return Ok(()) };
            match block.trim() {
                "" => continue,
                "exit" | "exit()" | "quit" | "quit()" => return Ok(()),
                _ => {}
            }
            self.evaluate(&block, &mut signals).await?;
        }
    }

    /// Reads lines until they are a block. Returns `None` at the end of the input.
    async fn read_block(
        &mut self,
        editor: &mut Editor,
        signals: &mut Signals,
    ) -> Result<Option<String>, End> {
        let mut block = String::new();
        loop {
            let hosts = self.group.len();
            let prompt = match (block.is_empty(), hosts) {
                (true, 1) => ">>> ".to_owned(),
                (true, hosts) => format!("{hosts}>>> "),
                (false, 1) => "... ".to_owned(),
                (false, hosts) => format!("{:.<width$}... ", "", width = hosts.to_string().len()),
            };
            let first = self.first();
            let line = tokio::select! {
                line = editor.read(prompt, async |text| completions(&first, &text).await) => line,
                signal = signals.next() => match signal {
                    Signal::Interrupt => editor::Line::Interrupted,
                    signal @ Signal::Terminate => return Err(End::Signal(signal)),
                },
            };
            match line {
                editor::Line::End => return Ok(None),
                editor::Line::Interrupted => block.clear(),
                editor::Line::Text(line) => {
                    block.push_str(&line);
                    block.push('\n');
                    // Without the last newline, as Python's own prompt asks.
                    let source = block.strip_suffix('\n').unwrap_or(&block).to_owned();
                    let asked = self.ask::<bool>("is_complete", source, signals).await?;
                    match asked {
                        Some(false) => {}
                        Some(true) => {
                            editor.remember(block.trim_end());
                            return Ok(Some(block));
                        }
                        None => block.clear(),
                    }
                }
            }
        }
    }

    /// Runs all of stdin, one statement after the other. Stops at the first that fails on a target.
    async fn script(&mut self) -> Result<(), End> {
        let mut signals = Signals::new().map_err(End::Output)?;
        let mut text = String::new();
        if let Err(error) = io::stdin().lock().read_to_string(&mut text) {
            lock(&self.output).complain(&format!("cannot read stdin: {error}"));
            self.has_failed = true;
            return Ok(());
        }
        self.connect(&mut signals).await?;
        let Some(Script { blocks, error }) = self.ask("split", text, &mut signals).await? else {
            self.has_failed = true;
            return Ok(());
        };
        if let Some(error) = error {
            lock(&self.output).tell_failure(&error);
            self.has_failed = true;
            return Ok(());
        }
        for block in blocks {
            match self.evaluate(&block, &mut signals).await? {
                Came::Ok => {}
                Came::Failed => {
                    self.has_failed = true;
                    return Ok(());
                }
                Came::Interrupted => return Err(End::Signal(Signal::Interrupt)),
            }
        }
        Ok(())
    }

    /// Connects all targets, and leaves out those that cannot be reached.
    async fn connect(&mut self, signals: &mut Signals) -> Result<(), End> {
        let call = Call::new(function("complete")).arg("");
        let group = self.group.clone();
        tokio::select! {
            result = group.call_with(call) => {
                let failures: Vec<_> = result.failures().map(|(host, failure)| (host.clone(), describe(failure))).collect();
                self.has_failed |= !failures.is_empty();
                for (host, why) in failures {
                    self.leave_out(&host, &why);
                }
            }
            signal = signals.next() => return Err(End::Signal(signal)),
        }
        self.someone()
    }

    fn someone(&self) -> Result<(), End> {
        if self.group.is_empty() { Err(End::AllLost) } else { Ok(()) }
    }

    fn first(&self) -> Option<Tunnel> {
        self.group.tunnels().next().cloned()
    }

    /// Asks one target about a text: the first one that is left.
    async fn ask<T: DeserializeOwned>(
        &mut self,
        name: &str,
        text: String,
        signals: &mut Signals,
    ) -> Result<Option<T>, End> {
        loop {
            let Some(tunnel) = self.first() else { return Err(End::AllLost) };
            let answer = tokio::select! {
                answer = tunnel.call::<T>(function(name), (text.clone(),)) => answer,
                signal = signals.next() => match signal {
                    Signal::Interrupt => return Ok(None),
                    signal @ Signal::Terminate => return Err(End::Signal(signal)),
                },
            };
            match answer {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) if is_lost(&error) => self.leave_out(tunnel.host(), &error.report()),
                Err(error) => {
                    lock(&self.output).tell_failure(&error.report());
                    return Ok(None);
                }
            }
        }
    }

    /// Runs a block on all targets, and shows what came of it. Ctrl-C cancels it.
    async fn evaluate(&mut self, block: &str, signals: &mut Signals) -> Result<Came, End> {
        let captures = self.total > 1;
        let call = Call::new(function("evaluate")).arg(block).arg(captures);
        let group = self.group.clone();
        let result = tokio::select! {
            biased;
            result = group.call_with(call) => result,
            signal = signals.next() => match signal {
                Signal::Interrupt => {
                    lock(&self.output).tell_failure("interrupted");
                    return Ok(Came::Interrupted);
                }
                signal @ Signal::Terminate => return Err(End::Signal(signal)),
            },
        };
        let mut came = Came::Ok;
        let mut folded = Folded::default();
        let (mut lost, mut others) = (Vec::new(), Vec::new());
        for (place, (host, outcome)) in result.into_iter().enumerate() {
            let evaluated =
                outcome.and_then(|reply| reply.decode::<Evaluated>().map_err(Unfinished::Operation));
            match evaluated {
                Ok(evaluated) => {
                    let known = self.sessions[place].get_or_insert_with(|| evaluated.session.clone());
                    if *known != evaluated.session {
                        *known = evaluated.session.clone();
                        let what =
                            format!("{host}: the connection was lost meanwhile: all names are gone there");
                        lock(&self.output).caution(&what);
                    }
                    if evaluated.error.is_some() {
                        came = Came::Failed;
                    }
                    folded.add(host.as_str(), evaluated);
                }
                Err(Unfinished::Operation(error)) if is_lost(&error) => lost.push((host, error.report())),
                Err(failure) => others.push(describe(&failure)),
            }
        }
        let text = folded.text(self.total > 1);
        let output = self.output.clone();
        let written = {
            let mut output = lock(&output);
            let written = output.write(&text.stdout);
            text.stderr.lines().for_each(|line| output.tell_failure(line));
            others.iter().for_each(|other| output.tell_failure(other));
            written
        };
        written.map_err(End::Output)?;
        if !lost.is_empty() || !others.is_empty() {
            came = Came::Failed;
        }
        for (host, why) in lost {
            self.leave_out(&host, &why);
        }
        self.someone()?;
        Ok(came)
    }

    /// Names a target that was lost, and goes on without it.
    fn leave_out(&mut self, host: &HostName, why: &str) {
        let hosts: Vec<_> = self.group.hosts().cloned().collect();
        if let Some(place) = hosts.iter().position(|name| name == host) {
            self.sessions.remove(place);
        }
        self.group = self.group.retain(|tunnel| tunnel.host() != host);
        let left = self.group.len();
        let what = format!("{why}; left out, {left} of {} left", self.total);
        lock(&self.output).tell_failure(&what);
        self.has_failed = true;
    }
}

/// Returns a function of the module that evaluates on targets. Its state lasts as long as the
/// connection.
fn function(name: &str) -> Function {
    Function::source(FAR, name).file("chopsticks/shell.py")
}

/// Returns the names that begin so on a target.
async fn completions(tunnel: &Option<Tunnel>, text: &str) -> Vec<String> {
    match tunnel {
        Some(tunnel) => tunnel.call(function("complete"), (text,)).await.unwrap_or_default(),
        None => Vec::new(),
    }
}

fn is_lost(error: &Error) -> bool {
    error.is_disconnected() || !error.has_begun()
}

fn describe(failure: &Unfinished<Error>) -> String {
    match failure {
        Unfinished::Operation(error) => error.report(),
        other => other.to_string(),
    }
}

/// Returns the file for lines that were typed: it is created with its folder.
fn default_history() -> Option<PathBuf> {
    let folder = match env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(folder) => folder,
        None => env::home_dir()?.join(".local/state"),
    };
    let folder = folder.join("chopsticks");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("shell-history"))
}

/// Makes text of a host safe to show.
fn shown(text: &str) -> String {
    harmless(text).into_owned()
}

const FAR: &str = include_str!("shell/far.py");
