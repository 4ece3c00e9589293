//! `chopsticks map`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use chopsticks::{
    Call, Error, Failure as Unfinished, Group, HostName, Pool, PoolOutcome, PoolRun, Reply, Target,
    TunnelConfig, text::harmless_line,
};
use futures::{Stream, StreamExt as _, poll};
use tokio::{runtime, task};

use crate::{
    args::{self, MapArgs},
    bars::Bars,
    done::{Done, Written},
    fleet::{CLOSED_STDOUT, FAILED, lock, log},
    items::{self, Form, Line, Places},
    outcome::Failure,
    output::{Output, write_item},
    render,
    signals::{Signal, Signals},
    work::resume,
};

/// Calls the function for each item, on whichever target is free.
pub(crate) fn run(args: MapArgs) -> ExitCode {
    let (chosen, done, lines) = args::checked("map", || {
        let chosen = args.check()?;
        let cannot = |what: &str, error| format!("cannot {what}: {error}");
        let done = args.resume.as_deref().map(|path| {
            Done::with_stdout(path).map_err(|error| cannot(&format!("use {}", path.display()), error))
        });
        let done = done.transpose()?;
        let form = if args.lines { Form::Text } else { Form::JsonOrText };
        let lines = items::read(&args.input, form, done.as_ref())
            .map_err(|error| cannot(&format!("read {}", args.input.display()), error))?;
        Ok((chosen, done, lines))
    });
    let MapArgs {
        function,
        args,
        kwargs,
        jobs,
        ordered,
        retries,
        max_failures,
        host,
        timeout,
        max_result,
        code,
        shown,
        agent,
        verbose,
        ..
    } = args;
    let bars = Bars::items();
    // Lines that have not ended would be taken away with what is drawn behind them.
    let joins_lines = bars.are_drawn() || !io::stderr().is_terminal();
    log(verbose, bars.clone());
    let mut output = Output::json().with_bars(bars.clone());
    chosen.warnings.iter().for_each(|warning| output.caution(warning));
    let output = Arc::new(Mutex::new(output));
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            lock(&output).complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut call = args.into_iter().fold(Call::new(function.function()), Call::arg);
    for keyword in kwargs {
        call = call.kwarg(keyword.name, keyword.value);
    }
    if let Some(timeout) = timeout {
        call = call.timeout(timeout);
    }
    let targets = agent.with_python(chosen.targets);
    let config = agent.configure(TunnelConfig::default().max_result_len(max_result));
    let config = shown.configure(config, &output, joins_lines);
    let tunnels = Target::tunnels(&targets, &code.configure(&function, config));
    let code = runtime.block_on(async move {
        let group = Group::new(tunnels).expect("the names of targets were checked");
        let pool = Pool::new(&group).per_host(jobs.get()).attempts(retries.saturating_add(1));
        let pool = max_failures.map_or(pool.clone(), |failures| pool.max_failures(failures));
        let (places, failed_input) = (Places::default(), Arc::default());
        let run = pool.map_encoded(call, handed_out(lines, places.clone(), Arc::clone(&failed_input)));
        let run = if ordered { run.ordered() } else { run };
        let mapping = Mapping {
            output,
            bars,
            shows_host: host,
            places,
            failed_input,
            done_before: done.as_ref().map_or(0, Done::len),
            done: done.map(|done| Arc::new(Mutex::new(done))),
            begun: Instant::now(),
            ok: 0,
            failed: 0,
            lost: 0,
        };
        mapping.finish(run, &group).await
    });
    // A thread may still wait for a stdin that gets no input, or a stdout that is not read.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Why the input has ended early, if it has.
type FailedInput = Arc<Mutex<Option<io::Error>>>;

/// Remembers the places of lines that are handed out, and ends at an error.
fn handed_out(
    lines: impl Stream<Item = io::Result<Line>> + Send + 'static,
    places: Places,
    failed: FailedInput,
) -> impl Stream<Item = Line> + Send + 'static {
    let handed_out = lines.map(move |line| match line {
        Ok(line) => {
            places.add(line.place);
            Some(line)
        }
        Err(error) => {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            None
        }
    });
    // `None` is the last one.
    handed_out.filter_map(std::future::ready)
}

/// A run that is under way.
struct Mapping {
    output: Arc<Mutex<Output>>,
    bars: Bars,
    shows_host: bool,
    places: Places,
    failed_input: FailedInput,
    done: Option<Arc<Mutex<Done>>>,
    done_before: usize,
    begun: Instant,
    ok: u64,
    failed: u64,
    /// How many of the targets that were lost have been reported.
    lost: usize,
}

/// Why a run has stopped.
#[derive(Debug)]
enum Stop {
    /// The items that are done cannot be recorded.
    Done(io::Error),
    Output(io::Error),
    Signal(Signal),
}

/// Outcomes that are written together.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    results: Vec<Written>,
    failures: Vec<String>,
    count: u64,
}

impl Mapping {
    /// Runs all items, or stops. Then closes the tunnels. Returns the exit status.
    async fn finish(mut self, mut run: PoolRun<Reply>, group: &Group) -> u8 {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                lock(&self.output).complain(&format!("cannot wait for signals: {error}"));
                return FAILED;
            }
        };
        let stopped = tokio::select! {
            biased;
            result = self.perform(&mut run) => result.err(),
            signal = signals.next() => Some(Stop::Signal(signal)),
        };
        let under_way = run.items_under_way();
        // This cancels what is under way.
        drop(run);
        let mut signal = match stopped {
            Some(Stop::Signal(signal)) => Some(signal),
            _ => None,
        };
        let closing = group.close();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                biased;
                _ = &mut closing => break,
                next = signals.next() => match signal {
                    // Agents end when they see that the pipes are closed.
                    Some(first) => return first.exit_code(),
                    None => signal = Some(next),
                },
            }
        }
        self.bars.clear();
        self.report(stopped.as_ref(), signal, under_way)
    }

    /// Says how it has ended, and returns the exit status.
    fn report(&self, stopped: Option<&Stop>, signal: Option<Signal>, under_way: usize) -> u8 {
        let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        let mut output = lock(&self.output);
        let failed_input = self.failed_input.lock().unwrap_or_else(PoisonError::into_inner);
        match stopped {
            Some(Stop::Output(error)) if is_closed(error) => {
                return signal.map_or(CLOSED_STDOUT, Signal::exit_code);
            }
            Some(Stop::Output(error)) => output.complain(&format!("cannot write the results: {error}")),
            Some(Stop::Done(error)) => output.complain(&format!("cannot note what is done: {error}")),
            Some(Stop::Signal(_)) | None => {}
        }
        if let Some(error) = &*failed_input {
            output.complain(&format!("cannot read the items: {error}"));
        }
        let cancelled = if signal.is_some() { under_way } else { 0 };
        output.tell_rest(&self.summary(cancelled));
        match signal {
            Some(signal) => signal.exit_code(),
            None if stopped.is_some() || failed_input.is_some() || self.failed > 0 => FAILED,
            None => 0,
        }
    }

    fn summary(&self, interrupted: usize) -> String {
        let took = self.begun.elapsed().max(Duration::from_millis(1));
        let total = self.ok + self.failed + interrupted as u64;
        let mut text = format!("{total} item{}: {} ok", if total == 1 { "" } else { "s" }, self.ok);
        let counts = [
            (self.failed, "failed"),
            (interrupted as u64, "interrupted"),
            (self.done_before as u64, "done before"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
        let rate = (self.ok + self.failed) as f64 / took.as_secs_f64();
        text.push_str(&format!(" in {:.2} s ({rate:.0}/s)", took.as_secs_f64()));
        text
    }

    /// Writes the outcomes of all items.
    async fn perform(&mut self, run: &mut PoolRun<Reply>) -> Result<(), Stop> {
        while let Some(outcome) = run.next().await {
            let mut batch = Batch::default();
            self.add(&mut batch, outcome);
            // What there is already leaves with it.
            while batch.text.len() < BATCH_LEN {
                let next = poll!(run.next());
                let Poll::Ready(Some(outcome)) = next else { break };
                self.add(&mut batch, outcome);
            }
            for (host, failure) in &run.lost()[self.lost..] {
                let text = harmless_line(&failure.to_string()).into_owned();
                batch.failures.push(format!("{host} is left out: {text}"));
            }
            self.lost = run.lost().len();
            self.write(batch).await?;
        }
        Ok(())
    }

    /// Adds an outcome to those that are written together.
    fn add(&mut self, batch: &mut Batch, outcome: PoolOutcome<Reply>) {
        let PoolOutcome { index, host, attempts, outcome, .. } = outcome;
        let place = self.places.take(index);
        let number = place.map_or(index, |place| place.index);
        let result = match outcome {
            Ok(reply) => render::json(&reply),
            Err(failure) => Err(failure_of(failure)),
        };
        let name = host.as_ref().map(HostName::as_str);
        let shown = self.shows_host.then_some(name);
        write_item(&mut batch.text, number, shown, attempts, result.as_ref());
        batch.results.push(Written { end: batch.text.len() as u64, place: place.filter(|_| result.is_ok()) });
        batch.count += 1;
        match result {
            Ok(_) => self.ok += 1,
            Err(failure) => {
                self.failed += 1;
                if self.failed <= FAILURES_SHOWN {
                    let host = name.map(|name| format!(" on {name}")).unwrap_or_default();
                    let text = harmless_line(&failure.message).into_owned();
                    batch.failures.push(format!("item {number}{host}: {}: {text}", failure.phase));
                } else if self.failed == FAILURES_SHOWN + 1 {
                    batch.failures.push("more items have failed; see stdout".to_owned());
                }
            }
        }
    }

    /// Writes outcomes, and then notes which items are done. On a separate thread: signals still work
    /// while stdout is not read, and what was written is noted even if a signal comes meanwhile.
    async fn write(&mut self, batch: Batch) -> Result<(), Stop> {
        let (output, bars, failed) = (self.output.clone(), self.bars.clone(), self.failed);
        let noted = self.done.clone();
        let Batch { text, results, failures, count } = batch;
        let written = task::spawn_blocking(move || {
            for failure in failures {
                lock(&output).tell_failure(&failure);
            }
            bars.add(count, failed);
            let mut noted = noted.as_ref().map(|done| done.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(done) = &mut noted {
                done.begin(&results).map_err(Stop::Done)?;
            }
            let written = bars.suspended(|| {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&text)?;
                stdout.flush()
            });
            written.map_err(Stop::Output)?;
            noted.map_or(Ok(()), |mut done| done.add(&results).map_err(Stop::Done))
        });
        written.await.unwrap_or_else(resume)
    }
}

fn failure_of(failure: Unfinished<Error>) -> Failure {
    match failure {
        Unfinished::Operation(error) => error.into(),
        Unfinished::Timeout { .. } => Failure::of_call("timeout", failure.to_string()),
        Unfinished::NotStarted(_) => Failure::not_started(failure.to_string()),
        other => Failure::of_call("dropped", other.to_string()),
    }
}

/// How many failures are shown on stderr, in addition to stdout.
const FAILURES_SHOWN: u64 = 10;
/// How many bytes of outcomes are written together.
const BATCH_LEN: usize = 64 << 10;
