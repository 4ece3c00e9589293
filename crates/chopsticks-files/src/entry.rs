//! Folders in transit: `docs/wire.md`, section 8.

use std::{
    io,
    time::{Duration, SystemTime},
};

use bytes::{BufMut as _, BytesMut};

/// The kind of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The end of the current folder.
    Leave,
    Folder,
    File,
    Link,
    /// A file of another kind, which is not transferred.
    LeftOut,
    /// A file of which the receiver may have a part: the name of that part follows, or an empty name.
    Reused,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Leave, Self::Folder, Self::File, Self::Link, Self::LeftOut, Self::Reused];

    /// Decodes the first byte of an entry.
    pub(crate) fn read(byte: u8) -> io::Result<Self> {
        let kind = Self::ALL.get(usize::from(byte)).copied();
        kind.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("unknown kind of entry: {byte}"))
        })
    }

    fn byte(self) -> u8 {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or_default() as u8
    }
}

/// How many entries of each kind a folder has, and the size of its files.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Regular files.
    pub files: u64,
    /// Folders, including the outermost one.
    pub folders: u64,
    /// Symbolic links.
    pub links: u64,
    /// Entries of other kinds, which were left out.
    pub left_out: u64,
    /// The size of all files, in bytes.
    pub size: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Leave => {}
            Kind::Folder => self.folders += 1,
            Kind::File | Kind::Reused => self.files += 1,
            Kind::Link => self.links += 1,
            Kind::LeftOut => self.left_out += 1,
        }
    }
}

/// The permissions and the time of modification of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    pub(crate) mode: u32,
    /// Nanoseconds since 1970.
    pub(crate) modified: i64,
}

/// The size of `Looks`, in bytes.
pub(crate) const LOOKS_LEN: usize = 12;

impl Looks {
    pub(crate) fn read(bytes: [u8; LOOKS_LEN]) -> Self {
        let (mode, modified) = bytes.split_at(4);
        Self {
            mode: mode.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) & 0o777,
            modified: modified.iter().fold(0, |number, byte| number << 8 | i64::from(*byte)),
        }
    }
}

/// Writes the head of an entry.
pub(crate) fn write(out: &mut BytesMut, kind: Kind, name: &[u8], looks: Looks) -> io::Result<()> {
    out.put_u8(kind.byte());
    write_short(out, name)?;
    out.put_u32(looks.mode & 0o7777);
    out.put_i64(looks.modified);
    Ok(())
}

/// Writes the end of a folder.
pub(crate) fn write_leave(out: &mut BytesMut) {
    out.put_u8(Kind::Leave.byte());
}

/// Writes a name, or the destination of a link.
pub(crate) fn write_short(out: &mut BytesMut, bytes: &[u8]) -> io::Result<()> {
    out.put_u16(u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidFilename)?);
    out.put_slice(bytes);
    Ok(())
}

/// Refuses invalid names, and names that lead elsewhere.
pub(crate) fn check_name(name: &[u8]) -> io::Result<()> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
        let text = format!("invalid name: {:?}", String::from_utf8_lossy(name));
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(())
}

/// Returns the nanoseconds from 1970 to a time.
pub fn nanoseconds(time: SystemTime) -> i64 {
    let clamp = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => clamp(after),
        Err(before) => -clamp(before.duration()),
    }
}

/// Returns the time for a number of nanoseconds since 1970, or `None` if this machine cannot
/// represent it.
pub fn time(nanoseconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [&b""[..], b".", b"..", b"/", b"a/b", b"../x", b"/etc", b"a\0b"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in [&b"a"[..], b"...", b"a b", b"\xff", b"-rf", b"a\nb"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn looks_come_back_without_dangerous_bits() {
        let mut out = BytesMut::new();
        write(&mut out, Kind::File, b"x", Looks { mode: 0o104_755, modified: -5 }).unwrap();
        assert_eq!(Kind::read(out[0]).unwrap(), Kind::File);
        let looks = Looks::read(out[4..].try_into().unwrap());
        assert_eq!((looks.mode, looks.modified), (0o755, -5));
        assert_eq!(time(-5).map(nanoseconds), Some(-5));
    }
}
