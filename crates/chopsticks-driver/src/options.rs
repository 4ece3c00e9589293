//! The options that an agent applies before it runs anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::quiet::Quiet;

/// The values that agents send in a plain form and do not refuse. The chapter on values of the
/// documentation lists the forms.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Encode {
    /// Names that are not UTF-8, such as those of files: in results and in arguments, as the text
    /// that `OsName` reads and writes.
    Names,
    /// Common objects in results, such as dates, paths, enums, named tuples and data classes: as text, numbers, lists and
    /// dicts.
    Objects,
    /// [`Names`](Self::Names) in results alone: arguments stay as they are. For controllers whose
    /// arguments can contain such names, as those in Python.
    ResultNames,
}

impl Encode {
    /// Returns the name of the option in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Objects => "objects",
            Self::ResultNames => "given",
        }
    }
}

/// The options that an agent applies before it runs anything: its working directory, its
/// environment, and the places from which it imports.
///
/// The agent itself applies them, in the same way on every kind of tunnel. Variables that the
/// interpreter or the system's loader reads when a program starts, such as `PYTHONHASHSEED` or
/// `LD_LIBRARY_PATH`, therefore affect the processes that the agent starts, but not the agent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AgentOptions {
    current_dir: Option<String>,
    encode: BTreeSet<Encode>,
    env: Quiet<BTreeMap<String, String>>,
    path: Vec<String>,
    site_packages: bool,
    user_site: bool,
    search_path: bool,
}

impl AgentOptions {
    /// Creates options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the working directory. If it does not exist, the connection fails.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<String>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    /// Allows the agent to send values of this kind in a plain form.
    #[must_use]
    pub fn encode(mut self, what: Encode) -> Self {
        if what == Encode::ResultNames {
            self.encode.insert(Encode::Names);
        }
        self.encode.insert(what);
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

    /// Makes the `site-packages` of the far side importable. By default only its standard library
    /// is importable.
    #[must_use]
    pub fn with_site_packages(mut self) -> Self {
        self.site_packages = true;
        self
    }

    /// Makes the packages importable that the far side's user has installed (`pip install --user`).
    #[must_use]
    pub fn with_user_site(mut self) -> Self {
        self.user_site = true;
        self
    }

    /// Makes the folders and archives of the variable `PYTHONPATH` importable, in front of the
    /// standard library, as in Python itself. By default the variable of the far side is ignored,
    /// and so is one that [`env`](Self::env) sets.
    #[must_use]
    pub fn with_search_path(mut self) -> Self {
        self.search_path = true;
        self
    }

    /// Returns these options, overridden by those of `special`.
    #[must_use]
    pub fn overlaid(mut self, special: Self) -> Self {
        self.current_dir = special.current_dir.or(self.current_dir);
        self.encode.extend(special.encode);
        self.env.extend(special.env.0);
        self.path.extend(special.path);
        self.site_packages |= special.site_packages;
        self.user_site |= special.user_site;
        self.search_path |= special.search_path;
        self
    }

    /// Returns the working directory.
    pub fn folder(&self) -> Option<&str> {
        self.current_dir.as_deref()
    }

    /// Returns the values that the agent sends in a plain form.
    pub fn encoded(&self) -> impl ExactSizeIterator<Item = Encode> + '_ {
        self.encode.iter().copied()
    }

    /// Returns the environment variables.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Returns the folders that are added to `sys.path`.
    pub fn python_paths(&self) -> &[String] {
        &self.path
    }

    /// Returns whether the `site-packages` of the far side can be imported.
    pub fn has_site_packages(&self) -> bool {
        self.site_packages
    }

    /// Returns whether the packages that the far side's user has installed can be imported.
    pub fn has_user_site(&self) -> bool {
        self.user_site
    }

    /// Returns whether the folders of `PYTHONPATH` are importable.
    pub fn has_search_path(&self) -> bool {
        self.search_path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_options_win_and_lists_are_joined() {
        let general = AgentOptions::new().current_dir("/").env("A", "1").env("B", "1").python_path("/a");
        let special =
            AgentOptions::new().env("B", "2").python_path("/b").encode(Encode::Names).with_site_packages();
        let both = general.overlaid(special);
        let expected = AgentOptions::new().current_dir("/").env("A", "1").env("B", "2");
        let expected = expected.encode(Encode::Names);
        assert_eq!(both, expected.python_path("/a").python_path("/b").with_site_packages());
    }
}
