//! Modules and data that an agent imports: `docs/wire.md`, section 6.

use std::borrow::Cow;

use chopsticks_pencode::marshal::{self, DecodeError, EncodeError, Writer};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use crate::{span::invalid, start::texts};

/// The kind of an [`Entry`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "Python has no others that are sent")]
pub enum EntryKind {
    /// A module.
    Module,
    /// A package.
    Package,
    /// A package without a file of its own.
    Namespace,
    /// A zip of an outermost package or module that the agent writes to its disk.
    Unpacked,
}

impl EntryKind {
    const ALL: [Self; 4] = [Self::Module, Self::Package, Self::Namespace, Self::Unpacked];

    fn code(self) -> i64 {
        match self {
            Self::Module => 0,
            Self::Package => 1,
            Self::Namespace => 2,
            Self::Unpacked => 3,
        }
    }

    fn read(code: i64) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.code() == code)
            .ok_or_else(|| invalid("unknown kind of module"))
    }
}

/// A module as it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a tuple of five on the wire")]
pub struct Entry<'a> {
    /// The full name.
    pub name: Cow<'a, str>,
    /// The kind of module.
    pub kind: EntryKind,
    /// The file name that tracebacks show; empty for a namespace package.
    pub file: Cow<'a, str>,
    /// The content of the file; empty for a namespace package.
    pub source: Cow<'a, [u8]>,
    /// The names directly below a package that the codebase has.
    pub submodules: Cow<'a, [String]>,
}

type Fields = (String, i64, Option<String>, Option<ByteBuf>, Vec<String>);

impl Entry<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.begin_tuple(5).text(&self.name).int(self.kind.code());
        if self.kind == EntryKind::Namespace {
            writer.none().none();
        } else {
            writer.text(&self.file).bytes(&self.source);
        }
        texts(&self.submodules, writer);
    }

    fn read((name, kind, file, source, submodules): Fields) -> Result<Entry<'static>, DecodeError> {
        Ok(Entry {
            name: Cow::Owned(name),
            kind: EntryKind::read(kind)?,
            file: Cow::Owned(file.unwrap_or_default()),
            source: Cow::Owned(source.map(ByteBuf::into_vec).unwrap_or_default()),
            submodules: Cow::Owned(submodules),
        })
    }
}

/// The outermost names of a codebase, and its roots.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is an entry without a name on the wire")]
pub struct Listing<'a> {
    /// The outermost names, and `chopsticks`.
    pub names: Cow<'a, [String]>,
    /// The text that precedes the file names of each root.
    pub roots: Cow<'a, [String]>,
}

/// `MODULES`: entries that the agent will need.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a list of these on the wire")]
pub struct Modules<'a> {
    /// The listing of the codebase, which precedes the first call.
    pub listing: Option<Listing<'a>>,
    /// Modules.
    pub entries: Vec<Entry<'a>>,
}

/// The wire form of an [`Entry`] or a [`Listing`].
type Member = (String, i64, Option<FileOrRoots>, Option<ByteBuf>, Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum FileOrRoots {
    File(String),
    Roots(Vec<String>),
}

impl Modules<'_> {
    /// Encodes the notice.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_list(self.entries.len() + usize::from(self.listing.is_some()));
        if let Some(Listing { names, roots }) = &self.listing {
            writer.begin_tuple(5).text("").int(EntryKind::Namespace.code());
            texts(roots, &mut writer);
            writer.none();
            texts(names, &mut writer);
        }
        for entry in &self.entries {
            entry.write(&mut writer);
        }
        writer.finish()
    }

    /// Decodes the notice.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a notice.
    pub fn decode(payload: &[u8]) -> Result<Modules<'static>, DecodeError> {
        let members: Vec<Member> = marshal::from_slice(payload)?;
        let mut modules = Modules::default();
        for (name, kind, file, source, names) in members {
            match file {
                Some(FileOrRoots::Roots(roots)) if name.is_empty() && modules.listing.is_none() => {
                    modules.listing = Some(Listing { names: Cow::Owned(names), roots: Cow::Owned(roots) });
                }
                Some(FileOrRoots::Roots(_)) => return Err(invalid("an entry has a list for its file")),
                Some(FileOrRoots::File(file)) => {
                    modules.entries.push(Entry::read((name, kind, Some(file), source, names))?);
                }
                None => modules.entries.push(Entry::read((name, kind, None, source, names))?),
            }
        }
        Ok(modules)
    }
}

/// `IMPORT`: requests a module. A name with a dot in front is a part of the agent itself, and a
/// name with a `/` in front is a place.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a tuple of two on the wire")]
pub struct Import {
    /// The full name.
    pub name: String,
    /// The importing module, for error messages.
    pub wanted_by: Option<String>,
}

impl Import {
    /// Encodes the request.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_tuple(2).text(&self.name);
        match &self.wanted_by {
            Some(by) => writer.text(by),
            None => writer.none(),
        };
        writer.finish()
    }

    /// Decodes the request.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a request.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (name, wanted_by) = match marshal::from_slice(payload) {
            Ok(asked) => asked,
            Err(_) => (marshal::from_slice(payload)?, None),
        };
        Ok(Self { name, wanted_by })
    }
}

/// The `REPLY` to [`Import`]: the module, or `None` if the codebase does not have it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is an entry or None on the wire")]
pub struct Imported<'a>(pub Option<Entry<'a>>);

impl Imported<'_> {
    /// Encodes the reply.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        match &self.0 {
            Some(entry) => entry.write(&mut writer),
            None => {
                writer.none();
            }
        }
        writer.finish()
    }

    /// Decodes the reply.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a reply.
    pub fn decode(payload: &[u8]) -> Result<Imported<'static>, DecodeError> {
        let entry: Option<Fields> = marshal::from_slice(payload)?;
        entry.map(Entry::read).transpose().map(Imported)
    }
}

/// `RESOURCE`: requests a file or folder of a package's data. The `REPLY` is the content of a file,
/// unchanged, or a [`Folder`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a tuple of two on the wire")]
pub struct Resource {
    /// The full name of the package.
    pub package: String,
    /// A path below the package's folder; empty for that folder.
    pub path: String,
}

impl Resource {
    /// Encodes the request.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_tuple(2).text(&self.package).text(&self.path);
        writer.finish()
    }

    /// Decodes the request.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a request.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (package, path) = marshal::from_slice(payload)?;
        Ok(Self { package, path })
    }
}

/// The `REPLY` to [`Resource`] that is not a file: the names in a folder, and whether each is a
/// folder; or `None` if nothing has that name.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a list or None on the wire")]
pub struct Folder(pub Option<Vec<(String, bool)>>);

impl Folder {
    /// Encodes the reply.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        match &self.0 {
            Some(entries) => {
                writer.begin_list(entries.len());
                for (name, is_folder) in entries {
                    writer.begin_tuple(2).text(name).bool(*is_folder);
                }
            }
            None => {
                writer.none();
            }
        }
        writer.finish()
    }

    /// Decodes the reply.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a reply.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload).map(Self)
    }
}

/// The `FAIL` of an import or of data.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a dict of three on the wire")]
pub struct ImportFailure {
    /// Always `import`.
    pub kind: String,
    /// The reason.
    pub message: String,
    /// The files of a module that exists only in compiled form.
    #[serde(default)]
    pub files: Vec<String>,
}

impl ImportFailure {
    /// Creates a failure.
    pub fn new(message: impl Into<String>, files: Vec<String>) -> Self {
        Self { kind: "import".to_owned(), message: message.into(), files }
    }

    /// Encodes the failure.
    ///
    /// # Errors
    ///
    /// The error if a text is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_dict(3).name("kind").text(&self.kind).name("message").text(&self.message);
        writer.name("files");
        texts(&self.files, &mut writer);
        writer.finish()
    }

    /// Decodes the failure.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a failure.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}
