//! Zips, wheels and eggs.

use std::fs;

use chopsticks_importer::{Codebase, CodebaseError, ModuleKind};

use crate::files::{Raw, content, find, names, raw_zip, resource, source, tree, write, zip};

#[test]
fn wheel_has_packages_modules_and_data() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("pkg-1.0-py3-none-any.whl");
    let files = [
        ("pkg/__init__.py", "from . import part"),
        ("pkg/part.py", "P"),
        ("pkg/data/x.txt", "X"),
        ("pkg-1.0.dist-info/METADATA", "M"),
        ("single.py", "S"),
    ];
    write(&wheel, zip(&files));
    let codebase = Codebase::archive(&wheel);
    assert_eq!(codebase.top_level().unwrap(), ["pkg", "single"]);
    let pkg = find(&codebase, "pkg").unwrap();
    assert_eq!((pkg.kind(), pkg.submodules().join(" ")), (ModuleKind::Package, "data part".to_owned()));
    assert_eq!(pkg.file().unwrap(), wheel.join("pkg/__init__.py"));
    assert_eq!(source(&codebase, "pkg.part").unwrap(), "P");
    assert_eq!(source(&codebase, "single").unwrap(), "S");
    assert_eq!(content(&codebase, "pkg", "data/x.txt").unwrap(), "X");
    assert_eq!(names(&codebase, "pkg", "").unwrap(), ["__init__.py", "data/", "part.py"]);
    assert!(find(&codebase, "pkg.absent").is_none() && find(&codebase, "absent").is_none());
    let needed: Vec<_> = codebase.needed(&"pkg".parse().unwrap());
    assert_eq!(needed.iter().map(|module| module.name().as_str()).collect::<Vec<_>>(), ["pkg", "pkg.part"]);
}

#[test]
fn path_is_taken_by_what_is_there() {
    let folder = tree(&[("lib/a.py", "A")]);
    write(&folder.path().join("all.zip"), zip(&[("lib/b.py", "B"), ("lib/sub/c.py", "C"), ("top.py", "")]));
    let codebase = |path: &str| Codebase::path(folder.path().join(path));
    assert_eq!(codebase("lib").top_level().unwrap(), ["a"]);
    assert_eq!(codebase("all.zip").top_level().unwrap(), ["lib", "top"]);
    let inner = codebase("all.zip/lib");
    assert_eq!(inner.top_level().unwrap(), ["b", "sub"]);
    assert_eq!(find(&inner, "b").unwrap().file().unwrap(), folder.path().join("all.zip/lib/b.py"));
    assert_eq!(source(&inner, "sub.c").unwrap(), "C");
    assert!(find(&inner, "top").is_none());
    for absent in ["nothing", "all.zip/nothing", "all.zip/top.py", "nothing/all.zip"] {
        let refused = codebase(absent).top_level();
        assert!(matches!(refused, Err(CodebaseError::NotAFolder { .. })), "{absent}: {refused:?}");
        assert!(find(&codebase(absent), "b").is_none());
    }
}

#[test]
fn namespace_is_spread_over_folders_and_archives() {
    let folder = tree(&[("ns/a.py", "A"), ("ns/data/one.txt", "1"), ("ns/data/both.txt", "first")]);
    let wheel = folder.path().join("ns.whl");
    write(&wheel, zip(&[("ns/b.py", "B"), ("ns/data/two.txt", "2"), ("ns/data/both.txt", "second")]));
    let codebase = Codebase::folder(folder.path()).and_path(&wheel);
    let ns = find(&codebase, "ns").unwrap();
    assert_eq!((ns.kind(), ns.submodules().join(" ")), (ModuleKind::Namespace, "a b data".to_owned()));
    assert_eq!(source(&codebase, "ns.b").unwrap(), "B");
    assert_eq!(names(&codebase, "ns", "data").unwrap(), ["both.txt", "one.txt", "two.txt"]);
    assert_eq!(content(&codebase, "ns", "data/two.txt").unwrap(), "2");
    assert_eq!(content(&codebase, "ns", "data/both.txt").unwrap(), "first");
    assert_eq!(names(&codebase, "ns.data", "").unwrap(), ["both.txt", "one.txt", "two.txt"]);
}

#[test]
fn changed_archive_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.zip");
    write(&file, zip(&[("a.py", "1")]));
    let codebase = Codebase::archive(&file);
    assert_eq!(source(&codebase, "a").unwrap(), "1");
    write(&file, zip(&[("a.py", "2"), ("b.py", "")]));
    assert_eq!(source(&codebase, "a").unwrap(), "2");
    assert_eq!(codebase.top_level().unwrap(), ["a", "b"]);
    fs::remove_file(&file).unwrap();
    assert!(find(&codebase, "a").is_none());
    assert!(matches!(codebase.top_level(), Err(CodebaseError::NotAFolder { .. })));
}

#[test]
fn what_is_no_archive_is_told() {
    let folder = tree(&[("a.whl", "no zip at all"), ("empty.zip", "")]);
    for name in ["a.whl", "empty.zip"] {
        let codebase = Codebase::path(folder.path().join(name));
        for error in [codebase.top_level().unwrap_err(), codebase.find(&"x".parse().unwrap()).unwrap_err()] {
            assert!(error.to_string().contains(&format!("{name}: ")), "{error}");
        }
    }
}

#[test]
fn evil_names_are_not_there() {
    let evil: &[&[u8]] = &[
        b"../x.py",
        b"/abs.py",
        b"a/../../y.py",
        b"./dot.py",
        b"a\\b.py",
        b"..\\z.py",
        b"C:/c.py",
        b"a//b.py",
        b"",
        b"/",
        b"nul\0.py",
        b"\xff\xfe.py",
    ];
    let mut files: Vec<_> = evil.iter().map(|name| Raw::stored(name, b"evil")).collect();
    files.push(Raw::stored(b"good.py", b"first"));
    files.push(Raw::stored(b"good.py", b"last"));
    files.push(Raw::stored(b"both", b"file"));
    files.push(Raw::stored(b"both/in.py", b"in"));
    let deep = "d/".repeat(20_000) + "x.py";
    files.push(Raw::stored(deep.as_bytes(), b"deep"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evil.zip");
    write(&file, raw_zip(&files));
    let codebase = Codebase::archive(&file);
    // Only a folder of a name that a drive has, which is one here.
    // The last name is the one that is no UTF-8, in the encoding that zips had before.
    assert_eq!(codebase.top_level().unwrap(), ["both", "good", "\u{a0}■"]);
    assert_eq!(source(&codebase, "good").unwrap(), "last");
    assert_eq!(source(&codebase, "both.in").unwrap(), "in");
    for name in ["x", "abs", "y", "dot", "z", "c", "a.b", "nul", "d"] {
        assert!(find(&codebase, name).is_none(), "{name}");
    }
    for path in ["../x.py", "../../x.py", "in.py/..", "/abs.py", "in.py/", "\0"] {
        assert_eq!(resource(&codebase, "both", path).unwrap(), None, "{path:?}");
    }
}

#[test]
fn bombs_end_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bomb.zip");
    let large = "#".repeat(5 << 20);
    write(&file, zip(&[("p/__init__.py", ""), ("p/big.py", &large), ("p/big.txt", &large)]));
    let codebase = Codebase::archive(&file).max_file_len(1 << 20);
    for refused in
        [codebase.find(&"p.big".parse().unwrap()).map(drop), resource(&codebase, "p", "big.txt").map(drop)]
    {
        assert!(matches!(refused, Err(CodebaseError::TooLarge { limit: 1_048_576, .. })), "{refused:?}");
    }
    assert_eq!(Codebase::archive(&file).needed(&"p.big".parse().unwrap()).len(), 2);
    // One that lies about its size.
    let packed = zip(&[("x", &large)]);
    let start = 30 + 1;
    let end = packed.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    let liar = Raw { name: b"p/__init__.py", content: &packed[start..end], method: 8, len: 10 };
    write(&file, raw_zip(&[liar]));
    assert!(Codebase::archive(&file).max_file_len(1 << 20).find(&"p".parse().unwrap()).is_err());
}

#[test]
fn method_that_is_not_known_is_told_when_the_file_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.zip");
    let odd = Raw { name: b"odd.py", content: b"xx", method: 14, len: 2 };
    write(&file, raw_zip(&[odd, Raw::stored(b"good.py", b"G")]));
    let codebase = Codebase::archive(&file);
    assert_eq!(source(&codebase, "good").unwrap(), "G");
    let error = codebase.find(&"odd".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("odd.zip/odd.py: "), "{error}");
}
