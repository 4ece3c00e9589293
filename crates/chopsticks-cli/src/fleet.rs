//! What all verbs have in common: something done on all targets at once, until it is done, a signal comes or stdout is closed.

use std::{
    io,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chopsticks::{Error, Target, Tunnel, TunnelConfig};
use tokio::{
    runtime,
    task::{self, JoinError, JoinSet},
};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    answer::Answer,
    args::FleetArgs,
    outcome::{Failure, Outcome},
    output::{Output, Stream},
    signals::{Signal, Signals},
};

/// Where it is done, and how it is told.
pub(crate) struct Fleet {
    targets: Vec<Target>,
    config: TunnelConfig,
    output: Output,
}

/// Why a job has no answer.
#[derive(Debug)]
pub(crate) enum Stopped {
    Failure(Failure),
    /// What comes of the job can no longer be written.
    Output(io::Error),
}

/// Writes what a job has to tell before its end.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    output: Arc<Mutex<Output>>,
}

impl Fleet {
    /// Makes a fleet of targets that were checked.
    pub(crate) fn new(args: FleetArgs, targets: Vec<Target>) -> Self {
        log(args.verbose);
        let mut config = TunnelConfig::default().call_timeout(args.timeout);
        if args.site_packages {
            config = config.with_site_packages();
        }
        if let Some(folder) = args.cwd {
            config = config.current_dir(folder);
        }
        for variable in args.env {
            config = config.env(variable.name, variable.value);
        }
        let with_python = |target: Target| match &args.python {
            Some(python) => target.or_python(python),
            None => target,
        };
        Self {
            targets: targets.into_iter().map(with_python).collect(),
            config,
            output: if args.json { Output::json() } else { Output::human() },
        }
    }

    /// Changes the configuration of all tunnels.
    pub(crate) fn with_config(self, change: impl FnOnce(TunnelConfig) -> TunnelConfig) -> Self {
        Self { config: change(self.config), ..self }
    }

    /// Does `job` on all targets, prints what comes of it, and returns the exit status.
    pub(crate) fn run<F>(self, job: impl Fn(Tunnel, Printer) -> F) -> ExitCode
    where
        F: Future<Output = Result<Answer, Stopped>> + Send + 'static,
    {
        let output = Arc::new(Mutex::new(self.output));
        // One thread is enough for any number of pipes, and the fastest to start.
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                lock(&output).complain(&format!("cannot start: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let tunnels = self.targets.iter().map(|target| target.tunnel(self.config.clone())).collect();
        let code = runtime.block_on(jobs(tunnels, &output, job));
        // A thread may still wait for a stdout that nobody reads.
        runtime.shutdown_background();
        ExitCode::from(code)
    }
}

/// Does the jobs until they are done, a signal comes or stdout is closed; then closes all tunnels.
async fn jobs<F>(tunnels: Vec<Tunnel>, output: &Arc<Mutex<Output>>, job: impl Fn(Tunnel, Printer) -> F) -> u8
where
    F: Future<Output = Result<Answer, Stopped>> + Send + 'static,
{
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            lock(output).complain(&format!("cannot wait for signals: {error}"));
            return FAILED;
        }
    };
    let begun = Instant::now();
    let mut jobs = Jobs::begin(tunnels, output.clone(), begun, job);
    let stopped = tokio::select! {
        biased;
        printed = jobs.print_all() => printed.err().map(Stop::Output),
        signal = signals.next() => Some(Stop::Signal(signal)),
    };
    let mut signal = match stopped {
        Some(Stop::Signal(signal)) => Some(signal),
        _ => None,
    };
    let ending = jobs.end(stopped, begun);
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
        (None, None) if lock(output).tally().failed > 0 => FAILED,
        (None, None) => 0,
    }
}

/// Why the jobs were not waited for.
#[derive(Debug)]
enum Stop {
    Output(io::Error),
    Signal(Signal),
}

/// The jobs that are under way, and the tunnels that are being closed.
struct Jobs {
    printer: Printer,
    tunnels: Vec<Tunnel>,
    begun: Instant,
    /// Each gives the index of its tunnel.
    under_way: JoinSet<(usize, Result<Answer, Stopped>)>,
    is_finished: Vec<bool>,
    closing: JoinSet<Result<(), Error>>,
}

impl Jobs {
    /// Begins on all targets at once.
    fn begin<F>(
        tunnels: Vec<Tunnel>,
        output: Arc<Mutex<Output>>,
        begun: Instant,
        job: impl Fn(Tunnel, Printer) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Answer, Stopped>> + Send + 'static,
    {
        let printer = Printer { output };
        let mut under_way = JoinSet::new();
        for (index, tunnel) in tunnels.iter().enumerate() {
            let job = job(tunnel.clone(), printer.clone());
            under_way.spawn(async move { (index, job.await) });
        }
        let is_finished = vec![false; tunnels.len()];
        Self { printer, tunnels, begun, under_way, is_finished, closing: JoinSet::new() }
    }

    /// Prints each outcome as it comes, and begins to close its tunnel.
    async fn print_all(&mut self) -> io::Result<()> {
        while let Some(joined) = self.under_way.join_next().await {
            let (index, result) = joined.unwrap_or_else(resume);
            let result = match result {
                Ok(answer) => Ok(answer),
                Err(Stopped::Failure(failure)) => Err(failure),
                Err(Stopped::Output(error)) => return Err(error),
            };
            self.is_finished[index] = true;
            self.close(index);
            self.print(index, result).await?;
        }
        Ok(())
    }

    /// Cancels the jobs that are under way, waits until all tunnels are closed, and sums up. Returns why it had to stop, if it had.
    async fn end(mut self, mut stopped: Option<Stop>, begun: Instant) -> Option<Stop> {
        self.under_way.shutdown().await;
        let unfinished: Vec<_> = (0..self.tunnels.len()).filter(|&index| !self.is_finished[index]).collect();
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
            }
            Some(Stop::Signal(_)) => {
                for index in unfinished {
                    // If stdout is gone by now, the exit status tells of the signal all the same.
                    if self.print(index, Err(Failure::interrupted())).await.is_err() {
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
            let finished = self.printer.with_output(move |output| output.finish(begun.elapsed())).await;
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

    async fn print(&self, index: usize, result: Result<Answer, Failure>) -> io::Result<()> {
        let host = self.tunnels[index].host().clone();
        let outcome = Outcome { host, index, result, took: self.begun.elapsed() };
        self.printer.with_output(move |output| output.print(outcome)).await
    }
}

impl Printer {
    /// Writes lines of a target, each of which ends with a newline. While nobody reads them, this waits.
    pub(crate) async fn lines(&self, tunnel: &Tunnel, stream: Stream, lines: Vec<u8>) -> Result<(), Stopped> {
        let host = tunnel.host().clone();
        let written = self.with_output(move |output| output.lines(&host, stream, &lines)).await;
        written.map_err(Stopped::Output)
    }

    /// Writes on a thread for that: while stdout is not read, signals and deadlines are still minded.
    async fn with_output<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Output) -> T + Send + 'static,
    ) -> T {
        let output = self.output.clone();
        task::spawn_blocking(move || work(&mut lock(&output))).await.unwrap_or_else(resume)
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failure(error.into())
    }
}

/// Writes what the library tells of its doings to stderr, by how often it was asked for.
fn log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(io::stderr);
    // There is one only if a test has set it.
    let _ = subscriber.without_time().try_init();
}

/// Passes a panic on; the tasks here are never cancelled before they are waited for.
fn resume<T>(error: JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}

fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As shells have it for a program that SIGPIPE ended.
const CLOSED_STDOUT: u8 = 128 + 13;
const FAILED: u8 = 1;
