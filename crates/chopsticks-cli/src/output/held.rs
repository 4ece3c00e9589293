//! What is not shown yet: it waits for the turn of its target, or for all.

use std::collections::BTreeMap;

use chopsticks::HostName;

use crate::output::{Stream, Text};

/// Output of programs, and outcomes, by the places of their targets.
#[derive(Debug)]
pub(super) struct Held {
    turn: Turn,
    entries: BTreeMap<usize, Entry>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    Everybody,
    Nobody,
    /// That of the target at this place, and of those before.
    Of(usize),
}

/// What there is of a target.
#[derive(Debug, Default)]
struct Entry {
    parts: Vec<Part>,
    len: usize,
    has_ended: bool,
}

/// What is written at once.
#[derive(Debug)]
pub(super) enum Part {
    Text(HostName, Stream, Vec<u8>),
    Outcome(Text),
}

impl Held {
    /// Holds nothing.
    pub(super) fn nothing() -> Self {
        Self::new(Turn::Everybody)
    }

    /// Holds the output of programs until all are done.
    pub(super) fn all() -> Self {
        Self::new(Turn::Nobody)
    }

    /// Holds what comes before the targets in front of it are done.
    pub(super) fn in_order() -> Self {
        Self::new(Turn::Of(0))
    }

    fn new(turn: Turn) -> Self {
        Self { turn, entries: BTreeMap::new() }
    }

    pub(super) fn is_all(&self) -> bool {
        self.turn == Turn::Nobody
    }

    /// Whether output of the target at this place has to wait.
    pub(super) fn holds(&self, index: usize) -> bool {
        match self.turn {
            Turn::Everybody => false,
            Turn::Nobody => true,
            Turn::Of(turn) => index > turn,
        }
    }

    /// Adds output; the error is how much of one target is held at most.
    pub(super) fn add(
        &mut self,
        index: usize,
        host: &HostName,
        stream: Stream,
        text: &[u8],
    ) -> Result<(), usize> {
        let entry = self.entries.entry(index).or_default();
        entry.len += text.len();
        if entry.len > MAX_LEN {
            return Err(MAX_LEN);
        }
        match entry.parts.last_mut() {
            Some(Part::Text(_, last, written)) if *last == stream => written.extend_from_slice(text),
            _ => entry.parts.push(Part::Text(host.clone(), stream, text.to_vec())),
        }
        Ok(())
    }

    /// Takes the output of a target: what it wrote to stdout, and to stderr.
    pub(super) fn take(&mut self, index: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for part in self.entries.remove(&index).unwrap_or_default().parts {
            match part {
                Part::Text(_, Stream::Stdout, text) => stdout.extend(text),
                Part::Text(_, Stream::Printed | Stream::Stderr, text) => stderr.extend(text),
                Part::Outcome(_) => {}
            }
        }
        (stdout, stderr)
    }

    /// Adds the outcome of a target; returns what is to be written now.
    pub(super) fn end(&mut self, index: usize, text: Text) -> Vec<Part> {
        let Turn::Of(mut turn) = self.turn else { return vec![Part::Outcome(text)] };
        let entry = self.entries.entry(index).or_default();
        entry.parts.push(Part::Outcome(text));
        entry.has_ended = true;
        let mut parts = Vec::new();
        while let Some(entry) = self.entries.get_mut(&turn) {
            parts.append(&mut entry.parts);
            if !entry.has_ended {
                break;
            }
            self.entries.remove(&turn);
            turn += 1;
        }
        self.turn = Turn::Of(turn);
        parts
    }
}

/// What is kept of the output of one target. Much more than anyone reads.
const MAX_LEN: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: Vec<Part>) -> String {
        let text = |part| match part {
            Part::Text(host, stream, text) => {
                format!("{host} {stream:?} {}", String::from_utf8(text).unwrap())
            }
            Part::Outcome(text) => String::from_utf8(text.stdout).unwrap(),
        };
        parts.into_iter().map(text).collect::<Vec<_>>().join("; ")
    }

    fn ended(held: &mut Held, index: usize) -> String {
        let stdout = format!("end {index}").into_bytes();
        shown(held.end(index, Text { stdout, ..Text::default() }))
    }

    #[test]
    fn targets_take_turns_in_their_order() {
        let mut held = Held::in_order();
        let host = |index: usize| HostName::lossy(&format!("h{index}"));
        assert!(!held.holds(0) && held.holds(1));
        for (index, stream, text) in [
            (2, Stream::Stdout, "c"),
            (1, Stream::Stdout, "b"),
            (1, Stream::Stdout, "b"),
            (1, Stream::Stderr, "e"),
        ] {
            held.add(index, &host(index), stream, text.as_bytes()).unwrap();
        }
        assert_eq!(ended(&mut held, 2), "");
        assert_eq!(ended(&mut held, 0), "end 0; h1 Stdout bb; h1 Stderr e");
        assert!(!held.holds(1) && held.holds(2));
        assert_eq!(ended(&mut held, 1), "end 1; h2 Stdout c; end 2");
        assert_eq!(ended(&mut held, 3), "end 3");
    }

    #[test]
    fn too_much_is_refused() {
        let mut held = Held::all();
        let host = HostName::lossy("a");
        let piece = vec![b'x'; MAX_LEN / 2];
        held.add(0, &host, Stream::Stdout, &piece).unwrap();
        held.add(0, &host, Stream::Stderr, &piece).unwrap();
        held.add(1, &host, Stream::Stdout, &piece).unwrap();
        assert_eq!(held.add(0, &host, Stream::Stdout, b"x"), Err(MAX_LEN));
        assert_eq!(held.take(1).0.len(), MAX_LEN / 2);
    }
}
