//! Local paths for the files of many hosts.

use std::{collections::HashMap, path::PathBuf};

use chopsticks_tunnel::HostName;
use thiserror::Error;

/// Error for a template that gives the files of several hosts the same path.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the files of {} would both be written to {}; put `{{host}}` into the path", names.join(" and "), path.display())]
pub struct SharedPath {
    path: PathBuf,
    names: [String; 2],
}

/// Returns the path of each host: `template`, with the host's name in place of each `{host}`.
///
/// A name cannot lead out of the folder: characters that would do so are escaped as in URLs.
///
/// # Errors
///
/// [`SharedPath`] if two hosts would have the same path.
pub fn host_paths<'a>(
    template: &str,
    hosts: impl IntoIterator<Item = &'a HostName>,
) -> Result<Vec<PathBuf>, SharedPath> {
    let mut owners: HashMap<PathBuf, &HostName> = HashMap::new();
    hosts
        .into_iter()
        .map(|host| {
            let path = PathBuf::from(template.replace("{host}", &file_name(host.as_str())));
            match owners.insert(path.clone(), host) {
                Some(other) => Err(SharedPath { path, names: [other.to_string(), host.to_string()] }),
                None => Ok(path),
            }
        })
        .collect()
}

/// Returns a host's name as a part of one path component.
fn file_name(host: &str) -> String {
    match host {
        "." | ".." => host.replace('.', "%2E"),
        host => host.replace('/', "%2F"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_of(template: &str, hosts: &[&str]) -> Result<Vec<String>, String> {
        let hosts: Vec<HostName> = hosts.iter().map(|host| HostName::lossy(host)).collect();
        let paths = host_paths(template, hosts.iter()).map_err(|error| error.to_string())?;
        Ok(paths.into_iter().map(|path| path.display().to_string()).collect())
    }

    #[test]
    fn each_host_has_a_path_of_its_own() {
        assert_eq!(paths_of("out/{host}/{host}.txt", &["a", "b"]).unwrap(), ["out/a/a.txt", "out/b/b.txt"]);
        assert_eq!(paths_of("one", &["a"]).unwrap(), ["one"]);
        let error = paths_of("out/passwd", &["a", "b"]).unwrap_err();
        assert_eq!(
            error,
            "the files of a and b would both be written to out/passwd; put `{host}` into the path"
        );
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let paths = paths_of("out/{host}", &["../etc", "..", ".", "/root", "a..b"]).unwrap();
        assert_eq!(paths, ["out/..%2Fetc", "out/%2E%2E", "out/%2E", "out/%2Froot", "out/a..b"]);
    }
}
