//! Reading a file for a transfer.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};

use crate::{
    content::{Encoder, Pool},
    patience::patiently,
};

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

/// Reads a file to its end, and passes its blocks to `send`, until that returns false.
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
