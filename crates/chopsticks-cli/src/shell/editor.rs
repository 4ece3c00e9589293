//! The lines of the prompt: editing, history and completion.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use rustyline::{
    CompletionType, Config, Context, EditMode, Helper, completion::Completer, error::ReadlineError,
    highlight::Highlighter, hint::Hinter, history::FileHistory, validate::Validator,
};
use tokio::{sync::mpsc as queue, task::spawn_blocking};

/// An editor of lines on the terminal.
pub(super) struct Editor {
    inner: Arc<Mutex<rustyline::Editor<Names, FileHistory>>>,
    history: Option<PathBuf>,
    questions: queue::UnboundedReceiver<Question>,
}

/// What was typed.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line {
    /// Ctrl-D.
    End,
    /// Ctrl-C.
    Interrupted,
    Text(String),
}

/// The begin of a name, and where the names that begin so are sent.
struct Question {
    text: String,
    answer: mpsc::Sender<Vec<String>>,
}

/// Completes the names of a target. It is asked on the thread of the editor.
struct Names {
    questions: queue::UnboundedSender<Question>,
}

impl Editor {
    /// Opens the editor, with the lines of a file as its history. A file with the name `-` is none.
    pub(super) fn open(history: Option<PathBuf>) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .auto_add_history(false)
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .edit_mode(EditMode::Emacs)
            .tab_stop(4)
            .build();
        let (sender, questions) = queue::unbounded_channel();
        let mut inner = rustyline::Editor::with_config(config)?;
        inner.set_helper(Some(Names { questions: sender }));
        let history = history.filter(|path| path.as_os_str() != "-");
        if let Some(path) = &history {
            // There is none at the first time.
            let _ = inner.load_history(path);
        }
        Ok(Self { inner: Arc::new(Mutex::new(inner)), history, questions })
    }

    /// Reads a line. `names` returns the names that begin with a text.
    pub(super) async fn read(&mut self, prompt: String, names: impl AsyncFn(String) -> Vec<String>) -> Line {
        let inner = self.inner.clone();
        let reading =
            spawn_blocking(move || inner.lock().unwrap_or_else(PoisonError::into_inner).readline(&prompt));
        tokio::pin!(reading);
        loop {
            let question = tokio::select! {
                biased;
                read = &mut reading => return match read {
                    Ok(Ok(line)) => Line::Text(line),
                    // A signal came while a block ran: it has been heard.
                    Ok(Err(ReadlineError::Interrupted | ReadlineError::Signal(_))) => Line::Interrupted,
                    // The end, or a terminal that is gone.
                    _ => Line::End,
                },
                Some(question) = self.questions.recv() => question,
            };
            // Whoever asked may have given up.
            let _ = question.answer.send(names(question.text).await);
        }
    }

    /// Adds a block to the history.
    pub(super) fn remember(&mut self, block: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A history that cannot be kept is no reason to stop. Only its owner can read the file.
        let is_new = inner.add_history_entry(block).unwrap_or(false);
        if let Some(path) = self.history.as_ref().filter(|_| is_new) {
            let _ = inner.save_history(path);
        }
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let start = begin(&line[..position]);
        let text = line[start..position].to_owned();
        if text.is_empty() {
            // A tab indents.
            return Ok((position, vec!["    ".to_owned()]));
        }
        let (answer, answers) = mpsc::channel();
        let names = match self.questions.send(Question { text, answer }) {
            Ok(()) => answers.recv_timeout(PATIENCE).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        // A terminal must not obey what a target sends.
        let names = names.iter().map(|name| chopsticks::text::harmless_line(name).into_owned());
        Ok((start, names.collect()))
    }
}

/// Returns where the name begins that a line ends with, such as `os.path.jo`.
fn begin(line: &str) -> usize {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.');
    line.char_indices()
        .rev()
        .take_while(|(_, character)| is_part(*character))
        .last()
        .map_or(line.len(), |(at, _)| at)
}

impl Helper for Names {}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Validator for Names {}

/// Longer than a round trip around the world, and shorter than people wait for names.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_begins_behind_what_cannot_be_part_of_it() {
        for (line, name) in
            [("os.pa", "os.pa"), ("x = len(os.pa", "os.pa"), ("a+", ""), ("", ""), ("für.ö", "für.ö")]
        {
            assert_eq!(&line[begin(line)..], name);
        }
    }
}
