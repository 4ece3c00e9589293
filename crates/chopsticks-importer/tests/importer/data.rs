//! The data of packages.

use chopsticks_importer::{Codebase, CodebaseError, Links};
use chopsticks_module::ModuleSource;

use crate::files::{content, names, resource, tree};

#[test]
fn files_and_folders_of_a_package_are_served() {
    let folder = tree(&[
        ("p/__init__.py", ""),
        ("p/mod.py", "M"),
        ("p/a.txt", "A"),
        ("p/deep/er/b.txt", "B"),
        ("p/sub/__init__.py", ""),
        ("top.txt", "T"),
        ("plain.py", ""),
    ]);
    let codebase = Codebase::folder(folder.path());
    assert_eq!(content(&codebase, "p", "a.txt").unwrap(), "A");
    assert_eq!(content(&codebase, "p", "deep/er/b.txt").unwrap(), "B");
    assert_eq!(content(&codebase, "p", "mod.py").unwrap(), "M");
    assert_eq!(names(&codebase, "p", "").unwrap(), ["__init__.py", "a.txt", "deep/", "mod.py", "sub/"]);
    assert_eq!(names(&codebase, "p", "deep").unwrap(), ["er/"]);
    assert_eq!(names(&codebase, "p.deep", "er").unwrap(), ["b.txt"]);
    assert_eq!(names(&codebase, "p.sub", "").unwrap(), ["__init__.py"]);
    for (package, path) in [
        ("p", "absent.txt"),
        ("p", "../top.txt"),
        ("p", "../p/a.txt"),
        ("p", "./a.txt"),
        ("p", "a.txt/"),
        ("p", "/a.txt"),
        ("p", "a.txt/x"),
        ("p", "deep//er"),
        ("p", "deep\\er"),
        ("plain", ""),
        ("plain", "../top.txt"),
        ("absent", ""),
        ("p.mod", ""),
    ] {
        assert_eq!(resource(&codebase, package, path).unwrap(), None, "{package} {path}");
    }
}

#[test]
fn secrets_are_kept_back_and_hidden_files_are_not_there() {
    let folder = tree(&[
        ("p/__init__.py", ""),
        ("p/.env", "secret"),
        ("p/.git/config", "secret"),
        ("p/tls.PEM", "secret"),
        ("p/id_rsa", "secret"),
        ("p/__pycache__/x.cpython-311.pyc", "cached"),
        ("p/ok.json", "{}"),
        ("certifi/__init__.py", ""),
        ("certifi/cacert.pem", "public"),
    ]);
    let codebase = Codebase::folder(folder.path());
    assert_eq!(names(&codebase, "p", "").unwrap(), ["__init__.py", "ok.json"]);
    for path in [".env", ".git", ".git/config", ".absent", "__pycache__"] {
        assert_eq!(resource(&codebase, "p", path).unwrap(), None, "{path}");
    }
    // The answer does not depend on whether it is there.
    for path in ["tls.PEM", "id_rsa", "absent.pem", "no/such.key"] {
        let error = resource(&codebase, "p", path).unwrap_err();
        assert!(matches!(error, CodebaseError::Excluded { .. }), "{error}");
        assert!(error.to_string().contains("Codebase::include"), "{error}");
    }
    assert!(resource(&codebase, "certifi", "cacert.pem").is_err());
    let codebase = codebase.include("certifi/cacert.pem");
    assert_eq!(content(&codebase, "certifi", "cacert.pem").unwrap(), "public");
    assert!(resource(&codebase, "p", "tls.PEM").is_err());
}

#[test]
fn patterns_keep_back_modules_too() {
    let folder = tree(&[
        ("p/__init__.py", "from . import secret, open"),
        ("p/secret.py", ""),
        ("p/open.py", ""),
        ("p/tests/test_x.py", ""),
        ("conf/prod.json", ""),
    ]);
    let codebase = Codebase::folder(folder.path()).exclude("secret.py").exclude("tests").exclude("/conf");
    assert_eq!(codebase.top_level().unwrap(), ["p"]);
    let find = |name: &str| codebase.find(&name.parse().unwrap()).unwrap();
    assert_eq!(find("p").unwrap().submodules(), ["open"]);
    for name in ["p.secret", "p.tests", "p.tests.test_x", "conf"] {
        assert!(find(name).is_none(), "{name}");
    }
    assert_eq!(codebase.needed(&"p".parse().unwrap()).len(), 2);
    assert!(resource(&codebase, "p", "secret.py").is_err());
    assert_eq!(resource(&codebase, "conf", "prod.json").unwrap(), None);
    assert_eq!(names(&codebase, "p", "").unwrap(), ["__init__.py", "open.py"]);
}

#[test]
fn invalid_pattern_serves_nothing() {
    let folder = tree(&[("p/__init__.py", ""), ("p/a.txt", "")]);
    let codebase = Codebase::folder(folder.path()).exclude("a[");
    assert!(matches!(codebase.top_level(), Err(CodebaseError::Pattern { .. })));
    assert!(codebase.find(&"p".parse().unwrap()).is_err());
    assert!(resource(&codebase, "p", "a.txt").is_err());
    assert!(codebase.needed(&"p".parse().unwrap()).is_empty());
    assert!(codebase.needed_by_source(b"import p").is_empty());
}

#[test]
fn limit_names_itself() {
    let folder = tree(&[("p/__init__.py", ""), ("p/a.bin", "12345"), ("p/b.py", "12345")]);
    let codebase = Codebase::folder(folder.path()).max_file_len(4);
    let error = resource(&codebase, "p", "a.bin").unwrap_err().to_string();
    assert!(error.ends_with("a.bin is larger than max_file_len, 4 bytes"), "{error}");
    assert!(codebase.find(&"p.b".parse().unwrap()).is_err());
    assert!(content(&codebase.max_file_len(5), "p", "a.bin").is_some());
}

#[cfg(unix)]
#[test]
fn links_and_special_files_lead_nowhere() {
    use std::os::unix::fs::symlink;

    let outside = tree(&[("secret.txt", "secret"), ("code.py", "C")]);
    let folder = tree(&[("p/__init__.py", ""), ("p/real.txt", "R"), ("other.txt", "O")]);
    let package = folder.path().join("p");
    symlink(outside.path().join("secret.txt"), package.join("leak.txt")).unwrap();
    symlink(outside.path(), package.join("leak")).unwrap();
    symlink("real.txt", package.join("alias.txt")).unwrap();
    symlink("../other.txt", package.join("other.txt")).unwrap();
    symlink(".", package.join("loop")).unwrap();
    symlink("self", package.join("self")).unwrap();
    symlink("nowhere", package.join("dangling")).unwrap();
    let pipe = rustix::fs::mkfifoat(rustix::fs::CWD, package.join("pipe.txt"), 0o600.into());
    pipe.unwrap();
    let pipe = rustix::fs::mkfifoat(rustix::fs::CWD, package.join("pipe.py"), 0o600.into());
    pipe.unwrap();
    symlink("/dev/zero", package.join("zero")).unwrap();
    let codebase = Codebase::folder(folder.path());
    symlink(outside.path().join("absent"), package.join("lost.txt")).unwrap();
    symlink("lost.txt", package.join("lost-by-two.txt")).unwrap();
    // Whether there is something outside makes no difference.
    for path in [
        "leak.txt",
        "leak",
        "leak/secret.txt",
        "leak/absent.txt",
        "leak/absent/x",
        "lost.txt",
        "lost-by-two.txt",
        "zero",
    ] {
        let refused = resource(&codebase, "p", path).unwrap_err();
        assert!(matches!(refused, CodebaseError::Outside { .. }), "{path}: {refused}");
        assert!(!refused.to_string().contains(outside.path().to_str().unwrap()), "{path}: {refused}");
    }
    let lost = ModuleSource::resource(&codebase, "p", "lost.txt").unwrap_err().to_string();
    let leak = ModuleSource::resource(&codebase, "p", "leak.txt").unwrap_err().to_string();
    assert_eq!(lost.replace("lost", "leak"), leak);
    assert!(codebase.find(&"p.leak.code".parse().unwrap()).is_err());
    for path in ["self", "dangling", "pipe.txt"] {
        assert_eq!(resource(&codebase, "p", path).unwrap(), None, "{path}");
    }
    assert!(codebase.find(&"p.pipe".parse().unwrap()).unwrap().is_none());
    assert_eq!(content(&codebase, "p", "alias.txt").unwrap(), "R");
    assert_eq!(content(&codebase, "p", "other.txt").unwrap(), "O");
    assert_eq!(content(&codebase, "p", "loop/loop/real.txt").unwrap(), "R");
    let listed = names(&codebase, "p", "").unwrap();
    assert_eq!(listed, ["__init__.py", "alias.txt", "loop/", "other.txt", "real.txt"]);
    // A loop ends where paths do.
    let long = "p".to_owned() + &".loop".repeat(200);
    assert_eq!(
        codebase.find(&long.parse().unwrap()).map_err(|error| error.to_string()).ok().flatten().map(drop),
        None
    );
    let codebase = codebase.links(Links::Anywhere);
    assert_eq!(content(&codebase, "p", "leak.txt").unwrap(), "secret");
    assert_eq!(content(&codebase, "p", "leak/secret.txt").unwrap(), "secret");
    assert!(codebase.find(&"p.leak.code".parse().unwrap()).unwrap().is_some());
    assert_eq!(resource(&codebase, "p", "zero").unwrap(), None);
}
