//! Tests of what becomes of files.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::spare::new_named_file;

fn folder(path: &Path) -> OwnedFd {
    fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap()
}

fn names(path: &Path) -> Vec<OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

fn open(path: &Path, wish: Wish) -> io::Result<Target> {
    Target::open(path, wish, &|| true)
}

/// Begins a file that has no name, or one that has.
fn begin(is_named: bool, path: &Path, replace: bool) -> Hidden {
    let folder = folder(path);
    let there = takes_place(&folder, OsStr::new("x"), replace).unwrap();
    let wish = Wish { replace, ..REPLACE };
    let named = |folder: &OwnedFd| new_named_file(folder).map(|(file, name)| (file, Some(name)));
    if is_named {
        Hidden::create_with(named, folder, OsStr::new("x"), there, wish).unwrap()
    } else {
        Hidden::create(folder, OsStr::new("x"), there, wish).unwrap()
    }
}

const REPLACE: Wish = Wish { replace: true, owner: (None, None), has_mode: false, keeps_part: false };
const ATTRIBUTES: Attributes = Attributes { mode: None, default: 0o640, modified: None };

fn put(path: &Path, content: &[u8]) -> bool {
    let mut target = open(path, REPLACE).unwrap();
    target.write(content, &|| true).unwrap();
    target.finish(&ATTRIBUTES, true).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn file_appears_whole_and_replaces() {
    for is_named in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        for content in [b"first", b"again"] {
            let mut hidden = begin(is_named, scratch.path(), true);
            hidden.file.write_all(content).unwrap();
            assert!(!hidden.finish(&ATTRIBUTES, true).unwrap());
            assert_eq!(std::fs::read(scratch.path().join("x")).unwrap(), content);
            assert_eq!(names(scratch.path()), ["x"]);
        }
        assert_eq!(mode(&scratch.path().join("x")), 0o640);
    }
}

#[test]
fn file_that_is_given_up_leaves_nothing() {
    for is_named in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        let mut hidden = begin(is_named, scratch.path(), true);
        hidden.file.write_all(b"part").unwrap();
        drop(hidden);
        assert!(names(scratch.path()).is_empty());
    }
}

#[test]
fn file_that_came_meanwhile_stays_if_asked() {
    for is_named in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        let mut hidden = begin(is_named, scratch.path(), false);
        hidden.file.write_all(b"new").unwrap();
        std::fs::write(scratch.path().join("x"), "other").unwrap();
        let error = hidden.finish(&ATTRIBUTES, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(scratch.path().join("x")).unwrap(), b"other");
        assert_eq!(names(scratch.path()), ["x"]);
    }
}

#[test]
fn name_that_is_free_is_taken_without_hard_links_too() {
    let scratch = tempfile::tempdir().unwrap();
    let mut hidden = begin(true, scratch.path(), false);
    hidden.file.write_all(b"new").unwrap();
    hidden.take_free_name().unwrap();
    assert_eq!(std::fs::read(scratch.path().join("x")).unwrap(), b"new");
    assert_eq!(names(scratch.path()), ["x"]);
    let mut hidden = begin(true, scratch.path(), true);
    assert!(hidden.take_free_name().is_err());
}

#[test]
fn what_a_kill_left_behind_is_taken_away() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("x"), "old").unwrap();
    std::fs::write(scratch.path().join(fresh_name()), "left").unwrap();
    put(&scratch.path().join("x"), b"new");
    assert_eq!(std::fs::read(scratch.path().join("x")).unwrap(), b"new");
    assert_eq!(names(scratch.path()), ["x"]);
}

#[test]
fn file_that_is_replaced_keeps_mode_and_owner() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x");
    for bits in [0o600, 0o444, 0o755] {
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
        let is_root = geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(&path, Some(4711), Some(50)).unwrap();
        }
        assert!(!put(&path, b"new"));
        assert_eq!((std::fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), bits));
        let metadata = std::fs::metadata(&path).unwrap();
        assert!(!is_root || (metadata.uid(), metadata.gid()) == (4711, 50));
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn extended_attributes_stay() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x");
    std::fs::write(&path, "old").unwrap();
    fs::setxattr(&path, "user.note", b"kept", fs::XattrFlags::empty()).unwrap();
    put(&path, b"new");
    let mut value = [0_u8; 16];
    assert_eq!(fs::getxattr(&path, "user.note", &mut value).unwrap(), 4);
}

#[test]
fn links_are_followed_and_devices_written_into() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    symlink("file", at("link")).unwrap();
    symlink("/dev/null", at("null")).unwrap();
    assert!(!put(&at("link"), b"new"));
    assert!(put(&at("null"), b"new"));
    assert!(put(Path::new("/dev/null"), b"new"));
    assert_eq!(std::fs::read(at("file")).unwrap(), b"new");
    assert!(at("link").is_symlink() && at("null").is_symlink());
    assert!(FileType::from_raw_mode(fs::stat("/dev/null").unwrap().st_mode) == FileType::CharacterDevice);
    let error = open(&at("null"), Wish { has_mode: true, ..REPLACE }).unwrap_err();
    assert_eq!(error.to_string(), "a device keeps its mode and owner");
    for wish in [Wish { replace: false, ..REPLACE }, Wish { owner: (Some(0), None), ..REPLACE }] {
        assert!(open(&at("null"), wish).is_err());
    }
}

#[test]
fn fifo_is_written_once_somebody_reads_and_given_up_when_it_is_not_wanted() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fifo");
    fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let error = Target::open(&path, REPLACE, &|| false).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NXIO));
    let content = vec![7; 300_000];
    let reader = std::thread::spawn({
        let path = path.clone();
        move || std::fs::read(path).unwrap()
    });
    assert!(put(&path, &content));
    assert!(reader.join().unwrap() == content);
    let _reader = fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
    let mut target = open(&path, REPLACE).unwrap();
    assert_eq!(target.write(&content, &|| false).unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(names(scratch.path()), ["fifo"]);
}

#[test]
#[ignore = "only root has files of others; `cargo xtask test` runs it as root"]
fn traps_in_folders_where_all_may_write_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let at = |name: &str| scratch.path().join(name);
    std::fs::write(at("secret"), "secret").unwrap();
    symlink("secret", at("link")).unwrap();
    std::fs::write(at("file"), "").unwrap();
    fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for name in ["link", "file", "fifo"] {
        std::os::unix::fs::lchown(at(name), Some(4711), Some(4711)).unwrap();
        assert_eq!(open(&at(name), REPLACE).unwrap_err().kind(), io::ErrorKind::PermissionDenied, "{name}");
    }
    assert_eq!(std::fs::read(at("secret")).unwrap(), b"secret");
}

#[test]
fn folders_and_special_files_are_not_replaced_within_folders() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir(scratch.path().join("folder")).unwrap();
    fs::mknodat(CWD, scratch.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink("elsewhere", scratch.path().join("link")).unwrap();
    for (name, kind) in [("folder", io::ErrorKind::IsADirectory), ("fifo", io::ErrorKind::InvalidInput)] {
        let error = Target::open_in(folder(scratch.path()), OsStr::new(name), REPLACE).unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    let target = Target::open_in(folder(scratch.path()), OsStr::new("link"), REPLACE).unwrap();
    target.finish(&ATTRIBUTES, false).unwrap();
    assert_eq!(names(scratch.path()), ["fifo", "folder", "link"]);
    assert!(!scratch.path().join("link").is_symlink());
}

#[test]
fn times_before_1970_are_times() {
    let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_millis(1500);
    let time = timestamps(before).last_modification;
    assert_eq!((time.tv_sec, time.tv_nsec), (-2, 500_000_000));
}
