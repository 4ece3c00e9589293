//! What an agent sets up before it runs anything.

use std::collections::BTreeMap;

use bytes::Bytes;
use chopsticks_pencode::marshal::{EncodeError, Writer};

/// What an agent sets up before it runs anything: its working directory, its environment, where it imports from.
///
/// The agent itself does so, on every kind of tunnel alike. Variables that the interpreter or the system's loader read when a program starts,
/// such as `PYTHONHASHSEED` or `LD_LIBRARY_PATH`, therefore have an effect on the processes that the agent starts, and none on the agent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AgentOptions {
    current_dir: Option<String>,
    env: BTreeMap<String, String>,
    path: Vec<String>,
    site_packages: bool,
}

impl AgentOptions {
    /// Creates options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the working directory. One that is not there fails the connection.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<String>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Adds a folder of the far side to its `sys.path`.
    #[must_use]
    pub fn python_path(mut self, folder: impl Into<String>) -> Self {
        self.path.push(folder.into());
        self
    }

    /// Makes the `site-packages` of the far side importable. By default only its standard library is.
    #[must_use]
    pub fn with_site_packages(mut self) -> Self {
        self.site_packages = true;
        self
    }

    /// These options, with those of `special` on top.
    pub(crate) fn overlaid(mut self, special: Self) -> Self {
        self.current_dir = special.current_dir.or(self.current_dir);
        self.env.extend(special.env);
        self.path.extend(special.path);
        self.site_packages |= special.site_packages;
        self
    }

    /// Composes the options of START, `docs/wire.md`, section 5, for the last of `hosts`, to which the others lead.
    pub(crate) fn encode(&self, hosts: &[String], depth_limit: u32) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::new();
        let has_cwd = usize::from(self.current_dir.is_some());
        let has_env = usize::from(!self.env.is_empty());
        let host = hosts.last().map_or("", String::as_str);
        writer.begin_dict(6 + has_cwd + has_env).name("host").text(host);
        writer.name("hosts").begin_list(hosts.len());
        for host in hosts {
            writer.text(host);
        }
        // Whatever leads there, the controller itself opens it.
        writer.name("depth").int(1).name("depth_limit").int(i64::from(depth_limit));
        writer.name("path").begin_list(self.path.len());
        for folder in &self.path {
            writer.text(folder);
        }
        writer.name("site").bool(self.site_packages);
        if let Some(folder) = &self.current_dir {
            writer.name("cwd").text(folder);
        }
        if !self.env.is_empty() {
            writer.name("env").begin_dict(self.env.len());
            for (name, value) in &self.env {
                writer.text(name).text(value);
            }
        }
        writer.finish().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_options_win_and_lists_are_joined() {
        let general = AgentOptions::new().current_dir("/").env("A", "1").env("B", "1").python_path("/a");
        let special = AgentOptions::new().env("B", "2").python_path("/b").with_site_packages();
        let both = general.overlaid(special);
        let expected = AgentOptions::new().current_dir("/").env("A", "1").env("B", "2");
        assert_eq!(both, expected.python_path("/a").python_path("/b").with_site_packages());
    }
}
