//! Sources of the content that is sent.

use std::{
    ffi::OsString,
    fmt,
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
};

use crate::{
    content::{Encoder, Pool, Summary},
    delta::{Signature, read_delta},
    patience::patiently,
};

/// The source of a file.
#[non_exhaustive]
pub enum Source<'a> {
    /// Bytes.
    Bytes(Bytes),
    /// A regular file.
    Path(PathBuf),
    /// The output of a reader, up to its end.
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Reader(_) => f.debug_tuple("Reader").finish_non_exhaustive(),
        }
    }
}

/// An open source.
pub struct Feed<'a> {
    kind: Kind<'a>,
    /// The expected number of bytes, or `None` if it is not known.
    pub expected: Option<u64>,
    /// When the file was last modified.
    pub modified: Option<SystemTime>,
    /// The permissions of the file, if the source is one.
    pub mode: Option<u32>,
}

enum Kind<'a> {
    Bytes { rest: Bytes, encoder: Encoder, block_len: usize },
    Reader { reader: Box<dyn AsyncRead + Send + Unpin + 'a>, encoder: Encoder, pool: Pool },
    Thread(mpsc::Receiver<io::Result<Piece>>),
    Done,
}

/// A piece of content in the form in which it is sent.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a content consists of blocks and an end")]
pub enum Piece {
    /// A block, or a header and a block.
    Block {
        /// Sent first. It may be empty.
        header: Bytes,
        /// Sent after the header.
        data: Bytes,
        /// The number of content bytes in both.
        len: usize,
    },
    /// A summary of what was sent, and the end of the stream.
    End(Summary, Bytes),
}

impl fmt::Debug for Feed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl<'a> Source<'a> {
    /// Returns the name of the source in errors.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Bytes(_) => PathBuf::from("<bytes>"),
            Self::Path(path) => path.clone(),
            Self::Reader(_) => PathBuf::from("<reader>"),
        }
    }

    /// Returns the name of the file, or an empty text if the source is not a file.
    pub fn name(&self) -> OsString {
        match self {
            Self::Path(path) => path.file_name().unwrap_or_default().to_owned(),
            Self::Bytes(_) | Self::Reader(_) => OsString::new(),
        }
    }

    /// Opens the source. A file is read in blocks of `block_len` by a separate thread, which ends
    /// when the feed is dropped.
    pub async fn open(self, block_len: usize) -> io::Result<Feed<'a>> {
        let encoder = Encoder::default();
        Ok(match self {
            Self::Bytes(rest) => {
                let expected = Some(rest.len() as u64);
                Feed { kind: Kind::Bytes { rest, encoder, block_len }, expected, modified: None, mode: None }
            }
            Self::Reader(reader) => {
                let pool = Pool::new(block_len);
                Feed {
                    kind: Kind::Reader { reader, encoder, pool },
                    expected: None,
                    modified: None,
                    mode: None,
                }
            }
            Self::Path(path) => {
                let open = move || {
                    let (file, metadata) = open_regular(&path)?;
                    let expected = expected(&file, &metadata);
                    io::Result::Ok((file, metadata, expected))
                };
                let (file, metadata, expected) = tokio::task::spawn_blocking(open).await??;
                let (pieces, receiver) = mpsc::channel(AHEAD);
                let (modified, mode) = (metadata.modified().ok(), Some(metadata.mode()));
                drop(tokio::task::spawn_blocking(move || read_all(&file, &metadata, block_len, &pieces)));
                let expected = (expected > 0).then_some(expected);
                Feed { kind: Kind::Thread(receiver), expected, modified, mode }
            }
        })
    }
}

impl Feed<'static> {
    /// Opens a regular file of which only what differs from a base is sent: the receiver has it. A
    /// separate thread reads it, which ends when the feed is dropped.
    pub async fn of_delta(path: PathBuf, signature: Signature) -> io::Result<Self> {
        let open = move || {
            let (file, metadata) = open_regular(&path)?;
            io::Result::Ok((file, metadata))
        };
        let (file, metadata) = tokio::task::spawn_blocking(open).await??;
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let (modified, mode) = (metadata.modified().ok(), Some(metadata.mode()));
        let expected = (metadata.len() > 0).then_some(metadata.len());
        drop(tokio::task::spawn_blocking(move || read_delta(&file, &metadata, &signature, &pieces)));
        Ok(Feed { kind: Kind::Thread(receiver), expected, modified, mode })
    }
}

impl Feed<'_> {
    /// Returns the beginning of the content.
    pub fn begin(&self) -> Bytes {
        Encoder::begin(self.expected.unwrap_or(0))
    }

    /// Returns the next piece. Do not call it again after the end.
    ///
    /// # Cancel safety
    ///
    /// This method is not cancel safe: a piece can be lost.
    pub async fn next(&mut self) -> io::Result<Piece> {
        let encoder = match &mut self.kind {
            Kind::Done => return Err(io::ErrorKind::UnexpectedEof.into()),
            Kind::Thread(pieces) => {
                return pieces.recv().await.ok_or_else(|| io::Error::other("the reading has ended"))?;
            }
            Kind::Bytes { rest, encoder, block_len } => {
                let data = rest.split_to(rest.len().min(*block_len));
                if !data.is_empty() {
                    let (header, len) = (encoder.header(&data), data.len());
                    return Ok(Piece::Block { header, data, len });
                }
                std::mem::take(encoder)
            }
            Kind::Reader { reader, encoder, pool } => {
                let mut block = pool.take();
                let len = reader.read(block.content()).await?;
                if len > 0 {
                    let data = encoder.fill(block, len);
                    pool.keep(&data);
                    return Ok(Piece::Block { header: Bytes::new(), data, len });
                }
                std::mem::take(encoder)
            }
        };
        self.kind = Kind::Done;
        let (summary, end) = encoder.finish();
        Ok(Piece::End(summary, end))
    }
}

/// Opens a regular file. Other files are not touched: opening a FIFO waits, and opening a device
/// may have any effect.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    check_regular(&std::fs::metadata(path)?)?;
    open_checked(path, OFlags::empty())
}

/// Like [`open_regular`], for a path that was examined before.
pub(crate) fn open_checked(path: &Path, flags: OFlags) -> io::Result<(File, Metadata)> {
    let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(patiently(|| Ok(rustix::fs::open(path, flags, Mode::empty())?))?);
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, metadata))
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() {
        return Ok(());
    }
    let name = if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "device"
    } else {
        "special file"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a regular file but a {name}")))
}

/// Returns the expected size of a file's content, or 0 if it is not known.
///
/// Files of sysfs have the size of a page, whatever they contain.
pub(crate) fn expected(file: &File, metadata: &Metadata) -> u64 {
    let len = metadata.len();
    let has_less = (1..=PAGE).contains(&len) && matches!(file.read_at(&mut [0], len - 1), Ok(0));
    if has_less { 0 } else { len }
}

/// Reads a file to its end, as long as there is a receiver.
fn read_all(file: &File, before: &Metadata, block_len: usize, pieces: &mpsc::Sender<io::Result<Piece>>) {
    let mut encoder = Encoder::default();
    let mut pool = Pool::new(block_len);
    let ended = read_blocks(file, before, &mut pool, &mut encoder, &mut |data, len| {
        pieces.blocking_send(Ok(Piece::Block { header: Bytes::new(), data, len })).is_ok()
    });
    let last = match ended {
        Ok(true) => {
            let (summary, end) = encoder.finish();
            Ok(Piece::End(summary, end))
        }
        Ok(false) => return,
        Err(error) => Err(error),
    };
    // Nobody who waits, nobody to be told.
    let _ = pieces.blocking_send(last);
}

/// Returns whether everything was read. Otherwise there is no receiver any more.
pub(crate) fn read_blocks(
    mut file: &File,
    before: &Metadata,
    pool: &mut Pool,
    encoder: &mut Encoder,
    send: &mut dyn FnMut(Bytes, usize) -> bool,
) -> io::Result<bool> {
    let mut size = 0_u64;
    loop {
        // Never longer than it was, so that one that grows comes as it was.
        let left = if before.len() > 0 { before.len() - size } else { u64::MAX };
        let mut block = pool.take();
        let content = block.content();
        let room = content.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let len = match file.read(&mut content[..room]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            len => len?,
        };
        if len == 0 {
            break;
        }
        size += len as u64;
        let data = encoder.fill(block, len);
        pool.keep(&data);
        if !send(data, len) {
            return Ok(false);
        }
    }
    // A size of 0 is also what files have whose content is made when they are read, such as those in /proc, and those of sysfs have
    // less than their size. One that was cut off meanwhile is not what it was, even if it has grown since.
    let after = file.metadata()?;
    let state = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    let has_all = size >= before.len() && after.len() > before.len();
    if before.len() > 0 && !has_all && state(before) != state(&after) {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok(true)
}

/// The largest page of the systems known to us.
const PAGE: u64 = 64 << 10;
/// The number of blocks that may be read ahead. More blocks are not faster, since the pipe takes
/// four, and each needs its memory.
const AHEAD: usize = 2;
