//! Files: they arrive whole or not at all, whatever their names, sizes and misfortunes.

mod broken;
mod folders;
mod hostile;
mod options;
mod whole;

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use chopsticks::{Error, ErrorKind, Side};

/// Bytes in no order that compresses or repeats soon.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Everything in a folder, by name.
fn names(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// Names that shells, terminals and codecs trip over.
fn awkward_names() -> Vec<OsString> {
    let names: [&[u8]; 8] = [
        b"with space",
        b"it's \"quoted\" $HOME `x` \\",
        b"new\nline\ttab\x1b[31m",
        "Überblick-日本".as_bytes(),
        b"not utf-8 \xff\xfe\xe9",
        b"-rf",
        b"{host}",
        &[b'n'; 255],
    ];
    names.iter().map(|name| OsString::from_vec(name.to_vec())).collect()
}

/// The side, the path and the reason of a failed transfer.
fn failure(error: &Error) -> (Side, PathBuf, std::io::ErrorKind) {
    match error.kind() {
        ErrorKind::File { side, path, source } => (*side, path.clone(), source.kind()),
        _ => panic!("{}", error.report()),
    }
}
