//! Both ends of a transfer for programs without an asynchronous runtime, such as agents in Rust.
//!
//! Each function works on the thread that calls it, and returns when the transfer is over. The
//! format, and what happens to files, are those of the other modules.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::File,
    io,
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use crate::{
    attributes::umask,
    coming::{Coming, Stopped},
    content::{BLOCK_LEN, COPY, Encoder, Pool, SHA1_LEN, Summary, checked},
    entry::{Counts, Kind, LOOKS_LEN, Looks},
    patience::patiently,
    place::{follow, fresh, place_of},
    reading::{expected, open_regular, read_blocks},
    target::{Attributes, Target, Wish},
    tree::{Manner, Order, Tree},
    walk::{Guide, Problem, walk},
};

/// A stream from which content comes.
pub trait Inlet {
    /// Waits for bytes, and returns between 1 and `max` of them, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The stream was broken off.
    fn piece(&mut self, max: usize) -> io::Result<Option<Bytes>>;

    /// Returns whether the other end still waits for the transfer.
    fn is_wanted(&self) -> bool;
}

/// A file that was sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// Its size and checksum.
    pub summary: Summary,
    /// Its permission bits.
    pub mode: u32,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
}

/// Returns the final path of a file: `path`, or a file called `name` in the folder to which `path`
/// leads. An empty path is that of a new temporary file.
///
/// # Errors
///
/// The path leads to a folder and there is no name, or to a folder that does not exist.
pub fn resolve(path: &Path, name: &OsStr) -> io::Result<PathBuf> {
    if path.as_os_str().is_empty() { std::path::absolute(fresh()) } else { place_of(path, name) }
}

/// Follows links in the last part of a path, also to something that does not exist.
///
/// # Errors
///
/// There are too many links, or another user has put one of them into a folder where all may write.
pub fn followed(path: &Path) -> io::Result<PathBuf> {
    Ok(follow(path)?.path)
}

/// Returns the final path of a folder: `path`, or that of a new temporary folder if it is empty.
///
/// # Errors
///
/// There is no working folder.
pub fn resolve_folder(path: &Path) -> io::Result<PathBuf> {
    if path.as_os_str().is_empty() { std::path::absolute(fresh()) } else { std::path::absolute(path) }
}

/// Receives a file. It appears at its path when all of it has come and its checksum is right.
/// `attributes` has the mode of a new file before the umask. Parts of the content may be copied from
/// `base`. Also returns whether the content was written into the existing file.
///
/// # Errors
///
/// The file cannot be written, or the stream is invalid or was broken off. The path is then as it
/// was, unless it is that of a device.
pub fn receive_file(
    inlet: &mut dyn Inlet,
    path: &Path,
    wish: Wish,
    attributes: Attributes,
    sync: bool,
    base: Option<&File>,
) -> io::Result<(Summary, bool)> {
    let mut target = patiently(|| Target::open(path, wish, &|| inlet.is_wanted()))?;
    let mut input = Input { inlet, front: Bytes::new() };
    let (mut sha1, mut size) = (Sha1::new(), 0);
    let expected = input.content(base, &mut |data, inlet| {
        sha1.update(data);
        size += data.len() as u64;
        target.write(data, &|| inlet.is_wanted())
    })?;
    input.finish()?;
    let summary = checked(sha1, size, expected).inspect_err(|_| target.forget())?;
    let attributes = Attributes { default: attributes.default & !umask(), ..attributes };
    Ok((summary, target.finish(&attributes, sync)?))
}

/// Receives a folder into the one at `root`, or into a new one. Returns what came.
///
/// # Errors
///
/// The path that cannot be written, or that was being written when the stream proved to be invalid
/// or was broken off.
pub fn receive_folder(inlet: &mut dyn Inlet, root: &Path, manner: Manner) -> Result<Counts, Problem> {
    let mut tree = Tree::new(root, manner);
    let received = receive_entries(&mut Input { inlet, front: Bytes::new() }, &mut tree);
    received.map_err(|error| (tree.path, error))
}

fn receive_entries(input: &mut Input<'_>, tree: &mut Tree) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut depth = 0_usize;
    loop {
        let [kind] = input.array()?;
        let kind = Kind::read(kind)?;
        counts.add(kind);
        if kind == Kind::Leave {
            tree.obey(Order::Leave)?;
            depth = depth.saturating_sub(1);
            if depth == 0 {
                input.finish()?;
                return Ok(counts);
            }
            continue;
        }
        let name = input.short()?;
        let looks = Looks::read(input.array::<LOOKS_LEN>()?);
        match kind {
            Kind::Folder => {
                tree.obey(Order::Enter(name, looks))?;
                depth += 1;
            }
            Kind::File => {
                tree.obey(Order::File(name, looks))?;
                receive_entry(input, tree, None, &mut counts)?;
            }
            Kind::Link => {
                let to = input.short()?;
                tree.obey(Order::Link(name, to))?;
            }
            Kind::Reused => {
                let base = input.short()?;
                let base = tree.reuse(name, looks, OsStr::from_bytes(&base))?;
                receive_entry(input, tree, base.as_ref().map(|(file, _)| file), &mut counts)?;
                if let Some((_, name)) = base {
                    tree.remove_part(&name);
                }
            }
            Kind::LeftOut | Kind::Leave => {}
        }
    }
}

fn receive_entry(
    input: &mut Input<'_>,
    tree: &mut Tree,
    base: Option<&File>,
    counts: &mut Counts,
) -> io::Result<()> {
    let sha1 = input.content(base, &mut |data, _| {
        counts.size += data.len() as u64;
        tree.write(data)
    })?;
    tree.obey(Order::EndFile(sha1))
}

/// Passes a regular file to `give`, in blocks of `block_len`, until it returns false. Returns what
/// was passed, or `None` if that was not all.
///
/// # Errors
///
/// The file cannot be read, or has changed meanwhile.
pub fn send_file(
    path: &Path,
    block_len: usize,
    give: &mut dyn FnMut(Bytes) -> bool,
) -> io::Result<Option<Fetched>> {
    use std::os::unix::fs::MetadataExt as _;

    let (file, metadata) = open_regular(path)?;
    let mut encoder = Encoder::default();
    if !give(Encoder::begin(expected(&file, &metadata))) {
        return Ok(None);
    }
    let mut pool = Pool::new(block_len.min(BLOCK_LEN));
    let is_whole = read_blocks(&file, &metadata, &mut pool, &mut encoder, &mut |data, _| give(data))?;
    let (summary, end) = encoder.finish();
    let modified = metadata.modified().ok();
    Ok((is_whole && give(end)).then_some(Fetched { summary, mode: metadata.mode() & 0o7777, modified }))
}

/// Passes a folder with everything in it, but for the paths in `left_out`, to `give`: see
/// [`send_file`].
///
/// # Errors
///
/// The path that cannot be read, and why.
pub fn send_folder(
    root: &Path,
    block_len: usize,
    left_out: HashSet<PathBuf>,
    give: &mut dyn FnMut(Bytes) -> bool,
) -> Result<Option<Counts>, Problem> {
    walk(root.to_owned(), block_len, &LeftOut(left_out), &mut |(bytes, _)| give(bytes))
}

/// Files and folders that are not sent, by their paths from the folder on.
struct LeftOut(HashSet<PathBuf>);

impl Guide for LeftOut {
    fn leaves_out(&self, path: &Path, _is_folder: bool) -> bool {
        self.0.contains(path)
    }
}

/// What is done with content that has arrived, while the stream can say whether it is still wanted.
type Take<'a> = dyn FnMut(&[u8], &dyn Inlet) -> io::Result<()> + 'a;

/// The bytes of a stream, read in the sizes that its format requires.
struct Input<'a> {
    inlet: &'a mut dyn Inlet,
    front: Bytes,
}

impl Input<'_> {
    fn piece(&mut self, max: usize) -> io::Result<Bytes> {
        if self.front.is_empty() {
            self.front = self.inlet.piece(BLOCK_LEN)?.ok_or_else(|| invalid("the stream ended too soon"))?;
        }
        Ok(self.front.split_to(self.front.len().min(max)))
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            let piece = self.piece(N - filled)?;
            array[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        Ok(array)
    }

    fn short(&mut self) -> io::Result<Vec<u8>> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.piece(len - bytes.len())?);
        }
        Ok(bytes)
    }

    /// Reads the content of a file, and returns the checksum that it must have.
    fn content(&mut self, base: Option<&File>, take: &mut Take<'_>) -> io::Result<[u8; SHA1_LEN]> {
        let mut coming = Coming::new(u64::from_be_bytes(self.array()?));
        loop {
            let block = u32::from_be_bytes(self.array()?);
            if block == 0 {
                coming.end().map_err(reason)?;
                return self.array();
            }
            if block == COPY {
                let at = u64::from_be_bytes(self.array()?);
                let len = u32::from_be_bytes(self.array()?);
                self.copy(&mut coming, base, (at, len), take)?;
                continue;
            }
            let mut block = usize::try_from(block).unwrap_or(usize::MAX);
            while block > 0 {
                let piece = self.piece(block)?;
                block -= piece.len();
                coming.add(piece.len()).map_err(reason)?;
                take(&piece, &*self.inlet)?;
            }
        }
    }

    /// Takes content from the base, which the controller names by its position and length.
    fn copy(
        &self,
        coming: &mut Coming,
        base: Option<&File>,
        (mut at, len): (u64, u32),
        take: &mut Take<'_>,
    ) -> io::Result<()> {
        let base = base.ok_or_else(|| invalid("a copy without a base"))?;
        let mut left = len as usize;
        coming.add(left).map_err(reason)?;
        let mut buffer = vec![0; left.min(COPIED)];
        while left > 0 {
            let piece = &mut buffer[..left.min(COPIED)];
            base.read_exact_at(piece, at)?;
            take(piece, &*self.inlet)?;
            (at, left) = (at + piece.len() as u64, left - piece.len());
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.front.is_empty() || self.inlet.piece(1)?.is_some() {
            return Err(invalid("the stream continues after its end"));
        }
        Ok(())
    }
}

/// How much of a base is in memory at a time.
const COPIED: usize = 1 << 20;

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn reason(stopped: Stopped) -> io::Error {
    match stopped {
        Stopped::Broken => io::ErrorKind::Interrupted.into(),
        Stopped::Malformed(error) | Stopped::Unwritable(error) => error,
    }
}

#[cfg(test)]
mod tests;
