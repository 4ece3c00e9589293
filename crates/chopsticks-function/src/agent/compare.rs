//! Comparing files of this host with those of the controller, and removing what the controller names.
//!
//! The requests and answers are those of the module `chopsticks._compare` of agents in Python.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use bytes::Bytes;
use chopsticks_files::{
    Signature, blocking::followed, check_deletable, digest_entry, digest_file, find_part, nanoseconds,
    remove_entries,
};
use chopsticks_protocol::{Arguments, Call, Callee, Failure};
use rustix::{
    fs::{Access, OFlags, access},
    io::Errno,
};
use serde::Serialize;
use serde_bytes::ByteBuf;

use super::{
    problem::{self, NO_PYTHON},
    users::{absolute, owner},
};
use crate::{
    answer::{Answer, arguments, cancelled, failure, value},
    call::is_cancelled,
};

/// The path that a request is about, and the error that occurred there.
type Problem = (PathBuf, io::Error);

/// What is at a path: kind, size, time of modification in nanoseconds, mode, whether it has the
/// owner, and what it contains: where a link leads, or the checksum of a file.
type State = Option<(u8, u64, i64, u32, bool, ByteBuf)>;

/// An entry of the controller's folder: path, kind, size, and its time if this may decide.
type Described = (ByteBuf, u8, i64, Option<i64>);

/// What the controller does not have: path, kind and size.
type Other = (ByteBuf, u8, u64);

/// The numbers of a user and a group.
type Numbers = (Option<u32>, Option<u32>);

/// Runs a function of the module.
pub(crate) fn run(payload: &Bytes) -> Answer {
    let Ok(Call { callee: Callee::Name(name), arguments: Arguments::Values { count, encoded }, .. }) =
        Call::decode(payload)
    else {
        return Err(failure("function", "", NO_PYTHON.to_owned()));
    };
    // The arguments are a tuple, of which only the beginning is missing.
    let mut tuple = vec![b'('];
    tuple.extend_from_slice(&count.to_le_bytes());
    tuple.extend_from_slice(&encoded);
    let arguments_of = &tuple[..];
    match &*name {
        "chopsticks._compare:file" => with(arguments_of, file),
        "chopsticks._compare:rehearse" => with(arguments_of, rehearse),
        "chopsticks._compare:folder" => with(arguments_of, folder),
        "chopsticks._compare:remove" => with(arguments_of, remove),
        "chopsticks._compare:contents" => with(arguments_of, contents),
        "chopsticks._compare:base" => with(arguments_of, base),
        _ => Err(failure("function", "", NO_PYTHON.to_owned())),
    }
}

/// Answers `(None, result)`, or what is wrong with a file: `((errno, message, path), None)`.
fn with<A: serde::de::DeserializeOwned, T: Serialize>(
    encoded: &[u8],
    work: fn(A) -> Result<T, Problem>,
) -> Answer {
    let arguments = match arguments(encoded) {
        Ok(arguments) => arguments,
        Err(refused) => return refused,
    };
    let done = work(arguments);
    if is_cancelled() {
        return cancelled();
    }
    let answer = match done {
        Ok(result) => (None, Some(result)),
        Err((path, error)) => {
            let Failure { errno, message, path } = problem::failure(&error, path.as_os_str().as_bytes());
            (Some((errno, message, ByteBuf::from(path))), None)
        }
    };
    value(&answer)
}

/// Returns the path to which a transfer would write a file, and what is there.
fn file(
    (path, name, size, modified, of): (ByteBuf, ByteBuf, i64, Option<i64>, Option<String>),
) -> Result<(ByteBuf, State), Problem> {
    let mut path = resolved(&path);
    if !name.is_empty() && path.is_dir() {
        path.push(OsStr::from_bytes(&name));
    }
    // The transfer says better what is wrong, if something is.
    let found = state(&path, size, modified, &owner(of.as_deref()).ok(), true).ok();
    Ok((encoded(path), found))
}

/// Fails as a transfer to a path would, as far as that is known before anything is written.
fn rehearse(
    (given, name, is_folder, parents, replace): (ByteBuf, ByteBuf, bool, bool, bool),
) -> Result<bool, Problem> {
    absolute(path_of(&given)).map_err(|error| (path_of(&given).to_owned(), error))?;
    let mut path = resolved(&given);
    let ends_with_slash = given.last() == Some(&b'/');
    let is_there = path.is_dir();
    let refused = |path: &Path, errno: Errno| Err((path.to_owned(), io::Error::from(errno)));
    let missing = |path: &Path, text: &str| {
        Err((path.to_owned(), io::Error::new(ErrorKind::NotFound, text.to_owned())))
    };
    if is_folder {
        if path.exists() && !is_there {
            return refused(&path, Errno::NOTDIR);
        }
    } else {
        if is_there && name.is_empty() {
            return refused(&path, Errno::ISDIR);
        }
        if !is_there && ends_with_slash {
            if path.exists() {
                return refused(&path, Errno::NOTDIR);
            }
            if !parents {
                return missing(&path, "the folder does not exist");
            }
        }
        if is_there || ends_with_slash {
            path.push(OsStr::from_bytes(&name));
        }
        if path.is_dir() {
            return refused(&path, Errno::ISDIR);
        }
        if !replace && path.symlink_metadata().is_ok() {
            return refused(&path, Errno::EXIST);
        }
    }
    let may = |path: &Path, what: Access| access(path, what).is_ok();
    let enters = Access::WRITE_OK | Access::EXEC_OK;
    if path.exists() {
        let is_replaced = || !is_folder && path.parent().is_some_and(|around| may(around, enters));
        return if may(&path, Access::WRITE_OK) || is_replaced() {
            Ok(true)
        } else {
            refused(&path, Errno::ACCESS)
        };
    }
    // A link that leads nowhere is followed, as the transfer does.
    let target = followed(&path).unwrap_or_else(|_| path.clone());
    let mut around = target.parent().unwrap_or(Path::new("/"));
    while parents && around.symlink_metadata().is_err() {
        let Some(above) = around.parent() else { break };
        around = above;
    }
    if !around.is_dir() {
        return match around.symlink_metadata() {
            Ok(_) => refused(&path, Errno::NOTDIR),
            Err(_) => missing(&path, "its folder does not exist"),
        };
    }
    if may(around, enters) { Ok(true) } else { refused(&path, Errno::ACCESS) }
}

/// Returns the path of a folder, what is there of the entries of the controller's folder, and, on
/// request, all else. The entries come in the order of a walk.
fn folder(
    (root, entries, of, reach): (ByteBuf, Vec<Described>, Option<String>, u8),
) -> Result<(ByteBuf, Vec<State>, Vec<Other>), Problem> {
    let (root, owner) = (resolved(&root), owner(of.as_deref()).ok());
    if reach == WITHIN_DEVICE {
        check_deletable(&root).map_err(|error| (root.clone(), error))?;
    }
    let mut states = Vec::with_capacity(entries.len());
    // A folder that the host does not have. Nothing in it is looked for.
    let mut absent: Option<Vec<u8>> = None;
    for (name, kind, size, modified) in &entries {
        if is_cancelled() {
            break;
        }
        let mut found = None;
        if !absent.as_ref().is_some_and(|absent| name.starts_with(absent)) {
            absent = None;
            let path = below(&root, name);
            // The folder itself may be a link.
            match state(&path, *size, *modified, &owner, name.is_empty()) {
                Ok(there) => found = Some(there),
                Err(error) if reach != 0 && !is_absent(&error) => return Err((path, error)),
                Err(_) => {}
            }
            if *kind == FOLDER && found.as_ref().is_none_or(|found| found.0 != FOLDER) {
                absent = Some(inside(name));
            }
        }
        states.push(found);
    }
    let others = match reach {
        0 => Vec::new(),
        reach => search(&root, &entries.iter().map(|entry| &**entry.0).collect(), reach)?,
    };
    Ok((encoded(root), states, others))
}

/// Returns what is in a folder and not known, in the order of a walk, with its kind and its size.
fn search(root: &Path, known: &HashSet<&[u8]>, reach: u8) -> Result<Vec<Other>, Problem> {
    let device = match fs::metadata(root) {
        Ok(there) => there.dev(),
        Err(error) if reach == WITHIN_DEVICE && is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err((root.to_owned(), error)),
    };
    let (mut found, mut waiting) = (Vec::new(), vec![Vec::new()]);
    while let Some(name) = waiting.pop() {
        if is_cancelled() {
            break;
        }
        let path = below(root, &name);
        if !name.is_empty() {
            let there = match fs::symlink_metadata(&path) {
                Ok(there) => there,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err((path, error)),
            };
            if reach == WITHIN_DEVICE && there.dev() != device {
                // What is mounted stays, and what is in it.
                continue;
            }
            if !known.contains(&*name) {
                found.push((ByteBuf::from(name.clone()), kind_of(&there), there.len()));
            }
            if !there.is_dir() {
                continue;
            }
        }
        let mut names = Vec::new();
        let listed = fs::read_dir(&path).and_then(|entries| {
            for entry in entries {
                names.push([inside(&name), entry?.file_name().into_vec()].concat());
            }
            Ok(())
        });
        listed.map_err(|error| (path, error))?;
        names.sort_unstable_by(|left, right| right.cmp(left));
        waiting.append(&mut names);
    }
    Ok(found)
}

/// Removes files and folders, what is in a folder first. Returns the positions of what has stayed.
fn remove((root, names): (ByteBuf, Vec<(ByteBuf, bool)>)) -> Result<Vec<usize>, Problem> {
    let names: Vec<_> =
        names.into_iter().map(|(name, is_folder)| (path_of(&name).to_owned(), is_folder)).collect();
    remove_entries(path_of(&root), &names)
}

/// Returns whether each file is there, and its content unless it has more than `most` bytes or
/// cannot be read, or all have more than `total` bytes.
fn contents(
    (root, names, most, mut total): (ByteBuf, Vec<ByteBuf>, u64, u64),
) -> Result<Vec<(bool, Option<ByteBuf>)>, Problem> {
    let mut found = Vec::with_capacity(names.len());
    for name in &names {
        if is_cancelled() {
            break;
        }
        let path = below(path_of(&root), name);
        found.push(match content(&path, name.is_empty(), most.min(total)) {
            Ok(content) => {
                total -= content.as_ref().map_or(0, |content| content.len() as u64);
                (true, content.map(ByteBuf::from))
            }
            Err(error) => (!is_absent(&error), None),
        });
    }
    Ok(found)
}

/// Finds what a file can be made from: the part that an earlier transfer has left, or the file
/// itself. Returns its path, and its description; the path is empty if there is nothing.
fn base(
    (path, name, is_whole, is_part): (ByteBuf, ByteBuf, bool, bool),
) -> Result<(ByteBuf, u64, u64, ByteBuf), Problem> {
    let mut path = resolved(&path);
    if !name.is_empty() && path.is_dir() {
        path.push(OsStr::from_bytes(&name));
    }
    let path = followed(&path).unwrap_or(path);
    let part = if is_part { find_part(&path) } else { None };
    let found = part.or_else(|| Some((path.clone(), open_base(&path).ok()?)).filter(|_| is_whole));
    let Some((found, file)) = found else { return Ok(Default::default()) };
    let (size, block, sums) = Signature::describe(&file).map_err(|error| (found.clone(), error))?;
    Ok((encoded(found), size, block, ByteBuf::from(sums)))
}

/// Opens a file from which parts are copied.
pub(crate) fn open_base(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Reads a regular file, or returns `None` if it has more than `most` bytes.
fn content(path: &Path, follows: bool, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut flags = OFlags::NONBLOCK;
    flags.set(OFlags::NOFOLLOW, !follows);
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
    Ok(Some(content).filter(|content| content.len() as u64 <= most))
}

/// Returns what is at a path. A file is read if it has the size, and if its time does not decide.
fn state(
    path: &Path,
    size: i64,
    modified: Option<i64>,
    owner: &Option<Numbers>,
    follows: bool,
) -> io::Result<(u8, u64, i64, u32, bool, ByteBuf)> {
    let there = if follows { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    let (kind, time) = (kind_of(&there), there.modified().map_or(0, nanoseconds));
    // Nothing has an owner that does not exist.
    let has_owner = owner.is_some_and(|(user, group)| {
        user.is_none_or(|user| user == there.uid()) && group.is_none_or(|group| group == there.gid())
    });
    let content = match kind {
        LINK => fs::read_link(path)?.into_os_string().into_vec(),
        FILE if i64::try_from(there.len()) == Ok(size) => {
            // Old Pythons and some file systems have microseconds.
            if modified.is_some_and(|modified| time.abs_diff(modified) < 2000) {
                b"=".to_vec()
            } else {
                let digested = if follows { digest_file(path) } else { digest_entry(path) };
                digested.map_or_else(|_| Vec::new(), |(summary, _)| summary.sha1.to_vec())
            }
        }
        _ => Vec::new(),
    };
    Ok((kind, there.len(), time, there.mode() & 0o7777, has_owner, ByteBuf::from(content)))
}

fn kind_of(there: &Metadata) -> u8 {
    let kind = there.file_type();
    if kind.is_dir() {
        FOLDER
    } else if kind.is_file() {
        FILE
    } else if kind.is_symlink() {
        LINK
    } else {
        OTHER
    }
}

/// Returns the path that a transfer to `path` writes to, without a slash at its end.
fn resolved(path: &[u8]) -> PathBuf {
    let path = path_of(path);
    let full = absolute(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    full.components().collect()
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn encoded(path: PathBuf) -> ByteBuf {
    ByteBuf::from(path.into_os_string().into_vec())
}

/// Returns the path of an entry of a folder, or of the folder itself for an empty name.
fn below(root: &Path, name: &[u8]) -> PathBuf {
    if name.is_empty() { root.to_owned() } else { root.join(OsString::from_vec(name.to_vec())) }
}

/// Returns how the names of everything in a folder begin.
fn inside(name: &[u8]) -> Vec<u8> {
    if name.is_empty() { Vec::new() } else { [name, b"/"].concat() }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

const FOLDER: u8 = 1;
const FILE: u8 = 2;
const LINK: u8 = 3;
const OTHER: u8 = 4;
/// How far a folder is searched for what the controller does not have: not what is mounted in it.
const WITHIN_DEVICE: u8 = 1;
