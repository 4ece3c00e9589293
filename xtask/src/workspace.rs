//! The workspace: where it is, what belongs to it, how its cargo is called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command;
use crate::failure::Failure;

/// The workspace that this program belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the root folder from what cargo tells the programs it runs.
    pub(crate) fn locate() -> Result<Self, Failure> {
        let own = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        match own.parent() {
            Some(root) if root.join("Cargo.toml").is_file() => Ok(Self { root: root.to_owned() }),
            _ => Err(Failure::new("cannot find the workspace: call `cargo xtask` inside of it")),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a cargo command to be run in the root folder.
    pub(crate) fn cargo<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.program("cargo");
        command.args(arguments);
        command
    }

    /// Returns a command to be run in the root folder.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(&self.root);
        command
    }

    /// Returns the workspace's packages, as `cargo metadata` describes them.
    pub(crate) fn packages(&self) -> Result<Vec<Value>, Failure> {
        let mut metadata = self.cargo(["metadata", "--format-version=1", "--no-deps", "--locked"]);
        let text = command::output(&mut metadata)?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| Failure::during("cargo metadata", error))?;
        match value.get("packages") {
            Some(Value::Array(packages)) => Ok(packages.clone()),
            _ => Err(Failure::new("cargo metadata: no list of packages")),
        }
    }
}
