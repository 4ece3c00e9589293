//! The imports of a module, read from its source.

#[cfg(feature = "parser")]
mod parse;

/// The imports of a source text, at any place in it, in the order of the text.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Imports {
    pub(crate) list: Vec<Import>,
    /// The names in `__all__`, if they are literal.
    pub(crate) all: Vec<String>,
}

/// One imported module.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Import {
    /// How many dots precede the name: 0 means absolute, 1 the package around the module, 2 the
    /// package around that one.
    pub(crate) level: usize,
    /// The name with its dots; empty in `from . import x`.
    pub(crate) module: String,
    pub(crate) names: Names,
}

/// The names that are imported from a module. They matter only for submodules.
#[derive(Debug, Eq, PartialEq)]
#[cfg_attr(not(feature = "parser"), expect(dead_code, reason = "only the parser finds imports"))]
pub(crate) enum Names {
    /// All names in `__all__`.
    All,
    /// These, in a `from` import.
    Listed(Vec<String>),
    /// No names: the module itself is imported.
    Module,
}

impl Imports {
    /// Reads a source in any encoding. Text that cannot be parsed is skipped. Without the feature
    /// `parser`, nothing is found.
    pub(crate) fn read(source: &[u8]) -> Self {
        #[cfg(feature = "parser")]
        let imports = Self::parse(source);
        #[cfg(not(feature = "parser"))]
        let imports = {
            let _ = source;
            Self::default()
        };
        imports
    }
}
