//! What each target of a queue did, and when.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc, time::Duration};

use tokio::time::Instant;

mod svg;

/// What each target of a [`Queue`](crate::Queue) has done, and when. [`to_svg`](Self::to_svg) draws it.
#[derive(Clone, Debug, Default)]
pub struct Timeline<N> {
    rows: Vec<(N, Vec<Span>)>,
    len: Duration,
}

/// One operation of one target.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// What the operation is called.
    pub label: Arc<str>,
    /// When it started, after the first one of the queue.
    pub start: Duration,
    /// When it ended, if it has.
    pub end: Option<Duration>,
    /// Whether it has ended in success.
    pub is_success: bool,
}

impl<N: fmt::Display> Timeline<N> {
    /// Returns the targets and their operations, in the order in which the targets first started.
    pub fn rows(&self) -> &[(N, Vec<Span>)] {
        &self.rows
    }

    /// Returns the time from the first start to now, or to the last end if nothing runs.
    pub fn len(&self) -> Duration {
        self.len
    }

    /// Whether nothing has started.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns a picture: a row for each target, a bar for each operation; those that failed are red.
    ///
    /// It is a document of its own, for a file that any browser shows.
    pub fn to_svg(&self) -> String {
        svg::draw(&self.rows, self.len)
    }
}

/// Keeps what a queue does.
#[derive(Debug)]
pub(crate) struct Record<N> {
    origin: Option<Instant>,
    rows: Vec<(N, Vec<Span>)>,
    places: HashMap<N, usize>,
}

/// The place of an operation in a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    row: usize,
    at: usize,
}

impl<N: Clone + Eq + Hash> Record<N> {
    pub(crate) fn begin(&mut self, name: &N, label: &Arc<str>) -> Entry {
        let start = self.origin.get_or_insert_with(Instant::now).elapsed();
        let row = match self.places.get(name) {
            Some(row) => *row,
            None => {
                self.rows.push((name.clone(), Vec::new()));
                self.places.insert(name.clone(), self.rows.len() - 1);
                self.rows.len() - 1
            }
        };
        let spans = &mut self.rows[row].1;
        spans.push(Span { label: label.clone(), start, end: None, is_success: false });
        Entry { row, at: spans.len() - 1 }
    }

    pub(crate) fn end(&mut self, entry: Entry, is_success: bool) {
        let span = &mut self.rows[entry.row].1[entry.at];
        span.end = self.origin.map(|origin| origin.elapsed());
        span.is_success = is_success;
    }

    pub(crate) fn timeline(&self) -> Timeline<N> {
        let now = self.origin.map(|origin| origin.elapsed()).unwrap_or_default();
        let ends = self.rows.iter().flat_map(|(_, spans)| spans).map(|span| span.end.unwrap_or(now));
        Timeline { len: ends.max().unwrap_or_default(), rows: self.rows.clone() }
    }
}

impl<N> Default for Record<N> {
    fn default() -> Self {
        Self { origin: None, rows: Vec::new(), places: HashMap::new() }
    }
}
