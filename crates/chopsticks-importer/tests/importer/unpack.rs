//! Packages that are written to a host's disk.

use std::io::{Cursor, Read as _};

use chopsticks_importer::{Codebase, ModuleKind};
use chopsticks_module::{ModuleEntryKind, ModuleSource};
use zip::ZipArchive;

use crate::files::{tree, write, zip};

/// The files that the zip of a module has, sorted, and the text of the last.
fn unpacked(codebase: &Codebase, name: &str) -> Vec<(String, String)> {
    let module = codebase.find(&name.parse().unwrap()).unwrap().unwrap();
    assert_eq!((module.kind(), module.file()), (ModuleKind::Unpacked, None));
    let mut archive = ZipArchive::new(Cursor::new(module.source())).unwrap();
    let mut files: Vec<_> = (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().unwrap().to_string(), text)
        })
        .collect();
    files.sort();
    files
}

const FILES: &[(&str, &str)] = &[
    ("kit/__init__.py", "K"),
    ("kit/certs/ca.pem", "C"),
    ("kit/_fast.so", "F"),
    ("kit/.hidden", ""),
    ("kit/__pycache__/x.pyc", ""),
    ("kit/tests/t.py", ""),
    ("kit.libs/libz.so.1", "L"),
    ("kit-1.0.dist-info/METADATA", ""),
    ("one.py", "O"),
    ("other/__init__.py", "import kit, kit.sub, one"),
];

#[test]
fn all_files_of_a_package_come_with_its_libraries() {
    let folder = tree(FILES);
    write(&folder.path().join("all.zip"), zip(FILES));
    for codebase in [Codebase::folder(folder.path()), Codebase::archive(folder.path().join("all.zip"))] {
        let codebase = codebase.unpack("kit").unpack("on*").exclude("tests");
        let files = unpacked(&codebase, "kit");
        let expected = [
            ("kit.libs/libz.so.1", "L"),
            ("kit/__init__.py", "K"),
            ("kit/_fast.so", "F"),
            ("kit/certs/ca.pem", "C"),
        ];
        assert_eq!(files, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(unpacked(&codebase, "one"), [("one.py".to_owned(), "O".to_owned())]);
        assert!(codebase.find(&"kit.certs".parse().unwrap()).unwrap().is_none());
        let entry = ModuleSource::module(&codebase, "kit").unwrap().unwrap();
        assert_eq!((entry.kind, entry.submodules.len()), (ModuleEntryKind::Unpacked, 0));
        // It comes when it is asked for.
        let needed = codebase.needed(&"other".parse().unwrap());
        assert_eq!(needed.iter().map(|module| module.name().as_str()).collect::<Vec<_>>(), ["other"]);
        assert!(codebase.top_level().unwrap().contains(&"kit".to_owned()));
    }
}

#[test]
fn portions_of_a_namespace_package_come_together() {
    let one = tree(&[("space/a.py", "1")]);
    let two = tree(&[("space/a.py", "2"), ("space/b.py", "2")]);
    let codebase = Codebase::folder(one.path()).and_folder(two.path()).unpack("space");
    let expected = [("space/a.py", "1"), ("space/b.py", "2")];
    assert_eq!(unpacked(&codebase, "space"), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert!(codebase.find(&"absent".parse().unwrap()).unwrap().is_none());
}

#[cfg(unix)]
#[test]
fn links_that_run_in_circles_or_lead_out_are_no_way() {
    let outside = tree(&[("secret.txt", "secret")]);
    let folder = tree(&[("kit/__init__.py", ""), ("kit/x.txt", "X")]);
    std::os::unix::fs::symlink("..", folder.path().join("kit/loop")).unwrap();
    let codebase = Codebase::folder(folder.path()).unpack("kit");
    let names: Vec<_> = unpacked(&codebase, "kit").into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"kit/x.txt".to_owned()) && names.len() < 9, "{names:?}");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("kit/leak")).unwrap();
    assert!(codebase.find(&"kit".parse().unwrap()).is_err());
}
