//! Paths as users of cp, scp and rsync write them.

use std::{
    env,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use chopsticks::Target;

/// Returns the folder that gets the content of the folder `source`, if the user has written `destination`.
///
/// This is `destination` itself, unless it names a place for folders: `.`, `..`, `~`, a folder that all
/// share, such as `/tmp`, or a path that ends with `/`. There the folder keeps its name, unless `source`
/// ends with `/`.
///
/// # Errors
///
/// The place has the name of the source, so that either may be meant.
pub(super) fn folder_destination(source: &Path, destination: &Path) -> Result<PathBuf, String> {
    let Some(name) = own_name(source) else { return Ok(destination.to_owned()) };
    if !is_place(destination) {
        return Ok(destination.to_owned());
    }
    if destination.file_name() == Some(name) {
        let (source, own) = (source.display(), destination.join(name));
        return Err(format!(
            "{} is ambiguous: write `{source}/` in place of `{source}` for its content, and {} for a folder of its own",
            destination.display(),
            own.display()
        ));
    }
    Ok(destination.join(name))
}

/// Returns the last name of a path, unless the path stands for the content of a folder.
fn own_name(source: &Path) -> Option<&OsStr> {
    let bytes = source.as_os_str().as_bytes();
    let last = bytes.rsplit(|byte| *byte == b'/').next()?;
    let is_home = bytes.len() == last.len() && last.starts_with(b"~");
    (!matches!(last, b"" | b"." | b"..") && !is_home).then(|| OsStr::from_bytes(last))
}

fn is_place(path: &Path) -> bool {
    path.as_os_str().is_empty()
        || own_name(path).is_none()
        || SHARED.iter().any(|shared| path == Path::new(shared))
}

/// Replaces a leading `~` by the home folder: shells leave it as it is in quotes, which `{host}` needs.
pub(super) fn in_home(path: &str) -> PathBuf {
    let rest = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (rest, env::home_dir()) {
        // Not `join`, which would lose a `/` at the end.
        (Some(rest), Some(home)) => {
            let mut full = home.into_os_string();
            full.push(rest);
            PathBuf::from(full)
        }
        _ => PathBuf::from(path),
    }
}

/// Refuses `HOST:PATH`, as scp and rsync take it, if HOST is a target.
pub(super) fn check_remote(path: &Path, targets: &[Target]) -> Result<(), String> {
    let text = path.to_string_lossy();
    let Some((host, rest)) = text.split_once(':').filter(|(host, _)| !host.contains('/')) else {
        return Ok(());
    };
    let bare = host.rsplit('@').next().unwrap_or(host);
    let is_target = |target: &Target| {
        let name = target.host().as_str();
        name == host || name.rsplit('@').next() == Some(bare)
    };
    if !targets.iter().any(is_target) {
        return Ok(());
    }
    let rest = if rest.is_empty() { "~" } else { rest };
    Err(format!(
        "{text} begins with the name of a target: --on names targets, so write {rest} (or ./{text} for a file of this name)"
    ))
}

/// Folders of the system. A folder that is put there keeps its name, so that its content is not spread in them.
const SHARED: [&str; 16] = [
    "/boot",
    "/etc",
    "/home",
    "/lib",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/local",
    "/usr/share",
    "/var",
    "/var/tmp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_keeps_its_name_in_a_place() {
        for (source, destination, expected) in [
            ("site", "/srv/site", "/srv/site"),
            ("site", "new", "new"),
            ("site", ".", "./site"),
            ("a/site", "..", "../site"),
            ("site", "/srv/www/", "/srv/www/site"),
            ("site", "/srv/www/.", "/srv/www/./site"),
            ("site", "~", "~/site"),
            ("site", "~deploy", "~deploy/site"),
            ("site", "~/www", "~/www"),
            ("site", "/", "/site"),
            ("site", "/tmp", "/tmp/site"),
            ("site/", "/tmp", "/tmp"),
            ("site/", ".", "."),
            ("site/.", "x/", "x/"),
            (".", "/srv/www/", "/srv/www/"),
            ("..", "x/", "x/"),
            ("/", "x/", "x/"),
            ("~", "x/", "x/"),
            ("site/", "/srv/site/", "/srv/site/"),
            ("a b:\n", "o/", "o/a b:\n"),
        ] {
            let found = folder_destination(Path::new(source), Path::new(destination)).unwrap();
            assert_eq!(found.as_os_str(), expected, "{source} to {destination}");
        }
        for (source, destination) in
            [("site", "/srv/site/"), ("x/site", "site/"), ("/etc", "/etc"), ("tmp", "/tmp")]
        {
            let problem = folder_destination(Path::new(source), Path::new(destination)).unwrap_err();
            assert!(problem.contains(&format!("`{source}/`")), "{problem}");
        }
    }

    #[test]
    fn target_in_front_of_a_path_is_refused() {
        let targets: Vec<Target> =
            ["web1", "admin@web2", "db=local"].iter().map(|text| text.parse().unwrap()).collect();
        for path in ["web1:/tmp/x", "root@web1:x", "web2:x", "admin@web2:", "db:~/x"] {
            assert!(check_remote(Path::new(path), &targets).is_err(), "{path}");
        }
        for path in ["web3:/x", "./web1:x", "/web1:x", "a/web1:x", "web1", "C:x", ":", "x:web1"] {
            assert_eq!(check_remote(Path::new(path), &targets), Ok(()), "{path}");
        }
    }

    #[test]
    fn quoted_home_is_the_home_folder() {
        let home = env::home_dir().unwrap();
        assert_eq!(in_home("~/a/{host}/").as_os_str(), format!("{}/a/{{host}}/", home.display()).as_str());
        assert_eq!(in_home("~"), home);
        for path in ["~x/a", "./~", "a~", "-", ""] {
            assert_eq!(in_home(path), PathBuf::from(path));
        }
    }
}
