//! The hosts that an `ssh_config` names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use globset::GlobBuilder;
use thiserror::Error;

use crate::set::NodeSet;

/// Error for an `ssh_config` that cannot be read.
#[derive(Debug, Error)]
#[error("cannot read {}", path.display())]
pub struct SshConfigError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// Returns the hosts that an `ssh_config` names, in their order: the words of `Host` lines that are
/// neither patterns nor negated.
///
/// `Include` lines are followed, as ssh does it: relative to `~/.ssh`, with wildcards, and 16 levels
/// deep at most. `Match` blocks do not name hosts, so they are skipped with everything in them. ssh
/// itself applies the settings of the hosts.
///
/// # Errors
///
/// [`SshConfigError`] if the file cannot be read. Included files that do not exist are skipped, as
/// by ssh.
pub fn ssh_config_hosts(path: impl AsRef<Path>) -> Result<NodeSet, SshConfigError> {
    let path = path.as_ref();
    let home = std::env::home_dir().unwrap_or_default();
    let mut hosts = NodeSet::new();
    let text = fs::read(path).map_err(|error| SshConfigError { path: path.to_owned(), error })?;
    collect(&String::from_utf8_lossy(&text), &home, 0, &mut hosts);
    Ok(hosts)
}

/// Returns the path of the user's `ssh_config`.
pub fn user_ssh_config() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join(".ssh/config")
}

fn collect(text: &str, home: &Path, depth: usize, hosts: &mut NodeSet) {
    let mut is_in_match = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        match keyword.to_ascii_lowercase().as_str() {
            "match" => is_in_match = true,
            "host" => {
                is_in_match = false;
                for word in words(rest) {
                    if !word.starts_with('!') && !word.contains(['*', '?']) {
                        hosts.insert(word);
                    }
                }
            }
            "include" if !is_in_match && depth < MAX_DEPTH => {
                for pattern in words(rest) {
                    for path in included(&pattern, home) {
                        // As ssh does, without a word.
                        if let Ok(text) = fs::read(path) {
                            collect(&String::from_utf8_lossy(&text), home, depth + 1, hosts);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Splits a line at spaces, except between double quotes. A `#` begins a comment.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

/// Returns the files that a pattern of `Include` stands for, sorted.
fn included(pattern: &str, home: &Path) -> Vec<PathBuf> {
    let path = match pattern.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => home.join(".ssh").join(pattern),
    };
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        let part = part.as_os_str();
        let Some(text) = part.to_str().filter(|text| text.contains(['*', '?', '['])) else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let Ok(glob) = GlobBuilder::new(text).literal_separator(true).build() else { return Vec::new() };
        let matcher = glob.compile_matcher();
        let mut next = Vec::new();
        for folder in found {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name());
            // As in a shell, hidden files have to be asked for.
            let is_shown = |name: &&std::ffi::OsString| {
                text.starts_with('.') || !name.to_string_lossy().starts_with('.')
            };
            next.extend(
                names.filter(|name| is_shown(&name) && matcher.is_match(name)).map(|name| folder.join(name)),
            );
        }
        next.sort();
        found = next;
    }
    found
}

/// How deeply ssh lets files include others.
const MAX_DEPTH: usize = 16;
