//! Modules and data by the paths of their folders.

use chopsticks_importer::{Codebase, Embedded, Resource};
use chopsticks_module::{ModuleEntryKind, ModuleSource};

use crate::files::{tree, write, zip};

const FILES: &[(&str, &str)] = &[
    ("app/__init__.py", "A"),
    ("app/plugins/red.py", "R"),
    ("app/plugins/box/__init__.py", "B"),
    ("app/words.txt", "W"),
    ("app/.env", "secret"),
    ("plug-ins/x.py", "X"),
    ("plug-ins/notes.txt", "secret"),
    (".git/hooks/y.py", "secret"),
    ("single.py", "S"),
    ("README", "secret"),
    ("notes.txt", "secret"),
    ("Thing-1.0.dist-info/METADATA", "Name: Thing"),
    ("old.egg-info", "Name: old"),
    ("data-1/table.csv", "secret"),
];

fn codebases() -> (tempfile::TempDir, Vec<Codebase>) {
    let folder = tree(FILES);
    write(&folder.path().join("all.zip"), zip(FILES));
    let archive = Codebase::archive(folder.path().join("all.zip"));
    let embedded = Codebase::source(Embedded::new().files(FILES.iter().copied()));
    let codebases = vec![Codebase::folder(folder.path()), archive, embedded];
    (folder, codebases)
}

fn source(codebase: &Codebase, spot: &str) -> Option<String> {
    let entry = ModuleSource::module(codebase, spot).unwrap()?;
    Some(String::from_utf8(entry.source).unwrap())
}

fn listed(codebase: &Codebase, spot: &str) -> Vec<String> {
    match ModuleSource::resource(codebase, spot, "").unwrap() {
        Some(Resource::Folder(entries)) => entries.into_iter().map(|entry| entry.name).collect(),
        other => panic!("{spot}: {other:?}"),
    }
}

#[test]
fn modules_are_found_in_any_folder() {
    let (_folder, codebases) = codebases();
    for codebase in &codebases {
        for (spot, expected) in [
            ("/0/app/plugins/red", "R"),
            ("//app/plugins/red", "R"),
            ("/0/app/plugins/box", "B"),
            ("/0/plug-ins/x", "X"),
            ("/0/single", "S"),
        ] {
            assert_eq!(source(codebase, spot).as_deref(), Some(expected), "{spot} {codebase:?}");
        }
        let package = ModuleSource::module(codebase, "//app").unwrap().unwrap();
        assert_eq!(
            (package.kind, package.submodules),
            (ModuleEntryKind::Package, vec!["plugins".to_owned()])
        );
        for spot in [
            "/1/single",
            "/0/absent",
            "/0/",
            "/",
            "//",
            "/0/.git/hooks/y",
            "/x/single",
            "/0/app/../single",
            "/0//single",
            "/0/single/",
            "/-1/single",
            "/0/single.py",
        ] {
            assert_eq!(source(codebase, spot), None, "{spot} {codebase:?}");
        }
        assert_eq!(source(&codebase.clone().exclude("plugins"), "/0/app/plugins/red"), None);
    }
}

#[test]
fn data_is_that_of_packages_and_distributions() {
    let (_folder, codebases) = codebases();
    for codebase in &codebases {
        for (folder, path, expected) in [
            ("//", "app/words.txt", "W"),
            ("/0/app", "words.txt", "W"),
            ("/0/", "Thing-1.0.dist-info/METADATA", "Name: Thing"),
            ("//", "old.egg-info", "Name: old"),
        ] {
            let found = ModuleSource::resource(codebase, folder, path).unwrap();
            assert_eq!(found, Some(Resource::File(expected.as_bytes().to_vec())), "{folder} {path}");
        }
        for path in
            ["README", "notes.txt", "plug-ins/notes.txt", "app/.env", "data-1/table.csv", "../x", "single.py"]
        {
            assert_eq!(ModuleSource::resource(codebase, "/0/", path).unwrap(), None, "{path}");
        }
        let tops = listed(codebase, "//");
        assert_eq!(tops, ["Thing-1.0.dist-info", "app", "old.egg-info", "single.py"], "{codebase:?}");
        assert_eq!(listed(codebase, "/0/plug-ins"), ["x.py"]);
        assert_eq!(listed(codebase, "/0/app"), ["__init__.py", "plugins", "words.txt"]);
    }
}

#[test]
fn first_root_has_its_own_number_and_all_have_none() {
    let one = tree(&[("app/__init__.py", "1"), ("app/a.py", "")]);
    let two = tree(&[("app/__init__.py", "2"), ("app/b.py", "")]);
    let codebase = Codebase::folder(one.path()).and_folder(two.path());
    let roots = ModuleSource::roots(&codebase);
    assert_eq!(roots, [one.path(), two.path()].map(|path| path.to_str().unwrap().to_owned()));
    assert_eq!(source(&codebase, "/0/app").unwrap(), "1");
    assert_eq!(source(&codebase, "/1/app").unwrap(), "2");
    assert_eq!(source(&codebase, "//app").unwrap(), "1");
    assert_eq!(listed(&codebase, "/1/app"), ["__init__.py", "b.py"]);
    assert_eq!(listed(&codebase, "//app"), ["__init__.py", "a.py", "b.py"]);
}

#[test]
fn package_that_asks_for_it_is_spread_over_all_roots() {
    let spread = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)";
    let one = tree(&[("corp/__init__.py", spread), ("corp/a.py", "A"), ("plain/__init__.py", "")]);
    let two = tree(&[("corp/__init__.py", spread), ("corp/b.py", "B"), ("plain/c.py", "")]);
    let codebase = Codebase::folder(one.path()).and_folder(two.path());
    let find = |name: &str| codebase.find(&name.parse().unwrap()).unwrap();
    assert_eq!(find("corp").unwrap().submodules(), ["a", "b"]);
    assert_eq!(find("corp.b").unwrap().source(), b"B");
    let names: Vec<_> =
        codebase.needed_by_source(b"import corp.b").iter().map(|module| module.name().to_string()).collect();
    assert_eq!(names, ["corp", "corp.b"]);
    assert!(find("plain.c").is_none());
}

#[test]
fn extension_modules_are_told_with_the_files_that_they_are_in() {
    let files = [
        ("fast/__init__.py", ""),
        ("fast/_x.cpython-39-darwin.so", ""),
        ("fast/_x.cp312-win_amd64.pyd", ""),
        ("fast/code.pyc", ""),
    ];
    let folder = tree(&files);
    let codebase = Codebase::folder(folder.path());
    let refused = ModuleSource::module(&codebase, "fast._x").unwrap_err();
    assert_eq!(refused.compiled_files(), ["_x.cp312-win_amd64.pyd", "_x.cpython-39-darwin.so"]);
    let refused = ModuleSource::module(&codebase, "fast.code").unwrap_err();
    assert_eq!(refused.compiled_files(), ["code.pyc"]);
}
