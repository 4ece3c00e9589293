//! One module.

/// One module, as it is sent to an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ModuleEntry {
    /// The full name, such as `ops.deploy`.
    pub name: String,
    /// What the module is to Python's import system.
    pub kind: ModuleEntryKind,
    /// The file name that tracebacks show.
    pub file: String,
    /// The source as it is in the file, in whatever encoding it declares.
    pub source: Vec<u8>,
    /// The names directly below a package.
    pub submodules: Vec<String>,
}

/// What a module is to Python's import system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ModuleEntryKind {
    /// A plain module.
    Module,
    /// A namespace package: it has no source.
    Namespace,
    /// A package.
    Package,
    /// An outermost package or module that is written to the host's disk: the source is a zip of its files.
    Unpacked,
}

impl ModuleEntry {
    /// Creates the entry of a module; `file` is what tracebacks show.
    pub fn new(
        name: impl Into<String>,
        kind: ModuleEntryKind,
        file: impl Into<String>,
        source: impl Into<Vec<u8>>,
    ) -> Self {
        Self { name: name.into(), kind, file: file.into(), source: source.into(), submodules: Vec::new() }
    }

    /// Sets the names directly below a package. Agents request only these.
    #[must_use]
    pub fn submodules(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.submodules = names.into_iter().collect();
        self
    }
}
