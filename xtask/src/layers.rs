//! Keeps the layers: which crate may depend on which, and that the modules of a crate do not all depend on each other.
//!
//! Dependencies point down only and siblings do not see each other. Adding a line to a table of this file
//! is a change of the design: say why in the commit, and in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::command;
use crate::failure::Failure;
use crate::tidy::{self, File};
use crate::workspace::Workspace;

mod modules;

/// What a crate of the workspace may use of the workspace.
struct Layer {
    name: &'static str,
    /// Dependencies of the library or program.
    below: &'static [&'static str],
    /// Further dependencies of its tests.
    in_tests: &'static [&'static str],
}

/// The crates that users get, bottom up. Their tests may use [`SUPPORT`] besides.
const LAYERS: &[Layer] = &[
    Layer { name: "chopsticks-text", below: &[], in_tests: &[] },
    Layer { name: "chopsticks-pencode", below: &["chopsticks-text"], in_tests: &[] },
    Layer { name: "chopsticks-group", below: &[], in_tests: &[] },
    Layer { name: "chopsticks-inventory", below: &[], in_tests: &[] },
    Layer { name: "chopsticks-agent", below: &[], in_tests: &[] },
    Layer { name: "chopsticks-protocol", below: &["chopsticks-pencode"], in_tests: &[] },
    Layer { name: "chopsticks-transport", below: &[], in_tests: &[] },
    Layer { name: "chopsticks-files", below: &["chopsticks-transport"], in_tests: &[] },
    Layer { name: "chopsticks-function-macros", below: &[], in_tests: &[] },
    // Its agent is the other end of what a tunnel is this end of.
    Layer {
        name: "chopsticks-function",
        below: &[
            "chopsticks-pencode",
            "chopsticks-protocol",
            "chopsticks-transport",
            "chopsticks-files",
            "chopsticks-function-macros",
        ],
        in_tests: &[],
    },
    Layer { name: "chopsticks-module", below: &["chopsticks-text"], in_tests: &[] },
    Layer { name: "chopsticks-importer", below: &["chopsticks-module"], in_tests: &[] },
    Layer { name: "chopsticks-driver", below: &[], in_tests: &[] },
    Layer {
        name: "chopsticks-tunnel",
        below: &[
            "chopsticks-transport",
            "chopsticks-pencode",
            "chopsticks-agent",
            "chopsticks-module",
            "chopsticks-driver",
            "chopsticks-files",
            "chopsticks-function",
            "chopsticks-group",
            "chopsticks-text",
            "chopsticks-protocol",
        ],
        in_tests: &[],
    },
    Layer {
        name: "chopsticks",
        below: &[
            "chopsticks-pencode",
            "chopsticks-text",
            "chopsticks-transport",
            "chopsticks-group",
            "chopsticks-module",
            "chopsticks-importer",
            "chopsticks-inventory",
            "chopsticks-agent",
            "chopsticks-driver",
            "chopsticks-files",
            "chopsticks-function",
            "chopsticks-function-macros",
            "chopsticks-protocol",
            "chopsticks-tunnel",
        ],
        in_tests: &[],
    },
    Layer { name: "chopsticks-cli", below: &["chopsticks"], in_tests: &[] },
    Layer { name: "chopsticks-python", below: &["chopsticks"], in_tests: &[] },
];

/// Layers that are published as wheels, and not as crates.
const WHEELS: &[&str] = &["chopsticks-python"];

/// Helpers of the tests: the one unpublished crate that published ones may use, in their tests.
const SUPPORT: &str = "chopsticks-support";

/// Crates that are never published and may use all others.
const UNPUBLISHED: &[&str] =
    &[SUPPORT, "chopsticks-benches", "chopsticks-e2e", "chopsticks-hosts", "chopsticks-pypi", "xtask"];

/// Crates of others that would break what a layer stands for.
const FORBIDDEN: &[(&str, &[&str])] = &[
    // The codec performs no input or output.
    ("chopsticks-pencode", &["tokio", "tokio-util", "futures", "libc", "rustix"]),
    // Characters in, characters out.
    ("chopsticks-text", &["*"]),
    // The agent is constants; whatever packs them is needed at build time only.
    ("chopsticks-agent", &["*"]),
    // Processes and hosts are the tunnel's.
    ("chopsticks-transport", &["libc", "rustix", "async-trait"]),
    ("chopsticks-module", &["tokio", "tokio-util", "futures", "libc", "rustix", "async-trait"]),
    // Messages are bytes and values; nothing is sent, and nothing runs.
    ("chopsticks-protocol", &["tokio", "tokio-util", "futures", "libc", "rustix", "async-trait"]),
    // Programs are started; nothing is said over their pipes.
    ("chopsticks-driver", &["bytes", "serde", "tokio-util", "futures"]),
    // Files are read and written by threads; no process is started, and no value is encoded.
    ("chopsticks-files", &["async-trait", "serde", "futures"]),
    // Functions and their agent are linked into programs that are sent to hosts: no runtime, which would double them.
    ("chopsticks-function", &["tokio", "tokio-util", "futures", "libc", "async-trait"]),
    // What a group does to its targets is the affair of whoever makes the operations.
    ("chopsticks-group", &["libc", "rustix", "bytes", "serde", "tokio-util", "async-trait"]),
    // Names and files become targets; nothing is started, and nothing is connected.
    ("chopsticks-inventory", &["tokio", "tokio-util", "futures", "libc", "rustix", "async-trait", "bytes"]),
    ("chopsticks-importer", &["tokio", "tokio-util", "async-trait"]),
];

/// Crates of others that programs which have functions alone must not be linked with: they are sent to hosts. Crates
/// between must not bring them either.
const UNLINKED: (&str, &[&str]) =
    ("chopsticks-function", &["tokio", "libc", "ignore", "regex-automata", "similar"]);

/// Checks the workspace.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let packages: Vec<Package> = workspace.packages()?.iter().map(Package::read).collect::<Result<_, _>>()?;
    let mut findings = check(&packages);
    let files = tidy::tracked_files(workspace)?;
    for layer in LAYERS {
        println!("{}", arrows(layer.name, &packages));
        check_modules(layer.name, &files, &mut findings);
    }
    findings.extend(linked(UNLINKED.0, &tree(workspace, UNLINKED.0)?, UNLINKED.1));
    for finding in &findings {
        eprintln!("Cargo.toml: layers: {finding}");
    }
    if findings.is_empty() {
        println!("layers: {} crates, each depends on what lies below it", packages.len());
        return Ok(());
    }
    Err(Failure::new(format!("layers: {} findings", findings.len())))
}

/// A member of the workspace.
#[derive(Debug)]
struct Package {
    name: String,
    is_published: bool,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    kind: Kind,
    has_version: bool,
    is_ours: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Build,
    Normal,
    Test,
}

impl Package {
    fn read(value: &Value) -> Result<Self, Failure> {
        let name = text(value, "name")?;
        let dependencies = value["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            name,
            // An empty list of registries is how `publish = false` is told.
            is_published: value["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            dependencies: dependencies.iter().map(Dependency::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Dependency {
    fn read(value: &Value) -> Result<Self, Failure> {
        let kind = match value["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Test,
            Some(other) => return Err(Failure::new(format!("cargo metadata: dependency kind {other}"))),
        };
        let has_version = text(value, "req")? != "*";
        Ok(Self { name: text(value, "name")?, kind, has_version, is_ours: value["path"].is_string() })
    }
}

fn text(value: &Value, key: &str) -> Result<String, Failure> {
    let text = value[key].as_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("cargo metadata: no {key} in {value}")))
}

fn check(packages: &[Package]) -> Vec<String> {
    let layers: BTreeMap<_, _> = LAYERS.iter().map(|layer| (layer.name, layer)).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        match layers.get(name) {
            Some(layer) => {
                if package.is_published == WHEELS.contains(&name) {
                    findings.push(match package.is_published {
                        true => format!("{name} is published as a wheel, but lacks `publish = false`"),
                        false => format!("{name} is a layer, but has `publish = false`"),
                    });
                }
                check_layer(package, layer, &mut findings);
            }
            None if !UNPUBLISHED.contains(&name) => {
                findings.push(format!("{name} has no place in xtask/src/layers.rs"));
            }
            None if package.is_published => findings.push(format!("{name} lacks `publish = false`")),
            None => {}
        }
    }
    let members: BTreeSet<_> = packages.iter().map(|package| package.name.as_str()).collect();
    let known = layers.keys().chain(UNPUBLISHED);
    for name in known.filter(|name| !members.contains(*name)) {
        findings.push(format!("xtask/src/layers.rs names {name}, which is no member of the workspace"));
    }
    findings
}

/// Returns what a crate is linked with, one crate a line: its name, and its version.
fn tree(workspace: &Workspace, name: &str) -> Result<String, Failure> {
    let mut command =
        workspace.cargo(["tree", "--locked", "--edges=normal", "--prefix=none", "--package", name]);
    command::output(command.args(["--format={p}"]))
}

fn linked(name: &str, tree: &str, unlinked: &[&str]) -> Vec<String> {
    let linked: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = unlinked.iter().filter(|other| linked.contains(*other));
    found
        .map(|other| format!("{name} is linked with {other}: see `cargo tree -p {name} -i {other}`"))
        .collect()
}

/// A crate, and those that it depends on.
fn arrows(name: &str, packages: &[Package]) -> String {
    let package = packages.iter().find(|package| package.name == name);
    let dependencies = package.map(|package| package.dependencies.as_slice()).unwrap_or_default();
    let ours = dependencies.iter().filter(|other| other.is_ours && other.kind != Kind::Test);
    let below: Vec<_> = ours.map(|other| other.name.trim_start_matches("chopsticks-")).collect();
    match below.is_empty() {
        true => name.to_owned(),
        false => format!("{name} -> {}", below.join(", ")),
    }
}

/// Finds circles of modules that are too large, and prints them all.
fn check_modules(name: &str, files: &[File], findings: &mut Vec<String>) {
    let folder =
        if name == "chopsticks-agent" { "agent/src/".to_owned() } else { format!("crates/{name}/src/") };
    let uses = modules::uses(files, &folder);
    let known = CIRCLES.iter().find(|(known, _)| *known == name).map(|(_, len)| *len);
    let mut largest = 0;
    for circle in modules::circles(&uses, 1) {
        println!("    circle of {}: {}", circle.len(), circle.join(", "));
        largest = largest.max(circle.len());
        let most = known.unwrap_or(MOST_IN_A_CIRCLE);
        if circle.len() > most {
            let circle_of = format!("{name} has a circle of {} modules", circle.len());
            findings.push(format!("{circle_of}, more than {most}: {}", circle.join(", ")));
        }
    }
    if known.is_some_and(|known| largest < known) {
        findings.push(format!("{name} has got better: its circle of {largest} goes into CIRCLES"));
    }
}

fn check_layer(package: &Package, layer: &Layer, findings: &mut Vec<String>) {
    let name = layer.name;
    let forbidden =
        FORBIDDEN.iter().find(|(crate_name, _)| *crate_name == name).map_or(&[][..], |rule| rule.1);
    for dependency in &package.dependencies {
        let other = dependency.name.as_str();
        let is_below = layer.below.contains(&other);
        let is_listed = is_below || layer.in_tests.contains(&other) || other == SUPPORT;
        let finding = match (dependency.is_ours, dependency.kind) {
            (true, Kind::Normal | Kind::Build) if !is_below => {
                format!("{name} must not depend on {other}")
            }
            (true, Kind::Test) if !is_listed => {
                format!("{name} must not depend on {other}, not even in its tests")
            }
            (true, Kind::Test) if other == SUPPORT && dependency.has_version => {
                format!("{name} takes {other} with a version, so it cannot be published; give the path alone")
            }
            (false, Kind::Normal) if forbidden.contains(&"*") || forbidden.contains(&other) => {
                format!("{name} must not depend on the foreign crate {other}")
            }
            _ => continue,
        };
        findings.push(finding);
    }
    let has = |other: &str, is_test: bool| {
        let mut dependencies = package.dependencies.iter();
        dependencies.any(|found| found.name == other && (found.kind == Kind::Test) == is_test)
    };
    let unused = layer.below.iter().filter(|other| !has(other, false));
    let unused_in_tests = layer.in_tests.iter().filter(|other| !has(other, true));
    for other in unused.chain(unused_in_tests) {
        findings.push(format!("xtask/src/layers.rs permits {name} to depend on {other}, which it does not"));
    }
}

/// Crates with a larger circle, and how large it is. It may shrink, and then this number does; it is not to grow.
const CIRCLES: &[(&str, usize)] = &[("chopsticks-tunnel", 6)];
/// Two sides of one idea, and what they share.
const MOST_IN_A_CIRCLE: usize = 3;

#[cfg(test)]
mod tests;
