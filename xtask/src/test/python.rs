//! The suite `python`: builds the wheel of the Python package once, and tests it under every Python that it is for.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chopsticks_support::{INTERPRETERS_VARIABLE, Implementation, Interpreter};

use super::suites::{broken, found, list};
use super::{AtOnce, Dialect, Obstacle, Options, Plan, Run};
use crate::command;
use crate::workspace::Workspace;

/// The crate that the wheel is built from.
const CRATE: &str = "crates/chopsticks-python";

/// Where the tests are: those of the package, and those that it shares with the package of hosts.
const TESTS: &[&str] = &["tests/python", "tests/python-api"];

/// What the tests need besides, pinned.
const REQUIREMENTS: &str = "tests/python/requirements.txt";

/// The archive of the original library, whose tests are run, pinned.
const ORIGINAL_REQUIREMENTS: &str = "tests/python/requirements-original.txt";

/// The tests of notebooks, which run under one interpreter.
const NOTEBOOKS: &str = "tests/python/test_notebooks.py";

/// What the tests of notebooks need beside [`REQUIREMENTS`], pinned.
const NOTEBOOK_REQUIREMENTS: &str = "tests/python/requirements-notebooks.txt";

/// The test of the stubs, which needs mypy. Once is enough.
const STUBS: &str = "tests/python/test_stubs.py";

/// What it needs.
const TYPE_REQUIREMENTS: &str = "tests/python/requirements-types.txt";

/// The test of JupyterLab, which runs under the same interpreter, in a browser.
const JUPYTERLAB: &str = "tests/python/test_jupyterlab.py";

/// What the test of JupyterLab needs beside [`NOTEBOOK_REQUIREMENTS`], pinned.
const JUPYTERLAB_REQUIREMENTS: &str = "tests/python/requirements-jupyterlab.txt";

/// The browsers that it can use.
const BROWSERS: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// The oldest and the newest Python that [`NOTEBOOK_REQUIREMENTS`] has wheels for.
const NOTEBOOK_PYTHONS: ((u8, u8), (u8, u8)) = ((3, 11), (3, 14));

/// The oldest Python that the wheel is for.
const OLDEST: (u8, u8) = (3, 9);

pub(super) fn plan(workspace: &Workspace, options: &Options) -> Result<Plan, Obstacle> {
    let all = found()?;
    let interpreters = one_of_each_minor(all);
    if interpreters.is_empty() {
        return Err(Obstacle::Missing(format!(
            "there is no CPython {}.{} or later (found {}): install one, or name it in {INTERPRETERS_VARIABLE}",
            OLDEST.0,
            OLDEST.1,
            list(all)
        )));
    }
    if !command::succeeds(Command::new("maturin").arg("--version")) {
        return Err(Obstacle::Missing("maturin is not installed: pip install -r .ci/tools.txt".to_owned()));
    }
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.root().join("target"), PathBuf::from);
    let folder = workspace.root().join(target).join("python");
    let wheel = build(workspace, &folder.join("wheel"))?;
    let original = fetch_original(workspace, &folder.join("original"))?;
    let agents = agents(all);
    let for_notebooks = newest_with_notebooks(&interpreters);
    let browser = BROWSERS.iter().find(|program| command::succeeds(Command::new(program).arg("--version")));
    let mut runs = Vec::new();
    for interpreter in &interpreters {
        let has_notebooks = for_notebooks.is_some_and(|chosen| chosen.path() == interpreter.path());
        let requirements: &[&str] = match (has_notebooks, browser) {
            (true, Some(_)) => {
                &[REQUIREMENTS, NOTEBOOK_REQUIREMENTS, TYPE_REQUIREMENTS, JUPYTERLAB_REQUIREMENTS]
            }
            (true, None) => &[REQUIREMENTS, NOTEBOOK_REQUIREMENTS, TYPE_REQUIREMENTS],
            (false, _) => &[REQUIREMENTS],
        };
        let python = install(workspace, interpreter, requirements, &wheel, &folder)?;
        for tests in TESTS.iter().filter(|tests| workspace.root().join(tests).is_dir()) {
            let mut pytest = workspace.program(&python.to_string_lossy());
            pytest.args(["-m", "pytest", "-q", "-rfE", "--strict-markers", "-p", "no:cacheprovider", tests]);
            if !has_notebooks {
                pytest.args(["--ignore", NOTEBOOKS, "--ignore", STUBS]);
            }
            match browser {
                Some(program) if has_notebooks => _ = pytest.env("CHOPSTICKS_TEST_BROWSER", program),
                _ => _ = pytest.args(["--ignore", JUPYTERLAB]),
            }
            if let [first, more @ ..] = options.filters.as_slice() {
                let filter = more.iter().fold(first.clone(), |all, one| format!("{all} or {one}"));
                pytest.args(["-k", &filter]);
            }
            pytest.env("CHOPSTICKS_TEST_AGENTS", &agents).env("PYTHONDONTWRITEBYTECODE", "1");
            pytest.env("CHOPSTICKS_TEST_ORIGINAL", &original);
            pytest.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
            let label = format!("Python {interpreter}, {tests}");
            runs.push(Run { label, command: pytest, dialect: Dialect::Pytest, again: None });
        }
    }
    let left_out = if for_notebooks.is_none() {
        let ((major, oldest), (_, newest)) = NOTEBOOK_PYTHONS;
        Some(format!(
            "notebooks were not run, for want of a CPython from {major}.{oldest} to {major}.{newest}: \
             install one, or name it in {INTERPRETERS_VARIABLE}"
        ))
    } else if browser.is_none() {
        let browsers = BROWSERS.join(", ");
        Some(format!("JupyterLab was not run, for want of a browser: install one of {browsers}"))
    } else {
        None
    };
    let notebooks = for_notebooks.map(|interpreter| format!(", notebooks under {interpreter}"));
    let note = format!("under {}{}", list(&interpreters), notebooks.unwrap_or_default());
    Ok(Plan { note, left_out, at_once: AtOnce::OnePerCore, ..Plan::of(runs) })
}

/// Returns the newest interpreter that can run notebooks.
fn newest_with_notebooks(interpreters: &[Interpreter]) -> Option<&Interpreter> {
    let (oldest, newest) = NOTEBOOK_PYTHONS;
    // They come with the lowest version first.
    interpreters.iter().rev().find(|interpreter| {
        let (major, minor, _) = interpreter.version();
        (oldest..=newest).contains(&(major, minor))
    })
}

/// Returns the interpreters that the wheel is for, the newest of each minor version.
fn one_of_each_minor(found: &[Interpreter]) -> Vec<Interpreter> {
    let mut chosen: Vec<Interpreter> = Vec::new();
    for interpreter in found {
        let (major, minor, _) = interpreter.version();
        if interpreter.implementation() != Implementation::CPython || (major, minor) < OLDEST {
            continue;
        }
        // They come with the lowest version first.
        chosen.retain(|other| (other.version().0, other.version().1) != (major, minor));
        chosen.push(interpreter.clone());
    }
    chosen
}

/// Returns the oldest interpreters of Python 2 and 3 as a search path: tests call functions in agents of these too.
fn agents(found: &[Interpreter]) -> OsString {
    let is_cpython = |other: &&Interpreter| other.implementation() == Implementation::CPython;
    let first =
        |is_old: bool| found.iter().filter(is_cpython).find(|interpreter| interpreter.is_python2() == is_old);
    let chosen = [first(true), first(false)];
    env::join_paths(chosen.into_iter().flatten().map(Interpreter::path)).unwrap_or_default()
}

/// Builds the wheel, without optimisation.
fn build(workspace: &Workspace, folder: &Path) -> Result<PathBuf, Obstacle> {
    // One of another version would be taken for it.
    let _ = fs::remove_dir_all(folder);
    let mut maturin = workspace.program("maturin");
    maturin.args([
        "build",
        "--quiet",
        "--locked",
        "--profile",
        "dev",
        "--auditwheel",
        "skip",
        "--manifest-path",
    ]);
    maturin.arg(format!("{CRATE}/Cargo.toml")).arg("--out").arg(folder);
    command::run(&mut maturin).map_err(broken)?;
    let wheels = fs::read_dir(folder).map_err(|error| Obstacle::Broken(error.to_string()))?;
    let wheel =
        wheels.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    wheel.ok_or_else(|| Obstacle::Broken("maturin built no wheel".to_owned()))
}

/// Fetches the source archive of the original library, unless it is there, and returns its path.
fn fetch_original(workspace: &Workspace, folder: &Path) -> Result<PathBuf, Obstacle> {
    let archive = || {
        let files = fs::read_dir(folder).ok()?;
        files.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "gz"))
    };
    if let Some(archive) = archive() {
        return Ok(archive);
    }
    let mut pip = workspace.program("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--no-binary=:all:", "--require-hashes", "--requirement", ORIGINAL_REQUIREMENTS, "--dest"]);
    let fetched = command::run(pip.arg(folder)).ok().and_then(|()| archive());
    fetched.ok_or_else(|| {
        Obstacle::Missing(format!(
            "what {ORIGINAL_REQUIREMENTS} names cannot be fetched: needs `python3 -m pip` and PyPI"
        ))
    })
}

/// Makes a virtual environment with the wheel and what the tests need, and returns its interpreter.
///
/// The `pip` of one interpreter does it for all, and is run by none of the others: not every one has a `pip`, and an old one runs under no newer Python.
fn install(
    workspace: &Workspace,
    interpreter: &Interpreter,
    requirements: &[&str],
    wheel: &Path,
    folder: &Path,
) -> Result<PathBuf, Obstacle> {
    let (major, minor, micro) = interpreter.version();
    let environment = folder.join(format!("{major}.{minor}.{micro}"));
    // One that was broken off would lack something.
    let _ = fs::remove_dir_all(&environment);
    let mut venv = interpreter.command();
    command::run(venv.args(["-m", "venv", "--without-pip"]).arg(&environment)).map_err(broken)?;
    let packages = environment.join(format!("lib/python{major}.{minor}/site-packages"));
    let pip = || {
        let mut pip = workspace.program("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--no-deps",
            "--only-binary=:all:",
        ]);
        pip.args(["--implementation", "cp", "--python-version", &format!("{major}.{minor}")]);
        pip.args(["--abi", "abi3", "--abi", "none", "--abi", &format!("cp{major}{minor}")]);
        pip.arg("--target").arg(&packages);
        pip
    };
    let mut needed = pip();
    needed.arg("--require-hashes").args(requirements.iter().flat_map(|file| ["--requirement", *file]));
    command::run(&mut needed).map_err(|_| {
        Obstacle::Missing(format!(
            "what {} names cannot be installed: needs `python3 -m pip` and PyPI",
            requirements.join(" or ")
        ))
    })?;
    command::run(pip().arg("--no-index").arg(wheel)).map_err(broken)?;
    Ok(environment.join("bin/python"))
}
