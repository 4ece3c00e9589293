//! The keys of the messages that are dicts: named alike in the specification, in Rust and in Python.

use std::collections::BTreeSet;

use super::{File, Finding};

const SPECIFICATION: &str = "docs/wire.md";
const RULE: &str = "keys";

/// A message whose payload is a dict.
struct Message {
    name: &'static str,
    /// Where Rust lists the keys, and what stands in front of the list.
    rust: (&'static str, &'static str),
    /// The beginning of the header of the table in the specification, or of the sentence with the keys.
    specified: &'static str,
    /// The Python files that read the message, and the names under which they do.
    python: &'static [(&'static str, &'static str)],
    /// Keys of further messages that the same files read under these names.
    others: &'static [&'static str],
}

const START: &str = "crates/chopsticks-protocol/src/start.rs";
const FILE: &str = "crates/chopsticks-protocol/src/file.rs";
const PROGRAM: &str = "crates/chopsticks-protocol/src/program.rs";

const MESSAGES: &[Message] = &[
    Message {
        name: "START",
        rust: (START, "OPTIONS: [&'static str; 11] ="),
        specified: "| option | value |",
        python: &[
            ("agent/python/agent.py", "options"),
            ("agent/python/rare.py", "options"),
            ("agent/python/values.py", "options"),
            ("agent/lib/chopsticks/__init__.py", "options()"),
            ("agent/lib/chopsticks/_agent.py", "options"),
            ("agent/lib/chopsticks/tunnel.py", "options"),
        ],
        others: &[],
    },
    Message {
        name: "PUT",
        rust: (FILE, "KEYS: [&'static str; 13] ="),
        specified: "| key of `PUT` | value |",
        python: &[("agent/python/files.py", "options"), ("agent/python/folders.py", "options")],
        others: &["limit", "skip", "block", "digests"],
    },
    Message {
        name: "FETCH",
        rust: (FILE, "KEYS: [&'static str; 6] ="),
        specified: "| key of `FETCH` | value |",
        python: &[],
        others: &[],
    },
    Message {
        name: "SPAWN",
        rust: (PROGRAM, "KEYS: [&'static str; 4] ="),
        specified: "| key of `SPAWN` | value |",
        python: &[("agent/python/relay.py", "wanted")],
        others: &[],
    },
];

pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let Some(specification) = files.iter().find(|file| file.path == SPECIFICATION) else { return };
    for message in MESSAGES {
        let (path, list) = message.rust;
        let Some(rust) = files.iter().find(|file| file.path == path) else { continue };
        let Some(keys) = listed(&rust.content, list) else {
            findings.push(rust.error(1, RULE, format!("no list `{list}`")));
            continue;
        };
        let Some((line, specified)) = specified(specification, message.specified) else {
            let text = format!("the keys of {} are not listed after `{}`", message.name, message.specified);
            findings.push(specification.error(1, RULE, text));
            continue;
        };
        for key in keys.difference(&specified) {
            let text = format!("`{key}` of {} is in {path}, and not here", message.name);
            findings.push(specification.error(line, RULE, text));
        }
        for key in specified.difference(&keys) {
            let text = format!("`{key}` of {} is here, and not in {path}", message.name);
            findings.push(specification.error(line, RULE, text));
        }
        let mut unread = keys.clone();
        for (path, name) in message.python {
            let Some(python) = files.iter().find(|file| file.path == *path) else { continue };
            for (line, key) in read(python, name) {
                unread.remove(key);
                if !keys.contains(key) && !message.others.contains(&key) {
                    let text = format!("{} has no key `{key}`: see {SPECIFICATION}", message.name);
                    findings.push(python.error(line, RULE, text));
                }
            }
        }
        if let Some((path, _)) = message.python.first() {
            for key in unread {
                let text = format!("no Python reads `{key}` of {}", message.name);
                findings.push(File { path: (*path).to_owned(), content: String::new() }.error(1, RULE, text));
            }
        }
    }
}

/// Returns the texts of a list of Rust.
fn listed<'a>(content: &'a str, list: &str) -> Option<BTreeSet<&'a str>> {
    let (_, rest) = content.split_once(list)?;
    Some(rest.split(';').next()?.split('"').skip(1).step_by(2).collect())
}

/// Returns what stands in backquotes in the first cells of a table, or in a sentence, and its line.
fn specified<'a>(file: &'a File, beginning: &str) -> Option<(usize, BTreeSet<&'a str>)> {
    let (line, first) = file.lines().find(|(_, text)| text.starts_with(beginning))?;
    let keys = if first.starts_with('|') {
        let rows = file.lines().skip(line + 1).take_while(|(_, text)| text.starts_with('|'));
        rows.filter_map(|(_, text)| text.split('`').nth(1)).collect()
    } else {
        let sentence = first[beginning.len()..].split(". ").next().unwrap_or_default();
        sentence.split('`').skip(1).step_by(2).collect()
    };
    Some((line, keys))
}

/// Returns the keys that a file reads of `name`, as `name['key']` and `name.get('key'`, with their lines.
fn read<'a>(file: &'a File, name: &str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (line, text) in file.lines() {
        for (at, _) in text.match_indices(name) {
            let rest = &text[at + name.len()..];
            let Some(rest) = rest.strip_prefix(".get(").or_else(|| rest.strip_prefix('[')) else { continue };
            let rest = rest.strip_prefix('u').unwrap_or(rest);
            if let Some((key, _)) = rest.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) {
                found.push((line, key));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(specification: &str, rust: &str, python: &str) -> Vec<String> {
        let file = |path: &str, content: &str| File { path: path.to_owned(), content: content.to_owned() };
        let files =
            [file(SPECIFICATION, specification), file(PROGRAM, rust), file("agent/python/relay.py", python)];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    const TABLE: &str =
        "| key of `SPAWN` | value |\n|---|---|\n| `argv` | list |\n| `cwd` | bytes, `x` |\n\n| `no` | |\n";
    const LIST: &str = "pub const KEYS: [&'static str; 4] =\n    [\"argv\", \"cwd\"];\n";

    #[test]
    fn equal_keys_have_no_findings() {
        assert_eq!(findings(TABLE, LIST, "a = wanted['argv'], wanted.get(u'cwd')\n"), [] as [&str; 0]);
    }

    #[test]
    fn differences_are_found_in_every_direction() {
        let all = "argv = wanted['argv'], wanted['cwd']\n";
        let found = findings(TABLE, "KEYS: [&'static str; 4] = [\"argv\", \"cwd\", \"env\"];", all);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("`env` of SPAWN is in"), "{found:?}");
        assert!(found[1].contains("no Python reads `env`"), "{found:?}");
        let found = findings(TABLE, "KEYS: [&'static str; 4] = [\"argv\"];", "wanted['argv']");
        assert!(
            found[0]
                .ends_with("`cwd` of SPAWN is here, and not in crates/chopsticks-protocol/src/program.rs")
        );
        let found = findings(TABLE, LIST, "wanted['argv'], wanted['cwd']\nwanted.get('other')\n");
        assert_eq!(
            found,
            ["agent/python/relay.py:2: error: keys: SPAWN has no key `other`: see docs/wire.md"]
        );
    }
}
