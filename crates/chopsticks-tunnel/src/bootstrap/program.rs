//! The program of an agent in Rust: a copy of this program, or one for another kind of machine,
//! without the parts that are not needed to run it.

use std::{
    env, fs,
    io::{self, Write as _},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::elf::cut;

/// Returns what the first stage reads: a line about the program, the program, padding.
///
/// `architecture` is what the program was built for, as Rust names it. Compressing takes some 10 ms a
/// megabyte.
pub(crate) fn preamble(
    program: Vec<u8>,
    architecture: &str,
    arguments: &[String],
    is_compressed: bool,
) -> io::Result<Bytes> {
    let program = cut(program);
    let (program, packing) = match is_compressed {
        true => (compress(&program)?, "gzip"),
        false => (program, "-"),
    };
    let machine = pattern(architecture);
    let mut preamble =
        format!("{machine} {} {packing} {}\n", program.len(), arguments.join(" ")).into_bytes();
    preamble.extend_from_slice(&program);
    preamble.resize(preamble.len() + PADDING_LEN, 0);
    preamble.push(END_OF_PADDING);
    Ok(preamble.into())
}

/// Reads the file of this program.
pub(crate) fn read() -> io::Result<Vec<u8>> {
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

/// Returns the names that `uname -m` gives to machines of this architecture, as a pattern of the
/// shell.
fn pattern(architecture: &str) -> &str {
    match architecture {
        "arm" => "arm*",
        "powerpc64" => "ppc64*",
        "x86" => "i?86",
        architecture => architecture,
    }
}

/// Returns whether `uname -m` gives this name to machines of this architecture.
pub(crate) fn is_machine(architecture: &str, name: &str) -> bool {
    let name = name.as_bytes();
    match architecture {
        "arm" => name.starts_with(b"arm"),
        "powerpc64" => name.starts_with(b"ppc64"),
        "x86" => matches!(name, [b'i', _, b'8', b'6']),
        architecture => architecture.as_bytes() == name,
    }
}

/// `head` of busybox and toybox takes up to 4,095 bytes too many, and others may take a buffer.
const PADDING_LEN: usize = 16 << 10;
/// The byte that ends the padding, which consists of zeros.
pub(crate) const END_OF_PADDING: u8 = b'>';

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn preamble_is_line_program_padding() {
        let arguments = ["a", "b:"].map(str::to_owned);
        let preamble = preamble(read().unwrap(), "x86", &arguments, true).unwrap();
        let end = preamble.iter().position(|byte| *byte == b'\n').unwrap();
        let line = str::from_utf8(&preamble[..end]).unwrap();
        let len = preamble.len() - end - 1 - PADDING_LEN - 1;
        assert_eq!(line, format!("i?86 {len} gzip a b:"));
        let mut program = Vec::new();
        flate2::read::GzDecoder::new(&preamble[end + 1..end + 1 + len]).read_to_end(&mut program).unwrap();
        assert_eq!(program, cut(read().unwrap()));
        assert_eq!(preamble.last(), Some(&END_OF_PADDING));
    }

    #[test]
    fn machines_have_several_names() {
        for (architecture, name, is_one) in [
            ("x86_64", "x86_64", true),
            ("x86", "i686", true),
            ("x86", "x86_64", false),
            ("arm", "armv7l", true),
            ("powerpc64", "ppc64le", true),
            ("aarch64", "armv8l", false),
        ] {
            assert_eq!(is_machine(architecture, name), is_one, "{architecture} {name}");
        }
    }
}
