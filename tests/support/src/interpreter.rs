//! The Python interpreters of this machine.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use thiserror::Error;

/// The environment variable that names interpreters: paths or program names, separated by colons.
///
/// They come in addition to those found on `PATH` and in `~/.pyenv/versions`, and must run.
pub const INTERPRETERS_VARIABLE: &str = "CHOPSTICKS_PYTHON";

/// Prints the three things that [`Interpreter`] holds, one on each line; runs on every Python since 2.7.
const PROBE: &str = "import platform, sys
sys.stdout.write(platform.python_implementation() + chr(10))
sys.stdout.write('%d.%d.%d' % sys.version_info[:3] + chr(10))
sys.stdout.write(sys.executable + chr(10))";

/// Who made an interpreter.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Implementation {
    /// The reference implementation.
    CPython,
    /// PyPy, or one that is neither: the tests treat them alike.
    PyPy,
}

/// A Python interpreter of this machine that the agent supports: 2.7, or 3.4 and later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interpreter {
    path: PathBuf,
    version: (u8, u8, u8),
    implementation: Implementation,
}

impl Interpreter {
    /// Returns the program's absolute path, behind wrappers such as pyenv's, links and virtual environments.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the version, as in `(3, 11, 7)`.
    #[must_use]
    pub fn version(&self) -> (u8, u8, u8) {
        self.version
    }

    /// Returns who made it.
    #[must_use]
    pub fn implementation(&self) -> Implementation {
        self.implementation
    }

    /// Returns whether this is a Python 2.7.
    #[must_use]
    pub fn is_python2(&self) -> bool {
        self.version.0 == 2
    }

    /// Returns a command that runs the program.
    ///
    /// Variables that change how Python starts are removed, so that a test does not depend on who runs it.
    #[must_use]
    pub fn command(&self) -> Command {
        isolated_command(&self.path)
    }

    /// Runs a program and returns what it is, or `None` if it is not a Python that the agent supports.
    fn probe(path: &Path) -> io::Result<Option<Self>> {
        let output = isolated_command(path).args(["-s", "-S", "-c", PROBE]).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let reason = text.trim().lines().last().unwrap_or("no message").to_owned();
            return Err(io::Error::other(format!("{}: {reason}", output.status)));
        }
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Parses what [`PROBE`] prints.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let implementation = match lines.next()? {
            "CPython" => Implementation::CPython,
            _ => Implementation::PyPy,
        };
        let mut numbers = lines.next()?.split('.').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let version: (u8, u8, u8) = (next()?, next()?, next()?);
        let path = real(Path::new(lines.next()?));
        let is_supported = matches!(version, (2, 7, _) | (3, 4.., _) | (4.., _, _));
        (is_supported && path.is_absolute()).then_some(Self { path, version, implementation })
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        match self.implementation {
            Implementation::CPython => write!(formatter, "{major}.{minor}.{micro}"),
            Implementation::PyPy => write!(formatter, "{major}.{minor}.{micro} (PyPy)"),
        }
    }
}

/// An interpreter that [`INTERPRETERS_VARIABLE`] names could not be used.
#[derive(Debug, Error)]
#[error("{INTERPRETERS_VARIABLE} names {name}, which is not a usable Python (2.7, or 3.4 and later)")]
pub struct FindError {
    name: String,
    #[source]
    source: Option<io::Error>,
}

/// Finds the interpreters of this machine, lowest version first.
///
/// Looks at the names in [`INTERPRETERS_VARIABLE`], then at every `python`, `python2`, `python3`,
/// `python3.x`, `pypy` and `pypy3` on `PATH`, then at `~/.pyenv/versions/*/bin/python`. Of several that are
/// the same program, or the same minor version by the same maker, the first found stays; of those that are
/// named, only the same release is the same.
///
/// # Errors
///
/// If a named one does not run or is too old. One that was merely found and does not run is passed over.
pub fn find_interpreters() -> Result<Vec<Interpreter>, FindError> {
    let named = env::var(INTERPRETERS_VARIABLE).unwrap_or_default();
    let named = named.split(':').filter(|name| !name.is_empty()).map(|name| {
        let path = if name.contains('/') { Some(PathBuf::from(name)) } else { on_path(name) };
        path.ok_or_else(|| FindError { name: name.to_owned(), source: None })
    });
    let named = named.collect::<Result<Vec<_>, _>>()?;

    let mut candidates: Vec<_> = named.iter().map(|path| (path.clone(), true)).collect();
    candidates.extend(path_candidates().into_iter().map(|path| (path, false)));
    candidates.extend(pyenv_candidates().into_iter().map(|path| (path, false)));
    let mut programs = BTreeSet::new();
    candidates.retain(|(path, is_named)| *is_named || programs.insert(real(path)));

    // An interpreter takes some 20 ms to start; a machine may have a dozen.
    let probes: Vec<_> = thread::scope(|scope| {
        let probes: Vec<_> =
            candidates.iter().map(|(path, _)| scope.spawn(|| Interpreter::probe(path))).collect();
        let join = |probe: thread::ScopedJoinHandle<'_, _>| probe.join().expect("a probe does not panic");
        probes.into_iter().map(join).collect()
    });

    let mut found: Vec<Interpreter> = Vec::new();
    for ((path, is_named), outcome) in candidates.into_iter().zip(probes) {
        let interpreter = match outcome {
            Ok(Some(interpreter)) => interpreter,
            _ if !is_named => continue,
            outcome => return Err(FindError { name: path.display().to_string(), source: outcome.err() }),
        };
        let is_known = found.iter().any(|other| {
            other.path == interpreter.path
                || (is_same(other.version, interpreter.version, is_named)
                    && other.implementation == interpreter.implementation)
        });
        if !is_known {
            found.push(interpreter);
        }
    }
    found.sort_by_key(|interpreter| (interpreter.version, interpreter.implementation));
    Ok(found)
}

/// Whether one of two versions stands for both.
fn is_same(one: (u8, u8, u8), other: (u8, u8, u8), is_named: bool) -> bool {
    (one.0, one.1) == (other.0, other.1) && (one.2 == other.2 || !is_named)
}

/// Returns the interpreters of this machine, lowest version first; they are looked for once per process.
///
/// # Panics
///
/// If there is none, or if [`find_interpreters`] fails.
#[must_use]
pub fn interpreters() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    let found = FOUND.get_or_init(|| match find_interpreters() {
        Ok(found) => found,
        Err(error) => panic!("{error}: {:?}", error.source),
    });
    assert!(
        !found.is_empty(),
        "the tests need a Python interpreter (2.7, or 3.4 and later): install python3, or name one in \
         {INTERPRETERS_VARIABLE}"
    );
    found
}

/// Returns the interpreter with the highest version.
///
/// # Panics
///
/// As [`interpreters`].
#[must_use]
pub fn newest() -> &'static Interpreter {
    interpreters().last().expect("the list is never empty")
}

/// Returns the `python3` of `PATH`, else the newest Python 3.
///
/// pyenv's wrapper counts as none, since it starts several processes where one is expected.
///
/// # Panics
///
/// If there is no Python 3, or as [`interpreters`].
#[must_use]
pub fn python3() -> &'static Interpreter {
    let default = on_path("python3").map(|path| real(&path));
    let candidates = || interpreters().iter().filter(|interpreter| !interpreter.is_python2());
    candidates()
        .find(|interpreter| Some(&interpreter.path) == default.as_ref())
        .or_else(|| candidates().next_back())
        .unwrap_or_else(|| {
            panic!("the test needs a Python 3: install it or name it in {INTERPRETERS_VARIABLE}")
        })
}

/// Returns the Python 2.7, if there is one.
///
/// A test that cannot do without goes into the tests of the suite `interpreters` of `cargo xtask test`,
/// which tells when there is none.
///
/// # Panics
///
/// As [`interpreters`].
#[must_use]
pub fn python2() -> Option<&'static Interpreter> {
    interpreters().iter().find(|interpreter| interpreter.is_python2())
}

fn isolated_command(path: &Path) -> Command {
    let mut command = Command::new(path);
    for name in ["PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONWARNINGS"] {
        command.env_remove(name);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Returns the first program of that name on `PATH` that is not one of pyenv's wrappers.
fn on_path(name: &str) -> Option<PathBuf> {
    path_folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn path_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Each of pyenv's wrappers starts a shell, and leads to a program that is found below `versions` anyway.
    let is_wrapper_folder = |folder: &Path| folder.file_name() == Some(OsStr::new("shims"));
    env::split_paths(&path).filter(|folder| folder.is_absolute() && !is_wrapper_folder(folder)).collect()
}

fn path_candidates() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    for folder in path_folders() {
        let mut names: Vec<_> = entries(&folder)
            .into_iter()
            .filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(is_interpreter_name))
            .collect();
        names.sort();
        candidates.extend(names);
    }
    candidates
}

fn pyenv_candidates() -> Vec<PathBuf> {
    let root = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    let mut versions = root.map(|root| entries(&root.join("versions"))).unwrap_or_default();
    versions.sort();
    versions.into_iter().map(|folder| folder.join("bin/python")).filter(|path| path.is_file()).collect()
}

/// Returns whether a file is called `python`, `python2`, `python3.11`, `pypy3` or alike.
fn is_interpreter_name(name: &str) -> bool {
    let Some(version) = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy")) else {
        return false;
    };
    version.split('.').all(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
