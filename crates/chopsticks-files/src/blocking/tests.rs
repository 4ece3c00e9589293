//! Transfers without an asynchronous runtime.

use std::{fs, os::unix::fs::symlink};

use super::*;

/// Bytes in pieces of a given size.
struct Pieces(Vec<u8>, usize);

impl Inlet for Pieces {
    fn piece(&mut self, max: usize) -> io::Result<Option<Bytes>> {
        let len = self.0.len().min(max).min(self.1);
        let piece: Vec<u8> = self.0.drain(..len).collect();
        Ok((len > 0).then(|| piece.into()))
    }

    fn is_wanted(&self) -> bool {
        true
    }
}

const WISH: Wish = Wish { replace: true, owner: (None, None), has_mode: false, keeps_part: false };

fn sent(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let fetched = send_file(path, 1000, &mut |piece| {
        bytes.extend_from_slice(&piece);
        true
    });
    assert!(fetched.unwrap().is_some());
    bytes
}

#[test]
fn file_is_received_as_it_was_sent_whatever_the_pieces() {
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    let content: Vec<u8> = (0..10_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(&from, &content).unwrap();
    let bytes = sent(&from);
    for len in [1, 7, 4096] {
        let mut inlet = Pieces(bytes.clone(), len);
        let (summary, in_place) = receive_file(
            &mut inlet,
            &to,
            WISH,
            Attributes { default: 0o640, ..Attributes::default() },
            false,
            None,
        )
        .unwrap();
        assert_eq!((summary.size, in_place), (10_000, false));
        assert_eq!(fs::read(&to).unwrap(), content);
    }
}

#[test]
fn parts_of_a_file_come_from_its_base() {
    let scratch = tempfile::tempdir().unwrap();
    let (base, to) = (scratch.path().join("base"), scratch.path().join("to"));
    fs::write(&base, "0123456789").unwrap();
    let receive = |at: u64, len: u32, has_base| {
        let mut bytes = 7_u64.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[&3_u32.to_be_bytes()[..], b"new", &COPY.to_be_bytes()].concat());
        bytes.extend_from_slice(&[&at.to_be_bytes()[..], &len.to_be_bytes(), &[0; 4]].concat());
        bytes.extend_from_slice(&Sha1::digest(b"new2345"));
        let base = File::open(&base).unwrap();
        let base = Some(&base).filter(|_| has_base);
        receive_file(&mut Pieces(bytes, 5), &to, WISH, Attributes::default(), false, base)
    };
    for (at, len, has_base) in [(2, 4, false), (3, 4, true), (8, 4, true), (2, 5, true), (2, u32::MAX, true)]
    {
        assert!(receive(at, len, has_base).is_err(), "{at} {len} {has_base}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
    assert_eq!(receive(2, 4, true).unwrap().0.size, 7);
    assert_eq!(fs::read(&to).unwrap(), b"new2345");
}

#[test]
fn what_is_short_wrong_or_too_long_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    fs::write(&from, "content").unwrap();
    fs::write(&to, "old").unwrap();
    let bytes = sent(&from);
    let mut wrong = bytes.clone();
    wrong[15] ^= 1;
    for bytes in [&bytes[..bytes.len() - 1], &bytes[..9], &[], &wrong, &[&bytes[..], b"x"].concat()] {
        let received =
            receive_file(&mut Pieces(bytes.to_vec(), 5), &to, WISH, Attributes::default(), false, None);
        assert!(received.is_err());
        assert_eq!(fs::read(&to).unwrap(), b"old");
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
}

#[test]
fn folder_is_received_as_it_was_sent_and_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    fs::create_dir_all(from.join("a/b")).unwrap();
    fs::write(from.join("a/file"), "content").unwrap();
    symlink("file", from.join("a/link")).unwrap();
    let mut bytes = Vec::new();
    let counts = send_folder(&from, 1000, HashSet::new(), &mut |piece| {
        bytes.extend_from_slice(&piece);
        true
    });
    let counts = counts.unwrap().unwrap();
    assert_eq!((counts.files, counts.folders, counts.links, counts.size), (1, 3, 1, 7));
    let manner =
        Manner { owner: (None, None), keep_modified: true, replace: true, sync: false, keeps_parts: false };
    let received = receive_folder(&mut Pieces(bytes.clone(), 3), &to, manner).unwrap();
    assert_eq!(received, counts);
    assert_eq!(fs::read(to.join("a/file")).unwrap(), b"content");
    assert_eq!(fs::read_link(to.join("a/link")).unwrap(), Path::new("file"));
    let left_out = HashSet::from([PathBuf::from("a/b"), PathBuf::from("a/link")]);
    let counts = send_folder(&from, 1000, left_out, &mut |_| true).unwrap().unwrap();
    assert_eq!((counts.files, counts.folders, counts.links), (1, 2, 0));
    bytes.truncate(bytes.len() - 3);
    let (path, error) = receive_folder(&mut Pieces(bytes, 3), &to, manner).unwrap_err();
    assert_eq!((path, error.kind()), (to.join("a"), io::ErrorKind::InvalidData));
}

#[test]
fn sending_stops_when_it_is_no_longer_wanted() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file");
    fs::write(&path, vec![1; 100_000]).unwrap();
    let mut count = 0;
    let mut give = |_| {
        count += 1;
        count < 3
    };
    assert!(send_file(&path, 1000, &mut give).unwrap().is_none());
    assert_eq!(count, 3);
}
