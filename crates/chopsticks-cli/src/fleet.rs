//! The common part of all verbs: an operation on all targets at once, until it is done, a signal
//! arrives or stdout is closed.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chopsticks::{Error, HostName, Limits, Logging, Phase, Stderr, Stdout, Target, Tunnel, TunnelConfig};
use tokio::{
    runtime,
    task::{self, JoinSet},
};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    again::{Again, Late},
    answer::Answer,
    answer::Shown,
    args::{FleetArgs, GroupArgs, ShownArgs},
    bars::Bars,
    outcome::{Failure, Outcome},
    output::{Output, Show, Stream, Tally},
    render::Renderer,
    signals::{Signal, Signals},
    target::Chosen,
    work::{Ended, Work, resume},
};

pub(crate) use crate::work::Stopped;

/// The targets, and how their outcomes are reported.
pub(crate) struct Fleet {
    targets: Vec<Target>,
    /// What may be a mistake.
    warnings: Vec<String>,
    config: TunnelConfig,
    limits: Limits,
    output: Output,
    renderer: Renderer,
    /// The phase once a target is connected.
    phase: Phase,
    /// The file for targets that fail.
    failed: Option<PathBuf>,
    /// Whether the exit status is that of the single target's program.
    passes_status_on: bool,
    verbose: u8,
    shown: ShownArgs,
    again: Again,
}

/// Writes the output of a job before its end.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    output: Arc<Mutex<Output>>,
    /// The place of the target among all; none for what tells of all of them.
    index: Option<usize>,
}

impl Fleet {
    /// Creates a fleet from targets that were checked.
    pub(crate) fn new(args: FleetArgs, chosen: Chosen) -> Self {
        let targets = args.agent.with_python(chosen.targets);
        let config = TunnelConfig::default().call_timeout(args.timeout).max_result_len(args.max_result);
        let config = args.retry.connect.configure(args.agent.configure(config));
        args.group.color.apply();
        let GroupArgs { fold, ordered, sort, diff_outputs, .. } = args.group;
        Self {
            again: Again::new(&args.retry, args.timeout),
            targets,
            warnings: chosen.warnings,
            config,
            limits: args.group.limits(),
            renderer: Renderer::new(args.json, args.timeout, args.max_result),
            output: match (args.json, fold, diff_outputs) {
                (true, ..) => Output::json(),
                (false, false, false) => Output::human(),
                (false, true, false) => Output::folded(),
                (false, _, true) => Output::compared(),
            }
            .ordered((ordered || sort) && (args.json || !(fold || diff_outputs)))
            .with_summary(if args.group.summary { Show::Always } else { Show::ManyAndFailed }),
            phase: Phase::Call,
            failed: args.group.failed,
            passes_status_on: false,
            verbose: args.verbose,
            shown: ShownArgs::default(),
        }
    }

    /// Sets which output of functions is shown, apart from their results.
    pub(crate) fn showing(self, shown: ShownArgs) -> Self {
        Self { shown, ..self }
    }

    /// Changes the configuration of all tunnels.
    pub(crate) fn with_config(self, change: impl FnOnce(TunnelConfig) -> TunnelConfig) -> Self {
        Self { config: change(self.config), ..self }
    }

    /// Makes the exit status that of the single target's program, as `ssh` does.
    pub(crate) fn passing_status_on(self) -> Self {
        Self { passes_status_on: true, ..self }
    }

    /// Shows only the output of the single target's program, and errors.
    pub(crate) fn raw(self, is_raw: bool) -> Self {
        Self { output: self.output.raw(is_raw), ..self }
    }

    /// Makes this a fleet of transfers, and draws the progress of the targets, unless the output is
    /// for programs.
    pub(crate) fn transferring(self, bars: Bars) -> Self {
        Self { output: self.output.with_bars(bars), phase: Phase::Transfer, ..self }
    }

    /// Runs `job` on all targets, prints the outcomes, and returns the exit status.
    pub(crate) fn run<F>(self, job: impl Fn(Tunnel, Printer) -> F + Send + Sync + 'static) -> ExitCode
    where
        F: Future<Output = Result<Answer, Stopped>> + Send + 'static,
    {
        let hosts = self.targets.iter().map(Target::host);
        let mut output = self.output.labelling(hosts).counting(self.targets.len());
        self.warnings.iter().for_each(|warning| output.caution(warning));
        let bars = output.bars().clone();
        // Lines that have not ended would be taken away with what is drawn behind them.
        let joins_lines = bars.are_drawn() || !io::stderr().is_terminal();
        log(self.verbose, bars.clone());
        let output = Arc::new(Mutex::new(output));
        let renderer = self.renderer;
        let (job, again) = (Arc::new(job), self.again);
        let job = move |tunnel: Tunnel, printer: Printer| {
            let (begun, renderer, job, again) =
                (Instant::now(), renderer.clone(), job.clone(), again.clone());
            bars.begin(tunnel.host());
            async move {
                let attempts = again.run(|| job(tunnel.clone(), printer.clone()), is_final);
                let late = |Late { timeout, failed }| Stopped::Failure(Failure::late(timeout, failed));
                let answer = attempts.await.map_err(late)??;
                renderer.render(answer, begun).await
            }
        };
        // One thread is enough for any number of pipes, and the fastest to start.
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                lock(&output).complain(&format!("cannot start: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let config = self.shown.configure(self.config, &output, joins_lines);
        let tunnels = Target::tunnels(&self.targets, &config);
        let code = runtime.block_on(async {
            let printer = Printer { output: output.clone(), index: None };
            let mut jobs = Jobs::begin(tunnels, self.limits, self.phase, printer, job);
            if self.passes_status_on {
                jobs.status = Some(NO_STATUS);
            }
            jobs.finish(&output, self.failed.as_deref(), &self.targets).await
        });
        // A thread may still wait for a stdout that nobody reads.
        runtime.shutdown_background();
        ExitCode::from(code)
    }
}

impl ShownArgs {
    /// Shows what targets write to stderr, print and log, as the options say.
    pub(crate) fn configure(
        &self,
        config: TunnelConfig,
        output: &Arc<Mutex<Output>>,
        joins_lines: bool,
    ) -> TunnelConfig {
        let show = |stream| {
            let output = Arc::downgrade(output);
            move |host: &str, text: &[u8]| {
                if let Some(output) = output.upgrade() {
                    // If it cannot be written, there is no place to report that.
                    let _ = lock(&output).text(None, &HostName::lossy(host), stream, text);
                }
            }
        };
        let config = match self.quiet {
            true => config.stderr(Stderr::off()).stdout(Stdout::off()),
            false => config
                .stderr(Stderr::writer(joins_lines, show(Stream::Stderr)))
                .stdout(Stdout::writer(joins_lines, show(Stream::Printed))),
        };
        let Some(level) = self.log_level else { return config };
        let show = show(Stream::Stderr);
        config.logging(Logging::callback(level, move |record| {
            // Those of an inner host have its name behind that of its target, as its stderr does.
            let inner = record.hosts().iter().skip(1).map(|host| format!("[{host}] ")).collect::<String>();
            show(&record.hosts()[0], format!("{inner}{record}\n").as_bytes());
        }))
    }
}

/// Why the program stopped waiting for the jobs.
#[derive(Debug)]
enum Stop {
    Output(io::Error),
    Signal(Signal),
}

/// The running jobs, and the tunnels that are being closed.
struct Jobs {
    printer: Printer,
    phase: Phase,
    tunnels: Vec<Tunnel>,
    begun: Instant,
    under_way: Work,
    progress: Vec<Progress>,
    /// The exit status, if it is that of a program.
    status: Option<u8>,
    closing: JoinSet<Result<(), Error>>,
}

/// The progress of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    Failed,
    Succeeded,
    Unfinished,
}

impl Jobs {
    /// Begins the jobs, within the limits.
    fn begin<F>(
        tunnels: Vec<Tunnel>,
        limits: Limits,
        phase: Phase,
        printer: Printer,
        job: impl Fn(Tunnel, Printer) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Answer<Shown>, Stopped>> + Send + 'static,
    {
        let output = printer.output.clone();
        let each = move |index| Printer { output: output.clone(), index: Some(index) };
        let under_way = Work::begin(&tunnels, limits, move |index, tunnel| job(tunnel, each(index)));
        let progress = vec![Progress::Unfinished; tunnels.len()];
        let (begun, closing) = (Instant::now(), JoinSet::new());
        Self { printer, phase, tunnels, begun, under_way, progress, status: None, closing }
    }

    /// Waits until all jobs are done, a signal arrives or stdout is closed. Then closes all
    /// tunnels. Returns the exit status.
    async fn finish(mut self, output: &Mutex<Output>, failed: Option<&Path>, targets: &[Target]) -> u8 {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                lock(output).complain(&format!("cannot wait for signals: {error}"));
                return FAILED;
            }
        };
        let stopped = tokio::select! {
            biased;
            printed = self.print_all() => printed.err().map(Stop::Output),
            signal = signals.next() => Some(Stop::Signal(signal)),
        };
        let mut signal = match stopped {
            Some(Stop::Signal(signal)) => Some(signal),
            _ => None,
        };
        let is_noted = failed.is_none_or(|file| self.note_failed(file, targets, output));
        let status = self.status;
        let ending = self.end(stopped);
        tokio::pin!(ending);
        let stopped = loop {
            tokio::select! {
                biased;
                stopped = &mut ending => break stopped,
                next = signals.next() => match signal {
                    // Agents end when they see that the pipes are closed.
                    Some(first) => return first.exit_code(),
                    None => signal = Some(next),
                },
            }
        };
        match (signal, &stopped) {
            (Some(signal), _) => signal.exit_code(),
            (None, Some(Stop::Output(error))) if error.kind() == io::ErrorKind::BrokenPipe => CLOSED_STDOUT,
            (None, Some(_)) => FAILED,
            (None, None) if !is_noted => FAILED,
            (None, None) => match status {
                Some(status) => status,
                None if lock(output).tally().has_failures() => FAILED,
                None => 0,
            },
        }
    }

    /// Prints each outcome as it arrives, and begins to close its tunnel.
    async fn print_all(&mut self) -> io::Result<()> {
        while let Some((index, ended)) = self.under_way.next().await {
            let result = match ended {
                Ended::Answer(answer) => Ok(answer),
                Ended::Failure(failure) => Err(failure),
                Ended::Output(error) => return Err(error),
            };
            let is_success = result.as_ref().is_ok_and(|answer| !answer.is_failure());
            if let (Some(status), Ok(Answer::Ran(ran))) = (&mut self.status, &result) {
                // As shells have it for a program that a signal ended.
                let code = ran.status.code().or_else(|| Some(128 + ran.status.signal()?));
                *status = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NO_STATUS);
            }
            self.progress[index] = if is_success { Progress::Succeeded } else { Progress::Failed };
            self.close(index);
            self.print(index, result).await?;
        }
        Ok(())
    }

    /// Writes the targets that have not succeeded to a file for `--on @FILE`. Returns whether this
    /// succeeded.
    fn note_failed(&self, file: &Path, targets: &[Target], output: &Mutex<Output>) -> bool {
        let failed = targets.iter().zip(&self.progress).filter(|(_, is)| **is != Progress::Succeeded);
        let text: String = failed.map(|(target, _)| format!("{target}\n")).collect();
        let Err(error) = write_targets(file, &text) else { return true };
        lock(output).complain(&format!("cannot write {}: {error}", file.display()));
        false
    }

    /// Cancels the running jobs, waits until all tunnels are closed, and prints the summary.
    /// Returns the reason if it had to stop.
    async fn end(mut self, mut stopped: Option<Stop>) -> Option<Stop> {
        self.under_way.stop().await;
        if stopped.is_some() {
            self.printer.with_output(|output| output.stop_drawing()).await;
        }
        let is_unfinished = |&index: &usize| self.progress[index] == Progress::Unfinished;
        let unfinished: Vec<_> = (0..self.tunnels.len()).filter(is_unfinished).collect();
        for &index in &unfinished {
            self.close(index);
        }
        let mut is_told = true;
        match &stopped {
            // Whoever closed stdout, as `head` does, has seen enough.
            Some(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => is_told = false,
            Some(Stop::Output(error)) => {
                let what = format!("cannot write the results: {error}");
                self.printer.with_output(move |output| output.complain(&what)).await;
                is_told = self.printer.with_output(|output| output.tally() != Tally::default()).await;
            }
            Some(Stop::Signal(_)) => {
                for index in unfinished {
                    // If stdout is gone by now, the exit status tells of the signal all the same.
                    if self.print(index, Err(Failure::interrupted(self.phase))).await.is_err() {
                        is_told = false;
                        break;
                    }
                }
            }
            None => {}
        }
        while let Some(joined) = self.closing.join_next().await {
            if let Err(error) = joined.unwrap_or_else(resume) {
                self.printer.with_output(move |output| output.warn(&error)).await;
            }
        }
        if is_told {
            let took = self.begun.elapsed();
            let finished = self.printer.with_output(move |output| output.finish(took)).await;
            if let Err(error) = finished {
                stopped.get_or_insert(Stop::Output(error));
            }
        }
        stopped
    }

    fn close(&mut self, index: usize) {
        let tunnel = self.tunnels[index].clone();
        self.closing.spawn(async move { tunnel.close().await });
    }

    async fn print(&self, index: usize, result: Result<Answer<Shown>, Failure>) -> io::Result<()> {
        let host = self.tunnels[index].host().clone();
        let outcome = Outcome { host, index, result, took: self.begun.elapsed() };
        self.printer.with_output(move |output| output.print(outcome)).await
    }
}

impl Printer {
    /// Writes text of a target, which need not be whole lines. Waits while the text is not read.
    pub(crate) async fn text(&self, tunnel: &Tunnel, stream: Stream, text: Vec<u8>) -> Result<(), Stopped> {
        let (host, index) = (tunnel.host().clone(), self.index);
        self.with_output(move |output| output.text(index, &host, stream, &text)).await
    }

    /// Writes bytes of a program as they are. Waits while they are not read.
    pub(crate) async fn pass(&self, stream: Stream, bytes: Vec<u8>) -> Result<(), Stopped> {
        self.with_output(move |output| output.pass(stream, bytes)).await
    }

    /// Writes on a separate thread: signals and deadlines still work while stdout is not read.
    async fn with_output<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Output) -> T + Send + 'static,
    ) -> T {
        let output = self.output.clone();
        task::spawn_blocking(move || work(&mut lock(&output))).await.unwrap_or_else(resume)
    }
}

/// Writes targets to a file. If they contain variables, which may be passwords and tokens, only its
/// owner can read the file.
fn write_targets(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let is_secret = text.contains("env");
    let opened = options.write(true).create(true).truncate(true).mode(if is_secret { 0o600 } else { 0o666 });
    let mut opened = opened.open(file)?;
    if is_secret && opened.metadata()?.is_file() {
        opened.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    opened.write_all(text.as_bytes())
}

/// Writes the events of the library to stderr, above the bars, at a level that depends on `verbose`.
pub(crate) fn log(verbose: u8, bars: Bars) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(move || Log(bars.clone()));
    // There is one only if a test has set it.
    let _ = subscriber.without_time().try_init();
}

/// Where the log goes, before what is drawn.
struct Log(Bars);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspended(|| io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether a job has succeeded, or would not succeed either if it ran again.
fn is_final(result: &Result<Answer, Stopped>) -> bool {
    match result {
        Ok(answer) => !answer.is_failure(),
        Err(Stopped::Failure(failure)) => !failure.may_pass,
        Err(Stopped::Output(_) | Stopped::Unwelcome(_)) => true,
    }
}

pub(crate) fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The status that shells give a program that SIGPIPE ended.
pub(crate) const CLOSED_STDOUT: u8 = 128 + 13;
pub(crate) const FAILED: u8 = 1;
/// The status that `ssh` gives a program whose status is not known.
const NO_STATUS: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_targets_with_variables_is_for_its_owner_alone() {
        let file = std::env::temp_dir().join(format!("chopsticks-targets-{}", std::process::id()));
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        write_targets(&file, "web1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        write_targets(&file, "web2\n").unwrap();
        assert_eq!((mode(&file), fs::read_to_string(&file).unwrap()), (0o644, "web2\n".to_owned()));
        write_targets(&file, "docker://app?env=TOKEN=x\n").unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::remove_file(&file).unwrap();
        write_targets(&file, "docker://app?env=TOKEN=x\n").unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::remove_file(&file).unwrap();
    }
}
