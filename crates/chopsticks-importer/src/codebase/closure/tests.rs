//! Tests of what is sent ahead, and in which order.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::*;

fn tree<N: AsRef<str>, T: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, T)>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn needed(codebase: &Codebase, name: &str) -> Vec<String> {
    codebase.needed(&name.parse().unwrap()).iter().map(|module| module.name().to_string()).collect()
}

#[test]
fn packages_and_dependencies_come_first() {
    let folder = tree([
        ("ops/__init__.py", ""),
        (
            "ops/deploy.py",
            "import os, json\nfrom . import tools\nfrom ops.sub.deep import f\nimport lib.x as y\n",
        ),
        ("ops/tools.py", "def f():\n    import late\n"),
        ("ops/sub/__init__.py", "from ..common import *"),
        ("ops/sub/deep.py", "from .. import common, missing\nfrom .sibling import name\n"),
        ("ops/sub/sibling.py", "import numpy.core"),
        ("ops/common.py", ""),
        ("ops/unused.py", "import unused"),
        ("lib/x.py", "importlib.import_module('lib.y')\n__import__('lib.absent')"),
        ("lib/y.py", ""),
        ("late.py", ""),
        ("json.py", "raise Exception"),
        ("unused.py", ""),
    ]);
    let codebase = Codebase::folder(folder.path());
    let expected = [
        "ops",
        "late",
        "ops.tools",
        "ops.common",
        "ops.sub",
        "ops.sub.sibling",
        "ops.sub.deep",
        "lib",
        "lib.y",
        "lib.x",
        "ops.deploy",
    ];
    assert_eq!(needed(&codebase, "ops.deploy"), expected);
    assert_eq!(needed(&codebase, "late"), ["late"]);
    assert_eq!(needed(&codebase, "absent"), [""; 0]);
    assert_eq!(needed(&codebase, "ops.absent"), ["ops"]);
    assert_eq!(needed(&codebase, "json"), [""; 0]);
}

#[test]
fn cycles_end_and_packages_come_before_their_modules_all_the_same() {
    let folder = tree([
        ("p/__init__.py", "from p import a"),
        ("p/a.py", "from p import b"),
        ("p/b.py", "import p.a, p, p.b"),
    ]);
    let codebase = Codebase::folder(folder.path());
    for name in ["p", "p.a", "p.b"] {
        let names = needed(&codebase, name);
        assert_eq!(names[0], "p", "{name}");
        assert_eq!(names.len(), 3, "{name}");
    }
    assert_eq!(needed(&codebase, "p"), ["p", "p.b", "p.a"]);
}

#[test]
fn star_takes_what_all_names() {
    let folder = tree([
        ("main.py", "from p import *"),
        ("p/__init__.py", "__all__ = ['a', 'f']\n__all__ += ['c']"),
        ("p/a.py", ""),
        ("p/b.py", ""),
        ("p/c.py", ""),
    ]);
    assert_eq!(needed(&Codebase::folder(folder.path()), "main"), ["p", "p.a", "p.c", "main"]);
}

#[test]
fn imports_of_python_2_may_mean_a_sibling() {
    let folder = tree([
        ("p/__init__.py", ""),
        ("p/a.py", "import b, top, sub.c\nprint 'x'"),
        ("p/b.py", ""),
        ("p/top.py", ""),
        ("p/sub/__init__.py", ""),
        ("p/sub/c.py", ""),
        ("top.py", ""),
    ]);
    assert_eq!(
        needed(&Codebase::folder(folder.path()), "p.a"),
        ["p", "p.b", "top", "p.sub", "p.sub.c", "p.a"]
    );
}

#[test]
fn limits_leave_out_the_most_remote() {
    let chain = (0..30).map(|n| (format!("m{n}.py"), format!("import m{}\n#{}", n + 1, "x".repeat(1000))));
    let folder = tree(chain);
    let codebase = Codebase::folder(folder.path());
    assert_eq!(needed(&codebase, "m0").len(), 30);
    assert_eq!(needed(&codebase.clone().max_ahead_modules(3), "m0"), ["m2", "m1", "m0"]);
    assert_eq!(needed(&codebase.clone().max_ahead_len(2100), "m0"), ["m1", "m0"]);
    // The first module is always looked at, since it is needed in any case.
    assert_eq!(needed(&codebase.clone().max_ahead_time(Duration::ZERO), "m0"), ["m0"]);
    assert_eq!(needed(&codebase.max_ahead_modules(0), "m0"), [""; 0]);
    // What alone is too large does not keep back the rest.
    let folder = tree([("a.py", "import big, b"), ("big.py", &"#".repeat(5000)), ("b.py", "")]);
    assert_eq!(needed(&Codebase::folder(folder.path()).max_ahead_len(4000), "a"), ["b", "a"]);
}

#[test]
fn very_long_chain_needs_no_stack() {
    let folder = tree((0..3000).map(|n| (format!("m{n}.py"), format!("import m{}", n + 1))));
    let codebase = Codebase::folder(folder.path()).max_ahead_modules(5000).max_ahead_time(Duration::MAX);
    let names = std::thread::Builder::new().stack_size(128 << 10);
    let names = names.spawn(move || needed(&codebase, "m0")).unwrap().join().unwrap();
    assert_eq!((names.len(), names[0].as_str(), names[2999].as_str()), (3000, "m2999", "m0"));
}

#[cfg(unix)]
#[test]
fn what_may_not_be_served_is_left_out() {
    let secret = tree([("key.py", "import other"), ("pkg/__init__.py", ""), ("pkg/x.py", "")]);
    let folder = tree([("main.py", "import key, pkg.x, space.key, good"), ("good.py", "")]);
    for (to, at) in [("key.py", "key.py"), ("pkg", "pkg"), ("", "space")] {
        std::os::unix::fs::symlink(secret.path().join(to), folder.path().join(at)).unwrap();
    }
    let codebase = Codebase::folder(folder.path());
    assert_eq!(needed(&codebase, "main"), ["good", "main"]);
    assert!(codebase.find(&"key".parse().unwrap()).is_err());
}

#[test]
fn changed_file_is_read_again() {
    let folder = tree([("main.py", "import a"), ("a.py", ""), ("b.py", "")]);
    let codebase = Codebase::folder(folder.path());
    let clone = codebase.clone();
    assert_eq!(needed(&codebase, "main"), ["a", "main"]);
    // Of the same length, and most likely within the resolution of the clock.
    fs::write(folder.path().join("main.py"), "import b").unwrap();
    assert_eq!(needed(&clone, "main"), ["b", "main"]);
    fs::create_dir(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("b/__init__.py"), "from b import new").unwrap();
    fs::write(folder.path().join("b/new.py"), "").unwrap();
    assert_eq!(needed(&codebase, "main"), ["b", "b.new", "main"]);
    fs::remove_file(folder.path().join("main.py")).unwrap();
    assert_eq!(needed(&codebase, "main"), [""; 0]);
}

#[test]
fn files_that_are_not_reached_are_not_looked_at() {
    let files = (0..100).flat_map(|p| (0..100).map(move |m| (format!("p{p}/m{m}.py"), "import p0.m0")));
    let folder = tree(files.chain([("main.py".to_owned(), "import p7.m7")]));
    let codebase = Codebase::folder(folder.path());
    let begin = Instant::now();
    assert_eq!(needed(&codebase, "main"), ["p7", "p0", "p0.m0", "p7.m7", "main"]);
    println!("first {:?}", begin.elapsed());
    let begin = Instant::now();
    assert_eq!(needed(&codebase, "main").len(), 5);
    println!("again {:?}", begin.elapsed());
    // Two for each part of a name, and the files and folders themselves.
    let mut look = codebase.look();
    for name in ["main", "p7", "p7.m7", "p0", "p0.m0"] {
        codebase.find_in(&name.parse().unwrap(), &mut look).unwrap();
    }
    assert!(look.looked_at() < 30, "{}", look.looked_at());
    let begin = Instant::now();
    assert_eq!(codebase.top_level().unwrap().len(), 101);
    println!("top level {:?}", begin.elapsed());
}
