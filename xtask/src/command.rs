//! Commands that tasks run: shown, run, and their output watched while it passes by.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use chopsticks_support::processes;
use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::interrupt;

/// How often a command that is watched is looked after while it says nothing.
const LOOK: Duration = Duration::from_millis(200);

/// How long to wait for the rest of the output of a command that was killed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where a line of output came from.
#[derive(Clone, Copy)]
enum Source {
    Stdout,
    Stderr,
}

/// How a watched command ended.
#[derive(Debug)]
pub(crate) enum Ending {
    Exited(ExitStatus),
    /// It was ended because the task was.
    Interrupted,
    /// It was ended because it printed nothing for too long.
    Silent,
}

/// Prints the command, runs it, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    announce(command);
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| Failure::during(show(command), error))?;
    if status.success() { Ok(()) } else { Err(Failure::during(show(command), status)) }
}

/// Prints the command, runs it, and hands each line of its output to `on_line` after passing it on.
///
/// Lines are passed on as they come, behind `prefix`. Those of stdout and of stderr keep their order, but not towards each
/// other. A command that prints nothing for as long as `patience` is ended, with all that it started, and so is one that is
/// under way when the task is [interrupted](interrupt).
pub(crate) fn watch(
    command: &mut Command,
    prefix: &str,
    patience: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<Ending, Failure> {
    announce(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::during(show(command), error))?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || forward(stdout, Source::Stdout, &sender));
    }
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || forward(stderr, Source::Stderr, &sender));
    }
    let mut ended = None;
    let mut heard = Instant::now();
    loop {
        match lines.recv_timeout(if ended.is_some() { LAST_WORDS } else { LOOK }) {
            Ok((source, line)) => {
                heard = Instant::now();
                let line = String::from_utf8_lossy(&line);
                match source {
                    Source::Stdout => print!("{prefix}{line}"),
                    Source::Stderr => eprint!("{prefix}{line}"),
                }
                on_line(without_colours(&line).trim());
            }
            Err(RecvTimeoutError::Timeout) if ended.is_none() => {
                let interrupted = interrupt::came().then_some(Ending::Interrupted);
                ended = interrupted.or_else(|| (heard.elapsed() >= patience).then_some(Ending::Silent));
                if ended.is_some() {
                    // What it had begun to print often tells what it was about.
                    kill_tree(child.id());
                }
            }
            // Both pipes were closed, or are held open by a process that got away.
            Err(_) => break,
        }
    }
    let status = child.wait().map_err(|error| Failure::during(show(command), error))?;
    Ok(ended.unwrap_or(Ending::Exited(status)))
}

/// Runs a command silently and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::during(show(command), error))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{}: {}\n{}", show(command), output.status, stderr.trim_end())));
    }
    String::from_utf8(output.stdout).map_err(|error| Failure::during(show(command), error))
}

/// Returns whether a command runs and succeeds, without showing anything.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Returns the command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), quote(&value.to_string_lossy())));
        }
    }
    words.push(quote(&command.get_program().to_string_lossy()));
    words.extend(command.get_args().map(|argument| quote(&argument.to_string_lossy())));
    words.join(" ")
}

/// Prints a line, and makes sure that it stands before what the command prints.
fn announce(command: &Command) {
    println!("$ {}", show(command));
    // Nothing can be done about a stdout that is closed.
    let _ = io::stdout().flush();
}

fn forward(pipe: impl Read, source: Source, sender: &mpsc::Sender<(Source, Vec<u8>)>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if sender.send((source, std::mem::take(&mut line))).is_err() {
            return;
        }
    }
}

/// Kills a process and its descendants, top down, so that none of them starts another.
pub(crate) fn kill_tree(root: u32) {
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        // One that takes no signal has ended already.
        let _ = number.map(|pid| kill_process(pid, Signal::STOP));
        pids.extend(processes::children_of(pid));
        next += 1;
    }
    for number in pids.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        let _ = kill_process(number, Signal::KILL);
    }
}

fn quote(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:,@+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Removes the escape sequences that colour a terminal.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut parts = line.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|character: char| character.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn lines_of_both_outputs_are_watched() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; printf three; exit 3"]);
        let ending = watch(&mut command, "", PATIENCE, |line| lines.push(line.to_owned())).unwrap();
        lines.sort();
        assert_eq!(lines, ["one", "three", "two"]);
        assert!(matches!(ending, Ending::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn silent_command_is_ended_with_what_it_started() {
        // A number of seconds that nothing else on the machine sleeps for.
        let canary = format!("3600.{}", std::process::id());
        let mut command = Command::new("sh");
        command.args(["-c", "printf begun; sleep \"$1\" & sleep \"$1\"; true", "sh", &canary]);
        let mut lines = Vec::new();
        let ending =
            watch(&mut command, "> ", Duration::from_secs(3), |line| lines.push(line.to_owned())).unwrap();
        assert!(matches!(ending, Ending::Silent));
        assert_eq!(lines, ["begun"]);
        processes::wait_until_gone(processes::with_argument(&canary), PATIENCE).unwrap();
    }

    #[test]
    fn program_that_is_missing_is_a_failure_with_its_name() {
        let failure = run(&mut Command::new("/nonexistent/program")).unwrap_err();
        assert!(matches!(failure, Failure::Message(text) if text.starts_with("/nonexistent/program: ")));
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("cargo");
        command.args(["test", "it's"]).env("FLAGS", "-D warnings");
        assert_eq!(show(&command), r"FLAGS='-D warnings' cargo test 'it'\''s'");
    }

    #[test]
    fn colours_are_removed() {
        assert_eq!(without_colours("\u{1b}[32;1m  Summary\u{1b}[0m [0.1s]"), "  Summary [0.1s]");
        assert_eq!(without_colours("plain"), "plain");
    }
}
