//! No name and no path, whatever they are, leads out of a root.

use std::cell::Cell;

use chopsticks_importer::{Codebase, Embedded, Resource};
use chopsticks_module::ModuleSource;
use proptest::prelude::*;

use crate::files::{tree, write, zip};

const FILES: &[(&str, &str)] = &[
    ("p/__init__.py", "inside"),
    ("p/m.py", "inside"),
    ("p/d/x.txt", "inside"),
    ("p/d/..y", "inside"),
    ("q/n.py", "inside"),
    ("p/0001.py", "inside"),
    ("p/-m/__init__.py", "inside"),
];

/// A folder with codebases in it, and files around them that they must not serve.
fn world() -> (tempfile::TempDir, Vec<Codebase>) {
    let folder = tree(&[
        ("secret.py", "outside"),
        ("secret.txt", "outside"),
        ("p/m.py", "outside"),
        ("etc/x", "outside"),
    ]);
    for (name, text) in FILES {
        write(&folder.path().join("root").join(name), text);
    }
    #[cfg(unix)]
    for (to, at) in
        [("../../..", "up"), ("/", "top"), ("../../secret.txt", "leak.txt"), ("../../secret.py", "leak.py")]
    {
        std::os::unix::fs::symlink(to, folder.path().join("root/p").join(at)).unwrap();
    }
    let mut packed: Vec<_> = FILES.iter().map(|(name, text)| (format!("in/{name}"), *text)).collect();
    packed.push(("secret.py".to_owned(), "outside"));
    packed.push(("../secret.txt".to_owned(), "outside"));
    let packed: Vec<_> = packed.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    write(&folder.path().join("root.zip"), zip(&packed));
    let codebases = vec![
        Codebase::folder(folder.path().join("root")),
        Codebase::path(folder.path().join("root.zip/in")),
        Codebase::source(Embedded::new().files(FILES.iter().copied())),
    ];
    (folder, codebases)
}

/// Names and paths of parts that lead somewhere, or are odd.
fn odd() -> impl Strategy<Value = String> {
    let known = [
        "p",
        "m",
        "d",
        "d/x.txt",
        "..",
        ".",
        "",
        "up",
        "top",
        "etc",
        "root",
        "secret",
        "secret.py",
        "leak",
        "leak.txt",
        "m.py",
        "\0",
        "0001",
        "C:",
        "m:x",
        "..\\",
        "~",
        "-m",
    ];
    let part = prop_oneof![9 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let separators = [".", "/", "/", "/", "\\", "//", "/../", "\u{2215}"];
    let separator = proptest::sample::select(separators.to_vec());
    proptest::collection::vec((part, separator), 0..5)
        .prop_map(|parts| parts.into_iter().map(|(part, separator)| part + separator).collect::<String>())
        .prop_flat_map(|path| (Just(path), any::<bool>()))
        .prop_map(|(path, cut)| if cut { path.trim_end_matches(['.', '/', '\\']).to_owned() } else { path })
}

#[test]
fn nothing_outside_is_served() {
    let (_folder, codebases) = world();
    let served = Cell::new(0);
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(name in odd(), path in odd())| {
        let (all, first) = (format!("//{name}"), format!("/0/{name}"));
        for codebase in &codebases {
            for name in [name.as_str(), path.as_str(), "p", "q", "p.up", "p.top", "p.-m", &all, &first, "//", "/0/p"] {
                if let Ok(Some(entry)) = ModuleSource::module(codebase, name) {
                    prop_assert!(matches!(entry.source.as_slice(), b"" | b"inside"), "{name:?}");
                }
                if let Ok(Some(Resource::File(content))) = ModuleSource::resource(codebase, name, &path) {
                    prop_assert!(matches!(content.as_slice(), b"" | b"inside"), "{name:?} {path:?}");
                    served.set(served.get() + 1);
                }
                if let Ok(Some(Resource::Folder(entries))) = ModuleSource::resource(codebase, name, &path) {
                    let is_outside = |name: &str| name.contains("secret") || name == "etc" || name == "root";
                    prop_assert!(!entries.iter().any(|entry| is_outside(&entry.name)), "{name:?} {path:?}");
                }
                for entry in ModuleSource::needed(codebase, name) {
                    prop_assert!(matches!(entry.source.as_slice(), b"" | b"inside"), "{name:?}");
                }
                let _ = ModuleSource::hint(codebase, name);
            }
        }
    });
    assert!(served.get() > 0, "nothing was ever served, so nothing was tested");
}
