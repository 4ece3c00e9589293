//! Modules that cannot be sent.

use chopsticks_importer::{Codebase, CodebaseError};

use crate::files::{find, source, tree, write, zip};

fn refusal(codebase: &Codebase, name: &str) -> String {
    match codebase.find(&name.parse().unwrap()) {
        Err(error @ CodebaseError::Compiled { .. }) => error.to_string(),
        other => panic!("{name}: {other:?}"),
    }
}

const FILES: &[(&str, &str)] = &[
    ("markupsafe/__init__.py", "try: from ._speedups import f\nexcept ImportError: from ._native import f\n"),
    ("markupsafe/_native.py", "def f(): pass"),
    ("markupsafe/_speedups.cpython-311-x86_64-linux-gnu.so", "\x7fELF"),
    ("both.py", "B"),
    ("both.abi3.so", "\x7fELF"),
    ("win.pyd", "MZ"),
    ("old.pyc", "bytes"),
    ("binary/__init__.cpython-311-x86_64-linux-gnu.so", "\x7fELF"),
    ("binary/x.py", "X"),
];

#[test]
fn extension_modules_and_byte_code_are_listed_and_refused() {
    let folder = tree(FILES);
    let wheel = folder.path().join("x.whl");
    write(&wheel, zip(FILES));
    for codebase in [Codebase::folder(folder.path()), Codebase::archive(&wheel)] {
        let names = codebase.top_level().unwrap();
        assert_eq!(names, ["binary", "both", "markupsafe", "old", "win"]);
        let package = find(&codebase, "markupsafe").unwrap();
        assert_eq!(package.submodules(), ["_native", "_speedups"]);
        let text = refusal(&codebase, "markupsafe._speedups");
        assert!(text.contains("_speedups.cpython-311-x86_64-linux-gnu.so is an extension module"), "{text}");
        assert!(text.contains("with_site_packages"), "{text}");
        refusal(&codebase, "win");
        refusal(&codebase, "binary");
        refusal(&codebase, "binary.x");
        assert!(refusal(&codebase, "old").contains("byte code"));
        assert_eq!(source(&codebase, "both").unwrap(), "B");
        // What is ahead goes without them.
        let needed = codebase.needed(&"markupsafe".parse().unwrap());
        let needed: Vec<_> = needed.iter().map(|module| module.name().as_str()).collect();
        assert_eq!(needed, ["markupsafe", "markupsafe._native"]);
    }
}

#[test]
fn source_further_down_the_list_wins_over_an_extension() {
    let binary = tree(&[("x.so", ""), ("ns/y.so", ""), ("z.so", ""), ("z/only_data.txt", "")]);
    let pure = tree(&[("x.py", "X"), ("ns/y.py", "Y"), ("z/part.py", "")]);
    let codebase = Codebase::folder(binary.path()).and_folder(pure.path());
    assert_eq!(source(&codebase, "x").unwrap(), "X");
    assert_eq!(source(&codebase, "ns.y").unwrap(), "Y");
    // A folder alone is no source.
    refusal(&codebase, "z");
}

#[test]
fn excluded_extension_is_not_there() {
    let folder = tree(&[("p/__init__.py", ""), ("p/x.so", "")]);
    let codebase = Codebase::folder(folder.path()).exclude("*.so");
    assert!(find(&codebase, "p").unwrap().submodules().is_empty());
    assert!(find(&codebase, "p.x").is_none());
}
