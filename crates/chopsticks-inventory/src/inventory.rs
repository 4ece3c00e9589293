//! Inventories: hosts, their groups, and what is set for them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
    sync::Arc,
};

use crate::{
    ansible, document,
    origin::{InvalidInventory, Origin, Warning},
    pattern::MAX_NAMES,
    settings::Settings,
    variable::{Variable, Variables},
};

/// Hosts, their groups, and what is set for them, as a file describes them.
///
/// ```
/// use chopsticks_inventory::{Format, Inventory};
///
/// let text = "
///     [groups.web]
///     hosts = ['web[1-2]']
///     user = 'admin'
///     vars = { role = 'front' }
///
///     [hosts.web2]
///     address = '10.0.0.7'
/// ";
/// let inventory = Inventory::parse(text, Format::Toml, "chopsticks.toml")?;
/// let host = inventory.host("web2").unwrap()?;
/// assert_eq!(host.target(), "web2=ssh://admin@10.0.0.7");
/// assert_eq!(host.variables()["role"], "front".into());
/// # Ok::<(), chopsticks_inventory::InvalidInventory>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inventory {
    file: Arc<str>,
    hosts: Vec<(String, Layer)>,
    positions: HashMap<String, usize>,
    groups: BTreeMap<String, Group>,
    warnings: Vec<Warning>,
}

/// How an inventory is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// Ansible's INI.
    Ini,
    /// The file `chopsticks.toml`.
    Toml,
    /// Ansible's YAML, or the same as JSON.
    Yaml,
}

/// A host of an inventory, and how to reach it.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) groups: Vec<String>,
    pub(crate) variables: Variables,
    pub(crate) origin: Option<Origin>,
}

/// What is set for a group or a host.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) settings: Settings,
    pub(crate) variables: Variables,
    pub(crate) origin: Origin,
}

#[derive(Clone, Debug)]
struct Group {
    layer: Layer,
    /// Positions of hosts, in the order in which they were named.
    hosts: Vec<usize>,
    known: BTreeSet<usize>,
    children: Vec<(String, Origin)>,
    /// How far it is from `all`.
    depth: usize,
    /// Whether it was only named as a part of another group so far.
    is_defined: bool,
}

impl Inventory {
    /// Reads an inventory. The name decides the format: `.toml` is [`Format::Toml`], `.yml`,
    /// `.yaml` and `.json` are [`Format::Yaml`], and everything else is [`Format::Ini`].
    ///
    /// For Ansible's formats, the folders `group_vars` and `host_vars` next to the file are read as
    /// well.
    ///
    /// # Errors
    ///
    /// [`InvalidInventory`] if a file cannot be read, or if it contains something invalid.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, InvalidInventory> {
        let path = path.as_ref();
        let text = read(path)?;
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Format::Toml,
            Some("yml" | "yaml" | "json") => Format::Yaml,
            _ if text.starts_with("#!") => {
                let what = "it is a program; write what it prints to a file, in a format that is known";
                return Err(InvalidInventory::of_file(&path.to_string_lossy(), what));
            }
            _ => Format::Ini,
        };
        let mut inventory = Self::begin(&text, format, &path.to_string_lossy())?;
        if format != Format::Toml {
            ansible::read_folders(&mut inventory, path.parent().unwrap_or(Path::new("")))?;
        }
        inventory.finish()
    }

    /// Parses the text of an inventory. Errors call it `name`.
    ///
    /// # Errors
    ///
    /// [`InvalidInventory`] if it contains something invalid.
    pub fn parse(text: &str, format: Format, name: &str) -> Result<Self, InvalidInventory> {
        Self::begin(text, format, name)?.finish()
    }

    /// Returns the name of the file, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the warnings: parts of the file that have no effect.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the names of all hosts, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the names of all groups, sorted, with `all` among them.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Returns the names of the hosts in a group and in the groups that belong to it, in the order
    /// of the file. Returns `None` for an unknown group.
    pub fn group(&self, name: &str) -> Option<Vec<&str>> {
        self.groups.get(name)?;
        if name == ALL {
            return Some(self.names().collect());
        }
        let mut positions = BTreeSet::<usize>::new();
        let (mut waiting, mut seen) = (vec![name], BTreeSet::from([name]));
        while let Some(group) = waiting.pop().and_then(|name| self.groups.get(name)) {
            positions.extend(&group.hosts);
            let new = group.children.iter().filter(|(child, _)| seen.insert(child.as_str()));
            waiting.extend(new.map(|(child, _)| child.as_str()));
        }
        Some(positions.into_iter().map(|position| self.hosts[position].0.as_str()).collect())
    }

    /// Returns a host with everything that is set for it: by `all` first, then by its groups from
    /// the outermost to the innermost, and by itself last. Returns `None` for an unknown host.
    ///
    /// # Errors
    ///
    /// [`InvalidInventory`] if the settings do not fit together.
    pub fn host(&self, name: &str) -> Option<Result<Host, InvalidInventory>> {
        let position = *self.positions.get(name)?;
        Some(self.host_at(position))
    }

    fn host_at(&self, position: usize) -> Result<Host, InvalidInventory> {
        let (name, own) = &self.hosts[position];
        let mut groups = self.groups_of(position);
        groups.sort_by_key(|(name, group)| (group.depth, *name));
        let mut settings = Settings::default();
        let mut variables = Variables::new();
        for layer in groups.iter().map(|(_, group)| &group.layer).chain([own]) {
            settings.extend(&layer.settings);
            variables.extend(layer.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let target = settings.target(name).map_err(|(what, origin)| {
            origin.unwrap_or(own.origin.clone()).invalid(format!("host '{name}': {what}"))
        })?;
        let groups = groups.into_iter().map(|(name, _)| name.to_owned()).filter(|name| name != ALL).collect();
        Ok(Host { name: name.clone(), target, groups, variables, origin: Some(own.origin.clone()) })
    }

    /// Returns the groups that a host belongs to, directly or not.
    fn groups_of(&self, position: usize) -> Vec<(&str, &Group)> {
        let mut found: BTreeSet<&str> = [ALL].into();
        // Parents follow their children for as long as there are more.
        let mut waiting: Vec<&str> = self
            .groups
            .iter()
            .filter(|(_, group)| group.known.contains(&position))
            .map(|(name, _)| name.as_str())
            .collect();
        while let Some(name) = waiting.pop() {
            if found.insert(name) {
                let parents =
                    self.groups.iter().filter(|(_, it)| it.children.iter().any(|(child, _)| child == name));
                waiting.extend(parents.map(|(name, _)| name.as_str()));
            }
        }
        found.into_iter().filter_map(|name| Some((name, self.groups.get(name)?))).collect()
    }

    fn begin(text: &str, format: Format, name: &str) -> Result<Self, InvalidInventory> {
        // Editors of Windows put one in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut inventory = Self {
            file: name.into(),
            hosts: Vec::new(),
            positions: HashMap::new(),
            groups: BTreeMap::new(),
            warnings: Vec::new(),
        };
        let start = Origin::new(&inventory.file, 1);
        inventory.define_group(ALL, &start);
        match format {
            Format::Ini => ansible::read_ini(&mut inventory, text)?,
            Format::Toml => document::read(&mut inventory, text)?,
            Format::Yaml => ansible::read_yaml(&mut inventory, text)?,
        }
        Ok(inventory)
    }

    /// Checks the groups of groups, and computes their depths.
    fn finish(mut self) -> Result<Self, InvalidInventory> {
        for group in self.groups.values() {
            if let Some((child, origin)) = group
                .children
                .iter()
                .find(|(child, _)| !self.groups.get(child).is_some_and(|it| it.is_defined))
            {
                return Err(origin.invalid(format!("there is no group '{child}'")));
            }
        }
        let parents: BTreeSet<&str> = self
            .groups
            .values()
            .flat_map(|group| group.children.iter().map(|(child, _)| child.as_str()))
            .collect();
        let mut depths: BTreeMap<String, usize> = BTreeMap::new();
        let mut waiting: Vec<(String, usize)> = self
            .groups
            .keys()
            .filter(|name| *name == ALL || !parents.contains(name.as_str()))
            .map(|name| (name.clone(), usize::from(name != ALL)))
            .collect();
        while let Some((name, depth)) = waiting.pop() {
            let group = &self.groups[&name];
            if depth > self.groups.len() {
                return Err(group.layer.origin.invalid(format!("group '{name}' is a part of itself")));
            }
            if depths.get(&name).is_none_or(|known| *known < depth) {
                depths.insert(name, depth);
                waiting.extend(group.children.iter().map(|(child, _)| (child.clone(), depth + 1)));
            }
        }
        for (name, group) in &mut self.groups {
            match depths.get(name) {
                Some(depth) => group.depth = *depth,
                // It has a parent, and none of its ancestors has none.
                None => {
                    return Err(group.layer.origin.invalid(format!("group '{name}' is a part of itself")));
                }
            }
        }
        Ok(self)
    }

    pub(crate) fn file_name(&self) -> Arc<str> {
        self.file.clone()
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Returns what is set for a host, which is added if it is new.
    pub(crate) fn define_host(&mut self, name: &str, origin: &Origin) -> Result<usize, InvalidInventory> {
        if let Some(position) = self.positions.get(name) {
            return Ok(*position);
        }
        if name.is_empty() || name.contains(char::is_whitespace) || name.contains(char::is_control) {
            return Err(origin.invalid(format!("invalid host name '{}'", name.escape_debug())));
        }
        if self.hosts.len() == MAX_NAMES {
            return Err(origin.invalid(format!("there are more than {MAX_NAMES} hosts")));
        }
        let position = self.hosts.len();
        self.hosts.push((name.to_owned(), Layer::new(origin)));
        self.positions.insert(name.to_owned(), position);
        Ok(position)
    }

    pub(crate) fn host_layer(&mut self, position: usize) -> &mut Layer {
        &mut self.hosts[position].1
    }

    /// Returns what is set for a group, which is added if it is new.
    pub(crate) fn define_group(&mut self, name: &str, origin: &Origin) -> &mut Layer {
        let group = self.groups.entry(name.to_owned()).or_insert_with(|| Group::new(origin));
        if !group.is_defined {
            (group.is_defined, group.layer.origin) = (true, origin.clone());
        }
        &mut group.layer
    }

    pub(crate) fn known_group(&mut self, name: &str) -> Option<&mut Layer> {
        self.groups.get_mut(name).filter(|group| group.is_defined).map(|group| &mut group.layer)
    }

    pub(crate) fn known_host(&mut self, name: &str) -> Option<&mut Layer> {
        let position = *self.positions.get(name)?;
        Some(self.host_layer(position))
    }

    pub(crate) fn add_to_group(&mut self, group: &str, host: usize, origin: &Origin) {
        let group = self.groups.entry(group.to_owned()).or_insert_with(|| Group::new(origin));
        if group.known.insert(host) {
            group.hosts.push(host);
        }
    }

    pub(crate) fn add_child(&mut self, group: &str, child: &str, origin: &Origin) {
        let group = self.groups.entry(group.to_owned()).or_insert_with(|| Group::new(origin));
        group.children.push((child.to_owned(), origin.clone()));
    }
}

impl Host {
    /// Creates a host for a target that no inventory describes.
    pub(crate) fn plain(name: String, target: String) -> Self {
        Self { name, target, groups: Vec::new(), variables: Variables::new(), origin: None }
    }

    /// Returns the name, which is the key of its results.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the text of the target: the host, and how to reach it.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the names of the groups that it belongs to, from the outermost to the innermost,
    /// without `all`.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Returns the variables that are set for it and for its groups.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Returns where it was first named, if an inventory describes it.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Returns `template` with the name in place of `{host}`, and the value of each variable in
    /// place of `{var.NAME}`. All other braces stand for themselves.
    ///
    /// # Errors
    ///
    /// The name of a variable that the host does not have, or whose value is not a text, a number
    /// or a truth value.
    pub fn fill(&self, template: &str) -> Result<String, UnknownVariable> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let name = rest.find('}').map(|end| &rest[1..end]);
            let value = match name {
                Some("host") => Some(self.name.clone()),
                Some(name) => match name.strip_prefix("var.") {
                    Some(variable) => {
                        let value = self.variables.get(variable).and_then(Variable::to_text);
                        Some(value.ok_or_else(|| UnknownVariable::new(variable, &self.name))?)
                    }
                    None => None,
                },
                None => None,
            };
            match (value, name) {
                (Some(value), Some(name)) => {
                    filled.push_str(&value);
                    rest = &rest[name.len() + 2..];
                }
                _ => {
                    filled.push('{');
                    rest = &rest[1..];
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Error for a host that does not have a variable, or not as a text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("host '{host}' has no text or number in the variable '{variable}'")]
pub struct UnknownVariable {
    variable: String,
    host: String,
}

impl UnknownVariable {
    fn new(variable: &str, host: &str) -> Self {
        Self { variable: variable.to_owned(), host: host.to_owned() }
    }
}

impl Layer {
    fn new(origin: &Origin) -> Self {
        Self { settings: Settings::default(), variables: Variables::new(), origin: origin.clone() }
    }
}

impl Group {
    fn new(origin: &Origin) -> Self {
        Self {
            layer: Layer::new(origin),
            hosts: Vec::new(),
            known: BTreeSet::new(),
            children: Vec::new(),
            depth: 0,
            is_defined: false,
        }
    }
}

/// Reads a file of text, within a limit.
pub(crate) fn read(path: &Path) -> Result<String, InvalidInventory> {
    let invalid = |reason: String| InvalidInventory::of_file(&path.to_string_lossy(), reason);
    let metadata = fs::metadata(path).map_err(|error| invalid(format!("cannot read the file: {error}")))?;
    if metadata.is_dir() {
        return Err(invalid("it is a folder; name the file in it".to_owned()));
    }
    if metadata.len() > MAX_FILE {
        return Err(invalid(format!("it is longer than {MAX_FILE} bytes")));
    }
    fs::read_to_string(path).map_err(|error| invalid(format!("cannot read the file: {error}")))
}

/// The group of all hosts.
pub(crate) const ALL: &str = "all";
/// How long a file may be.
const MAX_FILE: u64 = 64 << 20;
