//! The data of packages.

/// A file or folder of a package's data, as it is sent to an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Resource {
    /// A file with its content.
    File(Vec<u8>),
    /// A folder with the entries that are directly in it.
    Folder(Vec<ResourceEntry>),
}

/// An entry of a folder of package data.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct ResourceEntry {
    /// The name, without the folder's.
    pub name: String,
    /// Whether it is a file or a folder.
    pub kind: ResourceKind,
}

/// A file or a folder.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the wire has no third")]
pub enum ResourceKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

impl ResourceEntry {
    /// Creates the entry of a file.
    pub fn file(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ResourceKind::File }
    }

    /// Creates the entry of a folder.
    pub fn folder(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ResourceKind::Folder }
    }
}
