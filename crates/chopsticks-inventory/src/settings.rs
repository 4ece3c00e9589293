//! How hosts are reached, as groups and hosts of an inventory set it.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::origin::Origin;

/// What an inventory can set for a host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    Address,
    Connection,
    Cwd,
    Identity,
    Jump,
    Port,
    Python,
    /// `yes` or `no`.
    Sudo,
    SudoUser,
    /// A whole target, in which `{host}` stands for the name.
    Target,
    User,
}

/// What is set for a group or a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<Key, (String, Origin)>,
    env: BTreeMap<String, String>,
}

impl Settings {
    pub(crate) fn set(&mut self, key: Key, value: impl Into<String>, origin: &Origin) {
        self.values.insert(key, (value.into(), origin.clone()));
    }

    pub(crate) fn set_env(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.env.insert(name.into(), value.into());
    }

    /// Adds settings that take precedence.
    pub(crate) fn extend(&mut self, over: &Self) {
        self.values.extend(over.values.iter().map(|(key, value)| (*key, value.clone())));
        self.env.extend(over.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    fn get(&self, key: Key) -> Option<&str> {
        self.values.get(&key).map(|(value, _)| value.as_str())
    }

    /// Returns the text of the target that is reached with these settings, or what is wrong with
    /// them.
    pub(crate) fn target(&self, name: &str) -> Result<String, (String, Option<Origin>)> {
        let address = self.get(Key::Address).unwrap_or(name);
        let user = self.get(Key::User);
        let sudo = match self.get(Key::Sudo) {
            Some("yes") => Some(self.get(Key::SudoUser).unwrap_or("root")),
            _ => None,
        };
        let mut query = Query::default();
        for (key, text) in [(Key::Python, "python"), (Key::Cwd, "cwd")] {
            query.push(text, self.get(key));
        }
        for (name, value) in &self.env {
            query.push("env", Some(&format!("{name}={value}")));
        }
        let at = |key| self.values.get(&key).map(|(_, origin)| origin.clone());
        // What is not written as a name would be read as something else.
        let prefix = match name.contains([':', '/', '?', '@', '=', ',']) {
            true => String::new(),
            false => format!("{name}="),
        };
        if let Some(target) = self.get(Key::Target) {
            let target = target.replace("{host}", name);
            let is_command = target.starts_with("exec:") || target.contains("/exec:");
            if is_command && !query.is_empty() {
                return Err(("a target with `exec:` has no settings".to_owned(), at(Key::Target)));
            }
            let begin = if target.contains('?') { '&' } else { '?' };
            return Ok(format!("{prefix}{target}{}", query.text(begin)));
        }
        Ok(match self.get(Key::Connection).unwrap_or("ssh") {
            "ssh" => {
                query.push("identity", self.get(Key::Identity));
                query.push("jump", self.get(Key::Jump));
                match sudo {
                    Some("root") => query.push_switch("sudo"),
                    sudo => query.push("sudo", sudo),
                }
                let port = self.get(Key::Port);
                if query.is_empty() && user.is_none() && port.is_none() && address == name {
                    return Ok(name.to_owned());
                }
                let bare = address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(address);
                let mut host = encode(bare);
                if bare.contains(':') {
                    host = format!("[{host}]");
                }
                let user = user.map(|user| format!("{}@", encode(user))).unwrap_or_default();
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{prefix}ssh://{user}{host}{port}{}", query.text('?'))
            }
            "local" => {
                let place = sudo.map_or_else(|| "local".to_owned(), |user| format!("sudo:{}", encode(user)));
                format!("{prefix}{place}{}", query.text('?'))
            }
            engine @ ("docker" | "podman") => {
                if sudo.is_some() {
                    return Err(("sudo has no effect in a container; set `user`".to_owned(), at(Key::Sudo)));
                }
                query.push("user", user);
                format!("{prefix}{engine}-exec://{}{}", encode(address), query.text('?'))
            }
            other => {
                let what =
                    format!("the connection '{other}' is not known; expected ssh, local, docker or podman");
                return Err((what, at(Key::Connection)));
            }
        })
    }
}

/// The settings of a target, behind its `?`.
#[derive(Debug, Default)]
struct Query(Vec<String>);

impl Query {
    fn push(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push(format!("{key}={}", encode(value)));
        }
    }

    fn push_switch(&mut self, key: &str) {
        self.0.push(key.to_owned());
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn text(&self, begin: char) -> String {
        if self.is_empty() { String::new() } else { format!("{begin}{}", self.0.join("&")) }
    }
}

fn encode(text: &str) -> String {
    // A colon could make a `/` the end of a hop.
    const ENCODED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'=');
    utf8_percent_encode(text, ENCODED).to_string()
}
