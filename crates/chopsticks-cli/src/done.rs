//! The items of `map` that are done, and the file that says so.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::items::Place;

/// The items that are done, and the file with them.
///
/// Results are written first, and then noted here. A run that is killed in between would have its results written
/// once more. If stdout is a file, this is prevented: where each result will end in it is noted before they are
/// written, so that its size tells later how far it has got.
#[derive(Debug)]
pub(crate) struct Done {
    file: File,
    hashes: HashMap<u64, u64>,
    /// The file that results are written to, if it is one.
    results: Option<File>,
}

/// A result that is about to be written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Written {
    /// Where its line ends, behind the first of those that are written together.
    pub(crate) end: u64,
    /// Its item, if that is done then.
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
}

/// A line of the file.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Entry {
    Done(Place),
    Writing(Writing),
}

/// Results that are about to be written.
#[derive(Debug, Deserialize, Serialize)]
struct Writing {
    /// The device and the number of the file.
    file: (u64, u64),
    /// Its size before.
    start: u64,
    results: Vec<Written>,
}

impl Done {
    /// Opens the file, which is created if it does not exist, and reads which items are done. `results` is where
    /// results go.
    ///
    /// A last line that was not written to its end is cut off, in both files.
    pub(crate) fn open(path: &Path, results: &File) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut hashes = HashMap::new();
        let mut last = None;
        for (number, line) in text[..whole].lines().enumerate() {
            let entry = serde_json::from_str(line).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", number + 1))
            })?;
            match entry {
                Entry::Done(place) => drop(hashes.insert(place.index, place.hash)),
                Entry::Writing(writing) => last = Some(writing),
            }
        }
        if whole < text.len() {
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::End(0))?;
        }
        let results = if results.metadata()?.is_file() { Some(results.try_clone()?) } else { None };
        let mut done = Self { file, hashes, results };
        if let Some(writing) = last {
            done.recover(&writing)?;
        }
        Ok(done)
    }

    /// As [`open`](Self::open), with stdout.
    pub(crate) fn with_stdout(path: &Path) -> io::Result<Self> {
        Self::open(path, &File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    /// Returns how many items were done when the file was opened.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Returns the hashes of the items that were done then, by the numbers of their lines.
    pub(crate) fn hashes(&self) -> &HashMap<u64, u64> {
        &self.hashes
    }

    /// Notes results that are about to be written, in the order in which they will be.
    pub(crate) fn begin(&mut self, results: &[Written]) -> io::Result<()> {
        let Some(file) = &self.results else { return Ok(()) };
        let found = file.metadata()?;
        let (file, start) = ((found.dev(), found.ino()), found.len());
        self.write([Entry::Writing(Writing { file, start, results: results.to_vec() })])
    }

    /// Adds the items of results that have been written.
    pub(crate) fn add(&mut self, results: &[Written]) -> io::Result<()> {
        self.write(results.iter().filter_map(|written| written.place).map(Entry::Done))
    }

    /// Adds those of the last results that have been written, whether or not that was noted.
    fn recover(&mut self, writing: &Writing) -> io::Result<()> {
        let Some(file) = &self.results else { return Ok(()) };
        let found = file.metadata()?;
        if (found.dev(), found.ino()) != writing.file {
            return Ok(());
        }
        // Of a file that was emptied meanwhile, nothing is there.
        let Some(size) = found.len().checked_sub(writing.start) else { return Ok(()) };
        let is_written = |written: &&Written| written.end <= size;
        let written: Vec<_> = writing.results.iter().filter(is_written).copied().collect();
        let whole = written.last().map_or(0, |last| last.end);
        if written.len() < writing.results.len() && size > whole {
            file.set_len(writing.start + whole)?;
        }
        let is_new = |place: &Place| self.hashes.get(&place.index) != Some(&place.hash);
        let new: Vec<_> =
            written.into_iter().filter(|written| written.place.as_ref().is_some_and(is_new)).collect();
        self.hashes
            .extend(new.iter().filter_map(|written| written.place).map(|place| (place.index, place.hash)));
        self.add(&new)
    }

    fn write(&mut self, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, &entry)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use chopsticks_support::Scratch;

    use super::*;

    fn written(end: u64, index: Option<u64>) -> Written {
        Written { end, place: index.map(|index| Place { index, hash: index + 100 }) }
    }

    /// A run that is killed when so many bytes of its second batch have been written. Returns which items are done for
    /// the next run, and what it finds as results.
    fn killed_after(bytes: usize, is_noted: bool) -> (Vec<u64>, String) {
        let scratch = Scratch::new();
        let path = scratch.path().join("done");
        let append =
            || OpenOptions::new().append(true).create(true).open(scratch.path().join("out")).unwrap();
        let mut out = append();
        let mut done = Done::open(&path, &out).unwrap();
        let first = [written(2, Some(0)), written(4, None)];
        done.begin(&first).unwrap();
        out.write_all(b"a\nf\n").unwrap();
        done.add(&first).unwrap();
        let second = [written(2, Some(2)), written(4, None), written(7, Some(1))];
        done.begin(&second).unwrap();
        out.write_all(&b"c\nf\nbb\n"[..bytes]).unwrap();
        if is_noted {
            done.add(&second).unwrap();
        }
        drop((done, out));
        for _ in 0..2 {
            // The second time there is nothing to do.
            Done::open(&path, &append()).unwrap();
        }
        let mut indices: Vec<_> = Done::open(&path, &append()).unwrap().hashes.into_keys().collect();
        indices.sort_unstable();
        (indices, std::fs::read_to_string(scratch.path().join("out")).unwrap())
    }

    #[test]
    fn size_of_the_results_tells_what_a_killed_run_has_written() {
        let found = |bytes| killed_after(bytes, false);
        let expected = |indices: &[u64], text: &str| (indices.to_vec(), text.to_owned());
        assert_eq!(found(0), expected(&[0], "a\nf\n"));
        assert_eq!(found(1), expected(&[0], "a\nf\n"));
        assert_eq!(found(2), expected(&[0, 2], "a\nf\nc\n"));
        assert_eq!(found(6), expected(&[0, 2], "a\nf\nc\nf\n"));
        assert_eq!(found(7), expected(&[0, 1, 2], "a\nf\nc\nf\nbb\n"));
        assert_eq!(killed_after(7, true), found(7));
    }

    #[test]
    fn results_of_another_file_are_not_touched() {
        let scratch = Scratch::new();
        let path = scratch.path().join("done");
        let open = |name: &str| {
            OpenOptions::new().append(true).create(true).open(scratch.path().join(name)).unwrap()
        };
        let mut done = Done::open(&path, &open("out")).unwrap();
        done.begin(&[written(2, Some(0))]).unwrap();
        open("other").write_all(b"x\nyyy").unwrap();
        assert_eq!(Done::open(&path, &open("other")).unwrap().len(), 0);
        assert_eq!(std::fs::read(scratch.path().join("other")).unwrap(), b"x\nyyy");
        // A pipe has no size.
        let pipe = File::from(std::os::fd::OwnedFd::from(io::pipe().unwrap().1));
        let mut done = Done::open(&path, &pipe).unwrap();
        let before = std::fs::read(&path).unwrap();
        done.begin(&[written(2, Some(0))]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
