//! Large codebases: what the first question costs when most of the files are not reached.
//!
//! 10,000 modules, of which one call needs 21: in 100 packages, all in one folder, and in one archive. `first` is a codebase that nobody has asked,
//! `again` one that was, `call` a whole first call to a new local agent.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
};

use chopsticks::{Codebase, Local, Stderr, Tunnel, TunnelConfig};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// Modules in a large codebase.
const LARGE: usize = 10_000;
/// Modules that the first leads to, itself included.
const REACHED: usize = 21;

/// Where the modules of a codebase are.
#[derive(Clone, Copy)]
enum Shape {
    Archive,
    Flat,
    Packages,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Flat => "one folder",
            Self::Packages => "100 packages",
        }
    }

    /// The full name of a module.
    fn module(self, number: usize) -> String {
        match self {
            Self::Flat => format!("m{number:05}"),
            Self::Archive | Self::Packages => format!("p{:02}.m{number:05}", number % 100),
        }
    }
}

/// A codebase on disk, removed at the end.
struct Written {
    folder: PathBuf,
    shape: Shape,
}

impl Written {
    /// Each of the first modules imports the next, the others one that they do not share.
    fn new(shape: Shape, modules: usize) -> Self {
        let folder = std::env::temp_dir().join(format!("chopsticks-codebase-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let body = "\n\ndef f(value):\n    \"\"\"Returns the value.\"\"\"\n    return value\n".repeat(8);
        for number in 0..modules {
            let imports = if number + 1 < REACHED {
                format!("import {}", shape.module(number + 1))
            } else {
                "import os".to_owned()
            };
            let file = folder.join(format!("{}.py", shape.module(number).replace('.', "/")));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{imports}\n{body}")).unwrap();
        }
        if !matches!(shape, Shape::Flat) {
            for entry in fs::read_dir(&folder).unwrap() {
                fs::write(entry.unwrap().path().join("__init__.py"), "").unwrap();
            }
        }
        if matches!(shape, Shape::Archive) {
            let script = "import shutil, sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[1])";
            let made = std::process::Command::new("python3").args(["-c", script]).arg(&folder).status();
            assert!(made.unwrap().success());
        }
        // A change within the resolution of the clock is looked for again and again.
        for entry in [folder.clone(), folder.with_extension("zip")] {
            age(&entry);
        }
        Self { folder, shape }
    }

    fn codebase(&self) -> Codebase {
        match self.shape {
            Shape::Archive => Codebase::archive(self.folder.with_extension("zip")),
            Shape::Flat | Shape::Packages => Codebase::folder(&self.folder),
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(self.folder.with_extension("zip"));
    }
}

/// Makes files and folders an hour older.
fn age(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path());
        }
    }
    if let Ok(file) = fs::File::open(path) {
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        file.set_modified(then).unwrap();
    }
}

/// What a tunnel asks for its first call.
fn ask(codebase: &Codebase, function: &str) -> usize {
    black_box(codebase.top_level().unwrap());
    codebase.needed(&function.parse().unwrap()).len()
}

fn codebase(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for shape in [Shape::Packages, Shape::Flat, Shape::Archive] {
        for modules in [REACHED, LARGE] {
            let written = Written::new(shape, modules);
            let (function, reached) =
                (shape.module(0), REACHED + if matches!(shape, Shape::Flat) { 0 } else { REACHED });
            let mut group = criterion.benchmark_group(format!("codebase/{}/{modules}", shape.name()));
            group.sample_size(10);
            group.bench_function("first", |bencher| {
                bencher.iter_batched(
                    || written.codebase(),
                    |codebase| assert_eq!(ask(&codebase, &function), reached),
                    BatchSize::PerIteration,
                );
            });
            let known = written.codebase();
            group.bench_function("again", |bencher| {
                bencher.iter(|| assert_eq!(ask(&known, &function), reached));
            });
            group.bench_function("call", |bencher| {
                bencher.iter_batched(
                    || {
                        let config =
                            TunnelConfig::default().modules(written.codebase()).stderr(Stderr::off());
                        Tunnel::with_config(Local::new(), config)
                    },
                    |tunnel| {
                        runtime.block_on(async {
                            let value: u32 = tunnel.call(format!("{function}:f"), (7,)).await.unwrap();
                            assert_eq!(value, 7);
                            tunnel
                        })
                    },
                    BatchSize::PerIteration,
                );
            });
            group.finish();
        }
    }
}

criterion_group!(benches, codebase);
criterion_main!(benches);
