//! Tests of the layer rules on made-up workspaces.

use serde_json::json;

use super::*;

/// A workspace in which all is well.
fn workspace() -> Vec<Package> {
    let layers = LAYERS.iter().map(|layer| Package {
        name: layer.name.to_owned(),
        is_published: !WHEELS.contains(&layer.name),
        dependencies: layer.below.iter().map(|name| ours(name, Kind::Normal)).collect(),
    });
    let others = UNPUBLISHED.iter().map(|name| Package {
        name: (*name).to_owned(),
        is_published: false,
        dependencies: vec![ours("chopsticks", Kind::Normal)],
    });
    layers.chain(others).collect()
}

fn ours(name: &str, kind: Kind) -> Dependency {
    Dependency { name: name.to_owned(), kind, has_version: kind != Kind::Test, is_ours: true }
}

fn foreign(name: &str, kind: Kind) -> Dependency {
    Dependency { name: name.to_owned(), kind, has_version: true, is_ours: false }
}

fn findings_with(package: &str, dependency: Dependency) -> Vec<String> {
    let mut packages = workspace();
    let package = packages.iter_mut().find(|found| found.name == package).unwrap();
    package.dependencies.push(dependency);
    check(&packages)
}

#[test]
fn workspace_that_keeps_the_table_has_no_findings() {
    assert_eq!(check(&workspace()), [] as [&str; 0]);
}

#[test]
fn crate_that_another_one_brings_is_found() {
    let tree = "chopsticks-function v0.1.0 (/x)\nbytes v1.12.1\ntokio v1.50.0\nsha1 v0.11.0\n";
    let findings = linked("chopsticks-function", tree, &["libc", "tokio"]);
    let expected =
        "chopsticks-function is linked with tokio: see `cargo tree -p chopsticks-function -i tokio`";
    assert_eq!(findings, [expected]);
}

#[test]
fn dependency_on_a_sibling_is_found() {
    let findings = findings_with("chopsticks-importer", ours("chopsticks-transport", Kind::Normal));
    assert_eq!(findings, ["chopsticks-importer must not depend on chopsticks-transport"]);
    let findings = findings_with("chopsticks-cli", ours("chopsticks-tunnel", Kind::Build));
    assert_eq!(findings, ["chopsticks-cli must not depend on chopsticks-tunnel"]);
}

#[test]
fn tests_may_use_the_helpers_by_path_alone() {
    assert!(findings_with("chopsticks-tunnel", ours(SUPPORT, Kind::Test)).is_empty());
    let with_version = Dependency { has_version: true, ..ours(SUPPORT, Kind::Test) };
    assert!(findings_with("chopsticks-tunnel", with_version)[0].contains("cannot be published"));
    let findings = findings_with("chopsticks-tunnel", ours(SUPPORT, Kind::Normal));
    assert_eq!(findings, ["chopsticks-tunnel must not depend on chopsticks-support"]);
}

#[test]
fn tests_of_a_layer_do_not_reach_up() {
    let findings = findings_with("chopsticks-transport", ours("chopsticks-tunnel", Kind::Test));
    assert_eq!(
        findings,
        ["chopsticks-transport must not depend on chopsticks-tunnel, not even in its tests"]
    );
}

#[test]
fn permission_that_nobody_uses_is_found() {
    let mut packages = workspace();
    let importer = packages.iter_mut().find(|found| found.name == "chopsticks-importer").unwrap();
    importer.dependencies.clear();
    let findings = check(&packages);
    let expected =
        "xtask/src/layers.rs permits chopsticks-importer to depend on chopsticks-module, which it does not";
    assert_eq!(findings, [expected]);
}

#[test]
fn foreign_crates_that_break_a_layer_are_found() {
    let findings = findings_with("chopsticks-pencode", foreign("tokio", Kind::Normal));
    assert_eq!(findings, ["chopsticks-pencode must not depend on the foreign crate tokio"]);
    assert!(findings_with("chopsticks-pencode", foreign("tokio", Kind::Test)).is_empty());
    assert!(findings_with("chopsticks-pencode", foreign("serde", Kind::Normal)).is_empty());
    assert_eq!(findings_with("chopsticks-agent", foreign("serde", Kind::Normal)).len(), 1);
    assert!(findings_with("chopsticks-agent", foreign("zopfli", Kind::Build)).is_empty());
}

#[test]
fn unknown_and_missing_crates_are_found() {
    let mut packages = workspace();
    let pencode = packages.iter_mut().find(|package| package.name == "chopsticks-pencode").unwrap();
    pencode.name = "chopsticks-surprise".to_owned();
    let findings = check(&packages);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].starts_with("chopsticks-surprise has no place"));
    assert!(findings[1].contains("names chopsticks-pencode, which is no member"));
}

#[test]
fn publication_is_as_the_table_says() {
    let mut packages = workspace();
    for package in &mut packages {
        package.is_published = !package.is_published;
    }
    assert_eq!(check(&packages).len(), packages.len());
}

#[test]
fn metadata_is_read() {
    let package = Package::read(&json!({
        "name": "chopsticks-tunnel",
        "publish": null,
        "dependencies": [
            {"name": "chopsticks-transport", "req": "^0.1.0", "kind": null, "path": "somewhere"},
            {"name": "chopsticks-support", "req": "*", "kind": "dev", "path": "elsewhere"},
            {"name": "serde", "req": "^1", "kind": "build"},
        ],
    }));
    let package = package.unwrap();
    assert!(package.is_published);
    let kinds: Vec<_> = package.dependencies.iter().map(|found| (found.kind, found.is_ours)).collect();
    assert_eq!(kinds, [(Kind::Normal, true), (Kind::Test, true), (Kind::Build, false)]);
    assert!(!package.dependencies[1].has_version);
    let unpublished = json!({"name": "xtask", "publish": [], "dependencies": []});
    assert!(!Package::read(&unpublished).unwrap().is_published);
    assert!(Package::read(&json!({})).is_err());
}
