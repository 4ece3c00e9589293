//! Reading a local folder while it is sent.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use rustix::fs::OFlags;

use crate::{
    content::{self, BLOCK_LEN, Encoder, Pool},
    delta::{Base, Signature, send_delta},
    entry::{self, Counts, Kind, Looks},
    patience::patiently,
    reading::{expected, open_checked, read_blocks},
};

/// Bytes to send, and how many of them are content of files.
pub type Piece = (Bytes, u64);

/// A path, and the error that occurred there.
pub type Problem = (PathBuf, io::Error);

/// What a walk does with each path. All paths start at the folder that is sent.
pub(crate) trait Guide {
    /// Returns whether something is left out, with everything in it.
    fn leaves_out(&self, path: &Path, is_folder: bool) -> bool;

    /// Returns whether the receiver may have a part of a file, so that [`find`](Self::find) is
    /// called.
    fn has_base(&self, _path: &Path) -> bool {
        false
    }

    /// Returns what the receiver has of a file. Blocks the thread.
    fn find(&self, _path: &Path) -> Option<Base> {
        None
    }
}

/// Passes a folder, with everything in it that `guide` does not leave out, to `give`, in blocks of
/// `block_len`, until it returns false. Returns what was passed, or `None` if that was not all.
pub(crate) fn walk(
    root: PathBuf,
    block_len: usize,
    guide: &impl Guide,
    give: &mut dyn FnMut(Piece) -> bool,
) -> Result<Option<Counts>, Problem> {
    let mut walk = Walk {
        give,
        path: root.clone(),
        root,
        guide,
        out: BytesMut::new(),
        content: 0,
        pool: Pool::new(block_len.min(BLOCK_LEN)),
        entered: Vec::new(),
        counts: Counts::default(),
    };
    match walk.run() {
        Ok(()) => Ok(Some(walk.counts)),
        Err(Stop::Unwanted) => Ok(None),
        Err(Stop::Problem(error)) => Err((walk.path, error)),
    }
}

struct Walk<'a, G> {
    give: &'a mut dyn FnMut(Piece) -> bool,
    /// The current path.
    path: PathBuf,
    root: PathBuf,
    guide: &'a G,
    /// Small pieces that are sent together, and the number of content bytes among them.
    out: BytesMut,
    content: u64,
    pool: Pool,
    /// The names that remain in each open folder, the last one first.
    entered: Vec<Vec<OsString>>,
    counts: Counts,
}

enum Stop {
    Problem(io::Error),
    Unwanted,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Problem(error)
    }
}

impl<G: Guide> Walk<'_, G> {
    fn run(&mut self) -> Result<(), Stop> {
        let metadata = std::fs::metadata(&self.path)?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        self.enter(b"", &metadata)?;
        while let Some(names) = self.entered.last_mut() {
            let Some(name) = names.pop() else {
                entry::write_leave(&mut self.out);
                self.entered.pop();
                if !self.entered.is_empty() {
                    self.path.pop();
                }
                continue;
            };
            self.path.push(&name);
            if !self.visit(name.as_bytes())? {
                self.path.pop();
            }
            self.flush(FULL)?;
        }
        self.flush(1)
    }

    /// Sends the current path. Returns whether it is a folder, which is then open.
    fn visit(&mut self, name: &[u8]) -> Result<bool, Stop> {
        let metadata = match std::fs::symlink_metadata(&self.path) {
            // It has gone since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            metadata => metadata?,
        };
        let kind = metadata.file_type();
        let path = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        if self.guide.leaves_out(path, kind.is_dir()) {
            return Ok(false);
        }
        if kind.is_dir() {
            self.enter(name, &metadata)?;
            return Ok(true);
        }
        if kind.is_file() {
            self.file(name)?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&self.path)?;
            self.head(Kind::Link, name, &metadata)?;
            entry::write_short(&mut self.out, target.as_os_str().as_bytes())?;
        } else {
            self.head(Kind::LeftOut, name, &metadata)?;
        }
        Ok(false)
    }

    fn enter(&mut self, name: &[u8], metadata: &Metadata) -> Result<(), Stop> {
        let mut names = list(&self.path)?;
        names.sort_unstable_by(|left, right| right.cmp(left));
        self.head(Kind::Folder, name, metadata)?;
        self.entered.push(names);
        Ok(())
    }

    /// Writes the head of an entry.
    fn head(&mut self, kind: Kind, name: &[u8], metadata: &Metadata) -> io::Result<()> {
        self.counts.add(kind);
        entry::write(&mut self.out, kind, name, looks(metadata))
    }

    fn file(&mut self, name: &[u8]) -> Result<(), Stop> {
        let (file, metadata) = open_checked(&self.path, OFlags::NOFOLLOW)?;
        let path = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        if self.guide.has_base(path) {
            // The receiver can only answer once it has what comes before.
            if !send(self.give, &mut self.out, &mut self.content) {
                return Err(Stop::Unwanted);
            }
            let base = self.guide.find(path);
            self.head(Kind::Reused, name, &metadata)?;
            entry::write_short(&mut self.out, base.as_ref().map_or(&[], |base| &base.name))?;
            if let Some(base) = base {
                return self.delta(&file, &metadata, &base.signature);
            }
        } else {
            self.head(Kind::File, name, &metadata)?;
        }
        self.out.extend_from_slice(&Encoder::begin(expected(&file, &metadata)));
        let mut encoder = Encoder::default();
        let Self { give, out, content, pool, counts, .. } = self;
        let is_wanted = read_blocks(&file, &metadata, pool, &mut encoder, &mut |data, len| {
            counts.size += len as u64;
            if len < SMALL {
                out.extend_from_slice(&data);
                *content += len as u64;
                return true;
            }
            send(*give, out, content) && give((data, len as u64))
        })?;
        if !is_wanted {
            return Err(Stop::Unwanted);
        }
        self.out.extend_from_slice(&encoder.finish().1);
        Ok(())
    }

    /// Sends the content of a file of which the receiver has a part.
    fn delta(&mut self, file: &File, metadata: &Metadata, signature: &Signature) -> Result<(), Stop> {
        self.out.extend_from_slice(&Encoder::begin(metadata.len()));
        let Self { give, out, content, counts, .. } = self;
        let sent = send_delta(file, metadata, signature, &mut |piece| {
            let content::Piece::Block { header, data, len } = piece else { return true };
            counts.size += len as u64;
            out.extend_from_slice(&header);
            if data.is_empty() {
                return true;
            }
            send(*give, out, content) && give((data, len as u64))
        })?;
        let (_, end) = sent.ok_or(Stop::Unwanted)?;
        self.out.extend_from_slice(&end);
        Ok(())
    }

    fn flush(&mut self, from: usize) -> Result<(), Stop> {
        if self.out.len() < from || send(self.give, &mut self.out, &mut self.content) {
            return Ok(());
        }
        Err(Stop::Unwanted)
    }
}

fn send(give: &mut dyn FnMut(Piece) -> bool, out: &mut BytesMut, content: &mut u64) -> bool {
    let piece = (out.split().freeze(), std::mem::take(content));
    piece.0.is_empty() || give(piece)
}

fn list(path: &Path) -> io::Result<Vec<OsString>> {
    patiently(|| std::fs::read_dir(path))?.map(|entry| Ok(entry?.file_name())).collect()
}

fn looks(metadata: &Metadata) -> Looks {
    let modified = metadata.modified().map_or(0, entry::nanoseconds);
    Looks { mode: metadata.mode(), modified }
}

/// Content of fewer bytes is copied after the waiting bytes.
const SMALL: usize = 4 << 10;
/// Enough bytes to be sent.
const FULL: usize = 64 << 10;
