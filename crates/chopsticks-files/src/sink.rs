//! Destinations for received content.

use std::{ffi::OsString, fmt, fs::File, io, os::unix::fs::FileExt as _, path::PathBuf};

use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    attributes::umask,
    content::{SHA1_LEN, Summary, checked},
    patience::patiently,
    place::{fresh, place_of},
    target::{Attributes, Target, Wish},
};

/// The destination of a file.
#[non_exhaustive]
pub enum Destination<'a> {
    /// A path, or a new temporary file.
    Path(Option<PathBuf>),
    /// A writer, which receives the content as it arrives.
    Writer(Box<dyn AsyncWrite + Send + Unpin + 'a>),
}

impl fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Writer(_) => f.debug_tuple("Writer").finish_non_exhaustive(),
        }
    }
}

/// An open destination.
pub struct Sink<'a>(Kind<'a>, u64);

enum Kind<'a> {
    File(FileSink),
    Writer { writer: Box<dyn AsyncWrite + Send + Unpin + 'a>, sha1: Sha1, size: u64 },
}

/// A file that a separate thread writes.
struct FileSink {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<io::Result<(Summary, bool)>>,
}

enum Order {
    Copy(u64, u32),
    Write(Bytes),
    Finish { sha1: [u8; SHA1_LEN], attributes: Attributes, sync: bool },
}

impl fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::File(_) => "Sink(File)",
            Kind::Writer { .. } => "Sink(Writer)",
        })
    }
}

impl<'a> Destination<'a> {
    /// Returns the path, if the destination is one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Path(path) => path.clone(),
            Self::Writer(_) => None,
        }
    }

    /// Returns the name of the destination in errors.
    pub fn name(&self) -> PathBuf {
        self.path().unwrap_or_else(|| PathBuf::from("<writer>"))
    }

    /// Returns the destination with the final path of the file. In an existing folder, the file is
    /// called `name`.
    pub async fn resolve(self, name: OsString) -> io::Result<Self> {
        Ok(match self {
            Self::Path(Some(path)) => {
                Self::Path(Some(tokio::task::spawn_blocking(move || place_of(&path, &name)).await??))
            }
            Self::Path(None) => Self::Path(Some(std::path::absolute(fresh())?)),
            Self::Writer(_) => self,
        })
    }

    /// Returns the destination with the final path of a folder.
    pub fn resolve_folder(self) -> io::Result<Self> {
        Ok(match self {
            Self::Path(path) => Self::Path(Some(std::path::absolute(path.unwrap_or_else(fresh))?)),
            Self::Writer(_) => self,
        })
    }

    /// Opens the destination. What exists there stays unchanged until [`Sink::finish`], unless it
    /// is a device or similar.
    pub async fn open(self, wish: Wish) -> io::Result<Sink<'a>> {
        self.open_with(wish, None).await
    }

    /// Opens the destination, as [`open`](Self::open) does, with a file of which parts are copied.
    pub async fn open_with(self, wish: Wish, base: Option<File>) -> io::Result<Sink<'a>> {
        match self {
            Self::Path(path) => {
                let path = path.unwrap_or_else(fresh);
                let (orders, receiver) = mpsc::channel(AHEAD);
                let (opened, is_open) = oneshot::channel();
                let thread = tokio::task::spawn_blocking(move || {
                    // As long as whoever has the other end waits.
                    let target = patiently(|| Target::open(&path, wish, &|| !receiver.is_closed()))?;
                    let _ = opened.send(());
                    write_all(target, base.as_ref(), receiver)
                });
                if is_open.await.is_err() {
                    return match thread.await? {
                        Err(error) => Err(error),
                        Ok(_) => Err(io::ErrorKind::Interrupted.into()),
                    };
                }
                Ok(Sink(Kind::File(FileSink { orders, thread }), 0))
            }
            Self::Writer(writer) => Ok(Sink(Kind::Writer { writer, sha1: Sha1::new(), size: 0 }, 0)),
        }
    }
}

impl Sink<'_> {
    /// Writes content.
    pub async fn write(&mut self, data: Bytes) -> io::Result<()> {
        match &mut self.0 {
            Kind::File(file) => match file.orders.send(Order::Write(data)).await {
                Ok(()) => Ok(()),
                // It has ended, with an error.
                Err(_) => (&mut file.thread).await?.map(drop),
            },
            Kind::Writer { writer, sha1, size } => {
                sha1.update(&data);
                *size += data.len() as u64;
                writer.write_all(&data).await
            }
        }
    }

    /// Returns how many bytes were copied from the base.
    pub fn copied(&self) -> u64 {
        self.1
    }

    /// Writes content of the base.
    pub async fn copy(&mut self, at: u64, len: u32) -> io::Result<()> {
        self.1 += u64::from(len);
        match &mut self.0 {
            Kind::File(file) => match file.orders.send(Order::Copy(at, len)).await {
                Ok(()) => Ok(()),
                // It has ended, with an error.
                Err(_) => (&mut file.thread).await?.map(drop),
            },
            Kind::Writer { .. } => Err(no_base()),
        }
    }

    /// Compares the checksum, and makes the file appear. Also returns whether it was written into
    /// the existing file, because that could not be replaced.
    pub async fn finish(
        self,
        expected: [u8; SHA1_LEN],
        attributes: Attributes,
        sync: bool,
    ) -> io::Result<(Summary, bool)> {
        match self.0 {
            Kind::File(FileSink { orders, thread }) => {
                // One that has ended tells why below.
                let _ = orders.send(Order::Finish { sha1: expected, attributes, sync }).await;
                thread.await?
            }
            Kind::Writer { mut writer, sha1, size } => {
                let summary = checked(sha1, size, expected)?;
                writer.flush().await?;
                Ok((summary, false))
            }
        }
    }

    /// Abandons the file. Returns when nothing is left of it.
    pub async fn abandon(self) {
        if let Kind::File(FileSink { orders, thread }) = self.0 {
            drop(orders);
            let _ = thread.await;
        }
    }
}

/// Writes the received content until the order to finish. Without this order, the file is
/// abandoned.
fn write_all(
    mut target: Target,
    base: Option<&File>,
    mut orders: mpsc::Receiver<Order>,
) -> io::Result<(Summary, bool)> {
    let (mut sha1, mut size) = (Sha1::new(), 0);
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Copy(at, len) => {
                let (mut at, mut left) = (at, len as usize);
                let mut buffer = vec![0; left.min(COPIED)];
                while left > 0 {
                    let piece = &mut buffer[..left.min(COPIED)];
                    base.ok_or_else(no_base)?.read_exact_at(piece, at)?;
                    sha1.update(&*piece);
                    (at, size, left) =
                        (at + piece.len() as u64, size + piece.len() as u64, left - piece.len());
                    target.write(piece, &|| !orders.is_closed())?;
                }
            }
            Order::Write(data) => {
                sha1.update(&data);
                size += data.len() as u64;
                target.write(&data, &|| !orders.is_closed())?;
            }
            Order::Finish { sha1: expected, attributes, sync } => {
                let summary = checked(sha1, size, expected).inspect_err(|_| target.forget())?;
                let attributes = Attributes { default: attributes.default & !umask(), ..attributes };
                return Ok((summary, target.finish(&attributes, sync)?));
            }
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

fn no_base() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a copy without a base")
}

/// How much of a base is in memory at a time.
const COPIED: usize = 1 << 20;
/// The number of pieces that may wait for the thread.
const AHEAD: usize = 4;
