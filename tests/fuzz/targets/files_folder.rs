//! Any stream as a folder: whatever comes, nothing is written but in that folder, and files are there whole or not at all.

#![no_main]

#[path = "stream.rs"]
mod stream;

use std::fs;

use chopsticks_files::{Input, Manner, Meter, TreeSink, Watcher, receive_folder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&[cut, manner], bytes)) = input.split_first_chunk() else { return };
    let scratch = tempfile::tempdir_in("/dev/shm").expect("there is room in memory");
    fs::write(scratch.path().join("beside"), "untouched").expect("it is ours");
    let root = scratch.path().join("root");
    if manner & 1 == 1 {
        fs::create_dir(&root).expect("it is ours");
        fs::write(root.join("a"), "old").expect("it is ours");
        std::os::unix::fs::symlink("..", root.join("l")).expect("it is ours");
    }
    let manner = Manner {
        owner: (None, None),
        keep_modified: manner & 2 != 0,
        replace: manner & 4 != 0,
        sync: false,
        keeps_parts: false,
    };
    stream::with(bytes, usize::from(cut).max(1), async |reader| {
        let sink = TreeSink::open(root.clone(), manner);
        let mut watcher = Watcher::default();
        let meter = Meter::new(1 << 20, &mut watcher);
        let received = receive_folder(Input::new(reader), meter, &sink).await;
        let ended = sink.end().await;
        if received.is_ok() && ended.is_ok() {
            assert!(root.is_dir());
        }
    });
    let mut names: Vec<_> = fs::read_dir(scratch.path())
        .expect("it is there")
        .map(|entry| entry.expect("it is there").file_name())
        .collect();
    names.sort();
    assert!(names == ["beside", "root"] || names == ["beside"], "{names:?}");
    assert_eq!(fs::read(scratch.path().join("beside")).expect("it is there"), b"untouched");
    no_leftovers(&root);
    open_up(&root);
});

/// Nothing unfinished stays.
fn no_leftovers(folder: &std::path::Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        assert!(!name.to_string_lossy().starts_with(".chopsticks-"), "{name:?}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            no_leftovers(&entry.path());
        }
    }
}

/// Lets everything be removed.
fn open_up(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
