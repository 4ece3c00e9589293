//! Removing what the other side does not have.

use std::{
    env, fs as std_fs, io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, CWD, OFlags},
    io::Errno,
};

use crate::{place::open_folder, walk::Problem};

/// Refuses folders from which nothing is deleted: those of the system, and the home folder itself.
///
/// # Errors
///
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) for such a folder.
pub fn check_deletable(root: &Path) -> io::Result<()> {
    let Ok(real) = std_fs::canonicalize(root) else { return Ok(()) };
    let home = env::home_dir().and_then(|home| std_fs::canonicalize(home).ok());
    let parts: Vec<_> = real.iter().skip(1).map(|part| part.to_string_lossy()).collect();
    let is_shared = match parts.as_slice() {
        [] => true,
        [top] => SHARED.contains(&&**top),
        [top, below] if top == "usr" => USR.contains(&&**below),
        _ => false,
    };
    if is_shared || home.is_some_and(|home| home == real) {
        let text = "nothing is deleted in folders of the system, nor in a home folder itself";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

/// Removes files, and empty folders, from a folder. The paths start at the folder; what is in a
/// folder comes before the folder. Links are not followed, so that nothing outside the folder is
/// removed. Returns the positions of what has stayed: it has gone by itself, or something has come
/// into it. Blocks the thread.
///
/// # Errors
///
/// The path that cannot be removed, and why.
pub fn remove_entries(root: &Path, entries: &[(PathBuf, bool)]) -> Result<Vec<usize>, Problem> {
    let at_root = |error| (root.to_owned(), error);
    check_deletable(root).map_err(at_root)?;
    let top = open_folder(CWD, root, OFlags::empty()).map_err(at_root)?;
    let mut stayed = Vec::new();
    for (position, (path, is_folder)) in entries.iter().enumerate() {
        match remove_one(&top, path, *is_folder) {
            Ok(()) => {}
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => stayed.push(position),
                _ => return Err((root.join(path), error)),
            },
        }
    }
    Ok(stayed)
}

fn remove_one(top: &OwnedFd, path: &Path, is_folder: bool) -> io::Result<()> {
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let name = path.file_name().filter(|_| is_plain).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    let mut inner: Option<OwnedFd> = None;
    for part in path.parent().into_iter().flat_map(Path::iter) {
        inner = Some(open_folder(inner.as_ref().unwrap_or(top), part, OFlags::NOFOLLOW)?);
    }
    Ok(fs::unlinkat(inner.as_ref().unwrap_or(top), name, flags)?)
}

/// Folders that belong to the system or to many.
const SHARED: [&str; 28] = [
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "Applications",
    "Library",
    "System",
    "Users",
    "Volumes",
    "private",
    "lost+found",
];
const USR: [&str; 12] = [
    "bin", "games", "include", "lib", "lib32", "lib64", "libexec", "libx32", "local", "sbin", "share", "src",
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        std_fs::create_dir_all(at("root/a/b")).unwrap();
        std_fs::create_dir(at("outside")).unwrap();
        std_fs::write(at("outside/file"), "x").unwrap();
        std_fs::write(at("root/a/b/c"), "x").unwrap();
        symlink(at("outside"), at("root/link")).unwrap();
        let remove = |path: &str, is_folder| remove_entries(&at("root"), &[(PathBuf::from(path), is_folder)]);
        for path in ["link/file", "../outside/file", "", ".", "..", "a/../../outside/file"] {
            assert!(remove(path, false).is_err(), "{path}");
        }
        assert_eq!(remove("a", true).unwrap(), [0]);
        assert_eq!(remove("gone", false).unwrap(), [0]);
        let entries = [("a/b/c", false), ("a/b", true), ("a", true), ("link", false)];
        let entries = entries.map(|(path, is_folder)| (PathBuf::from(path), is_folder));
        let none: [usize; 0] = [];
        assert_eq!(remove_entries(&at("root"), &entries).unwrap(), none);
        assert!(at("outside/file").exists() && std_fs::read_dir(at("root")).unwrap().next().is_none());
    }

    #[test]
    fn folders_of_the_system_are_refused() {
        for folder in ["/", "/etc", "/usr/bin", "/tmp/..", "/usr/../usr"] {
            assert!(check_deletable(Path::new(folder)).is_err(), "{folder}");
        }
        let scratch = tempfile::tempdir().unwrap();
        symlink("/", scratch.path().join("root")).unwrap();
        assert!(check_deletable(&scratch.path().join("root")).is_err());
        assert!(check_deletable(scratch.path()).is_ok());
    }
}
