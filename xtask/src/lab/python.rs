//! Interpreters of this machine, copied to where others may run them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chopsticks_support::{Interpreter, find_interpreters};

use crate::command;
use crate::failure::Failure;

/// Prints the folders that hold the standard library, one on each line; runs on every Python since 2.7.
const FOLDERS: &str = "import sys, sysconfig
for name in ('stdlib', 'platstdlib'): sys.stdout.write(sysconfig.get_paths()[name] + chr(10))";

/// What nobody needs of a standard library that only runs agents: two thirds of it.
const WITHOUT: [&str; 13] = [
    "*.a",
    "*.pyc",
    "*.pyo",
    "__pycache__",
    "config",
    "config-*",
    "dist-packages/*",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages/*",
    "test",
    "tests",
];

/// Finds the interpreters of this machine that can be copied.
///
/// One with a C library of its own, such as `.ci/interpreters` fetches, runs at its place alone.
pub(super) fn found() -> Result<Vec<Interpreter>, Failure> {
    let mut found = find_interpreters().map_err(|error| Failure::during("interpreters", error))?;
    found.retain(|interpreter| {
        // With this variable, the loader prints what it would load: `libc.so.6 => /lib/…/libc.so.6 (0x…)`.
        let mut trace = interpreter.command();
        let text = command::output(trace.env("LD_TRACE_LOADED_OBJECTS", "1")).unwrap_or_default();
        let libc = text.lines().find_map(|line| line.trim().strip_prefix("libc.so.6 => "));
        libc.is_none_or(|path| path.starts_with("/lib") || path.starts_with("/usr/lib"))
    });
    Ok(found)
}

/// Copies an interpreter and its standard library to the same paths below `root`.
pub(super) fn copy(interpreter: &Interpreter, root: &Path) -> Result<(), Failure> {
    let folders = command::output(interpreter.command().args(["-S", "-s", "-c", FOLDERS]))?;
    let mut parts: BTreeSet<PathBuf> = folders.lines().map(PathBuf::from).collect();
    // Where the standard library is a link, as in virtual environments, the interpreter itself is not.
    parts.retain(|folder| folder.is_dir());
    parts.insert(interpreter.path().to_owned());
    let mut pack = Command::new("tar");
    pack.args(["-C", "/", "-c"]).args(WITHOUT.iter().map(|pattern| format!("--exclude={pattern}")));
    for part in &parts {
        pack.arg(part.strip_prefix("/").unwrap_or(part));
    }
    fs::create_dir_all(root).map_err(|error| Failure::during(root.display(), error))?;
    let mut unpack = Command::new("tar");
    unpack.args(["-x", "--no-same-owner", "-C"]).arg(root);
    pipe(&mut pack, &mut unpack)?;
    // The empty folders stay, since an interpreter adds them to its path only if they are there.
    Ok(())
}

/// Copies the shared libraries that programs and libraries below `root` are linked with to the same paths below it.
pub(super) fn copy_libraries(root: &Path) -> Result<(), Failure> {
    let mut files = Vec::new();
    linked_files(root, &mut files);
    let mut ldd = Command::new("ldd");
    ldd.args(&files);
    // It fails if one of the files is not for it, and tells of the others.
    let output = ldd.stdin(Stdio::null()).output().map_err(|error| Failure::during("ldd", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `name => /path (0x…)` or `/path (0x…)`; each file's own line is `/path:`.
    let words = text.lines().filter_map(|line| line.rsplit_once(" (")?.0.split_whitespace().next_back());
    let libraries: BTreeSet<&str> = words.filter(|word| word.starts_with('/')).collect();
    for library in libraries {
        copy_file(Path::new(library), root)?;
    }
    Ok(())
}

/// Copies a file, or what it is a link to, to the same path below `root`.
pub(super) fn copy_file(file: &Path, root: &Path) -> Result<(), Failure> {
    let target = root.join(file.strip_prefix("/").unwrap_or(file));
    let during = |error| Failure::during(file.display(), error);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(during)?;
    }
    if !target.exists() {
        fs::copy(file, &target).map_err(during)?;
    }
    Ok(())
}

/// Makes `names` in `folder` run an interpreter that was copied to below `root`.
///
/// The interpreter looks for its libraries where it was built, so it is told where they are.
pub(super) fn link(
    interpreter: &Interpreter,
    root: &Path,
    folder: &Path,
    names: &[&str],
) -> Result<(), Failure> {
    let program = root.join(interpreter.path().strip_prefix("/").unwrap_or(interpreter.path()));
    let library =
        program.parent().and_then(Path::parent).map(|prefix| prefix.join("lib")).unwrap_or_default();
    let script =
        format!("#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n", library.display(), program.display());
    for name in names {
        let path = folder.join(name);
        super::write_file(&path, 0o755, &script)?;
    }
    Ok(())
}

/// Whether other users can run the program where it is.
pub(super) fn is_reachable(program: &Path) -> bool {
    program.ancestors().all(|path| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

/// Links `names` in `folder` to a program.
pub(super) fn alias(program: &Path, folder: &Path, names: &[&str]) -> Result<(), Failure> {
    for name in names {
        let path = folder.join(name);
        symlink(program, &path).map_err(|error| Failure::during(path.display(), error))?;
    }
    Ok(())
}

/// Runs `one | other`.
pub(super) fn pipe(one: &mut Command, other: &mut Command) -> Result<String, Failure> {
    let during = |command: &Command, error| Failure::during(command::show(command), error);
    let spawned = one.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut first = spawned.map_err(|error| during(one, error))?;
    let stdin = first.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let output = other.stdin(stdin).output();
    let status = first.wait().map_err(|error| during(one, error))?;
    let output = output.map_err(|error| during(other, error))?;
    if !status.success() {
        return Err(Failure::during(command::show(one), status));
    }
    if !output.status.success() {
        return Err(Failure::during(command::show(other), String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Finds what may be linked with shared libraries: programs, and libraries that Python loads.
fn linked_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        let is_library = path.extension().is_some_and(|extension| extension == "so");
        if metadata.is_dir() {
            linked_files(&path, found);
        } else if metadata.is_file() && (is_library || metadata.mode() & 0o111 != 0 && is_program(&path)) {
            found.push(path);
        }
    }
}

fn is_program(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}
