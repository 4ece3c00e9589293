//! Folders and archives to test with.

use std::{
    fs,
    io::{Cursor, Write as _},
    path::Path,
};

use chopsticks_importer::{Codebase, CodebaseError, Module, Resource, ResourceKind};
use zip::{ZipWriter, write::SimpleFileOptions};

/// Makes a folder of files.
pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    folder
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Makes an archive as Python's tools do, with deflated files.
pub(crate) fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A file of a [`raw_zip`].
pub(crate) struct Raw<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) content: &'a [u8],
    pub(crate) method: u16,
    /// How long it claims to be, unpacked.
    pub(crate) len: usize,
}

impl<'a> Raw<'a> {
    pub(crate) fn stored(name: &'a [u8], content: &'a [u8]) -> Self {
        Self { name, content, method: 0, len: content.len() }
    }
}

/// Makes an archive that no tool would make.
pub(crate) fn raw_zip(files: &[Raw<'_>]) -> Vec<u8> {
    let (mut locals, mut list) = (Vec::new(), Vec::new());
    for file in files {
        let offset = u32::try_from(locals.len()).unwrap();
        let name_len = u16::try_from(file.name.len()).unwrap();
        let mut head = Vec::new();
        for part in [20, 0x0800, file.method, 0, 0] {
            head.extend(part.to_le_bytes());
        }
        for part in
            [crc(file.content), u32::try_from(file.content.len()).unwrap(), u32::try_from(file.len).unwrap()]
        {
            head.extend(part.to_le_bytes());
        }
        head.extend(name_len.to_le_bytes());
        head.extend(0_u16.to_le_bytes());
        locals.extend(b"PK\x03\x04");
        locals.extend(&head);
        locals.extend(file.name);
        locals.extend(file.content);
        list.extend(b"PK\x01\x02\x14\x03");
        list.extend(&head);
        list.extend([0; 10]);
        list.extend(offset.to_le_bytes());
        list.extend(file.name);
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let mut zip = locals;
    let start = u32::try_from(zip.len()).unwrap();
    zip.extend(&list);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend(count);
    zip.extend(count);
    zip.extend(u32::try_from(list.len()).unwrap().to_le_bytes());
    zip.extend(start.to_le_bytes());
    zip.extend([0; 2]);
    zip
}

fn crc(content: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !content.iter().fold(!0, byte)
}

pub(crate) fn find(codebase: &Codebase, name: &str) -> Option<Module> {
    codebase.find(&name.parse().unwrap()).unwrap()
}

pub(crate) fn source(codebase: &Codebase, name: &str) -> Option<String> {
    find(codebase, name).map(|module| String::from_utf8(module.source().to_vec()).unwrap())
}

pub(crate) fn resource(
    codebase: &Codebase,
    package: &str,
    path: &str,
) -> Result<Option<Resource>, CodebaseError> {
    codebase.resource(&package.parse().unwrap(), path)
}

/// The content of a file that is served, as text.
pub(crate) fn content(codebase: &Codebase, package: &str, path: &str) -> Option<String> {
    match resource(codebase, package, path).unwrap() {
        Some(Resource::File(content)) => Some(String::from_utf8(content).unwrap()),
        _ => None,
    }
}

/// What a folder that is served has, folders with a `/` behind.
pub(crate) fn names(codebase: &Codebase, package: &str, path: &str) -> Option<Vec<String>> {
    let Some(Resource::Folder(entries)) = resource(codebase, package, path).unwrap() else { return None };
    let name = |kind, name| if kind == ResourceKind::Folder { format!("{name}/") } else { name };
    Some(entries.into_iter().map(|entry| name(entry.kind, entry.name)).collect())
}
