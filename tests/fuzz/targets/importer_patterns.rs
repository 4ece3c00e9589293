//! Any patterns, names and paths: nothing panics, what is excluded is never served, and nothing is that does not exist.

#![no_main]

use std::{io, sync::LazyLock};

use chopsticks_importer::{Codebase, ModuleName, Source};
use chopsticks_module::{ResourceEntry, ResourceKind};
use libfuzzer_sys::fuzz_target;

/// A package with a module and data, among them a secret.
#[derive(Debug)]
struct Tree;

const FOLDERS: [(&str, &[(&str, ResourceKind)]); 3] = [
    ("", &[("app", ResourceKind::Folder), ("top.py", ResourceKind::File)]),
    (
        "app",
        &[
            ("__init__.py", ResourceKind::File),
            ("data", ResourceKind::Folder),
            ("id_rsa", ResourceKind::File),
            ("mod.py", ResourceKind::File),
        ],
    ),
    ("app/data", &[("x.txt", ResourceKind::File), ("y.pem", ResourceKind::File)]),
];

impl Source for Tree {
    fn label(&self) -> String {
        "tree".to_owned()
    }

    fn list(&self, folder: &str) -> io::Result<Option<Vec<ResourceEntry>>> {
        let entry = |(name, kind): &(&str, ResourceKind)| match kind {
            ResourceKind::Folder => ResourceEntry::folder(*name),
            _ => ResourceEntry::file(*name),
        };
        let found = FOLDERS.iter().find(|(name, _)| *name == folder);
        Ok(found.map(|(_, entries)| entries.iter().map(entry).collect()))
    }

    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let entries = FOLDERS.iter().find(|(name, _)| *name == folder).map(|(_, entries)| *entries);
        let is_there = entries.unwrap_or_default().iter().any(|entry| *entry == (name, ResourceKind::File));
        Ok(is_there.then(|| b"import app.mod\n".to_vec()))
    }
}

/// With the patterns that are there by default, which take long to compile.
static TREE: LazyLock<Codebase> = LazyLock::new(|| Codebase::source(Tree));

fuzz_target!(|input: (&str, &str, &str, &str, &str)| {
    let (include, exclude, unpack, name, path) = input;
    let codebase = TREE.clone().include(include).exclude(exclude).unpack(unpack);
    let _ = codebase.top_level();
    if let Ok(name) = name.parse::<ModuleName>() {
        let found = codebase.find(&name);
        let is_there = ["app", "app.mod", "app.data", "top"].contains(&name.as_str());
        assert!(is_there || !matches!(found, Ok(Some(_))), "{name:?}");
        let _ = (codebase.needed(&name), codebase.hint(&name));
    }
    let app: ModuleName = "app".parse().expect("it is a name");
    for path in [path, "data/x.txt", "id_rsa"] {
        let served = matches!(codebase.resource(&app, path), Ok(Some(_)));
        let is_there =
            ["", "data", "data/x.txt", "data/y.pem", "id_rsa", "__init__.py", "mod.py"].contains(&path);
        assert!(is_there || !served, "{path:?}");
    }
    // Whatever is excluded by its own name is kept back, whatever else is said.
    let codebase = TREE.clone().include(include).exclude("app/data/x.txt").exclude("app/mod.py");
    assert!(!matches!(codebase.resource(&app, "data/x.txt"), Ok(Some(_))), "with {include:?}");
    let module = "app.mod".parse().expect("it is a name");
    assert!(!matches!(codebase.find(&module), Ok(Some(_))), "with {include:?}");
});
