//! Sources of the content that is sent.

use std::{
    ffi::OsString,
    fmt,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::SystemTime,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
};

use crate::{
    content::{Encoder, Piece, Pool},
    delta::{Signature, send_delta},
    reading::{expected, open_regular, read_blocks},
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

/// Reads a file to its end, and sends what the base does not have, as long as there is a receiver.
fn read_delta(
    file: &File,
    before: &Metadata,
    signature: &Signature,
    pieces: &mpsc::Sender<io::Result<Piece>>,
) {
    let ended = send_delta(file, before, signature, &mut |piece| pieces.blocking_send(Ok(piece)).is_ok());
    let last = match ended {
        Ok(Some((summary, end))) => Ok(Piece::End(summary, end)),
        Ok(None) => return,
        Err(error) => Err(error),
    };
    let _ = pieces.blocking_send(last);
}

/// The number of blocks that may be read ahead. More blocks are not faster, since the pipe takes
/// four, and each needs its memory.
const AHEAD: usize = 2;
