//! Tests of folders: what is found, and what never is.

use std::fs;

use super::*;
use crate::ModuleKind;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn find(codebase: &Codebase, name: &str) -> Option<Module> {
    codebase.find(&name.parse().unwrap()).unwrap()
}

#[test]
fn packages_modules_and_submodules_are_found() {
    let folder = tree(&[
        ("ops/__init__.py", "A"),
        ("ops/deploy.py", "B"),
        ("ops/sub/__init__.py", ""),
        ("top.py", "C"),
    ]);
    let codebase = Codebase::folder(folder.path());
    let ops = find(&codebase, "ops").unwrap();
    assert_eq!((ops.kind(), ops.source()), (ModuleKind::Package, b"A".as_slice()));
    assert_eq!(ops.submodules(), ["deploy", "sub"]);
    assert_eq!(ops.file().unwrap(), folder.path().join("ops/__init__.py"));
    assert_eq!(find(&codebase, "ops.deploy").unwrap().source(), b"B");
    assert_eq!(find(&codebase, "top").unwrap().kind(), ModuleKind::Module);
    assert!(find(&codebase, "top.below").is_none());
    assert!(find(&codebase, "deploy").is_none());
    assert_eq!(codebase.top_level().unwrap(), ["ops", "top"]);
}

#[test]
fn names_need_not_be_identifiers() {
    let folder = tree(&[
        ("app/__init__.py", ""),
        ("app/0001_first.py", "A"),
        ("app/my-package/__init__.py", "B"),
        ("app/my-package/1.py", "C"),
        ("app/my-data/x.py", "D"),
        ("app/plain/x.py", "E"),
        ("app/v1.0/__init__.py", "F"),
    ]);
    let codebase = Codebase::folder(folder.path());
    assert_eq!(find(&codebase, "app").unwrap().submodules(), ["0001_first", "my-package", "plain"]);
    for (name, source) in [("app.0001_first", "A"), ("app.my-package", "B"), ("app.my-package.1", "C")] {
        assert_eq!(find(&codebase, name).unwrap().source(), source.as_bytes());
    }
    assert!(find(&codebase, "app.my-data").is_none() && find(&codebase, "app.my-data.x").is_none());
    fs::write(folder.path().join("app/my-data/__init__.py"), "").unwrap();
    assert!(find(&codebase, "app").unwrap().submodules().contains(&"my-data".to_owned()));
    assert_eq!(find(&codebase, "app.my-data.x").unwrap().source(), b"D");
}

#[test]
fn first_root_wins_and_namespaces_are_spread_over_all() {
    let one = tree(&[("shared/a.py", "1"), ("same.py", "first")]);
    let two = tree(&[("shared/b.py", "2"), ("same.py", "second")]);
    let codebase = Codebase::folder(one.path()).and_folder(two.path());
    let shared = find(&codebase, "shared").unwrap();
    assert_eq!((shared.kind(), shared.file()), (ModuleKind::Namespace, None));
    assert_eq!(shared.submodules(), ["a", "b"]);
    assert_eq!(find(&codebase, "shared.b").unwrap().source(), b"2");
    assert_eq!(find(&codebase, "same").unwrap().source(), b"first");
}

#[test]
fn package_further_down_the_list_beats_a_namespace() {
    let one = tree(&[("pkg/a.py", "1")]);
    let two = tree(&[("pkg/__init__.py", "real")]);
    let codebase = Codebase::folder(one.path()).and_folder(two.path());
    assert_eq!(find(&codebase, "pkg").unwrap().source(), b"real");
    assert!(find(&codebase, "pkg.a").is_none());
}

#[cfg(unix)]
#[test]
fn links_out_of_the_root_are_refused_and_links_within_followed() {
    let secret = tree(&[("key.py", "secret"), ("pkg/__init__.py", "")]);
    let folder = tree(&[("real.py", "R")]);
    std::os::unix::fs::symlink(secret.path().join("key.py"), folder.path().join("leak.py")).unwrap();
    std::os::unix::fs::symlink(secret.path().join("pkg"), folder.path().join("pkg")).unwrap();
    std::os::unix::fs::symlink(secret.path(), folder.path().join("space")).unwrap();
    std::os::unix::fs::symlink("real.py", folder.path().join("alias.py")).unwrap();
    let codebase = Codebase::folder(folder.path());
    for name in ["leak", "pkg", "space", "space.key"] {
        let refused = codebase.find(&name.parse().unwrap());
        assert!(matches!(refused, Err(CodebaseError::Outside { .. })), "{name}: {refused:?}");
    }
    assert_eq!(find(&codebase, "alias").unwrap().source(), b"R");
}

#[test]
fn root_that_is_not_a_folder_is_named() {
    let codebase = Codebase::folder("/nowhere/at/all");
    assert!(matches!(codebase.top_level(), Err(CodebaseError::NotAFolder { .. })));
    assert!(find(&codebase, "x").is_none());
}

#[test]
fn search_path_leaves_out_what_is_empty_or_not_there() {
    let one = tree(&[("a.py", "1")]);
    let two = tree(&[("a.py", "2"), ("b.zip", "")]);
    let entries = ["", "/nowhere/at/all", one.path().to_str().unwrap(), "", two.path().to_str().unwrap()];
    let codebase = Codebase::empty().and_search_path(&env::join_paths(entries).unwrap());
    assert_eq!(codebase.roots().collect::<Vec<_>>(), [one.path(), two.path()]);
    assert_eq!(find(&codebase, "a").unwrap().source(), b"1");
    let archive = two.path().join("b.zip");
    let codebase = Codebase::empty().and_search_path(archive.as_os_str());
    assert_eq!(codebase.roots().collect::<Vec<_>>(), [archive]);
    assert_eq!(Codebase::empty().and_search_path(OsStr::new("")).roots().count(), 0);
}
