//! Destinations that are written as the content arrives: devices, FIFOs, descriptors.

use std::{
    fs::File,
    io::{self, Write as _},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{self, FileType, Mode, OFlags},
    io::Errno,
};

use crate::place::Place;

/// An open device, FIFO or descriptor.
#[derive(Debug)]
pub(crate) struct Device(File);

impl Device {
    /// Opens the destination. A FIFO is opened when a process reads it. Stops when `is_wanted`
    /// returns false.
    pub(crate) fn open(place: &Place, kind: FileType, is_wanted: &dyn Fn() -> bool) -> io::Result<Self> {
        let kept = if place.is_descriptor { OFlags::TRUNC } else { OFlags::NOFOLLOW };
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | kept;
        loop {
            match fs::open(&place.path, flags, Mode::empty()) {
                // An open that waits could not be cancelled.
                Err(Errno::NXIO) if kind == FileType::Fifo && is_wanted() => thread::sleep(MOMENT),
                opened => {
                    let file = opened?;
                    if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) != kind {
                        return Err(Errno::STALE.into());
                    }
                    return Ok(Self(file.into()));
                }
            }
        }
    }

    /// Writes content. Stops when `is_wanted` returns false.
    pub(crate) fn write(&mut self, mut content: &[u8], is_wanted: &dyn Fn() -> bool) -> io::Result<()> {
        while !content.is_empty() {
            match self.0.write(content) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => content = content.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !is_wanted() {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], Some(&TURN))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const MOMENT: Duration = Duration::from_millis(20);
/// How long to wait for room before `is_wanted` is called again.
const TURN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
