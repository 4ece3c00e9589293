//! The output: results on stdout, everything else on stderr.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use chopsticks::{Error, HostName};

use crate::{
    answer::{Answer, Entries},
    bars::Bars,
    outcome::{Failure, Outcome},
    output::{held::Held, human::Human, paint::Paint, screens::Screens, summary::Summary},
    pieces::Pieces,
    work::Stopped,
};

mod diff;
mod held;
mod human;
mod json;
mod label;
mod paint;
mod python;
mod screens;
mod summary;
mod table;

pub(crate) use self::{
    human::INDENT, json::item as write_item, json::write as write_json, python::repr, summary::Show,
};

/// Prints outcomes as they arrive, and counts them.
#[derive(Debug)]
pub(crate) struct Output {
    form: Form,
    tally: Tally,
    summary: Summary,
    show: Show,
    stderr: Paint,
    /// The bars on stderr, which make room for lines.
    bars: Bars,
    /// The open lines.
    screens: Screens,
    /// What waits for the turn of its target, or for all.
    held: Held,
    /// Whether the output of a program is all that is shown.
    is_raw: bool,
}

#[derive(Debug)]
enum Form {
    Human(Human),
    Json,
}

/// The number of targets with each outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) ok: usize,
    pub(crate) failed: usize,
    pub(crate) interrupted: usize,
    pub(crate) not_started: usize,
    /// Those of the targets with success whose files were changed, if files were compared.
    pub(crate) changed: Option<usize>,
    /// The entries of their folders.
    pub(crate) entries: Option<Entries>,
}

/// The stream for lines of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stream {
    /// What functions print. It is marked and goes to stderr: stdout is for results.
    Printed,
    Stderr,
    Stdout,
}

/// Text for stdout and stderr.
#[derive(Debug, Default)]
struct Text {
    stdout: Vec<u8>,
    /// A result, which follows on stdout.
    result: Pieces,
    /// Text after the result.
    behind: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// Creates an output of text for people.
    pub(crate) fn human() -> Self {
        let (stdout, stderr) = (Paint::for_stream(&io::stdout()), Paint::for_stream(&io::stderr()));
        Self {
            form: Form::Human(Human::new(stdout, stderr)),
            tally: Tally::default(),
            summary: Summary::default(),
            show: Show::default(),
            stderr,
            bars: Bars::none(),
            screens: Screens::new(),
            held: Held::nothing(),
            is_raw: false,
        }
    }

    /// Creates an output of text for people, in which equal results are shown together.
    pub(crate) fn folded() -> Self {
        let output = Self::human();
        match output.form {
            Form::Human(human) => Self { form: Form::Human(human.folded()), held: Held::all(), ..output },
            Form::Json => output,
        }
    }

    /// Creates an output of text for people, which shows how results differ from the most frequent one.
    pub(crate) fn compared() -> Self {
        let output = Self::human();
        match output.form {
            Form::Human(human) => Self { form: Form::Human(human.compared()), held: Held::all(), ..output },
            Form::Json => output,
        }
    }

    /// Makes lines of these targets begin in one column, and have colours of their own, where there are
    /// colours.
    pub(crate) fn labelling<'a>(self, hosts: impl Iterator<Item = &'a HostName>) -> Self {
        match self.form {
            Form::Human(human) => Self { form: Form::Human(human.labelling(hosts)), ..self },
            Form::Json => self,
        }
    }

    /// Creates an output of one JSON object for each target.
    pub(crate) fn json() -> Self {
        Self {
            form: Form::Json,
            tally: Tally::default(),
            summary: Summary::default(),
            show: Show::default(),
            stderr: Paint::for_stream(&io::stderr()),
            bars: Bars::none(),
            screens: Screens::new(),
            held: Held::nothing(),
            is_raw: false,
        }
    }

    /// Shows results in the order of the targets, if they are to be.
    pub(crate) fn ordered(self, is_ordered: bool) -> Self {
        if is_ordered { Self { held: Held::in_order(), ..self } } else { self }
    }

    /// Shows nothing but the output of a program and what went wrong besides, as `ssh` does.
    pub(crate) fn raw(self, is_raw: bool) -> Self {
        Self { is_raw, ..self }
    }

    /// Draws how many of so many targets are done, if nothing else is drawn.
    pub(crate) fn counting(self, targets: usize) -> Self {
        match self.form {
            Form::Human(_) if !self.bars.are_drawn() => Self { bars: Bars::counter(targets), ..self },
            _ => self,
        }
    }

    pub(crate) fn bars(&self) -> &Bars {
        &self.bars
    }

    /// Prints lines above the given bars.
    pub(crate) fn with_bars(self, bars: Bars) -> Self {
        Self { bars, ..self }
    }

    /// Removes the bars for good.
    pub(crate) fn stop_drawing(&self) {
        self.bars.clear();
    }

    /// Sets when the table of outcomes is shown.
    pub(crate) fn with_summary(self, show: Show) -> Self {
        Self { show, ..self }
    }

    /// Prints an outcome. Blocks while stdout blocks.
    pub(crate) fn print(&mut self, outcome: Outcome) -> io::Result<()> {
        let (host, index, took) = (outcome.host.clone(), outcome.index, outcome.took);
        let name = host.clone();
        let is_answer = outcome.result.is_ok();
        if let Some(is_changed) = outcome.result.as_ref().ok().and_then(Answer::change) {
            *self.tally.changed.get_or_insert(0) += usize::from(is_changed);
        }
        if let Some(entries) = outcome.result.as_ref().ok().and_then(Answer::entries) {
            let all = self.tally.entries.get_or_insert_default();
            all.changed += entries.changed;
            all.unchanged += entries.unchanged;
            all.deleted += entries.deleted;
        }
        let (text, failure) = match &mut self.form {
            Form::Human(human) => human.outcome(outcome),
            Form::Json => json::outcome(outcome),
        };
        self.summary.add(index, host, took, failure.as_ref());
        let has_failed = failure.as_ref().is_some_and(|failure| !failure.is_interrupted());
        match failure {
            None => self.tally.ok += 1,
            Some(failure) if failure.is_interrupted() => self.tally.interrupted += 1,
            Some(failure) if failure.is_not_started() => self.tally.not_started += 1,
            Some(_) => self.tally.failed += 1,
        }
        self.bars.count(&name, has_failed);
        if self.is_raw && is_answer {
            return Ok(());
        }
        if self.held.is_all() {
            if let Form::Human(human) = &mut self.form {
                let (stdout, stderr) = self.held.take(index);
                human.fold(index, name.as_str(), stdout, stderr);
            }
            return self.write_text(text);
        }
        for part in self.held.end(index, text) {
            self.write_part(part)?;
        }
        Ok(())
    }

    /// Prints text that a target wrote, which need not be whole lines. Blocks while the stream
    /// blocks.
    ///
    /// Text of a program comes with the position of its target, and may be held.
    pub(crate) fn text(
        &mut self,
        index: Option<usize>,
        host: &HostName,
        stream: Stream,
        text: &[u8],
    ) -> Result<(), Stopped> {
        if let Some(index) = index.filter(|&index| self.held.holds(index)) {
            return self.held.add(index, host, stream, text).map_err(|limit| {
                let message = format!("the output is over the limit of {} MiB", limit >> 20);
                Stopped::Failure(Failure::of_call("too-large", message))
            });
        }
        self.show(host, stream, text).map_err(|error| Stopped::Output(Arc::new(error)))
    }

    /// Writes bytes of a program as they are. Blocks while the stream blocks.
    pub(crate) fn pass(&mut self, stream: Stream, bytes: Vec<u8>) -> Result<(), Stopped> {
        let written = self.bars.suspended(|| match stream {
            Stream::Stdout => Text { stdout: bytes, ..Text::default() }.write(),
            Stream::Printed | Stream::Stderr => {
                eprint(&bytes);
                Ok(())
            }
        });
        written.map_err(|error| Stopped::Output(Arc::new(error)))
    }

    fn write_part(&mut self, part: held::Part) -> io::Result<()> {
        match part {
            held::Part::Text(host, stream, text) => self.show(&host, stream, &text),
            held::Part::Outcome(text) => self.write_text(text),
        }
    }

    fn show(&mut self, host: &HostName, stream: Stream, text: &[u8]) -> io::Result<()> {
        let label = match &self.form {
            Form::Human(human) => human.label(host.as_str(), stream),
            Form::Json => format!("[{host}{}]", stream.mark()),
        };
        let mut text = self.screens.text(host, stream, &label, text);
        if self.bars.are_drawn() {
            // A bar that is drawn behind it would take it away.
            text.extend(self.screens.end_line(stream));
        }
        self.bars.suspended(|| match stream {
            Stream::Stdout => Text { stdout: text, ..Text::default() }.write(),
            Stream::Printed | Stream::Stderr => {
                eprint(&text);
                Ok(())
            }
        })
    }

    /// Prints what had to wait for the last outcome, and for people also the summary.
    pub(crate) fn finish(&mut self, took: Duration) -> io::Result<()> {
        if self.is_raw {
            self.bars.clear();
            return Ok(());
        }
        let Form::Human(human) = &mut self.form else { return Ok(()) };
        let Text { stdout, mut stderr, .. } = human.rest();
        stderr.extend(self.summary.text(self.show, self.stderr).into_bytes());
        stderr.extend(human.summary(self.tally, took));
        self.bars.clear();
        self.write_text(Text { stdout, stderr, ..Text::default() })
    }

    /// Prints text on stdout unchanged.
    pub(crate) fn write(&self, text: &str) -> io::Result<()> {
        Text { stdout: text.as_bytes().to_vec(), ..Text::default() }.write()
    }

    /// Prints that a tunnel could not be closed normally.
    pub(crate) fn warn(&mut self, error: &Error) {
        self.tell(paint::WARNING, &format!("{}; the agent was killed", error.report()));
    }

    /// Prints what may be a mistake.
    pub(crate) fn caution(&mut self, what: &str) {
        self.tell(paint::WARNING, &format!("chopsticks: warning: {what}"));
    }

    /// Prints that the program cannot go on.
    pub(crate) fn complain(&mut self, what: &str) {
        self.tell(paint::ERROR, &format!("chopsticks: {what}"));
    }

    /// Prints what has failed, in a line.
    pub(crate) fn tell_failure(&mut self, what: &str) {
        self.tell(paint::ERROR, what);
    }

    /// Prints what there is to say at the end, in a line.
    pub(crate) fn tell_rest(&mut self, what: &str) {
        self.tell(anstyle::Style::new(), what);
    }

    fn tell(&mut self, style: anstyle::Style, what: &str) {
        let mut line = self.screens.end_line(Stream::Stderr);
        line.extend(self.stderr.line(style, what));
        self.bars.suspended(|| eprint(&line));
    }

    /// Writes whole lines, after any open line.
    fn write_text(&mut self, mut text: Text) -> io::Result<()> {
        if text.has_stdout() {
            text.stdout.splice(..0, self.screens.end_line(Stream::Stdout));
        }
        if !text.stderr.is_empty() {
            text.stderr.splice(..0, self.screens.end_line(Stream::Stderr));
        }
        self.bars.suspended(|| text.write())
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

impl Tally {
    /// Returns whether a target has failed, or was not started because of others.
    pub(crate) fn has_failures(self) -> bool {
        self.failed + self.not_started > 0
    }
}

impl Stream {
    /// Returns the text behind the name of a target.
    fn mark(self) -> &'static str {
        match self {
            Self::Printed => " stdout",
            Self::Stderr | Self::Stdout => "",
        }
    }
}

impl Text {
    /// Writes the part for stdout.
    fn write_to(&self, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(&self.stdout)?;
        self.result.write_to(out)?;
        out.write_all(&self.behind)
    }

    fn has_stdout(&self) -> bool {
        !self.stdout.is_empty() || self.result.len() > 0
    }

    fn write(&self) -> io::Result<()> {
        if self.has_stdout() {
            let mut stdout = io::stdout().lock();
            if self.result.len() < 4 << 10 {
                // In one piece, so that lines of other programs do not mix in.
                let mut text = Vec::new();
                self.write_to(&mut text)?;
                stdout.write_all(&text)?;
            } else {
                self.write_to(&mut stdout)?;
            }
            stdout.flush()?;
        }
        eprint(&self.stderr);
        Ok(())
    }
}

/// Writes to stderr in one operation, so that lines of other programs are not mixed in. Errors are
/// ignored, because there is no other place to report them.
fn eprint(text: &[u8]) {
    let _ = io::stderr().lock().write_all(text);
}
