//! Text for people.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use chopsticks::{
    HostName, Obstacle, Transferred, TransferredFolder,
    text::{harmless, harmless_line},
};

use crate::{
    answer::Shown,
    answer::{Answer, Compared, Entries, Pong, Ran},
    outcome::{Failure, Outcome},
    output::{
        Stream, Tally, Text, diff,
        label::Labels,
        paint::{self, Paint},
        summary,
        table::Table,
    },
    pieces::Pieces,
};

/// Composes text for people.
#[derive(Debug)]
pub(super) struct Human {
    stdout: Paint,
    stderr: Paint,
    /// The facts, which are shown when all have arrived.
    facts: Table,
    /// Values with the hosts that have them, if equal values are shown together.
    folded: Option<Vec<Fold>>,
    /// Whether it is shown how values differ from the most frequent one.
    is_compared: bool,
    labels: Labels,
}

impl Human {
    pub(super) fn new(stdout: Paint, stderr: Paint) -> Self {
        Self {
            stdout,
            stderr,
            facts: Table::default(),
            folded: None,
            is_compared: false,
            labels: Labels::default(),
        }
    }

    /// Shows equal values together, when all have arrived.
    pub(super) fn folded(self) -> Self {
        Self { folded: Some(Vec::new()), ..self }
    }

    /// Shows how values differ from the most frequent one, when all have arrived.
    pub(super) fn compared(self) -> Self {
        Self { is_compared: true, ..self.folded() }
    }

    /// Sets the hosts whose lines begin in one column.
    pub(super) fn labelling<'a>(self, hosts: impl Iterator<Item = &'a HostName>) -> Self {
        Self { labels: Labels::new(hosts), ..self }
    }

    /// Composes the lines of an outcome. A result that cannot be shown is a failure.
    pub(super) fn outcome(&mut self, outcome: Outcome) -> (Text, Option<Failure>) {
        let Outcome { host, index, result, .. } = outcome;
        match result.and_then(|answer| self.answer(host.as_str(), index, answer)) {
            Ok(text) => (text, None),
            Err(failure) => {
                let stderr = self.failure(host.as_str(), &failure).into_bytes();
                (Text { stderr, ..Text::default() }, Some(failure))
            }
        }
    }

    /// Composes the label of the lines that a program wrote on a host.
    pub(super) fn label(&self, host: &str, stream: Stream) -> String {
        let paint = match stream {
            Stream::Stdout => self.stdout,
            Stream::Printed | Stream::Stderr => self.stderr,
        };
        let mut label = String::new();
        let text = format!("[{host}{}]", stream.mark());
        paint.push(&mut label, self.labels.style(host), &text);
        if paint.is_on() {
            label.push_str(&self.labels.padding(&text));
        }
        label
    }

    /// Adds the output of a program, to be shown with equal ones.
    pub(super) fn fold(&mut self, index: usize, host: &str, stdout: Vec<u8>, stderr: Vec<u8>) {
        if let Some(folded) = &mut self.folded
            && (self.is_compared || !(stdout.is_empty() && stderr.is_empty()))
        {
            Fold::add(folded, Content::Output { stdout, stderr }, index, host);
        }
    }

    /// Composes what had to wait for the last outcome.
    pub(super) fn rest(&mut self) -> Text {
        let mut text = std::mem::take(&mut self.facts).text(self.stdout).into_bytes();
        let mut errors = Vec::new();
        let mut folded = self.folded.take().unwrap_or_default();
        for fold in &mut folded {
            fold.hosts.sort();
        }
        folded.sort_by(|left, right| {
            right.hosts.len().cmp(&left.hosts.len()).then_with(|| left.hosts.cmp(&right.hosts))
        });
        if self.is_compared {
            return diff::text(&folded, self.stdout, self.stderr);
        }
        for fold in folded {
            let label = fold.label();
            match fold.content {
                Content::Value(value) => {
                    // Writing to memory does not fail.
                    let _ = self.value(&label, value).write_to(&mut text);
                }
                Content::Output { stdout, stderr } => {
                    output(&mut text, self.stdout, &label, &stdout);
                    output(&mut errors, self.stderr, &label, &stderr);
                }
            }
        }
        Text { stdout: text, stderr: errors, ..Text::default() }
    }

    /// Composes the last line.
    pub(super) fn summary(&self, tally: Tally, took: Duration) -> Vec<u8> {
        let Tally { ok, failed, interrupted, not_started, changed, entries } = tally;
        let hosts = ok + failed + interrupted + not_started;
        let counts = [
            (ok, "ok", paint::HOST),
            (failed, "failed", paint::ERROR),
            (interrupted, "interrupted", paint::WARNING),
            (not_started, "not started", paint::WARNING),
        ];
        let mut out = format!("{hosts} {}: ", if hosts == 1 { "host" } else { "hosts" });
        let mut separator = "";
        for (count, what, style) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            out.push_str(separator);
            self.stderr.push(&mut out, style, &format!("{count} {what}"));
            if let Some(changed) = changed.filter(|_| what == "ok") {
                let entries = entries.map(|entries| format!("; paths: {}", entries_text(&entries)));
                out.push_str(&format!(" ({changed} changed{})", entries.unwrap_or_default()));
            }
            separator = ", ";
        }
        out.push_str(&format!(" in {:.2} s\n", took.as_secs_f64()));
        out.into_bytes()
    }

    fn answer(&mut self, host: &str, index: usize, answer: Answer<Shown>) -> Result<Text, Failure> {
        let is_shown = matches!(answer, Answer::Shown(_));
        match answer {
            Answer::Value(value) => {
                let Some(folded) = &mut self.folded else { return Ok(self.value(host, value)) };
                Fold::add(folded, Content::Value(value), index, host);
                Ok(Text::default())
            }
            Answer::Facts(facts, _) => {
                self.facts.add(index, host, &facts);
                Ok(Text::default())
            }
            Answer::File(file, compared) if !file.changed || compared == Compared::Only => {
                let path = named(file.local.as_ref().unwrap_or(&file.remote));
                let (size, sha1) = (counted(file.size, "byte"), &file.sha1);
                let state = if file.changed { "would be written" } else { "unchanged" };
                let sha1 = if sha1.is_empty() { String::new() } else { format!(", sha1 {sha1}") };
                let line = format!("{path}: {state}: {size}{sha1}");
                Ok(self.line(host, &with_diff(line, file.diff.as_deref())))
            }
            Answer::File(Transferred { local, remote, size, sha1, in_place, diff, sent, .. }, _)
            | Answer::Shown(Transferred { local, remote, size, sha1, in_place, diff, sent, .. }) => {
                let path = named(local.as_ref().unwrap_or(&remote));
                let part = if sent < size { format!(", {sent} of them sent") } else { String::new() };
                let size = counted(size, "byte");
                let place = if in_place { ", written in place" } else { "" };
                let line = with_diff(format!("{path}: {size}{part}, sha1 {sha1}{place}"), diff.as_deref());
                if !is_shown {
                    return Ok(self.line(host, &line));
                }
                // stdout has the content.
                let mut out = String::new();
                self.stderr.push(&mut out, paint::HOST, host);
                out.push_str(&format!(": {line}\n"));
                Ok(Text { stderr: out.into_bytes(), ..Text::default() })
            }
            Answer::Folder(folder, compared) => Ok(self.line(host, &inventory(&folder, compared))),
            Answer::Pong(pong) => Ok(self.line(host, &described(&pong))),
            Answer::Ran(Ran { status, .. }) if status.success() => Ok(Text::default()),
            Answer::Ran(Ran { status, .. }) => Err(Failure::of_call("exit-status", status.to_string())),
        }
    }

    fn line(&self, host: &str, line: &str) -> Text {
        self.value(host, Shown::Line(Pieces::from(line)))
    }

    fn value(&self, host: &str, value: Shown) -> Text {
        let mut out = String::new();
        self.stdout.push(&mut out, paint::HOST, host);
        out.push(':');
        let (separator, result) = match value {
            Shown::Json(line) | Shown::Line(line) => (' ', line),
            // Indented already.
            Shown::Block(block) => ('\n', block),
        };
        out.push(separator);
        let behind = if separator == ' ' { vec![b'\n'] } else { Vec::new() };
        Text { stdout: out.into_bytes(), result, behind, ..Text::default() }
    }

    fn failure(&self, host: &str, failure: &Failure) -> String {
        let Failure { phase, message, hint, traceback, .. } = failure;
        let message = harmless(message);
        let hint = hint.as_ref().map(|hint| format!(" ({})", harmless(&hint.to_string())));
        let text = format!("{}{}", message, hint.unwrap_or_default());
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let is_mild = failure.is_interrupted() || failure.is_not_started();
        let style = if is_mild { paint::WARNING } else { paint::ERROR };
        let mut out = String::new();
        self.stderr.push(&mut out, style, &format!("{host}: {phase}: {first}"));
        out.push('\n');
        indent(&mut out, rest);
        // Without lines of the codebase in it, a traceback is the message once more.
        let traceback = harmless(traceback.as_deref().unwrap_or_default());
        if traceback.trim_end() != message.trim_end() {
            indent(&mut out, &traceback);
        }
        out
    }
}

/// A result, and the hosts that have it with their positions.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) content: Content,
    hosts: Vec<(usize, String)>,
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Content {
    Output { stdout: Vec<u8>, stderr: Vec<u8> },
    Value(Shown),
}

impl Fold {
    fn add(folded: &mut Vec<Self>, content: Content, index: usize, host: &str) {
        let host = (index, host.to_owned());
        match folded.iter_mut().find(|fold| fold.content == content) {
            Some(fold) => fold.hosts.push(host),
            None => folded.push(Self { content, hosts: vec![host] }),
        }
    }

    /// The hosts by name, in the order in which they were given.
    pub(super) fn label(&self) -> String {
        match &self.hosts[..] {
            [(_, host)] => host.clone(),
            hosts => {
                let names = summary::folded(hosts.iter().map(|(_, host)| host.as_str()));
                format!("{} hosts ({})", hosts.len(), harmless_line(&names))
            }
        }
    }
}

/// Appends output of a program: behind the label if it is one line, and otherwise below. Of a line that was drawn several times, as progress is, the
/// last state counts.
pub(super) fn output(out: &mut Vec<u8>, paint: Paint, label: &str, text: &[u8]) {
    let Some(first) = text.split_inclusive(|&byte| byte == b'\n').next() else { return };
    let is_one_line = first.len() == text.len();
    let mut head = String::new();
    paint.push(&mut head, paint::HOST, label);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(if is_one_line { b": " } else { b":\n" });
    for line in text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n') {
        let line = line.rsplit(|&byte| byte == b'\r').find(|state| !state.is_empty()).unwrap_or_default();
        if !is_one_line && !line.is_empty() {
            out.extend_from_slice(INDENT.as_bytes());
        }
        out.extend_from_slice(harmless_line(line).as_bytes());
        out.push(b'\n');
    }
}

fn inventory(folder: &TransferredFolder, compared: Compared) -> String {
    let TransferredFolder { local, remote, files, folders, links, left_out, size, .. } = folder;
    let path = named(local.as_ref().unwrap_or(remote));
    let (size, files) = (counted(*size, "byte"), counted(*files, "file"));
    let (folders, links) = (counted(*folders, "folder"), counted(*links, "link"));
    let mut text = match (folder.changed, compared) {
        (false, _) => format!("{path}: unchanged"),
        (true, Compared::Only) => {
            let is_left = |obstacle: &&Obstacle| !folder.deleted.contains(&obstacle.path);
            let state = match folder.obstacles.iter().filter(is_left).count() as u64 {
                0 => "would be written".to_owned(),
                count => format!("would fail, with {} in the way", counted(count, "path")),
            };
            format!("{path}: {state}: {size} in {files}, {folders}, {links}")
        }
        (true, _) => format!("{path}: {size} in {files}, {folders}, {links}"),
    };
    if compared == Compared::Yes && folder.sent < folder.size {
        text.push_str(&format!(", {} sent", counted(folder.sent, "byte")));
    }
    if compared != Compared::No {
        text.push_str(&format!("; {} the same", counted(folder.unchanged, "file")));
    }
    if !folder.deleted.is_empty() {
        let state = if compared == Compared::Only { "would be deleted" } else { "deleted" };
        text.push_str(&format!("; {} {state}", grouped(folder.deleted.len() as u64)));
    }
    if *left_out > 0 {
        text.push_str(&format!("; {} left out", counted(*left_out, "special file")));
    }
    if compared == Compared::Only {
        let changes = folder.changes.iter().map(|path| (path, obstacle(folder, path)));
        let is_replaced = |path: &&PathBuf| !folder.changes.contains(path);
        let deleted = folder.deleted.iter().filter(is_replaced);
        let lines = changes.chain(deleted.map(|path| (path, " (would be deleted)".to_owned())));
        let count = lines.clone().count();
        for (path, remark) in lines.take(CHANGES_SHOWN) {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            text.push_str(&format!("\n    {}{remark}", named(path)));
        }
        if count > CHANGES_SHOWN {
            text.push_str(&format!("\n    and {} more", count - CHANGES_SHOWN));
        }
    }
    with_diff(text, folder.diff.as_deref())
}

/// Returns what is in the place of a change, if it is of another kind.
fn obstacle(folder: &TransferredFolder, path: &PathBuf) -> String {
    match folder.obstacles.iter().find(|obstacle| obstacle.path == *path) {
        Some(obstacle) if folder.deleted.contains(path) => format!(" (would replace the {})", obstacle.kind),
        Some(obstacle) => {
            format!(" (a {} is in the way, and only --delete replaces it)", obstacle.kind)
        }
        None => String::new(),
    }
}

/// Appends a diff as it is, so that other programs can read it.
fn with_diff(mut text: String, diff: Option<&str>) -> String {
    if let Some(diff) = diff.filter(|diff| !diff.is_empty()) {
        text.push('\n');
        text.push_str(harmless(diff).trim_end_matches('\n'));
    }
    text
}

fn entries_text(entries: &Entries) -> String {
    let Entries { changed, unchanged, deleted } = *entries;
    let mut text = format!("{} changed, {} unchanged", grouped(changed), grouped(unchanged));
    if deleted > 0 {
        text.push_str(&format!(", {} deleted", grouped(deleted)));
    }
    text
}

/// Writes a number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The number of paths that fit on a screen. All are in the JSON.
const CHANGES_SHOWN: usize = 50;

/// Returns a path on one line, whatever it contains.
fn named(path: &Path) -> String {
    harmless_line(path.as_os_str().as_bytes()).into_owned()
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn described(pong: &Pong) -> String {
    let Pong { agent, connect_ms, latency_ms } = pong;
    let kind = match agent.python {
        Some((major, minor, micro)) => format!("Python {major}.{minor}.{micro}"),
        None => "an agent in Rust".to_owned(),
    };
    let text = format!(
        "{kind}, {}, on {}: {latency_ms:.2} ms, connected in {connect_ms:.0} ms",
        agent.executable, agent.hostname
    );
    harmless_line(&text).into_owned()
}

/// Appends lines, each indented.
fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        if !line.is_empty() {
            out.push_str(INDENT);
            out.push_str(line);
        }
        out.push('\n');
    }
}

pub(crate) const INDENT: &str = "    ";

#[cfg(test)]
mod tests {
    use chopsticks::Hint;

    use super::*;

    fn human() -> Human {
        Human::new(Paint::new(false), Paint::new(false))
    }

    #[test]
    fn values_of_one_line_stand_behind_the_host_and_others_below() {
        let text = |value| {
            let mut out = Vec::new();
            human().value("a", value).write_to(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(Shown::Line("5".into())), "a: 5\n");
        assert_eq!(text(Shown::Block("    one\n\n      two\n".into())), "a:\n    one\n\n      two\n");
    }

    #[test]
    fn equal_output_is_shown_once_the_most_common_first() {
        let mut human = human().folded();
        for (index, host, stdout, stderr) in [
            (3, "web3", "one\n\ntwo", ""),
            (0, "db", "10 %\r20 %\r\n", "bad\x1b\n"),
            (1, "web1", "one\n\ntwo", ""),
            (4, "x", "", ""),
            (2, "web2", "one\n\ntwo", ""),
        ] {
            human.fold(index, host, stdout.into(), stderr.into());
        }
        let Text { stdout, stderr, .. } = human.rest();
        let expected = "3 hosts (web[1-3]):\n    one\n\n    two\ndb: 20 %\n";
        assert_eq!(String::from_utf8(stdout).unwrap(), expected);
        assert_eq!(String::from_utf8(stderr).unwrap(), "db: bad\\x1b\n");
    }

    #[test]
    fn failure_has_host_phase_message_and_traceback() {
        let failure = Failure {
            kind: "raised",
            phase: "call".to_owned(),
            message: "ValueError: no\x1b[2J\nreally".to_owned(),
            hint: None,
            traceback: Some("Traceback:\n  File\x07\n".to_owned()),
            may_pass: false,
        };
        let expected = "a: call: ValueError: no\\x1b[2J\n    really\n    Traceback:\n      File\\x07\n";
        assert_eq!(human().failure("a", &failure), expected);

        let bare = Failure {
            message: "SystemExit: 3".to_owned(),
            traceback: Some("SystemExit: 3\n".to_owned()),
            ..failure
        };
        assert_eq!(human().failure("a", &bare), "a: call: SystemExit: 3\n");

        let hint = Some(Box::new(Hint::new("name-unknown", "check its spelling")));
        let hinted = Failure { message: "no such host".to_owned(), hint, traceback: None, ..bare };
        assert_eq!(human().failure("a", &hinted), "a: call: no such host (check its spelling)\n");
    }

    #[test]
    fn summary_counts_what_there_was() {
        let summary = |ok, failed, interrupted| {
            let tally = Tally { ok, failed, interrupted, ..Tally::default() };
            String::from_utf8(human().summary(tally, Duration::from_millis(123))).unwrap()
        };
        assert_eq!(summary(1, 0, 0), "1 host: 1 ok in 0.12 s\n");
        assert_eq!(summary(2, 1, 0), "3 hosts: 2 ok, 1 failed in 0.12 s\n");
        assert_eq!(summary(0, 1, 2), "3 hosts: 1 failed, 2 interrupted in 0.12 s\n");
    }
}
