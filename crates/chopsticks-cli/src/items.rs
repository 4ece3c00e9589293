//! The items of `map`: the lines of its input.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader},
    os::fd::AsFd as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use futures::{Stream, stream};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use tokio::sync::mpsc;

use crate::{argument::Argument, done::Done, input::is_stdin};

/// A line of the input.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) place: Place,
    item: Result<Argument, String>,
}

/// Which line it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Place {
    /// Its number, from 0.
    pub(crate) index: u64,
    /// The hash of its content, so that another line in its place is not taken for it.
    pub(crate) hash: u64,
}

/// The form of lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    JsonOrText,
    Text,
}

/// The places of the items that were handed out, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<Window>>);

#[derive(Debug, Default)]
struct Window {
    /// The number of the first item here, among those that were handed out.
    first: u64,
    places: VecDeque<Option<Place>>,
}

impl Line {
    /// Reads a line, without its end. Returns `None` for one that has no item.
    fn new(index: u64, bytes: &[u8], form: Form) -> Option<Self> {
        let place = Place { index, hash: hash(bytes) };
        let item = match (str::from_utf8(bytes), form) {
            (Err(_), _) => Err("the line is not UTF-8".to_owned()),
            (Ok(text), Form::Text) => Ok(Argument::Text(text.to_owned())),
            (Ok(text), Form::JsonOrText) if text.trim().is_empty() => return None,
            (Ok(text), Form::JsonOrText) => text.parse::<Argument>().map_err(|error| error.to_string()),
        };
        Some(Self { place, item })
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.item {
            Ok(item) => item.serialize(serializer),
            Err(reason) => Err(S::Error::custom(reason)),
        }
    }
}

/// Reads the lines of a file or of stdin on a separate thread, which does not keep the program from
/// ending. Those that are done are left out. An error ends the stream.
pub(crate) fn read(
    path: &Path,
    form: Form,
    done: Option<&Done>,
) -> io::Result<impl Stream<Item = io::Result<Line>> + Send + use<>> {
    let file = if is_stdin(path) {
        File::from(io::stdin().as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    let hashes = done.map(|done| done.hashes().clone()).unwrap_or_default();
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let read = move || {
        let mut input = BufReader::with_capacity(64 << 10, file);
        let mut line = Vec::new();
        for index in 0.. {
            line.clear();
            let item = match input.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    let end = line.strip_suffix(b"\n").unwrap_or(&line);
                    let content = end.strip_suffix(b"\r").unwrap_or(end);
                    Line::new(index, content, form).map(Ok)
                }
                Err(error) => Some(Err(error)),
            };
            let is_done = |line: &Line| hashes.get(&line.place.index) == Some(&line.place.hash);
            let Some(item) = item.filter(|item| !item.as_ref().is_ok_and(is_done)) else { continue };
            let is_last = item.is_err();
            if sender.blocking_send(item).is_err() || is_last {
                return;
            }
        }
    };
    thread::Builder::new().name("items".to_owned()).spawn(read)?;
    Ok(stream::unfold(receiver, async |mut receiver: mpsc::Receiver<io::Result<Line>>| {
        Some((receiver.recv().await?, receiver))
    }))
}

impl Places {
    /// Remembers the place of the item that is handed out next.
    pub(crate) fn add(&self, place: Place) {
        self.window().places.push_back(Some(place));
    }

    /// Returns the place of an item by its number among those that were handed out, and forgets it.
    pub(crate) fn take(&self, number: u64) -> Option<Place> {
        let mut window = self.window();
        let at = usize::try_from(number.checked_sub(window.first)?).ok()?;
        let place = window.places.get_mut(at)?.take();
        while let Some(None) = window.places.front() {
            window.places.pop_front();
            window.first += 1;
        }
        place
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// FNV-1a, which is the same in every version of this program.
fn hash(bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// How many lines are read ahead.
const READ_AHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn item(line: &str, form: Form) -> Option<Argument> {
        Line::new(0, line.as_bytes(), form).map(|line| line.item.unwrap())
    }

    #[test]
    fn line_is_json_or_text() {
        let json = |line| item(line, Form::JsonOrText);
        assert!(matches!(json("[1, \"a\"]"), Some(Argument::List(items)) if items.len() == 2));
        assert_eq!(json("web1"), Some(Argument::Text("web1".to_owned())));
        assert_eq!(json("  "), None);
        assert_eq!(item("5", Form::Text), Some(Argument::Text("5".to_owned())));
        assert_eq!(item("", Form::Text), Some(Argument::Text(String::new())));
        assert!(Line::new(0, b"\xff", Form::Text).unwrap().item.is_err());
    }

    #[test]
    fn places_are_found_in_any_order_and_forgotten() {
        let places = Places::default();
        let place = |index| Place { index, hash: 0 };
        (10..14).for_each(|index| places.add(place(index)));
        for (number, index) in [(1, 11), (0, 10), (3, 13), (2, 12)] {
            assert_eq!(places.take(number), Some(place(index)));
            assert_eq!(places.take(number), None);
        }
        assert!(places.window().places.is_empty());
    }

    #[test]
    fn hash_is_that_of_fnv_1a() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
