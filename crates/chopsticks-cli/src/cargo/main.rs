//! The program `cargo-chopsticks`, a subcommand of cargo: builds programs that run functions on hosts
//! of other kinds of machines.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use chopsticks::AgentProgram;
use clap::Parser;
use serde::Deserialize;

/// Builds what chopsticks sends to hosts.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-chopsticks",
    bin_name = "cargo chopsticks",
    version = env!("CHOPSTICKS_VERSION"),
    max_term_width = 100
)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    Agents(AgentsArgs),
}

/// Build a program for the machines of your hosts, and collect the results in a folder.
///
/// The program has to begin with `chopsticks::init()`, or with `chopsticks_function::init()`, and to
/// contain your functions. `Programs::folder` names the folder in the program that sends them.
/// Programs for targets with glibc are linked statically, so that they run on every Linux.
#[derive(Debug, clap::Args)]
struct AgentsArgs {
    /// Build for this target, such as `aarch64-unknown-linux-musl`. Can be repeated.
    #[arg(long = "target", value_name = "TRIPLE", required = true)]
    targets: Vec<String>,
    /// Build this binary only. By default all binaries of the package are built, and those without
    /// functions are left out.
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// Build this package of the workspace.
    #[arg(long, short, value_name = "NAME")]
    package: Option<String>,
    /// Build with this profile.
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// Put the programs into this folder, as `BINARY-TRIPLE`.
    #[arg(long, value_name = "FOLDER", default_value = "agents")]
    folder: PathBuf,
    /// Pass further options to `cargo build`.
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<OsString>,
}

/// A line of what cargo prints.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

fn main() -> ExitCode {
    // Cargo passes the name of the subcommand on.
    let mut words: Vec<_> = env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "chopsticks") {
        words.remove(1);
    }
    let Args { task: Task::Agents(args) } = Args::parse_from(words);
    for target in &args.targets {
        if let Err(error) = build(&args, target) {
            let _ = writeln!(io::stderr(), "error: {target}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Builds the programs for a target, and copies those with functions.
fn build(args: &AgentsArgs, target: &str) -> Result<(), String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--message-format=json-render-diagnostics", "--target", target]);
    cargo.args(["--profile", &args.profile]);
    match &args.bin {
        Some(bin) => cargo.args(["--bin", bin]),
        None => cargo.arg("--bins"),
    };
    if let Some(package) = &args.package {
        cargo.args(["--package", package]);
    }
    if target.contains("-gnu") {
        // The variable hides what the configuration says.
        match env::var_os("RUSTFLAGS").filter(|flags| !flags.is_empty()) {
            Some(mut flags) => {
                flags.push(" ");
                flags.push(STATIC.join(" "));
                cargo.env("RUSTFLAGS", flags);
            }
            None => {
                cargo.arg("--config").arg(format!("target.{target}.rustflags={STATIC:?}"));
            }
        }
    }
    cargo.args(&args.options).stdout(Stdio::piped());
    let failed = |error: io::Error| format!("cannot run cargo: {error}");
    let mut cargo = cargo.spawn().map_err(failed)?;
    let mut executables = Vec::new();
    if let Some(stdout) = cargo.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            if let Ok(Built { executable: Some(path) }) = serde_json::from_str(&line.map_err(failed)?) {
                executables.push(path);
            }
        }
    }
    if !cargo.wait().map_err(failed)?.success() {
        return Err(format!("cargo has failed; if it has no such target: `rustup target add {target}`"));
    }
    let mut reasons = Vec::new();
    let mut is_any = false;
    for executable in executables {
        match AgentProgram::read(&executable) {
            Ok(program) => {
                let place = copy(&args.folder, &executable, target)?;
                describe(&place, &program).map_err(|error| format!("cannot write: {error}"))?;
                is_any = true;
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    match is_any {
        true => Ok(()),
        false if reasons.is_empty() => Err("the package has no binary".to_owned()),
        false => Err(reasons.join("; ")),
    }
}

/// Copies a program into the folder. It replaces an older one atomically.
fn copy(folder: &Path, executable: &Path, target: &str) -> Result<PathBuf, String> {
    let mut name = executable.file_name().unwrap_or(OsStr::new("agent")).to_owned();
    name.push("-");
    name.push(target);
    let place = folder.join(&name);
    let mut unfinished = OsString::from(".");
    unfinished.push(&name);
    let unfinished = folder.join(unfinished);
    let copied = fs::create_dir_all(folder)
        .and_then(|()| fs::copy(executable, &unfinished))
        .and_then(|_| fs::rename(&unfinished, &place));
    copied.map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        format!("cannot write {}: {error}", place.display())
    })?;
    Ok(place)
}

fn describe(place: &Path, program: &AgentProgram) -> io::Result<()> {
    let functions = match program.functions().len() {
        1 => "1 function".to_owned(),
        count => format!("{count} functions"),
    };
    writeln!(
        io::stdout(),
        "{}: {}, {}, {functions}, {} kB",
        place.display(),
        program.architecture(),
        program.libc(),
        program.len_sent().div_ceil(1000),
    )
}

/// The flags of a static program.
const STATIC: [&str; 2] = ["-C", "target-feature=+crt-static"];
