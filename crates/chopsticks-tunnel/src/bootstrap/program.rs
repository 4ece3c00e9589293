//! The program of an agent in Rust: a copy of this program, without the parts that are not needed
//! to run it.

use std::{
    env, fs,
    io::{self, Write as _},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Returns what the first stage reads: a line about the program, the program, padding.
///
/// This reads and compresses the file of this program, which takes some 10 ms a megabyte.
pub(crate) fn preamble(arguments: &[String], is_compressed: bool) -> io::Result<Bytes> {
    let program = cut(read()?);
    let (program, packing) = match is_compressed {
        true => (compress(&program)?, "gzip"),
        false => (program, "-"),
    };
    let mut preamble =
        format!("{MACHINE} {} {packing} {}\n", program.len(), arguments.join(" ")).into_bytes();
    preamble.extend_from_slice(&program);
    preamble.resize(preamble.len() + PADDING_LEN, 0);
    preamble.push(END_OF_PADDING);
    Ok(preamble.into())
}

fn read() -> io::Result<Vec<u8>> {
    // The file may have been replaced or removed since, as by a compiler; this one is ours still.
    match fs::read("/proc/self/exe") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::read(env::current_exe()?),
        result => result,
    }
}

fn compress(program: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(program)?;
    encoder.finish()
}

/// Cuts an ELF program after the last segment that is loaded. The rest, such as debug information,
/// is most of a debug build. Any other file stays as it is.
fn cut(mut program: Vec<u8>) -> Vec<u8> {
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

/// The head of an ELF file.
struct Elf<'a> {
    file: &'a [u8],
    is_wide: bool,
    is_little: bool,
}

impl<'a> Elf<'a> {
    fn new(file: &'a [u8]) -> Option<Self> {
        let (class, order) = (*file.get(CLASS)?, *file.get(CLASS + 1)?);
        let is_known = file.starts_with(b"\x7fELF") && matches!(class, 1 | WIDE) && matches!(order, 1 | 2);
        is_known.then_some(Self { file, is_wide: class == WIDE, is_little: order == 1 })
    }

    /// Returns where the last segment that is loaded ends in the file.
    fn end_of_segments(&self) -> Option<usize> {
        let (table, entry_len, count) = match self.is_wide {
            true => (self.number(0x20, 8)?, self.number(0x36, 2)?, self.number(0x38, 2)?),
            false => (self.number(0x1c, 4)?, self.number(0x2a, 2)?, self.number(0x2c, 2)?),
        };
        // The table itself is in the first segment as a rule, but need not be.
        let mut end = table.checked_add(entry_len.checked_mul(count)?)?;
        let mut is_loaded = false;
        for number in 0..count {
            let entry = table.checked_add(number.checked_mul(entry_len)?)?;
            if self.number(entry, 4)? != LOADED {
                continue;
            }
            let (offset, len) = match self.is_wide {
                true => (self.number(entry + 0x8, 8)?, self.number(entry + 0x20, 8)?),
                false => (self.number(entry + 0x4, 4)?, self.number(entry + 0x10, 4)?),
            };
            is_loaded = true;
            end = end.max(offset.checked_add(len)?);
        }
        (is_loaded && end <= self.file.len()).then_some(end)
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

const CLASS: usize = 4;
/// The class of files with 64-bit addresses.
const WIDE: u8 = 2;
/// The type of a segment that is loaded.
const LOADED: usize = 1;

/// The name that `uname -m` gives to the machine that this program was built for, as a pattern of
/// the shell.
const MACHINE: &str = match env::consts::ARCH.as_bytes() {
    b"arm" => "arm*",
    b"powerpc64" => "ppc64*",
    b"x86" => "i?86",
    _ => env::consts::ARCH,
};
/// `head` of busybox and toybox takes up to 4,095 bytes too many, and others may take a buffer.
const PADDING_LEN: usize = 16 << 10;
/// The byte that ends the padding, which consists of zeros.
const END_OF_PADDING: u8 = b'>';

#[cfg(test)]
mod tests {
    use std::{
        io::Read as _,
        os::unix::fs::PermissionsExt as _,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn program_runs_without_what_is_cut_off() {
        let whole = read().unwrap();
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
        let program = cut(read().unwrap());
        for len in [0, 4, 5, 16, 63, 64, 100, 300] {
            let begun = program[..len].to_vec();
            assert_eq!(cut(begun.clone()), begun, "{len}");
        }
        assert_eq!(cut(b"#!/bin/sh\n".to_vec()), b"#!/bin/sh\n");
        // Sizes and offsets beyond all measure.
        let mut wild = program[..1 << 10].to_vec();
        wild[0x20..0x40].fill(0xff);
        assert_eq!(cut(wild.clone()), wild);
    }

    #[test]
    fn preamble_is_line_program_padding() {
        let arguments = ["a", "b:"].map(str::to_owned);
        let preamble = preamble(&arguments, true).unwrap();
        let end = preamble.iter().position(|byte| *byte == b'\n').unwrap();
        let line = str::from_utf8(&preamble[..end]).unwrap();
        let len = preamble.len() - end - 1 - PADDING_LEN - 1;
        assert_eq!(line, format!("{MACHINE} {len} gzip a b:"));
        let mut program = Vec::new();
        flate2::read::GzDecoder::new(&preamble[end + 1..end + 1 + len]).read_to_end(&mut program).unwrap();
        assert_eq!(program, cut(read().unwrap()));
        assert_eq!(preamble.last(), Some(&END_OF_PADDING));
    }
}
