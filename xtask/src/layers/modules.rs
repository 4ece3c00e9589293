//! Which modules of a crate use each other in circles.
//!
//! A circle of a few modules is two sides of one idea. A large one has no order in which it can be read.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::File;

/// The uses of each module of a crate, by their paths in it, such as `driver::ssh`.
pub(super) type Uses = BTreeMap<String, BTreeSet<String>>;

/// Reads which modules use which from the sources of a crate, whose files begin with `folder`, such as `crates/x/src/`.
///
/// A use is an item of `crate::`, `self::` or `super::` that lies in another module. What tests use does not count, nor does a module that
/// re-exports from those below it.
pub(super) fn uses(files: &[File], folder: &str) -> Uses {
    let sources: BTreeMap<String, &File> = files
        .iter()
        .filter(|file| file.extension() == "rs" && file.path.starts_with(folder))
        .filter_map(|file| Some((module(file.path.strip_prefix(folder)?)?, file)))
        .collect();
    let mut uses = Uses::new();
    for (name, file) in &sources {
        let used = paths(&code(&file.content)).into_iter().filter_map(|path| resolve(name, &path, &sources));
        // The root has the table of contents, and is no one's concern.
        let others = used.filter(|other| other != name && !other.is_empty());
        // Whoever re-exports what is below it is used for that, and does not depend on it.
        let others = others.filter(|other| !is_below(other, name));
        uses.insert(name.clone(), others.collect());
    }
    uses.remove("");
    uses
}

/// Returns the circles of more than `most` modules, each in order of the names.
pub(super) fn circles(uses: &Uses, most: usize) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        uses.keys().map(|name| (name, reach(uses, name))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for name in uses.keys() {
        let circle: Vec<String> = uses
            .keys()
            .filter(|other| {
                let there = reached.get(name).is_some_and(|reached| reached.contains(other));
                there && reached.get(other).is_some_and(|reached| reached.contains(name))
            })
            .cloned()
            .collect();
        if circle.len() > most && circle.iter().all(|member| seen.insert(member.clone())) {
            circles.push(circle);
        }
    }
    circles
}

/// What a module uses, and what that uses, and so on.
fn reach<'a>(uses: &'a Uses, from: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = uses.get(from).into_iter().flatten().collect();
    while let Some(name) = next.pop() {
        if reached.insert(name) {
            next.extend(uses.get(name).into_iter().flatten());
        }
    }
    reached
}

fn is_below(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.starts_with("::"))
}

/// The module of a file: `driver::ssh` of `driver/ssh.rs`, nothing of `lib.rs`; `None` of tests and programs.
fn module(path: &str) -> Option<String> {
    let name = path.strip_suffix(".rs")?;
    let parts: Vec<_> = name.split('/').collect();
    if parts.contains(&"tests") || parts.first() == Some(&"bin") {
        return None;
    }
    Some(if matches!(name, "lib" | "main") { String::new() } else { parts.join("::") })
}

/// Leaves out comments, and the tests at the end of a file.
fn code(content: &str) -> String {
    let lines = content.lines().take_while(|line| !line.starts_with("mod tests"));
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Finds the paths that begin with `crate`, `self` or `super`, those of a list in braces one by one.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for root in ["crate", "self", "super"] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            let is_whole =
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$');
            if is_whole {
                expand(&code[at..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths
}

/// Reads one path with what follows it in braces; returns what is behind it.
fn expand<'a>(text: &'a str, front: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let len = front.len();
    let mut rest = text.trim_start();
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            front.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        match rest.strip_prefix("::") {
            Some(more) => rest = more.trim_start(),
            None => break,
        }
        if let Some(list) = rest.strip_prefix('{') {
            rest = list;
            loop {
                rest = expand(rest, front, paths).trim_start();
                // A name of one's own behind `as` is no part of the path.
                let stop = rest.find([',', '}']).unwrap_or(rest.len());
                rest = &rest[stop..];
                match rest.strip_prefix(',') {
                    Some(more) if !more.trim_start().starts_with('}') => rest = more,
                    Some(more) => {
                        rest = more.trim_start().strip_prefix('}').unwrap_or_default();
                        break;
                    }
                    None => {
                        rest = rest.strip_prefix('}').unwrap_or_default();
                        break;
                    }
                }
            }
            front.truncate(len);
            return rest;
        }
    }
    paths.push(front.clone());
    front.truncate(len);
    rest
}

/// The module that a path of the module `from` lies in: the longest beginning that is a file.
fn resolve(from: &str, path: &[String], sources: &BTreeMap<String, &File>) -> Option<String> {
    let mut base: Vec<&str> = from.split("::").filter(|part| !part.is_empty()).collect();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &path[1..];
        }
        Some("self") => rest = &path[1..],
        _ => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
    }
    let mut names: Vec<&str> = base;
    names.extend(rest.iter().map(String::as_str));
    (0..=names.len()).rev().map(|len| names[..len].join("::")).find(|name| sources.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Uses {
        let files: Vec<File> = files
            .iter()
            .map(|(path, content)| File { path: format!("c/src/{path}"), content: (*content).to_owned() })
            .collect();
        uses(&files, "c/src/")
    }

    fn names(uses: &Uses, name: &str) -> Vec<String> {
        uses[name].iter().cloned().collect()
    }

    #[test]
    fn paths_in_lists_and_relative_ones_are_followed() {
        let uses = of(&[
            ("lib.rs", "mod a; pub use a::A;"),
            ("a.rs", "use crate::{b::{self, B}, d::e::E as F, missing};\nfn f() { super::c::g() }\n"),
            ("b.rs", "// use crate::a::A;\nmod tests { use crate::a; }"),
            ("c.rs", "use std::{fmt, sync};\nuse crate::A;"),
            ("d.rs", "pub use self::e::E;\nmod e;"),
            ("d/e.rs", "use super::super::b::B;\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}"),
        ]);
        assert_eq!(names(&uses, "a"), ["b", "c", "d::e"]);
        assert_eq!(names(&uses, "d::e"), ["b"]);
        assert_eq!((names(&uses, "c"), names(&uses, "d")), (vec![], vec![]));
    }

    #[test]
    fn circles_are_found_when_they_are_large() {
        let ring = |len: usize| {
            let names: Vec<_> = (0..len).map(|n| format!("m{n}.rs")).collect();
            let texts: Vec<_> = (0..len).map(|n| format!("use crate::m{}::X;", (n + 1) % len)).collect();
            let files: Vec<_> =
                names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
            of(&files)
        };
        assert_eq!(circles(&ring(3), 3), [[""; 0]; 0]);
        assert_eq!(circles(&ring(4), 3), [["m0", "m1", "m2", "m3"]]);
        // A line is none.
        let line = of(&[
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::d;"),
            ("d.rs", ""),
        ]);
        assert_eq!(circles(&line, 1), [[""; 0]; 0]);
    }
}
