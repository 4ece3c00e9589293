//! The table `[defaults]` of `chopsticks.toml`: settings of the program.

use std::path::Path;

use crate::{
    document::DEFAULTS,
    inventory,
    node::{Data, Node},
    origin::{InvalidInventory, Origin},
};

/// What a file says besides its hosts and groups.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Defaults {
    /// The settings, in the order of the file.
    pub settings: Vec<Setting>,
    /// Whether the file also describes hosts or groups.
    pub has_hosts: bool,
}

/// A setting in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Setting {
    /// The name, such as `timeout`.
    pub name: String,
    /// The value as a text, or several ones. A mapping has texts of the form `NAME=VALUE`.
    pub values: Vec<String>,
    /// Where it stands.
    pub origin: Origin,
}

impl Defaults {
    /// Reads the table `[defaults]` of a file.
    ///
    /// # Errors
    ///
    /// [`InvalidInventory`] if the file cannot be read or is not TOML, if it has another table than
    /// `defaults`, `groups` and `hosts`, or if a setting is neither a text, a number, a truth value,
    /// nor a list or mapping of these.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, InvalidInventory> {
        let path = path.as_ref();
        let text = inventory::read(path)?;
        let root = Node::from_toml(&text, &path.to_string_lossy().into())?;
        let mut found = Self::default();
        for entry in root.entries("the file")? {
            match entry.key.as_str() {
                "hosts" | "groups" => found.has_hosts = true,
                DEFAULTS => {
                    for setting in entry.value.entries(DEFAULTS)? {
                        let values = values(&setting.value).ok_or_else(|| {
                            setting.origin.invalid(format!("`{}` has an invalid value", setting.key))
                        })?;
                        found.settings.push(Setting {
                            name: setting.key.clone(),
                            values,
                            origin: setting.origin.clone(),
                        });
                    }
                }
                other => {
                    let what = format!("`{other}` is not known; expected `{DEFAULTS}`, `groups` or `hosts`");
                    return Err(entry.origin.invalid(what));
                }
            }
        }
        Ok(found)
    }
}

fn values(node: &Node) -> Option<Vec<String>> {
    let text = |node: &Node| node.variable().ok()?.to_text();
    match &node.data {
        Data::List(items) => items.iter().map(text).collect(),
        Data::Map(entries) => {
            entries.iter().map(|entry| Some(format!("{}={}", entry.key, text(&entry.value)?))).collect()
        }
        Data::Scalar(_) | Data::Unknown(_) => Some(vec![text(node)?]),
    }
}
