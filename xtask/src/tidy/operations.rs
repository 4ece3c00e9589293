//! The operation codes of the wire protocol: spelled and numbered alike in the specification, in Rust and
//! in the Python agent.

use super::{File, Finding};

/// The specification, whose table is the measure.
const SPECIFICATION: &str = "docs/wire.md";
/// The heading of the section with the table.
const SECTION: &str = "Operations";
/// The Rust side, which has all operations: those of the transport, and those of the layer above.
const RUST: [&str; 2] =
    ["crates/chopsticks-transport/src/operation.rs", "crates/chopsticks-protocol/src/operation.rs"];
/// The agent, whose files define the operations that they use.
const AGENT: &str = "agent/";
const RULE: &str = "operations";

/// A name and its code, in some line.
#[derive(Debug, Eq, PartialEq)]
struct Operation {
    name: String,
    code: u8,
    line: usize,
}

pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let Some(specification) = files.iter().find(|file| file.path == SPECIFICATION) else { return };
    let specified = specified(specification);
    if specified.is_empty() {
        findings.push(specification.error(1, RULE, format!("no table in the section {SECTION}")));
        return;
    }
    let rust: Vec<_> = files.iter().filter(|file| RUST.contains(&file.path.as_str())).collect();
    let all: Vec<_> = rust.iter().flat_map(|file| defined_in_rust(file)).collect();
    for operation in specified.iter().filter(|found| !all.iter().any(|own| own.name == found.name)) {
        let message =
            format!("{} of {SPECIFICATION} is not defined in {}", operation.name, RUST.join(" or "));
        findings.push(specification.error(operation.line, RULE, message));
    }
    for rust in rust {
        let defined = defined_in_rust(rust);
        compare(rust, &defined, &specified, findings);
        // A name for a known code, such as the first of a range, is no new operation.
        let is_known =
            |own: &&Operation| specified.iter().any(|found| found.name == own.name || found.code == own.code);
        for operation in defined.iter().filter(|own| !is_known(own)) {
            let message = format!("{} is not in {SPECIFICATION}", operation.name);
            findings.push(rust.error(operation.line, RULE, message));
        }
    }
    let is_agent = |file: &&File| file.path.starts_with(AGENT) && file.extension() == "py";
    for file in files.iter().filter(is_agent) {
        compare(file, &defined_in_python(file), &specified, findings);
    }
}

/// Finds operations that have another code than the specification gives them.
fn compare(file: &File, defined: &[Operation], specified: &[Operation], findings: &mut Vec<Finding>) {
    for own in defined {
        let Some(right) = specified.iter().find(|found| found.name == own.name) else { continue };
        if right.code != own.code {
            let message = format!(
                "{} is {:#04x} here and {:#04x} in {SPECIFICATION}:{}",
                own.name, own.code, right.code, right.line
            );
            findings.push(file.error(own.line, RULE, message));
        }
    }
}

/// Reads the rows that begin with a code and a name, as `` | 0x01 | `START` | … ``.
fn specified(file: &File) -> Vec<Operation> {
    let is_heading = |text: &str| text.starts_with("## ");
    let section = file.lines().skip_while(|(_, text)| !(is_heading(text) && text.ends_with(SECTION)));
    let section = section.skip(1).take_while(|(_, text)| !is_heading(text));
    let rows = section.filter_map(|(line, text)| {
        let mut cells = text.strip_prefix('|')?.split('|').map(str::trim);
        let code = code(cells.next()?)?;
        Some(Operation { name: cells.next()?.trim_matches('`').to_owned(), code, line })
    });
    rows.collect()
}

/// Reads `Start = 0x01,` of an enum, and `pub const START: u8 = 0x01;` or `Self(0x01);` of constants.
fn defined_in_rust(file: &File) -> Vec<Operation> {
    let code_lines = file.lines().filter(|(_, text)| !text.trim_start().starts_with("//"));
    let definitions = code_lines.filter_map(|(line, text)| {
        let (left, right) = text.split_once(" = ")?;
        let name = left.split(':').next()?.split_whitespace().last()?;
        let value = right.trim_end_matches([',', ';']);
        let value = value.split_once('(').map_or(value, |(_, inner)| inner.trim_end_matches(')'));
        Some(Operation { name: in_capitals(name), code: code(value)?, line })
    });
    definitions.collect()
}

/// Reads `START = 0x01`.
fn defined_in_python(file: &File) -> Vec<Operation> {
    let definitions = file.lines().filter_map(|(line, text)| {
        let (name, value) = text.split_once(" = ")?;
        let value = value.split('#').next()?.trim();
        Some(Operation { name: name.to_owned(), code: code(value)?, line })
    });
    definitions.collect()
}

/// Reads a code; only hexadecimal numbers of two digits are any.
fn code(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("0x")?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// Returns `StartUp` as `START_UP`, and `START_UP` as it is.
fn in_capitals(name: &str) -> String {
    let mut capitals = String::new();
    let mut previous_is_small = false;
    for character in name.chars() {
        if character.is_ascii_uppercase() && previous_is_small {
            capitals.push('_');
        }
        previous_is_small = character.is_ascii_lowercase();
        capitals.push(character.to_ascii_uppercase());
    }
    capitals
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
## 3. Formats

| 0x07 | `NOTHING` |

## 4. Operations

| code | name | direction |
|--:|---|---|
| 0x01 | `START` | controller to agent |
| 0x0a | `FLOW_CREDIT` | both |

## 5. Start

| 0x09 | `NOTHING` |
";

    fn file(path: &str, content: &str) -> File {
        File { path: path.to_owned(), content: content.to_owned() }
    }

    fn findings(rust: &str, agent: &str) -> Vec<String> {
        let files = [file(SPECIFICATION, TABLE), file(RUST[0], rust), file("agent/python/agent.py", agent)];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_tables_have_no_findings() {
        let agent = "START = 0x01  # first\nMORE = 0x80\nFRAME = 1 << 17\n";
        let constants = "pub const START: u8 = 0x01;\npub const FLOW_CREDIT: u8 = 0x0a;\n\
            pub const FIRST: u8 = 0x01;\n";
        let variants = "pub enum Operation {\n    Start = 0x01,\n    FlowCredit = 0x0a,\n}\nlet x = 3;\n";
        let wrapped = "pub const START: Self = Self(0x01);\npub const FLOW_CREDIT: Self = Self(0x0a);\n";
        for rust in [constants, variants, wrapped] {
            assert_eq!(findings(rust, agent), [] as [&str; 0]);
        }
    }

    #[test]
    fn different_codes_are_found_on_either_side() {
        let found = findings("Start = 0x02,\nFlowCredit = 0x0a,\n", "FLOW_CREDIT = 0x0b\n");
        assert_eq!(
            found,
            [
                "crates/chopsticks-transport/src/operation.rs:1: error: operations: START is 0x02 here and 0x01 \
                 in docs/wire.md:9",
                "agent/python/agent.py:1: error: operations: FLOW_CREDIT is 0x0b here and 0x0a in docs/wire.md:10",
            ]
        );
    }

    #[test]
    fn operations_that_one_side_lacks_are_found() {
        let found = findings("Start = 0x01,\nSurprise = 0x33,\n", "");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("FLOW_CREDIT of docs/wire.md is not defined"));
        assert!(found[1].ends_with("SURPRISE is not in docs/wire.md"));
    }

    #[test]
    fn specification_without_a_table_is_found() {
        let mut found = Vec::new();
        check(&[file(SPECIFICATION, "# Wire\n")], &mut found);
        assert_eq!(found.len(), 1);
    }
}
