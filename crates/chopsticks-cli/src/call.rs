//! `chopsticks call`.

use std::{
    io,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chopsticks::{Call, Codebase, Error, Tunnel, TunnelConfig};
use tokio::{
    runtime,
    task::{self, JoinError, JoinSet},
};

use crate::{
    args::CallArgs,
    outcome::{Failure, Outcome},
    output::Output,
    signals::{Signal, Signals},
};

/// Calls the function on all targets, prints what comes of it, and returns the exit status.
pub(crate) fn run(args: CallArgs) -> ExitCode {
    args.check();
    let output = Arc::new(Mutex::new(if args.json { Output::json() } else { Output::human() }));
    // One thread is enough for any number of pipes, and the fastest to start.
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            lock(&output).complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(calls(args, &output));
    // A thread may still wait for a stdout that nobody reads.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Makes the calls, until they are done, a signal comes or stdout is closed; then closes all tunnels.
async fn calls(args: CallArgs, output: &Arc<Mutex<Output>>) -> u8 {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            lock(output).complain(&format!("cannot wait for signals: {error}"));
            return FAILED;
        }
    };
    let begun = Instant::now();
    let mut calls = Calls::begin(args, output.clone(), begun);
    let stopped = tokio::select! {
        biased;
        printed = calls.print_all() => printed.err().map(Stop::Output),
        signal = signals.next() => Some(Stop::Signal(signal)),
    };
    let mut signal = match stopped {
        Some(Stop::Signal(signal)) => Some(signal),
        _ => None,
    };
    let ending = calls.end(stopped.as_ref(), begun);
    tokio::pin!(ending);
    loop {
        tokio::select! {
            biased;
            () = &mut ending => break,
            next = signals.next() => match signal {
                // Agents end when they see that the pipes are closed.
                Some(first) => return first.exit_code(),
                None => signal = Some(next),
            },
        }
    }
    match (signal, &stopped) {
        (Some(signal), _) => signal.exit_code(),
        (None, Some(Stop::Output(error))) if error.kind() == io::ErrorKind::BrokenPipe => CLOSED_STDOUT,
        (None, Some(_)) => FAILED,
        (None, None) if lock(output).tally().failed > 0 => FAILED,
        (None, None) => 0,
    }
}

/// Why the calls were not waited for.
#[derive(Debug)]
enum Stop {
    Output(io::Error),
    Signal(Signal),
}

/// The calls that are under way, and the tunnels that are being closed.
struct Calls {
    output: Arc<Mutex<Output>>,
    tunnels: Vec<Tunnel>,
    /// Each gives the index of its tunnel.
    under_way: JoinSet<(usize, Outcome)>,
    is_finished: Vec<bool>,
    closing: JoinSet<Result<(), Error>>,
}

impl Calls {
    /// Begins to call on all targets at once.
    fn begin(args: CallArgs, output: Arc<Mutex<Output>>, begun: Instant) -> Self {
        let CallArgs { function, args, kwargs, targets, roots, timeout, python, site_packages, json: _ } =
            args;
        let mut call = Call::new(function.as_str()).args(args);
        for keyword in kwargs {
            call = call.kwarg(keyword.name, keyword.value);
        }
        if let Some(timeout) = timeout {
            call = call.timeout(timeout);
        }
        // Of several roots that have a module the first wins. Shared by all tunnels, so that each file is read and parsed once.
        let codebase = roots.into_iter().fold(Codebase::default(), Codebase::and_path);
        let mut config = TunnelConfig::default().modules(codebase);
        if site_packages {
            config = config.with_site_packages();
        }
        let tunnels: Vec<_> =
            targets.iter().map(|target| target.tunnel(python.as_deref(), config.clone())).collect();
        let mut under_way = JoinSet::new();
        for (index, tunnel) in tunnels.iter().cloned().enumerate() {
            let call = call.clone();
            under_way.spawn(async move {
                let result = tunnel.call_with(call).await.map_err(Failure::from);
                (index, Outcome { host: tunnel.host().clone(), result, took: begun.elapsed() })
            });
        }
        let is_finished = vec![false; tunnels.len()];
        Self { output, tunnels, under_way, is_finished, closing: JoinSet::new() }
    }

    /// Prints each outcome as it comes, and begins to close its tunnel.
    async fn print_all(&mut self) -> io::Result<()> {
        while let Some(joined) = self.under_way.join_next().await {
            let (index, outcome) = joined.unwrap_or_else(resume);
            self.is_finished[index] = true;
            self.close(index);
            self.print(outcome).await?;
        }
        Ok(())
    }

    /// Cancels the calls that are under way, waits until all tunnels are closed, and sums up.
    async fn end(mut self, stopped: Option<&Stop>, begun: Instant) {
        self.under_way.shutdown().await;
        let unfinished: Vec<_> = (0..self.tunnels.len()).filter(|&index| !self.is_finished[index]).collect();
        for &index in &unfinished {
            self.close(index);
        }
        let mut is_told = true;
        match stopped {
            // Whoever closed stdout, as `head` does, has seen enough.
            Some(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => is_told = false,
            Some(Stop::Output(error)) => {
                let what = format!("cannot write the results: {error}");
                self.with_output(move |output| output.complain(&what)).await;
            }
            Some(Stop::Signal(_)) => {
                for index in unfinished {
                    let host = self.tunnels[index].host().clone();
                    let outcome =
                        Outcome { host, result: Err(Failure::interrupted()), took: begun.elapsed() };
                    // If stdout is gone by now, the exit status tells of the signal all the same.
                    if self.print(outcome).await.is_err() {
                        is_told = false;
                        break;
                    }
                }
            }
            None => {}
        }
        while let Some(joined) = self.closing.join_next().await {
            if let Err(error) = joined.unwrap_or_else(resume) {
                self.with_output(move |output| output.warn(&error)).await;
            }
        }
        if is_told {
            self.with_output(move |output| output.summarise(begun.elapsed())).await;
        }
    }

    fn close(&mut self, index: usize) {
        let tunnel = self.tunnels[index].clone();
        self.closing.spawn(async move { tunnel.close().await });
    }

    async fn print(&self, outcome: Outcome) -> io::Result<()> {
        self.with_output(move |output| output.print(&outcome)).await
    }

    /// Prints on a thread for that: while stdout is not read, signals and deadlines are still minded.
    async fn with_output<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Output) -> T + Send + 'static,
    ) -> T {
        let output = self.output.clone();
        task::spawn_blocking(move || work(&mut lock(&output))).await.unwrap_or_else(resume)
    }
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
