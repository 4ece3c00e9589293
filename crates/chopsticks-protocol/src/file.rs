//! Files that are sent and fetched: `docs/wire.md`, section 8.

use chopsticks_pencode::marshal::{self, DecodeError, EncodeError, Writer};
use serde::Deserialize;
use serde_bytes::ByteBuf;

/// `PUT`: writes a file or a folder, whose content is the request's stream.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever sends a file decides on each of them")]
pub struct Put {
    /// The path; empty for a new file in the folder for temporary files.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    /// The file's name if the path leads to a folder. If it is empty, such a path is a failure.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
    /// The permission bits; `None` for those of the file that is replaced.
    pub mode: Option<u32>,
    /// The permission bits of a new file if `mode` is `None`, before the umask.
    pub default: u32,
    /// `user`, `user:group` or `:group`, names or numbers; `None` for that of the file that is replaced.
    pub owner: Option<String>,
    /// The time of modification in nanoseconds since 1970; `None` for now.
    pub modified: Option<i64>,
    /// Whether an existing file is replaced. Otherwise it is a failure.
    pub replace: bool,
    /// Whether the file is on the disk before it is visible.
    pub sync: bool,
    /// Whether the content is a folder.
    pub folder: bool,
    /// Whether the entries of the folder get the times that are sent with them.
    pub keep: bool,
    /// Whether missing folders of the path are made.
    #[serde(default)]
    pub parents: bool,
    /// The path of a file from which parts of the content are copied; empty for none.
    #[serde(default, with = "serde_bytes")]
    pub base: Vec<u8>,
    /// Whether the content that has arrived stays if the transfer is interrupted.
    #[serde(default)]
    pub part: bool,
}

impl Put {
    /// The keys, in the order in which they are sent.
    pub const KEYS: [&'static str; 13] = [
        "path", "name", "mode", "default", "owner", "modified", "replace", "sync", "folder", "keep",
        "parents", "base", "part",
    ];

    /// Encodes the request.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let [path, name, mode, default, owner, modified, replace, sync, folder, keep, parents, base, part] =
            Self::KEYS;
        let mut writer = Writer::new();
        writer.begin_dict(Self::KEYS.len()).name(path).bytes(&self.path).name(name).bytes(&self.name);
        writer.name(mode);
        number(self.mode.map(i64::from), &mut writer);
        writer.name(default).int(i64::from(self.default)).name(owner);
        match &self.owner {
            Some(owner) => writer.text(owner),
            None => writer.none(),
        };
        writer.name(modified);
        number(self.modified, &mut writer);
        writer.name(replace).bool(self.replace).name(sync).bool(self.sync);
        writer.name(folder).bool(self.folder).name(keep).bool(self.keep);
        writer.name(parents).bool(self.parents).name(base).bytes(&self.base).name(part).bool(self.part);
        writer.finish()
    }

    /// Decodes the request.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a request.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

/// `FETCH`: reads a file or a folder, whose content is the request's stream.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks for a file decides on each of them")]
pub struct Fetch {
    /// The path.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    /// Bytes per second; 0 for no limit.
    pub limit: i64,
    /// Whether the path is a folder.
    pub folder: bool,
    /// Paths, from the folder on, of what is left out.
    #[serde(default)]
    pub skip: Vec<ByteBuf>,
    /// The size of the blocks whose checksums are in `digests`, in bytes; 0 without any.
    #[serde(default)]
    pub block: u32,
    /// The checksums of the blocks of a local file, 20 bytes each.
    #[serde(default, with = "serde_bytes")]
    pub digests: Vec<u8>,
}

impl Fetch {
    /// The keys, in the order in which they are sent.
    pub const KEYS: [&'static str; 6] = ["path", "limit", "folder", "skip", "block", "digests"];

    /// Encodes the request.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let [path, limit, folder, skip, block, digests] = Self::KEYS;
        let mut writer = Writer::new();
        writer.begin_dict(Self::KEYS.len()).name(path).bytes(&self.path);
        writer.name(limit).int(self.limit).name(folder).bool(self.folder);
        writer.name(skip).begin_list(self.skip.len());
        for path in &self.skip {
            writer.bytes(path);
        }
        writer.name(block).int(i64::from(self.block)).name(digests).bytes(&self.digests);
        writer.finish()
    }

    /// Decodes the request.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a request.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

/// The `REPLY` to [`Put`] and [`Fetch`] of a file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a dict of these on the wire")]
pub struct Done {
    /// The absolute path.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    /// The size in bytes.
    pub size: u64,
    /// The checksum.
    #[serde(with = "serde_bytes")]
    pub sha1: Vec<u8>,
    /// For a file that was put: whether the content was written into the existing file.
    #[serde(default)]
    pub in_place: bool,
    /// For a file that was fetched: the permission bits.
    #[serde(default)]
    pub mode: Option<u32>,
    /// For a file that was fetched: the time of modification in nanoseconds since 1970.
    #[serde(default)]
    pub modified: Option<i64>,
}

impl Done {
    /// Encodes the reply to either of the two requests.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        let is_fetched = self.mode.is_some() || self.modified.is_some();
        writer.begin_dict(if is_fetched { 5 } else { 4 }).name("path").bytes(&self.path);
        writer.name("size").int(size(self.size)).name("sha1").bytes(&self.sha1);
        if is_fetched {
            writer.name("mode");
            number(self.mode.map(i64::from), &mut writer);
            writer.name("modified");
            number(self.modified, &mut writer);
        } else {
            writer.name("in_place").bool(self.in_place);
        }
        writer.finish()
    }

    /// Decodes the reply.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a reply.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

/// The `REPLY` to [`Put`] and [`Fetch`] of a folder.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is a dict of these on the wire")]
pub struct DoneFolder {
    /// The absolute path.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    /// The number of regular files.
    pub files: u64,
    /// The number of folders, including the outermost one.
    pub folders: u64,
    /// The number of symbolic links.
    pub links: u64,
    /// The number of entries that were left out: FIFOs, sockets, devices.
    pub left_out: u64,
    /// The size of all files, in bytes.
    pub size: u64,
}

impl DoneFolder {
    /// Encodes the reply.
    ///
    /// # Errors
    ///
    /// The error if a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.begin_dict(6).name("path").bytes(&self.path);
        let counts = [
            ("files", self.files),
            ("folders", self.folders),
            ("links", self.links),
            ("left_out", self.left_out),
            ("size", self.size),
        ];
        for (name, count) in counts {
            writer.name(name).int(size(count));
        }
        writer.finish()
    }

    /// Decodes the reply.
    ///
    /// # Errors
    ///
    /// The error if the bytes are not such a reply.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        marshal::from_slice(payload)
    }
}

fn number(number: Option<i64>, writer: &mut Writer) {
    match number {
        Some(number) => writer.int(number),
        None => writer.none(),
    };
}

/// No file system has larger files.
fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
