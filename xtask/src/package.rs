//! Checks that what is published can be: each crate says what a registry shows of it, and can be packed.

use serde_json::Value;

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Fields of a manifest that a registry shows or sorts by.
const FIELDS: [&str; 8] = [
    "categories",
    "description",
    "documentation",
    "keywords",
    "license",
    "license texts",
    "readme",
    "rust_version",
];

/// The texts of the licenses, which every crate carries.
const LICENSES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// Checks the manifests, and packs what is published without building it.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for package in workspace.packages()?.iter().filter(|package| is_published(package)) {
        let name = package["name"].as_str().unwrap_or_default();
        missing.extend(lacking(package).into_iter().map(|field| format!("{name}: no {field}")));
        if !package["repository"].is_null() {
            missing.push(format!("{name}: names a repository, and there is none yet"));
        }
    }
    if !missing.is_empty() {
        return Err(Failure::new(missing.join("; ")));
    }
    let mut command = workspace.cargo(["package", "--locked", "--no-verify", "--allow-dirty", "--quiet"]);
    for name in published(workspace)? {
        command.args(["--package", &name]);
    }
    command::run(&mut command)
}

/// Returns the names of the crates that are published: those without `publish = false`.
pub(crate) fn published(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let packages = workspace.packages()?;
    let published = packages.iter().filter(|package| is_published(package));
    Ok(published.filter_map(|package| Some(package["name"].as_str()?.to_owned())).collect())
}

fn is_published(package: &Value) -> bool {
    // An empty list of registries is what `publish = false` means.
    package["publish"].as_array().is_none_or(|registries| !registries.is_empty())
}

/// Returns what a registry would miss.
fn lacking(package: &Value) -> Vec<&'static str> {
    let folder = package["manifest_path"].as_str().and_then(|path| std::path::Path::new(path).parent());
    let has_texts =
        folder.is_some_and(|folder| LICENSES.iter().all(|license| folder.join(license).is_file()));
    let is_there = |field: &&str| match (*field, &package[*field]) {
        ("license texts", _) => has_texts,
        (_, Value::Array(values)) => !values.is_empty(),
        (_, Value::String(value)) => !value.is_empty(),
        _ => false,
    };
    FIELDS.into_iter().filter(|field| !is_there(field)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_registry_would_miss_is_named() {
        let package = json!({
            "categories": ["encoding"], "description": "", "documentation": null, "keywords": [],
            "license": "MIT", "manifest_path": "/nonexistent/Cargo.toml", "readme": "README.md", "rust_version": "1.90",
        });
        assert_eq!(lacking(&package), ["description", "documentation", "keywords", "license texts"]);
    }

    #[test]
    fn what_is_not_to_be_published_is_told_by_its_manifest() {
        assert!(is_published(&json!({ "publish": null })));
        assert!(!is_published(&json!({ "publish": [] })));
        let published = published(&Workspace::locate().unwrap()).unwrap();
        assert!(published.iter().any(|name| name == "chopsticks"));
        assert!(!published.iter().any(|name| name == "xtask"));
    }
}
