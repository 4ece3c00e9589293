//! The timeline of a queue or a pool: the operations of each target with their times.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc, time::Duration};

use tokio::time::Instant;

mod svg;

/// The operations that each target of a [`Queue`](crate::Queue) or a [`Pool`](crate::Pool) has performed, with their times. [`to_svg`](Self::to_svg) draws them.
#[derive(Clone, Debug, Default)]
pub struct Timeline<N> {
    rows: Vec<(N, Vec<Span>)>,
    len: Duration,
}

/// One operation of one target.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// The label of the operation.
    pub label: Arc<str>,
    /// The time from the start of the queue's first operation to the start of this one.
    pub start: Duration,
    /// The time of its end, counted in the same way, or `None` if it is running.
    pub end: Option<Duration>,
    /// Whether it has succeeded.
    pub is_success: bool,
}

impl<N: fmt::Display> Timeline<N> {
    /// Returns the targets and their operations, in the order in which the targets first started.
    pub fn rows(&self) -> &[(N, Vec<Span>)] {
        &self.rows
    }

    /// Returns the time from the first start until now, or until the last end if nothing is running.
    pub fn len(&self) -> Duration {
        self.len
    }

    /// Returns whether nothing has started.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns a picture with a row for each target and a bar for each operation. Bars of failed operations are red.
    ///
    /// The picture is a complete SVG document, which can be written to a file and opened in a browser.
    pub fn to_svg(&self) -> String {
        svg::draw(&self.rows, self.len)
    }
}

/// Records what a queue does.
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

    /// Records an operation that has just ended, and has taken so long.
    pub(crate) fn add(&mut self, name: &N, label: &Arc<str>, took: Duration, is_success: bool) {
        if self.origin.is_none() {
            self.origin = Instant::now().checked_sub(took);
        }
        let entry = self.begin(name, label);
        self.end(entry, is_success);
        let span = &mut self.rows[entry.row].1[entry.at];
        span.start = span.start.saturating_sub(took);
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
