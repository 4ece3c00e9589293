//! What a forked child has of the programs that its parent has started.
//!
//! A child of [`fork`](https://man7.org/linux/man-pages/man2/fork.2.html) that runs no other
//! program, such as a worker of Python's `multiprocessing`, has a copy of each descriptor. As long
//! as it keeps the ends of an agent's pipes open, the agent does not learn that its controller has
//! closed them.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Returns the descriptors of all pipes to programs that were started here, and forgets them.
///
/// Call this in a forked child, which should close them. What the parent has in memory of its
/// connections must not be used in the child, and not be dropped there either.
pub fn forget() -> Vec<RawFd> {
    let descriptors = std::mem::take(&mut *open());
    descriptors.into_iter().collect()
}

/// One end of a pipe to a program, which is listed until it is dropped.
#[derive(Debug)]
pub(crate) struct Listed<P: AsRawFd> {
    pipe: P,
}

impl<P: AsRawFd> Listed<P> {
    pub(crate) fn new(pipe: P) -> Self {
        open().insert(pipe.as_raw_fd());
        Self { pipe }
    }
}

impl<P: AsRawFd> Drop for Listed<P> {
    fn drop(&mut self) {
        // Before it is closed: then the number may be another's.
        open().remove(&self.pipe.as_raw_fd());
    }
}

impl<P: AsRawFd + AsyncRead + Unpin> AsyncRead for Listed<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(context, buffer)
    }
}

impl<P: AsRawFd + AsyncWrite + Unpin> AsyncWrite for Listed<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

fn open() -> MutexGuard<'static, BTreeSet<RawFd>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

// A child has the descriptors of its whole parent.
static OPEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_listed_as_long_as_they_are_open() {
        let (reader, writer) = io::pipe().unwrap();
        let numbers = [reader.as_raw_fd(), writer.as_raw_fd()];
        let (reader, writer) = (Listed::new(reader), Listed::new(writer));
        assert!(numbers.iter().all(|number| open().contains(number)));
        drop(reader);
        assert!(!open().contains(&numbers[0]) && open().contains(&numbers[1]));
        drop(writer);
        assert!(!open().contains(&numbers[1]));
    }
}
