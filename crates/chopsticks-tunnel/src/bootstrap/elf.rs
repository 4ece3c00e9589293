//! The head of an ELF file: what it takes to run the program, and which part of the file that is.

use std::fmt;

/// The head of an ELF file.
pub(crate) struct Elf<'a> {
    file: &'a [u8],
    is_wide: bool,
    is_little: bool,
}

/// The C library that a program needs on its host.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Libc {
    /// glibc, of this version or a later one.
    Glibc(u32, u32),
    /// musl, as a shared library.
    Musl,
    /// None: the program is static, and runs on every Linux.
    Static,
    /// Whatever this loader belongs to.
    Other(String),
}

/// A segment: its type, its place in the file and in memory, and its length in the file.
struct Segment {
    kind: usize,
    offset: usize,
    address: usize,
    len: usize,
}

impl<'a> Elf<'a> {
    pub(crate) fn new(file: &'a [u8]) -> Option<Self> {
        let (class, order) = (*file.get(CLASS)?, *file.get(CLASS + 1)?);
        let is_known = file.starts_with(b"\x7fELF") && matches!(class, 1 | WIDE) && matches!(order, 1 | 2);
        is_known.then_some(Self { file, is_wide: class == WIDE, is_little: order == 1 })
    }

    /// Returns the name that Rust gives to the architecture that the program was built for.
    pub(crate) fn architecture(&self) -> Option<&'static str> {
        Some(match (self.number(0x12, 2)?, self.is_wide, self.is_little) {
            (3, false, _) => "x86",
            (21, true, _) => "powerpc64",
            (22, true, _) => "s390x",
            (40, false, true) => "arm",
            (62, true, _) => "x86_64",
            (183, true, true) => "aarch64",
            (243, true, _) => "riscv64",
            (258, true, _) => "loongarch64",
            _ => return None,
        })
    }

    /// Returns the C library that the program needs.
    pub(crate) fn libc(&self) -> Option<Libc> {
        let segments = self.segments()?;
        let Some(loader) = segments.iter().find(|segment| segment.kind == LOADER) else {
            return Some(Libc::Static);
        };
        let loader = self.file.get(loader.offset..loader.offset.checked_add(loader.len)?)?;
        let loader = String::from_utf8_lossy(loader).trim_end_matches('\0').to_owned();
        Some(match loader.rsplit('/').next() {
            Some(name) if name.starts_with("ld-musl") => Libc::Musl,
            Some(name) if name.starts_with("ld-linux") || name.starts_with("ld64") => {
                let (major, minor) = self.newest_glibc(&segments).unwrap_or((2, 0));
                Libc::Glibc(major, minor)
            }
            _ => Libc::Other(loader),
        })
    }

    /// Returns the newest version of glibc that a symbol of the program needs.
    fn newest_glibc(&self, segments: &[Segment]) -> Option<(u32, u32)> {
        let dynamic = segments.iter().find(|segment| segment.kind == DYNAMIC)?;
        let width = if self.is_wide { 8 } else { 4 };
        let (mut address, mut len) = (None, None);
        for entry in (0..dynamic.len / (2 * width)).map(|number| dynamic.offset + number * 2 * width) {
            match self.number(entry, width)? {
                0 => break,
                TEXTS => address = self.number(entry + width, width),
                TEXTS_LEN => len = self.number(entry + width, width),
                _ => {}
            }
        }
        let (address, len) = (address?, len?);
        let holds = |segment: &&Segment| {
            segment.kind == LOADED
                && address.checked_sub(segment.address).is_some_and(|offset| offset < segment.len)
        };
        let segment = segments.iter().find(holds)?;
        let start = segment.offset.checked_add(address - segment.address)?;
        let texts = self.file.get(start..start.checked_add(len)?)?;
        let version = |text: &[u8]| {
            let mut numbers = str::from_utf8(text.strip_prefix(b"GLIBC_")?).ok()?.split('.');
            Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        };
        texts.split(|byte| *byte == 0).filter_map(version).max()
    }

    /// Returns where the last segment that is loaded ends in the file.
    pub(crate) fn end_of_segments(&self) -> Option<usize> {
        let (table, entry_len, count) = self.table()?;
        // The table itself is in the first segment as a rule, but need not be.
        let mut end = table.checked_add(entry_len.checked_mul(count)?)?;
        let segments = self.segments()?;
        for segment in segments.iter().filter(|segment| segment.kind == LOADED) {
            end = end.max(segment.offset.checked_add(segment.len)?);
        }
        (segments.iter().any(|segment| segment.kind == LOADED) && end <= self.file.len()).then_some(end)
    }

    fn segments(&self) -> Option<Vec<Segment>> {
        let (table, entry_len, count) = self.table()?;
        (0..count)
            .map(|number| {
                let entry = table.checked_add(number.checked_mul(entry_len)?)?;
                let (offset, address, len, width) = match self.is_wide {
                    true => (0x8, 0x10, 0x20, 8),
                    false => (0x4, 0x8, 0x10, 4),
                };
                Some(Segment {
                    kind: self.number(entry, 4)?,
                    offset: self.number(entry.checked_add(offset)?, width)?,
                    address: self.number(entry.checked_add(address)?, width)?,
                    len: self.number(entry.checked_add(len)?, width)?,
                })
            })
            .collect()
    }

    /// Returns where the table of segments is, how long its entries are, and how many it has.
    fn table(&self) -> Option<(usize, usize, usize)> {
        Some(match self.is_wide {
            true => (self.number(0x20, 8)?, self.number(0x36, 2)?, self.number(0x38, 2)?),
            false => (self.number(0x1c, 4)?, self.number(0x2a, 2)?, self.number(0x2c, 2)?),
        })
    }

    /// Reads an unsigned number of up to eight bytes.
    fn number(&self, offset: usize, len: usize) -> Option<usize> {
        let bytes = self.file.get(offset..offset.checked_add(len)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = match self.is_little {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        };
        usize::try_from(number).ok()
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc(major, minor) => write!(f, "glibc {major}.{minor}"),
            Self::Musl => f.write_str("musl"),
            Self::Static => f.write_str("static"),
            Self::Other(loader) => write!(f, "the loader {loader}"),
        }
    }
}

/// Cuts an ELF program after the last segment that is loaded. The rest, such as debug information,
/// is most of a debug build. Any other file stays as it is.
pub(crate) fn cut(mut program: Vec<u8>) -> Vec<u8> {
    let Some(end) = Elf::new(&program).and_then(|elf| elf.end_of_segments()) else { return program };
    let is_wide = program.get(CLASS) == Some(&WIDE);
    program.truncate(end);
    // The table of sections is gone: its place, and the number of its entries and their names.
    let (table, counts) = if is_wide { (0x28..0x30, 0x3c..0x40) } else { (0x20..0x24, 0x30..0x34) };
    for range in [table, counts] {
        if let Some(field) = program.get_mut(range) {
            field.fill(0);
        }
    }
    program
}

const CLASS: usize = 4;
/// The class of files with 64-bit addresses.
const WIDE: u8 = 2;
/// The types of segments: what is loaded, the table of the loader, and the name of the loader.
const LOADED: usize = 1;
const DYNAMIC: usize = 2;
const LOADER: usize = 3;
/// The entries of the table of the loader for the texts: their address, and their length.
const TEXTS: usize = 5;
const TEXTS_LEN: usize = 10;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        process::{Command, Stdio},
    };

    use super::*;

    fn this_program() -> Vec<u8> {
        fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    fn program_runs_without_what_is_cut_off() {
        let whole = this_program();
        let program = cut(whole.clone());
        assert!(program.len() <= whole.len());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, &program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let output = Command::new(&path).arg("--list").stdin(Stdio::null()).output().unwrap();
        let list = String::from_utf8(output.stdout).unwrap();
        assert!(list.contains("program_runs_without_what_is_cut_off: test"), "{list}");
        // Nothing is left to cut.
        assert_eq!(cut(program.clone()), program);
    }

    #[test]
    fn what_is_not_a_program_stays_as_it_is() {
        let program = cut(this_program());
        for len in [0, 4, 5, 16, 63, 64, 100, 300] {
            let begun = program[..len].to_vec();
            assert_eq!(cut(begun.clone()), begun, "{len}");
        }
        assert_eq!(cut(b"#!/bin/sh\n".to_vec()), b"#!/bin/sh\n");
        // Sizes and offsets beyond all measure.
        let mut wild = program[..1 << 10].to_vec();
        wild[0x20..0x40].fill(0xff);
        assert_eq!(cut(wild.clone()), wild);
        let elf = Elf::new(&wild).unwrap();
        assert_eq!((elf.libc(), elf.end_of_segments()), (None, None));
    }

    #[test]
    fn machine_and_libc_are_read() {
        let program = this_program();
        let elf = Elf::new(&program).unwrap();
        assert_eq!(elf.architecture(), Some(std::env::consts::ARCH));
        if cfg!(all(target_env = "gnu", not(target_feature = "crt-static"))) {
            // What the standard library needs at least.
            let libc = elf.libc().unwrap();
            assert!(matches!(libc, Libc::Glibc(2, minor) if minor >= 17), "{libc:?}");
        }
        // As it would look without a loader.
        let mut other = program.clone();
        let (table, entry_len, count) = elf.table().unwrap();
        for entry in (0..count).map(|number| table + number * entry_len) {
            if other[entry] == LOADER as u8 {
                other[entry] = 0;
            }
        }
        other[0x12] = 183;
        let elf = Elf::new(&other).unwrap();
        assert_eq!((elf.architecture(), elf.libc()), (Some("aarch64"), Some(Libc::Static)));
    }
}
