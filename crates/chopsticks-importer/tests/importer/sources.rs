//! Sources of the user's own, and the lists of them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use chopsticks_importer::{Codebase, CodebaseError, Embedded, ResourceEntry, Source};

use crate::files::{content, find, names, source, tree};

/// One module whose text is a number, and that counts how often it is read.
#[derive(Clone, Debug, Default)]
struct Counter {
    version: Arc<AtomicU64>,
    is_versioned: bool,
    reads: Arc<AtomicUsize>,
}

impl Source for Counter {
    fn label(&self) -> String {
        "counter".to_owned()
    }

    fn list(&self, folder: &str) -> io::Result<Option<Vec<ResourceEntry>>> {
        Ok(match folder {
            "" => Some(vec![
                ResourceEntry::file("number.py"),
                ResourceEntry::folder("broken"),
                ResourceEntry::folder("../evil"),
                ResourceEntry::file("a/b.py"),
                ResourceEntry::file("gone.py"),
            ]),
            "broken" => return Err(io::Error::other("no line")),
            _ => None,
        })
    }

    fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let text = || format!("import math\nN = {}", self.version.load(Ordering::Relaxed)).into_bytes();
        Ok((file == "number.py").then(text))
    }

    fn version(&self) -> Option<u64> {
        self.is_versioned.then(|| self.version.load(Ordering::Relaxed))
    }
}

#[test]
fn own_source_is_read_whenever_it_may_have_changed() {
    for (is_versioned, reads) in [(false, 3), (true, 2)] {
        let counter = Counter { is_versioned, ..Counter::default() };
        let codebase = Codebase::source(counter.clone());
        for version in [0, 0, 1] {
            counter.version.store(version, Ordering::Relaxed);
            assert_eq!(source(&codebase, "number").unwrap(), format!("import math\nN = {version}"));
        }
        assert_eq!(counter.reads.load(Ordering::Relaxed), reads);
    }
}

#[test]
fn names_that_are_paths_and_files_that_are_gone_do_no_harm() {
    let codebase = Codebase::source(Counter::default());
    assert_eq!(codebase.top_level().unwrap(), ["broken", "gone", "number"]);
    let error = codebase.find(&"gone".parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read counter/gone.py: entity not found");
    let error = codebase.find(&"broken".parse().unwrap()).unwrap_err();
    assert!(matches!(error, CodebaseError::Read { .. }), "{error}");
}

#[test]
fn embedded_modules_and_data_are_as_in_a_folder() {
    let embedded = Embedded::new()
        .package("ops", "from . import deploy")
        .module("ops.deploy", "import helper")
        .file("ops/data/a.txt", b"A")
        .module("ns.part", "P")
        .module("helper", "");
    let folder = tree(&[("ns/other.py", "O"), ("helper.py", "folder's")]);
    let codebase = Codebase::source(embedded).and_folder(folder.path());
    assert_eq!(codebase.top_level().unwrap(), ["helper", "ns", "ops"]);
    let needed = codebase.needed(&"ops".parse().unwrap());
    let needed: Vec<_> = needed.iter().map(|module| module.name().as_str()).collect();
    assert_eq!(needed, ["helper", "ops", "ops.deploy"]);
    assert_eq!(
        find(&codebase, "ops.deploy").unwrap().file().unwrap().to_str(),
        Some("embedded/ops/deploy.py")
    );
    assert_eq!(content(&codebase, "ops", "data/a.txt").unwrap(), "A");
    assert_eq!(names(&codebase, "ops", "").unwrap(), ["__init__.py", "data/", "deploy.py"]);
    assert_eq!(find(&codebase, "ns").unwrap().submodules(), ["other", "part"]);
    assert_eq!(source(&codebase, "helper").unwrap(), "");
    let invalid = Codebase::source(Embedded::new().file("../x.py", "")).top_level().unwrap_err();
    assert!(matches!(invalid, CodebaseError::Read { .. }));
}

#[test]
fn script_finds_its_siblings() {
    let folder = tree(&[("deploy.py", "import tools"), ("tools.py", "import more"), ("more.py", "")]);
    let codebase = Codebase::script_dir(folder.path().join("deploy.py"));
    let text = b"#!/usr/bin/env python\nimport tools, absent, os\nif __name__ == '__main__': import late\n";
    let needed = codebase.needed_by_source(text);
    let needed: Vec<_> = needed.iter().map(|module| module.name().as_str()).collect();
    assert_eq!(needed, ["more", "tools"]);
    assert_eq!(Codebase::script_dir("deploy.py").roots().next(), Codebase::current_dir().roots().next());
}

#[test]
fn clones_with_other_rules_share_nothing() {
    let folder = tree(&[("p/__init__.py", ""), ("p/a.py", ""), ("p/b.py", "")]);
    let all = Codebase::folder(folder.path());
    assert_eq!(find(&all, "p").unwrap().submodules(), ["a", "b"]);
    let few = all.clone().exclude("b.py");
    assert_eq!(find(&few, "p").unwrap().submodules(), ["a"]);
    assert_eq!(find(&all, "p").unwrap().submodules(), ["a", "b"]);
}
