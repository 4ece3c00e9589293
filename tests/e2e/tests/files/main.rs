//! Files: they arrive whole or not at all, whatever their names, sizes and misfortunes.

mod broken;
mod compared;
mod folders;
mod hostile;
mod killed;
mod kinds;
mod options;
mod reused;
mod synced;
mod whole;

use std::{
    ffi::OsString,
    fs,
    num::NonZeroU64,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use chopsticks::{Error, ErrorKind, Progress, Side};

/// So slow that there is time to break a transfer of `SIZE`.
const SLOW: NonZeroU64 = NonZeroU64::new(2_000_000).unwrap();
const SIZE: usize = 1_000_000;

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

/// Does something once, when the first bytes have moved.
fn once(act: impl FnOnce() + Send) -> impl FnMut(Progress) + Send {
    let mut act = Some(act);
    move |_| {
        if let Some(act) = act.take() {
            act();
        }
    }
}
