//! The hosts that `--on` selects: names, ranges, groups, files of targets, and hosts of ssh.

use std::{collections::HashMap, fs, io, path::PathBuf};

use globset::GlobBuilder;
use thiserror::Error;

use crate::{
    fold::fold,
    inventory::{Host, Inventory},
    origin::InvalidInventory,
    pattern::{InvalidNames, InvalidNamesKind, MAX_NAMES, expand},
    set::{Operator, terms},
    ssh_config::{SshConfigError, ssh_config_hosts, user_ssh_config},
};

/// Turns texts into hosts.
///
/// | text | what it selects |
/// |---|---|
/// | a target with [ranges](expand), such as `web[1-9]` or `ssh://admin@db[a-c]:2222` | each of the targets; a host of the inventory is reached as the inventory says |
/// | `n[1-9]=TARGET` | nine names for the target, or for as many targets |
/// | `web*` | the hosts of the inventory with such a name: a glob |
/// | `@GROUP` | the hosts of a group of the inventory |
/// | `@FILE`, `@-` | the texts in a file, or on stdin, one in each line |
/// | `ssh-config:PATTERN` | the hosts of the user's `ssh_config` with such a name: a glob |
///
/// `,`, `!` and `&` between them are as in [`NodeSet`](crate::NodeSet). They have no meaning after
/// a `?`, where the settings of a target begin, and after `exec:`.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    inventory: Option<Inventory>,
    ssh_config: Option<PathBuf>,
    except: Vec<String>,
}

/// Hosts that were selected, in their order.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    hosts: Vec<Host>,
    positions: HashMap<String, usize>,
    unused: Vec<String>,
}

/// Error for texts that do not select hosts.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// A file of targets cannot be read.
    #[error("cannot read targets from {file}: {error}")]
    File {
        /// The file, or `stdin`.
        file: String,
        /// The reason.
        error: io::Error,
    },
    /// An inventory contains something invalid.
    #[error(transparent)]
    Inventory(#[from] InvalidInventory),
    /// A text in a line of a file is invalid.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The number of the line.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Ranges are invalid.
    #[error(transparent)]
    Names(#[from] InvalidNames),
    /// There are no hosts at all.
    #[error("there are no targets")]
    Nothing,
    /// Several hosts have the same name.
    #[error("targets have the same name: {0}; name them apart, as in --on a=local,b=local")]
    Repeated(String),
    /// The user's `ssh_config` cannot be read.
    #[error("{0}: {error}", error = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    SshConfig(SshConfigError),
    /// A text is not a target.
    #[error("{0}")]
    Target(String),
    /// A text selects nothing, and why.
    #[error("'{text}' selects nothing: {reason}")]
    Unknown {
        /// The text.
        text: String,
        /// The reason.
        reason: String,
    },
}

/// Hosts with the way in which they were named.
struct Found {
    host: Host,
    /// Whether it was written as it is, so that a second one is a mistake.
    is_literal: bool,
}

/// Returns the name of a target, or why the text is not a target.
type NameOf<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

impl Selector {
    /// Creates a selector without an inventory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the inventory whose hosts and groups can be selected.
    #[must_use]
    pub fn inventory(self, inventory: Inventory) -> Self {
        Self { inventory: Some(inventory), ..self }
    }

    /// Sets the file for `ssh-config:`. By default it is `~/.ssh/config`.
    #[must_use]
    pub fn ssh_config(self, path: impl Into<PathBuf>) -> Self {
        Self { ssh_config: Some(path.into()), ..self }
    }

    /// Adds a text whose hosts are left out of every selection. They are compared by name.
    #[must_use]
    pub fn except(mut self, text: impl Into<String>) -> Self {
        self.except.push(text.into());
        self
    }

    /// Selects the hosts that `on` describes.
    ///
    /// `name_of` returns the name of a target, or says why a text is not a target. Files are read,
    /// and nothing is connected.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if a text is invalid, if a file cannot be read, if two different targets have
    /// the same name, or if there are no hosts.
    pub fn select(
        &self,
        on: impl IntoIterator<Item = impl AsRef<str>>,
        mut name_of: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<Selection, SelectError> {
        let mut found = Vec::new();
        for text in on {
            found.extend(self.expression(text.as_ref(), &mut name_of, true)?);
            check_count(text.as_ref(), found.len())?;
        }
        let mut selection = Selection::default();
        let mut repeated: Vec<(String, usize)> = Vec::new();
        for Found { host, is_literal } in found {
            let Some(&position) = selection.positions.get(&host.name) else {
                selection.positions.insert(host.name.clone(), selection.hosts.len());
                selection.hosts.push(host);
                continue;
            };
            if is_literal || selection.hosts[position].target != host.target {
                match repeated.iter_mut().find(|(name, _)| *name == host.name) {
                    Some((_, count)) => *count += 1,
                    None => repeated.push((host.name, 2)),
                }
            }
        }
        if !repeated.is_empty() {
            repeated.sort();
            let names: Vec<_> =
                repeated.iter().map(|(host, count)| format!("'{host}' ({count} times)")).collect();
            return Err(SelectError::Repeated(names.join(", ")));
        }
        for text in &self.except {
            let excepted = self.expression(text, &mut name_of, true)?;
            let names: std::collections::HashSet<_> =
                excepted.into_iter().map(|found| found.host.name).collect();
            let before = selection.hosts.len();
            selection.hosts.retain(|host| !names.contains(&host.name));
            if selection.hosts.len() == before {
                selection.unused.push(text.clone());
            }
        }
        if selection.hosts.is_empty() {
            return Err(SelectError::Nothing);
        }
        let hosts = selection.hosts.iter().enumerate();
        selection.positions = hosts.map(|(position, host)| (host.name.clone(), position)).collect();
        Ok(selection)
    }

    fn expression(&self, text: &str, name_of: NameOf<'_>, may_read: bool) -> Result<Vec<Found>, SelectError> {
        let mut found: Vec<Found> = Vec::new();
        // The parser of targets says best what an empty one could be.
        let parsed = match terms(text) {
            Err(error) if *error.kind() == InvalidNamesKind::Empty && !text.contains(['!', '&']) => {
                return Err(SelectError::Target(name_of("").err().unwrap_or_else(|| error.to_string())));
            }
            parsed => parsed?,
        };
        for term in parsed {
            let operand = self.operand(term.text, name_of, may_read)?;
            let names = |found: &[Found]| -> std::collections::HashSet<String> {
                found.iter().map(|found| found.host.name.clone()).collect()
            };
            match term.operator {
                Operator::Add => found.extend(operand),
                Operator::Keep => {
                    let names = names(&operand);
                    found.retain(|found| names.contains(&found.host.name));
                }
                Operator::Remove => {
                    let names = names(&operand);
                    found.retain(|found| !names.contains(&found.host.name));
                }
            }
            check_count(text, found.len())?;
        }
        Ok(found)
    }

    fn operand(&self, text: &str, name_of: NameOf<'_>, may_read: bool) -> Result<Vec<Found>, SelectError> {
        if let Some(name) = text.strip_prefix('@') {
            return match self
                .inventory
                .as_ref()
                .and_then(|inventory| Some((inventory, inventory.group(name)?)))
            {
                Some((inventory, names)) => known(inventory, names, name_of),
                None if may_read => self.file(name, name_of),
                None => Err(SelectError::Target("a file of targets cannot name another one".to_owned())),
            };
        }
        if let Some(pattern) = text.strip_prefix("ssh-config:") {
            let path = self.ssh_config.clone().unwrap_or_else(user_ssh_config);
            let hosts = ssh_config_hosts(&path).map_err(SelectError::SshConfig)?;
            let names = matching(pattern, text, hosts.iter())?;
            if names.is_empty() {
                return Err(unknown(text, &format!("no host in {} has such a name", path.display())));
            }
            return names.into_iter().map(|name| self.one(name, false, name_of)).collect();
        }
        if let Some(inventory) = self.inventory.as_ref().filter(|_| is_glob(text)) {
            let names = matching(text, text, inventory.names())?;
            if names.is_empty() {
                return Err(unknown(text, &format!("no host in {} has such a name", inventory.file())));
            }
            return known(inventory, names, name_of);
        }
        let texts = expand_target(text)?;
        let is_literal = texts.len() == 1;
        texts.iter().map(|text| self.one(text, is_literal, name_of)).collect()
    }

    /// Returns the host of the inventory with this name, or else the target.
    fn one(&self, text: &str, is_literal: bool, name_of: NameOf<'_>) -> Result<Found, SelectError> {
        if let Some(host) = self.inventory.as_ref().and_then(|inventory| inventory.host(text)) {
            return Ok(Found { host: named(host?, name_of)?, is_literal });
        }
        let name = name_of(text).map_err(SelectError::Target)?;
        let mut host = Host::plain(name, text.to_owned());
        // A target whose name is in the inventory has what the inventory knows about it.
        if let Some(known) = self.inventory.as_ref().and_then(|inventory| inventory.host(&host.name)) {
            let Host { groups, variables, origin, .. } = known?;
            host = Host { groups, variables, origin, ..host };
        }
        Ok(Found { host, is_literal })
    }

    /// Reads a file with a text in each line. Empty lines and those that begin with `#` are passed
    /// over.
    fn file(&self, file: &str, name_of: NameOf<'_>) -> Result<Vec<Found>, SelectError> {
        let (name, text) = match file {
            "" => {
                let what = "missing file name after `@`, or `-` for stdin";
                return Err(SelectError::Target(what.to_owned()));
            }
            "-" => ("stdin", io::read_to_string(io::stdin())),
            file => (file, fs::read_to_string(file)),
        };
        let text = text.map_err(|error| match (&self.inventory, error.kind()) {
            (Some(inventory), io::ErrorKind::NotFound) => {
                let what = format!("there is neither a group '{file}' in {} nor a file", inventory.file());
                unknown(&format!("@{file}"), &what)
            }
            _ => SelectError::File { file: name.to_owned(), error },
        })?;
        // Editors of Windows put one in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.lines().map(str::trim).enumerate();
        let mut found = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let read = self.expression(line, name_of, false);
            found.extend(read.map_err(|error| SelectError::Line {
                file: name.to_owned(),
                line: number + 1,
                reason: error.to_string(),
            })?);
            check_count(file, found.len())?;
        }
        Ok(found)
    }
}

impl Selection {
    /// Returns the hosts, in their order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Returns the host with this name.
    pub fn get(&self, name: &str) -> Option<&Host> {
        self.positions.get(name).and_then(|position| self.hosts.get(*position))
    }

    /// Returns the texts of `except` that excluded nothing, which may be mistakes.
    pub fn unused(&self) -> &[String] {
        &self.unused
    }

    /// Returns the names as a short text, such as `web[1-9]`.
    pub fn folded(&self) -> String {
        fold(self.hosts.iter().map(Host::name))
    }
}

impl<'a> IntoIterator for &'a Selection {
    type Item = &'a Host;
    type IntoIter = std::slice::Iter<'a, Host>;

    fn into_iter(self) -> Self::IntoIter {
        self.hosts.iter()
    }
}

fn known(inventory: &Inventory, names: Vec<&str>, name_of: NameOf<'_>) -> Result<Vec<Found>, SelectError> {
    let hosts = names.into_iter().filter_map(|name| inventory.host(name));
    hosts.map(|host| Ok(Found { host: named(host?, name_of)?, is_literal: false })).collect()
}

/// Checks the target of a host, and takes its name from there.
fn named(host: Host, name_of: NameOf<'_>) -> Result<Host, SelectError> {
    match (name_of(&host.target), &host.origin) {
        (Ok(name), _) => Ok(Host { name, ..host }),
        (Err(error), Some(origin)) => Err(origin.invalid(error).into()),
        (Err(error), None) => Err(SelectError::Target(error)),
    }
}

fn matching<'a>(
    pattern: &str,
    text: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<&'a str>, SelectError> {
    let glob = GlobBuilder::new(pattern).build().map_err(|error| unknown(text, &error.kind().to_string()))?;
    let matcher = glob.compile_matcher();
    Ok(names.filter(|name| matcher.is_match(name)).collect())
}

/// Returns whether a text is a glob, and not a target with settings.
fn is_glob(text: &str) -> bool {
    text.contains('*') && !text.contains(['?', ':', '/', '='])
}

fn unknown(text: &str, reason: &str) -> SelectError {
    SelectError::Unknown { text: text.to_owned(), reason: reason.to_owned() }
}

fn check_count(text: &str, count: usize) -> Result<(), SelectError> {
    if count > MAX_NAMES {
        let text: String = text.chars().take(200).collect();
        return Err(InvalidNames::new(text, InvalidNamesKind::TooMany).into());
    }
    Ok(())
}

/// Expands the ranges of a target. Those in its name and those in the rest belong together.
fn expand_target(text: &str) -> Result<Vec<String>, InvalidNames> {
    let (name, target) = match text.split_once('=') {
        Some((name, target)) if !name.contains([':', '/', '?', '@']) => (Some(name), target),
        _ => (None, text),
    };
    let targets = if target.starts_with("exec:") || target.contains("/exec:") {
        vec![target.to_owned()]
    } else {
        let (place, settings) = target.find('?').map_or((target, ""), |at| target.split_at(at));
        expand(place)?.into_iter().map(|place| place + settings).collect()
    };
    let Some(name) = name else { return Ok(targets) };
    let names = expand(name)?;
    match (names.len(), targets.len()) {
        (count, 1) => Ok((0..count).map(|index| format!("{}={}", names[index], targets[0])).collect()),
        (count, other) if count == other => {
            Ok(names.iter().zip(&targets).map(|(name, target)| format!("{name}={target}")).collect())
        }
        (names, targets) => Err(InvalidNames::new(text, InvalidNamesKind::Pairs { names, targets })),
    }
}
