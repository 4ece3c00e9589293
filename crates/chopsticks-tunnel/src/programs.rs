//! The programs that agents in Rust are.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use chopsticks_driver::Hint;
use chopsticks_function::{Catalog, Start};

use crate::bootstrap::{
    elf::{Elf, Libc},
    program,
};

/// The programs from which an agent in Rust is started: a copy of this program, or one of a folder.
///
/// ```
/// use chopsticks_tunnel::{Agent, Programs, TunnelConfig};
///
/// let config = TunnelConfig::default().agent(Agent::Native).programs(Programs::folder("agents"));
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Programs {
    folder: Option<Arc<Folder>>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// What was read once. The bytes to send are shared by all connections.
    read: Mutex<Option<Vec<Arc<AgentProgram>>>>,
    preambles: Mutex<HashMap<(PathBuf, bool), Bytes>>,
}

/// A program that can be an agent in Rust, in a file.
///
/// ```no_run
/// use chopsticks_tunnel::AgentProgram;
///
/// # fn main() -> std::io::Result<()> {
/// let program = AgentProgram::read("agents/count-aarch64-unknown-linux-musl")?;
/// println!("{}, {}, {} functions", program.architecture(), program.libc(), program.functions().len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AgentProgram {
    path: PathBuf,
    architecture: &'static str,
    libc: Libc,
    len: u64,
    functions: Catalog,
}

/// What the first stage says of its host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Machine {
    /// As `uname -m` says.
    pub(crate) name: String,
    /// The version of glibc, if there is one.
    pub(crate) glibc: Option<(u32, u32)>,
    pub(crate) has_musl: bool,
}

/// Why there is no program for a host.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Arc<io::Error>,
    pub(crate) hint: Option<Hint>,
}

impl Programs {
    /// Returns a copy of the running program, without its debug information. This is the default. It
    /// runs on hosts of the same kind of machine alone.
    pub fn current() -> Self {
        Self::default()
    }

    /// Returns the programs in a folder, which `cargo chopsticks agents` builds.
    ///
    /// The host names its kind of machine and its C library before anything is sent to it, which
    /// costs one round trip. It gets the smallest program that fits. If the folder has none for its
    /// kind of machine, it gets a copy of this program if that fits. A program whose functions were
    /// built from another source than those of this program is refused before it is sent.
    ///
    /// The names of the files have no meaning, and files that are not programs are ignored. The
    /// folder is read at the first connection.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        let folder = Folder { path: path.into(), read: Mutex::default(), preambles: Mutex::default() };
        Self { folder: Some(Arc::new(folder)) }
    }

    /// Returns whether the host has to be known before a program is chosen.
    pub(crate) fn are_many(&self) -> bool {
        self.folder.is_some()
    }

    /// Returns what is sent to a host. Reads files, and may compress one.
    pub(crate) fn preamble(&self, machine: &Machine, is_compressed: bool) -> Result<Bytes, Refusal> {
        let Some(folder) = &self.folder else { return Err(Refusal::of("there is no folder".to_owned())) };
        let program = folder.choose(machine)?;
        let key = (program.path.clone(), is_compressed);
        // Under the lock, so that connections that begin together compress it once.
        let mut preambles = folder.preambles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(preamble) = preambles.get(&key) {
            return Ok(preamble.clone());
        }
        let unreadable = |error: io::Error| Refusal::of(format!("{}: {error}", program.path.display()));
        let this = Path::new(THIS);
        let start = Start::of_this_program().filter(|_| program.path == this);
        let start = start.unwrap_or_else(Start::of_a_program);
        let file = if program.path == this { program::read() } else { fs::read(&program.path) };
        let preamble = file
            .and_then(|file| program::preamble(file, program.architecture, start.arguments(), is_compressed))
            .map_err(unreadable)?;
        preambles.insert(key, preamble.clone());
        Ok(preamble)
    }
}

impl Folder {
    /// Returns the program for a host.
    fn choose(&self, machine: &Machine) -> Result<Arc<AgentProgram>, Refusal> {
        let programs = self.programs()?;
        let this = Start::of_this_program().and_then(|_| AgentProgram::this().ok()).map(Arc::new);
        let mine = Catalog::of_this_program();
        let of_machine: Vec<_> = programs
            .iter()
            .filter(|program| program::is_machine(program.architecture, &machine.name))
            .collect();
        let mut fitting: Vec<_> =
            of_machine.iter().filter(|program| machine.has(&program.libc)).copied().collect();
        fitting.sort_by_key(|program| program.len);
        let is_fresh = |program: &&&Arc<AgentProgram>| mine.stale(&program.functions).is_none();
        let serves = |program: &&&Arc<AgentProgram>| mine.is_empty() || mine.overlaps(&program.functions);
        if let Some(program) = fitting.iter().filter(is_fresh).find(serves) {
            return Ok((**program).clone());
        }
        if let Some(program) = fitting.first() {
            return Err(program.stale(&mine));
        }
        let fits_this = |this: &Arc<AgentProgram>| {
            program::is_machine(this.architecture, &machine.name) && machine.has(&this.libc)
        };
        match this.filter(fits_this) {
            Some(this) => Ok(this),
            None => Err(self.none(machine, &programs)),
        }
    }

    fn programs(&self) -> Result<Vec<Arc<AgentProgram>>, Refusal> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(programs) = &*read {
            return Ok(programs.clone());
        }
        let unreadable = |error: io::Error| {
            Refusal::of(format!("cannot read the folder {}: {error}", self.path.display()))
        };
        let mut programs = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_file()
                && let Ok(program) = AgentProgram::read(&path)
            {
                programs.push(Arc::new(program));
            }
        }
        // Of two that are alike, the same one each time.
        programs.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(read.insert(programs).clone())
    }

    fn none(&self, machine: &Machine, programs: &[Arc<AgentProgram>]) -> Refusal {
        let there: Vec<_> = programs
            .iter()
            .map(|program| {
                let name = program.path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name} ({}, {})", program.architecture, program.libc)
            })
            .collect();
        let there = match &there[..] {
            [] => "it has no programs".to_owned(),
            there => format!("it has {}", there.join(", ")),
        };
        let text =
            format!("no program in {} fits the host, which is {machine}: {there}", self.path.display());
        let target = format!("{}-unknown-linux-musl", machine.name);
        let advice = format!("build one: `cargo chopsticks agents --target {target}`");
        Refusal { hint: Some(Hint::new("program-missing", advice)), ..Refusal::of(text) }
    }
}

impl AgentProgram {
    /// Reads the head and the functions of a program.
    ///
    /// # Errors
    ///
    /// The errors of reading the file, or [`InvalidData`](io::ErrorKind::InvalidData) if it is not a
    /// program for Linux, or has no functions.
    pub fn read(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        Self::of(&fs::read(&path)?, path)
    }

    /// Returns the running program.
    fn this() -> io::Result<Self> {
        let file = program::read()?;
        Self::of(&file, THIS.into())
    }

    fn of(file: &[u8], path: PathBuf) -> io::Result<Self> {
        let refused =
            |text: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{} {text}", path.display()));
        let elf = Elf::new(file).ok_or_else(|| refused("is not an ELF file"))?;
        let architecture = elf.architecture().ok_or_else(|| refused("is for an unknown kind of machine"))?;
        let libc = elf.libc().ok_or_else(|| refused("is damaged"))?;
        let end = elf.end_of_segments().ok_or_else(|| refused("is not a program"))?;
        let functions = Catalog::of_file(&file[..end]);
        if functions.is_empty() && path != Path::new(THIS) {
            return Err(refused(
                "has no functions: its program has to refer to the crate of the functions (`use that_crate as _;`)",
            ));
        }
        Ok(Self { path, architecture, libc, len: end as u64, functions })
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the architecture that it was built for, as Rust names it, such as `aarch64`.
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// Returns the C library that it needs on its host.
    pub fn libc(&self) -> &Libc {
        &self.libc
    }

    /// Returns how many bytes are sent to a host, before they are compressed.
    pub fn len_sent(&self) -> u64 {
        self.len
    }

    /// Returns its functions.
    pub fn functions(&self) -> &Catalog {
        &self.functions
    }

    /// Returns why it does not go with this program.
    fn stale(&self, mine: &Catalog) -> Refusal {
        let path = self.path.display();
        let text = match mine.stale(&self.functions) {
            Some(function) => {
                format!("{path} was built from another source: its {function} is not this one's")
            }
            None => format!("{path} has none of the functions of this program"),
        };
        let advice = "build it again by `cargo chopsticks agents`, from the source of this program";
        Refusal { hint: Some(Hint::new("program-stale", advice)), ..Refusal::of(text) }
    }
}

impl Machine {
    /// Reads what the first stage says: `MACHINE [glibc VERSION] [musl]`.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let words: Vec<_> = words.collect();
        let version = |text: &str| {
            let mut numbers = text.split('.').map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        let glibc = words.windows(2).find(|pair| pair[0] == "glibc").and_then(|pair| version(pair[1]));
        Some(Self { name, glibc, has_musl: words.contains(&"musl") })
    }

    /// Returns whether a program that needs this library runs there. If the host does not know its
    /// library, a program that needs one is tried.
    fn has(&self, libc: &Libc) -> bool {
        let is_unknown = self.glibc.is_none() && !self.has_musl;
        match libc {
            Libc::Glibc(major, minor) => {
                is_unknown || self.glibc.is_some_and(|version| version >= (*major, *minor))
            }
            Libc::Musl => is_unknown || self.has_musl,
            Libc::Static => true,
            Libc::Other(_) => is_unknown,
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name: String = self.name.chars().filter(char::is_ascii_graphic).take(32).collect();
        f.write_str(&name)?;
        if let Some((major, minor)) = self.glibc {
            write!(f, " with glibc {major}.{minor}")?;
        }
        if self.has_musl {
            f.write_str(" with musl")?;
        }
        Ok(())
    }
}

impl Refusal {
    fn of(text: String) -> Self {
        Self { error: Arc::new(io::Error::new(io::ErrorKind::NotFound, text)), hint: None }
    }
}

/// The running program, in place of the path of a file.
const THIS: &str = "/proc/self/exe";
